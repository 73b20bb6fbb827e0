/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SPIN_RW_H
#define ARSENAL_SPIN_RW_H

/*
 * A spinlock that many may hold to read, or one to write, for a few instructions
 * at a time: never over a system call or a call that may suspend.
 *
 * Writers are preferred: one that waits keeps new readers out, and those inside
 * let it in when the last of them leaves.  So who reads must not lock for
 * reading again, and writers that never cease shut readers out.  Where it is
 * read nearly always, <arsenal/seqlock.h> lets readers write nothing at all;
 * where it is held for long, take <arsenal/rwlock.h>.
 *
 * Invariant: 'writer' is 1 while somebody writes or waits for readers to leave;
 * it goes from 0 to 1 for one thread only.  'readers' counts those inside, and
 * those who look.  A reader counts itself, then looks for a writer; a writer
 * sets its flag, then looks for readers.  All four are sequentially consistent,
 * so one of the two sees the other.
 */

#include <arsenal/spin.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is unlocked. */
typedef struct ars_spin_rw {
    ars_atomic_u32 writer;
    ars_atomic_u32 readers;
} ars_spin_rw;

/*
 * ars_spin_rw_read_try() takes the lock to read if nobody has it, or waits for
 * it, to write.
 *
 * Returns 1 if the caller has it now, else 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_spin_rw_read_try(ars_spin_rw *lock)
{
    ars_atomic_u32_add_seq_cst(&lock->readers, 1);
    /* Acquires too: pairs with the release in ars_spin_rw_write_unlock(). */
    if (ars_atomic_u32_load_seq_cst(&lock->writer) == 0) return 1;
    ars_atomic_u32_add_relaxed(&lock->readers, (uint32_t)-1);
    return 0;
}

/*
 * ars_spin_rw_read_lock() takes the lock to read, spinning while somebody has
 * it, or waits for it, to write.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_spin_rw_read_lock(ars_spin_rw *lock)
{
    while (!ars_spin_rw_read_try(lock)) {
        unsigned round = 0;
        while (ars_atomic_u32_load_relaxed(&lock->writer) != 0) ars_spin_wait(round++);
    }
}

/*
 * ars_spin_rw_read_unlock() gives back a lock that was taken to read.
 *
 * Suspends: no.  Allocates: no.  Callable from: who has it to read.
 */
ARS_INLINE void ars_spin_rw_read_unlock(ars_spin_rw *lock)
{
    /* Release: what was read was read before the next writer writes. */
    ars_atomic_u32_add_release(&lock->readers, (uint32_t)-1);
}

/*
 * ars_spin_rw_write_try() takes the lock to write if nobody has it.  Readers
 * that come during the call may keep it out, and it may keep them waiting.
 *
 * Returns 1 if it is the caller's now, else 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_spin_rw_write_try(ars_spin_rw *lock)
{
    if (ars_atomic_u32_load_relaxed(&lock->readers) != 0 ||
        ars_atomic_u32_load_relaxed(&lock->writer) != 0 ||
        ars_atomic_u32_swap_seq_cst(&lock->writer, 1) != 0)
        return 0;
    if (ars_atomic_u32_load_seq_cst(&lock->readers) == 0) return 1;
    /* Release: hands on what this acquired from the writer before. */
    ars_atomic_u32_store_release(&lock->writer, 0);
    return 0;
}

/*
 * ars_spin_rw_write_lock() takes the lock to write, spinning while anybody else
 * has it.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_spin_rw_write_lock(ars_spin_rw *lock)
{
    unsigned round = 0;
    /* Acquires too: pairs with the release in ars_spin_rw_write_unlock() of the writer before. */
    while (ars_atomic_u32_swap_seq_cst(&lock->writer, 1) != 0) {
        while (ars_atomic_u32_load_relaxed(&lock->writer) != 0) ars_spin_wait(round++);
    }
    /* Acquires too: pairs with the release in ars_spin_rw_read_unlock(). */
    while (ars_atomic_u32_load_seq_cst(&lock->readers) != 0) ars_spin_wait(round++);
}

/*
 * ars_spin_rw_write_unlock() gives back a lock that was taken to write.
 *
 * Suspends: no.  Allocates: no.  Callable from: who has it to write.
 */
ARS_INLINE void ars_spin_rw_write_unlock(ars_spin_rw *lock)
{
    /* Release: pairs with the acquire of whoever comes next. */
    ars_atomic_u32_store_release(&lock->writer, 0);
}

ARS_END_DECLS

#endif
