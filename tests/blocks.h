/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_BLOCKS_H
#define ARS_TEST_BLOCKS_H

/* What the tests of blocking work share. */

#include <arsenal/block.h>
#include <arsenal/event.h>
#include <unistd.h>

#include "fault.h"
#include "locks.h"

/* A piece of work that is held up until it is let go. */
typedef struct held {
    ars_event go;
    ars_atomic_u32 begun, ran, dropped;
} held;

static inline void hold(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->begun, 1);
    CHECK_EQ(ars_event_wait(&h->go, ARS_FOREVER), 0);
    ars_atomic_u32_add_acq_rel(&h->ran, 1);
}

static inline void count_run(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->begun, 1);
    ars_atomic_u32_add_acq_rel(&h->ran, 1);
}

static inline void count_drop(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->dropped, 1);
}

static inline uint32_t seen(const ars_atomic_u32 *counter)
{
    return ars_atomic_u32_load_acquire(counter);
}

static inline void until(const ars_atomic_u32 *counter, uint32_t value)
{
    while (seen(counter) != value) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 4)), 0);
}

static inline void check_refused(int rc, int expected, const held *h, int drops)
{
    CHECK_EQ(rc, expected);
    CHECK_EQ(seen(&h->ran), 0);
    CHECK_EQ(seen(&h->dropped), (uint32_t)drops);
}

typedef struct attempt {
    held *what;
    void (*drop)(void *);
    ars_time span; /* until the deadline */
    int expected;
    ars_atomic_u32 done;
} attempt;

static inline int attempts(void *arg)
{
    attempt *a = arg;
    ars_time deadline = a->span ? ars_after(a->span) : ARS_FOREVER;
    CHECK_EQ(ars_block(hold, a->what, a->drop, deadline), a->expected);
    ars_atomic_u32_add_acq_rel(&a->done, 1);
    return 0;
}

/* Whatever comes first, work, deadline or cancel: who owns the argument is always clear. */
typedef struct fates {
    ars_atomic_u32 returned[2], rest; /* by error or not; arguments not freed */
    uint32_t seed;
} fates;

typedef struct owned {
    fates *all;
    unsigned us, ran;
} owned;

static inline void take_time(void *arg)
{
    owned *o = arg;
    if (o->us) usleep(o->us);
    CHECK_EQ(o->ran++, 0);
}

static inline void drop_owned(void *arg)
{
    owned *o = arg;
    CHECK(o->ran <= 1);
    ars_atomic_u32_add_acq_rel(&o->all->rest, (uint32_t)-1);
    locks_gone(o, sizeof *o);
    free(o);
}

static inline int tempts_fate(void *arg)
{
    fates *all = arg;
    uint32_t random = ars_atomic_u32_add_acq_rel(&all->returned[0], 0) * 2654435761u + 1;
    for (int i = 0; i < 200; i++) {
        random = random * 1664525 + 1013904223;
        unsigned us = (random >> 8) % 60, span = (random >> 16) % 120;
        ars_time deadline = span == 0 ? ARS_FOREVER : ars_after(span * ARS_MICROSECOND);
        int rc;
        if (random >> 31) {
            owned *o = malloc(sizeof *o);
            CHECK(o != NULL);
            *o = (owned){all, us, 0};
            ars_atomic_u32_add_acq_rel(&all->rest, 1);
            rc = ars_block(take_time, o, drop_owned, deadline);
            if (rc == 0) {
                CHECK_EQ(o->ran, 1);
                drop_owned(o);
            }
        } else {
            owned o = {all, us, 0};
            rc = ars_block(take_time, &o, NULL, deadline);
            CHECK_EQ(o.ran, rc == 0);
            locks_gone(&o, sizeof o);
        }
        CHECK(rc == 0 || rc == ARS_ETIMEDOUT || rc == ARS_ECANCELED);
        ars_atomic_u32_add_acq_rel(&all->returned[rc < 0], 1);
        if (rc == ARS_ECANCELED) break;
    }
    return 0;
}

static inline void run_limited(ars_fn *fn, unsigned workers, unsigned limit, int threads)
{
    static world w;
    world_begin(&w);
    w.config.workers = workers;
    for (int i = 0; i < 3; i++) w.config.block_limits[i] = limit;
    int rc = ars_run(fn, &w, &w.config);
    /* The C library keeps the stacks and the heaps of threads that have ended. */
    test_gate_end(&w.gate, 4 * (threads + (long)workers));
    CHECK_STR(w.reports, "");
    CHECK_EQ(rc, 0);
}

#define LIMITED(name, workers, limit, threads)                                                     \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        run_limited(name, workers, limit, threads);                                                \
    }

#endif
