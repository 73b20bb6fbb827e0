/* SPDX-License-Identifier: MIT */
/* The life of a runtime.  Documented in <arsenal/run.h>. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"
#include "run/sched.h"

enum { STACKS_FIRST = 256, LINE = 256 };

/* Runtimes that were left behind with ARS_EBUSY: kept in sight of leak checkers. */
static ars_atomic_ptr abandoned;

/* ---- reports ---- */

void ars__report(ars_runtime *rt, const char *format, ...)
{
    if (!rt->config.report && !ARS__ASSERTS) return;
    char line[LINE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0) return;
    if (rt->config.report) {
        rt->config.report(rt->config.report_ctx, line);
        return;
    }
    char out[LINE + 16];
    n = snprintf(out, sizeof out, "arsenal: %s\n", line);
    if (n > 0) ars__os_write(2, out, (size_t)n < sizeof out ? (size_t)n : sizeof out - 1);
}

static void report_task(ars__task *task)
{
    ars_runtime *rt = task->worker->runtime;
    const char *name = ars__task_name(task);
    if (!name) name = "unnamed";
    if (!task->wait) {
        ars__report(rt, "task '%s' was left behind, ready to run", name);
        return;
    }
    ars__report(rt, "task '%s' was left behind in %s, called from %p %lld ms ago", name,
                task->wait->what, task->u.parked.place,
                (long long)((rt->worker.now - task->u.parked.since) / ARS_MILLISECOND));
}

static void report_left(ars_runtime *rt)
{
    ars__worker *w = &rt->worker;
    for (ars__list *g = rt->groups.next; g != &rt->groups; g = g->next) {
        ars__group *group = ARS__MEMBER(g, ars__group, all);
        for (ars__list *t = group->tasks.next; t != &group->tasks; t = t->next) {
            ars__task *task = ARS__MEMBER(t, ars__task, siblings);
            if (task != &w->root) report_task(task);
        }
    }
    for (ars__list *t = w->fresh.next; t != &w->fresh; t = t->next)
        report_task(ARS__MEMBER(t, ars__task, siblings));
    for (uint32_t i = w->head; i != w->tail; i++) {
        ars__task *task = w->ready[i & w->mask];
        if (!ars__list_linked(&task->siblings)) report_task(task);
    }
}

/* ---- beginning ---- */

static void destroy(ars_runtime *rt)
{
    ars__worker *w = &rt->worker;
    if (w->poller) w->poller->ops->close(w->poller);
    ars__sched_deinit(w);
    ars__stack_pool_free(w->stacks);
    ars__slab_deinit(&rt->task_slab);
    ars__slab_deinit(&rt->group_slab);
    rt->alloc->free(rt->alloc->ctx, rt, sizeof *rt, _Alignof(ars_runtime));
}

/* The root task is the thread itself: it has the thread's stack and is never freed. */
static void root_init(ars__worker *w, ars__group *group, char *frame)
{
    ars__task *root = &w->root;
    root->ctx.flags = 0;
    root->worker = w;
    root->group = group;
    root->scope_limit = ARS_FOREVER;
    ars__list_init(&root->groups);
    root->stack.top = frame;
#if ARS__SAN_FIBERS
    root->fiber = ars__san_fiber_current();
#endif
    w->current = root;
}

static int create(ars_runtime **out, const ars_config *config, char *frame)
{
    const ars_alloc *alloc = config->alloc ? config->alloc : ars_alloc_default();
    ars_runtime *rt = alloc->alloc(alloc->ctx, sizeof *rt, _Alignof(ars_runtime));
    if (!rt) return ARS_ENOMEM;
    memset(rt, 0, sizeof *rt);
    rt->config = *config;
    rt->alloc = alloc;
    rt->grace = config->grace > 0 ? config->grace : ARS_SECOND;
    ars__list_init(&rt->groups);
    ars__slab_init(&rt->task_slab, alloc, sizeof(ars__task), 64);
    ars__slab_init(&rt->group_slab, alloc, sizeof(ars__group), 64);

    ars__worker *w = &rt->worker;
    w->runtime = rt;
    ars__slab_cache_init(&w->tasks, &rt->task_slab);
    ars__slab_cache_init(&w->groups, &rt->group_slab);
    int rc = ars__sched_init(w);
    if (rc == 0) rc = ars__stack_pool_new(&w->stacks, alloc);
    if (rc == 0) rc = ars__stack_pool_reserve(w->stacks, STACKS_FIRST);
    if (rc == 0) {
        w->room = ars__stack_pool_stats(w->stacks).reserved;
        rt->root_group = ars__group_new(w, NULL, ARS_COLLECT);
        rt->main_group = ars__group_new(w, NULL, ARS_COLLECT);
        if (!rt->root_group || !rt->main_group) rc = ARS_ENOMEM;
    }
    if (rc < 0) {
        destroy(rt);
        return rc;
    }
    root_init(w, rt->main_group, frame);
    *out = rt;
    return 0;
}

/* ---- ending ---- */

static void drain_interrupt(ars__task *task, int why)
{
    task->worker->drainer = NULL;
    ars__ready(task, why);
}

static const ars__wait_class drain_class = {"shutdown", drain_interrupt};

/* The root function has returned: everybody else is told and waited for.  0 or ARS_EBUSY. */
static int drain(ars_runtime *rt)
{
    ars__worker *w = &rt->worker;
    ars__task *root = &w->root;
    if (root->outermost) ars__scope_prune(root, NULL);
    if (!ars__list_empty(&root->groups)) ars__task_finish_groups(root);
    root->shields = 1;
    root->scope_limit = ARS_FOREVER;
    ars__sched_drain(w);
    for (ars__list *g = rt->groups.next; g != &rt->groups; g = g->next) {
        ars__group *group = ARS__MEMBER(g, ars__group, all);
        if (group != rt->main_group) ars__group_cancel_now(group, ARS_ECANCELED, ARS_ECANCELED);
    }
    ars_time limit = ars_time_add(ars__os_now(), rt->grace);
    while (w->living > 0) {
        w->drainer = root;
        if (ars__park(root, &drain_class, NULL, limit) == ARS_ETIMEDOUT) return ARS_EBUSY;
        ars__sched_drain(w);
    }
    ars__wheel_remove(&w->wheel, &root->u.parked.timer);
    if (ars__list_linked(&root->siblings)) ars__list_remove(&root->siblings);
    return 0;
}

static void abandon(ars_runtime *rt)
{
    report_left(rt);
    void *first = ars_atomic_ptr_load_relaxed(&abandoned);
    do rt->abandoned = first;
    while (!ars_atomic_ptr_cas_acq_rel(&abandoned, &first, rt));
}

static int config_valid(const ars_config *config)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < sizeof config->ars__reserved / sizeof config->ars__reserved[0]; i++)
        reserved |= config->ars__reserved[i];
    return config->backend <= ARS_BACKEND_EPOLL && config->race_strict <= 1 && config->grace >= 0 &&
           reserved == 0;
}

int ars_run(ars_fn *fn, void *arg, const ars_config *config)
{
    static const ars_config none;
    if (!config) config = &none;
    if (!fn || ars__worker_here() || !config_valid(config)) return ARS_EINVAL;

    ars_runtime *rt;
    int rc = create(&rt, config, __builtin_frame_address(0));
    if (rc < 0) return rc;
    void *signal_stack;
    rc = ars__overflow_thread_enter(&signal_stack, rt->alloc);
    if (rc < 0) {
        destroy(rt);
        return rc;
    }
    const ars_alloc *alloc = rt->alloc;
    int unblocked = ars__os_sigpipe_block();
    ars__worker_tls = &rt->worker;
    rt->worker.started++;
    int result = fn(arg);
    rc = drain(rt);
    ars__worker_tls = NULL;
    if (rc < 0) {
        abandon(rt);
        result = rc;
    } else {
        destroy(rt);
    }
    ars__overflow_thread_leave(signal_stack, alloc);
    if (unblocked > 0) ars__os_sigpipe_restore(unblocked);
    return result;
}

/* ---- <arsenal/run.h>, the rest ---- */

ars_runtime *ars_runtime_self(void)
{
    ars__worker *worker = ars__worker_here();
    return worker ? worker->runtime : NULL;
}

int ars_post(ars_runtime *rt, ars_fn *fn, void *arg)
{
    return rt ? ars__task_go(rt->root_group, fn, arg, NULL) : ARS_EINVAL;
}

int ars_stats(ars_run_stats *stats)
{
    ars__worker *w = ars__worker_here();
    if (!w) return ARS_EINVAL;
    ars__stack_stats stacks = ars__stack_pool_stats(w->stacks);
    *stats = (ars_run_stats){
        .tasks = w->living + 1,
        .started = w->started,
        .switches = w->switches,
        .stacks = stacks.in_use,
        .guards_light = stacks.guard_light,
        .guards_protect = stacks.guard_protect,
        .guards_canary = stacks.guard_canary,
        .operations = w->poller ? w->poller->ops->in_flight(w->poller) : 0,
        .backend = w->poller ? w->poller->ops->name : NULL,
    };
    return 0;
}

void ars__worker_report(ars__worker *worker, const char *format, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ars__report(worker->runtime, "%s", line);
}
