/* SPDX-License-Identifier: MIT */
/* Ticks: never early, no drift, collapsed with a count, alone and in a select. */
#include <arsenal/tick.h>

#include "crew.h"

static const ars_time period = ARS_MILLISECOND;

static int beats(void *arg)
{
    (void)arg;
    ars_tick tick = {0};
    long total = 0;
    ars_time first = ars_after(period);
    CHECK_EQ(ars_tick_start(&tick, first, period), 0);
    CHECK_EQ(ars_tick_wait(&tick, 0), ARS_ETIMEDOUT);
    for (int i = 0; i < 20; i++) {
        int n = ars_tick_wait(&tick, ARS_FOREVER);
        CHECK(n >= 1);
        total += n;
        CHECK(ars_now() >= first + (total - 1) * period); /* counted from the first: no drift */
    }
    /* Missed ones are one, with a count that misses none. */
    CHECK_EQ(ars_sleep(ars_after(5 * period)), 0);
    ars_time before = ars_now();
    int n = ars_tick_wait(&tick, 0);
    CHECK(n >= 5);
    total += n;
    CHECK(total > (before - first) / period);
    CHECK(first + (total - 1) * period <= ars_now());
    /* The deadline of the wait comes first. */
    ars_time until = ars_after(period);
    CHECK_EQ(ars_tick_start(&tick, ars_after(ARS_SECOND * 1000), period), 0);
    CHECK_EQ(ars_tick_wait(&tick, until), ARS_ETIMEDOUT);
    CHECK(ars_now() >= until);
    ars_tick_stop(&tick);
    CHECK_EQ(ars_tick_wait(&tick, ars_after(period)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_tick_wait(&tick, 0), ARS_ETIMEDOUT);
    return 0;
}

static int once(void *arg)
{
    (void)arg;
    ars_tick tick = {0};
    ars_time at = ars_after(period);
    CHECK_EQ(ars_tick_start(&tick, at, 0), 0);
    CHECK_EQ(ars_tick_wait(&tick, ARS_FOREVER), 1);
    CHECK(ars_now() >= at);
    CHECK_EQ(ars_tick_wait(&tick, ars_after(period)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_tick_start(&tick, 1, 0), 0); /* long past */
    CHECK_EQ(ars_tick_wait(&tick, 0), 1);
    CHECK_EQ(ars_tick_start(&tick, 1, 1), 0); /* more of them than an int holds */
    CHECK_EQ(ars_tick_wait(&tick, 0), INT32_MAX);
    return 0;
}

static int selects(void *arg)
{
    (void)arg;
    ars_chan *chan = NULL;
    ars_tick beat = {0}, limit = {0};
    long value = 0;
    int n = 0, i, total = 0;
    CHECK_EQ(ars_chan_new(&chan, sizeof value, 1, NULL), 0);
    ars_case cases[] = {ARS_RECV(chan, &value), ARS_TICK(&beat, &n), ARS_TICK(&limit, NULL)};
    ars_time until = ars_after(period);
    CHECK_EQ(ars_select(cases, 3, until), ARS_ETIMEDOUT); /* stopped ones are never due */
    CHECK(ars_now() >= until);
    ars_time began = ars_now();
    CHECK_EQ(ars_tick_start(&beat, began + period, period), 0);
    CHECK_EQ(ars_tick_start(&limit, began + 10 * period, 0), 0);
    while ((i = ars_select(cases, 3, ARS_FOREVER)) == 1) {
        CHECK(n >= 1);
        total += n;
        CHECK(ars_now() >= began + total * period);
    }
    CHECK_EQ(i, 2);
    CHECK(ars_now() >= began + 10 * period);
    ars_tick_stop(&beat);
    CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
    CHECK_EQ(ars_select(cases, 3, ARS_FOREVER), 0);
    /* The call's own deadline, earlier than a tick. */
    CHECK_EQ(ars_tick_start(&limit, ars_after(ARS_SECOND * 1000), 0), 0);
    CHECK_EQ(ars_select(cases, 3, ars_after(period)), ARS_ETIMEDOUT);
    ars_chan_free(chan);
    return 0;
}

static int under_a_scope(void *arg)
{
    (void)arg;
    ars_scope scope;
    ars_tick tick = {0};
    ars_case one = ARS_TICK(&tick, NULL);
    CHECK_EQ(ars_tick_start(&tick, ars_after(ARS_SECOND * 1000), 0), 0);
    CHECK_EQ(ars_scope_enter(&scope, ars_after(period)), 0);
    CHECK_EQ(ars_tick_wait(&tick, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    CHECK_EQ(ars_scope_enter(&scope, ars_after(period)), 0);
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    return 0;
}

static int all(void *arg)
{
    CHECK_EQ(beats(arg), 0);
    CHECK_EQ(once(arg), 0);
    CHECK_EQ(selects(arg), 0);
    return 0;
}

static void in_a_task(void)
{
    crew_run(all, 1, 0);
    crew_run(all, 2, 0);
    crew_run(under_a_scope, 1, 0);
}

static void on_a_thread(void)
{
    CHECK_EQ(all(NULL), 0);
}

static void bad_input(void)
{
    ars_tick tick = {0};
    CHECK_EQ(ars_tick_start(&tick, 0, 5), ARS_EINVAL);
    CHECK_EQ(ars_tick_start(&tick, -1, 5), ARS_EINVAL);
    CHECK_EQ(ars_tick_start(&tick, 5, -1), ARS_EINVAL);
    CHECK_EQ(ars_tick_wait(&tick, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_tick_start(&tick, ARS_FOREVER, ARS_FOREVER), 0);
    CHECK_EQ(ars_tick_wait(&tick, 0), ARS_ETIMEDOUT);
}

static const test_case cases[] = {
    {"in_a_task", in_a_task},
    {"on_a_thread", on_a_thread},
    {"bad_input", bad_input},
};
TEST_MAIN(cases)
