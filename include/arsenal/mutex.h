/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_MUTEX_H
#define ARSENAL_MUTEX_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * A mutex admits one task or thread at a time.  A task that has to wait parks,
 * and its worker goes on with others; a plain thread blocks.  All-zero is
 * unlocked.  There is nothing to free.
 *
 *     static ars_mutex mutex;
 *     int rc = ars_mutex_lock(&mutex, ARS_FOREVER);
 *     if (rc < 0) return rc;
 *     ...
 *     ars_mutex_unlock(&mutex);
 *
 * Whoever comes while the mutex is free gets it, also ahead of those who wait:
 * this keeps it busy.  The first of those who wait is woken to try again, and
 * once it has waited for more than a millisecond the mutex is handed to it
 * directly, so nobody starves.
 *
 * It may be held over a wait of any kind.  A task may move to another worker
 * while it holds it.  Who unlocks it must be who locked it.
 *
 * What was done before an unlock happens before what follows the next lock.
 *
 * Debug builds check that the owner unlocks, that nobody locks twice, and the
 * order of locks; and they report a task that ends or is abandoned while it
 * holds one.
 */
typedef struct ars_mutex {
    /*
     * 0, or the place in the order of locks: who holds a lock of some rank may
     * lock only those of higher rank.  Checked in debug builds.
     */
    uint32_t rank;
    uint32_t ars__word;
    uint64_t ars__state[7];
} ars_mutex;

/* clang-format off */
#define ARS_MUTEX_RANK(rank) {(rank), 0, {0, 0, 0, 0, 0, 0, 0}}
/* clang-format on */

/*
 * ars_mutex_lock() locks the mutex, waiting for it until 'deadline'.
 *
 * Returns 0 when the caller holds it.  After any error it does not:
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 tries once)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *   ARS_EDEADLK    in debug builds: the caller holds it already, or holds a lock
 *                  of the same or a higher rank (this is also reported).  In
 *                  others a caller that holds it waits for itself.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_mutex_lock(ars_mutex *mutex, ars_time deadline);

/*
 * ars_mutex_unlock() unlocks the mutex and wakes who waits for it.
 *
 * Returns 0, or ARS_EPERM if it is not locked, in debug builds also if
 * somebody else holds it; nothing has changed then.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_mutex_unlock(ars_mutex *mutex);

ARS_END_DECLS

#endif
