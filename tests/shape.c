/* SPDX-License-Identifier: MIT */
/* Channels of a declared shape: one sender or many, one receiver, no lock. */
#include <arsenal/select.h>

#include "crew.h"
#include "fault.h"

static const unsigned shapes[] = {ARS_CHAN_SPSC, ARS_CHAN_MPSC};

static ars_chan *fresh(unsigned flags, size_t elem, size_t cap)
{
    ars_chan *chan = NULL;
    ars_chan_opt opt = {.flags = flags};
    CHECK_EQ(ars_chan_new(&chan, elem, cap, &opt), 0);
    return chan;
}

static void holds_so_many(void)
{
    static const size_t caps[][2] = {{0, 2}, {1, 2}, {2, 2}, {3, 4}, {5, 8}, {64, 64}};
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < 6; k++) {
            ars_chan *chan = fresh(shapes[s], sizeof(long), caps[k][0]);
            long cap = (long)caps[k][1], value;
            CHECK_EQ(ars_chan_cap(chan), cap);
            for (long round = 0; round < 3 * cap; round++) {
                for (long i = 0; i < cap; i++) {
                    CHECK_EQ(ars_chan_len(chan), i);
                    value = round + i;
                    CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
                }
                CHECK_EQ(ars_chan_send(chan, &value, 0), ARS_ETIMEDOUT);
                for (long i = 0; i < cap; i++) {
                    CHECK_EQ(ars_chan_recv(chan, &value, 0), 0);
                    CHECK_EQ(value, round + i);
                }
                value = 7;
                CHECK_EQ(ars_chan_recv(chan, &value, 0), ARS_ETIMEDOUT);
                CHECK_EQ(value, 7);
                CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0); /* shifts the next round */
                CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
            }
            ars_chan_free(chan);
        }
    }
}

static void values_of_every_size(void)
{
    static const size_t sizes[] = {0, 1, 3, 4, 8, 9, 24, 1000};
    static unsigned char value[1002];
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < 8; k++) {
            ars_chan *chan = fresh(shapes[s], sizes[k], 4);
            for (int i = 0; i < 10; i++) {
                memset(value, i + 1, sizeof value);
                CHECK_EQ(ars_chan_send(chan, value, 0), 0);
                memset(value, 0xee, sizeof value);
                CHECK_EQ(ars_chan_recv(chan, value + 1, 0), 0);
                CHECK(value[0] == 0xee && value[sizes[k] + 1] == 0xee);
                for (size_t b = 1; b <= sizes[k]; b++) CHECK_EQ(value[b], i + 1);
            }
            ars_chan_free(chan);
        }
    }
}

static void closing(void)
{
    for (int s = 0; s < 2; s++) {
        ars_chan *chan = fresh(shapes[s], sizeof(long), 4);
        long value = 3;
        ars_case recv = ARS_RECV(chan, &value), send = ARS_SEND(chan, &value);
        CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0);
        CHECK_EQ(ars_chan_close(chan), 0);
        CHECK_EQ(ars_chan_close(chan), ARS_EPIPE);
        CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), ARS_EPIPE);
        CHECK_EQ(ars_select(&send, 1, ARS_FOREVER), ARS_CLOSED(0));
        CHECK_EQ(ars_chan_len(chan), 1);
        CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
        CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), ARS_EPIPE);
        CHECK_EQ(ars_select(&recv, 1, ARS_FOREVER), ARS_CLOSED(0));
        ars_chan_free(chan);
    }
}

/* ---- a stream from one to one ---- */

static long total;

/* 'plan' chooses between the calls. */
typedef struct end {
    ars_chan *chan, *never;
    int plan;
} end;

static int sends(void *arg)
{
    end *e = arg;
    long value[3];
    for (long i = 0; i < total; i++) {
        value[0] = i;
        ars_case cases[] = {ARS_RECV(e->never, &value[1]), ARS_SEND(e->chan, value)};
        if (e->plan == 1) {
            CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 1);
        } else if (e->plan == 2 && i + 3 < total) {
            value[1] = i + 1;
            value[2] = i + 2;
            int n = ars_chan_send_many(e->chan, value, 3, ARS_FOREVER);
            CHECK(n >= 1 && n <= 3);
            i += n - 1;
        } else if (e->plan == 3 && i % 2) {
            int rc = ars_chan_send(e->chan, value, ars_after(5 * ARS_MICROSECOND));
            if (rc == ARS_ETIMEDOUT)
                i--;
            else
                CHECK_EQ(rc, 0);
        } else {
            CHECK_EQ(ars_chan_send(e->chan, value, ARS_FOREVER), 0);
        }
    }
    CHECK_EQ(ars_chan_close(e->chan), 0);
    return 0;
}

static int receives(void *arg)
{
    end *e = arg;
    long value[5], next = 0;
    for (;;) {
        int rc, n = 1;
        ars_case cases[] = {ARS_RECV(e->chan, value), ARS_RECV(e->never, &value[1])};
        if (e->plan == 1) {
            rc = ars_select(cases, 2, ARS_FOREVER);
            if (rc == ARS_CLOSED(0)) break;
            CHECK_EQ(rc, 0);
        } else if (e->plan == 2) {
            n = ars_chan_recv_many(e->chan, value, 5, ARS_FOREVER);
            if (n == ARS_EPIPE) break;
            CHECK(n >= 1 && n <= 5);
        } else {
            ars_time until = e->plan == 3 ? ars_after(5 * ARS_MICROSECOND) : ARS_FOREVER;
            rc = ars_chan_recv(e->chan, value, until);
            if (rc == ARS_EPIPE) break;
            if (rc == ARS_ETIMEDOUT) continue;
            CHECK_EQ(rc, 0);
        }
        for (int i = 0; i < n; i++) CHECK_EQ(value[i], next++);
    }
    CHECK_EQ(next, total);
    return 0;
}

static int streams(void *arg)
{
    (void)arg;
    total = test_times(3000, 500);
    for (int k = 0; k < 16; k++) {
        for (int s = 0; s < 2; s++) {
            ars_chan *chan = fresh(shapes[s], sizeof(long), k % 3 ? 2 : 64);
            ars_chan *never = fresh(shapes[s], sizeof(long), 2);
            end from = {chan, never, k / 4}, to = {chan, never, k % 4};
            crew c;
            /* The case that never happens may have one receiver only. */
            ars_chan *other = fresh(shapes[s], sizeof(long), 2);
            to.never = other;
            crew_begin(&c);
            k == 5 ? crew_thread(&c, sends, &from) : crew_task(&c, sends, &from);
            k == 9 || k == 1 ? crew_thread(&c, receives, &to) : crew_task(&c, receives, &to);
            crew_end(&c);
            ars_chan_free(chan);
            ars_chan_free(never);
            ars_chan_free(other);
        }
    }
    return 0;
}

static void a_stream(void)
{
    crew_run_all(streams, 6);
}

/* ---- many to one ---- */

enum { SENDERS = 8 };

typedef struct item {
    long who, number;
} item;

typedef struct rally {
    ars_chan *chan, *side;
    long each;
    ars_atomic_i64 next_id, sent, aside;
} rally;

/* Sometimes into the side channel instead: whoever was woken for the main one must not keep that. */
static int joins(void *arg)
{
    rally *r = arg;
    long who = ars_atomic_i64_add_relaxed(&r->next_id, 1);
    for (long i = 0; i < r->each; i++) {
        item it = {who, i};
        ars_case cases[] = {ARS_SEND(r->chan, &it), ARS_SEND(r->side, &it)};
        int rc =
            i % 3 ? ars_chan_send(r->chan, &it, ARS_FOREVER) : ars_select(cases, 2, ARS_FOREVER);
        if (rc == ARS_EPIPE || rc == ARS_CLOSED(0)) return 0;
        CHECK(rc == 0 || rc == 1);
        ars_atomic_i64_add_relaxed(rc == 0 ? &r->sent : &r->aside, 1);
    }
    return 0;
}

static int empties(void *arg)
{
    item it;
    while (ars_chan_recv(arg, &it, ARS_FOREVER) == 0)
        if (it.number % 7 == 0) CHECK_EQ(ars_yield(), 0);
    return 0;
}

static int rallies(void *arg)
{
    (void)arg;
    for (int closes_early = 0; closes_early < 2; closes_early++) {
        rally r = {.chan = fresh(ARS_CHAN_MPSC, sizeof(item), 4), .each = test_times(2000, 400)};
        CHECK_EQ(ars_chan_new(&r.side, sizeof(item), 0, NULL), 0);
        crew senders, side;
        long last[SENDERS], got = 0;
        item it;
        crew_begin(&side);
        crew_task(&side, empties, r.side);
        crew_begin(&senders);
        for (int i = 0; i < SENDERS; i++) {
            last[i] = -1;
            i == 0 ? crew_thread(&senders, joins, &r) : crew_task(&senders, joins, &r);
        }
        for (;;) {
            int rc = ars_chan_recv(r.chan, &it, ars_after(ARS_MILLISECOND * 20));
            if (rc == ARS_EPIPE) break;
            if (rc == ARS_ETIMEDOUT) {
                if (ars_atomic_i64_load_acquire(&r.sent) + ars_atomic_i64_load_acquire(&r.aside) ==
                    SENDERS * r.each)
                    ars_chan_close(r.chan);
                continue;
            }
            CHECK_EQ(rc, 0);
            CHECK(it.who >= 0 && it.who < SENDERS && it.number > last[it.who]);
            last[it.who] = it.number;
            if (++got == SENDERS * r.each / 3 && closes_early)
                CHECK_EQ(ars_chan_close(r.chan), 0); /* what was sent before still comes */
        }
        crew_end(&senders);
        CHECK_EQ(ars_chan_close(r.side), 0);
        crew_end(&side);
        CHECK_EQ(got, r.sent.ars__v);
        if (!closes_early) CHECK_EQ(got + r.aside.ars__v, SENDERS * r.each);
        ars_chan_free(r.chan);
        ars_chan_free(r.side);
    }
    return 0;
}

static void many_to_one(void)
{
    crew_run_all(rallies, 2);
}

typedef struct offer {
    ars_chan *chan, *side;
    long value;
} offer;

static int offers(void *arg)
{
    offer *o = arg;
    int rc = ars_chan_send(o->chan, &o->value, ARS_FOREVER);
    CHECK(rc == 0 || rc == ARS_EPIPE);
    return 0;
}

static int offers_or_takes(void *arg)
{
    offer *o = arg;
    long value = 0;
    ars_case cases[] = {ARS_SEND(o->chan, &o->value), ARS_RECV(o->side, &value)};
    int rc = ars_select(cases, 2, ARS_FOREVER);
    CHECK(rc == 0 || rc == 1);
    return 0;
}

/*
 * One worker.  Two wait for room; the first is woken for it, but finds something
 * else as well and may do that: then the room is the second's.
 */
static int hands_on(void *arg)
{
    (void)arg;
    for (int k = 0; k < 40; k++) {
        ars_chan *chan = fresh(ARS_CHAN_MPSC, sizeof(long), 2), *side = NULL;
        offer o = {chan, NULL, 7};
        crew c;
        long value = 1;
        CHECK_EQ(ars_chan_new(&side, sizeof(long), 1, NULL), 0);
        o.side = side;
        CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
        CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
        crew_begin(&c);
        crew_task(&c, offers_or_takes, &o);
        CHECK_EQ(ars_yield(), 0);
        crew_task(&c, offers, &o);
        CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(ars_chan_recv(chan, &value, 0), 0);
        CHECK_EQ(ars_chan_send(side, &value, 0), 0);
        for (int i = 0; i < 5; i++) CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(ars_chan_len(chan), 2);
        CHECK_EQ(ars_chan_close(chan), 0);
        CHECK_EQ(ars_chan_close(side), 0);
        crew_end(&c);
        ars_chan_free(chan);
        ars_chan_free(side);
    }
    return 0;
}

static void a_wake_is_not_kept(void)
{
    crew_run(hands_on, 1, 0);
}

/* ---- giving up ---- */

static int waits_cancelled(void *arg)
{
    ars_chan *chan = arg;
    long value = 0;
    CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_chan_recv(chan, &value, 0), ARS_ETIMEDOUT);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    for (int s = 0; s < 2; s++) {
        ars_chan *chan = fresh(shapes[s], sizeof(long), 2);
        ars_group group;
        long value = 0;
        ars_time until = ars_after(ARS_MILLISECOND);
        ars_case recv = ARS_RECV(chan, &value);
        CHECK_EQ(ars_chan_recv(chan, &value, until), ARS_ETIMEDOUT);
        CHECK(ars_now() >= until);
        CHECK_EQ(ars_select(&recv, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        CHECK_EQ(ars_group_go(&group, waits_cancelled, chan, NULL), 0);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        ars_group_cancel(&group, ARS_ECANCELED);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
        CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
        CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
        until = ars_after(ARS_MILLISECOND);
        CHECK_EQ(ars_chan_send(chan, &value, until), ARS_ETIMEDOUT);
        CHECK(ars_now() >= until);
        CHECK_EQ(ars_chan_len(chan), 2);
        ars_chan_free(chan);
    }
    return 0;
}

static void giving_up(void)
{
    crew_run_all(gives_up, 0);
}

static void out_of_memory_body(const ars_alloc *alloc)
{
    for (int s = 0; s < 2; s++) {
        ars_chan *chan = NULL;
        ars_chan_opt opt = {.alloc = alloc, .flags = shapes[s]};
        int rc = ars_chan_new(&chan, sizeof(long), 4, &opt);
        if (rc < 0) CHECK_EQ(rc, ARS_ENOMEM);
        ars_chan_free(chan);
    }
}

static void out_of_memory(void)
{
    CHECK_EQ(sweep_alloc("shape", out_of_memory_body), 2);
}

static const test_case cases[] = {
    {"holds_so_many", holds_so_many},
    {"values_of_every_size", values_of_every_size},
    {"closing", closing},
    {"a_stream", a_stream},
    {"many_to_one", many_to_one},
    {"a_wake_is_not_kept", a_wake_is_not_kept},
    {"giving_up", giving_up},
    {"out_of_memory", out_of_memory},
};
TEST_MAIN(cases)
