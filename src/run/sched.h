/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_SCHED_H
#define ARS_RUN_SCHED_H

/*
 * The scheduler's own view of tasks, workers, groups and the runtime.  Private
 * to run/; layers above see park.h only.
 *
 * A task is new (in a worker's deque, in the runtime's queue, or in a worker's
 * mail if it is pinned), ready (in a worker's ring), running, or parked ('wait'
 * is set).  A new task may be taken by any worker; once it has run, it stays
 * with its worker (ARS_TASK_MIGRATES lifts that), and only that worker touches
 * its parked state.  Others reach it by mail: they set a bit in its events and
 * put it in its worker's inbox.
 *
 * A switch goes directly from the task that parks to the next one; there is no
 * scheduler task.
 *
 * Order of locks: an object's (channel, mutex ...) and a group's are never held
 * together, but for the interrupt of a group's wait; a group's before that of
 * a group below it.  No lock is held over a switch.
 */

#include <arsenal/deque.h>
#include <arsenal/rng.h>
#include <arsenal/run.h>
#include <arsenal/scope.h>
#include <arsenal/spin.h>

#include "base/assert.h"
#include "base/point.h"
#include "base/san.h"
#include "coro/ctx.h"
#include "coro/stack.h"
#include "data/list.h"
#include "data/wheel.h"
#include "mem/slab.h"
#include "run/park.h"
#include "run/pool.h"
#include "run/waitq.h"
#include "sync/inbox.h"

typedef struct ars__group ars__group;
typedef struct ars__scope ars__scope;

/* ---- tasks ---- */

/* ctx.flags */
enum {
    ARS__NEW = 1u << 0,      /* has no stack yet */
    ARS__FPENV = 1u << 1,    /* ARS_TASK_FPENV */
    ARS__CXX = 1u << 2,      /* ARS_TASK_CXX */
    ARS__MIGRATES = 1u << 3, /* ARS_TASK_MIGRATES */
    ARS__SELECTS = 1u << 4,  /* woken from a select: ars__select_clean() before it runs */
    ARS__COPIED = 1u << 5,   /* new: its argument lies in 'args' */
    /*
     * It is in its group's list, under no scope, and was not cancelled when it
     * last looked: a cancel since then comes by mail, which takes the flag away.
     */
    ARS__CAREFREE = 1u << 6,
    ARS__SIZED = 1u << 7 /* new: times the class of its stack, 0 to ARS__STACK_CLASSES - 1 */
};
/* A switch from or to a task with any other flag takes the slow path. */
#define ARS__PLAIN ((uint32_t)(ARS__COPIED | ARS__CAREFREE))

/* task->events; the first three are mail. */
enum {
    ARS__STARTED = 1u << 0,   /* a new task for this worker */
    ARS__WOKEN = 1u << 1,     /* a parked task is ready, or a thread may go on */
    ARS__CANCELLED = 1u << 2, /* look whether the group is cancelled */
    ARS__MAIL = 7u,
    ARS__CLAIMED = 1u << 3, /* a select has been decided */
    ARS__ENDED = 1u << 4,   /* the group that it waits for has ended */
    ARS__TELLING = 1u << 5, /* its worker is cancelling that group */
    ARS__MOVING = 1u << 6,  /* ready, and any worker may take it: nobody's */
    ARS__GONE = 1u << 7     /* has ended; its mail, which is on its way, frees the record */
};

/* task->linked */
enum {
    ARS__IN_GROUP = 1,     /* in group->tasks */
    ARS__IN_GROUP_LOOK = 2 /* the same, and a cancel may have been missed: the next park looks */
};

enum { ARS__ARGS_MAX = 128 };

/* At most 256 bytes beside the stack. */
struct ars__task {
    ars__ctx ctx; /* all that a switch touches */

    /* Fields of a new task, and what they are afterwards. */
    union {
        ars_fn *fn;
        const ars__wait_class *wait; /* what it waits for; NULL: not parked */
    };
    union {
        void *arg;
        void *object; /* what it was parked with */
    };
    ars__worker
        *worker; /* whose it is; of a new task: NULL, or whom it is pinned to; of a thread: NULL */
    ars__group *group; /* never NULL, but of a thread */
    union {
        int *result;
        ars_time scope_limit; /* the deadline that scopes put on every wait */
    };
    union {
        const char *name;
        ars__scope *outermost; /* scopes in force */
    };
    ars__inbox_node mail; /* also links new tasks in queues */
    ars_atomic_u32 events;
    uint16_t shields;    /* how many of the scopes are shields */
    uint8_t interrupted; /* the wait's interrupt() has been called */
    uint8_t linked;      /* ARS__IN_GROUP ..., or 0 */

    union {
        unsigned char args[ARS__ARGS_MAX]; /* until it runs */
        struct {                           /* since then */
            ars_time deadline;             /* the wait's own */
            const void *place;             /* the return address of the call that parked */
            ars_time since;
            ars__timer
                timer; /* stays armed after a wait: most deadlines are far away and move further */
            ars__node node;     /* of a plain wait; its 'next' links the spill */
            ars__list siblings; /* in group->tasks, from the first park on */
            ars__scope *innermost;
            ars__group *groups; /* initialised by it and not waited for */
            char *stack_top;
            struct ars__task_extra *extra; /* what ARS__FPENV and ARS__CXX keep */
        };
    };
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

/* When a parked task's timer has work to do. */
static inline ars_time ars__task_limit(const ars__task *task)
{
    if (task->interrupted) return ARS_FOREVER;
    return task->deadline < task->scope_limit ? task->deadline : task->scope_limit;
}

/* Whose it is, asked by another thread: a task that migrates may be moving. */
static inline ars__worker *ars__task_home(const ars__task *task)
{
    return __atomic_load_n(&task->worker, __ATOMIC_RELAXED);
}

/* Of a task that has a stack. */
static inline char *ars__task_stack_top(const ars__task *task)
{
    return task->ctx.flags & ARS__COPIED ? task->arg : task->stack_top;
}

/* ---- groups ---- */

/*
 * Counting: while 'home' is set, the number of living children is
 *
 *     local + pending - ARS__BIAS
 *
 * 'local' belongs to that worker, which counts there the children that are
 * started and that end on it; others count theirs in 'pending'.  The sum can be
 * read by 'home' alone, and when it is 0 there the group has no children: what
 * started a child is seen before its end is, so that none can be missing.  But
 * a last child that ends elsewhere cannot read it.  So 'home' adds 'local' to
 * 'pending', takes the bias away and clears 'home' before it turns to anything
 * else for long, while somebody waits (ars__groups_share()).  Without a home,
 * and without the bias, whoever makes 'pending' 0 has ended the last child.
 *
 * A worker that runs children of one group back to back takes them out of
 * 'pending' together ('held'): it holds an end back only for a next child that
 * it has already, and while that lives the group cannot end anyway.
 *
 * The tree: a group of which nobody has asked yet whether it is cancelled is
 * not in its parent's list, and its 'reason' is ARS__OUT_OF_TREE.  Whoever asks
 * puts it there (ars__group_join()) and gets the parent's answer.  The parent
 * of any group is in the tree, and outlives it.
 */
struct ars__group {
    /* The owner's and its worker's. */
    ars_runtime *rt;
    uint64_t serial;  /* tells a stale handle from a live one; readable when freed; 0: not in use */
    ars__task *owner; /* the task that initialised it; NULL: a thread did */
    int64_t local;    /* see above */
    ars__task *waiter;
    ars_group *handle;                       /* of the one who waits: zeroed when it is over */
    ars__group *next_owned, *previous_owned; /* of the owner's groups */

    /* Read by the children. */
    ARS__ALIGNED(64) ars__worker *home; /* see above; written by itself only */
    ars__group *parent;
    ars_time limit;        /* the scope deadline that children inherit */
    ars_atomic_u32 reason; /* cancelled: (uint32_t)why; else 0, or ARS__OUT_OF_TREE */
    uint8_t policy;
    uint8_t uncounted; /* nobody ever waits for it */
    uint8_t watched;   /* the owner has taken the bias away for a select */
    union {
        ars__waitq watchers; /* while 'watched': selects that wait for its end */
        struct {             /* while its wait goes on: in home->waited */
            ars__group *next_shared, *previous_shared;
        };
    };
    ars__list link; /* once it is in the tree: in parent->children */

    /* Written by the children. */
    ARS__ALIGNED(64) ars_atomic_i64 pending;
    ars_atomic_u64 cause;       /* decides the result: 0, or ARS__CAUSED | (uint32_t)result */
    ars_atomic_u32 first_error; /* of a child: 0, or (uint32_t)error */
    ars_atomic_u32 ended;       /* of a watched group: the last child is done with the record */

    /* Once it is in the tree. */
    ars__list children; /* groups below */
    ars__list tasks;    /* children that have parked */
    ars_spin lock;      /* guards both, 'watchers', and 'link' of its children */
};

enum { ARS__BIAS_BITS = 40, ARS__OUT_OF_TREE = 1 };
#define ARS__BIAS   ((int64_t)1 << ARS__BIAS_BITS)
#define ARS__CAUSED ((uint64_t)1 << 32)

/* Puts the group into the tree, if it is not there; why it is cancelled, or 0. */
int ars__group_join(ars__group *group);

/* Why it is cancelled, or 0. */
static inline int ars__group_reason(ars__group *group)
{
    /* Acquire: pairs with the release in ars__group_join() and with who cancelled. */
    int reason = (int32_t)ars_atomic_u32_load_acquire(&group->reason);
    return ARS__LIKELY(reason <= 0) ? reason : ars__group_join(group);
}

/* Whose tasks count without atomics. */
static inline ars__worker *ars__group_home(const ars__group *group)
{
    return __atomic_load_n(&group->home, __ATOMIC_RELAXED);
}

/* One more child; started by 'worker', or (NULL) by a thread. */
static inline void ars__group_count(ars__group *group, const ars__worker *worker)
{
    if (ARS__LIKELY(worker && ars__group_home(group) == worker))
        group->local++;
    else if (!group->uncounted)
        ars_atomic_i64_add_acq_rel(&group->pending, 1);
}

/* The record of a handle; NULL: it has ended. */
static inline ars__group *ars__group_of(const ars_group *handle)
{
    ars__group *group = (ars__group *)(uintptr_t)handle->ars__state[0];
    if (ARS__UNLIKELY(!group || group->serial != handle->ars__state[1])) return NULL;
    return group;
}

/* ---- workers and the runtime ---- */

/* worker->sleeping */
enum { ARS__AWAKE = 0, ARS__ON_FUTEX = 1, ARS__IN_POLLER = 2 };

enum {
    ARS__BUDGET = 128, /* waits, satisfied or not, in one slice */
    ARS__DEQUE = 4096, /* new tasks that a worker keeps for itself and thieves */
    ARS__WORKERS_MAX = 256,
    ARS__BLOCK_CLASSES = 3
};

/* What a strategy decides; docs/strategies.md has the table. */
typedef struct ars__tuning {
    uint32_t tick; /* switches between two looks at timers, I/O, mail and the oldest new task */
    uint32_t spin; /* ns that an idle worker looks for work before it sleeps, */
    uint32_t vain; /* and how many times so in vain before it sleeps at once */
    /* Bytes of free stacks that keep their pages: of a worker, and of the runtime in each other size. */
    uint64_t stacks_kept, sized_kept;
    ars_time linger; /* ns that other free stacks of a worker keep theirs unless they are used */
    ars_time
        rest; /* ns that a task has to be parked until unused pages of its stack go; 0: never */
} ars__tuning;

enum { ARS__STACK_CLASSES = 5 };

/*
 * Stacks of another size than the usual one: all workers share them.  A go
 * promises its task a stack, which there is address space for then, so that
 * none waits for one.
 */
typedef struct ars__sized_stacks {
    ars_atomic_ptr pool; /* NULL: nobody has asked for one */
    ars_spin lock;       /* guards the pool */
    ars_atomic_u64 promised;
} ars__sized_stacks;

typedef struct ars__stack_note ars__stack_note;

/* Where rest.c is in going over the worker's stacks. */
typedef struct ars__rest {
    ars_time next; /* when it begins again */
    ars_time since,
        until;         /* it looks for those that parked after 'since', at the latest at 'until' */
    uint64_t at;       /* the next stack, while it goes over them */
    uint64_t switches; /* the worker's, when it last began */
    uint32_t left;     /* how often it will, if nothing runs */
    uint32_t busy;     /* it is going over them */
} ars__rest;

struct ars__worker {
    ars__task *current;
    int32_t budget;
    uint32_t tick;
    ars__task *next; /* woken by the running task; runs next, on the rest of its budget */

    /* Ready tasks: a ring that grows; 'spill' takes what a full ring that cannot grow does not. */
    ars__task **ready;
    uint32_t head, tail, mask;
    ars__task *spill_first, *spill_last;
    ars__task *starved; /* new tasks that found no stack, by 'mail' */

    ars_runtime *rt;
    ars_time now;   /* the clock, read when the worker looks at its timers */
    uint32_t blind; /* looks around until it does so though none is armed */
    ars__poller *poller;
    uint64_t born, started, died, switches; /* tasks; 'died' here, wherever they were born */
    uint64_t room;                          /* stacks that the pool has address space for */
    ars_wyrand random;
    uint64_t serials; /* groups made */
    ars__tuning tuning;
    uint32_t id;
    uint32_t queue_turn;   /* the runtime's queue is next to be looked into for old tasks */
    ars_atomic_ptr *slots; /* of the deque */
    ars__stack_pool *stacks;
    ars__task *starter;  /* who parked to have the task begin that began last, */
    uint64_t started_at; /* and 'switches' then */
    char *spare; /* the top of the stack that became free last, for the next new task; or NULL */
    const ars__stack_pool *plain; /* the same, or NULL when the use of stacks is measured */
    ars_time trim_next;           /* when free stacks have aged again */
    uint32_t spins;               /* so many times more it may look for work in vain */
    uint32_t trimming;            /* some have to give their pages back now */
    ars__rest rest;
    ars__stack_header *left; /* a stack of another pool, which goes back there */
    ars__slab_cache tasks;
    ars__slab_cache groups;
    /* Groups of which it is 'home', with others beside it, and for which somebody waits. */
    ars__group *waited;
    ars__group *held; /* 'held_count' children of it have ended here and are still in 'pending' */
    int64_t held_count;
    ars__inbox_node *undelivered; /* taken from the inbox, not looked at */
    ars__wheel wheel;
    ars__task base; /* the thread itself: the root task, or what a worker's thread comes back to */
    const char *base_top; /* the frame below which base's stack lies */
    uintptr_t thread;
    void *signal_stack;
#if ARS__SAN_FIBERS
    const void *thread_bottom; /* the base's stack, for AddressSanitizer */
    size_t thread_size;
#endif

    /* Touched by other threads, each line for itself. */
    ARS__ALIGNED(64) ars__inbox inbox;
    ars_atomic_u32 sleeping;
    ARS__ALIGNED(64) ars_deque deque;
};

struct ars_runtime {
    ars_config config;
    const ars_alloc *alloc;
    ars_time grace;
    uint32_t n;       /* workers */
    uint32_t threads; /* of them, those that run; the first is the one that called ars_run() */
    ars__worker **workers;
    ars__slab task_slab;
    ars__slab group_slab;
    ars__group *root_group;        /* of tasks without a group */
    ars__group *main_group;        /* of the root task */
    ars__group *apart;             /* above groups that stand outside of any tree */
    struct ars_runtime *abandoned; /* the next of those left behind */

    ARS__ALIGNED(64) ars_atomic_u32 searching; /* workers that look for work elsewhere */
    ars_atomic_u32 asleep;                     /* workers that sleep or are about to */
    ars_atomic_u32 stop;                       /* ARS__STOP_... */
    ars_atomic_u64 serials;                    /* of groups that threads made */
    ars_atomic_u64 born_outside;               /* tasks, by threads */
    ars_atomic_ptr drainer;                    /* the root task, while it waits for all to end */
    ars_atomic_ptr shared;                     /* ars__worker_shared() */
    ars_atomic_u32 left;                       /* threads of workers that have left their loops */

    /* New tasks of full deques and of threads. */
    ARS__ALIGNED(64) ars_spin queue_lock;
    ars_atomic_u32 queued;
    ars_atomic_u32 outside; /* threads that are no workers of it, and are using it */
    ars__task *queue_first, *queue_last;

    ars__pool pools[ARS__BLOCK_CLASSES]; /* by enum ars_block_class */

    ars__sized_stacks
        sized[ARS__STACK_CLASSES]; /* by class; the first, of the usual size, is empty */
    ars_atomic_u32 any_sized;
    ars_atomic_u64 smashed; /* dead canaries of tasks that have ended */
    ars_spin uses_lock;
    ars__stack_note *uses; /* each task function's; only ever added to */
    uint64_t sized_kept;   /* as in ars__tuning */
};

enum {
    ARS__STOP_IDLE = 1,
    ARS__STOP_NOW = 2,
    ARS__STOP_CLOSE = 4 /* added: nobody wakes anybody any more */
};

/*
 * What a thread from outside does may let the last task end before the thread
 * has finished doing it: so it is counted, from when the runtime is known to
 * be alive until it touches nothing of it any more.
 */
static inline void ars__outside_enter(ars_runtime *rt)
{
    /* Relaxed: what follows releases it to whoever lets the runtime end. */
    ars_atomic_u32_add_relaxed(&rt->outside, 1);
}

static inline void ars__outside_leave(ars_runtime *rt)
{
    /* Release: pairs with the acquire in stop(), after which the memory is freed. */
    ars_atomic_u32_add_release(&rt->outside, (uint32_t)-1);
}

/* Of a task that has ended, asked by its worker: whether its record must stay. */
static inline int ars__task_gone(const ars__task *task)
{
    return (ars_atomic_u32_load_relaxed(&task->events) & ARS__GONE) != 0;
}

/* ---- who am I ---- */

extern _Thread_local ars__worker *ars__worker_tls;

/* At the entry of a call only: its address must not live across a park. */
static inline ars__worker *ars__worker_here(void)
{
    return ars__worker_tls;
}

/* Anywhere. */
ars__worker *ars__worker_self(void);

/* ---- sched.c: ready tasks, parking, waking ---- */

int ars__sched_init(ars__worker *worker);
void ars__sched_deinit(ars__worker *worker);
int ars__sched_yield(ars__worker *worker, ars__task *self);
/* The running task is over, and this is in tail position: gives back its stack and goes on elsewhere. */
void ars__sched_leave(ars__worker *worker, ars__task *self, char *stack_top);
/* The same if its record stays, or its stack is not simply one of the worker's. */
void ars__sched_leave_special(ars__worker *worker, ars__task *self, char *stack_top);
/* Runs tasks until the runtime stops; by the thread of a worker other than the first. */
void ars__sched_loop(ars__worker *worker);
/* Calls the interrupt of a parked task, unless that has happened. */
void ars__task_interrupt(ars__task *task, int why);
/* Tells a task's worker that 'event' concerns the task. */
void ars__task_mail(ars__task *task, uint32_t event);
/* Looks at the mail. */
void ars__sched_drain(ars__worker *worker);
/* A ready task takes its place behind the others. */
void ars__sched_push(ars__worker *worker, ars__task *task);

enum { ARS__AHEAD = 16 /* how far ahead of their turn stacks are prefetched */ };

/*
 * After one task has been taken from the ready ring: touches those whose turn
 * comes soon.  Always inline: gcc takes a function that only prefetches for one
 * that does nothing, and drops calls of it.
 */
static inline __attribute__((always_inline)) void ars__ready_ahead(const ars__worker *worker,
                                                                   uint32_t head, uint32_t tail)
{
    ars__task **ready = worker->ready;
    uint32_t mask = worker->mask, left = tail - head;
    /* A task's first line twice as far ahead as its stack, whose address that line holds. */
    if (ARS__LIKELY(left > 2 * ARS__AHEAD)) {
        __builtin_prefetch(ready[(head + 2 * ARS__AHEAD) & mask], 1);
        __builtin_prefetch(ready[(head + ARS__AHEAD) & mask]->ctx.sp, 1);
    } else if (left > 1) {
        __builtin_prefetch(ready[(head + 1) & mask]->ctx.sp, 1);
    }
}

/* ---- thread.c: plain threads as waiters ---- */

int ars__thread_park(ars__task *self);

/* ---- steal.c: new tasks, and workers that look for them ---- */

/* Makes a new task runnable; from a worker of its runtime, or (NULL) from any thread. */
void ars__sched_start(ars__worker *worker, ars_runtime *rt, ars__task *task);
/* Makes a task that any worker may run known to all; from its worker. */
void ars__sched_offer(ars__worker *worker, ars__task *task);
/* Gives a new task a stack and its first frame; 0 or ARS_ENOMEM. */
int ars__sched_prepare(ars__worker *worker, ars__task *task);
/* The oldest of its own, or one of the runtime's queue, or NULL. */
ars__task *ars__sched_oldest(ars__worker *worker);
/* One of another worker's or of the queue, or NULL. */
ars__task *ars__sched_steal(ars__worker *worker);
/* Whether anybody has new tasks to take. */
int ars__sched_anything(const ars_runtime *rt);
/* A new task that may run on the stack that has just become free, or NULL. */
ars__task *ars__sched_successor(ars__worker *worker);
/* Wakes one sleeper. */
void ars__sched_wake_one(ars_runtime *rt);
/* Wakes this worker, if it sleeps. */
void ars__sched_wake(ars__worker *worker);

/* ---- stacks.c: stacks of other sizes, of other pools, and how deep they are used ---- */

/* The class of a stack of so many bytes, or ARS_EINVAL. */
int ars__stack_class(uint64_t bytes);
/* One more task will have a stack of this class, other than the usual one; 0 or ARS_ENOMEM. */
int ars__stack_promise(ars_runtime *rt, unsigned stack_class);
/* The stack of a new task, if it is not simply one of the worker's; 0 or ARS_ENOMEM. */
int ars__stack_take(ars__worker *worker, const ars__task *task, ars__stack *out);
/* A task that has such a stack, or one with a canary, has ended: says what there is to say of it. */
void ars__stack_ended(ars__worker *worker, ars__stack stack);
/* The worker is about to leave a stack that ars__stack_take() gave, or that is another worker's, for ever. */
void ars__stack_leave(ars__worker *worker, ars__stack stack);
/* What this worker has left goes back, surplus pages too; from a stack that is in use.  1: there are more. */
int ars__stack_tidy(ars__worker *worker);
/* Lets free stacks of the worker's own pool age, and trims it, some at a time.  1: there are more. */
int ars__stacks_trim(ars__worker *worker);
/* Adds what the workers' pools do not know of. */
void ars__stack_sum(ars_runtime *rt, ars_run_stats *sum);
void ars__stacks_deinit(ars_runtime *rt);

/* ---- rest.c ---- */

/*
 * For a worker that has nothing to do until 'deadline': gives back pages of
 * tasks that have been parked long, some at a time; returns until when it may
 * sleep before it comes again.
 */
ars_time ars__rest_a_while(ars__worker *worker, ars_time deadline);

/* ---- task.c ---- */

/* A new task of 'group' that has not started; NULL when there is no memory.  From a worker, or (NULL) from any thread. */
ars__task *ars__task_new(ars__worker *worker, ars_runtime *rt, ars__group *group, ars_fn *fn,
                         void *arg, const ars_task_opt *opt);
void ars__task_main(void *task);
/* ars_group_go() with the group's record. */
int ars__task_go(ars__group *group, ars_fn *fn, void *arg, const void *args, size_t size,
                 const ars_task_opt *opt);
/* Whether no task but the root task lives. */
int ars__all_ended(ars_runtime *rt);
/* Wakes the one who waits for that, if it is so. */
void ars__tell_drainer(ars_runtime *rt);
/* The name that a task was given, or NULL. */
const char *ars__task_name(const ars__task *task);

/* ---- group.c ---- */

/* A group without a parent. */
ars__group *ars__group_new_top(ars_runtime *rt, ars__worker *worker);
void ars__group_cancel_now(ars__group *group, int cause, int reason);
/* On 'worker', which may hold it back, or (NULL) not started, by a thread. */
void ars__group_child_ended(ars__group *group, ars__worker *worker, int result);
/* Takes held ends out of 'pending'. */
void ars__group_tell(ars__worker *worker);
/* Lets others see the end of the groups of which the worker is 'home', from now on. */
void ars__groups_share(ars__worker *worker);
/* The owner is going to start or wait for children of a group that a select has watched. */
void ars__group_stop_watching(ars__group *group);
/* A child parks for the first time, or ends. */
void ars__group_link_task(ars__group *group, ars__task *task);
void ars__group_unlink_task(ars__group *group, ars__task *task);
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

/* Drops scopes whose function has returned; 'frame' is the caller's stack pointer; NULL drops all. */
void ars__scope_prune(ars__task *task, const void *frame);
/* Notes that a wait got ARS_ECANCELED because 'scope_limit' has passed. */
void ars__scope_fired(ars__task *task);

/* Whether the task is cancelled from outside, shields considered. */
static inline int ars__task_cancelled(ars__task *task)
{
    return task->shields == 0 && ars__group_reason(task->group) < 0;
}

/*
 * ars__wait_enter() where it has nothing to look at but the budget: 1, else 0
 * and nothing has happened.  Fast paths stay free of calls with it.
 */
static inline int ars__wait_enter_fast(ars__worker *worker, const ars__task *self)
{
    if (ARS__POINTS) return 0; /* at "enter" others may want to come in between */
    if (ARS__UNLIKELY(worker->budget <= 0 || self->outermost || self->scope_limit != ARS_FOREVER ||
                      ars_atomic_u32_load_relaxed(&self->group->reason)))
        return 0;
    worker->budget--;
    return 1;
}

/* ars__wake() of a task that is known to be this worker's: it runs next. */
static inline void ars__wake_here(ars__worker *worker, ars__task *task, int32_t result)
{
    task->ctx.result = result;
    task->wait = NULL;
    ars__task *before = worker->next;
    worker->next = task;
    if (ARS__UNLIKELY(before != NULL)) ars__sched_push(worker, before);
}

/* ---- select.c ---- */

/* Takes a woken select's other nodes out of their queues; by its own worker, before it runs. */
void ars__select_clean(ars__task *task);

/* ---- block.c ---- */

void ars__block_init(ars_runtime *rt);
/* All tasks have ended: so do the threads, those that work by 'limit'; 0, or ARS_EBUSY. */
int ars__block_stop(ars_runtime *rt, ars_time limit);
/* Reports work that goes on, and leaves the threads to themselves. */
void ars__block_abandon(ars_runtime *rt);

/* ---- run.c ---- */

void ars__report(ars_runtime *rt, const char *format, ...) ARS_PRINTF(2, 3);

#endif
