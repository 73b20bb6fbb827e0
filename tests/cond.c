/* SPDX-License-Identifier: MIT */
/* Conditions: no wake-up is lost, and the mutex is held whatever a wait returns. */
#include <arsenal/cond.h>

#include "locks.h"

static void lock(ars_mutex *mutex)
{
    CHECK_EQ(ars_mutex_lock(mutex, ARS_FOREVER), 0);
}

static void unlock(ars_mutex *mutex)
{
    CHECK_EQ(ars_mutex_unlock(mutex), 0);
}

/* ---- no wake-up is lost ---- */

enum { ROOM = 2, MOVERS = 3 };

typedef struct buffer {
    ars_mutex mutex;
    ars_cond not_full, not_empty;
    long values[ROOM], n;
    long rounds, put, taken;
} buffer;

static int puts_values(void *arg)
{
    buffer *b = arg;
    for (long i = 1; i <= b->rounds; i++) {
        lock(&b->mutex);
        while (b->n == ROOM) CHECK_EQ(ars_cond_wait(&b->not_full, &b->mutex, ARS_FOREVER), 0);
        b->values[b->n++] = i;
        b->put += i;
        ars_cond_signal(&b->not_empty);
        unlock(&b->mutex);
    }
    return 0;
}

static int takes_values(void *arg)
{
    buffer *b = arg;
    for (long i = 1; i <= b->rounds; i++) {
        lock(&b->mutex);
        while (b->n == 0) CHECK_EQ(ars_cond_wait(&b->not_empty, &b->mutex, ARS_FOREVER), 0);
        b->taken += b->values[--b->n];
        unlock(&b->mutex);
        /* Outside of the lock: that must be as good. */
        ars_cond_signal(&b->not_full);
    }
    return 0;
}

static int loses_nothing(void *arg)
{
    (void)arg;
    buffer b = {.rounds = test_times(5000, 1000)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < MOVERS; i++) {
        crew_task(&c, puts_values, &b);
        crew_task(&c, takes_values, &b);
    }
    crew_thread(&c, puts_values, &b);
    crew_thread(&c, takes_values, &b);
    crew_end(&c);
    CHECK_EQ(b.put, (MOVERS + 1) * (b.rounds * (b.rounds + 1) / 2));
    CHECK_EQ(b.taken, b.put);
    CHECK_EQ(b.n, 0);
    return 0;
}

/* Rounds that begin by a broadcast; who waits may also give up and come back. */
typedef struct field {
    ars_mutex mutex;
    ars_cond begun, ended;
    long round, rounds, running;
} field;

enum { RUNNERS = 4 };

static int run_rounds(field *f, int impatient)
{
    lock(&f->mutex);
    for (long i = 1; i <= f->rounds; i++) {
        while (f->round < i) {
            ars_time deadline = impatient ? ars_after(10 * ARS_MICROSECOND) : ARS_FOREVER;
            int rc = ars_cond_wait(&f->begun, &f->mutex, deadline);
            CHECK(rc == 0 || (impatient && rc == ARS_ETIMEDOUT));
        }
        CHECK_EQ(f->round, i);
        if (--f->running == 0) ars_cond_signal(&f->ended);
    }
    unlock(&f->mutex);
    return 0;
}

static int runs(void *arg)
{
    return run_rounds(arg, 0);
}

static int runs_impatiently(void *arg)
{
    return run_rounds(arg, 1);
}

static int broadcasts(void *arg)
{
    (void)arg;
    field f = {.rounds = test_times(2000, 500)};
    crew c;
    crew_begin(&c);
    crew_task(&c, runs, &f);
    crew_task(&c, runs_impatiently, &f);
    crew_thread(&c, runs, &f);
    crew_thread(&c, runs_impatiently, &f);
    lock(&f.mutex);
    for (long i = 0; i < f.rounds; i++) {
        f.round++;
        f.running = RUNNERS;
        ars_cond_broadcast(&f.begun);
        while (f.running) CHECK_EQ(ars_cond_wait(&f.ended, &f.mutex, ARS_FOREVER), 0);
    }
    unlock(&f.mutex);
    crew_end(&c);
    return 0;
}

/* ---- order, giving up; on one worker ---- */

typedef struct place {
    ars_mutex mutex;
    ars_cond cond;
    ars_time span, deadline; /* how long to wait, and until when that is; 0: for ever */
    int expected;
    int waiting, back, order[4];
} place;

static int comes_back(place *p, int id)
{
    lock(&p->mutex);
    p->waiting++;
    p->deadline = p->span ? ars_after(p->span) : ARS_FOREVER;
    int rc = ars_cond_wait(&p->cond, &p->mutex, p->deadline);
    CHECK_EQ(rc, p->expected);
    CHECK(rc != ARS_ETIMEDOUT || ars_now() >= p->deadline);
    p->order[p->back++] = id;
    /* Held, even when cancelled: nobody else gets it, and the unlock is good. */
    CHECK_EQ(ars_cond_wait(&p->cond, &p->mutex, 0), ARS_ETIMEDOUT);
    if (ARS__ASSERTS) CHECK_EQ(ars_mutex_lock(&p->mutex, 0), ARS_EDEADLK);
    unlock(&p->mutex);
    return 0;
}

static int first(void *arg)
{
    return comes_back(arg, 1);
}

static int second(void *arg)
{
    return comes_back(arg, 2);
}

static int third(void *arg)
{
    return comes_back(arg, 3);
}

static int in_order(void *arg)
{
    (void)arg;
    static ars_fn *const fns[] = {first, second, third};
    place p = {0};
    crew c;
    ars_cond_signal(&p.cond);
    ars_cond_broadcast(&p.cond);
    crew_begin(&c);
    for (int i = 0; i < 3; i++) {
        crew_task(&c, fns[i], &p);
        locks_settle();
    }
    CHECK_EQ(p.waiting, 3);
    CHECK_EQ(p.back, 0);
    ars_cond_signal(&p.cond);
    locks_settle();
    CHECK_EQ(p.back, 1);
    ars_cond_broadcast(&p.cond);
    crew_end(&c);
    for (int i = 0; i < 3; i++) CHECK_EQ(p.order[i], i + 1);
    return 0;
}

/* The mutex is held while the wait ends: it is given back only when its holder lets go. */
static int gives_up(void *arg)
{
    (void)arg;
    for (int how = 0, tries = 0; how < 3; how++) {
        int cancel = how == 0;
        place p = {.span = cancel ? 0 : 20 * ARS_MILLISECOND,
                   .expected = cancel ? ARS_ECANCELED : ARS_ETIMEDOUT};
        locks_victims v;
        crew c;
        crew_begin(&c);
        locks_victims_begin(&v);
        if (how == 0) locks_victim(&v, first, &p);
        if (how == 1) crew_task(&c, first, &p);
        if (how == 2) crew_thread(&c, first, &p);
        for (int waiting = 0; !waiting;) {
            CHECK_EQ(ars_yield(), 0);
            lock(&p.mutex);
            waiting = p.waiting;
            if (!waiting) unlock(&p.mutex);
        }
        if (p.back && ++tries < 50) {
            /* The machine stood still until the deadline: once more. */
            unlock(&p.mutex);
            CHECK_EQ(ars_group_wait(&v.group, ARS_FOREVER), 0);
            crew_end(&c);
            how--;
            continue;
        }
        /* Cancelled, or timed out, but not back. */
        if (cancel) ars_group_cancel(&v.group, ARS_ECANCELED);
        CHECK_EQ(ars_sleep(cancel ? ars_after(ARS_MILLISECOND)
                                  : ars_time_add(p.deadline, 2 * ARS_MILLISECOND)),
                 0);
        CHECK_EQ(p.back, 0);
        unlock(&p.mutex);
        CHECK_EQ(ars_group_wait(&v.group, ARS_FOREVER), cancel ? ARS_ECANCELED : 0);
        crew_end(&c);
        CHECK_EQ(p.back, 1);
        /* Its place in the queue is free. */
        ars_cond_signal(&p.cond);
        CHECK_EQ(ars_mutex_lock(&p.mutex, 0), 0);
        unlock(&p.mutex);
    }
    return 0;
}

static int gets_in(void *arg)
{
    place *p = arg;
    lock(&p->mutex);
    p->back++;
    unlock(&p->mutex);
    return 0;
}

static int never_lets_go(void *arg)
{
    place *p = arg;
    /* Cancelled before the call, and with deadline 0, the mutex is not unlocked in between. */
    CHECK_EQ(ars_mutex_lock(&p->mutex, 0), 0);
    p->waiting = 1;
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(ars_cond_wait(&p->cond, &p->mutex, ARS_FOREVER), ARS_ECANCELED);
        CHECK_EQ(ars_cond_wait(&p->cond, &p->mutex, 0), ARS_ETIMEDOUT);
        CHECK_EQ(p->back, 0);
    }
    unlock(&p->mutex);
    return 0;
}

static int keeps_the_mutex(void *arg)
{
    (void)arg;
    place p = {0};
    locks_victims v;
    crew c;
    locks_victims_begin(&v);
    locks_victim(&v, never_lets_go, &p);
    locks_settle();
    CHECK_EQ(p.waiting, 1);
    crew_begin(&c);
    crew_task(&c, gets_in, &p);
    locks_settle();
    locks_victims_cancel(&v);
    crew_end(&c);
    CHECK_EQ(p.back, 1);
    return 0;
}

static int not_held(void *arg)
{
    place *p = arg;
    CHECK_EQ(ars_cond_wait(&p->cond, &p->mutex, ARS_FOREVER), ARS_EPERM);
    return 0;
}

static int misuse(void *arg)
{
    (void)arg;
    place p = {0};
    crew c;
    CHECK_EQ(not_held(&p), 0);
    CHECK_EQ(ars_mutex_lock(&p.mutex, 0), 0);
    crew_begin(&c);
    if (ARS__ASSERTS) {
        crew_task(&c, not_held, &p);
        crew_thread(&c, not_held, &p);
    }
    crew_end(&c);
    unlock(&p.mutex);
    return 0;
}

/* ---- freed as soon as the wait returns ---- */

typedef struct once_used {
    ars_mutex mutex;
    ars_cond cond;
    int ready;
} once_used;

/* The mutex must outlive the unlock; the condition needs nothing but the signal, which comes after. */
static void signals(void *object)
{
    once_used *o = object;
    lock(&o->mutex);
    o->ready = 1;
    ars_cond_signal(&o->cond);
    unlock(&o->mutex);
}

static int waits_for(once_used *o)
{
    lock(&o->mutex);
    int rc = 0;
    while (rc == 0 && !o->ready) rc = ars_cond_wait(&o->cond, &o->mutex, ARS_FOREVER);
    unlock(&o->mutex);
    return rc;
}

static int uses_once(void *arg)
{
    LOCKS_FREED(once_used, (locks_server *)arg, test_times(10000, 1000), object = (once_used){0},
                waits_for(&object));
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    locks_freed(uses_once, signals);
    return 0;
}

LOCKS_CASE_ALL(loses_nothing)
LOCKS_CASE_ALL(broadcasts)
LOCKS_CASE(in_order, 1)
LOCKS_CASE(gives_up, 1)
LOCKS_CASE(keeps_the_mutex, 1)
LOCKS_CASE(misuse, 1)
LOCKS_CASE_ALL(freed)

static const test_case cases[] = {
    {"loses nothing", case_loses_nothing},
    {"broadcasts", case_broadcasts},
    {"in order", case_in_order},
    {"gives up", case_gives_up},
    {"keeps the mutex", case_keeps_the_mutex},
    {"misuse", case_misuse},
    {"freed", case_freed},
};
TEST_MAIN(cases)
