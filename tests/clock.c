/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/clock.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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
    {"never_goes_back", never_goes_back},   {"is_the_monotonic_clock", is_the_monotonic_clock},
    {"after_lies_ahead", after_lies_ahead}, {"after_saturates", after_saturates},
    {"time_namespace", time_namespace},
};
TEST_MAIN(cases)
