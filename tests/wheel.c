/* SPDX-License-Identifier: MIT */
/* The timing wheel against a sorted-by-search list. */
#include "data/wheel.h"
#include "test.h"

enum { TIMERS = 500 };
#define TICK ((ars_time)1 << ARS__WHEEL_TICK_BITS)

static uint64_t rng = 42;

static uint64_t rnd(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

static ars__wheel wheel;
static ars__timer timers[TIMERS];
static ars_time due[TIMERS]; /* 0: not armed */

/* Spans of all sizes: below a tick, around each level's width, beyond the last. */
static ars_time any_span(void)
{
    unsigned bits = (unsigned)rnd(58);
    return (ars_time)(((uint64_t)1 << bits) + rnd((uint64_t)1 << bits)) - (ars_time)rnd(3);
}

static ars_time first_due(void)
{
    ars_time first = ARS_FOREVER;
    for (int i = 0; i < TIMERS; i++)
        if (due[i] && due[i] < first) first = due[i];
    return first;
}

/* Never early, and nothing is left that was due a tick ago. */
static long advance(ars_time now)
{
    long fired = 0;
    ars__timer *timer;
    while ((timer = ars__wheel_take(&wheel, now)) != NULL) {
        int i = (int)(timer - timers);
        CHECK(!ars__timer_armed(timer));
        CHECK(due[i] != 0 && due[i] <= now);
        due[i] = 0;
        fired++;
    }
    CHECK(first_due() > now - TICK);
    return fired;
}

static void random_operations(void)
{
    ars_time now = 12345;
    long fired = 0;
    ars__wheel_init(&wheel, now);
    for (long step = 0; step < test_times(300000, 30000); step++) {
        int i = (int)rnd(TIMERS);
        switch (rnd(4)) {
        case 0:
        case 1:
            if (due[i]) break;
            due[i] = now + any_span();
            ars__wheel_add(&wheel, &timers[i], due[i]);
            break;
        case 2:
            ars__wheel_remove(&wheel, &timers[i]);
            due[i] = 0;
            break;
        default: {
            ars_time next = ars__wheel_next(&wheel), first = first_due();
            ars_time at = first > now ? first : now;
            CHECK(first == ARS_FOREVER ? next == ARS_FOREVER : next <= at + TICK);
            /* Sometimes to what the wheel says is next, sometimes a bit, rarely far beyond. */
            if (rnd(2) && next != ARS_FOREVER && next > now)
                now = next;
            else
                now += rnd(100) ? (ars_time)rnd(3 * TICK) : any_span() >> 8;
            fired += advance(now);
        }
        }
    }
    CHECK(fired > 1000);
    for (int i = 0; i < TIMERS; i++) ars__wheel_remove(&wheel, &timers[i]);
    CHECK_EQ(ars__wheel_next(&wheel), ARS_FOREVER);
    memset(due, 0, sizeof due);
}

static void fires_at_its_tick(void)
{
    /* At each distance around the width of each level, counted from awkward places. */
    for (int level = 0; level <= ARS__WHEEL_LEVELS; level++) {
        for (int off = -2; off <= 2; off++) {
            for (ars_time base = 0; base < 130; base += 63) {
                ars_time now = base * TICK,
                         at = now + ((ars_time)1 << (6 * level)) * TICK + off * TICK;
                if (at <= now) continue;
                ars__wheel_init(&wheel, now);
                ars__wheel_add(&wheel, &timers[0], at);
                CHECK(ars__wheel_take(&wheel, at - 1) == NULL);
                CHECK(ars__wheel_take(&wheel, at) == &timers[0]);
                CHECK(ars__wheel_take(&wheel, at) == NULL);
            }
        }
    }
}

static void same_tick_in_order(void)
{
    ars__wheel_init(&wheel, 0);
    for (int i = 0; i < 10; i++) ars__wheel_add(&wheel, &timers[i], 100 * TICK);
    for (int i = 0; i < 10; i++) CHECK(ars__wheel_take(&wheel, 100 * TICK) == &timers[i]);
}

/* However often they move down on the way, and whatever lies between them. */
static void same_tick_in_order_from_each_level(void)
{
    for (int level = 1; level <= ARS__WHEEL_LEVELS; level++) {
        for (int n = 1; n <= 100; n += n < 9 ? 1 : 13) {
            ars_time base = TICK << 6 * level;
            ars__wheel_init(&wheel, 0);
            for (int i = 0; i < n; i++) {
                ars_time tick = i % 7 * 3 + i % 2 * 64 + i % 3 / 2 * 4096;
                ars__wheel_add(&wheel, &timers[i], base + tick * TICK);
            }
            uint64_t tick = 0;
            int before = -1;
            for (int i = 0; i < n; i++) {
                ars__timer *timer = ars__wheel_take(&wheel, 2 * base + 10000 * TICK);
                CHECK(timer && timer->tick >= tick);
                if (timer->tick == tick) CHECK(timer - timers > before);
                tick = timer->tick;
                before = (int)(timer - timers);
            }
            CHECK(!ars__wheel_take(&wheel, 2 * base + 10000 * TICK));
        }
    }
}

static void past_and_far(void)
{
    ars__wheel_init(&wheel, 1000 * TICK);
    ars__wheel_add(&wheel, &timers[0], 1);
    CHECK(ars__wheel_take(&wheel, 1001 * TICK) == &timers[0]);
    /* A clock that starts high, and deadlines near the end of time. */
    ars_time late = (ars_time)4500000000000000000;
    ars__wheel_init(&wheel, late);
    ars__wheel_add(&wheel, &timers[0], ARS_FOREVER - 1);
    ars__wheel_add(&wheel, &timers[1], late + 5);
    CHECK(ars__wheel_take(&wheel, late + TICK) == &timers[1]);
    for (ars_time now = late; now < late + ((ars_time)1 << 57); now += (ars_time)1 << 51)
        CHECK(ars__wheel_take(&wheel, now) == NULL);
    ars__wheel_remove(&wheel, &timers[0]);
    CHECK_EQ(ars__wheel_next(&wheel), ARS_FOREVER);
}

static const test_case cases[] = {
    {"random operations", random_operations},
    {"fires at its tick", fires_at_its_tick},
    {"same tick in order", same_tick_in_order},
    {"same tick in order from each level", same_tick_in_order_from_each_level},
    {"past and far", past_and_far},
};
TEST_MAIN(cases)
