/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SEM_H
#define ARSENAL_SEM_H

#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * A semaphore holds a number of units; taking one waits until there is one.
 * Anybody may put units in, also who never took any.  All-zero holds none.
 *
 *     static ars_sem connections = ARS_SEM_INIT(10);
 *
 * Those who wait are served in the order they came, before anybody else: a unit
 * that is put in goes to the first of them directly.
 *
 * What was done before a release happens before what follows the acquire that
 * takes the unit.
 */
typedef struct ars_sem {
    uint32_t ars__pad;
    uint32_t ars__word;
    uint64_t ars__state[2];
} ars_sem;

/* How many units it can hold. */
#define ARS_SEM_MAX ((uint32_t)0x3fffffff)

/* 'units' <= ARS_SEM_MAX. */
/* clang-format off */
#define ARS_SEM_INIT(units) {0, (uint32_t)(units) << 2, {0, 0}}
/* clang-format on */

/*
 * ars_sem_acquire() takes one unit, waiting for it until 'deadline'.
 *
 * Returns 0 with the unit, or without it
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 tries once)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_sem_acquire(ars_sem *sem, ars_time deadline);

/*
 * ars_sem_release() puts 'n' units in.
 *
 * Returns 0, or ARS_EOVERFLOW if it cannot hold so many, and nothing has
 * changed.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_sem_release(ars_sem *sem, uint32_t n);

/* The case of a select that takes a unit of the ars_sem 'sem'. */
#define ARS_SEM(sem) ars_case_make(ARS__CASE_SEM, (sem), 0)

ARS_END_DECLS

#endif
