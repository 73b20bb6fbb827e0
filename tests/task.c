/* SPDX-License-Identifier: MIT */
/* Tasks: order, yielding, sleeping, the budget, names, flags, fork. */
#include <arsenal/coro.h>
#include <fenv.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/san.h"
#include "fault.h"
#include "trail.h"
#include "world.h"

/* ---- yield ---- */

static int three_times(void *name)
{
    for (int i = 0; i < 3; i++) {
        note(*(char *)name);
        CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static int yield_takes_turns(void *arg)
{
    (void)arg;
    ars_group group;
    trail[0] = '\0';
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, three_times, "a", NULL), 0);
    CHECK_EQ(ars_yield(), 0); /* a task that was started runs before the yielder goes on */
    CHECK_STR(trail, "a");
    CHECK_EQ(ars_group_go(&group, three_times, "b", NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_STR(trail + 1, strcmp(trail, "aababb") == 0 ? "ababb" : "babab");
    return 0;
}

static int yields_cancelled(void *arg)
{
    int *turns = arg;
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_yield(), ARS_ECANCELED);
    CHECK_EQ(ars_yield(), ARS_ECANCELED); /* again and again */
    ++*turns;
    return 0;
}

static int cancelled_yield_yields(void *arg)
{
    (void)arg;
    ars_group group;
    int turns = 0;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, yields_cancelled, &turns, NULL), 0);
    CHECK_EQ(ars_group_go(&group, yields_cancelled, &turns, NULL), 0);
    CHECK_EQ(ars_yield(), 0);
    ars_group_cancel(&group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(turns, 2);
    return 0;
}

/* ---- sleep ---- */

static int sleep_some(void *arg)
{
    const char *digit = arg;
    ars_time until = ars_after((*digit - '0') * 5 * ARS_MILLISECOND);
    CHECK_EQ(ars_sleep(until), 0);
    CHECK(ars_now() >= until);
    note(*digit);
    return 0;
}

static int sleeps_end_in_order(void *arg)
{
    (void)arg;
    ars_group group;
    trail[0] = '\0';
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (const char *d = "4132"; *d; d++)
        CHECK_EQ(ars_group_go(&group, sleep_some, (void *)(uintptr_t)d, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_STR(trail, "1234");
    return 0;
}

static int sleep_edges(void *arg)
{
    (void)arg;
    CHECK_EQ(ars_sleep(0), 0);
    CHECK_EQ(ars_sleep(1), 0);
    CHECK_EQ(ars_sleep(ars_now() - 1), 0);
    ars_scope scope;
    CHECK_EQ(ars_scope_enter(&scope, 1), 0);
    CHECK_EQ(ars_sleep(0), 0); /* no cancellation point */
    CHECK_EQ(ars_sleep(1), ARS_ECANCELED);
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    return 0;
}

/* Many sleepers at many times: none early, all end. */
static int nap(void *arg)
{
    ars_time until = ars_after((ars_time)(uintptr_t)arg * 37 * ARS_MICROSECOND);
    CHECK_EQ(ars_sleep(until), 0);
    CHECK(ars_now() >= until);
    return 0;
}

static int many_sleepers(void *arg)
{
    (void)arg;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (long i = 0; i < test_times(20000, 2000); i++)
        CHECK_EQ(ars_group_go(&group, nap, (void *)(uintptr_t)(i * 7919 % 3000), NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

/* ---- fairness ---- */

static long spins;

/* Never parks: each call could wait but need not. */
static int always_ready(void *stop)
{
    while (!*(volatile int *)stop) {
        CHECK_EQ(ars_sleep(0), 0);
        spins++;
    }
    return 0;
}

static int stopper(void *stop)
{
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    long at = spins;
    /* A timer and a ready task get their turn within a slice. */
    for (int i = 0; i < 10; i++) CHECK_EQ(ars_yield(), 0);
    CHECK(spins - at <= 10 * 2 * 128);
    *(int *)stop = 1;
    return 0;
}

static int budget_ends_slices(void *arg)
{
    (void)arg;
    ars_group group;
    int stop = 0;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, always_ready, &stop, NULL), 0);
    CHECK_EQ(ars_group_go(&group, stopper, &stop, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

/* ---- options ---- */

static int checks_name(void *name)
{
    CHECK_STR(ars_task_name(), name);
    CHECK_EQ(ars_yield(), 0);
    CHECK_STR(ars_task_name(), name);
    return 42;
}

static int options(void *arg)
{
    (void)arg;
    ars_group group;
    int result = -1;
    ars_task_opt opt = {.name = "worker bee", .result = &result};
    CHECK(ars_task_name() == NULL);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, checks_name, "worker bee", &opt), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(result, 42);

    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    opt.flags = 1u << 31;
    CHECK_EQ(ars_group_go(&group, checks_name, "", &opt), ARS_EINVAL);
    opt.flags = 0;
    opt.ars__reserved[2] = 1;
    CHECK_EQ(ars_group_go(&group, checks_name, "", &opt), ARS_EINVAL);
    CHECK_EQ(ars_group_go(&group, NULL, "", NULL), ARS_EINVAL);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

static volatile double third_of = 1.0;

static int rounds(void *arg)
{
    int mode = *(int *)arg;
    fesetround(mode);
    double before = third_of / 3.0;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(fegetround(), mode);
        CHECK(third_of / 3.0 == before);
    }
    return 0;
}

static int default_rounding(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(fegetround(), FE_TONEAREST);
        CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static int own_fp_words(void *arg)
{
    (void)arg;
    ars_group group;
    int up = FE_UPWARD, down = FE_DOWNWARD;
    ars_task_opt fpenv = {.flags = ARS_TASK_FPENV};
    ars_task_opt both = {.flags = ARS_TASK_FPENV | ARS_TASK_CXX};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, rounds, &up, &fpenv), 0);
    CHECK_EQ(ars_group_go(&group, default_rounding, NULL, NULL), 0);
    CHECK_EQ(ars_group_go(&group, rounds, &down, &both), 0);
    CHECK_EQ(ars_group_go(&group, default_rounding, NULL, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(fegetround(), FE_TONEAREST);
    return 0;
}

/* ---- fork ---- */

static int forks(void *arg)
{
    (void)arg;
    for (int how = 0; how < 2; how++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            if (how == 0) _exit(7);
            execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
            _exit(1);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static int fork_in_task(void *arg)
{
    (void)arg;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_group_go(&group, forks, NULL, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

/* ---- overflow ---- */

static volatile int deep_enough;

static ARS__NOINLINE int digs(void)
{
    volatile char frame[512];
    frame[0] = 1;
    return deep_enough ? 0 : digs() + frame[0];
}

static int overflows(void *arg)
{
    (void)arg;
    return digs();
}

static int starts_overflow(void *arg)
{
    (void)arg;
    ars_group group;
    ars_task_opt opt = {.name = "digger"};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, overflows, NULL, &opt), 0);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void overflow_child(void *install)
{
    if (install) CHECK_EQ(ars_overflow_install(), 0);
    ars_run(starts_overflow, NULL, NULL);
}

static void overflow_names_the_task(void)
{
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("sanitizers handle SIGSEGV themselves");
        return;
    }
    test_end end = test_child(overflow_child, "");
    CHECK_EQ(end.signal, SIGSEGV);
    CHECK(strstr(end.err, "overflow") && strstr(end.err, "'digger'"));
    end = test_child(overflow_child, NULL); /* without the handler: no word, the same end */
    CHECK_EQ(end.signal, SIGSEGV);
    CHECK_STR(end.err, "");
}

/* ---- many ---- */

static long sum;

static int adds(void *arg)
{
    long before = sum;
    CHECK_EQ(ars_yield(), 0);
    CHECK(sum >= before);
    sum += (long)(intptr_t)arg;
    return 0;
}

static int ten_thousand_at_once(void *arg)
{
    (void)arg;
    ars_group group;
    sum = 0;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (long i = 1; i <= 10000; i++)
        CHECK_EQ(ars_group_go(&group, adds, (void *)(intptr_t)i, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(sum, 10000L * 10001 / 2);
    return 0;
}

/* ---- exhaustion ---- */

static int naps_and_yields(void *arg)
{
    int rc = ars_sleep(ars_after((ars_time)(intptr_t)arg * 10 * ARS_MICROSECOND));
    return rc < 0 ? rc : ars_yield();
}

static int hundreds(void *arg)
{
    (void)arg;
    ars_group group;
    ars_task_opt options[] = {
        {.name = "plain"}, {.flags = ARS_TASK_FPENV}, {.flags = ARS_TASK_CXX}};
    int rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    for (int i = 0; i < 400 && rc == 0; i++)
        rc = ars_group_go(&group, naps_and_yields, (void *)(intptr_t)i, &options[i % 3]);
    int waited = ars_group_wait(&group, ARS_FOREVER);
    CHECK_EQ(waited, rc);
    return waited;
}

static void exhausted(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = world_workers()};
    ars_run(hundreds, NULL, &config);
}

static void out_of_memory(void)
{
    sweep_alloc("task", exhausted);
}

static void system_fails(void)
{
    sweep_os("task", exhausted);
}

#define CASE(name)                                                                                 \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        world_run(name, 0);                                                                        \
    }
CASE(yield_takes_turns)
CASE(cancelled_yield_yields)
CASE(sleeps_end_in_order)
CASE(sleep_edges)
CASE(many_sleepers)
CASE(budget_ends_slices)
CASE(options)
CASE(own_fp_words)
CASE(fork_in_task)
CASE(ten_thousand_at_once)

static void on_a_plain_thread(void)
{
    ars_time until = ars_after(2 * ARS_MILLISECOND);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_sleep(0), 0);
    CHECK_EQ(ars_sleep(until), 0);
    CHECK(ars_now() >= until);
    CHECK_EQ(ars_cancel_reason(), 0);
    CHECK(ars_task_name() == NULL);
}

static const test_case cases[] = {
    {"yield takes turns", case_yield_takes_turns},
    {"cancelled yield yields", case_cancelled_yield_yields},
    {"sleeps end in order", case_sleeps_end_in_order},
    {"sleep edges", case_sleep_edges},
    {"many sleepers", case_many_sleepers},
    {"budget ends slices", case_budget_ends_slices},
    {"options", case_options},
    {"own floating-point words", case_own_fp_words},
    {"fork in a task", case_fork_in_task},
    {"overflow names the task", overflow_names_the_task},
    {"ten thousand at once", case_ten_thousand_at_once},
    {"on a plain thread", on_a_plain_thread},
    {"out of memory", out_of_memory},
    {"system fails", system_fails},
};
TEST_MAIN(cases)
