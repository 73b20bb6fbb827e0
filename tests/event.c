/* SPDX-License-Identifier: MIT */
/* Events: those that stay set, those that are used up, select, freeing. */
#include <arsenal/event.h>

#include "locks.h"

typedef struct line {
    ars_event event;
    int arrived, served;
} line;

static int waits(void *arg)
{
    line *l = arg;
    l->arrived++;
    CHECK_EQ(ars_event_wait(&l->event, ARS_FOREVER), 0);
    l->served++;
    return 0;
}

/* ---- on one worker ---- */

static int stays_set(void *arg)
{
    (void)arg;
    line l = {0};
    crew c;
    crew_begin(&c);
    CHECK_EQ(ars_event_wait(&l.event, 0), ARS_ETIMEDOUT);
    for (int i = 0; i < 3; i++) crew_task(&c, waits, &l);
    locks_settle();
    CHECK_EQ(l.arrived, 3);
    CHECK_EQ(l.served, 0);
    ars_event_reset(&l.event);
    locks_settle();
    CHECK_EQ(l.served, 0);
    ars_event_set(&l.event);
    ars_event_set(&l.event);
    crew_task(&c, waits, &l);
    crew_end(&c);
    CHECK_EQ(l.served, 4);
    CHECK_EQ(ars_event_wait(&l.event, 0), 0);
    CHECK_EQ(ars_event_wait(&l.event, ARS_FOREVER), 0);
    ars_event_reset(&l.event);
    ars_event_reset(&l.event);
    CHECK_EQ(ars_event_wait(&l.event, 0), ARS_ETIMEDOUT);
    return 0;
}

static int is_used_up(void *arg)
{
    (void)arg;
    line l = {.event = ARS_EVENT_INIT(ARS_EVENT_AUTO)};
    crew c;
    crew_begin(&c);
    ars_event_set(&l.event);
    ars_event_set(&l.event);
    CHECK_EQ(ars_event_wait(&l.event, 0), 0);
    CHECK_EQ(ars_event_wait(&l.event, 0), ARS_ETIMEDOUT);
    for (int i = 0; i < 3; i++) crew_task(&c, waits, &l);
    locks_settle();
    CHECK_EQ(l.served, 0);
    for (int i = 1; i <= 3; i++) {
        ars_event_set(&l.event);
        CHECK_EQ(ars_event_wait(&l.event, 0), ARS_ETIMEDOUT);
        locks_settle();
        CHECK_EQ(l.served, i);
    }
    crew_end(&c);
    ars_event_set(&l.event);
    ars_event_reset(&l.event);
    CHECK_EQ(ars_event_wait(&l.event, 0), ARS_ETIMEDOUT);
    return 0;
}

static int times_out(void *arg)
{
    ars_time deadline = ars_after(2 * ARS_MILLISECOND);
    CHECK_EQ(ars_event_wait(arg, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    return 0;
}

static int is_cancelled(void *arg)
{
    CHECK_EQ(ars_event_wait(arg, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_event_wait(arg, ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    line l = {.event = ARS_EVENT_INIT(ARS_EVENT_AUTO)};
    locks_victims v;
    crew c, quitters;
    locks_victims_begin(&v);
    crew_begin(&c);
    crew_begin(&quitters);
    locks_victim(&v, is_cancelled, &l.event);
    crew_task(&quitters, times_out, &l.event);
    crew_thread(&quitters, times_out, &l.event);
    locks_settle();
    crew_task(&c, waits, &l);
    locks_settle();
    crew_end(&quitters);
    locks_victims_cancel(&v);
    CHECK_EQ(l.served, 0);
    ars_event_set(&l.event);
    crew_end(&c);
    CHECK_EQ(l.served, 1);
    CHECK_EQ(ars_event_wait(&l.event, 0), ARS_ETIMEDOUT);
    return 0;
}

/* ---- many workers ---- */

typedef struct court {
    ars_event ping, pong;
    ars_event stop;
    long rounds, ball;
} court;

static int serves(void *arg)
{
    court *t = arg;
    for (long i = 0; i < t->rounds; i++) {
        CHECK_EQ(t->ball, 2 * i);
        t->ball++;
        ars_event_set(&t->ping);
        CHECK_EQ(ars_event_wait(&t->pong, ARS_FOREVER), 0);
    }
    ars_event_set(&t->stop);
    return 0;
}

static int returns(void *arg)
{
    court *t = arg;
    for (long i = 0;; i++) {
        ars_case cases[] = {ARS_EVENT(&t->stop), ARS_EVENT(&t->ping)};
        int rc = ars_select(cases, 2, ARS_FOREVER);
        if (rc == 0) {
            CHECK_EQ(i, t->rounds);
            return 0;
        }
        CHECK_EQ(rc, 1);
        CHECK_EQ(t->ball, 2 * i + 1);
        t->ball++;
        ars_event_set(&t->pong);
    }
}

static int ping_pong(void *arg)
{
    (void)arg;
    for (int how = 0; how < 3; how++) {
        court t = {.ping = ARS_EVENT_INIT(ARS_EVENT_AUTO),
                   .pong = ARS_EVENT_INIT(ARS_EVENT_AUTO),
                   .rounds = test_times(5000, 1000)};
        crew c;
        crew_begin(&c);
        (how == 1 ? crew_thread : crew_task)(&c, serves, &t);
        (how == 2 ? crew_thread : crew_task)(&c, returns, &t);
        crew_end(&c);
        CHECK_EQ(t.ball, 2 * t.rounds);
    }
    return 0;
}

/* ---- freed as soon as the wait returns ---- */

static void sets(void *object)
{
    ars_event_set(object);
}

static int uses_once(void *arg)
{
    LOCKS_FREED(ars_event, (locks_server *)arg, test_times(10000, 1000), object = (ars_event){0},
                ars_event_wait(&object, ARS_FOREVER));
    return 0;
}

static int uses_up(void *arg)
{
    LOCKS_FREED(ars_event, (locks_server *)arg, test_times(10000, 1000),
                object = (ars_event)ARS_EVENT_INIT(ARS_EVENT_AUTO),
                ars_event_wait(&object, ARS_FOREVER));
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    locks_freed(uses_once, sets);
    locks_freed(uses_up, sets);
    return 0;
}

LOCKS_CASE(stays_set, 1)
LOCKS_CASE(is_used_up, 1)
LOCKS_CASE(gives_up, 1)
LOCKS_CASE_ALL(ping_pong)
LOCKS_CASE_ALL(freed)

static const test_case cases[] = {
    {"stays set", case_stays_set}, {"is used up", case_is_used_up}, {"gives up", case_gives_up},
    {"ping-pong", case_ping_pong}, {"freed", case_freed},
};
TEST_MAIN(cases)
