/* SPDX-License-Identifier: MIT */
/* Select: which case, fairness, closed channels, deadlines, nothing left behind. */
#include <arsenal/event.h>
#include <arsenal/sem.h>
#include <arsenal/tick.h>

#include <math.h>
#include <stdlib.h>

#include "chans.h"
#include "crew.h"

/* ---- one thing at a time ---- */

static void does_what_is_ready(void)
{
    ars_chan *a = fresh(sizeof(long), 1), *b = fresh(sizeof(long), 1);
    long got = 0, give = 4;
    ars_case cases[] = {ARS_RECV(a, &got), ARS_SEND(b, &give)};
    CHECK_EQ(ars_select(cases, 2, 0), 1);
    CHECK_EQ(recv(b), 4);
    send(b, 1);
    CHECK_EQ(ars_select(cases, 2, 0), ARS_ETIMEDOUT); /* the default of the switch */
    send(a, 9);
    CHECK_EQ(ars_select(cases, 2, 0), 0);
    CHECK_EQ(got, 9);
    CHECK_EQ(ars_chan_len(a), 0);
    CHECK_EQ(ars_chan_len(b), 1); /* the other case was not done */
    ars_chan_free(a);
    ars_chan_free(b);
}

static void cases_switched_off(void)
{
    ars_chan *a = fresh(sizeof(long), 1);
    long got = 0, give = 4;
    ars_case cases[] = {ARS_RECV(NULL, &got), ARS_SEND(a, &give), {0}};
    CHECK_EQ(ars_select(cases, 3, ARS_FOREVER), 1);
    cases[1].object = NULL;
    cases[0].object = a;
    CHECK_EQ(ars_select(cases, 3, ARS_FOREVER), 0);
    CHECK_EQ(got, 4);
    cases[0].object = NULL;
    ars_time until = ars_after(ARS_MILLISECOND);
    CHECK_EQ(ars_select(cases, 3, until), ARS_ETIMEDOUT);
    CHECK(ars_now() >= until);
    CHECK_EQ(ars_select(cases, 3, 0), ARS_ETIMEDOUT);
    until = ars_after(ARS_MILLISECOND);
    CHECK_EQ(ars_select(NULL, 0, until), ARS_ETIMEDOUT);
    CHECK(ars_now() >= until);
    ars_chan_free(a);
}

static int waits_for_nothing(void *arg)
{
    ars_case off[2] = {{0}, {0}};
    *(int *)arg = 1;
    CHECK_EQ(ars_select(off, 2, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_select(NULL, 0, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_select(NULL, 0, 0), ARS_ETIMEDOUT);
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    ars_group group;
    int begun = 0;
    does_what_is_ready();
    cases_switched_off();
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, waits_for_nothing, &begun, NULL), 0);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_group_cancel(&group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK(begun);
    return 0;
}

static void ready_default_and_off(void)
{
    crew_run_all(nothing, 0);
    does_what_is_ready(); /* on a plain thread, too */
    cases_switched_off();
}

/* ---- closed ---- */

static int select_one(void *arg)
{
    long value = 0;
    ars_case one[] = {ARS_RECV(((ars_chan **)arg)[0], &value),
                      ARS_SEND(((ars_chan **)arg)[1], &value)};
    int rc = ars_select(one, 2, ARS_FOREVER);
    CHECK(rc == ARS_CLOSED(0) || rc == ARS_CLOSED(1));
    return rc == ARS_CLOSED(0) ? 1 : 2;
}

static int closed(void *arg)
{
    (void)arg;
    ars_chan *a = fresh(sizeof(long), 1), *b = fresh(sizeof(long), 0), *c = fresh(sizeof(long), 0),
             *pair[2];
    long got = 0, give = 4;
    send(a, 3);
    CHECK_EQ(ars_chan_close(a), 0);
    CHECK_EQ(ars_chan_close(b), 0);
    ars_case cases[] = {ARS_RECV(c, &got), ARS_RECV(a, &got)};
    CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 1); /* not drained yet */
    CHECK_EQ(got, 3);
    CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), ARS_CLOSED(1));
    CHECK_EQ(ars_select(cases, 2, 0), ARS_CLOSED(1));
    ars_case sends[] = {ARS_SEND(b, &give), ARS_RECV(c, &got)};
    CHECK_EQ(ars_select(sends, 2, ARS_FOREVER), ARS_CLOSED(0));
    ars_chan_free(a);
    ars_chan_free(b);
    /* Closed while they wait. */
    for (int which = 0; which < 2; which++) {
        crew team;
        int results[4];
        ars_task_opt opt = {0};
        pair[0] = fresh(sizeof(long), 0);
        pair[1] = fresh(sizeof(long), 0);
        crew_begin(&team);
        for (int i = 0; i < 4; i++) {
            opt.result = &results[i];
            CHECK_EQ(ars_group_go(&team.group, select_one, pair, &opt), 0);
        }
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        CHECK_EQ(ars_chan_close(pair[which]), 0);
        CHECK_EQ(ars_group_wait(&team.group, ARS_FOREVER), 0);
        for (int i = 0; i < 4; i++) CHECK_EQ(results[i], which + 1);
        ars_chan_free(pair[0]);
        ars_chan_free(pair[1]);
    }
    ars_chan_free(c);
    return 0;
}

static void closed_is_ready(void)
{
    crew_run_all(closed, 0);
}

/* ---- fairness ---- */

enum { EIGHT = 8 };

/* The chance of a larger value, with 7 degrees of freedom, is below 10^-9. */
static const double chi_limit = 58.0;

static double chi_square(const long *picks, long n)
{
    double expected = (double)n / EIGHT, sum = 0;
    for (int i = 0; i < EIGHT; i++) {
        double off = (double)picks[i] - expected;
        sum += off * off / expected;
    }
    return sum;
}

static int eight_ready(void *arg)
{
    (void)arg;
    ars_chan *chans[EIGHT];
    ars_case cases[EIGHT];
    long picks[EIGHT] = {0}, pairs[EIGHT] = {0}, value = 0, n = test_times(1000000, 100000);
    int before = 0;
    for (int i = 0; i < EIGHT; i++) {
        chans[i] = fresh(sizeof(long), 1);
        send(chans[i], i);
        cases[i] = ARS_RECV(chans[i], &value);
    }
    for (long k = 0; k < n; k++) {
        int i = ars_select(cases, EIGHT, ARS_FOREVER);
        CHECK(i >= 0 && i < EIGHT);
        CHECK_EQ(value, i);
        send(chans[i], i);
        picks[i]++;
        pairs[(i - before + EIGHT) % EIGHT]++; /* nor does one pick say anything about the next */
        before = i;
    }
    double chi = chi_square(picks, n), chi_pairs = chi_square(pairs, n);
    if (chi > chi_limit || chi_pairs > chi_limit) FAIL("chi-square %.1f, %.1f", chi, chi_pairs);
    /* Of the ready ones, with others between them that are not: a rotation would favour some. */
    long two[2] = {0};
    long drained = 0;
    for (int i = 0; i < EIGHT; i++)
        if (i != 0 && i != 1) drained += recv(chans[i]) >= 0;
    CHECK_EQ(drained, EIGHT - 2);
    for (long k = 0; k < n / 4; k++) {
        int i = ars_select(cases, EIGHT, ARS_FOREVER);
        CHECK(i == 0 || i == 1);
        send(chans[i], i);
        two[i]++;
    }
    double off = (double)(two[0] - two[1]) / sqrt((double)(n / 4));
    if (fabs(off) > 6) FAIL("%ld of the first, %ld of the second", two[0], two[1]);
    for (int i = 0; i < EIGHT; i++) ars_chan_free(chans[i]);
    return 0;
}

static void fair_over_eight(void)
{
    crew_run(eight_ready, 1, 0);
}

static int closed_competes(void *arg)
{
    (void)arg;
    ars_chan *open = fresh(sizeof(long), 1), *closed_one = fresh(sizeof(long), 0);
    long value = 0, n = 10000, picks[2] = {0};
    CHECK_EQ(ars_chan_close(closed_one), 0);
    send(open, 1);
    ars_case cases[] = {ARS_RECV(open, &value), ARS_RECV(closed_one, &value)};
    for (long k = 0; k < n; k++) {
        int i = ars_select(cases, 2, ARS_FOREVER);
        CHECK(i == 0 || i == ARS_CLOSED(1));
        picks[i != 0]++;
        if (i == 0) send(open, 1);
    }
    CHECK(labs(picks[0] - picks[1]) < 600);
    ars_chan_free(open);
    ars_chan_free(closed_one);
    return 0;
}

static void closed_competes_fairly(void)
{
    crew_run(closed_competes, 1, 0);
}

/* ---- parked ---- */

typedef struct feed {
    ars_chan *chan;
    long from, n;
} feed;

static int feeds(void *arg)
{
    feed *f = arg;
    for (long i = 0; i < f->n; i++) send(f->chan, f->from + i);
    return 0;
}

/* Three producers, one of them a thread; values of each in order, none lost, none twice. */
static int gathers(void *arg)
{
    (void)arg;
    enum { N = 3, EACH = 2000 };
    for (size_t cap = 0; cap < 3; cap++) {
        feed f[N];
        ars_case cases[N];
        long value = 0, next[N];
        crew c;
        crew_begin(&c);
        for (int i = 0; i < N; i++) {
            next[i] = (i + 1) * 10000;
            f[i] = (feed){fresh(sizeof(long), cap), next[i], EACH};
            cases[i] = ARS_RECV(f[i].chan, &value);
            i == 2 ? crew_thread(&c, feeds, &f[i]) : crew_task(&c, feeds, &f[i]);
        }
        for (int k = 0; k < N * EACH; k++) {
            int i = ars_select(cases, N, ARS_FOREVER);
            CHECK(i >= 0 && i < N);
            CHECK_EQ(value, next[i]);
            next[i]++;
        }
        CHECK_EQ(ars_select(cases, N, 0), ARS_ETIMEDOUT);
        crew_end(&c);
        for (int i = 0; i < N; i++) ars_chan_free(f[i].chan);
    }
    return 0;
}

static void *gathers_on_a_thread(void *arg)
{
    feed *f = arg;
    long value = 0, sum = 0;
    ars_case cases[] = {ARS_RECV(f[0].chan, &value), ARS_RECV(f[1].chan, &value)};
    for (long k = 0; k < 4000; k++) {
        int i = ars_select(cases, 2, ARS_FOREVER);
        CHECK(i == 0 || i == 1);
        sum += value;
    }
    return (void *)sum;
}

static int feeds_a_thread(void *arg)
{
    (void)arg;
    feed f[2] = {{fresh(sizeof(long), 0), 1, 2000}, {fresh(sizeof(long), 1), 1, 2000}};
    crew c;
    pthread_t thread;
    void *sum;
    crew_begin(&c);
    crew_task(&c, feeds, &f[0]);
    crew_task(&c, feeds, &f[1]);
    CHECK_EQ(pthread_create(&thread, NULL, gathers_on_a_thread, f), 0);
    crew_end(&c);
    CHECK_EQ(pthread_join(thread, &sum), 0);
    CHECK_EQ((long)(intptr_t)sum, 2 * 2000 * 2001 / 2);
    ars_chan_free(f[0].chan);
    ars_chan_free(f[1].chan);
    return 0;
}

static void waits_for_the_first(void)
{
    crew_run_all(gathers, 3);
    crew_run_all(feeds_a_thread, 1);
}

/* What a select that has ended leaves in the other channels: nothing. */
static int losers(void *arg)
{
    (void)arg;
    ars_chan *a = fresh(sizeof(long), 0), *b = fresh(sizeof(long), 0);
    long value = 0, give = 2;
    ars_case cases[] = {ARS_RECV(a, &value), ARS_RECV(b, &value), ARS_SEND(b, &give),
                        ARS_RECV(a, &value)};
    for (int k = 0; k < 50; k++) {
        feed f = {k % 2 ? a : b, 5, 1};
        crew c;
        crew_begin(&c);
        crew_task(&c, feeds, &f);
        int i = ars_select(cases, 4, ARS_FOREVER);
        CHECK(k % 2 ? i == 0 || i == 3 : i == 1);
        CHECK_EQ(value, 5);
        crew_end(&c);
        CHECK_EQ(ars_chan_send(a, &give, 0), ARS_ETIMEDOUT);
        CHECK_EQ(ars_chan_send(b, &give, 0), ARS_ETIMEDOUT);
        CHECK_EQ(ars_chan_recv(b, &give, 0), ARS_ETIMEDOUT);
        ars_time until = ars_after(ARS_MILLISECOND / 2);
        CHECK_EQ(ars_select(cases, 4, until), ARS_ETIMEDOUT); /* and does not meet itself in b */
        CHECK(ars_now() >= until);
        CHECK_EQ(ars_chan_send(a, &give, 0), ARS_ETIMEDOUT);
        CHECK_EQ(ars_chan_recv(b, &give, 0), ARS_ETIMEDOUT);
    }
    ars_chan_free(a);
    ars_chan_free(b);
    return 0;
}

static void leaves_nothing_behind(void)
{
    crew_run_all(losers, 0);
}

static int cancelled(void *arg)
{
    ars_chan *chan = *(ars_chan **)arg;
    long value = 0;
    ars_case cases[] = {ARS_RECV(chan, &value), ARS_SEND(chan, &value)};
    CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_select(cases, 2, 0), ARS_ETIMEDOUT);
    return 0;
}

static int cancels(void *arg)
{
    (void)arg;
    ars_chan *chan = fresh(sizeof(long), 0);
    ars_group group;
    long value = 0;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, cancelled, &chan, NULL), 0);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_group_cancel(&group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_chan_send(chan, &value, 0), ARS_ETIMEDOUT);
    ars_scope scope;
    ars_case cases[] = {ARS_RECV(chan, &value)};
    CHECK_EQ(ars_scope_enter(&scope, ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_select(cases, 1, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    ars_chan_free(chan);
    return 0;
}

static void can_be_cancelled(void)
{
    crew_run_all(cancels, 0);
}

/* ---- selects that meet ---- */

typedef struct dance {
    ars_chan *x, *y;
    long sent, received, left;
} dance;

/* Each sends in one channel and receives in the other, crosswise: every exchange needs two selects. */
static int dances(void *arg)
{
    dance *d = arg;
    long out = 1, in = 0;
    ars_case cases[] = {ARS_SEND(d->x, &out), ARS_RECV(d->y, &in)};
    while (d->left > 0) {
        int i = ars_select(cases, 2, ARS_FOREVER);
        if (i == ARS_CLOSED(0) || i == ARS_CLOSED(1)) return 0;
        CHECK(i == 0 || i == 1);
        if (i == 0) d->sent++;
        if (i == 1) d->received++;
        d->left--;
    }
    ars_chan_close(d->x); /* whoever is done first ends the dance */
    ars_chan_close(d->y);
    return 0;
}

static int dancing(void *arg)
{
    (void)arg;
    enum { N = 6 };
    ars_chan *x = fresh(sizeof(long), 0), *y = fresh(sizeof(long), 0);
    dance d[N];
    crew c;
    crew_begin(&c);
    for (int i = 0; i < N; i++) {
        d[i] = (dance){i % 2 ? x : y, i % 2 ? y : x, 0, 0, test_times(5000, 1000)};
        i >= N - 2 ? crew_thread(&c, dances, &d[i]) : crew_task(&c, dances, &d[i]);
    }
    crew_end(&c);
    long sent = 0, received = 0;
    for (int i = 0; i < N; i++) {
        sent += d[i].sent;
        received += d[i].received;
    }
    CHECK_EQ(sent, received);
    CHECK(sent > 0);
    ars_chan_free(x);
    ars_chan_free(y);
    return 0;
}

static void selects_meet(void)
{
    crew_run_all(dancing, 2);
}

/* ---- anything that can be waited for ---- */

typedef struct mixed {
    ars_chan *chan;
    ars_event *event;
    ars_sem *sem;
    int which;
} mixed;

static int brings_about(void *arg)
{
    mixed *m = arg;
    /* The tick comes by itself, however late this task is; with the others all is up to it. */
    if (m->which == 4) {
        CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
        return 0;
    }
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 4)), 0);
    if (m->which == 0) send(m->chan, 5);
    if (m->which == 1) ars_event_set(m->event);
    if (m->which == 2) CHECK_EQ(ars_sem_release(m->sem, 1), 0);
    if (m->which != 3) CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

/* A channel, an event, a semaphore, the end of a group and a tick, each in its turn. */
static int mixture(void *arg)
{
    (void)arg;
    for (int k = 0; k < 20; k++) {
        ars_event event = {0};
        ars_sem sem = {0};
        ars_tick tick = {0};
        ars_group group;
        mixed m = {fresh(sizeof(long), 0), &event, &sem, k % 5};
        long value = 0;
        int beats = 0;
        if (m.which == 4) CHECK_EQ(ars_tick_start(&tick, ars_after(ARS_MILLISECOND), 0), 0);
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        CHECK_EQ(ars_group_go(&group, brings_about, &m, NULL), 0);
        ars_case cases[] = {ARS_RECV(m.chan, &value), ARS_EVENT(&event), ARS_SEM(&sem),
                            ARS_GROUP_DONE(&group), ARS_TICK(&tick, &beats)};
        CHECK_EQ(ars_select(cases, 5, ARS_FOREVER), m.which);
        CHECK_EQ(value, m.which == 0 ? 5 : 0);
        CHECK_EQ(beats, m.which == 4);
        cases[1].object = NULL; /* an event stays set */
        if (m.which != 3) CHECK_EQ(ars_select(cases, 5, 0), ARS_ETIMEDOUT);
        ars_group_cancel(&group, ARS_ECANCELED);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
        CHECK_EQ(ars_chan_send(m.chan, &value, 0), ARS_ETIMEDOUT); /* nothing is left */
        CHECK_EQ(ars_sem_acquire(&sem, 0), ARS_ETIMEDOUT);         /* nor was taken twice */
        ars_chan_free(m.chan);
    }
    return 0;
}

static void waits_for_anything(void)
{
    crew_run_all(mixture, 0);
}

/* ---- many cases, bad cases ---- */

static int many_cases(void *arg)
{
    (void)arg;
    enum { N = 1000 };
    static ars_case cases[N];
    static ars_chan *chans[N];
    long value = 0;
    for (int i = 0; i < N; i++) {
        chans[i] = fresh(sizeof(long), 0);
        cases[i] = ARS_RECV(chans[i], &value);
    }
    for (int i = 0; i < N; i += 37) {
        feed f = {chans[i], i, 1};
        crew c;
        crew_begin(&c);
        crew_task(&c, feeds, &f);
        CHECK_EQ(ars_select(cases, N, ARS_FOREVER), i);
        CHECK_EQ(value, i);
        crew_end(&c);
    }
    for (int i = 0; i < N; i++) ars_chan_free(chans[i]);
    return 0;
}

static void a_thousand_cases(void)
{
    crew_run(many_cases, 2, 0);
}

static void bad_cases(void)
{
    long value = 0;
    ars_chan *source = NULL, *sub = NULL;
    ars_chan_opt opt = {.flags = ARS_CHAN_BROADCAST};
    CHECK_EQ(ars_chan_new(&source, sizeof(long), 0, &opt), 0);
    CHECK_EQ(ars_chan_subscribe(source, &sub, 1), 0);
    ars_case one = ARS_RECV(source, &value);
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_EINVAL);
    one = ARS_SEND(sub, &value);
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_select(NULL, 1, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_select(&one, ARS_SELECT_MAX + 1, ARS_FOREVER), ARS_EINVAL);
    one = ars_case_make(999, source, &value);
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_EINVAL);
    ars_chan_free(sub);
    ars_chan_free(source);
}

static const test_case cases[] = {
    {"ready_default_and_off", ready_default_and_off},
    {"closed_is_ready", closed_is_ready},
    {"fair_over_eight", fair_over_eight},
    {"closed_competes_fairly", closed_competes_fairly},
    {"waits_for_the_first", waits_for_the_first},
    {"leaves_nothing_behind", leaves_nothing_behind},
    {"can_be_cancelled", can_be_cancelled},
    {"selects_meet", selects_meet},
    {"waits_for_anything", waits_for_anything},
    {"a_thousand_cases", a_thousand_cases},
    {"bad_cases", bad_cases},
};
TEST_MAIN(cases)
