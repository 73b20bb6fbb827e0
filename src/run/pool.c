/* SPDX-License-Identifier: MIT */
/* Documented in pool.h. */
#include "run/pool.h"

#include <string.h>

#include "base/san.h"
#include "os/os.h"

#define IDLE (5 * ARS_SECOND)

struct ars__pool_thread {
    ars__pool *pool;
    ars__pool_thread *next; /* in 'idle' or 'ended' */
    uintptr_t handle;
    uint8_t known; /* 'handle' has been written: a thread may be faster than who started it */
    uint8_t over;
    ars_atomic_u32 awake; /* taken out of 'idle' */
};

void ars__pool_init(ars__pool *pool, const ars_alloc *alloc, uint32_t limit)
{
    memset(pool, 0, sizeof *pool);
    pool->alloc = alloc;
    pool->limit = limit;
    ars__list_init(&pool->queue);
    ars__list_init(&pool->detached);
}

/* Many threads on few CPUs: whoever has the lock may be waiting for this one's. */
void ars__pool_lock(ars__pool *pool)
{
    enum { SPINS = 200 };
    for (unsigned spins = 1; !ars_spin_try(&pool->lock); spins++) {
        if (spins % SPINS == 0)
            ars__os_thread_yield();
        else
            ars_atomic_pause();
    }
}

void ars__pool_unlock(ars__pool *pool)
{
    ars_spin_unlock(&pool->lock);
}

/*
 * An idle thread's word, to be given to ars__os_futex_wake() after the unlock,
 * when the thread may have gone on and be gone: only the address is used then.
 */
static uint32_t *take_idle(ars__pool *pool)
{
    ars__pool_thread *thread = pool->idle;
    pool->idle = thread->next;
    ars_atomic_u32_store_release(&thread->awake, 1);
    return &thread->awake.ars__v;
}

/* ---- a thread ---- */

static void join_all(const ars_alloc *alloc, ars__pool_thread *thread)
{
    for (ars__pool_thread *next; thread; thread = next) {
        next = thread->next;
        ars__os_thread_join(thread->handle);
        alloc->free(alloc->ctx, thread, sizeof *thread, sizeof(void *));
    }
}

/* With the lock, as all below; 'fn' runs without. */
static void work(ars__pool *pool, ars__job *job)
{
    ars__list_remove(&job->link);
    job->state = ARS__JOB_RUNNING;
    ars__pool_unlock(pool);
    ars__san_acquire(job);
    job->fn(job->arg);
    ars__san_release(job);
    ars__pool_lock(pool);
    job->state = ARS__JOB_OVER;
    ars__task *task = job->task;
    ars__pool_unlock(pool);
    if (task) {
        /* The task waits until it is woken, and the job with it. */
        ars__wake(task, 0, ARS__WAKE_NEXT);
        ars__pool_lock(pool);
        return;
    }
    job->drop(job->arg);
    ars__pool_lock(pool);
    ars__list_remove(&job->link);
    ars__pool_unlock(pool);
    pool->alloc->free(pool->alloc->ctx, job, sizeof *job, sizeof(void *));
    ars__pool_lock(pool);
}

/* Waits to be taken out of 'idle'; 0: it took too long, and nobody will. */
static int rest(ars__pool *pool, ars__pool_thread *self)
{
    ars_time until = ars_time_add(ars__os_now(), IDLE);
    ars_atomic_u32_store_relaxed(&self->awake, 0);
    self->next = pool->idle;
    pool->idle = self;
    ars__pool_unlock(pool);
    while (!ars_atomic_u32_load_acquire(&self->awake) &&
           ars__os_futex_wait(&self->awake.ars__v, 0, until) != ARS_ETIMEDOUT) {}
    ars__pool_lock(pool);
    if (ars_atomic_u32_load_relaxed(&self->awake)) return 1;
    ars__pool_thread **at = &pool->idle;
    while (*at != self) at = &(*at)->next;
    *at = self->next;
    return 0;
}

/*
 * The unlock is the last access to the record, which somebody may free then,
 * and 'word' only an address.
 */
static void leave(ars__pool *pool, ars__pool_thread *self)
{
    const ars_alloc *alloc = pool->alloc;
    ars__pool_thread *ended = pool->ended;
    uint32_t stop = pool->stop, *word = &pool->threads.ars__v;
    int alone = stop == ARS__POOL_ABANDONED && self->known;
    self->over = 1;
    self->next = NULL;
    pool->ended = self->known && !alone ? self : NULL;
    ars_atomic_u32_add_acq_rel(&pool->threads, (uint32_t)-1);
    ars__pool_unlock(pool);
    if (stop) ars__os_futex_wake(word, 1);
    join_all(alloc, ended);
    if (alone) {
        ars__os_thread_let_go(self->handle);
        alloc->free(alloc->ctx, self, sizeof *self, sizeof(void *));
    }
}

static void *serve(void *arg)
{
    ars__pool_thread *self = arg;
    ars__pool *pool = self->pool;
    ars__pool_lock(pool);
    for (;;) {
        if (!pool->stop && !ars__list_empty(&pool->queue))
            work(pool, ARS__MEMBER(pool->queue.next, ars__job, link));
        else if (pool->stop || !rest(pool, self))
            break;
    }
    leave(pool, self);
    return NULL;
}

/* ---- starting one ---- */

static int start_thread(ars__pool *pool)
{
    const ars_alloc *alloc = pool->alloc;
    ars__pool_thread *thread = alloc->alloc(alloc->ctx, sizeof *thread, sizeof(void *));
    if (!thread) return ARS_ENOMEM;
    memset(thread, 0, sizeof *thread);
    thread->pool = pool;
    int rc = ars__os_thread_start(&thread->handle, serve, thread);
    if (rc < 0) {
        alloc->free(alloc->ctx, thread, sizeof *thread, sizeof(void *));
        return rc;
    }
    ars__pool_lock(pool);
    thread->known = 1;
    if (thread->over) {
        thread->next = pool->ended;
        pool->ended = thread;
    }
    ars__pool_unlock(pool);
    return 0;
}

/*
 * A thread could not be started.  Others will do the work, those that are being
 * started included; but if this was the last of them, all that is queued fails.
 */
static int start_failed(ars__pool *pool, ars__job *own, int rc)
{
    ars__list failed;
    int result = 0;
    ars__list_init(&failed);
    ars__pool_lock(pool);
    if (ars_atomic_u32_add_acq_rel(&pool->threads, (uint32_t)-1) == 1) {
        while (!ars__list_empty(&pool->queue)) {
            ars__job *job = ARS__MEMBER(pool->queue.next, ars__job, link);
            ars__list_remove(&job->link);
            job->state = ARS__JOB_OVER;
            if (job == own)
                result = rc;
            else
                ars__list_append(&failed, &job->link);
        }
    }
    ars__pool_unlock(pool);
    while (!ars__list_empty(&failed)) {
        ars__job *job = ARS__MEMBER(failed.next, ars__job, link);
        ars__list_remove(&job->link);
        ars__wake(job->task, rc, ARS__WAKE_TAIL);
    }
    return result;
}

int ars__pool_put(ars__pool *pool, ars__job *job)
{
    uint32_t *idle = NULL;
    int start = 0;
    ars__san_release(job);
    ars__pool_lock(pool);
    job->state = ARS__JOB_QUEUED;
    ars__list_append(&pool->queue, &job->link);
    if (pool->idle) {
        idle = take_idle(pool);
    } else if (ars_atomic_u32_load_relaxed(&pool->threads) < pool->limit) {
        ars_atomic_u32_add_acq_rel(&pool->threads, 1);
        start = 1;
    }
    ars__pool_unlock(pool);
    if (idle) ars__os_futex_wake(idle, 1);
    int rc = start ? start_thread(pool) : 0;
    return rc < 0 ? start_failed(pool, job, rc) : 0;
}

/* ---- the end ---- */

static void end_idle(ars__pool *pool, uint32_t how)
{
    uint32_t *idle;
    do {
        ars__pool_lock(pool);
        pool->stop = how;
        idle = pool->idle ? take_idle(pool) : NULL;
        ars__pool_unlock(pool);
        if (idle) ars__os_futex_wake(idle, 1);
    } while (idle);
}

int ars__pool_stop(ars__pool *pool, ars_time limit)
{
    end_idle(pool, ARS__POOL_ENDS);
    for (;;) {
        ars__pool_lock(pool);
        uint32_t threads = ars_atomic_u32_load_relaxed(&pool->threads);
        int busy = !ars__list_empty(&pool->detached);
        ars__pool_unlock(pool);
        if (threads == 0) break;
        if (busy && limit <= ars__os_now()) return ARS_EBUSY;
        /* A thread without work ends at once. */
        ars__os_futex_wait(&pool->threads.ars__v, threads, busy ? limit : ARS_FOREVER);
    }
    join_all(pool->alloc, pool->ended);
    pool->ended = NULL;
    return 0;
}

void ars__pool_abandon(ars__pool *pool)
{
    end_idle(pool, ARS__POOL_ABANDONED);
}
