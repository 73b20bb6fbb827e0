/* SPDX-License-Identifier: MIT */
/* Channels that one worker has long used alone, when somebody else comes. */
#include <arsenal/mutex.h>
#include <arsenal/select.h>

#include "crew.h"
#include "fault.h"
#include "os/os.h"
#include "run/bias.h"
#include "run/sched.h"

/* Whether the system has the barrier. */
static int works(void)
{
    return ars__os_barrier_init() == 0;
}

static uint64_t barriers(void)
{
    return fault_counts("barrier");
}

static void expect_barriers(uint64_t before, unsigned n)
{
    if (works()) CHECK_EQ(barriers() - before, n);
}

enum { ROOM = 4 }; /* longs of the largest values */

/* ---- one worker alone ---- */

typedef struct stream {
    ars_chan *chan;
    long n;
} stream;

static int sends(void *arg)
{
    stream *s = arg;
    for (long i = 0; i < s->n; i++) {
        long value[ROOM] = {i};
        CHECK_EQ(ars_chan_send(s->chan, value, ARS_FOREVER), 0);
    }
    return 0;
}

/* A task beside the caller on its worker, the root task's. */
static void alone(ars_chan *chan, long n)
{
    stream s = {chan, n};
    const ars_task_opt here = {.home = 1};
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, sends, &s, &here), 0);
    for (long i = 0; i < n; i++) {
        long value[ROOM];
        CHECK_EQ(ars_chan_recv(chan, value, ARS_FOREVER), 0);
        CHECK_EQ(value[0], i);
    }
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
}

/* ---- those who come ---- */

static int comes_to_send(void *arg)
{
    long value[ROOM] = {7};
    CHECK_EQ(ars_chan_send(arg, value, ARS_FOREVER), 0);
    return 0;
}

static int comes_to_send_many(void *arg)
{
    long values[2 * ROOM] = {7};
    CHECK_EQ(ars_chan_send_many(arg, values, 2, ARS_FOREVER), 2);
    return 0;
}

static int comes_to_try(void *arg)
{
    long value[ROOM] = {7};
    CHECK_EQ(ars_chan_send(arg, value, 0), 0);
    return 0;
}

static int comes_to_select(void *arg)
{
    long value[ROOM] = {7};
    ars_case send = ARS_SEND(arg, value);
    CHECK_EQ(ars_select(&send, 1, ARS_FOREVER), 0);
    return 0;
}

static int comes_to_give_up(void *arg)
{
    long value[ROOM];
    CHECK_EQ(ars_chan_recv(arg, value, ars_after(100 * ARS_MICROSECOND)), ARS_ETIMEDOUT);
    return 0;
}

static int comes_to_close(void *arg)
{
    CHECK_EQ(ars_chan_close(arg), 0);
    return 0;
}

static ars_fn *const comers[] = {comes_to_send,   comes_to_send_many, comes_to_try,
                                 comes_to_select, comes_to_give_up,   comes_to_close};
enum { COMERS = sizeof comers / sizeof *comers };

static void comes(ars_fn *fn, ars_chan *chan, int as_thread)
{
    const ars_task_opt there = {.home = 2};
    crew c;
    crew_begin(&c);
    if (as_thread)
        crew_thread(&c, fn, chan);
    else
        CHECK_EQ(ars_group_go(&c.group, fn, chan, &there), 0);
    crew_end(&c);
}

static void each_comes(size_t elem, size_t cap)
{
    for (int k = 0; k < COMERS; k++) {
        for (int as_thread = 0; as_thread < 2; as_thread++) {
            ars_chan *chan;
            long values[ROOM];
            CHECK_EQ(ars_chan_new(&chan, elem, cap, NULL), 0);
            for (int again = 0; again < 2; again++) {
                alone(chan, 4 * ARS__STREAK);
                uint64_t before = barriers();
                comes(comers[k], chan, as_thread);
                expect_barriers(before, 1);
                /* Nobody has it now, so nothing is to be taken away. */
                if (comers[k] != comes_to_close) comes(comes_to_send, chan, 1);
                expect_barriers(before, 1);
                while (ars_chan_recv(chan, values, 0) == 0) CHECK(values[0] == 7 || values[0] == 0);
                if (comers[k] == comes_to_close) break;
            }
            ars_chan_free(chan);
        }
    }
}

static int taken_away(void *arg)
{
    (void)arg;
    each_comes(sizeof(long), 4);
    each_comes(ROOM * sizeof(long), 4);
    return 0;
}

/* A few uses are no reason: channels that live for one answer cost no barrier. */
static int not_granted_early(void *arg)
{
    (void)arg;
    uint64_t before = barriers();
    for (int i = 0; i < 100; i++) {
        ars_chan *chan;
        CHECK_EQ(ars_chan_new(&chan, sizeof(long), 4, NULL), 0);
        alone(chan, 20);
        comes(comes_to_send, chan, i % 2);
        ars_chan_free(chan);
    }
    expect_barriers(before, 0);
    return 0;
}

/* What is taken away again and again is granted ever more rarely. */
static int granted_more_rarely(void *arg)
{
    ars_chan *chan;
    long value, needed = 0;
    (void)arg;
    CHECK_EQ(ars_chan_new(&chan, sizeof(long), 0, NULL), 0);
    for (int times = 0; times < 4 && works(); times++) {
        long uses = 0, step = ARS__STREAK / 4;
        for (uint64_t before = barriers(); barriers() == before; uses += step) {
            alone(chan, uses + step);
            comes(comes_to_give_up, chan, 1);
        }
        CHECK(uses > needed);
        needed = uses;
    }
    CHECK_EQ(ars_chan_recv(chan, &value, 0), ARS_ETIMEDOUT);
    ars_chan_free(chan);
    return 0;
}

/* ---- and those who come in the middle ---- */

static ars_atomic_u32 over;

/* Takes a value now and then and puts it back. */
static int meddles(void *arg)
{
    while (!ars_atomic_u32_load_acquire(&over)) {
        long value[ROOM];
        if (ars_chan_recv(arg, value, 0) == 0) CHECK_EQ(ars_chan_send(arg, value, ARS_FOREVER), 0);
        ars_sleep(ars_after(50 * ARS_MICROSECOND));
    }
    return 0;
}

static long sum;

static void meddled_with(size_t elem, size_t cap)
{
    const ars_task_opt here = {.home = 1}, there = {.home = 2};
    stream s = {NULL, 60000};
    crew c;
    CHECK_EQ(ars_chan_new(&s.chan, elem, cap, NULL), 0);
    ars_atomic_u32_store_release(&over, 0);
    sum = 0;
    crew_begin(&c);
    CHECK_EQ(ars_group_go(&c.group, sends, &s, &here), 0);
    CHECK_EQ(ars_group_go(&c.group, meddles, s.chan, &there), 0);
    for (long i = 0; i < s.n; i++) {
        long value[ROOM];
        CHECK_EQ(ars_chan_recv(s.chan, value, ARS_FOREVER), 0);
        sum += value[0];
    }
    ars_atomic_u32_store_release(&over, 1);
    crew_end(&c);
    CHECK_EQ(sum, s.n * (s.n - 1) / 2);
    ars_chan_free(s.chan);
}

static int in_the_middle(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        meddled_with(sizeof(long), 0);
        meddled_with(sizeof(long), 3);
        meddled_with(ROOM * sizeof(long), 8);
    }
    return 0;
}

/* ---- declared one to one ---- */

static ars_chan *lane(size_t cap)
{
    const ars_chan_opt spsc = {.flags = ARS_CHAN_SPSC};
    ars_chan *chan;
    CHECK_EQ(ars_chan_new(&chan, sizeof(long), cap, &spsc), 0);
    return chan;
}

static int drains(void *arg)
{
    stream *s = arg;
    for (long i = 0, value; i < s->n; i++) {
        CHECK_EQ(ars_chan_recv(s->chan, &value, ARS_FOREVER), 0);
        CHECK_EQ(value, i);
    }
    return 0;
}

/* Both sides go fast, and each stops now and then until the other waits. */
static int one_to_one(void *arg)
{
    const ars_task_opt there = {.home = 2};
    (void)arg;
    uint64_t before = barriers();
    for (int round = 0; round < 4; round++) {
        stream s = {lane(64), 40000};
        crew c;
        crew_begin(&c);
        if (round % 2)
            crew_thread(&c, drains, &s);
        else
            CHECK_EQ(ars_group_go(&c.group, drains, &s, &there), 0);
        for (long i = 0; i < s.n; i++) {
            CHECK_EQ(ars_chan_send(s.chan, &i, ARS_FOREVER), 0);
            if (i % 4000 == 3999) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        }
        crew_end(&c);
        ars_chan_free(s.chan);
    }
    if (works() && !ARS__SAN_FIBERS) CHECK(barriers() > before);
    return 0;
}

static unsigned pauses;

static int closes_soon(void *arg)
{
    for (unsigned n = pauses; n; n--) ars_atomic_pause();
    CHECK_EQ(ars_chan_close(arg), 0);
    return 0;
}

static long received;

static int drains_all(void *arg)
{
    int rc;
    long value;
    for (received = 0; (rc = ars_chan_recv(arg, &value, ARS_FOREVER)) == 0; received++)
        CHECK_EQ(value, received);
    CHECK_EQ(rc, ARS_EPIPE);
    return 0;
}

/* What was sent before somebody closed it is received, what was refused is not. */
static int closed_in_the_middle(void *arg)
{
    const ars_task_opt there = {.home = 2};
    (void)arg;
    for (int round = 0; round < 40; round++) {
        ars_chan *chan = lane(32U << round % 4);
        long sent = 0;
        int rc;
        crew c;
        crew_begin(&c);
        CHECK_EQ(ars_group_go(&c.group, drains_all, chan, &there), 0);
        while (sent < 3 * ARS__STREAK) {
            CHECK_EQ(ars_chan_send(chan, &sent, ARS_FOREVER), 0);
            sent++;
        }
        pauses = (unsigned)round * 7 % 100;
        crew_thread(&c, closes_soon, chan);
        while ((rc = ars_chan_send(chan, &sent, ARS_FOREVER)) == 0) sent++;
        CHECK_EQ(rc, ARS_EPIPE);
        crew_end(&c);
        CHECK_EQ(received, sent);
        ars_chan_free(chan);
    }
    return 0;
}

/* ---- a mutex ---- */

static ars_mutex mutex;
static long counted;

static int counts(void *arg)
{
    for (long n = (long)(intptr_t)arg; n; n--) {
        CHECK_EQ(ars_mutex_lock(&mutex, ARS_FOREVER), 0);
        counted++;
        CHECK_EQ(ars_mutex_unlock(&mutex), 0);
    }
    return 0;
}

static int counts_now_and_then(void *arg)
{
    for (int i = 0; i < 200; i++) {
        counts(arg);
        ars_sleep(ars_after(20 * ARS_MICROSECOND));
    }
    return 0;
}

static int tries_once(void *arg)
{
    (void)arg;
    CHECK_EQ(ars_mutex_lock(&mutex, 0), ARS_ETIMEDOUT);
    return 0;
}

static int a_private_mutex(void *arg)
{
    const ars_task_opt there = {.home = 2}, here = {.home = 1};
    void *once = (void *)(intptr_t)1;
    (void)arg;
    memset(&mutex, 0, sizeof mutex);
    counted = 0;
    for (int as_thread = 0; as_thread < 2; as_thread++) {
        counts((void *)(intptr_t)(32 * ARS__STREAK));
        uint64_t before = barriers();
        comes(counts, once, as_thread);
        expect_barriers(before, 1);
        counts((void *)(intptr_t)(32 * ARS__STREAK));
        CHECK_EQ(ars_mutex_lock(&mutex, ARS_FOREVER), 0);
        comes(tries_once, NULL, as_thread);
        expect_barriers(before, 2);
        CHECK_EQ(ars_mutex_unlock(&mutex), 0);
        CHECK_EQ(ars_mutex_unlock(&mutex), ARS_EPERM);
    }
    CHECK_EQ(counted, 4 * 32 * ARS__STREAK + 2);
    memset(&mutex, 0, sizeof mutex);
    counted = 0;
    crew c;
    crew_begin(&c);
    CHECK_EQ(ars_group_go(&c.group, counts_now_and_then, once, &there), 0);
    CHECK_EQ(ars_group_go(&c.group, counts, (void *)(intptr_t)100000, &here), 0);
    crew_thread(&c, counts, once);
    counts((void *)(intptr_t)100000);
    crew_end(&c);
    CHECK_EQ(counted, 200201);
    return 0;
}

/* ---- systems that refuse ---- */

/* A channel that belonged to a worker is taken from it all the same. */
static int refused_since(void *arg)
{
    ars_chan *chan;
    long value;
    (void)arg;
    CHECK_EQ(ars_chan_new(&chan, sizeof(long), 4, NULL), 0);
    alone(chan, 2 * ARS__STREAK);
    fault_at("barrier", 1, ARS_EPERM, -1);
    comes(comes_to_send, chan, 1);
    fault_reset();
    CHECK_EQ(ars_chan_recv(chan, &value, 0), 0);
    ars_chan_free(chan);
    return 0;
}

static int refused(void *arg)
{
    ars_chan *chan;
    (void)arg;
    CHECK_EQ(ars_chan_new(&chan, sizeof(long), 4, NULL), 0);
    alone(chan, 2 * ARS__STREAK);
    comes(comes_to_send, chan, 1);
    CHECK_EQ(fault_counts("barrier"), 0);
    ars_chan_free(chan);
    return 0;
}

static void run_taken_away(void)
{
    crew_run(taken_away, 2, 1);
}

static void run_not_granted_early(void)
{
    crew_run(not_granted_early, 2, 1);
}

static void run_granted_more_rarely(void)
{
    crew_run(granted_more_rarely, 2, 1);
}

static void run_in_the_middle(void)
{
    crew_run(in_the_middle, 2, 0);
}

static void run_one_to_one(void)
{
    crew_run(one_to_one, 2, 1);
}

static void run_closed_in_the_middle(void)
{
    crew_run(closed_in_the_middle, 2, 1);
}

static void run_a_private_mutex(void)
{
    crew_run(a_private_mutex, 2, 1);
}

static void run_refused(void)
{
    if (works()) crew_run(refused_since, 2, 1);
    uint32_t usable = ars_atomic_u32_load_relaxed(&ars__bias_usable);
    ars_atomic_u32_store_relaxed(&ars__bias_usable, 0);
    fault_at("barrier_init", 1, ARS_EPERM, -1);
    crew_run(refused, 2, 1);
    fault_reset();
    ars_atomic_u32_store_relaxed(&ars__bias_usable, usable);
}

static const test_case cases[] = {
    {"taken_away", run_taken_away},
    {"not_granted_early", run_not_granted_early},
    {"granted_more_rarely", run_granted_more_rarely},
    {"in_the_middle", run_in_the_middle},
    {"one_to_one", run_one_to_one},
    {"closed_in_the_middle", run_closed_in_the_middle},
    {"a_private_mutex", run_a_private_mutex},
    {"refused", run_refused},
};
TEST_MAIN(cases)
