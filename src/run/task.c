/* SPDX-License-Identifier: MIT */
/* The life of a task, from go to its end.  Documented in <arsenal/task.h> and sched.h. */
#include <string.h>

#include "os/os.h"
#include "run/sched.h"

ARS__STATIC_ASSERT(ARS__SAN_FIBERS || sizeof(ars__task) <= 256);

enum { KNOWN_FLAGS = ARS_TASK_FPENV | ARS_TASK_CXX };

static uint32_t context_flags(unsigned flags)
{
    return ARS__NEW | (flags & ARS_TASK_FPENV ? ARS__FPENV : 0) |
           (flags & ARS_TASK_CXX ? ARS__CXX : 0);
}

ars__task *ars__task_new(ars__worker *worker, ars_runtime *rt, ars__group *group, ars_fn *fn,
                         void *arg, const ars_task_opt *opt)
{
    ars__task *task =
        worker ? ars__slab_cache_get(&worker->tasks) : ars__slab_get_shared(&rt->task_slab);
    if (!task) return NULL;
    task->ctx.flags = ARS__NEW;
    task->wait = NULL;
    task->worker = &rt->worker;
    task->group = group;
    task->outermost = task->innermost = NULL;
    task->shields = task->interrupted = 0;
    task->u.fresh.fn = fn;
    task->u.fresh.arg = arg;
    task->u.fresh.name = NULL;
    task->u.fresh.result = NULL;
    ars__list_init(&task->groups);
    if (opt) {
        task->ctx.flags = context_flags(opt->flags);
        task->u.fresh.name = opt->name;
        task->u.fresh.result = opt->result;
    }
    /* What came before go happens before the task, and nothing else does. */
    ars__san_release(task);
#if ARS__SAN_FIBERS
    task->fiber = ars__san_fiber_create(task->u.fresh.name);
#endif
    return task;
}

static void task_deliver(ars__worker *worker, ars__message *message)
{
    ars__task *task = ARS__MEMBER(message, ars__task, u.fresh.posted);
    ars__group_link(task->group);
    ars__sched_start(worker, task);
}

static int options_known(const ars_task_opt *opt)
{
    return !(opt->flags & ~(unsigned)KNOWN_FLAGS) &&
           !(opt->ars__reserved[0] | opt->ars__reserved[1] | opt->ars__reserved[2] |
             opt->ars__reserved[3]);
}

/* Makes sure that one more task will find a stack. */
static int make_room(ars__worker *worker)
{
    int rc = ars__stack_pool_reserve(worker->stacks, worker->living + 1);
    if (rc == 0) worker->room = ars__stack_pool_stats(worker->stacks).reserved;
    return rc;
}

int ars__task_go(ars__group *group, ars_fn *fn, void *arg, const ars_task_opt *opt)
{
    ars__worker *worker = group->worker;
    if (!fn || (opt && !options_known(opt))) return ARS_EINVAL;
    if (ARS__UNLIKELY(ars__worker_here() != worker)) {
        ars__task *task = ars__task_new(NULL, worker->runtime, group, fn, arg, opt);
        if (!task) return ARS_ENOMEM;
        task->u.fresh.posted.deliver = task_deliver;
        ars__sched_send(worker, &task->u.fresh.posted);
        return 0;
    }
    ars__task *task = NULL;
    if (ARS__LIKELY(worker->living < worker->room || make_room(worker) == 0))
        task = ars__task_new(worker, worker->runtime, group, fn, arg, opt);
    if (ARS__UNLIKELY(!task)) {
        group->living++;
        ars__group_child_ended(group, ARS_ENOMEM);
        return ARS_ENOMEM;
    }
    ars__sched_start(worker, task);
    return 0;
}

/* The task has run: everything that was its own goes, its group learns of it. */
static void end(ars__task *task, int result, int *result_out)
{
    ars__worker *worker = task->worker;
    ars__group *group = task->group;
    if (ARS__UNLIKELY(task->outermost != NULL)) ars__scope_prune(task, NULL);
    if (ARS__UNLIKELY(!ars__list_empty(&task->groups))) ars__task_finish_groups(task);
    if (result_out) *result_out = result;
    ars__wheel_remove(&worker->wheel, &task->u.parked.timer);
    if (ars__list_linked(&task->siblings)) ars__list_remove(&task->siblings);
    /* What the task did happens before what follows the wait of its group. */
    ars__san_release(group);
    ars__group_child_ended(group, result);
    if (--worker->living == 0 && worker->drainer) {
        ars__task *drainer = worker->drainer;
        worker->drainer = NULL;
        ars__ready(drainer, 0);
    }
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
    task->ctx.flags = 0;
    return result;
}

void ars__task_main(void *first)
{
    ars__task *task = first;
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
        ars__worker *worker = task->worker;
        ars_fn *fn = task->u.fresh.fn;
        void *arg = task->u.fresh.arg;
        int *result_out = task->u.fresh.result;
        ars__stack stack = task->stack;
        ars__san_acquire(task);
        memset(&task->u.parked, 0, sizeof task->u.parked);
        task->scope_limit = task->group->limit;
        worker->started++;
        int result = ARS__LIKELY(!task->ctx.flags) ? fn(arg) : call_with_extra(task, fn, arg);
        end(task, result, result_out);

        /* The next new task can have this stack, which is as hot as can be. */
        ars__task *next = ars__sched_successor(worker);
        if (!next) ars__sched_leave(worker, task, stack);
        ars__slab_cache_put(&worker->tasks, task);
        next->stack = stack;
        ars__stack_header *header = ars__stack_header_of(stack);
        header->name = next->u.fresh.name;
        header->owner = next;
        task = next;
    }
}

const char *ars__task_name(const ars__task *task)
{
    if (task->ctx.flags & ARS__NEW) return task->u.fresh.name;
    if (!task->stack.top || task == &task->worker->root) return NULL;
    return ars__stack_header_of(task->stack)->name;
}

/* ---- <arsenal/task.h> ---- */

static ARS__NOINLINE int yield_checked(ars__worker *worker, const void *frame)
{
    ars__task *self;
    if (!worker) {
        ars__os_thread_yield();
        return 0;
    }
    self = worker->current;
    ars__sched_yield(worker, self);
    return ars__wait_enter_at(self, ARS_FOREVER, frame);
}

int ars_yield(void)
{
    ars__worker *worker = ars__worker_here();
    if (ARS__UNLIKELY(!worker)) return yield_checked(NULL, NULL);
    ars__task *self = worker->current;
    if (ARS__UNLIKELY(self->outermost || self->scope_limit != ARS_FOREVER || self->group->reason))
        return yield_checked(worker, __builtin_dwarf_cfa());
    return ars__sched_yield(worker, self);
}

static void sleep_interrupt(ars__task *task, int why)
{
    ars__ready(task, why == ARS_ETIMEDOUT ? 0 : why);
}

static const ars__wait_class sleep_class = {"sleep", sleep_interrupt};

static int thread_sleep(ars_time deadline)
{
    uint32_t word = 0;
    while (deadline > ars__os_now()) ars__os_futex_wait(&word, 0, deadline);
    return 0;
}

int ars_sleep(ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (!self) return thread_sleep(deadline);
    int rc = ars__wait_enter(self, deadline);
    if (rc < 0) return rc;
    if (deadline <= self->worker->now) return 0;
    return ars__park(self, &sleep_class, NULL, deadline);
}

int ars_cancel_reason(void)
{
    ars__task *self = ars__task_self();
    if (!self) return 0;
    if (ars__task_cancelled(self)) return self->group->reason;
    if (self->scope_limit != ARS_FOREVER && self->scope_limit <= ars__os_now())
        return ARS_ETIMEDOUT;
    return 0;
}

const char *ars_task_name(void)
{
    ars__task *self = ars__task_self();
    return self ? ars__task_name(self) : NULL;
}
