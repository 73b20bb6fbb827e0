/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_WORLD_H
#define ARS_TEST_WORLD_H

/*
 * A runtime for one test case: what it reports is kept, and when it has ended
 * nothing of it may be left.
 */

#include <arsenal/atomic.h>
#include <arsenal/clock.h>
#include <arsenal/run.h>
#include <arsenal/scope.h>
#include <arsenal/spin.h>
#include <stdlib.h>

#include "base/assert.h"
#include "test.h"

typedef struct world {
    ars_alloc_tracker tracker;
    ars_config config;
    test_gate gate;
    char reports[2048];
} world;

static inline void world_report(void *ctx, const char *line)
{
    static ars_spin lock;
    world *w = ctx;
    ars_spin_lock(&lock); /* workers report at the same time */
    size_t used = strlen(w->reports);
    snprintf(w->reports + used, sizeof w->reports - used, "%s\n", line);
    ars_spin_unlock(&lock);
}

/* One, so that what happens is determined; or as ARS_TEST_WORKERS says, for all that holds with any number. */
static inline unsigned world_workers(void)
{
    const char *n = getenv("ARS_TEST_WORKERS");
    return n ? (unsigned)atoi(n) : 1;
}

static inline void world_begin(world *w)
{
    memset(w, 0, sizeof *w);
    ars_alloc_tracker_init(&w->tracker, NULL);
    w->config.alloc = &w->tracker.alloc;
    w->config.workers = world_workers();
    w->config.report = world_report;
    w->config.report_ctx = w;
    test_gate_begin(&w->gate, &w->tracker);
}

/*
 * Runs 'fn' in a runtime of its own; its result must be 'expected', and nothing
 * may be reported.  The C library keeps the stack and the heap of each of the
 * 'threads' threads that 'fn' starts, two mappings each.
 */
static inline void world_run_threads(ars_fn *fn, int expected, int threads)
{
    static world w;
    world_begin(&w);
    int rc = ars_run(fn, &w, &w.config);
    test_gate_end(&w.gate, 4 * (threads + (long)w.config.workers - 1));
    CHECK_STR(w.reports, "");
    CHECK_EQ(rc, expected);
}

static inline void world_run(ars_fn *fn, int expected)
{
    world_run_threads(fn, expected, 0);
}

#endif
