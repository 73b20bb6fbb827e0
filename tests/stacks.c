/* SPDX-License-Identifier: MIT */
/* Stacks of tasks: their sizes, how deep they are used, and where they go back to. */
#define _GNU_SOURCE
#include <arsenal/coro.h>
#include <arsenal/event.h>
#include <arsenal/sem.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fault.h"
#include "os/os.h"
#include "run/sched.h"
#include "world.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

/* What a frame of the test itself, and the runtime below it, may take of a stack. */
enum { ROOM = ARS__ASAN || ARS__TSAN ? 6 * KIB : 3 * KIB };

static ars__stack my_stack(void)
{
    return ars__stack_at(ars__task_stack_top(ars__task_self()));
}

/* Writes to each page of 'bytes' bytes of the caller's stack. */
static ARS__NOINLINE int dig(size_t bytes)
{
    volatile char *hole = __builtin_alloca(bytes);
    for (size_t i = 0; i < bytes; i += 512) hole[i] = 1;
    return hole[bytes / 2 & ~(size_t)511] - 1;
}

/* ---- sizes ---- */

static const struct size_row {
    size_t asked, given;
} size_rows[] = {
    {0, 64 * KIB},
    {ARS_STACK_MIN, 16 * KIB},
    {16 * KIB, 16 * KIB},
    {16 * KIB + 1, 64 * KIB},
    {64 * KIB, 64 * KIB},
    {64 * KIB + 1, 256 * KIB},
    {256 * KIB, 256 * KIB},
    {257 * KIB, MIB},
    {MIB, MIB},
    {MIB + 1, 8 * MIB},
    {ARS_STACK_MAX, 8 * MIB},
};
enum { SIZES = sizeof size_rows / sizeof size_rows[0] };

static int digs_all(void *arg)
{
    const struct size_row *row = arg;
    ars__stack stack = my_stack();
    size_t size = (size_t)(stack.top - stack.low);
    CHECK(size <= row->given && size >= row->given - ARS__STACK_TAKEN);
    CHECK_EQ(ars__os_guard_probe(stack.low), 0);
    CHECK_EQ(ars__os_guard_probe(stack.low - 1), 1);
    CHECK_EQ(ars_yield(), 0);
    return dig(row->given - ARS__STACK_TAKEN - ROOM);
}

static int each_size(void *arg)
{
    (void)arg;
    ars_group group;
    ars_run_stats stats;
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
        for (int i = 0; i < 3 * SIZES; i++) {
            ars_task_opt opt = {.stack = size_rows[i % SIZES].asked};
            CHECK_EQ(ars_group_go(&group, digs_all, (void *)&size_rows[i % SIZES], &opt), 0);
        }
        CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(ars_stats(&stats), 0);
        CHECK_EQ(stats.stacks, 3 * SIZES);
        CHECK(stats.guards_light + stats.guards_protect >= 3 * SIZES);
        CHECK_EQ(stats.guards_canary, 0);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0); /* the worker has come to rest */
        CHECK_EQ(ars_stats(&stats), 0);
        CHECK(stats.stacks <= 1); /* the one that it rests on */
    }
    return 0;
}

static void sizes(void)
{
    world_run(each_size, 0);
}

static int never(void *arg)
{
    (void)arg;
    FAIL("it runs");
}

static int asks_for_nonsense(void *arg)
{
    (void)arg;
    static const size_t bad[] = {1, 64, ARS_STACK_MIN - 1, ARS_STACK_MAX + 1, SIZE_MAX};
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ars_task_opt opt = {.stack = bad[i]};
        CHECK_EQ(ars_group_go(&group, never, NULL, &opt), ARS_EINVAL);
        CHECK_EQ(ars_group_go(NULL, never, NULL, &opt), ARS_EINVAL);
    }
    ars_task_opt opt = {.ars__reserved = {0, 0, 1}};
    CHECK_EQ(ars_group_go(&group, never, NULL, &opt), ARS_EINVAL);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void bad_sizes(void)
{
    world_run(asks_for_nonsense, 0);
}

static volatile int deep_enough;

static ARS__NOINLINE int digs_on(void)
{
    volatile char frame[512];
    frame[0] = 1;
    return deep_enough ? 0 : digs_on() + frame[0];
}

static int overflows(void *arg)
{
    (void)arg;
    return digs_on();
}

static int starts_overflow(void *arg)
{
    ars_group group;
    ars_task_opt opt = {.name = "digger", .stack = *(size_t *)arg};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, overflows, NULL, &opt), 0);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void overflow_child(void *size)
{
    CHECK_EQ(ars_overflow_install(), 0);
    ars_run(starts_overflow, size, NULL);
}

static void overflow_of_each_size(void)
{
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("sanitizers handle SIGSEGV themselves");
        return;
    }
    for (int i = 0; i < SIZES; i++) {
        size_t size = size_rows[i].asked;
        test_end end = test_child(overflow_child, &size);
        CHECK_EQ(end.signal, SIGSEGV);
        CHECK(strstr(end.err, "overflow") && strstr(end.err, "'digger'"));
    }
}

/* ---- no room ---- */

static int waits_for(void *event)
{
    int rc = ars_event_wait(event, ARS_FOREVER);
    return rc < 0 ? rc : dig(4 * KIB);
}

/* As many as there is address space for: each that was started gets its stack, all at the same time. */
static int fills_up(void *arg)
{
    size_t most = *(size_t *)arg;
    ars_group group;
    ars_event event = {0};
    for (int round = 0; round < 2; round++) {
        ars_task_opt opt = {.stack = round == 0 ? 8 * MIB : 200 * KIB};
        size_t n = 0;
        int rc = 0;
        ars_event_reset(&event);
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        while (n < most && (rc = ars_group_go(&group, waits_for, &event, &opt)) == 0) n++;
        CHECK_EQ(rc, ARS_ENOMEM);
        CHECK(n > 0);
        CHECK_EQ(ars_group_wait(&group, 0), ARS_ETIMEDOUT);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        ars_event_set(&event);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ENOMEM); /* the go that failed counts */
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        CHECK_EQ(ars_group_go(&group, waits_for, &event, &opt), 0); /* there is room again */
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    }
    return 0;
}

/* With all stacks but one in use a task gets that, wherever the worker keeps it. */
static int takes_the_last(void *arg)
{
    (void)arg;
    ars_group group, last;
    ars_event events[2] = {{0}, {0}};
    uint32_t n = 0;
    int rc;
    fault_at("reserve", 1, ARS_ENOMEM, -1);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, waits_for, &events[0], NULL), 0);
    while ((rc = ars_group_go(&group, waits_for, &events[1], NULL)) == 0) n++;
    CHECK_EQ(rc, ARS_ENOMEM);
    CHECK(n > 200);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    for (int i = 0; i < 3; i++) {
        ars_event_set(&events[0]);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0); /* one has ended */
        CHECK_EQ(ars_group_init(&last, NULL, ARS_COLLECT), 0);
        ars_task_opt opt = {.flags = i == 1 ? 0 : ARS_TASK_FPENV};
        CHECK_EQ(ars_group_go(&last, waits_for, &events[0], &opt), 0);
        CHECK_EQ(ars_group_wait(&last, ARS_FOREVER), 0);
    }
    fault_reset();
    ars_event_set(&events[1]);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ENOMEM);
    return 0;
}

static void last_stack(void)
{
    ars_config config = {.workers = 1};
    if (ARS__TSAN) {
        test_skipped("gcc's ThreadSanitizer dies of so many fibers");
        return;
    }
    CHECK_EQ(ars_run(takes_the_last, NULL, &config), 0);
}

static void in_little_space(void *arg)
{
    (void)arg;
    struct rlimit limit = {(rlim_t)3 << 30, (rlim_t)3 << 30};
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    size_t most = 100000;
    for (unsigned workers = 1; workers <= 2; workers++) {
        ars_config config = {.workers = workers};
        CHECK_EQ(ars_run(fills_up, &most, &config), 0);
    }
    limit.rlim_cur = (rlim_t)100 << 20;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    ars_config config = {.workers = 200};
    CHECK_EQ(ars_run(fills_up, &most, &config), ARS_ENOMEM);
}

static void no_address_space(void)
{
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("sanitizers need address space");
        return;
    }
    test_end end = test_child(in_little_space, NULL);
    if (end.status || end.signal) FAIL("status %d, signal %d: %s", end.status, end.signal, end.err);
}

/* With every mapping that the kernel allows in use: an error, or stacks in what is mapped already. */
static int in_what_is_mapped(void *arg)
{
    (void)arg;
    size_t page = ars__os_page_size(), n = 0;
    char *all =
        mmap(NULL, page << 18, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(all != MAP_FAILED);
    while (n < 1 << 18 && mprotect(all + n * page, page, PROT_READ) == 0) n += 2;
    if (n >= 1 << 18) {
        test_skipped("no limit of mappings here");
        munmap(all, page << 18);
        return 0;
    }
    ars_group group;
    ars_event event = {0};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 100; i++) CHECK_EQ(ars_group_go(&group, waits_for, &event, NULL), 0);
    /* The kernel lets one more be mapped, which is room for one size. */
    static const size_t asked[] = {16 * KIB, 256 * KIB, MIB, 8 * MIB};
    int refused = 0;
    for (int i = 0; i < 4; i++) {
        ars_task_opt opt = {.stack = asked[i]};
        int rc = ars_group_go(&group, waits_for, &event, &opt);
        if (rc < 0) CHECK_EQ(rc, ARS_ENOMEM);
        refused += rc < 0;
    }
    CHECK(refused >= 2);
    CHECK_EQ(ars_yield(), 0);
    ars_event_set(&event);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ENOMEM);
    munmap(all, page << 18);
    return 0;
}

static void no_mappings_child(void *protect)
{
    if (*(int *)protect) fault_at("guard_light", 1, ARS_EINVAL, -1);
    ars_config config = {.workers = 1};
    CHECK_EQ(ars_run(in_what_is_mapped, protect, &config), 0);
}

static void no_mappings(void)
{
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("sanitizers need mappings");
        return;
    }
    for (int protect = 0; protect < 2; protect++) {
        test_end end = test_child(no_mappings_child, &protect);
        if (end.status || end.signal)
            FAIL("status %d, signal %d: %s", end.status, end.signal, end.err);
    }
}

/* ---- home again ---- */

static ars_atomic_u32 over;

static int comes_round(void *arg)
{
    (void)arg;
    while (!ars_atomic_u32_load_relaxed(&over))
        CHECK_EQ(ars_sleep(ars_after(200 * ARS_MICROSECOND)), 0);
    return 0;
}

static int wanders(void *smash)
{
    for (int i = 0; i < 20; i++) {
        int rc = i % 5 ? ars_yield() : ars_sleep(ars_after(20 * ARS_MICROSECOND));
        if (rc < 0) return rc;
    }
    if (smash) my_stack().low[-1] = 0;
    return 0;
}

static uint64_t in_use_of(const ars_runtime *rt, uint32_t i)
{
    ars__stack_stats stats = ars__stack_pool_stats(rt->workers[i]->stacks);
    return stats.in_use - (__atomic_load_n(&rt->workers[i]->spare, __ATOMIC_RELAXED) != NULL);
}

/* The tasks that stay on each worker have one stack of its pool; nobody else has any. */
static void all_are_home(uint64_t smashed)
{
    ars_runtime *rt = ars_runtime_self();
    ars_time limit = ars_after(20 * ARS_SECOND);
    for (;;) {
        int home = 1;
        for (uint32_t i = 0; i < rt->n; i++) home &= in_use_of(rt, i) == 1;
        for (unsigned i = 1; i < ARS__STACK_CLASSES; i++)
            home &= ars_atomic_u64_load_acquire(&rt->sized[i].promised) == 0;
        if (home) {
            ars_run_stats stats;
            CHECK_EQ(ars_stats(&stats), 0);
            CHECK_EQ(stats.smashed, smashed);
            return;
        }
        CHECK(ars_now() < limit);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    }
}

static int wander_and_return(void *arg)
{
    int canary = arg != NULL;
    enum { N = 405 };
    ars_group group, residents;
    ars_runtime *rt = ars_runtime_self();
    uint64_t smashed = 0;
    ars_atomic_u32_store_relaxed(&over, 0);
    CHECK_EQ(ars_group_init(&residents, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 1; i <= rt->n; i++) {
        ars_task_opt opt = {.home = i};
        CHECK_EQ(ars_group_go(&residents, comes_round, NULL, &opt), 0);
    }
    for (long round = 0; round < test_times(20, 5); round++) {
        CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
        for (int i = 0; i < N; i++) {
            int sized = i % 4 == 3, smash = canary && i % 101 == 0;
            ars_task_opt opt = {.flags = ARS_TASK_MIGRATES, .stack = sized ? 16 * KIB : 0};
            smashed += (uint64_t)smash;
            CHECK_EQ(ars_group_go(&group, wanders, smash ? &over : NULL, &opt), 0);
        }
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        all_are_home(smashed);
    }
    ars_atomic_u32_store_relaxed(&over, 1);
    return ars_group_wait(&residents, ARS_FOREVER);
}

/* 'arg' other than NULL: canaries are overwritten. */
static void run_on(unsigned workers, ars_fn *fn, void *arg)
{
    static world w;
    world_begin(&w);
    w.config.workers = workers;
    CHECK_EQ(ars_run(fn, arg, &w.config), 0);
    test_gate_end(&w.gate, 4 * ((long)workers - 1)); /* the C library keeps the threads' stacks */
    if (arg)
        CHECK(strncmp(w.reports, "a task has overflowed its stack", 31) == 0);
    else
        CHECK_STR(w.reports, "");
}

static void back_where_they_came_from(void)
{
    run_on(4, wander_and_return, NULL);
}

/* Each canary is looked at in the pool it belongs to: those that were overwritten are found, no others. */
static void canaries_that_wander(void)
{
    fault_at("guard_light", 1, ARS_EINVAL, -1);
    fault_at("guard_protect", 1, ARS_ENOMEM, -1);
    run_on(4, wander_and_return, &over);
    fault_reset();
}

/* ---- a task that has left its mail behind ---- */

enum { BEFORE, ELSEWHERE, AFTER, HOLDERS };
static ars_atomic_u32 holding[HOLDERS], released[HOLDERS];

static int holds(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    ars_atomic_u32_store_release(&holding[i], 1);
    while (!ars_atomic_u32_load_acquire(&released[i])) sched_yield();
    /* This is not the time for the worker to look around. */
    ars__san_ignore_begin();
    ars__worker_self()->tick = 10;
    ars__san_ignore_end();
    return 0;
}

static void until(const ars_atomic_u32 *flag, uint32_t value)
{
    while (ars_atomic_u32_load_acquire(flag) != value) sched_yield();
}

static ars_atomic_u32 waiting;
static ars_sem gate;

static int waits_at_gate(void *arg)
{
    (void)arg;
    ars_atomic_u32_add_acq_rel(&waiting, 1);
    return ars_sem_acquire(&gate, ARS_FOREVER);
}

static void go_at(ars_group *group, ars_fn *fn, uintptr_t arg, unsigned home, unsigned flags)
{
    ars_task_opt opt = {.home = home, .flags = flags};
    CHECK_EQ(ars_group_go(group, fn, (void *)arg, &opt), 0);
}

/*
 * 'n' tasks wait on the second worker.  While that is held by another task they
 * are woken, and one that will hold it again is sent after them: so they are
 * made ready, for anybody to take, and the worker is busy at once.  Now they
 * are cancelled, which is mail for the second worker.  The third takes them and
 * runs them to their ends, while their mail lies where they came from.
 */
static void leave_mail_behind(uint32_t n)
{
    ars_group group, holders;
    gate = (ars_sem){0};
    ars_atomic_u32_store_relaxed(&waiting, 0);
    for (int i = 0; i < HOLDERS; i++) {
        ars_atomic_u32_store_relaxed(&released[i], 0);
        ars_atomic_u32_store_relaxed(&holding[i], 0);
    }
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_init(&holders, NULL, ARS_COLLECT), 0);
    for (uint32_t i = 0; i < n; i++) go_at(&group, waits_at_gate, 0, 2, ARS_TASK_MIGRATES);
    until(&waiting, n);
    go_at(&holders, holds, BEFORE, 2, 0);
    go_at(&holders, holds, ELSEWHERE, 3, 0);
    until(&holding[BEFORE], 1);
    until(&holding[ELSEWHERE], 1);
    CHECK_EQ(ars_sem_release(&gate, n), 0);
    go_at(&holders, holds, AFTER, 2, 0);
    ars_atomic_u32_store_release(&released[BEFORE], 1);
    until(&holding[AFTER], 1);
    ars_group_cancel(&group, ARS_EIO);
    ars_atomic_u32_store_release(&released[ELSEWHERE], 1);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
    ars_atomic_u32_store_release(&released[AFTER], 1);
    CHECK_EQ(ars_group_wait(&holders, ARS_FOREVER), 0);
}

static int leaves_mail_behind(void *arg)
{
    (void)arg;
    for (long i = 0; i < test_times(1000, 50); i++) leave_mail_behind(1 + (uint32_t)(i % 3));
    /* More than a worker keeps to itself. */
    for (long i = 0; i < test_times(10, 1); i++) leave_mail_behind(ARS__DEQUE + 500);
    return 0;
}

static void mail_left_behind(void)
{
    run_on(3, leaves_mail_behind, NULL);
}

/* ---- how deep ---- */

static int digs_so_deep(void *arg)
{
    return dig((size_t)(uintptr_t)arg) | ars_yield();
}

static int digs_deeper(void *arg)
{
    return dig((size_t)(uintptr_t)arg + 20 * KIB) + ars_yield();
}

static int does_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static const ars_stack_use *use_of(const ars_stack_use *uses, int n, ars_fn *fn)
{
    for (int i = 0; i < n; i++)
        if (uses[i].fn == fn) return &uses[i];
    FAIL("not measured");
}

static int measures(void *arg)
{
    (void)arg;
    enum { N = 20, DEEP = 10 * KIB };
    ars_stack_use uses[4];
    ars_group group;
    CHECK_EQ(ars_stats_stacks(NULL, 0), 0);
    /* The stack of one that went deep serves others, which did not. */
    for (int round = 1; round <= 3; round++) {
        CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
        for (int i = 0; i < N; i++) {
            ars_task_opt opt = {.name = "a name that is longer than what there is room for",
                                .flags = i % 2 ? ARS_TASK_MIGRATES : ARS_TASK_FPENV,
                                .stack = i % 3 ? 0 : MIB};
            CHECK_EQ(ars_group_go(&group, digs_deeper, (void *)DEEP, &opt), 0);
            opt.name = "short";
            CHECK_EQ(ars_group_go(&group, digs_so_deep, (void *)DEEP, &opt), 0);
            CHECK_EQ(ars_group_go(&group, digs_so_deep, (void *)(5 * KIB), &opt), 0);
        }
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        ars_stack_use last = {0};
        for (int tries = 0; last.tasks < (uint64_t)(2 * N * round); tries++) {
            CHECK(tries < 10000); /* the last one's worker is leaving its stack */
            CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
            CHECK_EQ(ars_stats_stacks(uses, 4), 2);
            last = *use_of(uses, 2, digs_so_deep);
        }
        const ars_stack_use *deeper = use_of(uses, 2, digs_deeper);
        CHECK_STR(last.name, "short");
        CHECK_STR(deeper->name, "a name that is longer than what there i");
        CHECK(last.deepest >= DEEP && last.deepest <= DEEP + ROOM);
        CHECK(deeper->deepest >= DEEP + 20 * KIB && deeper->deepest <= DEEP + 20 * KIB + ROOM);
        CHECK(deeper->deepest - last.deepest >= 20 * KIB - 256);
        CHECK(deeper->deepest - last.deepest <= 20 * KIB + 256);
    }
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, does_nothing, NULL, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    ars_stack_use one = {0}, none = {0};
    for (int tries = 0; one.tasks == 0; tries++) {
        CHECK(tries < 10000);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        CHECK_EQ(ars_stats_stacks(uses, 4), 3);
        one = *use_of(uses, 3, does_nothing);
    }
    CHECK_EQ(one.deepest, 5 * KIB);
    CHECK_STR(one.name, "");
    one.fn = NULL;
    CHECK_EQ(ars_stats_stacks(&one, 1), 3);
    CHECK(one.fn != NULL);
    CHECK_EQ(ars_stats_stacks(&none, 0), 3);
    CHECK(none.fn == NULL);
    return 0;
}

static void measured(void)
{
    static world w;
    for (unsigned workers = 1; workers <= 3; workers += 2) {
        world_begin(&w);
        w.config.workers = workers;
        w.config.stack_use = 1;
        CHECK_EQ(ars_run(measures, NULL, &w.config), 0);
        test_gate_end(&w.gate,
                      4 * ((long)workers - 1)); /* the C library keeps the threads' stacks */
        CHECK_STR(w.reports, "");
    }
}

static int is_refused(void *arg)
{
    (void)arg;
    ars_stack_use use;
    CHECK_EQ(ars_stats_stacks(&use, 1), ARS_EINVAL);
    return 0;
}

static void not_measured(void)
{
    world_run(is_refused, 0);
    CHECK_EQ(is_refused(NULL), 0);
    ars_config config = {.stack_use = 2};
    CHECK_EQ(ars_run(is_refused, NULL, &config), ARS_EINVAL);
}

/* ---- what is given back to the kernel ---- */

static long resident(void)
{
    long total, pages;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld", &total, &pages) == 2);
    fclose(f);
    return pages * (long)ars__os_page_size();
}

static int digs_and_waits(void *arg)
{
    int rc = dig((size_t)(uintptr_t)arg);
    return rc < 0 ? rc : ars_sem_acquire(&gate, ARS_FOREVER);
}

static int gives_back(void *arg)
{
    const struct size_row *row = arg;
    enum { TOUCHED = 32 * MIB };
    uint32_t n = (uint32_t)(TOUCHED / row->given);
    ars_group group;
    ars_task_opt opt = {.stack = row->asked};
    gate = (ars_sem){0};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    long before = resident();
    for (uint32_t i = 0; i < n; i++)
        CHECK_EQ(ars_group_go(&group, digs_and_waits,
                              (void *)(row->given - ARS__STACK_TAKEN - ROOM), &opt),
                 0);
    CHECK_EQ(ars_yield(), 0);
    long during = resident();
    CHECK(during - before > TOUCHED / 2);
    CHECK_EQ(ars_sem_release(&gate, n), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0); /* it has nothing else to do */
    long after = resident();
    printf("  %zu KiB: %ld, %ld, %ld KiB\n", row->given / KIB, before / KIB, during / KIB,
           after / KIB);
    CHECK(during - after > TOUCHED / 2);
    CHECK(after - before < TOUCHED / 4);
    return 0;
}

static void memory_falls(void)
{
    static world w;
    if (ARS__TSAN) {
        test_skipped("ThreadSanitizer's own memory grows");
        return;
    }
    for (int i = 0; i < SIZES; i++) {
        world_begin(&w);
        w.config.workers = 1;
        w.config.strategy = ARS_MINIMAL_MEMORY;
        CHECK_EQ(ars_run(gives_back, (void *)&size_rows[i], &w.config), 0);
        test_gate_end(&w.gate, 0);
    }
}

/* ---- all at once ---- */

typedef struct mix {
    ars_group group;
    uint32_t seed;
} mix;

static int mixes(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    if (n % 3 && dig((n % 4 + 1) * KIB)) return ARS_EIO;
    if (n % 5 == 0) return ars_sleep(ars_after((int64_t)(n % 50) * ARS_MICROSECOND));
    return n % 2 ? ars_yield() : 0;
}

static int mix_some(mix *m, int n)
{
    for (int i = 0; i < n; i++) {
        m->seed = m->seed * 1664525 + 1013904223;
        uint32_t r = m->seed >> 8;
        ars_task_opt opt = {.stack = size_rows[r % SIZES].asked,
                            .flags = r & 1024 ? ARS_TASK_MIGRATES : 0};
        int rc = ars_group_go(&m->group, mixes, (void *)(uintptr_t)(r >> 4), &opt);
        if (rc < 0) return rc;
    }
    return 0;
}

static void *mixer_outside(void *arg)
{
    mix m = *(mix *)arg;
    m.seed = 99;
    CHECK_EQ(mix_some(&m, 2000), 0);
    return NULL;
}

static int mix_all(void *arg)
{
    (void)arg;
    mix m = {.seed = 7};
    pthread_t thread;
    ars_run_stats stats;
    CHECK_EQ(ars_group_init(&m.group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(pthread_create(&thread, NULL, mixer_outside, &m), 0);
    for (long i = 0; i < test_times(50, 10); i++) {
        CHECK_EQ(mix_some(&m, 200), 0);
        CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(ars_stats(&stats), 0);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return ars_group_wait(&m.group, ARS_FOREVER);
}

static void mixed(void)
{
    static world w;
    for (unsigned strategy = ARS_BALANCED; strategy <= ARS_MINIMAL_MEMORY; strategy += 3) {
        world_begin(&w);
        w.config.workers = 4;
        w.config.strategy = strategy;
        w.config.stack_use = strategy == ARS_BALANCED;
        CHECK_EQ(ars_run(mix_all, NULL, &w.config), 0);
        test_gate_end(&w.gate, 4 * 4); /* the C library keeps the threads' stacks and heaps */
        CHECK_STR(w.reports, "");
    }
}

static int mix_few(void *arg)
{
    (void)arg;
    mix m = {.seed = 3};
    int rc = ars_group_init(&m.group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    rc = mix_some(&m, 12);
    int waited = ars_group_wait(&m.group, ARS_FOREVER);
    return waited < 0 ? waited : rc;
}

static void exhausted(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = 1, .stack_use = 1};
    ars_run(mix_few, NULL, &config);
}

static void out_of_memory(void)
{
    sweep_alloc("stacks", exhausted);
}

static void system_fails(void)
{
    sweep_os("stacks", exhausted);
}

static const test_case cases[] = {
    {"sizes", sizes},
    {"bad sizes", bad_sizes},
    {"overflow of each size", overflow_of_each_size},
    {"last stack", last_stack},
    {"no address space", no_address_space},
    {"no mappings", no_mappings},
    {"back where they came from", back_where_they_came_from},
    {"canaries that wander", canaries_that_wander},
    {"mail left behind", mail_left_behind},
    {"measured", measured},
    {"not measured", not_measured},
    {"memory falls", memory_falls},
    {"mixed", mixed},
    {"out of memory", out_of_memory},
    {"system fails", system_fails},
};
TEST_MAIN(cases)
