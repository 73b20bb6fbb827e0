/* SPDX-License-Identifier: MIT */
/* Wait groups: counting, waiting, giving up, select, freeing. */
#include <arsenal/waitgroup.h>

#include "locks.h"

/* ---- many workers ---- */

enum { HANDS = 6 };

typedef struct site {
    ars_waitgroup work, ready;
    long parts[HANDS]; /* each written by its hand, read after the wait */
    ars_atomic_u32 ids;
    long rounds;
} site;

static int builds(void *arg)
{
    site *s = arg;
    uint32_t me = ars_atomic_u32_add_relaxed(&s->ids, 1);
    for (long i = 1; i <= s->rounds; i++) {
        s->parts[me] = i;
        CHECK_EQ(ars_waitgroup_done(&s->work), 0);
        CHECK_EQ(ars_waitgroup_wait(&s->ready, ARS_FOREVER), 0);
        CHECK_EQ(ars_waitgroup_done(&s->work), 0);
        /* The next round begins when the head of the site has seen that all have gone on. */
        while (ars_waitgroup_wait(&s->ready, 0) == 0 && i < s->rounds) CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static int rounds(void *arg)
{
    (void)arg;
    site s = {.rounds = test_times(200, 50)};
    crew c;
    CHECK_EQ(ars_waitgroup_add(&s.work, HANDS), 0);
    CHECK_EQ(ars_waitgroup_add(&s.ready, 1), 0);
    crew_begin(&c);
    for (int i = 0; i < HANDS - 2; i++) crew_task(&c, builds, &s);
    for (int i = 0; i < 2; i++) crew_thread(&c, builds, &s);
    for (long i = 1; i <= s.rounds; i++) {
        CHECK_EQ(ars_waitgroup_wait(&s.work, ARS_FOREVER), 0);
        for (int k = 0; k < HANDS; k++) CHECK_EQ(s.parts[k], i);
        CHECK_EQ(ars_waitgroup_add(&s.work, HANDS), 0);
        CHECK_EQ(ars_waitgroup_done(&s.ready), 0);
        ars_case cases[] = {ARS_WAITGROUP(&s.work)};
        CHECK_EQ(ars_select(cases, 1, ARS_FOREVER), 0);
        CHECK_EQ(ars_waitgroup_add(&s.work, HANDS), 0);
        if (i < s.rounds) CHECK_EQ(ars_waitgroup_add(&s.ready, 1), 0);
    }
    crew_end(&c);
    return 0;
}

/* ---- what is handed over ---- */

enum { STEPS = 200 };

typedef struct relay {
    ars_waitgroup there[STEPS], back[STEPS];
    long baton; /* ordered by the wait groups only */
} relay;

static int runs_there(void *arg)
{
    relay *r = arg;
    for (int i = 0; i < STEPS; i++) {
        r->baton++;
        CHECK_EQ(ars_waitgroup_done(&r->there[i]), 0);
        CHECK_EQ(ars_waitgroup_wait(&r->back[i], ARS_FOREVER), 0);
    }
    return 0;
}

static int runs_back(void *arg)
{
    relay *r = arg;
    for (int i = 0; i < STEPS; i++) {
        ars_case cases[] = {ARS_WAITGROUP(&r->there[i])};
        CHECK_EQ(i % 2 ? ars_select(cases, 1, ARS_FOREVER)
                       : ars_waitgroup_wait(&r->there[i], ARS_FOREVER),
                 0);
        r->baton++;
        CHECK_EQ(ars_waitgroup_done(&r->back[i]), 0);
    }
    return 0;
}

static int orders(void *arg)
{
    (void)arg;
    for (int how = 0; how < 3; how++) {
        relay r = {.baton = 0};
        crew c;
        for (int i = 0; i < STEPS; i++) {
            CHECK_EQ(ars_waitgroup_add(&r.there[i], 1), 0);
            CHECK_EQ(ars_waitgroup_add(&r.back[i], 1), 0);
        }
        crew_begin(&c);
        (how == 1 ? crew_thread : crew_task)(&c, runs_there, &r);
        (how == 2 ? crew_thread : crew_task)(&c, runs_back, &r);
        crew_end(&c);
        CHECK_EQ(r.baton, 2 * STEPS);
    }
    return 0;
}

/* ---- on one worker ---- */

typedef struct line {
    ars_waitgroup group;
    int served;
} line;

static int waits(void *arg)
{
    line *l = arg;
    CHECK_EQ(ars_waitgroup_wait(&l->group, ARS_FOREVER), 0);
    l->served++;
    return 0;
}

static int selects(void *arg)
{
    line *l = arg;
    ars_waitgroup never = {0};
    CHECK_EQ(ars_waitgroup_add(&never, 1), 0);
    ars_case cases[] = {ARS_WAITGROUP(&never), ARS_WAITGROUP(&l->group)};
    CHECK_EQ(ars_select(cases, 2, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 1);
    CHECK_EQ(ars_waitgroup_done(&never), 0);
    l->served++;
    return 0;
}

static int counts(void *arg)
{
    (void)arg;
    line l = {0};
    crew c;
    crew_begin(&c);
    CHECK_EQ(ars_waitgroup_wait(&l.group, 0), 0);
    CHECK_EQ(ars_waitgroup_add(&l.group, 0), 0);
    CHECK_EQ(ars_waitgroup_add(&l.group, 3), 0);
    CHECK_EQ(ars_waitgroup_wait(&l.group, 0), ARS_ETIMEDOUT);
    for (int i = 0; i < 2; i++) crew_task(&c, waits, &l);
    crew_task(&c, selects, &l);
    locks_settle();
    CHECK_EQ(ars_waitgroup_add(&l.group, -2), 0);
    CHECK_EQ(ars_waitgroup_add(&l.group, 1), 0);
    CHECK_EQ(ars_waitgroup_done(&l.group), 0);
    locks_settle();
    CHECK_EQ(l.served, 0);
    CHECK_EQ(ars_waitgroup_done(&l.group), 0);
    crew_end(&c);
    CHECK_EQ(l.served, 3);
    CHECK_EQ(ars_waitgroup_wait(&l.group, ARS_FOREVER), 0);
    return 0;
}

static int times_out(void *arg)
{
    ars_time deadline = ars_after(2 * ARS_MILLISECOND);
    CHECK_EQ(ars_waitgroup_wait(arg, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    return 0;
}

static int is_cancelled(void *arg)
{
    CHECK_EQ(ars_waitgroup_wait(arg, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_waitgroup_wait(arg, ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    line l = {0};
    locks_victims v;
    crew c, quitters;
    CHECK_EQ(ars_waitgroup_add(&l.group, 1), 0);
    locks_victims_begin(&v);
    crew_begin(&c);
    crew_begin(&quitters);
    locks_victim(&v, is_cancelled, &l.group);
    crew_task(&quitters, times_out, &l.group);
    crew_thread(&quitters, times_out, &l.group);
    crew_task(&c, waits, &l);
    locks_settle();
    crew_end(&quitters);
    locks_victims_cancel(&v);
    CHECK_EQ(l.served, 0);
    CHECK_EQ(ars_waitgroup_done(&l.group), 0);
    crew_end(&c);
    CHECK_EQ(l.served, 1);
    return 0;
}

static int misuse(void *arg)
{
    (void)arg;
    ars_waitgroup group = {0};
    CHECK_EQ(ars_waitgroup_done(&group), ARS_EINVAL);
    CHECK_EQ(ars_waitgroup_add(&group, INT32_MIN), ARS_EINVAL);
    CHECK_EQ(ars_waitgroup_add(&group, (1 << 30) - 1), 0);
    CHECK_EQ(ars_waitgroup_add(&group, 1), ARS_EOVERFLOW);
    CHECK_EQ(ars_waitgroup_add(&group, INT32_MAX), ARS_EOVERFLOW);
    CHECK_EQ(ars_waitgroup_add(&group, -(1 << 30)), ARS_EINVAL);
    CHECK_EQ(ars_waitgroup_add(&group, -(1 << 30) + 1), 0);
    CHECK_EQ(ars_waitgroup_wait(&group, 0), 0);
    return 0;
}

/* ---- freed as soon as the wait returns ---- */

static void finishes(void *object)
{
    CHECK_EQ(ars_waitgroup_done(object), 0);
    CHECK_EQ(ars_waitgroup_done(object), 0);
}

static int uses_once(void *arg)
{
    LOCKS_FREED(ars_waitgroup, (locks_server *)arg, test_times(10000, 1000),
                (object = (ars_waitgroup){0}, ars_waitgroup_add(&object, 2)),
                ars_waitgroup_wait(&object, ARS_FOREVER));
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    locks_freed(uses_once, finishes);
    return 0;
}

LOCKS_CASE_ALL(rounds)
LOCKS_CASE_ALL(orders)
LOCKS_CASE(counts, 1)
LOCKS_CASE(gives_up, 1)
LOCKS_CASE(misuse, 1)
LOCKS_CASE_ALL(freed)

static const test_case cases[] = {
    {"rounds", case_rounds},     {"orders", case_orders}, {"counts", case_counts},
    {"gives up", case_gives_up}, {"misuse", case_misuse}, {"freed", case_freed},
};
TEST_MAIN(cases)
