/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_POOL_H
#define ARS_RUN_POOL_H

/*
 * Threads that do work which blocks: one pool for each class of a runtime.
 * Private to run/.
 *
 * A job is queued, then running, then over; the lock guards which.  A job whose
 * task has gone away while it ran is detached: the pool's own, until it has
 * been dropped.  Any other is its task's, and nothing of it is touched by the
 * pool once that has been woken.
 *
 * A thread that ends has given back everything but itself.  It leaves its
 * record for the next that ends, or for ars__pool_stop(), to join and free.
 */

#include <arsenal/alloc.h>
#include <arsenal/spin.h>

#include "data/list.h"
#include "run/park.h"

enum { ARS__JOB_QUEUED, ARS__JOB_RUNNING, ARS__JOB_OVER };

typedef struct ars__job {
    ars__list link; /* in the queue, or among the detached */
    void (*fn)(void *);
    void *arg;
    void (*drop)(void *);
    ars__task *task; /* that waits; NULL: detached */
    uint32_t state;
    ars_time since; /* when and from where the call came */
    const void *place;
} ars__job;

typedef struct ars__pool_thread ars__pool_thread;

typedef struct ars__pool {
    ars_spin lock;
    ars_atomic_u32 threads; /* that live or are being started; written under the lock */
    uint32_t limit;
    uint32_t stop; /* ARS__POOL_... */
    const ars_alloc *alloc;
    ars__list queue;
    ars__list detached;
    ars__pool_thread *idle;  /* the last to have worked first */
    ars__pool_thread *ended; /* to be joined */
} ars__pool;

enum { ARS__POOL_ENDS = 1, ARS__POOL_ABANDONED = 2 };

void ars__pool_init(ars__pool *pool, const ars_alloc *alloc, uint32_t limit);
void ars__pool_lock(ars__pool *pool);
void ars__pool_unlock(ars__pool *pool);

/*
 * Queues a job that is filled in.  0: its task will be woken, and is to park;
 * an error: no thread could be had, and the job is not in the pool.
 */
int ars__pool_put(ars__pool *pool, ars__job *job);

/*
 * All tasks have ended.  Waits for what is detached until 'limit', and for the
 * end of all threads.  0, or ARS_EBUSY: some work goes on.
 */
int ars__pool_stop(ars__pool *pool, ars_time limit);

/* Lets threads end by themselves after what they are doing.  Nobody waits any more, nothing is freed. */
void ars__pool_abandon(ars__pool *pool);

#endif
