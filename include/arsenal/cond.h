/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_COND_H
#define ARSENAL_COND_H

#include <arsenal/mutex.h>

ARS_BEGIN_DECLS

/*
 * A condition is where those who hold a mutex wait until what the mutex guards
 * has changed.  All-zero is one that nobody waits for.
 *
 *     int rc = ars_mutex_lock(&mutex, ARS_FOREVER);
 *     while (rc == 0 && !ready) rc = ars_cond_wait(&changed, &mutex, deadline);
 *
 * A wait ends by a signal only: there are no spurious wake-ups.  But others may
 * have taken the mutex in between, so the state is to be looked at again.
 */
typedef struct ars_cond {
    uint32_t ars__pad;
    uint32_t ars__word;
    uint64_t ars__state[2];
} ars_cond;

/*
 * ars_cond_wait() unlocks 'mutex', waits for a signal until 'deadline', and
 * locks the mutex again.  Unlocking and beginning to wait is one step: no
 * signal is lost in between.
 *
 * It always returns holding the mutex, whatever it returns, even if that takes
 * longer than the deadline or the task is cancelled meanwhile.  Only with
 * ARS_EPERM the caller did not hold it, and does not.
 *
 * Returns 0 after a signal, or
 *   ARS_ETIMEDOUT  the deadline passed; with deadline 0 at once, and the mutex
 *                  was not unlocked in between
 *   ARS_ECANCELED  the task is cancelled; if before the call, the mutex was not
 *                  unlocked in between; never with deadline 0
 *   ARS_EPERM      the mutex is not locked, in debug builds also: not by the
 *                  caller
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_cond_wait(ars_cond *cond, ars_mutex *mutex, ars_time deadline);

/*
 * ars_cond_signal() ends the wait that has lasted longest, if anybody waits.
 * Whether the caller holds the mutex does not matter, as long as it has changed
 * the state under it.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API void ars_cond_signal(ars_cond *cond);

/*
 * ars_cond_broadcast() ends all waits.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API void ars_cond_broadcast(ars_cond *cond);

ARS_END_DECLS

#endif
