/* SPDX-License-Identifier: MIT */
/* The threads behind blocking work: limits, those that cannot be had, those that end, the end of the runtime. */
#include "blocks.h"

/* ---- limits ---- */

enum { FULL = 3, CALLS = 24 };

typedef struct crowd {
    ars_atomic_u32 inside, most, done;
} crowd;

static void crowds(void *arg)
{
    crowd *c = arg;
    uint32_t n = ars_atomic_u32_add_acq_rel(&c->inside, 1) + 1;
    uint32_t most = seen(&c->most);
    while (n > most && !ars_atomic_u32_cas_acq_rel(&c->most, &most, n)) {}
    usleep(300);
    ars_atomic_u32_add_acq_rel(&c->inside, (uint32_t)-1);
    ars_atomic_u32_add_acq_rel(&c->done, 1);
}

static int joins_crowd(void *arg)
{
    return ars_block(crowds, arg, NULL, ARS_FOREVER);
}

static int keeps_limit(void *arg)
{
    (void)arg;
    crowd c = {0};
    crew group;
    crew_begin(&group);
    for (int i = 0; i < CALLS; i++) crew_task(&group, joins_crowd, &c);
    crew_end(&group);
    CHECK_EQ(seen(&c.done), CALLS);
    CHECK(seen(&c.most) > 1 && seen(&c.most) <= FULL);
    return 0;
}

static int looks_up(void *arg)
{
    return ars_block_in(ARS_BLOCK_DNS, hold, arg, NULL, ARS_FOREVER);
}

/* More sleepers than the class has threads: the others do not notice. */
static int classes_apart(void *arg)
{
    (void)arg;
    held h = {0};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < FULL + 2; i++) crew_task(&c, looks_up, &h);
    until(&h.begun, FULL);
    for (int i = 0; i < 100; i++) {
        held quick = {0};
        CHECK_EQ(ars_block_in(i & 1 ? ARS_BLOCK_FILE : ARS_BLOCK_DEFAULT, count_run, &quick, NULL,
                              ARS_FOREVER),
                 0);
        CHECK_EQ(seen(&quick.ran), 1);
    }
    CHECK_EQ(seen(&h.begun), FULL);
    ars_event_set(&h.go);
    crew_end(&c);
    CHECK_EQ(seen(&h.ran), FULL + 2);
    return 0;
}

/* ---- threads that cannot be had, and that end ---- */

static int no_threads(void *arg)
{
    (void)arg;
    for (int drops = 0; drops <= 1; drops++) {
        held h = {0};
        fault_at("thread_start", 1, ARS_EAGAIN, -1);
        int rc = ars_block(count_run, &h, drops ? count_drop : NULL, ARS_FOREVER);
        check_refused(rc, ARS_EAGAIN, &h, drops);
        fault_reset();
    }
    held h = {0}, second = {0};
    attempt a = {&h, NULL, 0, 0, {0}}, b = {&second, NULL, 0, 0, {0}};
    ars_event_set(&second.go);
    crew c;
    crew_begin(&c);
    crew_task(&c, attempts, &a);
    until(&h.begun, 1);
    /* There is one that will do it. */
    fault_at("thread_start", 1, ARS_EAGAIN, -1);
    crew_task(&c, attempts, &b);
    while (fault_hits("thread_start") == 0) CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(seen(&second.begun), 0);
    ars_event_set(&h.go);
    crew_end(&c);
    CHECK_EQ(seen(&second.ran), 1);
    fault_reset();
    return 0;
}

/*
 * Two tasks start a thread each at the same time, and neither can: whoever fails
 * first counts on the other, which then fails for both.
 */
static ars_atomic_u32 stall;

static void *stall_alloc(void *ctx, size_t size, size_t align)
{
    const ars_alloc *base = ctx;
    if (ars_atomic_u32_swap_seq_cst(&stall, 0))
        while (fault_hits("thread_start") == 0) usleep(100);
    return base->alloc(base->ctx, size, align);
}

static void *stall_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    const ars_alloc *base = ctx;
    return base->resize(base->ctx, p, old, size, align);
}

static void stall_free(void *ctx, void *p, size_t size, size_t align)
{
    const ars_alloc *base = ctx;
    base->free(base->ctx, p, size, align);
}

static int starts_too(void *arg)
{
    held h = {0};
    ars_atomic_u32 *ready = arg;
    /* Both live, so the next to allocate is one of them, for its thread. */
    if (ars_atomic_u32_add_acq_rel(ready, 1) == 1) {
        ars_atomic_u32_store_release(&stall, 1);
        ars_atomic_u32_add_acq_rel(ready, 1);
    }
    while (seen(ready) < 3) CHECK_EQ(ars_yield(), 0);
    check_refused(ars_block(count_run, &h, NULL, ARS_FOREVER), ARS_EAGAIN, &h, 0);
    return 0;
}

static int start_together(void *arg)
{
    (void)arg;
    ars_atomic_u32 ready = {0};
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    fault_at("thread_start", 1, ARS_EAGAIN, -1);
    for (unsigned home = 1; home <= 2; home++)
        CHECK_EQ(ars_group_go(&group, starts_too, &ready, &(ars_task_opt){.home = home}), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    ars_atomic_u32_store_release(&stall, 0);
    fault_reset();
    return 0;
}

static void case_start_together(void)
{
    static world w;
    world_begin(&w);
    ars_alloc stalling = {stall_alloc, stall_resize, stall_free, &w.tracker.alloc};
    w.config.alloc = &stalling;
    w.config.workers = 2;
    CHECK_EQ(ars_run(start_together, NULL, &w.config), 0);
    test_gate_end(&w.gate, 4);
    CHECK_STR(w.reports, "");
}

/* No thread is idle for long: each call needs a new one. */
static int idle_threads_end(void *arg)
{
    (void)arg;
    fault_reset();
    fault_at("futex_wait", 1, ARS_ETIMEDOUT, -1);
    while (fault_counts("thread_start") < 20) {
        held h = {0};
        CHECK_EQ(ars_block(count_run, &h, NULL, ARS_FOREVER), 0);
        CHECK_EQ(seen(&h.ran), 1);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
    }
    CHECK(fault_counts("thread_join") > 0);
    fault_reset();
    return 0;
}

/* ---- the end of the runtime ---- */

static held left;

static void ends_late(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->begun, 1);
    usleep(20000);
    ars_atomic_u32_add_acq_rel(&h->ran, 1);
}

static int leaves_work_of(void (*fn)(void *))
{
    memset(&left, 0, sizeof left);
    while (seen(&left.begun) == 0)
        CHECK_EQ(ars_block_in(ARS_BLOCK_FILE, fn, &left, count_drop, ars_after(ARS_MILLISECOND)),
                 ARS_ETIMEDOUT);
    return 0;
}

static int leaves_late(void *arg)
{
    (void)arg;
    return leaves_work_of(ends_late);
}

static void case_within_the_grace(void)
{
    static world w;
    world_begin(&w);
    w.config.grace = 10 * ARS_SECOND;
    CHECK_EQ(ars_run(leaves_late, NULL, &w.config), 0);
    CHECK_EQ(seen(&left.ran), 1);
    CHECK(seen(&left.dropped) >= 1);
    test_gate_end(&w.gate, 4);
    CHECK_STR(w.reports, "");
}

static int leaves_held(void *arg)
{
    (void)arg;
    return leaves_work_of(hold);
}

static int leaves_waiting(void *arg)
{
    memset(&left, 0, sizeof left);
    (void)arg;
    static attempt a = {&left, NULL, 0, 0, {0}};
    CHECK_EQ(ars_group_go(NULL, attempts, &a, &(ars_task_opt){.name = "mule"}), 0);
    until(&left.begun, 1);
    return 0;
}

static int blocks_once(void *arg)
{
    held h = {0};
    (void)arg;
    CHECK_EQ(ars_block(count_run, &h, NULL, ARS_FOREVER), 0);
    CHECK_EQ(seen(&h.ran), 1);
    return 0;
}

static void busy_child(void *arg)
{
    ars_fn *fn = arg ? leaves_waiting : leaves_held;
    static world w;
    world_begin(&w);
    w.config.grace = 5 * ARS_MILLISECOND;
    CHECK_EQ(ars_run(fn, NULL, &w.config), ARS_EBUSY);
    if (arg) {
        CHECK(strstr(w.reports, "'mule' was left behind in block"));
        CHECK(!strstr(w.reports, "blocking work"));
    } else {
        CHECK(strstr(w.reports, "blocking work"));
        CHECK(strstr(w.reports, "(file)"));
    }
    /* What is left behind is dropped all the same. */
    uint32_t before = seen(&left.dropped);
    CHECK_EQ(seen(&left.ran), 0);
    ars_event_set(&left.go);
    while (seen(&left.ran) == 0) usleep(100);
    while (!arg && seen(&left.dropped) != before + 1) usleep(100);
    CHECK_EQ(ars_run(blocks_once, NULL, NULL), 0);
}

static void case_left_busy(void)
{
    for (int waits = 0; waits <= 1; waits++) {
        test_end end = test_child(busy_child, waits ? &left : NULL);
        if (end.signal || end.status) FAIL("%s", end.err);
    }
}

/* Hundreds of runtimes that end while work is in all states. */
static int ends_in_between(void *arg)
{
    static fates all;
    (void)arg;
    for (int i = 0; i < 4; i++) CHECK_EQ(ars_group_go(NULL, tempts_fate, &all, NULL), 0);
    return ars_sleep(ars_after(ARS_MILLISECOND / 2));
}

static void case_ends_in_between(void)
{
    for (long i = 0; i < test_times(200, 30); i++) {
        ars_config config = {.workers = 2, .block_limits = {3}, .grace = 30 * ARS_SECOND};
        CHECK_EQ(ars_run(ends_in_between, NULL, &config), 0);
    }
}

static int never(void *arg)
{
    (void)arg;
    return 0;
}

static void case_bad_config(void)
{
    ars_config config = {.workers = 1, .stack_use = 2};
    CHECK_EQ(ars_run(never, NULL, &config), ARS_EINVAL);
}

/* ---- all of them ---- */

LIMITED(keeps_limit, 2, FULL, FULL)
LIMITED(classes_apart, 1, FULL, 3 * FULL)
LIMITED(no_threads, 1, 0, 2)
LIMITED(idle_threads_end, 1, 0, 20)

static const test_case cases[] = {
    {"a class keeps its limit", case_keeps_limit},
    {"a full class stops no other", case_classes_apart},
    {"no threads", case_no_threads},
    {"no threads for two at the same time", case_start_together},
    {"idle threads end", case_idle_threads_end},
    {"work that ends within the grace", case_within_the_grace},
    {"work and waits that do not", case_left_busy},
    {"runtimes that end in between", case_ends_in_between},
    {"reserved fields", case_bad_config},
};

TEST_MAIN(cases)
