/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SPIN_H
#define ARSENAL_SPIN_H

/*
 * A spinlock, for a few instructions at a time: never held over a system call,
 * an allocation that might wait, or a call that may suspend.
 *
 * Test-and-test-and-set.  While the lock is held, waiters only read, so the
 * line stays shared until the holder writes it.  After an exchange that failed
 * another CPU has just won: pausing then, before looking again, keeps the line
 * with the winner for as long as it needs.  Who has waited for longer than a
 * holder could need that runs gives up its processor from time to time: the
 * holder has probably lost its own.
 *
 * Invariant: 'held' is 1 while somebody has the lock, else 0.  It goes from 0
 * to 1 by an exchange that found 0, so for one thread only.
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/*
 * ars_spin_yield() lets other threads of this CPU run, among them perhaps the
 * one that is waited for.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_spin_yield(void);

/*
 * ars_spin_wait() is what to do between two looks at a word that another thread
 * will change soon: it pauses, and each 64th time, by 'round', which the caller
 * counts up from 0, it yields.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_spin_wait(unsigned round)
{
    ars_atomic_pause();
    /* 64 pauses are 1 to 3 us: a hundred times what a few instructions take. */
    if (round % 64 == 63) ars_spin_yield();
}

/* The field is private.  All-zero is unlocked. */
typedef struct ars_spin {
    ars_atomic_u32 held;
} ars_spin;

/*
 * ars_spin_try() takes the lock if it is free.
 *
 * Returns 1 if it is the caller's now, else 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_spin_try(ars_spin *spin)
{
    /* Acquire: pairs with the release in ars_spin_unlock() of the holder before. */
    return ars_atomic_u32_load_relaxed(&spin->held) == 0 &&
           ars_atomic_u32_swap_acquire(&spin->held, 1) == 0;
}

/*
 * ars_spin_lock() takes the lock, spinning while somebody else has it.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_spin_lock(ars_spin *spin)
{
    /* Acquire: pairs with the release in ars_spin_unlock() of the holder before. */
    while (ars_atomic_u32_swap_acquire(&spin->held, 1) != 0) {
        unsigned round = 0;
        for (int i = 0; i < 12; i++) ars_atomic_pause();
        while (ars_atomic_u32_load_relaxed(&spin->held) != 0) ars_spin_wait(round++);
    }
}

/*
 * ars_spin_lock_busy() is ars_spin_lock(), but never yields.  There is no call
 * in it, so a short function around it saves no registers: for where that counts
 * and no more threads spin than there are CPUs.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_spin_lock_busy(ars_spin *spin)
{
    /* Acquire: pairs with the release in ars_spin_unlock() of the holder before. */
    while (ars_atomic_u32_swap_acquire(&spin->held, 1) != 0) {
        for (int i = 0; i < 12; i++) ars_atomic_pause();
        while (ars_atomic_u32_load_relaxed(&spin->held) != 0) ars_atomic_pause();
    }
}

/*
 * ars_spin_unlock() gives the lock back.
 *
 * Suspends: no.  Allocates: no.  Callable from: whoever holds the lock.
 */
ARS_INLINE void ars_spin_unlock(ars_spin *spin)
{
    /* Release: pairs with the acquire of the holder that comes next. */
    ars_atomic_u32_store_release(&spin->held, 0);
}

ARS_END_DECLS

#endif
