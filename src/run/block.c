/* SPDX-License-Identifier: MIT */
/* Calls that block.  Documented in <arsenal/block.h>; the threads are pool.c's. */
#include <arsenal/block.h>

#include "os/os.h"
#include "run/sched.h"

static const char *const names[ARS__BLOCK_CLASSES] = {"default", "dns", "file"};

ARS__STATIC_ASSERT(ARS__BLOCK_CLASSES == ARS_BLOCK_FILE + 1);
ARS__STATIC_ASSERT(sizeof((ars_config){0}.block_limits) == ARS__BLOCK_CLASSES * sizeof(unsigned));

/*
 * What a call parks with.  It outlives the job, which 'job' refers to while it
 * is the task's.
 */
typedef struct call {
    ars__pool *pool;
    ars__job *job;
} call;

static void interrupt(ars__task *task, int why)
{
    call *c = ars__task_object(task);
    ars__job *job = c->job;
    int leaves = 0;
    ars__pool_lock(c->pool);
    if (job->state == ARS__JOB_QUEUED) {
        ars__list_remove(&job->link);
        job->state = ARS__JOB_OVER;
        leaves = 1;
    } else if (job->state == ARS__JOB_RUNNING && job->drop) {
        ars__list_append(&c->pool->detached, &job->link);
        job->task = NULL;
        c->job = NULL;
        leaves = 1;
    }
    ars__pool_unlock(c->pool);
    if (leaves) ars__ready(task, why);
}

static const ars__wait_class block_class = {"block", interrupt};

/* Fills in, queues and waits; 'c->job' is NULL afterwards if the job is the pool's. */
static int wait_for(call *c, ars__task *self, ars_time deadline, const void *place)
{
    ars__job *job = c->job;
    job->task = self;
    job->since = ars__os_now();
    job->place = place;
    int rc = ars__pool_put(c->pool, job);
    if (rc < 0) return rc;
    rc = ars__park_at(self, &block_class, c, deadline, place);
    if (c->job) ars__san_acquire(job);
    return rc;
}

static int on_stack(ars__pool *pool, ars__task *self, ars__job what, ars_time deadline,
                    const void *place)
{
    call c = {pool, &what};
    return wait_for(&c, self, deadline, place);
}

/* '*left' is set if the job, and so its argument, is the pool's. */
static int on_heap(ars__pool *pool, ars__task *self, const ars__job *what, ars_time deadline,
                   const void *place, int *left)
{
    const ars_alloc *alloc = pool->alloc;
    ars__job *job = alloc->alloc(alloc->ctx, sizeof *job, sizeof(void *));
    if (!job) return ARS_ENOMEM;
    *job = *what;
    call c = {pool, job};
    int rc = wait_for(&c, self, deadline, place);
    if (c.job)
        alloc->free(alloc->ctx, job, sizeof *job, sizeof(void *));
    else
        *left = 1;
    return rc;
}

static int block(unsigned cls, const ars__job *job, ars_time deadline, const void *frame,
                 const void *place)
{
    ars__task *self = ars__task_self();
    int left = 0, rc = self ? ars__wait_enter_at(self, deadline, frame) : 0;
    if (!job->fn || cls >= ARS__BLOCK_CLASSES)
        rc = ARS_EINVAL;
    else if (rc == 0 && deadline != ARS_FOREVER && (!deadline || deadline <= ars__os_now()))
        rc = ARS_ETIMEDOUT;
    if (rc == 0) {
        if (!self)
            job->fn(job->arg);
        else if (!job->drop)
            rc = on_stack(&ars__task_worker(self)->rt->pools[cls], self, *job, deadline, place);
        else
            rc =
                on_heap(&ars__task_worker(self)->rt->pools[cls], self, job, deadline, place, &left);
    }
    if (rc < 0 && job->drop && !left) job->drop(job->arg);
    return rc;
}

int ars_block(void (*fn)(void *), void *arg, void (*drop)(void *), ars_time deadline)
{
    ars__job job = {.fn = fn, .arg = arg, .drop = drop};
    return block(ARS_BLOCK_DEFAULT, &job, deadline, __builtin_dwarf_cfa(),
                 __builtin_return_address(0));
}

int ars_block_in(unsigned cls, void (*fn)(void *), void *arg, void (*drop)(void *),
                 ars_time deadline)
{
    ars__job job = {.fn = fn, .arg = arg, .drop = drop};
    return block(cls, &job, deadline, __builtin_dwarf_cfa(), __builtin_return_address(0));
}

/* ---- with the runtime ---- */

void ars__block_init(ars_runtime *rt)
{
    static const unsigned limits[ARS__BLOCK_CLASSES] = {64, 16, 32};
    for (int i = 0; i < ARS__BLOCK_CLASSES; i++) {
        unsigned limit = rt->config.block_limits[i];
        ars__pool_init(&rt->pools[i], rt->alloc, limit ? limit : limits[i]);
    }
}

int ars__block_stop(ars_runtime *rt, ars_time limit)
{
    for (int i = 0; i < ARS__BLOCK_CLASSES; i++)
        if (ars__pool_stop(&rt->pools[i], limit) < 0) return ARS_EBUSY;
    return 0;
}

/* Reports are the user's code: not under the lock. */
static void report(ars_runtime *rt, int cls)
{
    enum { MOST = 16 };
    ars__pool *pool = &rt->pools[cls];
    struct {
        void (*fn)(void *);
        const void *place;
        ars_time since;
    } left[MOST];
    unsigned n = 0;
    ars__pool_lock(pool);
    for (ars__list *at = pool->detached.next; at != &pool->detached; at = at->next, n++) {
        const ars__job *job = ARS__MEMBER(at, ars__job, link);
        if (n == MOST) break;
        left[n].fn = job->fn;
        left[n].place = job->place;
        left[n].since = job->since;
    }
    ars__pool_unlock(pool);
    for (unsigned i = 0; i < n; i++)
        ars__report(rt, "blocking work %p (%s) was left behind, called from %p %lld ms ago",
                    (void *)(uintptr_t)left[i].fn, names[cls], left[i].place,
                    (long long)((ars__os_now() - left[i].since) / ARS_MILLISECOND));
}

void ars__block_abandon(ars_runtime *rt)
{
    for (int i = 0; i < ARS__BLOCK_CLASSES; i++) {
        report(rt, i);
        ars__pool_abandon(&rt->pools[i]);
    }
}
