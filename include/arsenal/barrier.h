/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_BARRIER_H
#define ARSENAL_BARRIER_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * A barrier lets its parties go on only together: each waits until the last has
 * come.  Then it begins anew, for the next round.
 *
 *     static ars_barrier phase = ARS_BARRIER_INIT(4);
 *
 * A party whose wait ends by deadline or cancel has not come: the round is as if
 * it had never called, the others go on waiting, and it may come again.
 *
 * What each party did before it came happens before what all of them do after.
 *
 * The barrier may be freed when all waits for it have returned.
 */
typedef struct ars_barrier {
    uint32_t ars__parties;
    uint32_t ars__word;
    uint64_t ars__state[2];
} ars_barrier;

/* 0 < 'parties' < 2^30; all-zero is not a valid barrier. */
/* clang-format off */
#define ARS_BARRIER_INIT(parties) {(uint32_t)(parties), 0, {0, 0}}
/* clang-format on */

/*
 * ars_barrier_wait() waits for the other parties until 'deadline'.
 *
 * Returns 1 to the last one to come, 0 to the others, or
 *   ARS_ETIMEDOUT  the deadline passed; with deadline 0: the caller would not
 *                  have been the last
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *   ARS_EINVAL     the number of parties is not valid
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_barrier_wait(ars_barrier *barrier, ars_time deadline);

ARS_END_DECLS

#endif
