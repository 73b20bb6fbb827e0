/* SPDX-License-Identifier: MIT */
/* Barriers: nobody is ahead, and who gives up has not come. */
#include <arsenal/barrier.h>

#include "locks.h"

enum { PARTIES = 6 };

typedef struct march {
    ars_barrier barrier;
    long steps[PARTIES]; /* each written by its party, read by all after the barrier */
    ars_atomic_u32 ids, lasts;
    long rounds;
} march;

static int marches(void *arg)
{
    march *m = arg;
    uint32_t me = ars_atomic_u32_add_relaxed(&m->ids, 1);
    for (long i = 1; i <= m->rounds; i++) {
        m->steps[me] = i;
        int rc = ars_barrier_wait(&m->barrier, ARS_FOREVER);
        CHECK(rc == 0 || rc == 1);
        ars_atomic_u32_add_relaxed(&m->lasts, (uint32_t)rc);
        for (int k = 0; k < PARTIES; k++) CHECK_EQ(m->steps[k], i);
        CHECK(ars_barrier_wait(&m->barrier, ARS_FOREVER) >= 0);
    }
    return 0;
}

/* Comes again and again until it is let through. */
static int comes_impatiently(void *arg)
{
    march *m = arg;
    uint32_t me = ars_atomic_u32_add_relaxed(&m->ids, 1);
    for (long i = 1; i <= m->rounds; i++) {
        int rc;
        m->steps[me] = i;
        while ((rc = ars_barrier_wait(&m->barrier, ars_after(10 * ARS_MICROSECOND))) < 0)
            CHECK_EQ(rc, ARS_ETIMEDOUT);
        ars_atomic_u32_add_relaxed(&m->lasts, (uint32_t)rc);
        for (int k = 0; k < PARTIES; k++) CHECK_EQ(m->steps[k], i);
        CHECK(ars_barrier_wait(&m->barrier, ARS_FOREVER) >= 0);
    }
    return 0;
}

static int in_step(void *arg)
{
    (void)arg;
    march m = {.barrier = ARS_BARRIER_INIT(PARTIES), .rounds = test_times(1000, 200)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 3; i++) crew_task(&c, marches, &m);
    crew_task(&c, comes_impatiently, &m);
    crew_thread(&c, marches, &m);
    crew_thread(&c, comes_impatiently, &m);
    crew_end(&c);
    CHECK_EQ(m.lasts.ars__v, m.rounds);
    return 0;
}

/* ---- giving up; on one worker ---- */

typedef struct gate {
    ars_barrier barrier;
    int through;
} gate;

static int waits(void *arg)
{
    gate *g = arg;
    CHECK_EQ(ars_barrier_wait(&g->barrier, ARS_FOREVER), 0);
    g->through++;
    return 0;
}

static int times_out(void *arg)
{
    gate *g = arg;
    ars_time deadline = ars_after(2 * ARS_MILLISECOND);
    CHECK_EQ(ars_barrier_wait(&g->barrier, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    CHECK_EQ(ars_barrier_wait(&g->barrier, 0), ARS_ETIMEDOUT);
    return 0;
}

static int is_cancelled(void *arg)
{
    gate *g = arg;
    CHECK_EQ(ars_barrier_wait(&g->barrier, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_barrier_wait(&g->barrier, ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    gate g = {.barrier = ARS_BARRIER_INIT(5)};
    locks_victims v;
    crew c, quitters;
    crew_begin(&c);
    crew_begin(&quitters);
    locks_victims_begin(&v);
    crew_task(&c, waits, &g);
    locks_victim(&v, is_cancelled, &g);
    crew_task(&quitters, times_out, &g);
    crew_thread(&quitters, times_out, &g);
    locks_settle();
    crew_end(&quitters);
    locks_victims_cancel(&v);
    /* One has come; three more are not enough, and a look does not count. */
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ars_barrier_wait(&g.barrier, 0), ARS_ETIMEDOUT);
        crew_task(&c, waits, &g);
        locks_settle();
        CHECK_EQ(g.through, 0);
    }
    CHECK_EQ(ars_barrier_wait(&g.barrier, 0), 1);
    crew_end(&c);
    CHECK_EQ(g.through, 4);
    return 0;
}

static int misuse(void *arg)
{
    (void)arg;
    ars_barrier none = {0, 0, {0, 0}}, many = ARS_BARRIER_INIT(1 << 30);
    ars_barrier one = ARS_BARRIER_INIT(1);
    CHECK_EQ(ars_barrier_wait(&none, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_barrier_wait(&many, ARS_FOREVER), ARS_EINVAL);
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_barrier_wait(&one, ARS_FOREVER), 1);
    return 0;
}

/* ---- freed when the wait returns; two parties, one of which only completes the round ---- */

static int looks_until_there(void *arg)
{
    locks_server *server = arg;
    for (;;) {
        ars_barrier *barrier = ars_atomic_ptr_load_acquire(&server->slot);
        if (ars_atomic_u32_load_acquire(&server->stop)) return 0;
        if (!barrier || ars_barrier_wait(barrier, 0) == ARS_ETIMEDOUT) {
            ars_yield();
            continue;
        }
        /* The other may be gone with its barrier; only the slot is left, and says so to it. */
        ars_atomic_ptr_store_release(&server->slot, NULL);
    }
}

static int uses_once(void *arg)
{
    locks_server *server = arg;
    long times = test_times(1000, 200);
    ars_barrier barrier;
    locks_gone(&barrier, sizeof barrier);
    for (long i = 0; i < times; i++) {
        locks_check_gone(&barrier, sizeof barrier);
        barrier = (ars_barrier)ARS_BARRIER_INIT(2);
        ars_atomic_ptr_store_release(&server->slot, &barrier);
        CHECK_EQ(ars_barrier_wait(&barrier, ARS_FOREVER), 0);
        locks_gone(&barrier, sizeof barrier);
        while (ars_atomic_ptr_load_acquire(&server->slot)) CHECK_EQ(ars_yield(), 0);
    }
    ars_atomic_u32_store_release(&server->stop, 1);
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    for (int how = 0; how < 3; how++) {
        locks_server server = {.serve = NULL};
        crew c;
        crew_begin(&c);
        (how == 1 ? crew_thread : crew_task)(&c, looks_until_there, &server);
        (how == 2 ? crew_thread : crew_task)(&c, uses_once, &server);
        crew_end(&c);
    }
    return 0;
}

LOCKS_CASE_ALL(in_step)
LOCKS_CASE(gives_up, 1)
LOCKS_CASE(misuse, 1)
LOCKS_CASE_ALL(freed)

static const test_case cases[] = {
    {"in step", case_in_step},
    {"gives up", case_gives_up},
    {"misuse", case_misuse},
    {"freed", case_freed},
};
TEST_MAIN(cases)
