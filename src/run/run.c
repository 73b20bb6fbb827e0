/* SPDX-License-Identifier: MIT */
/* The life of a runtime.  Documented in <arsenal/run.h>. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/point.h"
#include "os/os.h"
#include "run/bias.h"
#include "run/held.h"
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

static void report_task(ars_runtime *rt, ars__task *task)
{
    const char *name = ars__task_name(task);
    if (!name) name = "unnamed";
    if (!task->wait) {
        ars__report(rt, "task '%s' was left behind, ready to run", name);
        return;
    }
    ars__report(rt, "task '%s' was left behind in %s, called from %p %lld ms ago", name,
                task->wait->what, task->place,
                (long long)((ars__os_now() - task->since) / ARS_MILLISECOND));
}

/* As a cancel walks: with the locks from the top down to where it is, because other workers may still run. */
static void report_group(ars_runtime *rt, ars__group *top)
{
    ars__group *at = top;
    ars_spin_lock(&at->lock);
    for (;;) {
        for (ars__list *t = at->tasks.next; t != &at->tasks; t = t->next) {
            ars__task *task = ARS__MEMBER(t, ars__task, siblings);
            if (task != &rt->workers[0]->base) report_task(rt, task);
        }
        if (!ars__list_empty(&at->children)) {
            at = ARS__MEMBER(at->children.next, ars__group, link);
            ars_spin_lock(&at->lock);
            continue;
        }
        while (at != top && at->link.next == &at->parent->children) {
            ars__group *parent = at->parent;
            ars_spin_unlock(&at->lock);
            at = parent;
        }
        if (at == top) break;
        ars__group *next = ARS__MEMBER(at->link.next, ars__group, link);
        ars_spin_unlock(&at->lock);
        at = next;
        ars_spin_lock(&at->lock);
    }
    ars_spin_unlock(&top->lock);
}

static void report_left(ars_runtime *rt)
{
    report_group(rt, rt->root_group);
    report_group(rt, rt->main_group);
    report_group(rt, rt->apart);
}

/* ---- beginning ---- */

static ars__tuning tuning_of(unsigned strategy)
{
    /* tick, spin in ns, in vain, bytes of stacks kept, how long others linger, time of rest */
    static const ars__tuning tunings[] = {
        [ARS_BALANCED] = {61, 20000, 2, UINT64_C(8) << 30, UINT64_C(64) << 20, ARS_SECOND,
                          5 * ARS_SECOND},
        [ARS_THROUGHPUT] = {251, 50000, 2, UINT64_MAX, UINT64_MAX, ARS_FOREVER, 0},
        [ARS_LATENCY] = {16, 200000, UINT32_MAX, UINT64_MAX, UINT64_MAX, ARS_FOREVER, 0},
        [ARS_MINIMAL_MEMORY] = {61, 0, 0, UINT64_C(1) << 20, 0, 0, ARS_SECOND},
    };
    return tunings[strategy];
}

static void worker_free(ars__worker *w)
{
    if (!w) return;
    const ars_alloc *alloc = w->rt->alloc;
    ars__sched_deinit(w);
    ars__stack_pool_free(w->stacks);
    alloc->free(alloc->ctx, w, sizeof *w, 64);
}

static void destroy(ars_runtime *rt)
{
    const ars_alloc *alloc = rt->alloc;
    for (uint32_t i = 0; i < rt->n; i++) worker_free(rt->workers[i]);
    ars__stacks_deinit(rt);
    alloc->free(alloc->ctx, rt->workers, rt->n * sizeof *rt->workers, sizeof *rt->workers);
    ars__slab_deinit(&rt->task_slab);
    ars__slab_deinit(&rt->group_slab);
    alloc->free(alloc->ctx, rt, sizeof *rt, 64);
}

static int worker_new(ars_runtime *rt, uint32_t id)
{
    const ars_alloc *alloc = rt->alloc;
    const ars_config *config = &rt->config;
    ars__worker *w = alloc->alloc(alloc->ctx, sizeof *w, 64);
    if (!w) return ARS_ENOMEM;
    memset(w, 0, sizeof *w);
    rt->workers[id] = w;
    w->rt = rt;
    w->id = id;
    w->random.state = UINT64_C(0x9e3779b97f4a7c15) * (id + 1);
    w->tuning = tuning_of(config->strategies ? config->strategies[id] : config->strategy);
    ars__slab_cache_init(&w->tasks, &rt->task_slab);
    ars__slab_cache_init(&w->groups, &rt->group_slab);
    int rc = ars__sched_init(w);
    if (rc == 0) rc = ars__stack_pool_new(&w->stacks, alloc, ARS__STACK_SIZE);
    if (rc == 0) rc = ars__stack_pool_reserve(w->stacks, STACKS_FIRST);
    if (rc < 0) return rc;
    w->room = ars__stack_pool_stats(w->stacks).reserved;
    ars__stack_pool_keep(w->stacks, w->tuning.stacks_kept);
    w->plain = config->stack_use ? NULL : w->stacks;
    return 0;
}

/* The thread as a task: the root task on the first worker, nothing but a place to come back to on others. */
static void base_init(ars__worker *w, const char *frame)
{
    ars__task *base = &w->base;
    base->worker = w;
    base->group = w->rt->main_group;
    base->scope_limit = ARS_FOREVER;
    w->base_top = frame;
#if ARS__SAN_FIBERS
    base->fiber = ars__san_fiber_current();
#endif
    w->current = base;
}

static int create(ars_runtime **out, const ars_config *config)
{
    const ars_alloc *alloc = config->alloc ? config->alloc : ars_alloc_default();
    ars_runtime *rt = alloc->alloc(alloc->ctx, sizeof *rt, 64);
    if (!rt) return ARS_ENOMEM;
    memset(rt, 0, sizeof *rt);
    rt->config = *config;
    rt->alloc = alloc;
    rt->grace = config->grace > 0 ? config->grace : ARS_SECOND;
    rt->sized_kept = tuning_of(config->strategy).sized_kept;
    ars__block_init(rt);
    ars__slab_init(&rt->task_slab, alloc, sizeof(ars__task), 64);
    ars__slab_init(&rt->group_slab, alloc, sizeof(ars__group), 64);
    uint32_t n = config->workers ? config->workers : (uint32_t)ars__os_cpu_count();
    if (n > ARS_WORKERS_MAX) n = ARS_WORKERS_MAX;
    rt->workers = alloc->alloc(alloc->ctx, n * sizeof *rt->workers, sizeof *rt->workers);
    if (!rt->workers) {
        alloc->free(alloc->ctx, rt, sizeof *rt, 64);
        return ARS_ENOMEM;
    }
    memset(rt->workers, 0, n * sizeof *rt->workers);
    rt->n = n;
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) rc = worker_new(rt, i);
    if (rc == 0) {
        ars__worker *first = rt->workers[0];
        rt->root_group = ars__group_new_top(rt, first);
        rt->main_group = ars__group_new_top(rt, first);
        rt->apart = ars__group_new_top(rt, first);
        if (!rt->root_group || !rt->main_group || !rt->apart) rc = ARS_ENOMEM;
    }
    if (rc < 0) {
        destroy(rt);
        return rc;
    }
    rt->root_group->uncounted = 1;
    *out = rt;
    return 0;
}

/* ---- threads ---- */

static int enter_thread(ars__worker *w, const char *frame)
{
    base_init(w, frame);
    int rc = ars__overflow_thread_enter(&w->signal_stack, w->rt->alloc);
    if (rc == 0) ars__worker_tls = w;
    return rc;
}

static void leave_thread(ars__worker *w)
{
    ars__worker_tls = NULL;
    ars__overflow_thread_leave(w->signal_stack, w->rt->alloc);
}

/* The poller goes with its thread: some belong to one. */
static void close_poller(ars__worker *w)
{
    if (w->poller) w->poller->ops->close(w->poller);
    w->poller = NULL;
}

static void *worker_thread(void *arg)
{
    ars__worker *w = arg;
    /* Without a signal stack an overflow is not named; it is no reason not to work. */
    if (enter_thread(w, __builtin_frame_address(0)) < 0) ars__worker_tls = w;
    ars_runtime *rt = w->rt;
    ars__sched_loop(w);
    if (ars_atomic_u32_load_acquire(&rt->stop) & ARS__STOP_NOW) return NULL;
    /* Others may just be waking this worker, by its poller. */
    ars_atomic_u32_add_acq_rel(&rt->left, 1);
    ars__os_futex_wake(&rt->left.ars__v, 1);
    uint32_t how;
    while (!((how = ars_atomic_u32_load_acquire(&rt->stop)) & ARS__STOP_CLOSE))
        ars__os_futex_wait(&rt->stop.ars__v, how, ARS_FOREVER);
    close_poller(w);
    leave_thread(w);
    return NULL;
}

/* Nobody wakes a worker any more once all have left their loops, and no thread from outside is at it. */
static void let_close(ars_runtime *rt)
{
    uint32_t left;
    while ((left = ars_atomic_u32_load_acquire(&rt->left)) < rt->threads - 1)
        ars__os_futex_wait(&rt->left.ars__v, left, ARS_FOREVER);
    while (ars_atomic_u32_load_acquire(&rt->outside) > 0) ars__os_thread_yield();
    ars_atomic_u32_or_acq_rel(&rt->stop, ARS__STOP_CLOSE);
    ars__os_futex_wake(&rt->stop.ars__v, rt->threads);
}

static void stop(ars_runtime *rt, uint32_t how)
{
    /* Sequentially consistent, as the other reasons not to sleep: see sleep_until(). */
    ars_atomic_u32_add_seq_cst(&rt->stop, how);
    for (uint32_t i = 1; i < rt->threads; i++) ars__sched_wake(rt->workers[i]);
    if (how == ARS__STOP_IDLE) let_close(rt);
    for (uint32_t i = 1; i < rt->threads; i++) {
        if (how == ARS__STOP_IDLE)
            ars__os_thread_join(rt->workers[i]->thread);
        else
            ars__os_thread_let_go(rt->workers[i]->thread);
    }
}

static int start_threads(ars_runtime *rt)
{
    rt->threads = 1;
    for (uint32_t i = 1; i < rt->n; i++) {
        int rc = ars__os_thread_start(&rt->workers[i]->thread, worker_thread, rt->workers[i]);
        if (rc < 0) return rc;
        rt->threads++;
    }
    return 0;
}

/* ---- ending ---- */

static void drain_interrupt(ars__task *task, int why)
{
    /* The last to end may have taken the note already, and wakes the task. */
    void *self = task;
    if (ars_atomic_ptr_cas_seq_cst(&task->worker->rt->drainer, &self, NULL)) ars__ready(task, why);
}

static const ars__wait_class drain_class = {"shutdown", drain_interrupt};

/* The root function has returned: everybody else is told and waited for.  0 or ARS_EBUSY. */
static int drain(ars_runtime *rt)
{
    ars__task *root = &rt->workers[0]->base;
    if (root->outermost) ars__scope_prune(root, NULL);
    if (root->groups) ars__task_finish_groups(root);
    ars__locks_task_ended(root);
    root->shields = 1;
    root->scope_limit = ARS_FOREVER;
    ars__group_cancel_now(rt->root_group, ARS_ECANCELED, ARS_ECANCELED);
    ars__group_cancel_now(rt->apart, ARS_ECANCELED, ARS_ECANCELED);
    ars_time limit = ars_time_add(ars__os_now(), rt->grace);
    while (!ars__all_ended(rt)) {
        (void)ARS_POINT("drain");
        ars_atomic_ptr_swap_seq_cst(&rt->drainer, root);
        /*
         * A worker adds to this word too, before it looks a last time and sleeps.  So either it has
         * counted its dead for this one to see, or it sees the root.
         */
        ars_atomic_u32_add_acq_rel(&rt->asleep, 0);
        if (ars__all_ended(rt) && ars_atomic_ptr_swap_seq_cst(&rt->drainer, NULL)) break;
        if (ars__park(root, &drain_class, NULL, limit) == ARS_ETIMEDOUT) return ARS_EBUSY;
    }
    ars__wheel_remove(&root->worker->wheel, &root->timer);
    if (root->linked) ars__group_unlink_task(root->group, root);
    /* What tasks of no group did happens before what follows, here and in the caller. */
    ars__san_acquire(rt);
    return ars__block_stop(rt, limit);
}

static void abandon(ars_runtime *rt)
{
    report_left(rt);
    ars__locks_abandoned(rt);
    ars__block_abandon(rt);
    void *first = ars_atomic_ptr_load_relaxed(&abandoned);
    do rt->abandoned = first;
    while (!ars_atomic_ptr_cas_acq_rel(&abandoned, &first, rt));
}

static int config_valid(const ars_config *config)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < sizeof config->ars__reserved / sizeof config->ars__reserved[0]; i++)
        reserved |= config->ars__reserved[i];
    if (config->strategies) {
        if (config->workers == 0) return 0;
        for (unsigned i = 0; i < config->workers && i < ARS_WORKERS_MAX; i++)
            if (config->strategies[i] > ARS_MINIMAL_MEMORY) return 0;
    }
    return config->backend <= ARS_BACKEND_POLL && config->race_strict <= 1 &&
           config->stack_use <= 1 && config->grace >= 0 && config->workers <= ARS_WORKERS_MAX &&
           config->strategy <= ARS_MINIMAL_MEMORY && reserved == 0;
}

/* With the threads running. */
static int run_root(ars_runtime *rt, ars_fn *fn, void *arg)
{
    int unblocked = ars__os_sigpipe_block();
    rt->workers[0]->started++;
    int result = fn(arg);
    if (drain(rt) < 0) {
        stop(rt, ARS__STOP_NOW);
        abandon(rt);
        result = ARS_EBUSY;
    }
    if (unblocked > 0) ars__os_sigpipe_restore(unblocked);
    return result;
}

int ars_run(ars_fn *fn, void *arg, const ars_config *config)
{
    static const ars_config none;
    if (!config) config = &none;
    if (!fn || ars__worker_here() || !config_valid(config)) return ARS_EINVAL;
    ars_runtime *rt;
    ars__bias_init();
    int rc = create(&rt, config);
    if (rc < 0) return rc;
    ars__worker *first = rt->workers[0];
    rc = enter_thread(first, __builtin_frame_address(0));
    if (rc < 0) {
        destroy(rt);
        return rc;
    }
    rc = start_threads(rt);
    if (rc == 0) rc = run_root(rt, fn, arg);
    if (!(ars_atomic_u32_load_relaxed(&rt->stop) & ARS__STOP_NOW)) {
        stop(rt, ARS__STOP_IDLE);
        ars__san_acquire(rt); /* what workers have reported meanwhile */
        close_poller(first);
        leave_thread(first);
        destroy(rt);
    } else {
        leave_thread(first);
    }
    return rc;
}

/* ---- <arsenal/run.h>, the rest ---- */

ars_runtime *ars_runtime_self(void)
{
    ars__worker *worker = ars__worker_here();
    return worker ? worker->rt : NULL;
}

int ars_post(ars_runtime *rt, ars_fn *fn, void *arg)
{
    return rt ? ars__task_go(rt->root_group, fn, arg, NULL, 0, NULL) : ARS_EINVAL;
}

int ars_stats(ars_run_stats *stats)
{
    ars__worker *self = ars__worker_here();
    if (!self) return ARS_EINVAL;
    ars_runtime *rt = self->rt;
    ars_run_stats sum = {.workers = rt->n, .tasks = 1};
    uint64_t died = 0;
    for (uint32_t i = 0; i < rt->n; i++) {
        ars__worker *w = rt->workers[i];
        died += __atomic_load_n(&w->died, __ATOMIC_ACQUIRE);
        sum.tasks += __atomic_load_n(&w->born, __ATOMIC_RELAXED);
        sum.started += __atomic_load_n(&w->started, __ATOMIC_RELAXED);
        sum.switches += __atomic_load_n(&w->switches, __ATOMIC_RELAXED);
        ars__stack_stats stacks = ars__stack_pool_stats(w->stacks);
        sum.stacks += stacks.in_use - (__atomic_load_n(&w->spare, __ATOMIC_RELAXED) != NULL);
        sum.guards_light += stacks.guard_light;
        sum.guards_protect += stacks.guard_protect;
        sum.guards_canary += stacks.guard_canary;
        sum.smashed += stacks.smashed;
        const ars__poller *poller = __atomic_load_n(&w->poller, __ATOMIC_ACQUIRE);
        if (!poller) continue;
        sum.operations += poller->ops->in_flight(poller);
        sum.backend = poller->ops->name;
    }
    sum.tasks += ars_atomic_u64_load_relaxed(&rt->born_outside) - died;
    sum.smashed += ars_atomic_u64_load_relaxed(&rt->smashed);
    ars__stack_sum(rt, &sum);
    *stats = sum;
    return 0;
}

void ars__worker_report(ars__worker *worker, const char *format, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ars__report(worker->rt, "%s", line);
}
