/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_CREW_H
#define ARS_TEST_CREW_H

/*
 * What tests of things that are waited for share: a world with several workers,
 * a group whose calls are checked, and plain threads that run a task's function.
 */

#include <pthread.h>
#include <stdlib.h>

#include "world.h"

/* Runs 'fn' with so many workers; it must return 0, and nothing may be left or reported. */
static inline void crew_run(ars_fn *fn, unsigned workers, int threads)
{
    static world w;
    world_begin(&w);
    w.config.workers = workers;
    int rc = ars_run(fn, &w, &w.config);
    /* The C library keeps the stack and the heap of threads that have ended. */
    test_gate_end(&w.gate, 4 * (threads + (int)workers - 1));
    CHECK_STR(w.reports, "");
    CHECK_EQ(rc, 0);
}

/* With one worker, with two, and with more than there are CPUs. */
static inline void crew_run_all(ars_fn *fn, int threads)
{
    static const unsigned workers[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) crew_run(fn, workers[i], threads);
}

typedef struct crew {
    ars_group group;
    pthread_t threads[16];
    int n;
} crew;

static inline void crew_begin(crew *c)
{
    c->n = 0;
    CHECK_EQ(ars_group_init(&c->group, NULL, ARS_COLLECT), 0);
}

static inline void crew_task(crew *c, ars_fn *fn, void *arg)
{
    CHECK_EQ(ars_group_go(&c->group, fn, arg, NULL), 0);
}

typedef struct crew_call {
    ars_fn *fn;
    void *arg;
} crew_call;

static inline void *crew_start(void *arg)
{
    crew_call call = *(crew_call *)arg;
    free(arg);
    return (void *)(intptr_t)call.fn(call.arg);
}

static inline void crew_thread(crew *c, ars_fn *fn, void *arg)
{
    crew_call *call = malloc(sizeof *call);
    CHECK(call && c->n < 16);
    *call = (crew_call){fn, arg};
    CHECK_EQ(pthread_create(&c->threads[c->n++], NULL, crew_start, call), 0);
}

/* Waits for all of them, none of which may have failed. */
static inline void crew_end(crew *c)
{
    CHECK_EQ(ars_group_wait(&c->group, ARS_FOREVER), 0);
    for (int i = 0; i < c->n; i++) {
        void *result;
        CHECK_EQ(pthread_join(c->threads[i], &result), 0);
        CHECK_EQ((intptr_t)result, 0);
    }
}

#endif
