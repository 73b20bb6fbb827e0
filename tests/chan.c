/* SPDX-License-Identifier: MIT */
/* Channels: values, order, closing, waiting and giving up, one send or receive at a time. */
#include <arsenal/chan.h>

#include "base/san.h"
#include "chans.h"
#include "crew.h"
#include "fault.h"
#include "trail.h"

/* ---- values and order ---- */

static int counts_up(void *chan)
{
    for (long i = 0; i < 300; i++) send(chan, i);
    return 0;
}

static int expects_counting(void *chan)
{
    for (long i = 0; i < 300; i++) CHECK_EQ(recv(chan), i);
    return 0;
}

static int in_order(void *arg)
{
    (void)arg;
    for (size_t cap = 0; cap < 5; cap++) {
        ars_chan *chan = fresh(sizeof(long), cap);
        crew c;
        crew_begin(&c);
        crew_task(&c, counts_up, chan);
        crew_task(&c, expects_counting, chan);
        crew_end(&c);
        crew_begin(&c);
        crew_task(&c, expects_counting, chan);
        crew_thread(&c, counts_up, chan);
        crew_end(&c);
        crew_begin(&c);
        crew_thread(&c, expects_counting, chan);
        crew_task(&c, counts_up, chan);
        crew_end(&c);
        ars_chan_free(chan);
    }
    return 0;
}

static void values_arrive_in_order(void)
{
    crew_run_all(in_order, 10);
}

static void holds_so_many(void)
{
    for (size_t cap = 1; cap < 70; cap += cap < 5 ? 1 : 13) {
        ars_chan *chan = fresh(sizeof(long), cap);
        CHECK_EQ(ars_chan_cap(chan), cap);
        /* Round the ring, at every offset. */
        for (long round = 0; round < 3 * (long)cap; round++) {
            for (long i = 0; i < (long)cap; i++) {
                CHECK_EQ(ars_chan_len(chan), i);
                long value = round + i;
                CHECK_EQ(ars_chan_send(chan, &value, 0), 0);
            }
            long extra = 7;
            CHECK_EQ(ars_chan_send(chan, &extra, 0), ARS_ETIMEDOUT);
            for (long i = 0; i < (long)cap; i++) CHECK_EQ(recv(chan), round + i);
            CHECK_EQ(ars_chan_recv(chan, &extra, 0), ARS_ETIMEDOUT);
            CHECK_EQ(extra, 7);
            send(chan, 0); /* shifts the next round by one */
            CHECK_EQ(recv(chan), 0);
        }
        ars_chan_free(chan);
    }
    ars_chan *none = fresh(sizeof(long), 0);
    long value = 1;
    CHECK_EQ(ars_chan_cap(none), 0);
    CHECK_EQ(ars_chan_send(none, &value, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_chan_recv(none, &value, 0), ARS_ETIMEDOUT);
    ars_chan_free(none);
}

/* Values of every size, with a byte on each side that must stay. */
enum { LARGEST = 5000 };
static size_t size_now;

static int sends_sizes(void *chan)
{
    static unsigned char value[LARGEST];
    for (int i = 0; i < 6; i++) {
        memset(value, i + 1, size_now);
        CHECK_EQ(ars_chan_send(chan, value, ARS_FOREVER), 0);
    }
    return 0;
}

static int every_size(void *arg)
{
    (void)arg;
    static const size_t sizes[] = {1, 2, 3, 4, 7, 8, 9, 16, 24, 64, 100, 4096, LARGEST};
    static unsigned char value[LARGEST + 2];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (size_t cap = 0; cap < 4; cap++) {
            size_now = sizes[k];
            ars_chan *chan = fresh(size_now, cap);
            crew c;
            crew_begin(&c);
            crew_task(&c, sends_sizes, chan);
            for (int i = 0; i < 6; i++) {
                memset(value, 0xee, sizeof value);
                CHECK_EQ(ars_chan_recv(chan, value + 1, ARS_FOREVER), 0);
                CHECK(value[0] == 0xee && value[size_now + 1] == 0xee);
                for (size_t b = 1; b <= size_now; b++) CHECK_EQ(value[b], i + 1);
            }
            crew_end(&c);
            ars_chan_free(chan);
        }
    }
    return 0;
}

static void values_of_every_size(void)
{
    crew_run(every_size, 1, 0);
    crew_run(every_size, 2, 0);
}

static int sends_signals(void *chan)
{
    for (int i = 0; i < 100; i++) CHECK_EQ(ars_chan_send(chan, NULL, ARS_FOREVER), 0);
    CHECK_EQ(ars_chan_close(chan), 0);
    return 0;
}

static int signals(void *arg)
{
    (void)arg;
    for (size_t cap = 0; cap < 3; cap++) {
        int n = 0, rc;
        ars_chan *chan = fresh(0, cap);
        crew c;
        crew_begin(&c);
        crew_task(&c, sends_signals, chan);
        while ((rc = ars_chan_recv(chan, NULL, ARS_FOREVER)) == 0) n++;
        CHECK_EQ(rc, ARS_EPIPE);
        CHECK_EQ(n, 100);
        crew_end(&c);
        ars_chan_free(chan);
    }
    ars_chan *huge = fresh(0, INT32_MAX); /* takes no room */
    CHECK_EQ(ars_chan_send(huge, NULL, 0), 0);
    CHECK_EQ(ars_chan_len(huge), 1);
    ars_chan_free(huge);
    return 0;
}

static void values_of_no_size(void)
{
    crew_run_all(signals, 0);
}

/* ---- who goes first ---- */

static int takes_one(void *chan)
{
    note((char)recv(chan));
    return 0;
}

static int puts_c(void *chan)
{
    send(chan, 'c');
    return 0;
}

static int puts_d(void *chan)
{
    send(chan, 'd');
    return 0;
}

static int notes_other(void *arg)
{
    (void)arg;
    note('o');
    return 0;
}

/* One worker: a woken receiver runs before others that are ready, a woken sender after them. */
static int next_and_last(void *arg)
{
    (void)arg;
    ars_chan *chan = fresh(sizeof(long), 0);
    crew c;
    trail[0] = '\0';
    crew_begin(&c);
    crew_task(&c, takes_one, chan);
    CHECK_EQ(ars_yield(), 0); /* it waits now */
    crew_task(&c, notes_other, NULL);
    send(chan, 'r');
    crew_end(&c);
    CHECK_STR(trail, "ro");

    crew_begin(&c);
    crew_task(&c, puts_c, chan);
    CHECK_EQ(ars_yield(), 0);
    crew_task(&c, puts_d, chan);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(recv(chan), 'c'); /* first come, first served */
    CHECK_EQ(recv(chan), 'd');
    crew_end(&c);
    ars_chan_free(chan);
    return 0;
}

static void receivers_next_in_line(void)
{
    crew_run(next_and_last, 1, 0);
}

static int first_come(void *arg)
{
    (void)arg;
    ars_chan *chan = fresh(sizeof(long), 0);
    crew c;
    trail[0] = '\0';
    crew_begin(&c);
    for (int i = 0; i < 20; i++) {
        crew_task(&c, takes_one, chan);
        CHECK_EQ(ars_yield(), 0);
    }
    for (int i = 0; i < 20; i++) {
        send(chan, 'a' + i);
        CHECK_EQ(ars_yield(), 0);
    }
    crew_end(&c);
    CHECK_STR(trail, "abcdefghijklmnopqrst");
    ars_chan_free(chan);
    return 0;
}

static void first_come_first_served(void)
{
    crew_run(first_come, 1, 0);
}

/* ---- closing ---- */

typedef struct stuck {
    ars_chan *chan;
    int rc;
    long value;
} stuck;

static int stuck_sending(void *arg)
{
    stuck *s = arg;
    s->rc = ars_chan_send(s->chan, &s->value, ARS_FOREVER);
    return 0;
}

static int stuck_receiving(void *arg)
{
    stuck *s = arg;
    s->rc = ars_chan_recv(s->chan, &s->value, ARS_FOREVER);
    return 0;
}

static int closing(void *arg)
{
    (void)arg;
    enum { N = 10 };
    stuck s[N];
    crew c;
    ars_chan *chan = fresh(sizeof(long), 2);
    long value = 5;

    send(chan, 1);
    send(chan, 2);
    crew_begin(&c);
    for (int i = 0; i < N; i++) {
        s[i] = (stuck){chan, 1, 100 + i};
        i % 3 ? crew_task(&c, stuck_sending, &s[i]) : crew_thread(&c, stuck_sending, &s[i]);
    }
    CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_chan_close(chan), 0);
    crew_end(&c);
    for (int i = 0; i < N; i++) CHECK_EQ(s[i].rc, ARS_EPIPE);
    CHECK_EQ(ars_chan_close(chan), ARS_EPIPE);
    CHECK_EQ(ars_chan_send(chan, &value, 0), ARS_EPIPE);
    CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(recv(chan), 1); /* what it held, and nothing of those who waited */
    CHECK_EQ(recv(chan), 2);
    CHECK_EQ(ars_chan_recv(chan, &value, 0), ARS_EPIPE);
    CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(value, 5);
    ars_chan_free(chan);

    chan = fresh(sizeof(long), 3);
    crew_begin(&c);
    for (int i = 0; i < N; i++) {
        s[i] = (stuck){chan, 1, 100 + i};
        i % 3 ? crew_task(&c, stuck_receiving, &s[i]) : crew_thread(&c, stuck_receiving, &s[i]);
    }
    CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_chan_close(chan), 0);
    crew_end(&c);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(s[i].rc, ARS_EPIPE);
        CHECK_EQ(s[i].value, 100 + i);
    }
    ars_chan_free(chan);
    return 0;
}

static void closing_ends_it(void)
{
    crew_run_all(closing, 8);
}

/* ---- giving up ---- */

static int cancelled_receiver(void *arg)
{
    stuck *s = arg;
    s->rc = ars_chan_recv(s->chan, &s->value, ARS_FOREVER);
    long value;
    CHECK_EQ(ars_chan_recv(s->chan, &value, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_chan_send(s->chan, &value, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_chan_recv(s->chan, &value, 0), ARS_ETIMEDOUT); /* no cancellation point */
    return 0;
}

static int cancelled_sender(void *arg)
{
    stuck *s = arg;
    s->rc = ars_chan_send(s->chan, &s->value, ARS_FOREVER);
    return 0;
}

static int gives_up(void *chan)
{
    for (int i = 0; i < 3; i++) {
        long value = 9;
        ars_time until = ars_after(ARS_MILLISECOND);
        CHECK_EQ(ars_chan_recv(chan, &value, until), ARS_ETIMEDOUT);
        CHECK(ars_now() >= until);
        CHECK_EQ(ars_chan_send(chan, &value, until), ARS_ETIMEDOUT); /* passed already */
        CHECK_EQ(ars_chan_send(chan, &value, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(ars_chan_recv(chan, &value, 0), ARS_ETIMEDOUT); /* nothing is left of the send */
        CHECK_EQ(value, 9);
    }
    return 0;
}

static int giving_up(void *arg)
{
    (void)arg;
    ars_chan *chan = fresh(sizeof(long), 0);
    crew c;
    CHECK_EQ(gives_up(chan), 0);
    crew_begin(&c);
    crew_thread(&c, gives_up, chan);
    crew_end(&c);

    ars_scope scope;
    long value = 3;
    CHECK_EQ(ars_scope_enter(&scope, ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);

    stuck s[2] = {{chan, 1, 4}, {chan, 1, 5}};
    CHECK_EQ(ars_group_init(&c.group, NULL, ARS_COLLECT), 0);
    crew_task(&c, cancelled_receiver, &s[0]);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_group_cancel(&c.group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&c.group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(s[0].rc, ARS_ECANCELED);
    CHECK_EQ(s[0].value, 4);
    CHECK_EQ(ars_chan_send(chan, &value, 0), ARS_ETIMEDOUT); /* nobody waits any more */

    CHECK_EQ(ars_group_init(&c.group, NULL, ARS_COLLECT), 0);
    crew_task(&c, cancelled_sender, &s[1]);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_group_cancel(&c.group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&c.group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(s[1].rc, ARS_ECANCELED);
    CHECK_EQ(ars_chan_recv(chan, &value, 0), ARS_ETIMEDOUT);
    ars_chan_free(chan);
    return 0;
}

static void giving_up_leaves_nothing(void)
{
    crew_run_all(giving_up, 1);
}

/* One worker: the value is handed over before the cancel comes, so the receive has succeeded. */
static int beats(void *arg)
{
    (void)arg;
    ars_chan *chan = fresh(sizeof(long), 0);
    stuck s[2] = {{chan, 1, 0}, {chan, 1, 8}};
    ars_group group;
    long value;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, cancelled_receiver, &s[0], NULL), 0);
    CHECK_EQ(ars_yield(), 0);
    send(chan, 7);
    ars_group_cancel(&group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(s[0].rc, 0);
    CHECK_EQ(s[0].value, 7);

    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, cancelled_sender, &s[1], NULL), 0);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
    ars_group_cancel(&group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(s[1].rc, 0);
    CHECK_EQ(value, 8);
    ars_chan_free(chan);
    return 0;
}

static void done_beats_cancelled(void)
{
    crew_run(beats, 1, 0);
}

/* ---- fairness ---- */

static int stops_it(void *flag)
{
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    *(volatile int *)flag = 1;
    return 0;
}

/* A task that is always ready does not keep timers waiting, though it never parks. */
static int never_parks(void *arg)
{
    (void)arg;
    volatile int stop = 0;
    ars_chan *chan = fresh(sizeof(long), 1);
    crew c;
    crew_begin(&c);
    crew_task(&c, stops_it, (void *)(uintptr_t)&stop);
    while (!stop) {
        send(chan, 1);
        CHECK_EQ(recv(chan), 1);
    }
    crew_end(&c);
    ars_chan_free(chan);
    return 0;
}

static void ready_does_not_starve(void)
{
    crew_run(never_parks, 1, 0);
}

/* ---- bad input ---- */

static void bad_input(void)
{
    ars_chan *chan = (ars_chan *)(uintptr_t)1;
    ars_chan_opt opt = {.flags = 1u << 20};
    long value = 0;
    CHECK_EQ(ars_chan_new(&chan, 8, 1, &opt), ARS_EINVAL);
    opt.flags = ARS_CHAN_BROADCAST | ARS_CHAN_LATEST;
    CHECK_EQ(ars_chan_new(&chan, 8, 0, &opt), ARS_EINVAL);
    opt.flags = ARS_CHAN_BROADCAST;
    CHECK_EQ(ars_chan_new(&chan, 8, 1, &opt), ARS_EINVAL);
    CHECK_EQ(ars_chan_new(&chan, (size_t)INT32_MAX + 1, 1, NULL), ARS_EINVAL);
    CHECK_EQ(ars_chan_new(&chan, 1, SIZE_MAX, NULL), ARS_EINVAL);
    CHECK_EQ(ars_chan_new(NULL, 1, 1, NULL), ARS_EINVAL);
    if (!ARS__ASAN && !ARS__TSAN) /* whose allocators end the program instead */
        CHECK_EQ(ars_chan_new(&chan, INT32_MAX, INT32_MAX, NULL), ARS_ENOMEM);
    CHECK(chan == (ars_chan *)(uintptr_t)1);
    CHECK_EQ(ars_chan_send(NULL, &value, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_recv(NULL, &value, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_send_many(NULL, &value, 1, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_recv_many(NULL, &value, 1, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_close(NULL), ARS_EINVAL);
    CHECK_EQ(ars_chan_len(NULL), 0);
    CHECK_EQ(ars_chan_cap(NULL), 0);
    ars_chan_free(NULL);
}

static int frees_in_use(void *arg)
{
    world *w = arg;
    ars_chan *chan = fresh(sizeof(long), 0);
    stuck s = {chan, 1, 0};
    crew c;
    crew_begin(&c);
    crew_task(&c, stuck_receiving, &s);
    CHECK_EQ(ars_yield(), 0);
    ars_chan_free(chan);
    crew_end(&c);
    CHECK_EQ(s.rc, ARS_EPIPE);
    CHECK_STR(w->reports, "a channel was freed that somebody waits for\n");
    ars_chan_free(chan);
    w->reports[0] = '\0';
    return 0;
}

static void freed_in_use_is_reported(void)
{
    if (ARS__ASSERTS)
        crew_run(frees_in_use, 1, 0);
    else
        test_skipped("only debug builds report it");
}

static void out_of_memory_body(const ars_alloc *alloc)
{
    ars_chan *chan = NULL;
    ars_chan_opt opt = {.alloc = alloc};
    int rc = ars_chan_new(&chan, sizeof(long), 4, &opt);
    if (rc < 0) {
        CHECK_EQ(rc, ARS_ENOMEM);
        CHECK(!chan);
        return;
    }
    send(chan, 3);
    CHECK_EQ(recv(chan), 3);
    ars_chan_free(chan);
}

static void out_of_memory(void)
{
    CHECK_EQ(sweep_alloc("chan", out_of_memory_body), 1);
}

static const test_case cases[] = {
    {"values_arrive_in_order", values_arrive_in_order},
    {"holds_so_many", holds_so_many},
    {"values_of_every_size", values_of_every_size},
    {"values_of_no_size", values_of_no_size},
    {"receivers_next_in_line", receivers_next_in_line},
    {"first_come_first_served", first_come_first_served},
    {"closing_ends_it", closing_ends_it},
    {"giving_up_leaves_nothing", giving_up_leaves_nothing},
    {"done_beats_cancelled", done_beats_cancelled},
    {"ready_does_not_starve", ready_does_not_starve},
    {"bad_input", bad_input},
    {"freed_in_use_is_reported", freed_in_use_is_reported},
    {"out_of_memory", out_of_memory},
};
TEST_MAIN(cases)
