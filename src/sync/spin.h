/* SPDX-License-Identifier: MIT */
#ifndef ARS_SYNC_SPIN_H
#define ARS_SYNC_SPIN_H

/*
 * A spinlock, for a few instructions at a time: never held over a system call,
 * an allocation that might wait, or a switch.  All-zero is unlocked.
 *
 * Test-and-test-and-set.  While the lock is held, waiters only read, so the
 * line stays shared until the holder writes it.  After an exchange that failed
 * another CPU has just won: pausing then, before looking again, keeps the line
 * with the winner for as long as it needs.
 */

#include <arsenal/atomic.h>

typedef struct ars__spin {
    ars_atomic_u32 held;
} ars__spin;

/* 1 if the lock was free and is now the caller's, else 0. */
static inline int ars__spin_try(ars__spin *spin)
{
    return ars_atomic_u32_load_relaxed(&spin->held) == 0 &&
           ars_atomic_u32_swap_acquire(&spin->held, 1) == 0;
}

static inline void ars__spin_lock(ars__spin *spin)
{
    /* Acquire: pairs with the release in ars__spin_unlock() of the holder before. */
    while (ars_atomic_u32_swap_acquire(&spin->held, 1) != 0) {
        for (int i = 0; i < 12; i++) ars_atomic_pause();
        while (ars_atomic_u32_load_relaxed(&spin->held) != 0) ars_atomic_pause();
    }
}

static inline void ars__spin_unlock(ars__spin *spin)
{
    ars_atomic_u32_store_release(&spin->held, 0);
}

#endif
