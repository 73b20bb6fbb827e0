/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_EVENTCOUNT_H
#define ARSENAL_EVENTCOUNT_H

/*
 * An eventcount lets a thread sleep until a condition holds that lock-free code
 * makes true, without a lock around that code:
 *
 *     for (;;) {                                      the other side:
 *         if (condition) break;                           make the condition true
 *         uint32_t key = ars_eventcount_prepare(&ec);     ars_eventcount_notify(&ec, 1);
 *         if (condition) {
 *             ars_eventcount_cancel(&ec);
 *             break;
 *         }
 *         ars_eventcount_wait(&ec, key, deadline);
 *     }
 *
 * Notifying costs one read-modify-write while nobody sleeps.
 *
 * It blocks the thread: tasks wait for an event or a channel instead.
 *
 * Invariant: 'waiters' is how many are between prepare and the end of wait or
 * cancel.  'epoch' changes with every notification that finds a waiter.
 *
 * No wake is lost: both sides read-modify-write 'waiters', so one comes first.
 * If it is the notifier's, the waiter's prepare reads what it wrote, acquires,
 * and its second look at the condition finds it true.  If it is the waiter's,
 * the notifier finds a waiter and changes 'epoch'.  The waiter's key is either
 * from before, then the wait sees another epoch and does not sleep, or is woken;
 * or from after, then it acquired the change and again finds the condition true.
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is an eventcount that nobody waits for. */
typedef struct ars_eventcount {
    ars_atomic_u32 epoch; /* the word to sleep on */
    ars_atomic_u32 waiters;
} ars_eventcount;

/*
 * ars_eventcount_prepare() says that the caller may be about to wait.  Look at
 * the condition after it, then call ars_eventcount_cancel() or
 * ars_eventcount_wait().
 *
 * Returns the key for ars_eventcount_wait().
 *
 * Suspends: no.  Allocates: no.  Callable from: thread.
 */
ARS_INLINE uint32_t ars_eventcount_prepare(ars_eventcount *ec)
{
    /* Acquire: pairs with the release in ars_eventcount_announce(), of a notifier that came before. */
    ars_atomic_u32_add_acquire(&ec->waiters, 1);
    /* Acquire: pairs with the change of the epoch there. */
    return ars_atomic_u32_load_acquire(&ec->epoch);
}

/*
 * ars_eventcount_cancel() ends what ars_eventcount_prepare() began.
 *
 * Suspends: no.  Allocates: no.  Callable from: thread.
 */
ARS_INLINE void ars_eventcount_cancel(ars_eventcount *ec)
{
    /* Relaxed: being counted too long only costs a notifier a system call. */
    ars_atomic_u32_add_relaxed(&ec->waiters, (uint32_t)-1);
}

/*
 * ars_eventcount_wait() sleeps until there was a notification after the
 * prepare that gave 'key', or until 'deadline'.  The preparation has ended in
 * either case.  That there was a notification does not mean that the condition
 * holds: somebody else may have been faster.
 *
 * Returns 0, or ARS_ETIMEDOUT.
 *
 * Suspends: the thread.  Allocates: no.  Callable from: thread.
 */
ARS_API int ars_eventcount_wait(ars_eventcount *ec, uint32_t key, ars_time deadline);

/*
 * ars_eventcount_announce() is the first half of a notification, without the
 * system call: it makes those who have prepared not sleep any more.
 *
 * Returns 1 if there may be sleepers, and ars_eventcount_wake() is to be
 * called; else 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_eventcount_announce(ars_eventcount *ec)
{
    /*
     * It adds nothing: a read-modify-write comes before or after that of the
     * prepare; a load might not.  Release: pairs with the acquire there.
     */
    if (ars_atomic_u32_add_release(&ec->waiters, 0) == 0) return 0;
    /* Release: pairs with the load of the epoch in ars_eventcount_prepare(). */
    ars_atomic_u32_add_release(&ec->epoch, 1);
    return 1;
}

/*
 * ars_eventcount_wake() is the second half: it wakes at most 'n' sleepers.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_eventcount_wake(ars_eventcount *ec, unsigned n);

/*
 * ars_eventcount_notify() wakes at most 'n' of those who sleep, and makes all
 * who have prepared look again.  What the caller did before has happened for
 * them.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_eventcount_notify(ars_eventcount *ec, unsigned n)
{
    if (ars_eventcount_announce(ec)) ars_eventcount_wake(ec, n);
}

ARS_END_DECLS

#endif
