/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TASK_H
#define ARSENAL_TASK_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * A task is a function that runs concurrently with others: it has its own
 * stack and waits by suspending, so that its worker thread goes on with
 * another task.  Tasks are written straight down, with loops and local
 * variables, as if each had a thread.
 *
 * A task belongs to a group (<arsenal/group.h>), which waits for it.  It stays
 * on the worker where it first ran (but see ARS_TASK_MIGRATES).  It has 64 KiB
 * of stack, or what it is started with; an overflow faults (see
 * ars_overflow_install() in <arsenal/coro.h>).  Only pages that were touched
 * take memory, whatever the size.
 *
 * A task can be cancelled, through its group or by the deadline of a scope
 * (<arsenal/scope.h>).  From then on every call that may wait gives
 * ARS_ECANCELED, again and again, until the task has returned.
 */

/* What a task runs.  The result is >= 0, or a negative error, and goes to the group. */
typedef int ars_fn(void *arg);

/* Flags of a task. */
enum ars_task_flags {
    ARS_TASK_FPENV = 1, /* own floating-point control words (rounding, exceptions) */
    ARS_TASK_CXX = 2,   /* may wait inside a C++ catch block */
    /*
     * May go on on another worker after any wait.  Then nothing that belongs
     * to a thread may be kept across a wait: errno, thread-local variables,
     * locks of the C library, connections of a worker.
     */
    ARS_TASK_MIGRATES = 4
};

/* The smallest and the largest size that a task's stack can be asked for in, in bytes. */
enum { ARS_STACK_MIN = 4096, ARS_STACK_MAX = 8 * 1024 * 1024 };

/* How a task is started; all-zero is the default. */
typedef struct ars_task_opt {
    const char *name; /* for reports; must outlive the task; NULL: unnamed */
    int *result;    /* receives the function's result before the group learns of it; may be NULL */
    unsigned flags; /* ARS_TASK_... */
    unsigned home;  /* the worker that runs it, counted from 1; 0: any */
    /*
     * Bytes of stack, ARS_STACK_MIN to ARS_STACK_MAX, or 0 for 64 KiB.  It gets
     * the next of 16, 64, 256 KiB, 1 and 8 MiB, of which the runtime keeps at
     * most 1 KiB to itself.  What a task needs is a question for
     * ars_stats_stacks() in <arsenal/run.h>.  64 KiB start fastest: each worker
     * has its own; the others are shared.  16 KiB save address space, not
     * memory, unless memory is locked.
     */
    size_t stack;
    uint64_t ars__reserved[3]; /* zero */
} ars_task_opt;

/*
 * ars_yield() lets every other task that is ready run first.
 *
 * Returns 0, or ARS_ECANCELED if the task is cancelled; it has yielded all the
 * same.  On a plain thread it yields the CPU.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_yield(void);

/*
 * ars_sleep() waits until 'deadline' and wakes late rather than early.
 *
 * Returns 0 at the deadline, so also at once for 0 and for one that has
 * passed, or ARS_ECANCELED when the task is cancelled before; with deadline 0
 * it never gives that.  ARS_FOREVER waits for the cancel.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_sleep(ars_time deadline);

/*
 * ars_cancel_reason() tells why the calling task is cancelled: the reason
 * given to ars_group_cancel(), the error of the sibling that failed,
 * ARS_ETIMEDOUT for a deadline, or 0 if it is not cancelled, if it is
 * shielded, and on a plain thread.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_cancel_reason(void);

/*
 * ars_task_name() is the name that the calling task was started with, or NULL.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API const char *ars_task_name(void);

ARS_END_DECLS

#endif
