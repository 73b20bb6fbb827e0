/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_BLOCK_H
#define ARSENAL_BLOCK_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * Work that blocks a thread, such as reading a file or a call of a library that
 * knows nothing of tasks, is done by threads of its own, so that the workers go
 * on.  The task that asks for it waits for it as for anything else.
 *
 *     struct look_up { const char *name; int result; ... } l = {"example.org"};
 *     int rc = ars_block_in(ARS_BLOCK_DNS, look_up, &l, NULL, ARS_FOREVER);
 *
 * The threads belong to the runtime.  They are started when they are wanted,
 * up to a limit for each class of work, and end when they have had nothing to
 * do for some seconds.  Work beyond the limit waits its turn, in order; one
 * class never waits for another.
 *
 * A function that runs cannot be stopped.  A task that is cancelled, or whose
 * deadline passes, can leave it behind only if nothing that it uses is the
 * task's: that is what 'drop' says.
 *
 *   drop NULL   'arg' stays the caller's, and may lie on its stack.  Work that
 *               has not begun is withdrawn, and never runs; once it has begun
 *               the call waits for its end, and returns 0.
 *   drop given  'arg' belongs to the pool from the call on and must not point
 *               into the task's stack.  If the call returns 0 it is the
 *               caller's again; if not, drop(arg) frees it: once, by this task
 *               instead of the work or by another thread after it.
 *
 * All asynchronous signals are blocked while 'fn' runs.  It must return, and
 * may use channels, locks and all else that plain threads may.
 */

/* What may be slow together.  ars_config sets the limits. */
enum ars_block_class {
    ARS_BLOCK_DEFAULT = 0, /* at most 64 at a time */
    ARS_BLOCK_DNS = 1,     /* 16 */
    ARS_BLOCK_FILE = 2     /* 32 */
};

/*
 * ars_block() runs fn(arg) on a thread of class ARS_BLOCK_DEFAULT and waits for
 * its end until 'deadline'; ars_block_in() on one of 'cls'.  On a plain
 * thread 'fn' runs in place.
 *
 * Returns 0 once 'fn' has run; or an error, and then 'arg' is handled as above
 * and 'fn', without 'drop', has not run and never will:
 *
 *   ARS_ETIMEDOUT  the deadline passed; if it had passed before the call, or is
 *                  0, 'fn' never runs
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *   ARS_ENOMEM     no memory, or ARS_EAGAIN, no thread, and none of the class
 *                  that could do it later; 'fn' never runs
 *   ARS_EINVAL     'fn' is NULL or there is no such class
 *
 * What was done before the call happens before 'fn', and what that did before
 * what follows the call.
 *
 * ars_run() waits, within its grace, for work that has been left behind.
 *
 * Suspends: yes.  Allocates: from the runtime, with 'drop' or to start a thread.
 * Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_block(void (*fn)(void *arg), void *arg, void (*drop)(void *arg),
                                   ars_time deadline);
ARS_API ARS_MUST_USE int ars_block_in(unsigned cls, void (*fn)(void *arg), void *arg,
                                      void (*drop)(void *arg), ars_time deadline);

ARS_END_DECLS

#endif
