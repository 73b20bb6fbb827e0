/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_GROUP_H
#define ARSENAL_GROUP_H

#include <arsenal/task.h>

ARS_BEGIN_DECLS

/*
 * A group is what tasks are started in and what waits for them.  No task
 * outlives its group's wait, so children may use what lies on the stack of the
 * function that waits.
 *
 *     ars_group group;
 *     ars_group_init(&group, NULL, ARS_FAIL_FAST);
 *     ars_group_go(&group, fetch, &left, NULL);
 *     ars_group_go(&group, fetch, &right, NULL);
 *     int rc = ars_group_wait(&group, ars_after(2 * ARS_SECOND));
 *
 * Groups form a tree: a group is cancelled with the task that initialised it,
 * and its children inherit the deadline of the scope in force there.  A group
 * initialised under a shield stands outside the tree above it and inherits
 * only the shield's deadline.
 *
 * The handle is a value on the stack or in a static; the state behind it
 * belongs to the runtime and is gone when the wait has returned.
 */
typedef struct ars_group {
    uint64_t ars__state[2]; /* private; all-zero: ended */
} ars_group;

typedef struct ars_runtime ars_runtime;

/* Bytes of arguments that a task can own. */
#define ARS_ARGS_MAX 128

/* What a child's result does to the group. */
enum ars_group_policy {
    ARS_FAIL_FAST = 0, /* the first error cancels the others and is the result */
    ARS_COLLECT = 1,   /* nobody is cancelled; the first error is the result */
    ARS_RACE = 2       /* the first result >= 0 wins: it cancels the others and is the result */
};

/*
 * ars_group_init() makes '*group' an empty group of the runtime 'rt' (NULL:
 * the caller's) with one of the policies above.
 *
 * Returns 0, or
 *   ARS_EINVAL  unknown policy, or 'rt' NULL on a thread that is not a worker
 *   ARS_ENOMEM  no memory for the state
 * and then '*group' is untouched.
 *
 * A task that ends with groups it has not waited for has them cancelled and
 * waited for before it counts as ended; debug builds report that.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task, thread.
 */
ARS_API int ars_group_init(ars_group *group, ars_runtime *rt, unsigned policy);

/*
 * ars_group_go() starts a task in the group: fn(arg), with the options of
 * '*opt' (NULL: none).  The options are copied; what 'arg' points to must live
 * until the task ends.  Without a group ('group' NULL) the task belongs to the
 * runtime: it inherits nothing, its errors are dropped, and it is cancelled
 * when the root function returns.
 *
 * Returns 0, and then 'fn' is sure to run, even if the group is cancelled: it
 * then finds itself cancelled.  Else the task was not started:
 *   ARS_EINVAL  the group has ended, or an option is unknown, or 'group' is
 *               NULL outside of a task
 *   ARS_ENOMEM  no memory, or no address space for one more stack; for the
 *               group this counts as a child that ended with that error
 *
 * The group must not be able to end meanwhile: callable by the task that
 * initialised it, by a living child of it, and by a thread that knows it to be
 * alive.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task, thread.
 */
ARS_API int ars_group_go(ars_group *group, ars_fn *fn, void *arg, const ars_task_opt *opt);

/*
 * ars_group_go_copy() is ars_group_go() with arguments that the task owns: it
 * copies the 'size' bytes at 'args', at most ARS_ARGS_MAX, and 'fn' gets a
 * pointer to the copy, aligned to 16 bytes, which is the task's to change and
 * lives until it ends.  With 'size' 0 nothing is copied, 'args' may be NULL,
 * and the pointer means nothing.
 *
 * This is what ARS_TASK() and go() of <arsenal/short.h> stand on.
 *
 * Returns what ars_group_go() does, and ARS_EINVAL too if 'size' is too large.
 * 'args' is the caller's again on return, whatever it is.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task, thread.
 */
ARS_API int ars_group_go_copy(ars_group *group, ars_fn *fn, const void *args, size_t size,
                              const ars_task_opt *opt);

/*
 * ars_group_wait() waits until every child has ended, then ends the group.  It
 * never returns while a child lives, except with deadline 0.
 *
 * When 'deadline' passes or the caller is cancelled, the children are
 * cancelled and the wait goes on until they have ended.  With deadline 0 it
 * only looks.
 *
 * The first cause decides the result: a child's error (FAIL_FAST), the
 * winner's result (RACE), the reason given to ars_group_cancel(),
 * ARS_ETIMEDOUT for 'deadline', ARS_ECANCELED for a scope's deadline or a
 * cancel from above.  Without a cause it is the first error (COLLECT, and RACE
 * without a winner), else 0.  Besides:
 *   ARS_ETIMEDOUT  with deadline 0: a child still lives, nothing has changed
 *   ARS_EINVAL     the group has ended before, or was never initialised
 *   ARS_EBUSY      somebody else is waiting for it
 *   ARS_EDEADLK    the caller is itself a child of the group, or of a group below it
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_group_wait(ars_group *group, ars_time deadline);

/*
 * ars_group_cancel() cancels every child, present and future, and all groups
 * below.  'reason' (< 0; other values count as ARS_ECANCELED) becomes the
 * group's result, unless it has a cause already.  On a group that has ended it
 * does nothing.  From a thread it takes effect soon.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API void ars_group_cancel(ars_group *group, int reason);

ARS_END_DECLS

#endif
