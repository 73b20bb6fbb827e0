/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_SCHED_H
#define ARS_RUN_SCHED_H

/*
 * The scheduler's own view of tasks, workers and groups.  Private to run/;
 * layers above see park.h only.
 *
 * Everything here belongs to one worker thread, except where a field says
 * otherwise: other threads reach a worker through its inbox alone.
 *
 * A task is new (in worker->fresh, without a stack), ready (in worker->ready),
 * running (worker->current) or parked ('wait' is set).  A switch goes directly
 * from the task that parks to the next one; there is no scheduler task.
 */

#include <arsenal/run.h>
#include <arsenal/scope.h>

#include "base/assert.h"
#include "base/san.h"
#include "coro/ctx.h"
#include "coro/stack.h"
#include "data/list.h"
#include "data/wheel.h"
#include "mem/slab.h"
#include "run/park.h"
#include "sync/inbox.h"

typedef struct ars__group ars__group;
typedef struct ars__scope ars__scope;
typedef struct ars__message ars__message;

/* ---- tasks ---- */

/* ctx.flags: a switch that involves a task with any of these takes the slow path. */
enum {
    ARS__NEW = 1u << 0,   /* has no stack yet */
    ARS__FPENV = 1u << 1, /* ARS_TASK_FPENV */
    ARS__CXX = 1u << 2,   /* ARS_TASK_CXX */
    ARS__LENT = 1u << 3   /* runs on the stack of the thread that called ars_run() */
};

struct ars__message {
    ars__inbox_node node;
    void (*deliver)(ars__worker *worker, ars__message *message);
};

/* At most 256 bytes beside the stack. */
struct ars__task {
    ars__ctx ctx; /* all that a switch touches */

    const ars__wait_class *wait; /* what it waits for; NULL: not parked */
    void *object;
    ars__worker *worker;
    ars__group *group;     /* never NULL */
    ars_time scope_limit;  /* the deadline that scopes put on every wait */
    ars__scope *outermost; /* scopes in force */
    ars__scope *innermost;
    uint32_t shields;     /* how many of them are shields */
    uint32_t interrupted; /* the wait's interrupt() has been called */

    union {
        struct {                 /* until it runs */
            ars__message posted; /* on its way from another thread */
            ars_fn *fn;
            void *arg;
            const char *name;
            int *result;
        } fresh;
        struct {               /* since then */
            ars_time deadline; /* the wait's own */
            ars_time
                limit; /* when there is work for the timer: the earlier of that and 'scope_limit' */
            const void *place; /* the return address of the call that parked */
            ars_time since;
            ars__timer
                timer; /* stays armed after a wait: most deadlines are far away and move further */
        } parked;
    } u;
    ars__list siblings; /* in worker->fresh; in group->tasks from the first park on */
    ars__list groups;   /* groups it has initialised and not waited for */
    ars__stack stack;
    struct ars__task *next;        /* in the spill */
    struct ars__task_extra *extra; /* what ARS__FPENV and ARS__CXX keep */
#if ARS__ASAN || ARS__TSAN
    void *fake_stack; /* AddressSanitizer's, while switched out */
    void *fiber;      /* ThreadSanitizer's record of it */
#endif
};

typedef struct ars__task_extra {
    ars__ctx_extra fpenv, cxx;
} ars__task_extra;

#if ARS__ASAN || ARS__TSAN
#define ARS__SAN_FIBERS 1
#else
#define ARS__SAN_FIBERS 0
#endif

/* ---- groups ---- */

struct ars__thread_wait;

struct ars__group {
    ars__worker *worker;
    uint64_t serial;  /* tells a stale handle from a live one; readable when freed; 0: not in use */
    ars__task *owner; /* the task that initialised it; NULL: a thread did */
    uint64_t living;  /* children that have not ended */
    uint32_t policy;
    int32_t cause; /* decides the result, if 'caused' */
    uint32_t caused;
    int32_t first_error; /* of a child; < 0 */
    int32_t reason;      /* < 0: cancelled, and why */
    uint32_t linked;     /* known to the worker */
    ars__task *waiter;
    struct ars__thread_wait *thread_waiter;
    ars_time limit; /* the scope deadline that children inherit */
    ars__group *parent;
    ars__list children; /* groups below */
    ars__list link;     /* in parent->children */
    ars__list tasks;    /* children that have parked */
    ars__list owned;    /* in owner->groups */
    ars__list all;      /* in runtime->groups */
    /* A cancel on its way from another thread. */
    ars__message remote;
    ars_atomic_u32 remote_busy;
    int32_t remote_reason;
};

/* ---- workers and the runtime ---- */

/* worker->sleeping */
enum { ARS__AWAKE = 0, ARS__ON_FUTEX = 1, ARS__IN_POLLER = 2 };

enum {
    ARS__BUDGET = 128, /* waits, satisfied or not, in one slice */
    ARS__TICK = 61 /* switches between two looks at timers, I/O, inbox and the oldest new task */
};

struct ars__worker {
    ars__task *current;
    int32_t budget;
    uint32_t tick;

    /* Ready tasks: a ring that grows; 'spill' takes what a full ring that cannot grow does not. */
    ars__task **ready;
    uint32_t head, tail, mask;
    ars__task *spill_first, *spill_last;

    /* New tasks: the newest runs first, and now and then the oldest. */
    ars__list fresh;
    uint32_t starved; /* a new task found no stack */

    ars_time now; /* the clock, read when the worker looks at its timers */
    ars__poller *poller;
    ars_runtime *runtime;
    uint64_t living; /* tasks, without the root task */
    uint64_t room;   /* stacks that the pool has address space for */
    uint64_t started, switches;
    ars__task *drainer; /* waits for 'living' to become 0 */
    ars__stack_pool *stacks;
    ars__slab_cache tasks;
    ars__slab_cache groups;
    ars__wheel wheel;
    ars__task root;
#if ARS__SAN_FIBERS
    const void *thread_bottom; /* the root task's stack, for AddressSanitizer */
    size_t thread_size;
#endif

    ars__inbox_node *undelivered; /* taken from the inbox, not looked at */

    /* Touched by other threads. */
    ars__inbox inbox;
    ars_atomic_u32 sleeping;
};

struct ars_runtime {
    ars_config config;
    const ars_alloc *alloc;
    ars_time grace;
    ars__slab task_slab;
    ars__slab group_slab;
    ars__list groups; /* all that live */
    ars_atomic_u64 serial;
    ars__group *root_group;        /* of tasks without a group */
    ars__group *main_group;        /* of the root task */
    struct ars_runtime *abandoned; /* the next of those left behind */
    ars__worker worker;
};

/* ---- who am I ---- */

extern _Thread_local ars__worker *ars__worker_tls;

/* At the entry of a call only: its address must not live across a park. */
static inline ars__worker *ars__worker_here(void)
{
    return ars__worker_tls;
}

/* Anywhere. */
ars__worker *ars__worker_self(void);

/* ---- sched.c ---- */

int ars__sched_init(ars__worker *worker);
void ars__sched_deinit(ars__worker *worker);
/* Counts a new task and makes it runnable. */
void ars__sched_start(ars__worker *worker, ars__task *task);
/* A new task that may run on the stack that has just become free, or NULL. */
ars__task *ars__sched_successor(ars__worker *worker);
/* The running task is over: gives back its stack and goes on elsewhere. */
_Noreturn void ars__sched_leave(ars__worker *worker, ars__task *self, ars__stack stack);
int ars__sched_yield(ars__worker *worker, ars__task *self);
/* Calls the interrupt of a parked task, unless that has happened. */
void ars__task_interrupt(ars__task *task, int why);
/* From any thread: delivers the message on the worker, and wakes it. */
void ars__sched_send(ars__worker *worker, ars__message *message);
/* Delivers what has come. */
void ars__sched_drain(ars__worker *worker);

/* ---- task.c ---- */

/* A new task of 'group' that has not started; NULL when there is no memory.  From the worker, or (worker NULL) from any thread. */
ars__task *ars__task_new(ars__worker *worker, ars_runtime *rt, ars__group *group, ars_fn *fn,
                         void *arg, const ars_task_opt *opt);
void ars__task_main(void *task);
/* ars_group_go() with the group's record. */
int ars__task_go(ars__group *group, ars_fn *fn, void *arg, const ars_task_opt *opt);
/* The name a started task was given, or NULL. */
const char *ars__task_name(const ars__task *task);

/* ---- group.c ---- */

ars__group *ars__group_new(ars__worker *worker, ars__task *owner, unsigned policy);
void ars__group_drop(ars__group *group);
/* Makes a group that a thread made known to its worker. */
void ars__group_link(ars__group *group);
void ars__group_cancel_now(ars__group *group, int cause, int reason);
void ars__group_child_ended(ars__group *group, int result);
/* Cancels and waits for the groups that the task has not waited for. */
void ars__task_finish_groups(ars__task *task);

/* ---- scope.c ---- */

struct ars__scope {
    ars__scope *outer, *inner;
    ars_time limit;    /* the deadline in force under it */
    ars__scope *whose; /* the scope whose deadline that is, NULL: from outside */
    uint64_t cookie;
    uint32_t shield;
    uint32_t fired; /* a wait under it got ARS_ECANCELED because of its deadline */
};

/* Drops scopes whose function has returned; 'frame' is the caller's stack pointer. */
void ars__scope_prune(ars__task *task, const void *frame);
/* Notes that a wait got ARS_ECANCELED because 'scope_limit' has passed. */
void ars__scope_fired(ars__task *task);

/* Whether the task is cancelled from outside, shields considered. */
static inline int ars__task_cancelled(const ars__task *task)
{
    return task->group->reason < 0 && task->shields == 0;
}

/* ---- run.c ---- */

void ars__report(ars_runtime *rt, const char *format, ...) ARS_PRINTF(2, 3);

#endif
