/* SPDX-License-Identifier: MIT */
/* Crowds on one channel: nothing lost, nothing twice, whatever meets; and memory freed at once. */
#include <arsenal/select.h>

#include <stdlib.h>

#include "chans.h"
#include "crew.h"

/* ---- many senders and receivers ---- */

enum { PRODUCERS = 8, CONSUMERS = 8 };

typedef struct item {
    long who, number;
} item;

typedef struct crowd {
    ars_chan *chan, *never;
    long each;
    ars_atomic_i64 sum, count, producers;
} crowd;

typedef struct member {
    crowd *crowd;
    long id;
} member;

static int produces(void *arg)
{
    member *m = arg;
    crowd *all = m->crowd;
    for (long i = 0; i < all->each; i++) {
        item it = {m->id, i};
        ars_case cases[] = {ARS_RECV(all->never, &it), ARS_SEND(all->chan, &it)};
        if (i % 3 == 0)
            CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 1);
        else
            CHECK_EQ(ars_chan_send(all->chan, &it, ARS_FOREVER), 0);
    }
    if (ars_atomic_i64_add_acq_rel(&all->producers, -1) == 1) ars_chan_close(all->chan);
    return 0;
}

static int consumes(void *arg)
{
    member *m = arg;
    crowd *all = m->crowd;
    long last[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) last[i] = -1;
    for (long n = 0;; n++) {
        item it = {0, 0};
        int rc;
        if (n % 3 == 1) {
            item other;
            ars_case cases[] = {ARS_RECV(all->chan, &it), ARS_RECV(all->never, &other)};
            rc = ars_select(cases, 2, ARS_FOREVER);
            if (rc == ARS_CLOSED(0)) return 0;
        } else {
            /* Some waits end early: nothing may be lost by that. */
            ars_time until = n % 3 == 2 ? ars_after(20 * ARS_MICROSECOND) : ARS_FOREVER;
            rc = ars_chan_recv(all->chan, &it, until);
            if (rc == ARS_EPIPE) return 0;
            if (rc == ARS_ETIMEDOUT) continue;
        }
        CHECK_EQ(rc, 0);
        CHECK(it.who >= 0 && it.who < PRODUCERS);
        CHECK(it.number > last[it.who]); /* one producer's values in order */
        last[it.who] = it.number;
        ars_atomic_i64_add_relaxed(&all->sum, it.number);
        ars_atomic_i64_add_relaxed(&all->count, 1);
    }
}

static int crowds(void *arg)
{
    (void)arg;
    static const size_t caps[] = {0, 1, 16};
    for (int k = 0; k < 3; k++) {
        crowd all = {.chan = fresh(sizeof(item), caps[k]), .never = fresh(sizeof(item), 0)};
        member members[PRODUCERS + CONSUMERS];
        crew c;
        all.each = test_times(3000, 500);
        all.producers.ars__v = PRODUCERS;
        crew_begin(&c);
        for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
            ars_fn *fn = i < PRODUCERS ? produces : consumes;
            members[i] = (member){&all, i};
            i % 8 == 3 ? crew_thread(&c, fn, &members[i]) : crew_task(&c, fn, &members[i]);
        }
        crew_end(&c);
        CHECK_EQ(all.count.ars__v, PRODUCERS * all.each);
        CHECK_EQ(all.sum.ars__v, PRODUCERS * (all.each * (all.each - 1) / 2));
        ars_chan_free(all.chan);
        ars_chan_free(all.never);
    }
    return 0;
}

static void nothing_lost(void)
{
    crew_run_all(crowds, 6);
}

/* ---- a thousand tasks ---- */

static int passes_one_on(void *arg)
{
    ars_chan *chan = arg;
    long value;
    CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
    value++;
    CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0);
    return 0;
}

static int thousand(void *arg)
{
    (void)arg;
    enum { N = 1500 };
    for (size_t cap = 0; cap < 2; cap++) {
        ars_chan *chan = fresh(sizeof(long), cap);
        long value = 0;
        crew c;
        crew_begin(&c);
        for (int i = 0; i < N; i++) crew_task(&c, passes_one_on, chan);
        CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0);
        if (cap == 0) CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
        if (cap == 0) CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0);
        crew_task(&c, passes_one_on, chan);
        /* Each of them takes the value once; the last to send needs a receiver. */
        for (;;) {
            CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
            if (value == N + 1) break;
            CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0);
        }
        crew_end(&c);
        ars_chan_free(chan);
    }
    return 0;
}

static void a_thousand_tasks(void)
{
    crew_run_all(thousand, 0);
}

/* ---- close against everything ---- */

typedef struct race {
    ars_chan *chan;
    ars_atomic_i64 sent, received;
} race;

static int sends_until_closed(void *arg)
{
    race *r = arg;
    long value = 1;
    for (long i = 0;; i++) {
        ars_case one = ARS_SEND(r->chan, &value);
        int rc =
            i % 2 ? ars_select(&one, 1, ARS_FOREVER) : ars_chan_send(r->chan, &value, ARS_FOREVER);
        if (rc == ARS_EPIPE || rc == ARS_CLOSED(0)) return 0;
        CHECK_EQ(rc, 0);
        ars_atomic_i64_add_relaxed(&r->sent, 1);
    }
}

static int receives_until_closed(void *arg)
{
    race *r = arg;
    long value = 0;
    for (long i = 0;; i++) {
        ars_case one = ARS_RECV(r->chan, &value);
        int rc =
            i % 2 ? ars_select(&one, 1, ARS_FOREVER) : ars_chan_recv(r->chan, &value, ARS_FOREVER);
        if (rc == ARS_EPIPE || rc == ARS_CLOSED(0)) return 0;
        CHECK_EQ(rc, 0);
        ars_atomic_i64_add_relaxed(&r->received, 1);
    }
}

static int closes_soon(void *arg)
{
    race *r = arg;
    CHECK_EQ(ars_sleep(ars_after(50 * ARS_MICROSECOND)), 0);
    int rc = ars_chan_close(r->chan);
    CHECK(rc == 0 || rc == ARS_EPIPE);
    return rc == 0 ? 1 : 0;
}

static int races(void *arg)
{
    (void)arg;
    for (long k = 0; k < test_times(200, 40); k++) {
        race r = {.chan = fresh(sizeof(long), (size_t)(k % 3))};
        int won[2];
        ars_task_opt opt = {0};
        crew c;
        crew_begin(&c);
        for (int i = 0; i < 3; i++) {
            crew_task(&c, sends_until_closed, &r);
            crew_task(&c, receives_until_closed, &r);
        }
        if (k % 20 == 0) crew_thread(&c, receives_until_closed, &r);
        for (int i = 0; i < 2; i++) {
            opt.result = &won[i];
            CHECK_EQ(ars_group_go(&c.group, closes_soon, &r, &opt), 0);
        }
        crew_end(&c);
        CHECK_EQ(won[0] + won[1], 1); /* exactly one of them has closed it */
        CHECK_EQ(r.sent.ars__v, r.received.ars__v);
        ars_chan_free(r.chan);
    }
    return 0;
}

static void close_races(void)
{
    crew_run_all(races, 10);
}

/* ---- freed as soon as the call has returned ---- */

static int answers(void *arg)
{
    long value = 42;
    CHECK_EQ(ars_chan_send(arg, &value, ARS_FOREVER), 0);
    return 0;
}

static int asks(void *arg)
{
    ars_chan *self_freed = fresh(sizeof(long), arg != NULL);
    long value = 0;
    /* The child may still be in its send, but no longer in the channel. */
    CHECK_EQ(ars_group_go(NULL, answers, self_freed, NULL), 0);
    CHECK_EQ(ars_chan_recv(self_freed, &value, ARS_FOREVER), 0);
    CHECK_EQ(value, 42);
    memset(&value, 0, sizeof value);
    ars_chan_free(self_freed);
    return 0;
}

static int questions(void *arg)
{
    (void)arg;
    for (long k = 0; k < test_times(20000, 2000); k++) {
        CHECK_EQ(asks(k % 2 ? &k : NULL), 0);
        if (k % 1000 == 0) CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static void freed_at_once(void)
{
    crew_run_all(questions, 0);
}

static void *answers_on_a_thread(void *arg)
{
    ars_chan *inbox = arg, *reply;
    while (ars_chan_recv(inbox, &reply, ARS_FOREVER) == 0) {
        long value = 42;
        CHECK_EQ(ars_chan_send(reply, &value, ARS_FOREVER), 0);
    }
    return NULL;
}

static int asks_a_thread(void *arg)
{
    (void)arg;
    ars_chan *inbox = fresh(sizeof(ars_chan *), 0), *never = fresh(sizeof(long), 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, answers_on_a_thread, inbox), 0);
    for (long k = 0; k < test_times(2000, 500); k++) {
        ars_chan *reply = fresh(sizeof(long), 0);
        long value = 0, other = 0;
        CHECK_EQ(ars_chan_send(inbox, &reply, ARS_FOREVER), 0);
        ars_case cases[] = {ARS_RECV(never, &other), ARS_RECV(reply, &value)};
        CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 1);
        ars_chan_free(reply);
        CHECK_EQ(value, 42);
    }
    CHECK_EQ(ars_chan_close(inbox), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    ars_chan_free(inbox);
    ars_chan_free(never);
    return 0;
}

static void freed_at_once_by_select(void)
{
    crew_run(asks_a_thread, 2, 1);
}

static const test_case cases[] = {
    {"nothing_lost", nothing_lost},
    {"a_thousand_tasks", a_thousand_tasks},
    {"close_races", close_races},
    {"freed_at_once", freed_at_once},
    {"freed_at_once_by_select", freed_at_once_by_select},
};
TEST_MAIN(cases)
