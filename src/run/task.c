/* SPDX-License-Identifier: MIT */
/* The life of a task, from go to its end.  Documented in <arsenal/task.h> and sched.h. */
#include <arsenal/clock.h>

#include <string.h>

#include "base/point.h"
#include "os/os.h"
#include "run/fresh.h"
#include "run/held.h"

ARS__STATIC_ASSERT(ARS__SAN_FIBERS || sizeof(ars__task) <= 256);

enum { KNOWN_FLAGS = ARS_TASK_FPENV | ARS_TASK_CXX | ARS_TASK_MIGRATES };

static uint32_t context_flags(unsigned flags)
{
    return ARS__NEW | (flags & ARS_TASK_FPENV ? ARS__FPENV : 0) |
           (flags & ARS_TASK_CXX ? ARS__CXX : 0) | (flags & ARS_TASK_MIGRATES ? ARS__MIGRATES : 0);
}

/* Whether the task will have a stack of that size; if not it is gone. */
static ARS__NOINLINE int promised(ars__worker *worker, ars_runtime *rt, ars__task *task,
                                  size_t stack)
{
    unsigned stack_class = (unsigned)ars__stack_class(stack);
    task->ctx.flags |= ARS__SIZED * stack_class;
    if (stack_class == 0 || ars__stack_promise(rt, stack_class) == 0) return 1;
    if (worker)
        ars__slab_cache_put(&worker->tasks, task);
    else
        ars__slab_put_shared(&rt->task_slab, task);
    return 0;
}

static inline void begin(ars__task *task, ars__group *group, ars_fn *fn, void *arg)
{
    task->ctx.flags = ARS__NEW;
    task->fn = fn;
    task->arg = arg;
    task->worker = NULL;
    task->group = group;
    task->result = NULL;
    task->name = NULL;
    ars_atomic_u32_store_relaxed(&task->events, 0);
    task->shields = 0;
    task->interrupted = task->linked = 0;
}

/* What came before go happens before the task, and nothing else does. */
static inline void tell_order(ars__task *task)
{
    ars__san_release(task);
#if ARS__SAN_FIBERS
    task->fiber = ars__san_fiber_create(task->name);
#endif
}

ars__task *ars__task_new(ars__worker *worker, ars_runtime *rt, ars__group *group, ars_fn *fn,
                         void *arg, const ars_task_opt *opt)
{
    ars__task *task =
        worker ? ars__slab_cache_get(&worker->tasks) : ars__slab_get_shared(&rt->task_slab);
    if (!task) return NULL;
    begin(task, group, fn, arg);
    if (opt) {
        task->ctx.flags = context_flags(opt->flags);
        task->name = opt->name;
        task->result = opt->result;
        if (opt->home) task->worker = rt->workers[opt->home - 1];
        if (ARS__UNLIKELY(opt->stack != 0) && !promised(worker, rt, task, opt->stack)) return NULL;
    }
    tell_order(task);
    return task;
}

static int options_valid(const ars_task_opt *opt, const ars_runtime *rt)
{
    return !(opt->flags & ~(unsigned)KNOWN_FLAGS) && opt->home <= rt->n &&
           ars__stack_class(opt->stack) >= 0 &&
           !(opt->ars__reserved[0] | opt->ars__reserved[1] | opt->ars__reserved[2]);
}

/*
 * Makes sure that one more task will find a stack.  With several workers it is
 * not known whose it will be: then only a want that showed itself counts.
 */
static ARS__NOINLINE int make_room(ars__worker *worker)
{
    if (worker->starved) return ARS_ENOMEM;
    if (worker->rt->n > 1) return 0;
    /* Threads start tasks too: without them more may have died here than were born. */
    uint64_t born = worker->born + ars_atomic_u64_load_relaxed(&worker->rt->born_outside);
    int rc = ars__stack_pool_reserve(worker->stacks, born - worker->died + 1);
    if (rc == 0) worker->room = ars__stack_pool_stats(worker->stacks).reserved;
    return rc;
}

/* A go that failed counts as a child that ended with the error. */
static ARS__NOINLINE int failed(ars__group *group, ars__worker *worker, int error)
{
    ars__group_count(group, worker);
    ars__group_child_ended(group, worker, error);
    if (worker) ars__group_tell(worker);
    return error;
}

static inline int go(ars__worker *worker, ars__group *group, ars_fn *fn, void *arg,
                     const void *args, size_t size, const ars_task_opt *opt)
{
    ars_runtime *rt = group->rt;
    ars__task *task = NULL;
    if (ARS__LIKELY(!worker || worker->born - worker->died < worker->room ||
                    make_room(worker) == 0))
        task = ars__task_new(worker, rt, group, fn, arg, opt);
    if (ARS__UNLIKELY(!task)) return failed(group, worker, ARS_ENOMEM);
    if (size) {
        /* Who had this task's record before is no business of ThreadSanitizer's, which sees the copy. */
        ars__san_ignore_begin();
        memcpy(task->args, args, size);
        ars__san_ignore_end();
        task->ctx.flags |= ARS__COPIED;
    }
    ars__group_count(group, worker);
    ars__sched_start(worker, rt, task);
    return 0;
}

static ARS__NOINLINE int go_outside(ars__group *group, ars_fn *fn, void *arg, const void *args,
                                    size_t size, const ars_task_opt *opt)
{
    ars_runtime *rt = group->rt;
    ars__outside_enter(rt);
    int rc = go(NULL, group, fn, arg, args, size, opt);
    ars__outside_leave(rt);
    return rc;
}

int ars__task_go(ars__group *group, ars_fn *fn, void *arg, const void *args, size_t size,
                 const ars_task_opt *opt)
{
    ars_runtime *rt = group->rt;
    ars__worker *worker = ars__worker_here();
    if (!fn || size > ARS__ARGS_MAX || (opt && !options_valid(opt, rt))) return ARS_EINVAL;
    if (ARS__UNLIKELY(!worker || worker->rt != rt))
        return go_outside(group, fn, arg, args, size, opt);
    return go(worker, group, fn, arg, args, size, opt);
}

/*
 * All tasks have ended when as many died as were born.  Whoever ends a task
 * looks whether somebody waits for that; without a fence, so it may miss one
 * that has just begun to.  A worker that is about to sleep looks again, after
 * it has added itself to 'asleep', which drain() adds to before it looks again:
 * of these two the later sees what came before the other.
 */
int ars__all_ended(ars_runtime *rt)
{
    uint64_t died = 0, born = 0;
    /* The dead first: what is born meanwhile only makes the sums differ. */
    for (uint32_t i = 0; i < rt->n; i++)
        died += __atomic_load_n(&rt->workers[i]->died, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < rt->n; i++)
        born += __atomic_load_n(&rt->workers[i]->born, __ATOMIC_SEQ_CST);
    born += ars_atomic_u64_load_seq_cst(&rt->born_outside);
    return born == died;
}

void ars__tell_drainer(ars_runtime *rt)
{
    if (!ars__all_ended(rt)) return;
    ars__task *drainer = ars_atomic_ptr_swap_seq_cst(&rt->drainer, NULL);
    if (drainer) ars__wake(drainer, 0, ARS__WAKE_TAIL);
}

void ars__task_tidy(ars__task *task)
{
    if (ARS__UNLIKELY(task->outermost != NULL)) ars__scope_prune(task, NULL);
    if (ARS__UNLIKELY(task->groups != NULL)) ars__task_finish_groups(task);
}

/* The task has run: everything that was its own goes, its group learns of it. */
static void end(ars__task *task, int result, int *result_out)
{
    ars__worker *worker = task->worker;
    ars__group *group = task->group;
    if (ARS__UNLIKELY(task->outermost || task->groups)) {
        ars__task_tidy(task);
        worker = task->worker;
    }
    ars__locks_task_ended(task);
    if (result_out) *result_out = result;
    if (ARS__UNLIKELY(ars__timer_armed(&task->timer)))
        ars__wheel_remove(&worker->wheel, &task->timer);
    if (task->linked) {
        ars__group_unlink_task(group, task);
        /*
         * Nobody sends it mail any more; what was sent refers to it, and may have
         * to come by way of a worker that the task has left.
         */
        if (ARS__UNLIKELY(ars_atomic_u32_load_acquire(&task->events) & ARS__MAIL))
            ars_atomic_u32_or_acq_rel(&task->events, ARS__GONE);
    }
    /* What the task did happens before what follows the wait of its group. */
    ars__san_release(group);
    ars__san_release(group->rt); /* and before the runtime goes */
    ars__group_child_ended(group, worker, result);
}

/* It counts as dead once its group knows. */
static inline void died(ars__worker *worker, const ars__task *next)
{
    if (ARS__UNLIKELY(worker->held != NULL) && (!next || next->group != worker->held))
        ars__group_tell(worker);
    (void)ARS_POINT("end");
    __atomic_store_n(&worker->died, worker->died + 1, __ATOMIC_RELEASE);
    if (ARS__UNLIKELY(ars_atomic_ptr_load_relaxed(&worker->rt->drainer) != NULL))
        ars__tell_drainer(worker->rt);
}

/* Keeps the extra registers' room out of the frame of tasks that do not need it. */
static ARS__NOINLINE int call_with_extra(ars__task *task, ars_fn *fn, void *arg)
{
    ars__task_extra extra;
    uint32_t flags = task->ctx.flags;
    task->extra = &extra;
    if (flags & ARS__FPENV) ars__ctx_enter_fpenv(&extra.fpenv);
    if (flags & ARS__CXX) ars__ctx_enter_cxx(&extra.cxx);
    int result = fn(arg);
    if (flags & ARS__CXX) ars__ctx_leave_cxx(&extra.cxx);
    if (flags & ARS__FPENV) ars__ctx_leave_fpenv(&extra.fpenv);
    task->ctx.flags &= ~(uint32_t)(ARS__FPENV | ARS__CXX);
    return result;
}

/* The parts of a new task become those of a started one. */
static inline void become_started(ars__task *task, char *stack_top)
{
    task->timer.prev = task->timer.next = NULL;
    task->wait = NULL;
    task->scope_limit = task->group->limit;
    task->outermost = task->innermost = NULL;
    task->groups = NULL;
    task->stack_top = stack_top;
    task->worker->started++;
    ars__san_acquire(task);
}

static inline int call(ars__task *task, ars_fn *fn, void *arg)
{
    return ARS__LIKELY(!(task->ctx.flags & (ARS__FPENV | ARS__CXX)))
               ? fn(arg)
               : call_with_extra(task, fn, arg);
}

/* The arguments move from the task to its stack. */
static ARS__NOINLINE int call_copied(ars__task *task, ars_fn *fn, char *stack_top)
{
    ARS__ALIGNED(16) unsigned char args[ARS__ARGS_MAX];
    memcpy(args, task->args, sizeof args);
    task->ctx.flags &= ~(uint32_t)ARS__COPIED;
    become_started(task, stack_top);
    return call(task, fn, args);
}

void ars__task_main(void *first)
{
    ars__task *task = first;
    char *stack_top = ars__task_stack_top(task);
#if ARS__ASAN
    const void *bottom;
    size_t size;
    ars__san_switch_finish(NULL, &bottom, &size);
    /* The very first switch leaves the thread's own stack. */
    if (!task->worker->thread_bottom) {
        task->worker->thread_bottom = bottom;
        task->worker->thread_size = size;
    }
#endif
    for (;;) {
        ars_fn *fn = task->fn;
        int *result_out = task->result, result;
        if (ARS__UNLIKELY(task->ctx.flags & ARS__COPIED)) {
            result = call_copied(task, fn, stack_top);
        } else {
            void *arg = task->arg;
            become_started(task, stack_top);
            result = call(task, fn, arg);
        }
        end(task, result, result_out);

        /* The next new task can have this stack, which is as hot as can be. */
        ars__worker *worker = task->worker;
        ars__stack_header *header = (ars__stack_header *)(void *)stack_top;
        header->owner = NULL; /* rest.c goes by it, and the record may be another task's soon */
        if (ARS__UNLIKELY(header->home != (uintptr_t)worker->plain || ars__task_gone(task))) {
            died(worker, NULL);
            ars__sched_leave_special(worker, task, stack_top);
            return;
        }
        ars__task *next = ars__sched_successor(worker);
        died(worker, next);
        if (!next) {
            ars__sched_leave(worker, task, stack_top);
            return;
        }
        ars__slab_cache_put(&worker->tasks, task);
        header->name = next->name;
        header->owner = next;
        task = next;
    }
}

const char *ars__task_name(const ars__task *task)
{
    if (task->ctx.flags & ARS__NEW) return task->name;
    if (!task->worker || task == &task->worker->base) return NULL;
    return ((ars__stack_header *)(void *)ars__task_stack_top(task))->name;
}

/* ---- <arsenal/task.h> ---- */

static void sleep_interrupt(ars__task *task, int why)
{
    ars__ready(task, why == ARS_ETIMEDOUT ? 0 : why);
}

static const ars__wait_class sleep_class = {"sleep", sleep_interrupt};

static ARS__NOINLINE int thread_sleep(ars_time deadline)
{
    ars_thread_sleep(deadline);
    return 0;
}

int ars_sleep(ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(!self)) return thread_sleep(deadline);
    int rc = ars__wait_enter(self, deadline);
    if (rc < 0) return rc;
    if (deadline <= self->worker->now) return 0;
    return ars__park(self, &sleep_class, NULL, deadline);
}

int ars_cancel_reason(void)
{
    ars__task *self = ars__task_self();
    if (!self) return 0;
    if (ars__task_cancelled(self)) return ars__group_reason(self->group);
    if (self->scope_limit != ARS_FOREVER && self->scope_limit <= ars__os_now())
        return ARS_ETIMEDOUT;
    return 0;
}

const char *ars_task_name(void)
{
    ars__task *self = ars__task_self();
    return self ? ars__task_name(self) : NULL;
}

/* ---- <arsenal/group.h>: filling ---- */

static ARS__NOINLINE int go_in(ars_group *handle, ars_fn *fn, void *arg, const void *args,
                               size_t size, const ars_task_opt *opt)
{
    ars__worker *worker = ars__worker_here();
    ars__group *group;
    if (ARS__LIKELY(handle != NULL))
        group = ars__group_of(handle);
    else
        group = worker ? worker->rt->root_group : NULL;
    if (ARS__UNLIKELY(!group)) return ARS_EINVAL;
    if (worker && group->owner == worker->current && ARS__UNLIKELY(group->watched))
        ars__group_stop_watching(group);
    return ars__task_go(group, fn, arg, args, size, opt);
}

int ars_group_go(ars_group *handle, ars_fn *fn, void *arg, const ars_task_opt *opt)
{
    ars__worker *worker = ars__worker_here();
    ars__group *group = handle ? ars__group_of(handle) : NULL;
    /* Most often it is the group's own worker that starts a task without options. */
    if (ARS__LIKELY(group && worker && ars__group_home(group) == worker && fn && !opt &&
                    worker->born - worker->died < worker->room)) {
        ars__task *task = ars__slab_cache_hot(&worker->tasks);
        if (ARS__LIKELY(task != NULL)) {
            begin(task, group, fn, arg);
            tell_order(task);
            group->local++;
            __atomic_store_n(&worker->born, worker->born + 1, __ATOMIC_RELAXED);
            ars__sched_offer(worker, task);
            return 0;
        }
    }
    return go_in(handle, fn, arg, NULL, 0, opt);
}

int ars_group_go_copy(ars_group *handle, ars_fn *fn, const void *args, size_t size,
                      const ars_task_opt *opt)
{
    if (size > ARS_ARGS_MAX) return ARS_EINVAL;
    return go_in(handle, fn, NULL, args, size, opt);
}
