/* SPDX-License-Identifier: MIT */
/* Semaphores: counting, order, giving up, select, freeing. */
#include <arsenal/chan.h>
#include <arsenal/sem.h>

#include "locks.h"

/* ---- at most so many at a time ---- */

enum { UNITS = 3 };

typedef struct room {
    ars_sem sem;
    ars_atomic_u32 inside;
    long rounds;
} room;

static int visit(room *r, long i)
{
    if (i % 3 == 2) {
        int rc;
        while ((rc = ars_sem_acquire(&r->sem, ars_after(5 * ARS_MICROSECOND))) < 0)
            CHECK_EQ(rc, ARS_ETIMEDOUT);
    } else if (i % 3 == 1) {
        ars_case cases[] = {ARS_SEM(NULL), ARS_SEM(&r->sem)};
        CHECK_EQ(ars_select(cases, 2, ARS_FOREVER), 1);
    } else {
        CHECK_EQ(ars_sem_acquire(&r->sem, ARS_FOREVER), 0);
    }
    CHECK(ars_atomic_u32_add_acq_rel(&r->inside, 1) < UNITS);
    if (i % 16 == 0) CHECK_EQ(ars_yield(), 0);
    ars_atomic_u32_add_acq_rel(&r->inside, (uint32_t)-1);
    return ars_sem_release(&r->sem, 1);
}

static int visits(void *arg)
{
    room *r = arg;
    for (long i = 0; i < r->rounds; i++) CHECK_EQ(visit(r, i), 0);
    return 0;
}

static int limits(void *arg)
{
    (void)arg;
    room r = {.sem = ARS_SEM_INIT(UNITS), .rounds = test_times(5000, 1000)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 6; i++) crew_task(&c, visits, &r);
    for (int i = 0; i < 2; i++) crew_thread(&c, visits, &r);
    crew_end(&c);
    for (int i = 0; i < UNITS; i++) CHECK_EQ(ars_sem_acquire(&r.sem, 0), 0);
    CHECK_EQ(ars_sem_acquire(&r.sem, 0), ARS_ETIMEDOUT);
    return 0;
}

/* What is put in by one side, by as many as fit, the other side takes: nothing is lost or made. */
typedef struct trade {
    ars_sem units, other;
    long n;
    ars_atomic_u32 taken;
} trade;

static int puts_units(void *arg)
{
    trade *t = arg;
    for (long left = t->n; left > 0;) {
        uint32_t n = left < 7 ? (uint32_t)left : (uint32_t)(1 + left % 7);
        CHECK_EQ(ars_sem_release(&t->units, n), 0);
        left -= n;
        if (left % 3 == 0) CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static int takes_units(void *arg)
{
    trade *t = arg;
    for (long i = 0; i < t->n; i++) {
        if (i % 2) {
            CHECK_EQ(ars_sem_acquire(&t->units, ARS_FOREVER), 0);
        } else {
            ars_case cases[] = {ARS_SEM(&t->other), ARS_SEM(&t->units), ARS_SEM(&t->units)};
            CHECK(ars_select(cases, 3, ARS_FOREVER) >= 1);
        }
        ars_atomic_u32_add_acq_rel(&t->taken, 1);
    }
    return 0;
}

static int trades(void *arg)
{
    (void)arg;
    trade t = {.n = test_times(5000, 1000)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 2; i++) {
        crew_task(&c, puts_units, &t);
        crew_task(&c, takes_units, &t);
    }
    crew_thread(&c, puts_units, &t);
    crew_thread(&c, takes_units, &t);
    crew_end(&c);
    CHECK_EQ(t.taken.ars__v, 3 * t.n);
    CHECK_EQ(ars_sem_acquire(&t.units, 0), ARS_ETIMEDOUT);
    return 0;
}

/* With one unit it orders what is done in between. */
typedef struct ledger {
    ars_sem sem;
    long sum; /* not atomic */
    long rounds;
} ledger;

static int adds(void *arg)
{
    ledger *l = arg;
    for (long i = 0; i < l->rounds; i++) {
        ars_case cases[] = {ARS_SEM(&l->sem)};
        CHECK_EQ(i % 2 ? ars_select(cases, 1, ARS_FOREVER) : ars_sem_acquire(&l->sem, ARS_FOREVER),
                 0);
        l->sum++;
        if (i % 16 == 0) CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(ars_sem_release(&l->sem, 1), 0);
    }
    return 0;
}

static int orders(void *arg)
{
    (void)arg;
    ledger l = {.sem = ARS_SEM_INIT(1), .rounds = test_times(5000, 1000)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 3; i++) crew_task(&c, adds, &l);
    crew_thread(&c, adds, &l);
    crew_end(&c);
    CHECK_EQ(l.sum, 4 * l.rounds);
    return 0;
}

/* ---- order; on one worker ---- */

typedef struct line {
    ars_sem sem;
    int arrived, served, nth[4];
} line;

static int queues(void *arg)
{
    line *l = arg;
    int me = l->arrived++;
    CHECK_EQ(ars_sem_acquire(&l->sem, ARS_FOREVER), 0);
    l->nth[me] = l->served++;
    return 0;
}

static int in_order(void *arg)
{
    (void)arg;
    line l = {0};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 4; i++) {
        crew_task(&c, queues, &l);
        locks_settle();
    }
    CHECK_EQ(l.arrived, 4);
    CHECK_EQ(ars_sem_release(&l.sem, 0), 0);
    locks_settle();
    CHECK_EQ(l.served, 0);
    CHECK_EQ(ars_sem_release(&l.sem, 1), 0);
    /* The unit is the waiter's already: nobody gets it before it has run. */
    CHECK_EQ(ars_sem_acquire(&l.sem, 0), ARS_ETIMEDOUT);
    locks_settle();
    CHECK_EQ(l.served, 1);
    CHECK_EQ(ars_sem_release(&l.sem, 5), 0);
    crew_end(&c);
    for (int i = 0; i < 4; i++) CHECK_EQ(l.nth[i], i);
    CHECK_EQ(ars_sem_acquire(&l.sem, 0), 0);
    CHECK_EQ(ars_sem_acquire(&l.sem, 0), 0);
    CHECK_EQ(ars_sem_acquire(&l.sem, 0), ARS_ETIMEDOUT);
    return 0;
}

/* ---- giving up ---- */

static int times_out(void *arg)
{
    ars_time deadline = ars_after(2 * ARS_MILLISECOND);
    CHECK_EQ(ars_sem_acquire(arg, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    CHECK_EQ(ars_sem_acquire(arg, 1), ARS_ETIMEDOUT);
    return 0;
}

static int is_cancelled(void *arg)
{
    CHECK_EQ(ars_sem_acquire(arg, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_sem_acquire(arg, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_sem_acquire(arg, 0), ARS_ETIMEDOUT);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    line l = {0};
    locks_victims v;
    crew c, quitters;
    locks_victims_begin(&v);
    crew_begin(&c);
    crew_begin(&quitters);
    locks_victim(&v, is_cancelled, &l.sem);
    crew_task(&quitters, times_out, &l.sem);
    crew_thread(&quitters, times_out, &l.sem);
    locks_settle();
    crew_task(&c, queues, &l);
    locks_settle();
    crew_end(&quitters);
    locks_victims_cancel(&v);
    CHECK_EQ(l.served, 0);
    /* It goes to the one who still waits. */
    CHECK_EQ(ars_sem_release(&l.sem, 1), 0);
    crew_end(&c);
    CHECK_EQ(l.served, 1);
    CHECK_EQ(ars_sem_acquire(&l.sem, 0), ARS_ETIMEDOUT);
    return 0;
}

static int overflows(void *arg)
{
    (void)arg;
    ars_sem sem = ARS_SEM_INIT(ARS_SEM_MAX - 1);
    CHECK_EQ(ars_sem_release(&sem, 2), ARS_EOVERFLOW);
    CHECK_EQ(ars_sem_release(&sem, UINT32_MAX), ARS_EOVERFLOW);
    CHECK_EQ(ars_sem_release(&sem, 1), 0);
    CHECK_EQ(ars_sem_release(&sem, 1), ARS_EOVERFLOW);
    CHECK_EQ(ars_sem_acquire(&sem, 0), 0);
    CHECK_EQ(ars_sem_release(&sem, 1), 0);
    return 0;
}

/* ---- freed as soon as the wait returns ---- */

static void releases(void *object)
{
    CHECK_EQ(ars_sem_release(object, 1), 0);
}

static int uses_once(void *arg)
{
    LOCKS_FREED(ars_sem, (locks_server *)arg, test_times(10000, 1000), object = (ars_sem){0},
                ars_sem_acquire(&object, ARS_FOREVER));
    return 0;
}

static int selects_once(void *arg)
{
    ars_case cases[1];
    LOCKS_FREED(ars_sem, (locks_server *)arg, test_times(10000, 1000),
                (object = (ars_sem){0}, cases[0] = ARS_SEM(&object)),
                ars_select(cases, 1, ARS_FOREVER));
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    locks_freed(uses_once, releases);
    locks_freed(selects_once, releases);
    return 0;
}

static int allocates_nothing(void *arg)
{
    world *w = arg;
    room r = {.sem = ARS_SEM_INIT(UNITS), .rounds = 1000};
    for (int i = 0; i < 2; i++) {
        crew c;
        uint64_t before = ars_alloc_tracker_stats(&w->tracker).calls;
        crew_begin(&c);
        for (int k = 0; k < 6; k++) crew_task(&c, visits, &r);
        crew_end(&c);
        /* The first round made the tasks' memory. */
        if (i == 1) CHECK_EQ(ars_alloc_tracker_stats(&w->tracker).calls, before);
    }
    return 0;
}

LOCKS_CASE_ALL(limits)
LOCKS_CASE_ALL(trades)
LOCKS_CASE_ALL(orders)
LOCKS_CASE(in_order, 1)
LOCKS_CASE(gives_up, 1)
LOCKS_CASE(overflows, 1)
LOCKS_CASE_ALL(freed)
LOCKS_CASE(allocates_nothing, 1)

static const test_case cases[] = {
    {"limits", case_limits},     {"trades", case_trades},
    {"orders", case_orders},     {"in order", case_in_order},
    {"gives up", case_gives_up}, {"overflows", case_overflows},
    {"freed", case_freed},       {"allocates nothing", case_allocates_nothing},
};
TEST_MAIN(cases)
