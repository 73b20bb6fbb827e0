/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_ONCE_H
#define ARSENAL_ONCE_H

#include <arsenal/task.h>

ARS_BEGIN_DECLS

/*
 * A once has something done exactly once, by whoever asks for it first, while
 * the others wait.  All-zero: not done yet.
 *
 *     static ars_once once;
 *     int rc = ars_once_do(&once, load_tables, NULL, ARS_FOREVER);
 */
typedef struct ars_once {
    uint32_t ars__pad;
    uint32_t ars__word;
    uint64_t ars__state[3];
} ars_once;

/*
 * ars_once_do() makes sure that a function has succeeded: if none has yet, it
 * runs fn(arg) itself, or waits until 'deadline' for the one that is running.
 *
 * A function succeeds with a result >= 0.  If it fails, whoever ran it gets its
 * error, and the longest waiter runs its own function next.  'deadline' limits
 * the waiting for others only, not 'fn'.
 *
 * Returns 0 when it has been done, and then what was done happens before the
 * return.  This is no cancellation point once it has been done.  Else
 *   an error of 'fn'
 *   ARS_ETIMEDOUT  another's function still ran at the deadline (0: does not
 *                  wait for it)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *   ARS_EDEADLK    called from the function that is running
 *   ARS_EINVAL     'fn' is NULL
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_once_do(ars_once *once, ars_fn *fn, void *arg, ars_time deadline);

ARS_END_DECLS

#endif
