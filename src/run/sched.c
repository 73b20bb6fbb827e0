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

#include "base/point.h"
#include "os/os.h"
#include "run/fresh.h"

enum { RING_FIRST = 256 };

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
    const ars_alloc *a = w->rt->alloc;
    w->ready = a->alloc(a->ctx, RING_FIRST * sizeof *w->ready, sizeof *w->ready);
    if (!w->ready) return ARS_ENOMEM;
    w->mask = RING_FIRST - 1;
    w->tick = w->tuning.tick;
    w->spins = w->tuning.vain;
    w->budget = ARS__BUDGET;
    w->slots = a->alloc(a->ctx, ARS__DEQUE * sizeof *w->slots, sizeof *w->slots);
    if (!w->slots) return ARS_ENOMEM;
    ars_deque_init(&w->deque, w->slots, ARS__DEQUE);
    w->now = ars__os_now();
    ars__wheel_init(&w->wheel, w->now);
    return 0;
}

void ars__sched_deinit(ars__worker *w)
{
    const ars_alloc *a = w->rt->alloc;
    if (w->ready) a->free(a->ctx, w->ready, (w->mask + 1) * sizeof *w->ready, sizeof *w->ready);
    if (w->slots) a->free(a->ctx, w->slots, ARS__DEQUE * sizeof *w->slots, sizeof *w->slots);
    w->ready = NULL;
    w->slots = NULL;
}

static int ring_grow(ars__worker *w)
{
    const ars_alloc *a = w->rt->alloc;
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

/* A new task that cannot have its place now. */
static void set_aside(ars__worker *w, ars__task *task)
{
    task->mail.next = w->starved ? &w->starved->mail : NULL;
    w->starved = task;
}

/*
 * Waking a task must not fail.  A full ring that cannot grow lets tasks queue
 * in a list, linked by 'place'; the ring is refilled from it, so that order is
 * kept.
 */
static ARS__NOINLINE void push_slow(ars__worker *w, ars__task *task)
{
    if (!w->spill_first && ring_grow(w) == 0) {
        w->ready[w->tail++ & w->mask] = task;
        return;
    }
    if (task->ctx.flags & ARS__NEW) {
        set_aside(w, task);
        return;
    }
    task->place = NULL;
    if (w->spill_first)
        w->spill_last->place = task;
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

void ars__sched_push(ars__worker *w, ars__task *task)
{
    push(w, task);
}

static ARS__NOINLINE void unspill(ars__worker *w)
{
    while (w->spill_first && w->tail - w->head <= w->mask) {
        ars__task *task = w->spill_first;
        w->spill_first = (ars__task *)(uintptr_t)task->place;
        w->ready[w->tail++ & w->mask] = task;
    }
}

static inline ars__task *pop(ars__worker *w)
{
    ars__task *task = w->ready[w->head++ & w->mask];
    ars__ready_ahead(w, w->head, w->tail);
    return task;
}

/*
 * A task that is ready again: at home, or, if it may move, where others can
 * take it; but not while this worker still stands on its stack and looks for
 * something else to run.
 */
static inline void make_ready(ars__worker *w, ars__task *task)
{
    if (ARS__UNLIKELY(task->ctx.flags & ARS__MIGRATES) && task != w->current) {
        /* Here: what it waited for may be this worker's. */
        if (task->ctx.flags & ARS__SELECTS) ars__select_clean(task);
        ars__wheel_remove(&w->wheel, &task->timer);
        ars_atomic_u32_or_acq_rel(&task->events, ARS__MOVING);
        ars__sched_offer(w, task);
        return;
    }
    push(w, task);
}

/* ---- time ---- */

/*
 * How many looks around in a row go without a look at the clock while no timer
 * is armed: it costs more than all the others.  Then only reports and rest.c
 * want to know the time.
 */
enum { BLIND = 8 };

/* The timer of a task whose wait ended long ago may still be armed: then there is nothing to do. */
static void fire(ars__worker *w, ars__timer *timer)
{
    ars__task *task = ARS__MEMBER(timer, ars__task, timer);
    if (!task->wait) return;
    ars_time limit = ars__task_limit(task);
    if (limit == ARS_FOREVER) return;
    if (limit > w->now) {
        ars__wheel_add(&w->wheel, timer, limit);
        return;
    }
    if (task->deadline <= task->scope_limit) {
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
    w->blind = BLIND;
    while ((timer = ars__wheel_take(&w->wheel, w->now)) != NULL) fire(w, timer);
}

/* ---- mail ---- */

/*
 * A task is in its worker's inbox at most once: whoever sets the first bit of
 * its mail puts it there.  The worker takes the bits out again only after it
 * has taken out the node; so a bit that is set later comes with a new push.  A
 * task does not end while it has mail.
 */
void ars__task_mail(ars__task *task, uint32_t event)
{
    ars__worker *w = ars__task_home(task), *here = ars__worker_here();
    ars_runtime *rt = w->rt;
    int outside = !here || here->rt != rt;
    if (outside) ars__outside_enter(rt);
    /* Release: pairs with the acquire in deliver(); what the sender wrote is seen there. */
    if (!(ars_atomic_u32_or_acq_rel(&task->events, event) & ARS__MAIL)) {
        (void)ARS_POINT("mail noted");
        ars__inbox_push(&w->inbox, &task->mail);
        (void)ARS_POINT("mail sent");
        ars__sched_wake(w);
    }
    if (outside) ars__outside_leave(rt);
}

/*
 * Whether a task that is in the mail of 'w' is its own.  One that moves may be
 * nobody's, or somebody else's by now.  Nobody's is ready, and finds out about
 * a cancel when it runs: the exchange makes sure that whoever adopts it comes
 * after.  Somebody else's gets its mail there; until then the bits stay set,
 * so that its record stays.
 */
static int is_ours(ars__worker *w, ars__task *task)
{
    uint32_t events = ars_atomic_u32_load_acquire(&task->events);
    while (ARS__UNLIKELY(events & ARS__MOVING))
        if (ars_atomic_u32_cas_acq_rel(&task->events, &events, events & ~(uint32_t)ARS__MAIL))
            return 0;
    ars__worker *home = ars__task_home(task);
    if (ARS__LIKELY(home == w)) return 1;
    ars__inbox_push(&home->inbox, &task->mail);
    ars__sched_wake(home);
    return 0;
}

static void deliver(ars__worker *w, ars__task *task)
{
    if (!is_ours(w, task)) return;
    (void)ARS_POINT("mail delivered");
    uint32_t events = ars_atomic_u32_and_acq_rel(&task->events, ~(uint32_t)ARS__MAIL);
    if (ARS__UNLIKELY(events & ARS__GONE)) {
        ars__slab_cache_put(&w->tasks, task);
        return;
    }
    if (events & ARS__CANCELLED) task->ctx.flags &= ~(uint32_t)ARS__CAREFREE;
    if (events & ARS__STARTED) {
        push(w, task);
        return;
    }
    if (events & ARS__WOKEN) {
        if (events & ARS__ENDED) ars_atomic_u32_and_acq_rel(&task->events, ~(uint32_t)ARS__ENDED);
        if (events & ARS__CANCELLED) task->linked = ARS__IN_GROUP_LOOK;
        task->wait = NULL;
        make_ready(w, task); /* it may be gone now */
        return;
    }
    if (!(events & ARS__CANCELLED)) return;
    if (!task->wait)
        task->linked = ARS__IN_GROUP_LOOK; /* it finds out by itself, at its next wait */
    else if (ars__task_cancelled(task))
        ars__task_interrupt(task, ARS_ECANCELED);
}

void ars__sched_drain(ars__worker *w)
{
    /* A delivery may come here again: it then goes on with the same mail. */
    for (;;) {
        if (!w->undelivered) {
            if (ARS__LIKELY(ars__inbox_empty(&w->inbox))) return;
            w->undelivered = ars__inbox_take(&w->inbox);
            continue;
        }
        ars__inbox_node *node = w->undelivered;
        w->undelivered = node->next;
        deliver(w, ARS__MEMBER(node, ars__task, mail));
    }
}

/* ---- sleeping ---- */

/*
 * A worker that sleeps, and those who have something for it:
 *
 *   worker:  sleeping = how (exchange)          sender:  mail, or a new task for all (exchange)
 *            asleep + 1 (read-modify-write)              sleeping?  asleep?
 *            mail? new tasks? stop?
 *            then sleeps                                 then wakes
 *
 * All of these are sequentially consistent, and each side writes before it
 * reads what the other has written; so at least one of them sees the other,
 * and nothing waits for a worker that sleeps.
 */
static int has_reason_to_stay(ars__worker *w)
{
    ars_runtime *rt = w->rt;
    return w->head != w->tail || !ars__inbox_empty(&w->inbox) ||
           ars_atomic_u32_load_seq_cst(&rt->stop) || ars__sched_anything(rt);
}

static void sleep_until(ars__worker *w, ars_time deadline)
{
    ars_runtime *rt = w->rt;
    uint32_t how = w->poller ? ARS__IN_POLLER : ARS__ON_FUTEX;
    (void)ARS_POINT("search over");
    ars_atomic_u32_swap_seq_cst(&w->sleeping, how);
    if (rt->n > 1) ars_atomic_u32_add_seq_cst(&rt->asleep, 1);
    (void)ARS_POINT("sleep announced");
    /* After that: see ars__all_ended(). */
    if (ARS__UNLIKELY(ars_atomic_ptr_load_seq_cst(&rt->drainer) != NULL)) ars__tell_drainer(rt);
    if (!has_reason_to_stay(w)) {
        (void)ARS_POINT("sleep");
        if (w->poller)
            w->poller->ops->turn(w->poller, deadline);
        else
            ars__os_futex_wait(&w->sleeping.ars__v, how, deadline);
    }
    if (ars_atomic_u32_load_relaxed(&w->sleeping) == ARS__AWAKE) w->spins = w->tuning.vain;
    ars_atomic_u32_store_relaxed(&w->sleeping, ARS__AWAKE);
    if (rt->n > 1) ars_atomic_u32_add_seq_cst(&rt->asleep, (uint32_t)-1);
}

/* ---- picking ---- */

/* Looks at everything that is not in the ready ring, so that nobody starves. */
static void look_around(ars__worker *w)
{
    w->tick = w->tuning.tick;
    if (ARS__UNLIKELY(w->waited != NULL)) ars__groups_share(w);
    if (ARS__UNLIKELY(w->undelivered || !ars__inbox_empty(&w->inbox))) ars__sched_drain(w);
    if (ars__wheel_in_use(&w->wheel) || w->blind-- == 0) run_timers(w);
    if (w->poller) w->poller->ops->turn(w->poller, 0);
    if (w->trimming || w->now >= w->trim_next) ars__stacks_trim(w);
    if (ARS__UNLIKELY(w->left || ars_atomic_u32_load_relaxed(&w->rt->any_sized)))
        ars__stack_tidy(w);
}

static ars__task *ready_one(ars__worker *w)
{
    for (;;) {
        if (ARS__UNLIKELY(w->spill_first)) unspill(w);
        if (w->next) {
            push(w, w->next); /* its budget is over */
            w->next = NULL;
        }
        if (w->head == w->tail) return NULL;
        ars__task *task = pop(w);
        if (ARS__LIKELY(!(task->ctx.flags & ARS__NEW))) return task;
        if (ars__sched_prepare(w, task) == 0) return task;
        set_aside(w, task);
    }
}

static ars__task *try_starved(ars__worker *w)
{
    ars__task *task = w->starved;
    if (!task || ars__sched_prepare(w, task) < 0) return NULL;
    w->starved = task->mail.next ? ARS__MEMBER(task->mail.next, ars__task, mail) : NULL;
    return task;
}

/* Whether ars__sched_oldest() would find nothing. */
static inline int nothing_new(const ars__worker *w)
{
    return ars__fresh_none(w) && ars_atomic_u32_load_relaxed(&w->rt->queued) == 0;
}

/* A task that any worker may take becomes this one's. */
static inline void adopt(ars__worker *w, ars__task *task)
{
    if (task->ctx.flags & ARS__NEW) return;
    __atomic_store_n(&task->worker, w, __ATOMIC_RELAXED);
    (void)ARS_POINT("adopt");
    /* Release: whoever finds the bit gone finds the new worker. */
    ars_atomic_u32_and_acq_rel(&task->events, ~(uint32_t)ARS__MOVING);
    if (task->linked) task->linked = ARS__IN_GROUP_LOOK;
    task->ctx.flags &= ~(uint32_t)ARS__CAREFREE;
}

/* Gives a new task its stack, or keeps it for later. */
static ars__task *settle(ars__worker *w, ars__task *task)
{
    if (!task) return NULL;
    if (!(task->ctx.flags & ARS__NEW)) {
        if (ARS_POINT("take") && task->worker == w && w->rt->n > 1) {
            ars__sched_offer(w, task);
            return NULL;
        }
        adopt(w, task);
        return task;
    }
    if (ARS__LIKELY(ars__sched_prepare(w, task) == 0)) return task;
    set_aside(w, task);
    return NULL;
}

/*
 * Spins a while: work is often not far, and waking a sleeper is dear.  Where it
 * was in vain a few times, and then I/O or a timer came, not any more until
 * another worker has woken this one.  The worker's own mail costs nothing to look at; each look at the others' deques
 * costs those a cache line, so these are rarer.
 */
static ars__task *search(ars__worker *w)
{
    enum { LOOKS = 150 };
    ars_runtime *rt = w->rt;
    ars__task *task = NULL;
    ars_time until = 0;
    ars_atomic_u32_add_seq_cst(&rt->searching, 1);
    for (;;) {
        task = settle(w, ars__sched_steal(w));
        if (task || !w->spins) break;
        if (!until) until = ars_time_add(ars__os_now(), w->tuning.spin);
        int mail = 0;
        for (int i = 0; i < LOOKS && !(mail = !ars__inbox_empty(&w->inbox)); i++)
            ars_atomic_pause();
        if (mail || ars_atomic_u32_load_relaxed(&rt->stop) || ars__os_now() >= until) break;
    }
    (void)ARS_POINT("searched");
    ars_atomic_u32_add_seq_cst(&rt->searching, (uint32_t)-1);
    if (task || !ars__inbox_empty(&w->inbox))
        w->spins = w->tuning.vain;
    else if (w->spins)
        w->spins--;
    return task;
}

/*
 * Whoever started a task while this worker searched or slept may have relied on
 * it.  If it has something else to run it leaves somebody searching, while there
 * is work.  It is counted neither as searching nor as asleep any more, by
 * sequentially consistent operations; so either the starter saw that, or this
 * sees the new task.
 */
static void pass_on(const ars__worker *w)
{
    ars_runtime *rt = w->rt;
    if (ars__sched_anything(rt) && ars_atomic_u32_load_seq_cst(&rt->searching) == 0)
        ars__sched_wake_one(rt);
}

/* Nothing is at hand: work of others, or sleep. NULL: look again. */
static ars__task *idle(ars__worker *w)
{
    ars__task *task;
    ars__groups_share(w);
    ars__sched_drain(w);
    run_timers(w);
    if (w->head != w->tail || w->next || w->spill_first) return NULL;
    if ((task = try_starved(w)) != NULL) return task;
    if (ARS__UNLIKELY(ars_atomic_u32_load_relaxed(&w->rt->stop))) return &w->base;
    if (w->rt->n > 1) {
        if (w->poller) w->poller->ops->turn(w->poller, 0);
        if (w->head != w->tail || w->next) return NULL;
        task = search(w);
        if (task || !ars__inbox_empty(&w->inbox)) {
            pass_on(w);
            return task;
        }
    } else if ((task = settle(w, ars__sched_steal(w))) != NULL) {
        return task;
    }
    while (ars__stack_tidy(w) && ars__inbox_empty(&w->inbox)) {}
    ars_time deadline = ars__stacks_trim(w) ? 0 : ars__wheel_next(&w->wheel);
    if (w->tuning.linger && w->trim_next < deadline && ars__stack_pool_surplus(w->stacks))
        deadline = w->trim_next;
    if (w->starved) {
        enum { NAP = 10 * 1000 * 1000 }; /* ns between attempts to find a stack */
        ars_time nap = ars_time_add(w->now, NAP);
        if (nap < deadline) deadline = nap;
    }
    sleep_until(w, ars__rest_a_while(w, deadline));
    w->tick = w->tuning.tick;
    ars__sched_drain(w);
    run_timers(w);
    if (w->rt->n > 1 && w->head != w->tail) pass_on(w);
    return NULL;
}

static ARS__NOINLINE ars__task *pick_slow(ars__worker *w)
{
    ars__task *task;
    if (w->tick == 0) {
        look_around(w);
        if (ARS__UNLIKELY(ars_atomic_u32_load_relaxed(&w->rt->stop) & ARS__STOP_NOW))
            return &w->base;
        /* Those that found no stack too: a worker may never be idle. */
        if (ARS__UNLIKELY(w->starved != NULL) && (task = try_starved(w)) != NULL) goto found;
        /* The newest run first; the oldest get one turn in each round. */
        if (w->head != w->tail && !nothing_new(w) &&
            (task = settle(w, ars__sched_oldest(w))) != NULL)
            goto found;
    }
    for (;;) {
        if ((task = ready_one(w)) != NULL) break;
        if ((task = settle(w, ars__fresh_pop(w))) != NULL) break;
        if ((task = idle(w)) != NULL) break;
    }
found:
    w->budget = ARS__BUDGET;
    return task;
}

/*
 * The next task, ready to be switched to.  The task that the running one has
 * woken comes first, but on what is left of its budget: two that wake each
 * other do not keep the rest waiting.
 */
static inline ars__task *pick(ars__worker *w)
{
    ars__task *task = w->next;
    if (ARS__UNLIKELY(--w->tick == 0)) return pick_slow(w);
    if (task) {
        if (ARS__UNLIKELY(--w->budget <= 0)) return pick_slow(w);
        w->next = NULL;
        return task;
    }
    if (w->head == w->tail || ARS__UNLIKELY(w->ready[w->head & w->mask]->ctx.flags & ARS__NEW))
        return pick_slow(w);
    w->budget = ARS__BUDGET;
    return pop(w);
}

/* ---- switching ---- */

#if ARS__SAN_FIBERS
static void announce(ars__worker *w, ars__task *from, ars__task *to)
{
    const void *bottom = w->thread_bottom;
    size_t size = w->thread_size;
    if (to != &w->base) {
        ars__stack stack = ars__stack_at(ars__task_stack_top(to));
        bottom = stack.low;
        size = (size_t)(stack.top - stack.low);
    }
    ars__san_switch_start(from ? &from->fake_stack : NULL, bottom, size);
    ars__san_fiber_switch(to->fiber,
                          w->rt->n > 1 || w->rt->config.race_strict ? ARS__SAN_NO_SYNC : 0);
}
#endif

static ARS__NOINLINE int switch_slow(ars__worker *w, ars__task *me, ars__task *next)
{
    (void)w;
    if (ARS__UNLIKELY(next->ctx.flags & ARS__SELECTS)) ars__select_clean(next);
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
    w->switches++;
    if (ARS__SAN_FIBERS || ARS__UNLIKELY((me->ctx.flags | next->ctx.flags) & ~ARS__PLAIN))
        return switch_slow(w, me, next);
    return ars__ctx_switch(&me->ctx, &next->ctx);
}

static ARS__NOINLINE int switch_picked(ars__worker *w, ars__task *me)
{
    return switch_to(w, me, pick_slow(w));
}

/*
 * The ready ring is empty: the newest new task begins, on the stack that became
 * free last.
 */
static ARS__NOINLINE int switch_fresh(ars__worker *w, ars__task *me)
{
    ars__task *task;
    if (ARS__SAN_FIBERS || ARS__UNLIKELY(w->spill_first != NULL) || !(task = ars__fresh_pop(w)))
        return switch_picked(w, me);
    w->budget = ARS__BUDGET;
    char *stack_top = w->spare;
    if (ARS__UNLIKELY(!stack_top || !ars__fresh_plain(task) || me->ctx.flags & ~ARS__PLAIN)) {
        task = settle(w, task);
        return task ? switch_to(w, me, task) : switch_picked(w, me);
    }
    w->tick--;
    w->spare = NULL;
    ars__fresh_settle(w, task, stack_top);
    w->current = task;
    w->starter = me;
    w->started_at = ++w->switches;
    return ars__ctx_start(&me->ctx, stack_top, ars__task_main, task);
}

static inline void leave(ars__worker *w, ars__task *self, char *stack_top, int special)
{
#if ARS__SAN_FIBERS
    void *fiber = self->fiber;
#endif
    if (!special || !ars__task_gone(self)) ars__slab_cache_put(&w->tasks, self);
    ars__task *next = pick(w);
    if (ARS__UNLIKELY(next->ctx.flags & ARS__SELECTS)) ars__select_clean(next);
    w->current = next;
    int straight = next == w->starter && w->switches == w->started_at;
    w->switches++;
    /* Nobody else takes from the worker's pool before this thread has left the stack. */
    if (special)
        ars__stack_leave(w, ars__stack_at(stack_top));
    else if (ARS__LIKELY(!ARS__SAN_FIBERS && !w->spare))
        w->spare = stack_top;
    else
        ars__stack_put(w->stacks, ars__stack_at(stack_top));
#if ARS__SAN_FIBERS
    announce(w, NULL, next);
    ars__san_fiber_destroy(fiber);
#endif
    if (ARS__LIKELY(straight)) {
        ars__ctx_return(&next->ctx);
        return;
    }
    ars__ctx_jump(&next->ctx);
}

void ars__sched_leave(ars__worker *w, ars__task *self, char *stack_top)
{
    leave(w, self, stack_top, 0);
}

void ars__sched_leave_special(ars__worker *w, ars__task *self, char *stack_top)
{
    ars__stack_ended(w, ars__stack_at(stack_top));
    leave(w, self, stack_top, 1);
}

void ars__sched_loop(ars__worker *w)
{
    while (!ars_atomic_u32_load_acquire(&w->rt->stop)) {
        w->tick = 1;
        switch_to(w, &w->base, pick(w));
    }
}

/* Everybody runs before the yielder does again: a new task takes a place in the ring before it. */
int ars__sched_yield(ars__worker *w, ars__task *self)
{
    self->ctx.result = 0;
    if (w->next) {
        push(w, w->next);
        w->next = NULL;
    }
    ars__task *task;
    while (!nothing_new(w) && (task = ars__sched_oldest(w)) != NULL) {
        adopt(w, task);
        push(w, task);
        if (w->rt->n > 1) break; /* the others may be taken by other workers */
    }
    push(w, self);
    return switch_to(w, self, pick(w));
}

/* ---- park.h ---- */

static ARS__NOINLINE void spend_budget(ars__worker *w, ars__task *self)
{
    w->tick = 1; /* the slice is over: time and I/O get their turn, not only tasks that are ready */
    ars__sched_yield(w, self);
}

void ars__task_next_slice(ars__task *self)
{
    ars__worker *w = self->worker;
    w->budget = ARS__BUDGET;
    if (ARS__UNLIKELY(--w->tick == 0)) spend_budget(w, self);
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
    if (ARS__UNLIKELY(!w)) return 0; /* a thread */
    ARS__ASSERT(w->current == self);
    if (ARS__UNLIKELY(--w->budget < 0) || ARS_POINT("enter")) spend_budget(w, self);
    if (deadline == 0) return 0;
    if (ARS__LIKELY(!self->outermost && self->scope_limit == ARS_FOREVER &&
                    ars_atomic_u32_load_relaxed(&self->group->reason) == 0))
        return 0;
    return enter_slow(self, frame);
}

void ars__task_spend(ars__task *self, size_t units)
{
    ars__worker *w = self->worker;
    w->budget = w->budget > 0 && units < (size_t)w->budget ? w->budget - (int32_t)units : 0;
}

static void arm(ars__worker *w, ars__task *self, ars_time limit)
{
    ars__timer *timer = &self->timer;
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
    if (ARS__UNLIKELY(self->linked != ARS__IN_GROUP)) {
        if (!self->linked)
            ars__group_link_task(self->group, self);
        else if (ars__task_cancelled(self))
            ars__task_mail(self, ARS__CANCELLED);
        self->linked = ARS__IN_GROUP;
    }
    ars_time limit = ars__task_limit(self);
    if (limit != ARS_FOREVER) arm(w, self, limit);
    return switch_to(w, self, pick(w));
}

int ars__park_at(ars__task *self, const ars__wait_class *wait, void *object, ars_time deadline,
                 const void *place)
{
    ars__worker *w = self->worker;
    self->wait = wait;
    self->object = object;
    self->interrupted = 0;
    self->deadline = deadline;
    (void)ARS_POINT("park");
    if (ARS__UNLIKELY(!w)) return ars__thread_park(self);
    ARS__ASSERT(w->current == self);
    self->place = place;
    self->since = w->now;
    /* As in yield: one call, and that in tail position. */
    if (ARS__UNLIKELY(deadline != ARS_FOREVER || self->scope_limit != ARS_FOREVER ||
                      self->linked != ARS__IN_GROUP || w->tick <= 1))
        return park_slow(w, self);
    ars__task *next = w->next;
    if (next) {
        if (ARS__UNLIKELY(w->budget <= 1)) return switch_picked(w, self);
        w->budget--;
        w->next = NULL;
        w->tick--;
        return switch_to(w, self, next);
    }
    if (w->head == w->tail) return switch_fresh(w, self);
    if (ARS__UNLIKELY(w->ready[w->head & w->mask]->ctx.flags & ARS__NEW))
        return switch_picked(w, self);
    w->tick--;
    w->budget = ARS__BUDGET;
    return switch_to(w, self, pop(w));
}

void ars__ready(ars__task *task, int32_t result)
{
    ars__worker *w = task->worker;
    task->ctx.result = result;
    if (ARS__UNLIKELY(!w)) { /* a thread that has interrupted itself */
        ars_atomic_u32_or_acq_rel(&task->events, ARS__WOKEN);
        return;
    }
    ARS__ASSERT(task->wait && w == ars__worker_here());
    task->wait = NULL;
    make_ready(w, task);
}

static ARS__NOINLINE void wake_elsewhere(ars__task *task)
{
    if (task->worker) {
        ars__task_mail(task, ARS__WOKEN);
        return;
    }
    /* The thread may be gone once the bit is set: then only the word's address is used. */
    uint32_t *word = &task->events.ars__v;
    ars_atomic_u32_or_acq_rel(&task->events, ARS__WOKEN);
    ars__os_futex_wake(word, 1);
}

void ars__wake(ars__task *task, int32_t result, enum ars__how how)
{
    ars__worker *w = ars__worker_here();
    (void)ARS_POINT("wake");
    task->ctx.result = result;
    if (ARS__UNLIKELY(!w || task->worker != w)) {
        wake_elsewhere(task);
        return;
    }
    task->wait = NULL;
    if (how == ARS__WAKE_TAIL || ARS__UNLIKELY(task->ctx.flags & ARS__MIGRATES)) {
        make_ready(w, task);
        return;
    }
    ars__task *before = w->next;
    w->next = task;
    if (before) push(w, before);
}

void ars__task_interrupt(ars__task *task, int why)
{
    ARS__ASSERT(task->wait);
    if (task->interrupted) return;
    (void)ARS_POINT("interrupt");
    task->interrupted = 1;
    task->wait->interrupt(task, why);
}
