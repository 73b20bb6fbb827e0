/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_THREAD_ONCE_H
#define ARSENAL_THREAD_ONCE_H

/*
 * A once of four bytes for plain threads: something is done by whoever asks for
 * it first, while the others sleep; afterwards asking is one load, inlined.
 *
 * It knows nothing of tasks: a task that waits for it holds up its worker and
 * all tasks there, and what is done must not park.  <arsenal/once.h> is for
 * tasks, and for threads too.
 *
 *     static ars_thread_once once;
 *     int rc = ars_thread_once_do(&once, load_tables, NULL, ARS_FOREVER);
 *
 * Protocol: the word is NEW, RUNNING, SLEPT (running, and somebody may sleep) or
 * DONE.  Who changes NEW to RUNNING runs the function, and puts DONE or, if it
 * failed, NEW there by an exchange; if that finds SLEPT it wakes all.  A waiter
 * changes RUNNING to SLEPT before it sleeps, and sleeps only while it is SLEPT.
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/* The field is private.  All-zero: not done yet.  There is nothing to free. */
typedef struct ars_thread_once {
    ars_atomic_u32 word;
} ars_thread_once;

enum {
    ARS__THREAD_ONCE_NEW,
    ARS__THREAD_ONCE_RUNNING,
    ARS__THREAD_ONCE_SLEPT,
    ARS__THREAD_ONCE_DONE
};

/* What is left of ars_thread_once_do(), which calls it: it was not done. */
ARS_API ARS_MUST_USE int ars_thread_once_slow(ars_thread_once *once, int (*fn)(void *arg),
                                              void *arg, ars_time deadline);

/*
 * ars_thread_once_do() makes sure that a function has succeeded: if none has
 * yet, it runs fn(arg) itself, or waits until 'deadline' for the one that runs.
 *
 * A function succeeds with a result >= 0.  If it fails, whoever ran it gets its
 * error, and one of those who wait runs its own next.  'deadline' limits the
 * waiting for others only, not 'fn'.
 *
 * Returns 0 when it has been done, and then what was done happens before the
 * return.  Else
 *   an error of 'fn'
 *   ARS_ETIMEDOUT  another's function still ran at the deadline (0: does not
 *                  wait for it)
 *   ARS_EINVAL     'fn' is NULL
 * Called from the function that is running it waits for itself.
 *
 * Suspends: no; it blocks the thread.  Allocates: no.  Callable from: thread.
 */
ARS_INLINE ARS_MUST_USE int ars_thread_once_do(ars_thread_once *once, int (*fn)(void *arg),
                                               void *arg, ars_time deadline)
{
    /* Acquire: pairs with the release of who has done it. */
    if (fn && ars_atomic_u32_load_acquire(&once->word) == ARS__THREAD_ONCE_DONE) return 0;
    return ars_thread_once_slow(once, fn, arg, deadline);
}

ARS_END_DECLS

#endif
