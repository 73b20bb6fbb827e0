/* SPDX-License-Identifier: MIT */
/* Several workers: stealing, waking across, cancelling across, pinning, moving, beginning and end. */
#include <pthread.h>
#include <unistd.h>

#include "base/san.h"
#include "fault.h"
#include "world.h"

static world w;
static ars_atomic_i64 sum;

static long total(void)
{
    return (long)ars_atomic_i64_load_relaxed(&sum);
}

/* In a runtime with 'workers' workers; what it leaves behind is looked for. */
static void run_with(unsigned workers, ars_fn *fn, void *arg)
{
    world_begin(&w);
    w.config.workers = workers;
    ars_atomic_i64_store_relaxed(&sum, 0);
    CHECK_EQ(ars_run(fn, arg, &w.config), 0);
    test_gate_end(&w.gate,
                  4 * ((long)workers - 1)); /* the C library keeps the threads' stacks and heaps */
    CHECK_STR(w.reports, "");
}

/* ---- trees ---- */

typedef struct node {
    long first, size;
} node;

static int tree(void *arg)
{
    node *n = arg, below[10];
    if (n->size == 1) {
        ars_atomic_i64_add_relaxed(&sum, n->first);
        return 0;
    }
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < 10; i++) {
        below[i] = (node){n->first + i * (n->size / 10), n->size / 10};
        CHECK_EQ(ars_group_go(&group, tree, &below[i], NULL), 0);
    }
    int rc = ars_group_wait(&group, ARS_FOREVER);
    CHECK_EQ(rc, 0);
    return 0;
}

static void trees(void)
{
    static node top;
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        top = (node){0, test_times(100000, 10000)};
        run_with(workers, tree, &top);
        CHECK_EQ(total(), top.size * (top.size - 1) / 2);
    }
}

/* ---- started tasks stay, new ones are spread ---- */

static int stays(void *arg)
{
    (void)arg;
    pthread_t here = pthread_self();
    for (int i = 0; i < 20; i++) {
        CHECK(ars_sleep(ars_after(i % 3 * 20 * ARS_MICROSECOND)) == 0);
        CHECK(pthread_equal(here, pthread_self()));
    }
    ars_atomic_i64_add_relaxed(&sum, 1);
    return 0;
}

static int many_stay(void *arg)
{
    (void)arg;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < 2000; i++) CHECK_EQ(ars_group_go(&group, stays, NULL, NULL), 0);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void started_tasks_stay(void)
{
    run_with(4, many_stay, NULL);
    CHECK_EQ(total(), 2000);
}

static int on_worker(void *where)
{
    ars_atomic_u64 *threads = where;
    uint64_t me = (uint64_t)pthread_self(), there;
    /* All pinned to one worker meet on one thread. */
    while ((there = ars_atomic_u64_load_relaxed(threads)) != 0 && there != me) threads++;
    ars_atomic_u64_store_relaxed(threads, me);
    CHECK_EQ(ars_yield(), 0);
    ars_atomic_i64_add_relaxed(&sum, 1);
    return 0;
}

static int pinned(void *arg)
{
    (void)arg;
    static ars_atomic_u64 threads[4][32];
    ars_group group;
    memset(threads, 0, sizeof threads);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 0; i < 400; i++) {
        ars_task_opt opt = {.home = i % 4 + 1};
        CHECK_EQ(ars_group_go(&group, on_worker, threads[i % 4], &opt), 0);
    }
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    uint64_t id[4];
    for (int i = 0; i < 4; i++) {
        id[i] = ars_atomic_u64_load_relaxed(&threads[i][0]);
        CHECK(id[i] != 0 && ars_atomic_u64_load_relaxed(&threads[i][1]) == 0);
        for (int k = 0; k < i; k++) CHECK(id[i] != id[k]);
    }
    CHECK(id[0] == (uint64_t)pthread_self());
    ars_task_opt bad = {.home = 5};
    CHECK_EQ(ars_group_go(NULL, on_worker, NULL, &bad), ARS_EINVAL);
    return 0;
}

static void home(void)
{
    run_with(4, pinned, NULL);
    CHECK_EQ(total(), 400);
}

static int moves(void *arg)
{
    for (int i = 0; i < 50; i++) {
        int rc = i % 7 ? ars_yield() : ars_sleep(ars_after(30 * ARS_MICROSECOND));
        if (rc < 0) return rc;
    }
    ars_atomic_i64_add_relaxed(&sum, 1);
    return arg ? ars_sleep(ARS_FOREVER) : 0;
}

static int movers(void *arg)
{
    (void)arg;
    ars_group group;
    ars_task_opt opt = {.flags = ARS_TASK_MIGRATES};
    for (int wait = 0; wait < 2; wait++) {
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        for (int i = 0; i < 500; i++)
            CHECK_EQ(ars_group_go(&group, moves, wait ? &group : NULL, &opt), 0);
        /* The second time they wait to be cancelled, wherever they are by then. */
        while (total() < 500 * (wait + 1)) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        if (wait) ars_group_cancel(&group, ARS_EIO);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), wait ? ARS_EIO : 0);
    }
    return 0;
}

static void migrating(void)
{
    run_with(4, movers, NULL);
    CHECK_EQ(total(), 1000);
}

/* ---- cancelling across workers ---- */

static int hangs(void *arg)
{
    int rc = ars_sleep(ARS_FOREVER);
    CHECK_EQ(rc, ARS_ECANCELED);
    CHECK_EQ(ars_cancel_reason(), (int)(intptr_t)arg);
    ars_atomic_i64_add_relaxed(&sum, 1);
    return rc;
}

static int hangs_below(void *arg)
{
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_group_go(&group, hangs, arg, NULL), 0);
    int rc = ars_group_wait(&group, ARS_FOREVER);
    CHECK_EQ(rc, ARS_ECANCELED);
    return rc;
}

static int cancels(void *arg)
{
    (void)arg;
    for (long i = 0; i < test_times(2000, 200); i++) {
        ars_group group;
        long before = total();
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        for (int k = 0; k < 4; k++)
            CHECK_EQ(ars_group_go(&group, hangs_below, (void *)(intptr_t)ARS_EIO, NULL), 0);
        /* At any stage: before they run, while they start, when they wait. */
        for (int k = (int)(i % 5); k > 0; k--) ars_yield();
        if (i % 3 == 0) CHECK_EQ(ars_sleep(ars_after((i % 7) * 5 * ARS_MICROSECOND)), 0);
        ars_group_cancel(&group, ARS_EIO);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
        CHECK_EQ(total(), before + 12);
    }
    return 0;
}

static void cancel_everywhere(void)
{
    for (unsigned workers = 1; workers <= 4; workers++) run_with(workers, cancels, NULL);
}

/* The deadline of a wait and the end of its last child at the same time. */
static int ends_soon(void *arg)
{
    int rc = ars_sleep(ars_after((ars_time)(intptr_t)arg));
    return rc == ARS_ECANCELED ? rc : 0;
}

static int close_calls(void *arg)
{
    (void)arg;
    for (long i = 0; i < test_times(5000, 500); i++) {
        ars_group group;
        ars_time span = 65536 + i % 11 * 7000;
        ars_task_opt opt = {.home = (unsigned)(i % 4) + 1};
        CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
        CHECK_EQ(ars_group_go(&group, ends_soon, (void *)(intptr_t)span, &opt), 0);
        int rc = ars_group_wait(&group, ars_after(65536 + i % 13 * 6000));
        CHECK(rc == 0 || rc == ARS_ETIMEDOUT);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EINVAL);
    }
    return 0;
}

static void deadline_and_end(void)
{
    run_with(4, close_calls, NULL);
}

/* ---- on the stack, gone when the wait returns ---- */

static int adds(void *arg)
{
    ars_atomic_i64_add_relaxed(arg, 1);
    return 0;
}

static ARS__NOINLINE void one_group(unsigned home_of_child)
{
    struct {
        ars_group group;
        ars_atomic_i64 n;
    } mine = {.n = {0}};
    ars_task_opt opt = {.home = home_of_child};
    CHECK_EQ(ars_group_init(&mine.group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&mine.group, adds, &mine.n, &opt), 0);
    CHECK_EQ(ars_group_go(&mine.group, adds, &mine.n, NULL), 0);
    CHECK_EQ(ars_group_wait(&mine.group, ARS_FOREVER), 0);
    CHECK_EQ(ars_atomic_i64_load_relaxed(&mine.n), 2);
    memset(&mine, 0xa5, sizeof mine);
    __asm__ volatile("" ::"r"(&mine) : "memory");
}

static int across(void *arg)
{
    (void)arg;
    for (long i = 0; i < test_times(100000, 5000); i++) one_group(2);
    return 0;
}

static void gone_after_the_wait(void)
{
    run_with(2, across, NULL);
}

/* ---- beginning and end ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int leaves_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK_EQ(ars_group_go(NULL, i % 2 ? hangs : nothing, (void *)(intptr_t)ARS_ECANCELED, NULL),
                 0);
    if (total() % 2) ars_yield();
    return 0;
}

static void start_and_stop(void)
{
    ars_config config = {.workers = 3};
    for (long i = 0; i < test_times(5000, 300); i++) CHECK_EQ(ars_run(nothing, NULL, &config), 0);
}

static void cancel_during_shutdown(void)
{
    ars_config config = {.workers = 3};
    ars_atomic_i64_store_relaxed(&sum, 0);
    for (long i = 1; i <= test_times(5000, 300); i++) {
        CHECK_EQ(ars_run(leaves_some, NULL, &config), 0);
        CHECK_EQ(total(), 2 * i);
    }
}

static void bad_configs(void)
{
    static const unsigned char strategies[] = {ARS_LATENCY, ARS_MINIMAL_MEMORY, 9};
    ars_config config = {.workers = 10000};
    CHECK_EQ(ars_run(nothing, NULL, &config), ARS_EINVAL);
    config.workers = ARS_WORKERS_MAX + 1;
    CHECK_EQ(ars_run(nothing, NULL, &config), ARS_EINVAL);
    config = (ars_config){.strategy = 4};
    CHECK_EQ(ars_run(nothing, NULL, &config), ARS_EINVAL);
    config = (ars_config){.strategies = strategies};
    CHECK_EQ(ars_run(nothing, NULL, &config), ARS_EINVAL); /* for how many? */
    config = (ars_config){.workers = 3, .strategies = strategies};
    CHECK_EQ(ars_run(nothing, NULL, &config), ARS_EINVAL);
    config.workers = 2;
    CHECK_EQ(ars_run(nothing, NULL, &config), 0);
}

static int workers_of(void *arg)
{
    (void)arg;
    ars_run_stats stats;
    CHECK_EQ(ars_stats(&stats), 0);
    return (int)stats.workers;
}

static void each_strategy(void)
{
    static node top;
    for (unsigned strategy = ARS_BALANCED; strategy <= ARS_MINIMAL_MEMORY; strategy++) {
        world_begin(&w);
        w.config.workers = 2;
        w.config.strategy = strategy;
        ars_atomic_i64_store_relaxed(&sum, 0);
        top = (node){0, 10000};
        CHECK_EQ(ars_run(tree, &top, &w.config), 0);
        test_gate_end(&w.gate, 4);
        CHECK_EQ(total(), top.size * (top.size - 1) / 2);
    }
    CHECK(ars_run(workers_of, NULL, NULL) >= 1);
}

/* ---- exhaustion ---- */

static int some_tree(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    ars_group group;
    if (depth == 0) return ars_sleep(ars_after(100 * ARS_MICROSECOND));
    int rc = ars_group_init(&group, NULL, (unsigned)depth % 3);
    if (rc < 0) return rc;
    for (int i = 0; i < 5 && rc == 0; i++) {
        ars_task_opt opt = {.home = i == 4 ? 2 : 0};
        rc = ars_group_go(&group, some_tree, (void *)(depth - 1), &opt);
    }
    int waited = ars_group_wait(&group, ARS_FOREVER);
    return waited < 0 ? waited : rc;
}

static void exhausted(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = 2};
    ars_run(some_tree, (void *)4, &config);
}

static void out_of_memory(void)
{
    exhausted(NULL); /* the C library keeps the first thread's stack and heap */
    sweep_alloc("workers", exhausted);
}

static void system_fails(void)
{
    exhausted(NULL);
    sweep_os("workers", exhausted);
}

static const test_case cases[] = {
    {"trees", trees},
    {"started tasks stay", started_tasks_stay},
    {"home", home},
    {"migrating", migrating},
    {"cancel everywhere", cancel_everywhere},
    {"deadline and end", deadline_and_end},
    {"gone after the wait", gone_after_the_wait},
    {"start and stop", start_and_stop},
    {"cancel during shutdown", cancel_during_shutdown},
    {"bad configs", bad_configs},
    {"each strategy", each_strategy},
    {"out of memory", out_of_memory},
    {"system fails", system_fails},
};
TEST_MAIN(cases)
