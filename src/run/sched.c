/* SPDX-License-Identifier: MIT */
/*
 * Who runs next.  Documented in sched.h and park.h.
 *
 * Cost of a park and the switch that follows it: the parking task's two first
 * lines, the next task's first, one slot of the ready ring, the top of two
 * stacks; no atomic, no system call, no clock.
 */
#include "run/sched.h"

#include <string.h>

#include "base/bits.h"
#include "os/os.h"

enum {
    RING_FIRST = 256,
    AHEAD = 8,                     /* how far ahead of their turn stacks are prefetched */
    STARVED_NAP = 10 * 1000 * 1000 /* ns between attempts to find a stack for a new task */
};

_Thread_local ars__worker *ars__worker_tls;

ARS__NOINLINE ars__worker *ars__worker_self(void)
{
    ars__worker *worker = ars__worker_tls;
    /* Keeps the compiler from seeing that two calls read the same address. */
    __asm__ volatile("" : "+r"(worker));
    return worker;
}

/* ---- the ready ring ---- */

int ars__sched_init(ars__worker *w)
{
    const ars_alloc *a = w->runtime->alloc;
    w->ready = a->alloc(a->ctx, RING_FIRST * sizeof *w->ready, sizeof *w->ready);
    if (!w->ready) return ARS_ENOMEM;
    w->mask = RING_FIRST - 1;
    w->tick = ARS__TICK;
    w->budget = ARS__BUDGET;
    ars__list_init(&w->fresh);
    w->now = ars__os_now();
    ars__wheel_init(&w->wheel, w->now);
    return 0;
}

void ars__sched_deinit(ars__worker *w)
{
    const ars_alloc *a = w->runtime->alloc;
    if (w->ready) a->free(a->ctx, w->ready, (w->mask + 1) * sizeof *w->ready, sizeof *w->ready);
    w->ready = NULL;
}

static int ring_grow(ars__worker *w)
{
    const ars_alloc *a = w->runtime->alloc;
    size_t old = (size_t)w->mask + 1, size = old * 2;
    if (old > UINT32_MAX / 4) return ARS_ENOMEM;
    ars__task **ring = a->alloc(a->ctx, size * sizeof *ring, sizeof *ring);
    if (!ring) return ARS_ENOMEM;
    size_t n = 0;
    for (uint32_t i = w->head; i != w->tail; i++) ring[n++] = w->ready[i & w->mask];
    a->free(a->ctx, w->ready, old * sizeof *ring, sizeof *ring);
    w->ready = ring;
    w->mask = (uint32_t)size - 1;
    w->head = 0;
    w->tail = (uint32_t)n;
    return 0;
}

/*
 * Waking a task must not fail.  A full ring that cannot grow lets tasks queue
 * in a list; the ring is refilled from it, so that order is kept.
 */
static ARS__NOINLINE void push_slow(ars__worker *w, ars__task *task)
{
    if (!w->spill_first && ring_grow(w) == 0) {
        w->ready[w->tail++ & w->mask] = task;
        return;
    }
    task->next = NULL;
    if (w->spill_first)
        w->spill_last->next = task;
    else
        w->spill_first = task;
    w->spill_last = task;
}

static inline void push(ars__worker *w, ars__task *task)
{
    if (ARS__UNLIKELY(w->tail - w->head > w->mask || w->spill_first)) {
        push_slow(w, task);
        return;
    }
    w->ready[w->tail++ & w->mask] = task;
}

static ARS__NOINLINE void unspill(ars__worker *w)
{
    while (w->spill_first && w->tail - w->head <= w->mask) {
        ars__task *task = w->spill_first;
        w->spill_first = task->next;
        w->ready[w->tail++ & w->mask] = task;
    }
}

static inline ars__task *pop(ars__worker *w)
{
    ars__task *task = w->ready[w->head++ & w->mask];
    uint32_t left = w->tail - w->head;
    /* A task's first line twice as far ahead as its stack, whose address that line holds. */
    if (left > 2 * AHEAD) {
        __builtin_prefetch(w->ready[(w->head + 2 * AHEAD) & w->mask], 1);
        __builtin_prefetch(w->ready[(w->head + AHEAD) & w->mask]->ctx.sp, 1);
    } else if (left > 1) {
        __builtin_prefetch(w->ready[(w->head + 1) & w->mask]->ctx.sp, 1);
    }
    return task;
}

/* ---- new tasks ---- */

void ars__sched_start(ars__worker *w, ars__task *task)
{
    w->living++;
    task->group->living++;
    ars__list_append(&w->fresh, &task->siblings);
}

#if ARS__SAN_FIBERS
/*
 * Whoever had the stack before may not have been ordered before the new task.
 * What lies above the usable part is kept, and what may lie at its lower end
 * in place of a guard.
 */
static void forget_stack(ars__stack stack)
{
    char kept[2048];
    size_t page = ars__os_page_size();
    char *low = (char *)ars__align_up((uintptr_t)stack.low + 1, page);
    char *end = (char *)ars__align_up((uintptr_t)stack.top + sizeof(ars__stack_header), page);
    size_t above = (size_t)(end - stack.top);
    if (!ARS__TSAN || above > sizeof kept) return;
    ars__san_ignore_begin();
    memcpy(kept, stack.top, above);
    ars__san_forget(low, (size_t)(end - low));
    memcpy(stack.top, kept, above);
    ars__san_ignore_end();
}
#endif

/* Gives a new task a stack and its first frame. */
static int prepare(ars__worker *w, ars__task *task)
{
    int rc = ars__stack_get(w->stacks, &task->stack);
    if (rc < 0) return rc;
#if ARS__SAN_FIBERS
    forget_stack(task->stack);
#endif
    ars__stack_header *header = ars__stack_header_of(task->stack);
    header->name = task->u.fresh.name;
    header->owner = task;
    uint32_t flags = task->ctx.flags & ~(uint32_t)ARS__NEW;
    ars__ctx_init(&task->ctx, task->stack.top, ars__task_main, task);
    task->ctx.flags = flags;
#if ARS__SAN_FIBERS
    task->fake_stack = NULL;
#endif
    return 0;
}

/*
 * Takes a new task out of the list and makes it ready to be switched to.
 * Without a stack it goes back; address space was made sure of when it was
 * started, so this happens to tasks from other threads only.
 */
static ars__task *take_fresh(ars__worker *w, ars__list *node)
{
    ars__task *task = ARS__MEMBER(node, ars__task, siblings);
    ars__list_remove(node);
    if (ARS__LIKELY(prepare(w, task) == 0)) return task;
    ars__list_append(&w->fresh, node);
    w->starved = 1;
    return NULL;
}

ars__task *ars__sched_successor(ars__worker *w)
{
    if (ARS__SAN_FIBERS || w->tick <= 1 || w->head != w->tail || ars__list_empty(&w->fresh))
        return NULL;
    ars__task *task = ARS__MEMBER(w->fresh.prev, ars__task, siblings);
    if (task->ctx.flags != ARS__NEW) return NULL;
    w->tick--;
    w->budget = ARS__BUDGET;
    w->current = task;
    task->ctx.flags = 0;
    ars__list_remove(&task->siblings);
    return task;
}

/* ---- time, I/O and other threads ---- */

/* The timer of a task whose wait ended long ago may still be armed: then there is nothing to do. */
static void fire(ars__worker *w, ars__timer *timer)
{
    ars__task *task = ARS__MEMBER(timer, ars__task, u.parked.timer);
    if (!task->wait || task->interrupted) return;
    ars_time limit = task->u.parked.limit;
    if (limit == ARS_FOREVER) return;
    if (limit > w->now) {
        ars__wheel_add(&w->wheel, timer, limit);
        return;
    }
    if (task->u.parked.deadline <= task->scope_limit) {
        ars__task_interrupt(task, ARS_ETIMEDOUT);
    } else {
        ars__scope_fired(task);
        ars__task_interrupt(task, ARS_ECANCELED);
    }
}

static void run_timers(ars__worker *w)
{
    ars__timer *timer;
    w->now = ars__os_now();
    while ((timer = ars__wheel_take(&w->wheel, w->now)) != NULL) fire(w, timer);
}

void ars__sched_drain(ars__worker *w)
{
    /* A delivery may come here again: it then goes on with the same messages. */
    for (;;) {
        if (!w->undelivered) {
            if (ARS__LIKELY(ars__inbox_empty(&w->inbox))) return;
            w->undelivered = ars__inbox_take(&w->inbox);
            continue;
        }
        ars__message *message = ARS__MEMBER(w->undelivered, ars__message, node);
        w->undelivered = w->undelivered->next;
        message->deliver(w, message);
    }
}

/*
 * Park and wake, the only place where a worker and other threads race:
 *
 *   worker:  sleeping = how (exchange, seq_cst)    sender:  push to the inbox (seq_cst)
 *            inbox empty?  (seq_cst)                        sleeping?  (seq_cst)
 *            then sleeps                                    then wakes
 *
 * Each side writes before it reads what the other writes, in the one order of
 * sequentially consistent operations, so at least one of them sees the other:
 * no message stays in the inbox of a worker that sleeps.
 */
void ars__sched_send(ars__worker *w, ars__message *message)
{
    ars__inbox_push(&w->inbox, &message->node);
    if (ars_atomic_u32_load_seq_cst(&w->sleeping) == ARS__AWAKE) return;
    switch (ars_atomic_u32_swap_seq_cst(&w->sleeping, ARS__AWAKE)) {
    case ARS__ON_FUTEX: ars__os_futex_wake(&w->sleeping.ars__v, 1); break;
    case ARS__IN_POLLER: w->poller->ops->wake(w->poller); break;
    default: break; /* another sender has woken it */
    }
}

static void sleep_until(ars__worker *w, ars_time deadline)
{
    uint32_t how = w->poller ? ARS__IN_POLLER : ARS__ON_FUTEX;
    ars_atomic_u32_swap_seq_cst(&w->sleeping, how);
    if (ars__inbox_empty(&w->inbox)) {
        if (w->poller)
            w->poller->ops->turn(w->poller, deadline);
        else
            ars__os_futex_wait(&w->sleeping.ars__v, how, deadline);
    }
    ars_atomic_u32_store_relaxed(&w->sleeping, ARS__AWAKE);
}

/* ---- picking ---- */

/* Looks at everything that is not in the ready ring.  So nobody starves. */
static void look_around(ars__worker *w)
{
    w->tick = ARS__TICK;
    ars__sched_drain(w);
    run_timers(w);
    if (w->poller) w->poller->ops->turn(w->poller, 0);
    if (w->spill_first) unspill(w);
}

/* Sleeps until there may be something to run. */
static void idle(ars__worker *w)
{
    ars__sched_drain(w);
    run_timers(w);
    if (w->head != w->tail || w->spill_first || (!w->starved && !ars__list_empty(&w->fresh)))
        return;
    ars_time deadline = ars__wheel_next(&w->wheel);
    if (w->starved) {
        ars_time nap = ars_time_add(w->now, STARVED_NAP);
        if (nap < deadline) deadline = nap;
        w->starved = 0;
    }
    sleep_until(w, deadline);
    w->tick = ARS__TICK;
    ars__sched_drain(w);
    run_timers(w);
}

static ARS__NOINLINE ars__task *pick_slow(ars__worker *w)
{
    ars__task *task;
    if (w->tick == 0) {
        look_around(w);
        /* The newest run first; the oldest get one turn in each round. */
        if (w->head != w->tail && !ars__list_empty(&w->fresh) &&
            (task = take_fresh(w, w->fresh.next)) != NULL)
            return task;
    }
    for (;;) {
        if (ARS__UNLIKELY(w->spill_first)) unspill(w);
        if (w->head != w->tail) {
            task = pop(w);
            if (ARS__LIKELY(!(task->ctx.flags & ARS__NEW))) return task;
            if (prepare(w, task) == 0) return task;
            ars__list_append(&w->fresh, &task->siblings);
            w->starved = 1;
            continue;
        }
        if (!w->starved && !ars__list_empty(&w->fresh)) {
            if ((task = take_fresh(w, w->fresh.prev)) != NULL) return task;
            continue;
        }
        idle(w);
    }
}

static inline ars__task *pick(ars__worker *w)
{
    if (ARS__LIKELY(--w->tick != 0) && w->head != w->tail &&
        ARS__LIKELY(!(w->ready[w->head & w->mask]->ctx.flags & ARS__NEW)))
        return pop(w);
    return pick_slow(w);
}

/* ---- switching ---- */

#if ARS__SAN_FIBERS
static void announce(ars__worker *w, ars__task *from, ars__task *to)
{
    const void *bottom = to->stack.low;
    size_t size = (size_t)(to->stack.top - to->stack.low);
    if (to == &w->root) {
        bottom = w->thread_bottom;
        size = w->thread_size;
    }
    ars__san_switch_start(from ? &from->fake_stack : NULL, bottom, size);
    ars__san_fiber_switch(to->fiber, w->runtime->config.race_strict ? ARS__SAN_NO_SYNC : 0);
}
#endif

static ARS__NOINLINE int switch_slow(ars__worker *w, ars__task *me, ars__task *next)
{
    (void)w;
#if ARS__SAN_FIBERS
    if (me == next) return me->ctx.result;
    announce(w, me, next);
#endif
    int result;
    switch (me->ctx.flags & (ARS__FPENV | ARS__CXX)) {
    case ARS__FPENV: result = ars__ctx_switch_fpenv(&me->ctx, &next->ctx, &me->extra->fpenv); break;
    case ARS__CXX: result = ars__ctx_switch_cxx(&me->ctx, &next->ctx, &me->extra->cxx); break;
    case ARS__FPENV | ARS__CXX:
        ars__ctx_leave_cxx(&me->extra->cxx);
        result = ars__ctx_switch_fpenv(&me->ctx, &next->ctx, &me->extra->fpenv);
        ars__ctx_back_cxx(&me->extra->cxx);
        break;
    default: result = ars__ctx_switch(&me->ctx, &next->ctx); break;
    }
#if ARS__ASAN
    ars__san_switch_finish(me->fake_stack, NULL, NULL);
#endif
    return result;
}

static inline int switch_to(ars__worker *w, ars__task *me, ars__task *next)
{
    w->current = next;
    w->budget = ARS__BUDGET;
    w->switches++;
    if (ARS__SAN_FIBERS || ARS__UNLIKELY(me->ctx.flags)) return switch_slow(w, me, next);
    return ars__ctx_switch(&me->ctx, &next->ctx);
}

_Noreturn void ars__sched_leave(ars__worker *w, ars__task *self, ars__stack stack)
{
#if ARS__SAN_FIBERS
    void *fiber = self->fiber;
#endif
    ars__slab_cache_put(&w->tasks, self);
    ars__task *next = pick(w);
    w->current = next;
    w->budget = ARS__BUDGET;
    w->switches++;
    /* Nobody else takes from the pool before this thread has left the stack. */
    ars__stack_put(w->stacks, stack);
#if ARS__SAN_FIBERS
    announce(w, NULL, next);
    ars__san_fiber_destroy(fiber);
#endif
    ars__ctx_jump(&next->ctx);
}

/* Everybody runs before the yielder does again, so new tasks queue up too. */
static ARS__NOINLINE int yield_slow(ars__worker *w, ars__task *self)
{
    while (!ars__list_empty(&w->fresh) && !w->starved) {
        ars__list *oldest = w->fresh.next;
        ars__list_remove(oldest);
        push(w, ARS__MEMBER(oldest, ars__task, siblings));
    }
    push(w, self);
    return switch_to(w, self, pick(w));
}

int ars__sched_yield(ars__worker *w, ars__task *self)
{
    self->ctx.result = 0;
    /* The fast path makes no call but the switch, so that it keeps nothing on the stack. */
    uint32_t ready = w->tail - w->head;
    if (ARS__UNLIKELY(ready == 0 || ready > w->mask || w->tick <= 1 || w->fresh.next != &w->fresh ||
                      w->spill_first))
        return yield_slow(w, self);
    ars__task *next = w->ready[w->head & w->mask];
    if (ARS__UNLIKELY((next->ctx.flags & ARS__NEW) | self->ctx.flags)) return yield_slow(w, self);
    w->ready[w->tail++ & w->mask] = self;
    w->tick--;
    return switch_to(w, self, pop(w));
}

/* ---- park.h ---- */

ars__task *ars__task_self(void)
{
    ars__worker *w = ars__worker_here();
    return w ? w->current : NULL;
}

ars__worker *ars__task_worker(const ars__task *task)
{
    return task->worker;
}

void *ars__task_object(const ars__task *task)
{
    return task->object;
}

static ARS__NOINLINE void spend_budget(ars__worker *w, ars__task *self)
{
    w->tick = 1; /* the slice is over: time and I/O get their turn, not only tasks that are ready */
    ars__sched_yield(w, self);
}

static ARS__NOINLINE int enter_slow(ars__task *self, const void *frame)
{
    if (self->outermost) ars__scope_prune(self, frame);
    if (ars__task_cancelled(self)) return ARS_ECANCELED;
    if (self->scope_limit != ARS_FOREVER && self->scope_limit <= ars__os_now()) {
        ars__scope_fired(self);
        return ARS_ECANCELED;
    }
    return 0;
}

int ars__wait_enter_at(ars__task *self, ars_time deadline, const void *frame)
{
    ars__worker *w = self->worker;
    ARS__ASSERT(w->current == self);
    if (ARS__UNLIKELY(--w->budget < 0)) spend_budget(w, self);
    if (deadline == 0) return 0;
    if (ARS__LIKELY(!self->outermost && self->scope_limit == ARS_FOREVER &&
                    self->group->reason == 0))
        return 0;
    return enter_slow(self, frame);
}

static ARS__NOINLINE void arm(ars__worker *w, ars__task *self)
{
    ars_time limit = self->u.parked.limit;
    ars__timer *timer = &self->u.parked.timer;
    if (limit <= w->now) {
        ars__wheel_remove(&w->wheel, timer);
        fire(w, timer);
        return;
    }
    if (ars__timer_armed(timer)) {
        if (timer->tick <= ars__wheel_tick(limit))
            return; /* it comes earlier, and is armed again then */
        ars__wheel_remove(&w->wheel, timer);
    }
    ars__wheel_add(&w->wheel, timer, limit);
}

static ARS__NOINLINE int park_slow(ars__worker *w, ars__task *self)
{
    if (ARS__UNLIKELY(!ars__list_linked(&self->siblings)))
        ars__list_append(&self->group->tasks, &self->siblings);
    if (self->u.parked.limit != ARS_FOREVER) arm(w, self);
    return switch_to(w, self, pick(w));
}

int ars__park_at(ars__task *self, const ars__wait_class *wait, void *object, ars_time deadline,
                 const void *place)
{
    ars__worker *w = self->worker;
    ARS__ASSERT(w->current == self && !self->wait);
    self->wait = wait;
    self->object = object;
    self->interrupted = 0;
    self->u.parked.deadline = deadline;
    self->u.parked.place = place;
    self->u.parked.since = w->now;
    ars_time limit = deadline < self->scope_limit ? deadline : self->scope_limit;
    self->u.parked.limit = limit;
    /* As in yield: one call, and that in tail position. */
    if (ARS__UNLIKELY(limit != ARS_FOREVER || !ars__list_linked(&self->siblings) ||
                      w->head == w->tail || w->tick <= 1 || self->ctx.flags))
        return park_slow(w, self);
    ars__task *next = w->ready[w->head & w->mask];
    if (ARS__UNLIKELY(next->ctx.flags & ARS__NEW)) return park_slow(w, self);
    w->tick--;
    return switch_to(w, self, pop(w));
}

void ars__ready(ars__task *task, int32_t result)
{
    ARS__ASSERT(task->wait && task->worker == ars__worker_here());
    task->wait = NULL;
    task->ctx.result = result;
    push(task->worker, task);
}

void ars__ready_prefetch(const ars__task *task)
{
    __builtin_prefetch(task, 1);
    __builtin_prefetch((const char *)task + 64, 1);
    __builtin_prefetch(task->ctx.sp, 1);
}

void ars__task_interrupt(ars__task *task, int why)
{
    ARS__ASSERT(task->wait);
    if (task->interrupted) return;
    task->interrupted = 1;
    task->u.parked.limit = ARS_FOREVER;
    task->wait->interrupt(task, why);
}

ars__poller *ars__worker_poller(const ars__worker *worker)
{
    return worker->poller;
}

void ars__worker_set_poller(ars__worker *worker, ars__poller *poller)
{
    ARS__ASSERT(!worker->poller);
    worker->poller = poller;
}

const ars_alloc *ars__worker_alloc(const ars__worker *worker)
{
    return worker->runtime->alloc;
}

unsigned ars__worker_backend(const ars__worker *worker)
{
    return worker->runtime->config.backend;
}
