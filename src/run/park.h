/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_PARK_H
#define ARS_RUN_PARK_H

/*
 * How anything waits: this is all that a layer above the scheduler uses of it.
 *
 * A call that may wait goes like this, and ends in a tail call wherever it can:
 *
 *     ars__task *self = ars__task_self();           NULL on a plain thread
 *     int rc = ars__wait_enter(self, deadline);     budget, cancellation
 *     if (rc < 0) return rc;
 *     ... try; done? return ...
 *     if (deadline == 0) return ARS_ETIMEDOUT;
 *     ... put self where the waker finds it ...
 *     return ars__park(self, &wait_class, object, deadline);
 *
 * The waker takes the task out of where it was put and calls ars__ready() with
 * the value that the parked call returns.  The waker writes; the woken call
 * has nothing left to do.
 *
 * When the deadline of the wait passes, or the task is cancelled, the task's
 * own worker calls the class's interrupt(task, why) once, with ARS_ETIMEDOUT
 * (the wait's own deadline) or ARS_ECANCELED (anything else).  It either takes
 * the task out of where it waits and calls ars__ready(task, why), or asks for
 * the end of what is waited for and lets that make it ready.  A completed
 * operation beats cancel and deadline, because then the task is ready already
 * and interrupt() is not called.
 */

#include <arsenal/atomic.h>
#include <arsenal/task.h>

#include "run/poller.h"

typedef struct ars__task ars__task;
typedef struct ars__worker ars__worker;

typedef struct ars__wait_class {
    const char *what; /* for reports: "sleep", "read" ... */
    void (*interrupt)(ars__task *task, int why);
} ars__wait_class;

/* The running task, NULL on a plain thread. */
ars__task *ars__task_self(void);
/* Its worker.  A task never changes it once it has run, unless it migrates. */
ars__worker *ars__task_worker(const ars__task *task);
int ars__task_migrates(const ars__task *task);
/* The running task goes on with something else, and that counts as a switch to another task: now and then it yields. */
void ars__task_next_slice(ars__task *self);
/* Ends what the running task has left open, as its own end would: scopes, groups that it has not waited for. */
void ars__task_tidy(ars__task *self);
/* Whether it may have another one after a park: ARS_TASK_MIGRATES. */
int ars__task_moves(const ars__task *task);
/* Its worker's poller, or NULL. */
ars__poller *ars__task_poller(const ars__task *task);
/* What it was parked with. */
void *ars__task_object(const ars__task *task);

/*
 * To be called at the entry of every call that may wait, with its deadline.
 * Spends one unit of the slice's budget and yields first when there is none
 * left.  0, or ARS_ECANCELED (never with deadline 0).
 */
#define ars__wait_enter(self, deadline)                                                            \
    ars__wait_enter_at((self), (deadline), __builtin_dwarf_cfa())
int ars__wait_enter_at(ars__task *self, ars_time deadline, const void *frame);

/*
 * For calls on what is at home with 'poller': the running task, if that is its
 * worker's poller and ars__wait_enter() has nothing to look at but the budget,
 * of which a unit is then spent.  Else NULL, and nothing has happened.
 */
ars__task *ars__wait_enter_home(const ars__poller *poller);

/* Spends so many units more, for a call that took as long as as many others: at the most what is left. */
void ars__task_spend(ars__task *self, size_t units);

/*
 * Suspends the running task; returns the value given to ars__ready().  To be
 * called from the public function itself: its caller is the place that reports
 * show.
 */
#define ars__park(self, wait, object, deadline)                                                    \
    ars__park_at((self), (wait), (object), (deadline), __builtin_return_address(0))
int ars__park_at(ars__task *self, const ars__wait_class *wait, void *object, ars_time deadline,
                 const void *place);

/* Makes a parked task run again; from its own worker only.  Its parked call returns 'result'. */
void ars__ready(ars__task *task, int32_t result);

/*
 * The same from any worker or thread.  The task may not even have parked yet:
 * its worker looks only after it has.  'how' says who goes first.
 */
enum ars__how {
    ARS__WAKE_NEXT, /* right after the running task, on the rest of its budget: who got a value */
    ARS__WAKE_TAIL  /* behind all that are ready: who got rid of one, and selects */
};
void ars__wake(ars__task *task, int32_t result, enum ars__how how);

/* Touches what ars__ready() will, ahead of time. */
void ars__ready_prefetch(const ars__task *task);

/* ---- for the I/O layer ---- */

/* The worker's poller, NULL before the first I/O call; installed once. */
ars__poller *ars__worker_poller(const ars__worker *worker);
void ars__worker_set_poller(ars__worker *worker, ars__poller *poller);
/* The clock, as it read it last. */
ars_time ars__worker_time(const ars__worker *worker);
/* Its number, counted from 1. */
unsigned ars__worker_number(const ars__worker *worker);
/* The runtime's allocator and chosen backend. */
const ars_alloc *ars__worker_alloc(const ars__worker *worker);
unsigned ars__worker_backend(const ars__worker *worker);
/* A place for what the layer above shares between the workers of a runtime; NULL at first. */
ars_atomic_ptr *ars__worker_shared(const ars__worker *worker);
/* Has it look around, if it sleeps: its poller's turn comes soon.  Any thread of its runtime. */
void ars__worker_wake(ars__worker *worker);
/* One line to the runtime's report callback. */
void ars__worker_report(ars__worker *worker, const char *format, ...) ARS_PRINTF(2, 3);

#endif
