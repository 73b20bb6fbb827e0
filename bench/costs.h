/* SPDX-License-Identifier: MIT */
#ifndef BENCH_COSTS_H
#define BENCH_COSTS_H

/*
 * What things cost in bytes, by the public interface: what an allocator that
 * counts has given out for many of a thing, divided by how many; or the size
 * of a value that the user keeps.  bench/costs.c shows the figures,
 * tests/costs.c holds docs/costs.md to them.
 */

#include <arsenal/barrier.h>
#include <arsenal/clock.h>
#include <arsenal/cond.h>
#include <arsenal/event.h>
#include <arsenal/mutex.h>
#include <arsenal/once.h>
#include <arsenal/run.h>
#include <arsenal/rwlock.h>
#include <arsenal/scope.h>
#include <arsenal/select.h>
#include <arsenal/sem.h>
#include <arsenal/spin.h>
#include <arsenal/tick.h>
#include <arsenal/ticket.h>
#include <arsenal/waitgroup.h>

#include <string.h>

enum { COSTS_MANY = 20000, COSTS_BATCH = 100 };

struct cost {
    const char *id;     /* "costs.task" */
    const char *config; /* in words */
    double (*bytes)(uint64_t arg);
    uint64_t arg;
};

static ars_alloc_tracker costs_tracker;

static double costs_now(void)
{
    return (double)ars_alloc_tracker_stats(&costs_tracker).bytes;
}

/* What 'root' finds, run on 'workers' workers with the counting allocator. */
static double costs_run(ars_fn *root, unsigned workers)
{
    ars_config config;
    double bytes = -1;

    ars_alloc_tracker_init(&costs_tracker, NULL);
    memset(&config, 0, sizeof config);
    config.alloc = &costs_tracker.alloc;
    config.workers = workers;
    return ars_run(root, &bytes, &config) < 0 ? -1 : bytes;
}

/* ---- tasks ---- */

static int costs_parking; /* all on one worker */

static int costs_sleep(void *arg)
{
    (void)arg;
    costs_parking++;
    return ars_sleep(ars_after(3600 * ARS_SECOND));
}

static int costs_receive(void *arg)
{
    costs_parking++;
    return ars_chan_recv(arg, NULL, ARS_FOREVER);
}

/* Many tasks that have run and wait; the figure is for one. */
static int costs_parked(ars_fn *fn, void *arg, double *bytes)
{
    ars_group group;
    double before = 0;

    int rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    costs_parking = 0;
    /* The first batch is for what the worker itself grows. */
    for (int i = 0; i < COSTS_MANY + COSTS_BATCH && rc == 0; i++) {
        if (i == COSTS_BATCH) before = costs_now();
        rc = ars_group_go(&group, fn, arg, NULL);
        if (i % COSTS_BATCH != COSTS_BATCH - 1) continue;
        while (rc == 0 && costs_parking <= i) rc = ars_yield();
    }
    if (rc == 0) *bytes = (costs_now() - before) / COSTS_MANY;
    ars_group_cancel(&group, ARS_ECANCELED);
    int ended = ars_group_wait(&group, ARS_FOREVER);
    return rc < 0 ? rc : ended == ARS_ECANCELED ? 0 : ended;
}

static int costs_receiving_root(void *bytes)
{
    ars_chan *chan;
    int rc = ars_chan_new(&chan, 0, 0, NULL);
    if (rc < 0) return rc;
    rc = costs_parked(costs_receive, chan, bytes);
    ars_chan_free(chan);
    return rc;
}

static int costs_sleeping_root(void *bytes)
{
    return costs_parked(costs_sleep, NULL, bytes);
}

static double costs_task(uint64_t arg)
{
    (void)arg;
    return costs_run(costs_receiving_root, 1);
}

/* What a task that waits for a point in time costs more than one that waits for a channel. */
static double costs_timer(uint64_t arg)
{
    double sleeping = costs_run(costs_sleeping_root, 1), receiving = costs_task(arg);
    return sleeping < 0 || receiving < 0 ? -1 : sleeping - receiving;
}

/* ---- groups, workers ---- */

static int costs_group_root(void *arg)
{
    static ars_group groups[COSTS_MANY];
    double before = costs_now(), *bytes = arg;
    int n = 0, rc = 0;

    while (n < COSTS_MANY && (rc = ars_group_init(&groups[n], NULL, ARS_FAIL_FAST)) == 0) n++;
    *bytes = (costs_now() - before) / COSTS_MANY;
    while (n > 0) {
        int ended = ars_group_wait(&groups[--n], ARS_FOREVER);
        if (rc == 0) rc = ended;
    }
    return rc;
}

static double costs_group(uint64_t arg)
{
    (void)arg;
    return costs_run(costs_group_root, 1);
}

static int costs_idle_root(void *bytes)
{
    *(double *)bytes = costs_now();
    return 0;
}

static double costs_worker(uint64_t arg)
{
    double one = costs_run(costs_idle_root, 1), two = costs_run(costs_idle_root, 2);
    (void)arg;
    return one < 0 || two < 0 ? -1 : two - one;
}

/* ---- channels ---- */

/* Of 8-byte values: the capacity, and above it the flags. */
#define COSTS_CHAN(cap, flags) ((uint64_t)(flags) << 32 | (cap))

static double costs_chan(uint64_t arg)
{
    ars_chan_opt opt;
    ars_chan *chan;

    ars_alloc_tracker_init(&costs_tracker, NULL);
    memset(&opt, 0, sizeof opt);
    opt.alloc = &costs_tracker.alloc;
    opt.flags = (unsigned)(arg >> 32);
    if (ars_chan_new(&chan, sizeof(uint64_t), (uint32_t)arg, &opt) < 0) return -1;
    double bytes = costs_now();
    ars_chan_free(chan);
    return bytes;
}

/* ---- values that the user keeps ---- */

static double costs_size(uint64_t arg)
{
    return (double)arg;
}

static const struct cost costs[] = {
    {"costs.task", "parked, beside its stack", costs_task, 0},
    {"costs.timer", "of a task that sleeps", costs_timer, 0},
    {"costs.group", "in the runtime, beside the handle", costs_group, 0},
    {"costs.worker", "beside its thread", costs_worker, 0},
    {"costs.chan", "unbuffered", costs_chan, COSTS_CHAN(0, 0)},
    {"costs.chan.128", "for 128 values of 8 bytes", costs_chan, COSTS_CHAN(128, 0)},
    {"costs.chan.128.spsc", "the same, SPSC", costs_chan, COSTS_CHAN(128, ARS_CHAN_SPSC)},
    {"costs.chan.128.mpsc", "the same, MPSC", costs_chan, COSTS_CHAN(128, ARS_CHAN_MPSC)},
    {"costs.case", "sizeof(ars_case)", costs_size, sizeof(ars_case)},
    {"costs.tick", "sizeof(ars_tick)", costs_size, sizeof(ars_tick)},
    {"costs.scope", "sizeof(ars_scope)", costs_size, sizeof(ars_scope)},
    {"costs.mutex", "sizeof(ars_mutex)", costs_size, sizeof(ars_mutex)},
    {"costs.rwlock", "sizeof(ars_rwlock)", costs_size, sizeof(ars_rwlock)},
    {"costs.cond", "sizeof(ars_cond)", costs_size, sizeof(ars_cond)},
    {"costs.sem", "sizeof(ars_sem)", costs_size, sizeof(ars_sem)},
    {"costs.event", "sizeof(ars_event)", costs_size, sizeof(ars_event)},
    {"costs.once", "sizeof(ars_once)", costs_size, sizeof(ars_once)},
    {"costs.barrier", "sizeof(ars_barrier)", costs_size, sizeof(ars_barrier)},
    {"costs.waitgroup", "sizeof(ars_waitgroup)", costs_size, sizeof(ars_waitgroup)},
    {"costs.spin", "sizeof(ars_spin)", costs_size, sizeof(ars_spin)},
    {"costs.ticket", "sizeof(ars_ticket)", costs_size, sizeof(ars_ticket)},
};

enum { COSTS = sizeof costs / sizeof *costs };

#endif
