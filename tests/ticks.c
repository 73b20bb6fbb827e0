/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/atomic.h>
#include <arsenal/cpu.h>
#include <arsenal/ticks.h>

#include <pthread.h>
#include <time.h>

#include "fault.h"

static void ticks_go_on(void)
{
    uint64_t last = ars_ticks_ordered(), first = last;
    for (int i = 0; i < 100000; i++) {
        uint64_t raw = ars_ticks(), now = ars_ticks_ordered();
        CHECK(now >= last);
        if (ars_ticks_steady()) CHECK(raw >= last && raw <= now);
        last = now;
    }
    CHECK(last > first);
}

/* A reading is the monotonic clock's, within the error that the clock admits to. */
static ars_time reads(ars_fastclock *clock)
{
    ars_time last = clock->ars__last, before = ars_now(), now = ars_fastclock_now(clock);
    ars_time after = ars_now(), error = ars_fastclock_error(clock);
    CHECK(error >= 0);
    if (now < before - error || now > after + error)
        FAIL("%lld is not in %lld to %lld, +- %lld", (long long)now, (long long)before,
             (long long)after, (long long)error);
    CHECK(now >= last);
    return now;
}

static void agrees_with_the_monotonic(void)
{
    ars_fastclock clock = {0};
    ars_time until = ars_after(test_times(2000, 300) * ARS_MILLISECOND), least = ARS_FOREVER;
    long n = 0;
    while (reads(&clock) < until) {
        n++;
        if (clock.ars__hold && clock.ars__error < least) least = clock.ars__error;
    }
    CHECK(n > 100);
    if (ars_ticks_steady()) CHECK(least < 10 * ARS_MICROSECOND);
}

/* Seldom: each reading is a new anchor; and at once after a pause. */
static void agrees_after_pauses(void)
{
    for (ars_time pause = 1; pause < 40 * ARS_MILLISECOND; pause *= 3) {
        ars_fastclock clock = {0};
        for (int i = 0; i < 6; i++) {
            reads(&clock);
            ars_thread_sleep(ars_after(pause));
        }
        for (int i = 0; i < 100; i++) reads(&clock);
    }
}

static ars_atomic_u32 over;

static void *burn(void *arg)
{
    (void)arg;
    while (!ars_atomic_u32_load_relaxed(&over)) {}
    return NULL;
}

/* More threads than CPUs: readings are interrupted in the midst, the first ones too. */
static void agrees_under_preemption(void)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    ars_atomic_u32_store_relaxed(&over, 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, burn, NULL) == 0);
    ars_time until = ars_after(test_times(1500, 200) * ARS_MILLISECOND);
    while (ars_now() < until) {
        ars_fastclock clock = {0};
        for (int i = 0; i < 20000; i++) reads(&clock);
    }
    ars_atomic_u32_store_relaxed(&over, 1);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

/* A clock that has run long enough to hold for a millisecond; 0 where none ever does. */
static int settled(ars_fastclock *clock)
{
    ars_time until = ars_after(20 * ARS_MILLISECOND);
    memset(clock, 0, sizeof *clock);
    while (ars_now() < until || (ars_ticks_steady() && !clock->ars__hold)) reads(clock);
    if (!clock->ars__hold) test_skipped("the counter is not steady here");
    return clock->ars__hold != 0;
}

/* The parts of the error: half a reading, what the kernel may turn its clock by, what was found. */
static void error_is_the_sum_of_its_parts(void)
{
    enum { TIMES = 101 };
    int admitted = 0;
    ars_fastclock clock;
    if (!settled(&clock)) return;
    /* What a reading can find: more than the counter advances by at once, which is much under qemu. */
    ars_time step = (ars_time)((double)clock.ars__step * (double)clock.ars__rate / 4294967296.);
    ars_time found = step < 50 ? 150 : 8 * step;
    for (int i = 0; i < TIMES; i++) {
        ars_fastclock twin = clock;
        double tick = (double)clock.ars__rate / 4294967296.;
        double hold = (double)clock.ars__hold * tick;
        double least = hold * 500e-6 + (double)clock.ars__best / 2 * tick;
        CHECK((double)ars_fastclock_error(&clock) >= least);
        twin.ars__base -= found;
        twin.ars__last -= found;
        ars_fastclock_anchor(&clock);
        ars_fastclock_anchor(&twin);
        if (!twin.ars__hold ||
            ars_fastclock_error(&twin) >= ars_fastclock_error(&clock) + found / 2)
            admitted++;
        if (!clock.ars__hold && !settled(&clock)) return;
    }
    CHECK(admitted > TIMES / 2);
}

/* It has been ahead: it stands, by counting and at an anchor, and admits by how much it is wrong. */
static void never_goes_back(void)
{
    ars_fastclock clock;
    if (!settled(&clock)) return;
    ars_time last = clock.ars__last += 200 * ARS_MILLISECOND;
    CHECK_EQ(ars_fastclock_now(&clock), last);
    CHECK_EQ(ars_fastclock_anchor(&clock), last);
    CHECK(ars_fastclock_error(&clock) >= last - ars_now());
    /* And where the measurement begins anew. */
    clock.ars__from = 0;
    CHECK_EQ(ars_fastclock_anchor(&clock), last);
    CHECK_EQ(clock.ars__hold, 0);
    CHECK(ars_fastclock_error(&clock) >= last - ars_now());
}

/* ---- preemption, played: before the monotonic clock is read, something takes 300 us ---- */

typedef struct interruption {
    unsigned calls, spare; /* of how many calls one is spared; 0: none */
} interruption;

static void interrupt(void *arg)
{
    interruption *each = arg;
    ars_time began = ars_now_thread();
    fault_before("now", interrupt, each);
    if (each->spare && ++each->calls % each->spare == 0) return;
    while (ars_now_thread() - began < 300 * ARS_MICROSECOND) {}
}

static ars_time system_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ars_time)ts.tv_sec * ARS_SECOND + ts.tv_nsec;
}

static ars_time worst_error_when(interruption each)
{
    ars_fastclock clock = {0};
    ars_time worst = 0;
    fault_before("now", interrupt, &each);
    for (int i = 0; i < 20; i++) {
        ars_time before = system_now(), now = ars_fastclock_now(&clock), after = system_now();
        ars_time error = ars_fastclock_error(&clock);
        CHECK(now >= before - error && now <= after + error);
        if (i > 1 && error > worst) worst = error;
        nanosleep(&(struct timespec){0, 1500000}, NULL);
    }
    fault_reset();
    return worst;
}

static void interrupted_readings_are_not_used(void)
{
    if (!ars_ticks_steady()) return test_skipped("the counter is not steady here");
    CHECK(worst_error_when((interruption){0, 0}) >= 150 * ARS_MICROSECOND);
    ars_time spared = ARS_FOREVER;
    /* Unless it is really interrupted as well. */
    for (int i = 0; i < 10; i++) {
        ars_time error = worst_error_when((interruption){0, 4});
        if (error < spared) spared = error;
    }
    CHECK(spared < 100 * ARS_MICROSECOND);
}

/* A counter whose rate became another, or that was set: found at the next anchor, then measured anew. */
static void another_counter_is_found(void)
{
    static const struct {
        double rate;
        int64_t shift;
    } table[] = {{2, 0}, {.5, 0}, {1.01, 0}, {.99, 0}, {1, -1000000000}, {1, 1000000000}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ars_fastclock clock;
        if (!settled(&clock)) return;
        clock.ars__rate = (uint64_t)((double)clock.ars__rate * table[i].rate);
        clock.ars__at += (uint64_t)table[i].shift;
        clock.ars__from += (uint64_t)table[i].shift;
        ars_thread_sleep(ars_after(2 * ARS_MILLISECOND));
        ars_time until = ars_after(3 * ARS_MILLISECOND);
        reads(&clock);
        CHECK_EQ(clock.ars__hold, 0);
        while (ars_now() < until) reads(&clock);
        CHECK(clock.ars__hold > 0);
    }
    /* Set back before there is an anchor. */
    ars_fastclock clock;
    if (!settled(&clock)) return;
    clock.ars__hold = 0;
    clock.ars__from += UINT64_C(1000000000000);
    for (ars_time until = ars_after(3 * ARS_MILLISECOND); ars_now() < until;) reads(&clock);
    CHECK(clock.ars__hold > 0);
}

static void falls_back_without_a_steady_counter(void)
{
#ifdef __x86_64__
    uint64_t before = ars_cpu_mask(ars_cpu_features() & ~ARS_CPU_TSC_INVARIANT);
    ars_fastclock clock = {0};
    CHECK_EQ(ars_ticks_steady(), 0);
    for (int i = 0; i < 10000; i++) {
        reads(&clock);
        CHECK_EQ(clock.ars__hold, 0);
    }
    CHECK_EQ(ars_fastclock_error(&clock), 0);
    ars_cpu_mask(before);
    if (!ars_ticks_steady()) test_skipped("the counter is not steady here");
#elif defined(__aarch64__)
    CHECK_EQ(ars_ticks_steady(), 1);
#else
    CHECK_EQ(ars_ticks_steady(), 0);
#endif
}

/* The monotonic clock is all but at its end: nothing overflows. */
static void far_in_the_future(void)
{
    ars_fastclock clock = {0};
    ars_time far = 9000000000 * ARS_SECOND;
    fault_at("now", 1, far, -1);
    for (int i = 0; i < 1000; i++) CHECK_EQ(ars_fastclock_now(&clock), far);
    fault_reset();
}

static const test_case cases[] = {
    {"ticks_go_on", ticks_go_on},
    {"agrees_with_the_monotonic", agrees_with_the_monotonic},
    {"agrees_after_pauses", agrees_after_pauses},
    {"agrees_under_preemption", agrees_under_preemption},
    {"error_is_the_sum_of_its_parts", error_is_the_sum_of_its_parts},
    {"never_goes_back", never_goes_back},
    {"interrupted_readings_are_not_used", interrupted_readings_are_not_used},
    {"another_counter_is_found", another_counter_is_found},
    {"falls_back_without_a_steady_counter", falls_back_without_a_steady_counter},
    {"far_in_the_future", far_in_the_future},
};
TEST_MAIN(cases)
