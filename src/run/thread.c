/* SPDX-License-Identifier: MIT */
/*
 * What tasks and workers are to others: plain threads that wait like tasks,
 * documented in waitq.h; and what the layers above may know, in park.h.
 */
#include <string.h>

#include "base/point.h"
#include "os/os.h"
#include "run/sched.h"

ARS__STATIC_ASSERT(sizeof(ars__thread) >= sizeof(ars__task));

ars__task *ars__thread_begin(ars__thread *room)
{
    ars__task *task = (ars__task *)(void *)room;
    memset(task, 0, sizeof *task);
    task->scope_limit = ARS_FOREVER;
    return task;
}

int ars__thread_park(ars__task *self)
{
    for (;;) {
        uint32_t events = ars_atomic_u32_load_acquire(&self->events);
        if (events & ARS__WOKEN) break;
        (void)ARS_POINT("thread sleeps");
        ars_time limit = self->interrupted ? ARS_FOREVER : self->deadline;
        int rc = ars__os_futex_wait(&self->events.ars__v, events, limit);
        if (rc == ARS_ETIMEDOUT && !self->interrupted) ars__task_interrupt(self, ARS_ETIMEDOUT);
    }
    ars_atomic_u32_and_acq_rel(&self->events, ~(uint32_t)(ARS__WOKEN | ARS__ENDED));
    self->wait = NULL;
    if (self->ctx.flags & ARS__SELECTS) ars__select_clean(self);
    return self->ctx.result;
}

/* ---- what others may know of a task ---- */

ars__task *ars__task_self(void)
{
    ars__worker *w = ars__worker_here();
    return w ? w->current : NULL;
}

int ars__task_migrates(const ars__task *task)
{
    return (task->ctx.flags & ARS__MIGRATES) != 0;
}

int ars__task_moves(const ars__task *task)
{
    return (task->ctx.flags & ARS__MIGRATES) != 0;
}

ars__worker *ars__task_worker(const ars__task *task)
{
    return task->worker;
}

void *ars__task_object(const ars__task *task)
{
    return task->object;
}

void ars__ready_prefetch(const ars__task *task)
{
    __builtin_prefetch(task, 1);
    __builtin_prefetch((const char *)task + 64, 1);
    __builtin_prefetch(task->ctx.sp, 1);
}

void ars__task_selects(ars__task *task)
{
    task->ctx.flags |= ARS__SELECTS;
}

int ars__task_claim(ars__task *task)
{
    return !(ars_atomic_u32_or_acq_rel(&task->events, ARS__CLAIMED) & ARS__CLAIMED);
}

void ars__task_unclaim(ars__task *task)
{
    ars_atomic_u32_and_acq_rel(&task->events, ~(uint32_t)ARS__CLAIMED);
}

ars__node *ars__task_node(ars__task *task, void *value)
{
    task->node.who = (uintptr_t)task;
    task->node.value = value;
    return &task->node;
}

/* ---- for the I/O layer ---- */

ars__task *ars__wait_enter_home(const ars__poller *poller)
{
    ars__worker *w = ars__worker_here();
    if (ARS__UNLIKELY(!w || !poller || w->poller != poller)) return NULL;
    ars__task *self = w->current;
    return ARS__LIKELY(ars__wait_enter_fast(w, self)) ? self : NULL;
}

ars__poller *ars__worker_poller(const ars__worker *worker)
{
    return worker->poller;
}

void ars__worker_set_poller(ars__worker *worker, ars__poller *poller)
{
    ARS__ASSERT(!worker->poller);
    /* Release: others read its counters. */
    __atomic_store_n(&worker->poller, poller, __ATOMIC_RELEASE);
}

ars__poller *ars__task_poller(const ars__task *task)
{
    return task->worker->poller;
}

ars_atomic_ptr *ars__worker_shared(const ars__worker *worker)
{
    return &worker->rt->shared;
}

void ars__worker_wake(ars__worker *worker)
{
    ars__sched_wake(worker);
}

const ars_alloc *ars__worker_alloc(const ars__worker *worker)
{
    return worker->rt->alloc;
}

ars_time ars__worker_time(const ars__worker *worker)
{
    return worker->now;
}

unsigned ars__worker_number(const ars__worker *worker)
{
    return worker->id + 1;
}

unsigned ars__worker_backend(const ars__worker *worker)
{
    return worker->rt->config.backend;
}
