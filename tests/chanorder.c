/* SPDX-License-Identifier: MIT */
/*
 * What channels put in order, and what not.  The clean programs share plain
 * memory, ordered by a channel only: ThreadSanitizer must be silent about them.
 * The racy ones run in child processes, where it must speak up.
 */
#include <arsenal/select.h>

#include <stdlib.h>

#include "base/san.h"
#include "crew.h"

enum { ROUNDS = 300 };

/* A value that refers to memory which goes with it. */
typedef struct parcel {
    long *content, number;
} parcel;

typedef struct line {
    ars_chan *from, *to;
    int select;
} line;

static int packs(void *arg)
{
    line *l = arg;
    for (long i = 0; i < ROUNDS; i++) {
        parcel p = {malloc(sizeof(long)), i};
        *p.content = i;
        ars_case one = ARS_SEND(l->to, &p);
        CHECK_EQ(l->select ? ars_select(&one, 1, ARS_FOREVER)
                           : ars_chan_send(l->to, &p, ARS_FOREVER),
                 0);
    }
    return 0;
}

static int unpacks(void *arg)
{
    line *l = arg;
    for (long i = 0; i < ROUNDS; i++) {
        parcel p = {NULL, 0};
        ars_case one = ARS_RECV(l->from, &p);
        CHECK_EQ(l->select ? ars_select(&one, 1, ARS_FOREVER)
                           : ars_chan_recv(l->from, &p, ARS_FOREVER),
                 0);
        CHECK_EQ(p.number, i);
        CHECK_EQ(*p.content, i);
        *p.content = -1;
        free(p.content);
    }
    return 0;
}

static int parcels(void *arg)
{
    (void)arg;
    static const unsigned flags[] = {0, 0, 0, ARS_CHAN_SPSC, ARS_CHAN_MPSC, ARS_CHAN_BROADCAST};
    static const size_t caps[] = {0, 1, 8, 2, 2, 0};
    for (int k = 0; k < 6; k++) {
        for (int how = 0; how < 4; how++) {
            ars_chan *chan = NULL, *sub = NULL;
            ars_chan_opt opt = {.flags = flags[k]};
            CHECK_EQ(ars_chan_new(&chan, sizeof(parcel), caps[k], &opt), 0);
            if (flags[k] == ARS_CHAN_BROADCAST) CHECK_EQ(ars_chan_subscribe(chan, &sub, ROUNDS), 0);
            line to = {NULL, chan, how & 1}, from = {sub ? sub : chan, NULL, how >> 1};
            crew c;
            crew_begin(&c);
            crew_task(&c, unpacks, &from);
            how == 3 ? crew_thread(&c, packs, &to) : crew_task(&c, packs, &to);
            crew_end(&c);
            ars_chan_free(sub);
            ars_chan_free(chan);
        }
    }
    return 0;
}

/* Without room both ways: who sends knows that the other has come to receive. */
typedef struct meeting {
    ars_chan *chan;
    long said, heard;
} meeting;

static int speaks(void *arg)
{
    meeting *m = arg;
    long value = 0;
    m->said = 1;
    CHECK_EQ(ars_chan_send(m->chan, &value, ARS_FOREVER), 0);
    CHECK_EQ(m->heard, 1);
    m->heard = 2;
    return 0;
}

static int hears(void *arg)
{
    meeting *m = arg;
    long value;
    m->heard = 1;
    CHECK_EQ(ars_chan_recv(m->chan, &value, ARS_FOREVER), 0);
    CHECK_EQ(m->said, 1);
    m->said = 2;
    return 0;
}

static int closes(void *arg)
{
    meeting *m = arg;
    m->said = 1;
    CHECK_EQ(ars_chan_close(m->chan), 0);
    return 0;
}

static int sees_the_end(void *arg)
{
    meeting *m = arg;
    long value;
    ars_case one = ARS_RECV(m->chan, &value);
    if (m->heard)
        CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_CLOSED(0));
    else
        CHECK_EQ(ars_chan_recv(m->chan, &value, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(m->said, 1);
    m->said = 2;
    return 0;
}

static int meetings(void *arg)
{
    (void)arg;
    static const unsigned flags[] = {0, ARS_CHAN_SPSC, ARS_CHAN_MPSC};
    for (int k = 0; k < 40; k++) {
        meeting m = {0};
        crew c;
        CHECK_EQ(ars_chan_new(&m.chan, sizeof(long), 0, NULL), 0);
        crew_begin(&c);
        crew_task(&c, k % 2 ? speaks : hears, &m);
        crew_task(&c, k % 2 ? hears : speaks, &m);
        crew_end(&c);
        ars_chan_free(m.chan);
        m = (meeting){NULL, 0, k % 2};
        ars_chan_opt opt = {.flags = flags[k % 3]};
        CHECK_EQ(ars_chan_new(&m.chan, sizeof(long), 0, &opt), 0);
        crew_begin(&c);
        crew_task(&c, sees_the_end, &m);
        crew_task(&c, closes, &m);
        crew_end(&c);
        ars_chan_free(m.chan);
    }
    return 0;
}

static void run_strict(ars_fn *fn, unsigned workers, int threads)
{
    static world w;
    world_begin(&w);
    w.config.workers = workers;
    w.config.race_strict = 1;
    CHECK_EQ(ars_run(fn, &w, &w.config), 0);
    test_gate_end(&w.gate, 4 * (threads + (int)workers - 1));
}

static void what_channels_order(void)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        run_strict(parcels, workers, 6);
        run_strict(meetings, workers, 0);
    }
}

/* ---- what they do not ---- */

static long shared;
static ars_chan *middle;

static int adds_then_sends(void *arg)
{
    (void)arg;
    long value = 1;
    shared++;
    return ars_chan_send(middle, &value, ARS_FOREVER);
}

static int sends_then_adds(void *arg)
{
    (void)arg;
    long value = 1;
    int rc = ars_chan_send(middle, &value, ARS_FOREVER);
    shared++;
    return rc;
}

static int receives_then_adds(void *arg)
{
    (void)arg;
    long value;
    CHECK_EQ(ars_chan_recv(middle, &value, ARS_FOREVER), 0);
    shared++;
    return 0;
}

static int finds_nothing_then_adds(void *arg)
{
    (void)arg;
    long value;
    CHECK(ars_chan_recv(middle, &value, 0) <= 0);
    shared++;
    return 0;
}

typedef struct racer {
    const char *name;
    ars_fn *one, *two;
} racer;

static int race(void *arg)
{
    const racer *r = arg;
    crew c;
    CHECK_EQ(ars_chan_new(&middle, sizeof(long), 2, NULL), 0);
    crew_begin(&c);
    crew_task(&c, r->one, NULL);
    crew_task(&c, r->two, NULL);
    crew_end(&c);
    ars_chan_free(middle);
    return 0;
}

static void run_race(void *arg)
{
    ars_config config = {.workers = 1, .race_strict = 1};
    CHECK_EQ(ars_run(race, arg, &config), 0);
}

static void what_they_do_not(void)
{
    static racer racers[] = {
        {"two senders", adds_then_sends, adds_then_sends},
        {"after a send", sends_then_adds, receives_then_adds},
        {"nothing received", adds_then_sends, finds_nothing_then_adds},
    };
    /* In the last one whoever started last runs first, and finds nothing. */
    for (int i = 0; i < 3; i++) {
        test_context = racers[i].name;
        test_end end = test_child(run_race, &racers[i]);
        CHECK_EQ(end.signal, 0);
        CHECK_EQ(strstr(end.err, "data race") != NULL, ARS__TSAN);
        CHECK_EQ(end.status != 0, ARS__TSAN);
    }
    test_context = NULL;
}

static const test_case cases[] = {
    {"what_channels_order", what_channels_order},
    {"what_they_do_not", what_they_do_not},
};
TEST_MAIN(cases)
