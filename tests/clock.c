/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/ticks.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"

static ars_time system_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ars_time)ts.tv_sec * ARS_SECOND + ts.tv_nsec;
}

static void never_goes_back(void)
{
    ars_time last = ars_now();
    CHECK(last > 0);
    for (int i = 0; i < 200000; i++) {
        ars_time now = ars_now();
        CHECK(now >= last);
        last = now;
    }
}

static void is_the_monotonic_clock(void)
{
    for (int i = 0; i < 1000; i++) {
        ars_time before = system_now(), now = ars_now(), after = system_now();
        CHECK(before <= now && now <= after);
    }
}

static void after_lies_ahead(void)
{
    for (int i = 0; i < 1000; i++) {
        ars_time before = ars_now(), at = ars_after(ARS_SECOND), after = ars_now();
        CHECK(at >= before + ARS_SECOND && at <= after + ARS_SECOND);
    }
}

static void after_saturates(void)
{
    static const struct {
        ars_time now, span, at;
    } table[] = {
        {1000, 5, 1005},
        {1000, 0, 1000},
        {1000, -1, 999},
        {1000, -999, 1},
        {1000, -1000, 1},
        {1000, INT64_MIN, 1},
        {1000, INT64_MAX, ARS_FOREVER},
        {1000, INT64_MAX - 1000, ARS_FOREVER},
        {1000, INT64_MAX - 1001, ARS_FOREVER - 1},
        {1, INT64_MAX, ARS_FOREVER},
        {1, INT64_MAX - 2, ARS_FOREVER - 1},
        {INT64_MAX - 1, 1, ARS_FOREVER},
        {INT64_MAX - 1, 10 * ARS_SECOND, ARS_FOREVER},
        /* The clock after 142 years, and a century more. */
        {4500000000 * ARS_SECOND, 3153600000 * ARS_SECOND, 7653600000 * ARS_SECOND},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        fault_at("now", 1, table[i].now, -1);
        CHECK_EQ(ars_now(), table[i].now);
        CHECK_EQ(ars_after(table[i].span), table[i].at);
        fault_reset();
    }
}

static void left_is_what_remains(void)
{
    static const struct {
        ars_time now, deadline, left;
    } table[] = {
        {1000, 1005, 5},
        {1000, 1000, 0},
        {1000, 999, 0},
        {1000, 0, 0},
        {1000, -1, 0},
        {1000, INT64_MIN, 0},
        {1000, ARS_FOREVER, ARS_FOREVER},
        {INT64_MAX - 1, ARS_FOREVER, ARS_FOREVER},
        {1, INT64_MAX - 1, INT64_MAX - 2},
        {INT64_MAX - 1, 1, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        fault_at("now", 1, table[i].now, -1);
        CHECK_EQ(ars_left(table[i].deadline), table[i].left);
        fault_reset();
    }
}

static void coarse_is_behind(void)
{
    ars_time last = 0;
    for (int i = 0; i < 1000; i++) {
        ars_time coarse = ars_now_coarse(), now = ars_now();
        CHECK(coarse > 0 && coarse <= now && coarse >= last);
        last = coarse;
    }
}

static void real_is_the_time_of_day(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    ars_time system = (ars_time)ts.tv_sec * ARS_SECOND + ts.tv_nsec, now = ars_now_real();
    /* A wall clock may be set between the two. */
    CHECK(now > system - 3600 * ARS_SECOND && now < system + 3600 * ARS_SECOND);
}

static void thread_time_is_of_work(void)
{
    ars_time before = ars_now_thread(), began = ars_now();
    ars_thread_sleep(ars_after(20 * ARS_MILLISECOND));
    ars_time slept = ars_now_thread() - before;
    CHECK(slept >= 0 && slept < ars_now() - began);
    while (ars_now_thread() - before < slept + ARS_MILLISECOND) {}
    CHECK(ars_now_thread() - before <= ars_now() - began + ARS_MILLISECOND);
}

static void nothing(int signal)
{
    (void)signal;
}

/* Not before its time, whatever signals come; not at all if that has passed. */
static void sleeps_until(void)
{
    struct sigaction action, old;
    struct itimerval each = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
    memset(&action, 0, sizeof action);
    action.sa_handler = nothing;
    CHECK(sigaction(SIGALRM, &action, &old) == 0 && setitimer(ITIMER_REAL, &each, NULL) == 0);
    for (ars_time span = 1; span < 30 * ARS_MILLISECOND; span *= 7) {
        ars_time until = ars_after(span);
        ars_thread_sleep(until);
        CHECK(ars_now() >= until);
    }
    CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0 && sigaction(SIGALRM, &old, NULL) == 0);
    uint64_t slept = fault_counts("futex_wait");
    ars_thread_sleep(0);
    ars_thread_sleep(1);
    ars_thread_sleep(-5);
    ars_thread_sleep(ars_now());
    CHECK_EQ(fault_counts("futex_wait"), slept);
}

static void set_now(ars_time now)
{
    fault_reset();
    fault_at("now", 1, now, -1);
}

static void stopwatch(void)
{
    ars_stopwatch watch = {0};
    CHECK_EQ(ars_stopwatch_read(&watch), 0);
    CHECK_EQ(ars_stopwatch_stop(&watch), 0);
    CHECK_EQ(ars_stopwatch_lap(&watch), 0);
    set_now(1000);
    ars_stopwatch_start(&watch);
    set_now(1010);
    ars_stopwatch_start(&watch);
    CHECK_EQ(ars_stopwatch_read(&watch), 10);
    CHECK_EQ(ars_stopwatch_lap(&watch), 10);
    set_now(1013);
    CHECK_EQ(ars_stopwatch_lap(&watch), 3);
    set_now(1020);
    CHECK_EQ(ars_stopwatch_stop(&watch), 20);
    set_now(2000);
    CHECK_EQ(ars_stopwatch_read(&watch), 20);
    CHECK_EQ(ars_stopwatch_stop(&watch), 20);
    ars_stopwatch_start(&watch);
    set_now(2005);
    /* What was not timed is no part of a lap. */
    CHECK_EQ(ars_stopwatch_lap(&watch), 12);
    CHECK_EQ(ars_stopwatch_read(&watch), 25);
    fault_reset();
}

/* ---- a clock that has run for 142 years ---- */

enum { NO_NAMESPACE = 42 };

static void distant_clock(void)
{
    ars_time now = ars_now();
    CHECK(now > 4500000000 * ARS_SECOND);
    CHECK(ars_after(ARS_SECOND) >= now + ARS_SECOND);
    CHECK_EQ(ars_after(INT64_MAX - 4500000000 * ARS_SECOND), ARS_FOREVER);
    CHECK_EQ(ars_after(INT64_MIN), 1);
    never_goes_back();
    is_the_monotonic_clock();
    CHECK_EQ(ars_left(ARS_FOREVER), ARS_FOREVER);
    CHECK_EQ(ars_left(now), 0);
    CHECK(ars_left(ARS_FOREVER - 1) > 4500000000 * ARS_SECOND);
    CHECK(ars_now_coarse() > 4500000000 * ARS_SECOND && ars_now_coarse() <= ars_now());
    ars_time until = ars_after(2 * ARS_MILLISECOND);
    ars_thread_sleep(until);
    CHECK(ars_now() >= until);
    ars_fastclock clock = {0};
    for (int i = 0; i < 200000; i++) {
        ars_time before = ars_now(), fast = ars_fastclock_now(&clock), after = ars_now();
        ars_time error = ars_fastclock_error(&clock);
        CHECK(fast >= before - error && fast <= after + error);
    }
}

static void in_a_namespace(void *arg)
{
    static const char offset[] = "monotonic 4500000000 0\n";
    int status;
    (void)arg;
    if (unshare(CLONE_NEWTIME) != 0) _exit(NO_NAMESPACE);
    int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, offset, sizeof offset - 1) != (ssize_t)sizeof offset - 1)
        _exit(NO_NAMESPACE);
    close(fd);
    /* It is the next child that lives in it. */
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        distant_clock();
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0) CHECK(errno == EINTR);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void time_namespace(void)
{
    test_end end = test_child(in_a_namespace, NULL);
    if (end.status == NO_NAMESPACE && end.signal == 0) {
        test_skipped("no time namespace can be made here");
        return;
    }
    if (end.status || end.signal) FAIL("%s", end.err);
}

static const test_case cases[] = {
    {"never_goes_back", never_goes_back},
    {"is_the_monotonic_clock", is_the_monotonic_clock},
    {"after_lies_ahead", after_lies_ahead},
    {"after_saturates", after_saturates},
    {"left_is_what_remains", left_is_what_remains},
    {"coarse_is_behind", coarse_is_behind},
    {"real_is_the_time_of_day", real_is_the_time_of_day},
    {"thread_time_is_of_work", thread_time_is_of_work},
    {"sleeps_until", sleeps_until},
    {"stopwatch", stopwatch},
    {"time_namespace", time_namespace},
};
TEST_MAIN(cases)
