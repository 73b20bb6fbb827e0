/* SPDX-License-Identifier: MIT */
/*
 * Random programs on 8 workers: trees of groups of any policy, deadlines,
 * cancels, scopes and shields anywhere, and all of them using the same
 * channels, with threads from outside.  What must hold whatever happens is
 * checked: no wait returns while a child lives, every task that was started has
 * run, what was sent was received once, nothing is left.  Once more with chance
 * at each ARS_POINT.
 *
 * ARS_TEST_SEED repeats a run, as far as threads can be made to.
 */
#include <pthread.h>
#include <stdlib.h>

#include <arsenal/chan.h>
#include <arsenal/select.h>

#include "points.h"
#include "world.h"

enum { WORKERS = 8, CHANNELS = 4, THREADS = 2, DEPTH = 4, STEPS = 6 };

static struct {
    ars_chan *chans[CHANNELS];
    ars_atomic_i64 sent, received; /* sums of the values */
    ars_atomic_i64 begun, ended;   /* tasks */
    ars_atomic_u32 over;           /* threads are to stop */
    ars_atomic_u32 threads;        /* that have not */
    ars_runtime *rt;
    unsigned workers;
    unsigned flags; /* of every task */
} all;

static void count(ars_atomic_i64 *n, long by)
{
    ars_atomic_i64_add_relaxed(n, by);
}

static long counted(ars_atomic_i64 *n)
{
    return (long)ars_atomic_i64_load_acquire(n);
}

/* ---- chance ---- */

typedef struct dice {
    uint64_t state;
} dice;

static uint64_t roll(dice *d)
{
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(dice *d, unsigned n)
{
    return (unsigned)(roll(d) % n);
}

/* Never, at once, or in up to 0.3 ms. */
static ars_time some_time(dice *d)
{
    switch (below(d, 8)) {
    case 0: return 0;
    case 1: return ARS_FOREVER;
    default: return ars_after((ars_time)below(d, 300) * ARS_MICROSECOND);
    }
}

static ars_time some_deadline(dice *d)
{
    ars_time t = some_time(d);
    return t == ARS_FOREVER ? ars_after(ARS_MILLISECOND) : t;
}

static int stopped(int rc)
{
    return rc == ARS_ECANCELED || rc == ARS_ETIMEDOUT;
}

/* ---- steps ---- */

static void sends(dice *d)
{
    long value = (long)below(d, 1000) + 1;
    int rc = ars_chan_send(all.chans[below(d, CHANNELS)], &value, some_deadline(d));
    CHECK(rc == 0 || stopped(rc));
    if (rc == 0) count(&all.sent, value);
}

static void receives(dice *d)
{
    long value = 0;
    int rc = ars_chan_recv(all.chans[below(d, CHANNELS)], &value, some_deadline(d));
    CHECK(rc == 0 ? value > 0 : stopped(rc) && value == 0);
    if (rc == 0) count(&all.received, value);
}

static void selects(dice *d)
{
    long out[3], in[3] = {0, 0, 0};
    ars_case cases[3];
    unsigned sending = below(d, 8);
    for (unsigned i = 0; i < 3; i++) {
        ars_chan *chan = all.chans[below(d, CHANNELS)];
        out[i] = (long)below(d, 1000) + 1;
        cases[i] = sending >> i & 1 ? ARS_SEND(chan, &out[i]) : ARS_RECV(chan, &in[i]);
    }
    int rc = ars_select(cases, 3, some_deadline(d));
    CHECK((rc >= 0 && rc < 3) || stopped(rc));
    for (int i = 0; i < 3; i++) {
        int received = i == rc && !(sending >> i & 1);
        CHECK(received ? in[i] > 0 : in[i] == 0);
        if (received) count(&all.received, in[i]);
        if (i == rc && !received) count(&all.sent, out[i]);
    }
}

static void talks(dice *d)
{
    switch (below(d, 3)) {
    case 0: sends(d); break;
    case 1: receives(d); break;
    default: selects(d); break;
    }
}

/* ---- trees ---- */

typedef struct branch {
    uint64_t seed;
    unsigned depth;
    ars_atomic_i64 *alive; /* of the group */
    ars_group *group;
} branch;

static int grows(void *arg);

static int orphan(void *arg)
{
    (void)arg;
    count(&all.begun, 1);
    int rc = ars_sleep(ars_after(200 * ARS_MICROSECOND));
    CHECK(rc == 0 || rc == ARS_ECANCELED);
    count(&all.ended, 1);
    return 0;
}

static void starts(branch *b, dice *d)
{
    ars_task_opt opt = {.flags = all.flags, .home = below(d, 4) ? 0 : below(d, all.workers) + 1};
    branch child = {roll(d), b->depth, b->alive, b->group};
    /* Counted before it can end. */
    ars_atomic_i64_add_relaxed(b->alive, 1);
    CHECK_EQ(ars_group_go_copy(b->group, grows, &child, sizeof child, &opt), 0);
}

static void watches(ars_group *group, dice *d)
{
    long value = 0;
    ars_case cases[] = {ARS_GROUP_DONE(group), ARS_RECV(all.chans[0], &value)};
    int rc = ars_select(cases, 2, some_deadline(d));
    CHECK(rc == 0 || rc == 1 || stopped(rc));
    if (rc == 1) count(&all.received, value);
}

static void forks(unsigned depth, dice *d)
{
    ars_group group;
    ars_atomic_i64 alive = {0};
    unsigned policy = below(d, 3);
    CHECK_EQ(ars_group_init(&group, NULL, policy), 0);
    branch below_this = {0, depth - 1, &alive, &group};
    for (unsigned n = below(d, 5); n > 0; n--) starts(&below_this, d);
    if (!below(d, 3)) talks(d);
    if (!below(d, 3)) watches(&group, d);
    if (!below(d, 6)) starts(&below_this, d);
    if (!below(d, 5)) ars_group_cancel(&group, ARS_EIO);
    int rc;
    while ((rc = ars_group_wait(&group, some_deadline(d))) == ARS_ETIMEDOUT && group.ars__state[0])
        ars_yield(); /* it only looked */
    CHECK_EQ(counted(&alive), 0);
    CHECK(rc >= 0 || stopped(rc) || rc == ARS_EIO || rc == ARS_EPIPE);
    if (rc > 0) CHECK_EQ(policy, ARS_RACE);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EINVAL);
}

static void step(branch *b, dice *d)
{
    switch (below(d, 8)) {
    case 0:
    case 1: {
        int rc = ars_yield();
        CHECK(rc == 0 || rc == ARS_ECANCELED);
        break;
    }
    case 2: {
        int rc = ars_sleep(some_deadline(d));
        CHECK(rc == 0 || rc == ARS_ECANCELED);
        break;
    }
    case 3: CHECK_EQ(ars_group_go(NULL, orphan, NULL, NULL), 0); break;
    case 4:
        if (b->depth > 0) forks(b->depth, d);
        break;
    case 5:
        if (!below(d, 10)) ars_group_cancel(b->group, ARS_EIO);
        break;
    default: talks(d); break;
    }
}

static void scoped(branch *b, dice *d)
{
    ars_scope scope;
    int shield = !below(d, 4);
    CHECK_EQ(shield ? ars_shield_enter(&scope, ars_after(ARS_MILLISECOND))
                    : ars_scope_enter(&scope, some_deadline(d)),
             0);
    for (unsigned n = below(d, 3); n > 0; n--) step(b, d);
    int rc = ars_scope_leave(&scope);
    CHECK(rc == 0 || rc == ARS_ETIMEDOUT);
}

static int grows(void *arg)
{
    branch *b = arg;
    dice d = {b->seed};
    count(&all.begun, 1);
    for (unsigned n = below(&d, STEPS); n > 0; n--) {
        if (below(&d, 3))
            step(b, &d);
        else
            scoped(b, &d);
    }
    count(&all.ended, 1);
    ars_atomic_i64_add_acq_rel(b->alive, -1);
    return below(&d, 6) ? (int)below(&d, 3) : ARS_EPIPE;
}

/* ---- threads ---- */

static void *outside(void *arg)
{
    dice d = {(uintptr_t)arg};
    while (!ars_atomic_u32_load_acquire(&all.over)) {
        if (below(&d, 4))
            talks(&d);
        else
            CHECK_EQ(ars_post(all.rt, orphan, NULL), 0);
    }
    ars_atomic_u32_add_acq_rel(&all.threads, (uint32_t)-1);
    return NULL;
}

/* ---- all of it ---- */

static long rounds;

static int root(void *arg)
{
    dice *d = arg;
    pthread_t threads[THREADS];
    all.rt = ars_runtime_self();
    ars_atomic_u32_store_relaxed(&all.over, 0);
    ars_atomic_u32_store_relaxed(&all.threads, THREADS);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, outside, (void *)(uintptr_t)roll(d)), 0);
    for (long i = 0; i < rounds; i++) forks(DEPTH, d);
    ars_atomic_u32_store_release(&all.over, 1);
    while (ars_atomic_u32_load_acquire(&all.threads)) ars_sleep(ars_after(ARS_MILLISECOND));
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}

static void stress(unsigned workers, unsigned flags)
{
    static const size_t caps[CHANNELS] = {0, 0, 1, 16};
    static world w;
    static char context[64];
    const char *given = getenv("ARS_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)ars_now();
    snprintf(context, sizeof context, "ARS_TEST_SEED=%llu, %u workers", (unsigned long long)seed,
             workers);
    test_context = context;
    dice d = {seed};
    memset(&all, 0, sizeof all);
    all.workers = workers;
    all.flags = flags;
    for (int i = 0; i < CHANNELS; i++)
        CHECK_EQ(ars_chan_new(&all.chans[i], sizeof(long), caps[i], NULL), 0);
    world_begin(&w);
    w.config.workers = workers;
    w.config.grace = 60 * ARS_SECOND;
    CHECK_EQ(ars_run(root, &d, &w.config), 0);
    test_gate_end(&w.gate, 4 * (THREADS + (long)workers - 1));
    CHECK_STR(w.reports, "");
    CHECK_EQ(counted(&all.begun), counted(&all.ended));
    for (int i = 0; i < CHANNELS; i++) {
        long value;
        while (ars_chan_recv(all.chans[i], &value, 0) == 0) count(&all.received, value);
        ars_chan_free(all.chans[i]);
    }
    CHECK_EQ(counted(&all.sent), counted(&all.received));
    test_context = NULL;
}

static void tasks_that_stay(void)
{
    rounds = test_times(300, 60);
    stress(WORKERS, 0);
    stress(2, 0);
}

static void tasks_that_move(void)
{
    rounds = test_times(300, 60);
    stress(WORKERS, ARS_TASK_MIGRATES);
    stress(2, ARS_TASK_MIGRATES);
}

static void one_worker(void)
{
    rounds = test_times(200, 40);
    stress(1, ARS_TASK_MIGRATES);
}

static void at_points(void)
{
    rounds = test_times(200, 30);
    if (!points_begin((uint64_t)ars_now())) return;
    stress(WORKERS, 0);
    stress(WORKERS, ARS_TASK_MIGRATES);
    points_end();
}

/* ---- the last thing that a thread does with a runtime ---- */

typedef struct last {
    ars_chan *chan;
    ars_runtime *rt;
    ars_atomic_u32 phase;
} last;

static int tells(void *arg)
{
    last *l = arg;
    long value = 2;
    return ars_chan_send(l->chan, &value, ARS_FOREVER);
}

static void *ends_it(void *arg)
{
    last *l = arg;
    for (;;) {
        uint32_t phase;
        while (!((phase = ars_atomic_u32_load_acquire(&l->phase)) & 3)) ars_yield();
        if (phase & 2) return NULL;
        int post = phase >> 2 & 1;
        long value = 1;
        ars_atomic_u32_store_release(&l->phase, 0);
        int rc = post ? ars_post(l->rt, tells, l) : ars_chan_send(l->chan, &value, ARS_FOREVER);
        CHECK_EQ(rc, 0);
    }
}

/* The root's end may come while the thread is still inside of the call that brought it about. */
static int awaits(void *arg)
{
    last *l = arg;
    static unsigned round;
    long value = 0;
    l->rt = ars_runtime_self();
    ars_atomic_u32_store_release(&l->phase, 1 | (round++ & 1) << 2);
    CHECK_EQ(ars_chan_recv(l->chan, &value, ARS_FOREVER), 0);
    while (ars_atomic_u32_load_acquire(&l->phase)) ars_yield();
    return value > 0 ? 0 : ARS_EPIPE;
}

static void ended_by_a_thread(void)
{
    last l = {0};
    pthread_t thread;
    CHECK_EQ(ars_chan_new(&l.chan, sizeof(long), 0, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, ends_it, &l), 0);
    for (long i = 0; i < test_times(2000, 200); i++) {
        ars_config config = {.workers = (unsigned)(i / 2 % 3) + 1};
        CHECK_EQ(ars_run(awaits, &l, &config), 0);
    }
    ars_atomic_u32_store_release(&l.phase, 2);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    ars_chan_free(l.chan);
}

static const test_case cases[] = {
    {"tasks that stay", tasks_that_stay},
    {"tasks that move", tasks_that_move},
    {"one worker", one_worker},
    {"at points", at_points},
    {"ended by a thread", ended_by_a_thread},
};
TEST_MAIN(cases)
