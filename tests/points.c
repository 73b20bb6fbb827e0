/* SPDX-License-Identifier: MIT */
/*
 * Chance at each point where something may come in between (points.h), with 8
 * workers and threads from outside, and tasks that stay or that move at every
 * park: what goes through channels comes in order and once, locks exclude, and
 * all waits end.  And a wake-up at each moment of a worker's going to sleep.
 */
#include <arsenal/barrier.h>
#include <arsenal/chan.h>
#include <arsenal/cond.h>
#include <arsenal/event.h>
#include <arsenal/mutex.h>
#include <arsenal/once.h>
#include <arsenal/rwlock.h>
#include <arsenal/select.h>
#include <arsenal/sem.h>
#include <arsenal/wait.h>
#include <arsenal/waitgroup.h>
#include <unistd.h>

#include "crew.h"
#include "points.h"
#include "run/sched.h"

enum { WORKERS = 8, THREADS = 2 };

static unsigned flags; /* of every task */
static ars_atomic_i64 moves;

static void go(ars_group *group, ars_fn *fn, void *arg)
{
    ars_task_opt opt = {.flags = flags};
    CHECK_EQ(ars_group_go(group, fn, arg, &opt), 0);
}

/* The first THREADS of n callers are threads. */
static void start(crew *c, int i, ars_fn *fn, void *arg)
{
    if (i < THREADS)
        crew_thread(c, fn, arg);
    else
        go(&c->group, fn, arg);
}

static const ars__worker *here(void)
{
    ars__task *self = ars__task_self();
    return self ? ars__task_worker(self) : NULL;
}

/* Counts it if the task has moved; where it is now. */
static const ars__worker *count_move(const ars__worker *before)
{
    const ars__worker *now = here();
    if (before != now) ars_atomic_i64_add_relaxed(&moves, 1);
    return now;
}

/* ---- channels ---- */

enum { SENDERS = 24, RECEIVERS = 24, CHANS = 3 };

typedef struct market {
    ars_chan *chans[CHANS];
    ars_atomic_i64 sent, received; /* sums */
    ars_atomic_u32 senders[CHANS]; /* that have not finished */
    long each;
} market;

typedef struct trader {
    market *m;
    long id;
    ars_fn *fn;
} trader;

/* A channel's own senders, the last of whom closes it. */
static int sells(void *arg)
{
    trader *t = arg;
    market *m = t->m;
    unsigned k = (unsigned)t->id % CHANS;
    for (long i = 1; i <= m->each; i++) {
        long value = t->id << 32 | i;
        const ars__worker *before = here();
        if (i % 3) {
            CHECK_EQ(ars_chan_send(m->chans[k], &value, ARS_FOREVER), 0);
        } else {
            ars_case cases[] = {ARS_SEND(m->chans[k], &value), ARS_SEND(NULL, &value)};
            CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 0);
        }
        count_move(before);
        ars_atomic_i64_add_relaxed(&m->sent, value);
    }
    if (ars_atomic_u32_add_acq_rel(&m->senders[k], (uint32_t)-1) == 1) ars_chan_close(m->chans[k]);
    return 0;
}

typedef struct ledger {
    long last[SENDERS];
} ledger;

/* What one receiver gets of one sender comes in the order of sending. */
static void books(market *m, ledger *l, long value)
{
    long id = value >> 32, i = value & UINT32_MAX;
    CHECK(id >= 0 && id < SENDERS && i > l->last[id]);
    l->last[id] = i;
    ars_atomic_i64_add_relaxed(&m->received, value);
}

static int buys(void *arg)
{
    trader *t = arg;
    ars_chan *chan = t->m->chans[t->id % CHANS];
    ledger l = {{0}};
    long value;
    int rc;
    while ((rc = ars_chan_recv(chan, &value, ARS_FOREVER)) == 0) books(t->m, &l, value);
    CHECK_EQ(rc, ARS_EPIPE);
    return 0;
}

static int buys_anything(void *arg)
{
    trader *t = arg;
    ledger l = {{0}};
    long value[CHANS];
    ars_case cases[CHANS];
    for (int i = 0; i < CHANS; i++) cases[i] = ARS_RECV(t->m->chans[i], &value[i]);
    for (int open = CHANS; open > 0;) {
        const ars__worker *before = here();
        int rc = ars_select(cases, CHANS, ARS_FOREVER);
        count_move(before);
        CHECK(rc >= 0);
        if (rc < CHANS) {
            books(t->m, &l, value[rc]);
            continue;
        }
        CHECK(rc >= ARS_CLOSED(0) && rc < ARS_CLOSED(CHANS));
        cases[rc - ARS_CLOSED(0)] = ARS_RECV(NULL, NULL);
        open--;
    }
    return 0;
}

static int trade(void *arg)
{
    static const size_t caps[CHANS] = {0, 1, 16};
    (void)arg;
    static market m;
    static trader traders[SENDERS + RECEIVERS];
    crew c;
    memset(&m, 0, sizeof m);
    m.each = test_times(1000, 100);
    for (unsigned i = 0; i < CHANS; i++) {
        CHECK_EQ(ars_chan_new(&m.chans[i], sizeof(long), caps[i], NULL), 0);
        ars_atomic_u32_store_relaxed(&m.senders[i], SENDERS / CHANS);
    }
    crew_begin(&c);
    for (int i = 0; i < SENDERS + RECEIVERS; i++) {
        traders[i] = (trader){&m, i % SENDERS, NULL};
        if (i < SENDERS)
            start(&c, i, sells, &traders[i]);
        else
            start(&c, i - SENDERS, i < SENDERS + 2 * CHANS ? buys : buys_anything, &traders[i]);
    }
    crew_end(&c);
    CHECK_EQ(ars_atomic_i64_load_relaxed(&m.sent), ars_atomic_i64_load_relaxed(&m.received));
    for (int i = 0; i < CHANS; i++) ars_chan_free(m.chans[i]);
    return 0;
}

/* ---- locks ---- */

enum { PARTIES = 32, PERMITS = 3, ROOM = 2 };

typedef struct works {
    ars_mutex mutex;
    ars_rwlock rwlock;
    ars_sem sem;
    ars_barrier barrier;
    ars_cond not_full, not_empty;
    ars_once once;
    ars_waitgroup done;
    ars_event begun;
    long counted;           /* by mutex */
    long left, right;       /* by rwlock: equal but for whoever writes */
    ars_atomic_u32 inside;  /* of the semaphore */
    ars_atomic_i64 phase;   /* of the barrier, summed over all */
    long stock, made, used; /* by mutex and conditions */
    int made_once;
    long each;
} works;

static int makes_once(void *arg)
{
    works *w = arg;
    CHECK_EQ(ars_sleep(ars_after(20 * ARS_MICROSECOND)), 0);
    w->made_once++;
    return 0;
}

static void lock(ars_mutex *mutex)
{
    CHECK_EQ(ars_mutex_lock(mutex, ARS_FOREVER), 0);
}

static void unlock(ars_mutex *mutex)
{
    CHECK_EQ(ars_mutex_unlock(mutex), 0);
}

static void counts(works *w)
{
    lock(&w->mutex);
    long before = w->counted;
    CHECK_EQ(ars_yield(), 0);
    w->counted = before + 1;
    unlock(&w->mutex);
}

static void reads_and_writes(works *w, long i)
{
    if (i % 4) {
        CHECK_EQ(ars_rwlock_read_lock(&w->rwlock, ARS_FOREVER), 0);
        long left = w->left;
        CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(left, w->right);
        CHECK_EQ(ars_rwlock_read_unlock(&w->rwlock), 0);
        return;
    }
    CHECK_EQ(ars_rwlock_write_lock(&w->rwlock, ARS_FOREVER), 0);
    w->left++;
    CHECK_EQ(ars_yield(), 0);
    w->right++;
    CHECK_EQ(ars_rwlock_write_unlock(&w->rwlock), 0);
}

static void enters(works *w)
{
    CHECK_EQ(ars_sem_acquire(&w->sem, ARS_FOREVER), 0);
    CHECK(ars_atomic_u32_add_acq_rel(&w->inside, 1) < PERMITS);
    CHECK_EQ(ars_yield(), 0);
    ars_atomic_u32_add_acq_rel(&w->inside, (uint32_t)-1);
    CHECK_EQ(ars_sem_release(&w->sem, 1), 0);
}

static void makes(works *w)
{
    lock(&w->mutex);
    while (w->stock == ROOM) CHECK_EQ(ars_cond_wait(&w->not_full, &w->mutex, ARS_FOREVER), 0);
    w->stock++;
    w->made++;
    unlock(&w->mutex);
    ars_cond_signal(&w->not_empty);
}

static void uses(works *w)
{
    lock(&w->mutex);
    while (w->stock == 0) CHECK_EQ(ars_cond_wait(&w->not_empty, &w->mutex, ARS_FOREVER), 0);
    w->stock--;
    w->used++;
    unlock(&w->mutex);
    ars_cond_signal(&w->not_full);
}

typedef struct hand {
    works *w;
    int id;
} hand;

static int works_hard(void *arg)
{
    hand *h = arg;
    works *w = h->w;
    CHECK_EQ(ars_event_wait(&w->begun, ARS_FOREVER), 0);
    for (long i = 0; i < w->each; i++) {
        const ars__worker *at = here();
        counts(w);
        at = count_move(at);
        reads_and_writes(w, i + h->id);
        at = count_move(at);
        enters(w);
        at = count_move(at);
        h->id % 2 ? makes(w) : uses(w);
        count_move(at);
        CHECK_EQ(ars_once_do(&w->once, makes_once, w, ARS_FOREVER), 0);
        CHECK_EQ(w->made_once, 1);
        ars_atomic_i64_add_relaxed(&w->phase, 1);
        CHECK(ars_barrier_wait(&w->barrier, ARS_FOREVER) >= 0);
        CHECK(ars_atomic_i64_load_relaxed(&w->phase) >= (i + 1) * PARTIES);
    }
    CHECK_EQ(ars_waitgroup_done(&w->done), 0);
    return 0;
}

static int lock_up(void *arg)
{
    (void)arg;
    static works w;
    static hand hands[PARTIES];
    crew c;
    w = (works){.sem = ARS_SEM_INIT(PERMITS), .barrier = ARS_BARRIER_INIT(PARTIES)};
    w.each = test_times(100, 10);
    CHECK_EQ(ars_waitgroup_add(&w.done, PARTIES), 0);
    crew_begin(&c);
    for (int i = 0; i < PARTIES; i++) {
        hands[i] = (hand){&w, i};
        start(&c, i, works_hard, &hands[i]);
    }
    ars_event_set(&w.begun);
    CHECK_EQ(ars_waitgroup_wait(&w.done, ARS_FOREVER), 0);
    crew_end(&c);
    CHECK_EQ(w.counted, PARTIES * w.each);
    CHECK_EQ(w.left, w.right);
    CHECK_EQ(w.made, w.used);
    return 0;
}

/* ---- groups and scopes ---- */

typedef struct tree {
    ars_group *above;
    ars_atomic_i64 *alive;
    int depth;
} tree;

static int branches(void *arg)
{
    tree t = *(tree *)arg;
    if (t.depth > 0) {
        ars_group group;
        ars_scope scope;
        ars_atomic_i64 alive = {0};
        tree below = {&group, &alive, t.depth - 1};
        ars_task_opt opt = {.flags = flags};
        CHECK_EQ(ars_scope_enter(&scope, ars_after(300 * ARS_MICROSECOND)), 0);
        CHECK_EQ(ars_group_init(&group, NULL, (unsigned)t.depth % 3), 0);
        for (int i = 0; i < 3; i++) {
            ars_atomic_i64_add_relaxed(&alive, 1);
            CHECK_EQ(ars_group_go_copy(&group, branches, &below, sizeof below, &opt), 0);
        }
        int rc = ars_group_wait(&group, t.depth % 2 ? ARS_FOREVER : ars_after(ARS_MICROSECOND));
        CHECK(rc >= 0 || rc == ARS_ECANCELED || rc == ARS_ETIMEDOUT || rc == ARS_EIO);
        CHECK_EQ(ars_atomic_i64_load_acquire(&alive), 0);
        rc = ars_scope_leave(&scope);
        CHECK(rc == 0 || rc == ARS_ETIMEDOUT);
    } else {
        int rc = ars_sleep(ars_after(10 * ARS_MICROSECOND));
        CHECK(rc == 0 || rc == ARS_ECANCELED);
        if (ars_atomic_i64_load_relaxed(t.alive) % 4 == 3) ars_group_cancel(t.above, ARS_EIO);
    }
    ars_atomic_i64_add_acq_rel(t.alive, -1);
    return 0;
}

static int forest(void *arg)
{
    (void)arg;
    for (long i = test_times(150, 20); i > 0; i--) {
        ars_atomic_i64 alive = {1};
        ars_group group;
        tree top = {&group, &alive, 4};
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        go(&group, branches, &top);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        CHECK_EQ(ars_atomic_i64_load_acquire(&alive), 0);
    }
    return 0;
}

/* ---- cancelled on the way ---- */

enum { PAIRS = 12 };

/* Two that keep waking each other until they are cancelled, wherever they are just then. */
static int keeps_on(void *arg)
{
    ars_chan **chans = arg;
    long value = 0;
    int rc;
    do {
        const ars__worker *before = here();
        rc = ars_chan_send(chans[0], &value, ARS_FOREVER);
        if (rc == 0) rc = ars_chan_recv(chans[1], &value, ARS_FOREVER);
        count_move(before);
    } while (rc == 0);
    CHECK_EQ(rc, ARS_ECANCELED);
    /* Level-triggered. */
    CHECK_EQ(ars_chan_recv(chans[1], &value, ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

static int cancels(void *arg)
{
    (void)arg;
    for (long i = test_times(300, 30); i > 0; i--) {
        ars_chan *chans[PAIRS][3];
        ars_group group;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        for (int k = 0; k < PAIRS; k++) {
            CHECK_EQ(ars_chan_new(&chans[k][0], sizeof(long), (size_t)k % 2, NULL), 0);
            CHECK_EQ(ars_chan_new(&chans[k][1], sizeof(long), (size_t)k % 2, NULL), 0);
            chans[k][2] = chans[k][0];
            go(&group, keeps_on, &chans[k][0]);
            go(&group, keeps_on, &chans[k][1]);
        }
        CHECK_EQ(ars_sleep(ars_after((ars_time)(i % 10) * 20 * ARS_MICROSECOND)), 0);
        ars_group_cancel(&group, ARS_EIO);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
        for (int k = 0; k < PAIRS; k++) {
            ars_chan_free(chans[k][0]);
            ars_chan_free(chans[k][1]);
        }
    }
    return 0;
}

/* ---- begin and end ---- */

static int hangs(void *arg)
{
    (void)arg;
    return ars_sleep(ARS_FOREVER);
}

static int leaves_some(void *arg)
{
    (void)arg;
    ars_task_opt opt = {.flags = flags};
    for (int i = 0; i < 4; i++) CHECK_EQ(ars_group_go(NULL, hangs, NULL, &opt), 0);
    ars_yield();
    return 0;
}

static void shutdowns(void)
{
    ars_config config = {.workers = 3};
    for (long i = 0; i < test_times(500, 50); i++) CHECK_EQ(ars_run(leaves_some, NULL, &config), 0);
}

/* ---- a wake-up at each moment of going to sleep ---- */

#if ARS__ASSERTS

enum { SET_BY_THREAD, SET_BY_TASK, POSTED, STARTED, STOPPED, WAYS };
enum { PATIENCE = 10 }; /* seconds: what has not come by then is lost */

static struct {
    const char *point;    /* where */
    int way;              /* what comes there */
    ars_atomic_u32 asked; /* the second worker is there and waits until it has come */
    ars_atomic_i64 given, arrived;
    ars_event event;
    ars_runtime *rt;
    long times;
    int polls;
} injected;

static int more(void)
{
    return ars_atomic_i64_load_acquire(&injected.arrived) < injected.times;
}

static int to_be_asked(const ars__worker *w, const char *name)
{
    return w && w->id == 1 && strcmp(name, injected.point) == 0 && more() &&
           ars_atomic_i64_load_acquire(&injected.given) ==
               ars_atomic_i64_load_acquire(&injected.arrived);
}

/* The second worker is at the point: what others do now comes in between. */
static int inject(const char *name)
{
    const ars__worker *w = ars__worker_self();
    ars__san_ignore_begin(); /* it is a part of the library, for once */
    if (to_be_asked(w, name)) {
        ars_atomic_u32_store_release(&injected.asked, 1);
        while (injected.way == STOPPED ? !ars_atomic_u32_load_acquire(&w->rt->stop)
                                       : ars_atomic_u32_load_acquire(&injected.asked))
            sched_yield();
    }
    ars__san_ignore_end();
    return 0;
}

static int arrives(void *arg)
{
    (void)arg;
    ars_atomic_i64_add_acq_rel(&injected.arrived, 1);
    return 0;
}

/* Until all has come; by a task of the first worker, which never idles, or by a thread. */
static int answers(void *arg)
{
    (void)arg;
    ars_time limit = ars_after(PATIENCE * ARS_SECOND);
    while (more()) {
        CHECK(ars_now() < limit);
        if (!ars_atomic_u32_load_acquire(&injected.asked)) {
            sched_yield();
            continue;
        }
        long n = (long)ars_atomic_i64_add_acq_rel(&injected.given, 1);
        switch (injected.way) {
        case POSTED: CHECK_EQ(ars_post(injected.rt, arrives, NULL), 0); break;
        case STARTED: CHECK_EQ(ars_group_go(NULL, arrives, NULL, NULL), 0); break;
        default: ars_event_set(&injected.event); break;
        }
        ars_atomic_u32_store_release(&injected.asked, 0);
        while (ars_atomic_i64_load_acquire(&injected.arrived) == n) {
            CHECK(ars_now() < limit);
            sched_yield();
        }
    }
    return 0;
}

/* On the second worker. */
static int awaits(void *arg)
{
    (void)arg;
    if (injected.polls) {
        int ends[2];
        CHECK_EQ(pipe(ends), 0);
        CHECK_EQ(ars_wait_fd(ends[0], ARS_FD_IN, ars_after(ARS_MICROSECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(close(ends[0]) | close(ends[1]), 0);
    }
    while (injected.way <= SET_BY_TASK && more()) {
        CHECK_EQ(ars_event_wait(&injected.event, ARS_FOREVER), 0);
        ars_event_reset(&injected.event);
        arrives(NULL);
    }
    return 0;
}

static int injects(void *arg)
{
    ars_task_opt opt = {.home = 2};
    ars_group group;
    (void)arg;
    injected.rt = ars_runtime_self();
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, awaits, NULL, &opt), 0);
    if (injected.way == STOPPED) {
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        ars_atomic_i64_store_release(&injected.given, 0);
        while (!ars_atomic_u32_load_acquire(&injected.asked)) {
            ars__sched_wake(injected.rt->workers[1]);
            sched_yield();
        }
        return 0;
    }
    crew c;
    crew_begin(&c);
    if (injected.way == SET_BY_THREAD || injected.way == POSTED) crew_thread(&c, answers, NULL);
    /* Anything but parking: then the first worker would take what is new. */
    else
        answers(NULL);
    while (more()) sched_yield();
    crew_end(&c);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

static void wakes_in_between(void)
{
    static const char *const points[] = {"searched", "search over", "sleep announced", "sleep"};
    static char context[64];
    for (int i = 0; i < 4 * WAYS * 4; i++) {
        memset(&injected, 0, sizeof injected);
        injected.point = points[i % 4];
        injected.way = i / 4 % WAYS;
        injected.polls = i / (4 * WAYS) & 1;
        /* Not before the second worker has got its task. */
        ars_atomic_i64_store_relaxed(&injected.given, injected.way == STOPPED);
        injected.times = test_times(2000, 100);
        unsigned workers = i / (4 * WAYS) & 2 ? 3 : 2;
        /* A third worker would take what is new, and the second be asked no more. */
        if (workers == 3 && (injected.way == POSTED || injected.way == STARTED)) continue;
        snprintf(context, sizeof context, "%s, way %d, %u workers, polls %d", injected.point,
                 injected.way, workers, injected.polls);
        test_context = context;
        ars__point_hook = inject;
        crew_run(injects, workers, 1);
        ars__point_hook = NULL;
    }
    test_context = NULL;
}

#else

static void wakes_in_between(void)
{
    test_skipped("not a debug build");
}

#endif

/* ---- all of these, with chance ---- */

static void with_chance(void (*test)(void), int must_move)
{
    static char context[64];
    const char *given = getenv("ARS_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)ars_now();
    if (!points_begin(seed)) return;
    snprintf(context, sizeof context, "ARS_TEST_SEED=%llu", (unsigned long long)seed);
    test_context = context;
    for (flags = 0;; flags = ARS_TASK_MIGRATES) {
        ars_atomic_i64_store_relaxed(&moves, 0);
        test();
        if (!flags) CHECK_EQ(ars_atomic_i64_load_relaxed(&moves), 0);
        if (flags) break;
    }
    if (must_move) CHECK(ars_atomic_i64_load_relaxed(&moves) > 0);
    points_end();
    test_context = NULL;
}

static void run_trade(void)
{
    crew_run(trade, WORKERS, 2 * THREADS);
}

static void run_locks(void)
{
    crew_run(lock_up, WORKERS, THREADS);
}

static void run_forest(void)
{
    crew_run(forest, WORKERS, 0);
}

static void run_cancels(void)
{
    crew_run(cancels, WORKERS, 0);
}

static void channels(void)
{
    with_chance(run_trade, 1);
}

static void locks(void)
{
    with_chance(run_locks, 1);
}

static void groups(void)
{
    with_chance(run_forest, 0);
}

static void cancelled(void)
{
    with_chance(run_cancels, 1);
}

static void ends(void)
{
    with_chance(shutdowns, 0);
}

static const test_case cases[] = {
    {"wakes in between", wakes_in_between},
    {"channels", channels},
    {"locks", locks},
    {"groups", groups},
    {"cancelled", cancelled},
    {"ends", ends},
    {"wakes in between", wakes_in_between},
};
TEST_MAIN(cases)
