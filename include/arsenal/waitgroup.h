/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_WAITGROUP_H
#define ARSENAL_WAITGROUP_H

#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * A wait group counts what is still to be done, and lets others wait until
 * nothing is.  All-zero counts 0.  Unlike a group (<arsenal/group.h>) it starts
 * and cancels nothing: it is for work that is not one task each.
 *
 * It can be used again once it has come to 0: add for the next round before
 * anybody waits for that round.
 *
 * What was done before a decrement happens before what follows a wait that this
 * ends.
 */
typedef struct ars_waitgroup {
    uint32_t ars__pad;
    uint32_t ars__word;
    uint64_t ars__state[2];
} ars_waitgroup;

/*
 * ars_waitgroup_add() adds 'n', which may be negative, and ends all waits if
 * that leaves 0.
 *
 * Returns 0, or, and nothing has changed,
 *   ARS_EINVAL     the counter would be negative
 *   ARS_EOVERFLOW  the counter would be 2^30 or more
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_waitgroup_add(ars_waitgroup *group, int n);

/*
 * ars_waitgroup_done() is ars_waitgroup_add(group, -1).
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_waitgroup_done(ars_waitgroup *group);

/*
 * ars_waitgroup_wait() waits until the counter is 0, until 'deadline'.
 *
 * Returns 0, or
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 only looks)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_waitgroup_wait(ars_waitgroup *group, ars_time deadline);

/* The case of a select that waits until the ars_waitgroup 'group' counts 0. */
#define ARS_WAITGROUP(group) ars_case_make(ARS__CASE_WAITGROUP, (group), 0)

ARS_END_DECLS

#endif
