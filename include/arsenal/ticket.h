/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TICKET_H
#define ARSENAL_TICKET_H

/*
 * A spinlock that is taken in the order of arrival, for a few instructions at a
 * time.
 *
 * Who arrives draws the next ticket and waits until it is served.  Only the one
 * whose turn it is can go on: if its thread is not running everybody waits for
 * it, giving up their processors from time to time so that it can.  This is at
 * its best where no more threads contend than there are CPUs; elsewhere take
 * <arsenal/spin.h>.
 *
 * Waiters pause in proportion to how many are before them: who is far from
 * being served looks seldom.
 *
 * Invariant: 'serving' is the ticket of the holder, or equal to 'next' if there
 * is none; next - serving have drawn a ticket and not unlocked yet.  A ticket is
 * drawn by one thread, except that they repeat after 2^32.
 */

#include <arsenal/spin.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is unlocked. */
typedef struct ars_ticket {
    ars_atomic_u32 next;
    ars_atomic_u32 serving;
} ars_ticket;

/*
 * ars_ticket_try() takes the lock if nobody has it or waits for it.
 *
 * Returns 1 if it is the caller's now, else 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_ticket_try(ars_ticket *lock)
{
    /* Acquire: pairs with the release in ars_ticket_unlock() of the holder before. */
    uint32_t mine = ars_atomic_u32_load_acquire(&lock->serving), next = mine;
    return ars_atomic_u32_cas_relaxed(&lock->next, &next, mine + 1);
}

/*
 * ars_ticket_lock() takes the lock, spinning until it is the caller's turn.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_ticket_lock(ars_ticket *lock)
{
    uint32_t mine = ars_atomic_u32_add_relaxed(&lock->next, 1), before;
    unsigned round = 0;
    /* Acquire: pairs with the release in ars_ticket_unlock() of the holder before. */
    while ((before = mine - ars_atomic_u32_load_acquire(&lock->serving)) != 0) {
        /* Bounded: a holder is gone after so few instructions that more would only add delay. */
        uint32_t pauses = (before < 16 ? before : 16) * 8;
        while (pauses-- > 0) ars_spin_wait(round++);
    }
}

/*
 * ars_ticket_unlock() gives the lock to who has waited longest.
 *
 * Suspends: no.  Allocates: no.  Callable from: whoever holds the lock.
 */
ARS_INLINE void ars_ticket_unlock(ars_ticket *lock)
{
    uint32_t mine = ars_atomic_u32_load_relaxed(&lock->serving);
    /* Release: pairs with the acquire of the holder that comes next. */
    ars_atomic_u32_store_release(&lock->serving, mine + 1);
}

ARS_END_DECLS

#endif
