/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_THREAD_MUTEX_H
#define ARSENAL_THREAD_MUTEX_H

/*
 * A mutex of four bytes for plain threads: one atomic instruction to lock and
 * one to unlock while nobody else wants it, both inlined; who has to wait spins
 * for a moment and then sleeps in the kernel.
 *
 * It knows nothing of tasks: a task that waits for it holds up its worker and
 * all tasks there, is not cancelled, and must not park while it holds it.  What
 * tasks share is guarded by <arsenal/mutex.h>, which threads may use too.
 *
 *     static ars_thread_mutex mutex;
 *     int rc = ars_thread_mutex_lock(&mutex, ARS_FOREVER);
 *     if (rc < 0) return rc;
 *     ...
 *     ars_thread_mutex_unlock(&mutex);
 *
 * Whoever comes while it is free gets it, also ahead of those who sleep.
 *
 * Protocol: the word is FREE, HELD, or SLEPT: held, and somebody may sleep.  A
 * waiter puts SLEPT there by an exchange before it sleeps, and sleeps only if it
 * still is; it holds the mutex if the exchange found FREE, and then keeps SLEPT,
 * for there may be other sleepers.  An unlock puts FREE there by an exchange and
 * wakes one if it found SLEPT.  So who sleeps has a SLEPT that a later unlock
 * finds.  (Source: U. Drepper, Futexes Are Tricky, 2011, mutex 2.)
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/* The field is private.  All-zero is unlocked.  There is nothing to free. */
typedef struct ars_thread_mutex {
    ars_atomic_u32 word;
} ars_thread_mutex;

enum { ARS__THREAD_MUTEX_FREE, ARS__THREAD_MUTEX_HELD, ARS__THREAD_MUTEX_SLEPT };

/*
 * What is left of lock and unlock, which they call: the mutex was not free, and
 * not just held, but 'was'.
 */
ARS_API ARS_MUST_USE int ars_thread_mutex_lock_slow(ars_thread_mutex *mutex, ars_time deadline);
ARS_API int ars_thread_mutex_unlock_slow(ars_thread_mutex *mutex, uint32_t was);

/*
 * ars_thread_mutex_lock() locks the mutex, waiting for it until 'deadline'.
 *
 * Returns 0 when the caller holds it, or ARS_ETIMEDOUT: it does not (a deadline
 * of 0 tries once).  A caller that holds it already waits for itself.
 *
 * Suspends: no; it blocks the thread.  Allocates: no.  Callable from: thread.
 */
ARS_INLINE ARS_MUST_USE int ars_thread_mutex_lock(ars_thread_mutex *mutex, ars_time deadline)
{
    uint32_t word = ARS__THREAD_MUTEX_FREE;
    /* Acquire: pairs with the release of the unlock before. */
    if (ars_atomic_u32_cas_acquire(&mutex->word, &word, ARS__THREAD_MUTEX_HELD)) return 0;
    return ars_thread_mutex_lock_slow(mutex, deadline);
}

/*
 * ars_thread_mutex_unlock() unlocks the mutex and wakes one who sleeps.
 *
 * Returns 0, or ARS_EPERM if it was not locked; nothing has changed then.  The
 * mutex may be freed as soon as somebody else has locked it since.
 *
 * Suspends: no.  Allocates: no.  Callable from: the thread that locked it.
 */
ARS_INLINE int ars_thread_mutex_unlock(ars_thread_mutex *mutex)
{
    /* Release: pairs with the acquire of the next lock. */
    uint32_t was = ars_atomic_u32_swap_release(&mutex->word, ARS__THREAD_MUTEX_FREE);
    return was == ARS__THREAD_MUTEX_HELD ? 0 : ars_thread_mutex_unlock_slow(mutex, was);
}

ARS_END_DECLS

#endif
