/* SPDX-License-Identifier: MIT */
/* Many values in one call: ars_chan_send_many(), ars_chan_recv_many(). */
#include <arsenal/chan.h>

#include "chans.h"
#include "crew.h"

static void takes_what_goes(void)
{
    ars_chan *chan = fresh(sizeof(long), 5);
    long in[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, out[9] = {0};
    CHECK_EQ(ars_chan_recv_many(chan, out, 9, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_chan_send_many(chan, in, 0, ARS_FOREVER), 0);
    CHECK_EQ(ars_chan_recv_many(chan, out, 0, ARS_FOREVER), 0);
    CHECK_EQ(ars_chan_send_many(chan, in, 3, 0), 3);
    CHECK_EQ(ars_chan_send_many(chan, in + 3, 6, ARS_FOREVER), 2); /* the first waits only */
    CHECK_EQ(ars_chan_send_many(chan, in, 1, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_chan_send_many(chan, in, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_chan_recv_many(chan, out, 2, ARS_FOREVER), 2);
    CHECK_EQ(ars_chan_send_many(chan, in + 5, 4, ARS_FOREVER), 2);
    CHECK_EQ(ars_chan_recv_many(chan, out + 2, 9, ARS_FOREVER), 5);
    for (int i = 0; i < 7; i++) CHECK_EQ(out[i], i + 1);
    CHECK_EQ(out[7], 0);
    CHECK_EQ(ars_chan_send_many(chan, in, 2, 0), 2);
    CHECK_EQ(ars_chan_close(chan), 0);
    CHECK_EQ(ars_chan_send_many(chan, in, 2, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(ars_chan_recv_many(chan, out, 9, ARS_FOREVER), 2);
    CHECK_EQ(ars_chan_recv_many(chan, out, 9, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(ars_chan_recv_many(chan, out, 9, 0), ARS_EPIPE);
    ars_chan_free(chan);
}

typedef struct part {
    ars_chan *chan;
    long value;
    int rc;
} part;

static int sends_one(void *arg)
{
    part *p = arg;
    p->rc = ars_chan_send(p->chan, &p->value, ARS_FOREVER);
    return 0;
}

static int receives_one(void *arg)
{
    part *p = arg;
    p->rc = ars_chan_recv(p->chan, &p->value, ARS_FOREVER);
    return 0;
}

/* One worker: those who wait are served by one call, in order, and the rest goes into the channel. */
static int meets_waiters(void *arg)
{
    (void)arg;
    for (size_t cap = 0; cap < 4; cap++) {
        ars_chan *chan = fresh(sizeof(long), cap);
        part p[5];
        long values[12] = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}, out[12];
        crew c;
        crew_begin(&c);
        for (int i = 0; i < 5; i++) {
            p[i] = (part){chan, 0, 1};
            crew_task(&c, receives_one, &p[i]);
            CHECK_EQ(ars_yield(), 0);
        }
        CHECK_EQ(ars_chan_send_many(chan, values, 12, ARS_FOREVER), 5 + (int)cap);
        crew_end(&c);
        for (int i = 0; i < 5; i++) {
            CHECK_EQ(p[i].rc, 0);
            CHECK_EQ(p[i].value, 10 + i);
        }
        crew_begin(&c);
        for (int i = 0; i < 5; i++) {
            p[i] = (part){chan, 15 + (long)cap + i, 1};
            crew_task(&c, sends_one, &p[i]);
            CHECK_EQ(ars_yield(), 0);
        }
        CHECK_EQ(ars_chan_recv_many(chan, out, 12, ARS_FOREVER), 5 + (int)cap);
        crew_end(&c);
        for (int i = 0; i < 5 + (int)cap; i++) CHECK_EQ(out[i], 15 + i);
        CHECK_EQ(ars_chan_len(chan), 0);
        ars_chan_free(chan);
    }
    return 0;
}

static void serves_those_who_wait(void)
{
    crew_run(meets_waiters, 1, 0);
}

enum { TOTAL = 20000 };

static int pours(void *arg)
{
    static const int sizes[] = {1, 7, 3, 20, 64, 2};
    long values[64], next = 0;
    for (int k = 0; next < TOTAL; k++) {
        int n = sizes[k % 6], sent = 0;
        if (n > TOTAL - next) n = (int)(TOTAL - next);
        for (int i = 0; i < n; i++) values[i] = next + i;
        while (sent < n) {
            int rc = ars_chan_send_many(arg, values + sent, (size_t)(n - sent), ARS_FOREVER);
            CHECK(rc >= 1 && rc <= n - sent);
            sent += rc;
        }
        next += n;
    }
    CHECK_EQ(ars_chan_close(arg), 0);
    return 0;
}

static int drinks(void *arg)
{
    long values[40], next = 0;
    for (int k = 0;; k++) {
        size_t room = (size_t)(k % 40 + 1);
        int rc = ars_chan_recv_many(arg, values, room, ARS_FOREVER);
        if (rc == ARS_EPIPE) break;
        CHECK(rc >= 1 && rc <= (int)room);
        for (int i = 0; i < rc; i++) CHECK_EQ(values[i], next++);
    }
    CHECK_EQ(next, TOTAL);
    return 0;
}

static int streams(void *arg)
{
    (void)arg;
    static const size_t caps[] = {0, 1, 5, 64};
    for (int k = 0; k < 4; k++) {
        for (int threads = 0; threads < 3; threads++) {
            ars_chan *chan = fresh(sizeof(long), caps[k]);
            crew c;
            crew_begin(&c);
            threads == 1 ? crew_thread(&c, pours, chan) : crew_task(&c, pours, chan);
            threads == 2 ? crew_thread(&c, drinks, chan) : crew_task(&c, drinks, chan);
            crew_end(&c);
            ars_chan_free(chan);
        }
    }
    return 0;
}

static void a_stream(void)
{
    crew_run(streams, 1, 8);
    crew_run(streams, 2, 8);
}

static const test_case cases[] = {
    {"takes_what_goes", takes_what_goes},
    {"serves_those_who_wait", serves_those_who_wait},
    {"a_stream", a_stream},
};
TEST_MAIN(cases)
