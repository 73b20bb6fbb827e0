/* SPDX-License-Identifier: MIT */
/*
 * New tasks: where they wait to be run, and how workers find each other's.
 *
 * A worker runs its own newest task first, which is the one whose data is in
 * its cache and which keeps the number of tasks alive small; thieves take the
 * oldest, which mostly leads to the largest piece of work.  What does not fit
 * into a worker's deque, and what threads start, goes into the runtime's queue.
 */
#include <string.h>

#include "base/bits.h"
#include "base/point.h"
#include "os/os.h"
#include "run/fresh.h"

enum {
    BATCH = 128, /* tasks taken from the queue, or moved to it, at once */
    HINT = 16    /* how far ahead a task in the queue is prefetched */
};

/* ---- the runtime's queue ---- */

/* Linked by 'mail', but for started tasks, which may have mail: by 'place'. */
static ars__task *behind(const ars__task *task)
{
    if (ARS__UNLIKELY(!(task->ctx.flags & ARS__NEW))) return (ars__task *)(uintptr_t)task->place;
    ars__inbox_node *node = task->mail.next;
    return node ? ARS__MEMBER(node, ars__task, mail) : NULL;
}

static void put_behind(ars__task *task, ars__task *next)
{
    if (ARS__UNLIKELY(!(task->ctx.flags & ARS__NEW)))
        task->place = next;
    else
        task->mail.next = next ? &next->mail : NULL;
}

static void queue_append(ars_runtime *rt, ars__task *first, ars__task *last, uint32_t n)
{
    put_behind(last, NULL);
    ars_spin_lock(&rt->queue_lock);
    if (rt->queue_last)
        put_behind(rt->queue_last, first);
    else
        rt->queue_first = first;
    rt->queue_last = last;
    /* Sequentially consistent: whoever looks for sleepers after this is seen by them. */
    ars_atomic_u32_add_seq_cst(&rt->queued, n);
    ars_spin_unlock(&rt->queue_lock);
}

/* Takes its share, at most 'most': one to run, the rest into the worker's deque. */
static ars__task *queue_take(ars__worker *w, uint32_t most)
{
    ars_runtime *rt = w->rt;
    uint32_t queued = ars_atomic_u32_load_relaxed(&rt->queued);
    if (queued == 0) return NULL;
    ars_spin_lock(&rt->queue_lock);
    queued = ars_atomic_u32_load_relaxed(&rt->queued);
    uint32_t share = queued / rt->n + 1, n = 0;
    if (share > most) share = most;
    ars__task *first = rt->queue_first, *rest = first;
    while (rest && n < share) {
        __builtin_prefetch(rest->ctx.sp, 1); /* see overflow() */
        rest = behind(rest);
        n++;
    }
    rt->queue_first = rest;
    if (!rest) rt->queue_last = NULL;
    ars_atomic_u32_add_seq_cst(&rt->queued, (uint32_t)-n);
    ars_spin_unlock(&rt->queue_lock);
    if (!first) return NULL;
    ars__task *task = behind(first);
    while (--n > 0) {
        ars__task *next = behind(task);
        if (!ars__fresh_push(w, task)) queue_append(rt, task, task, 1);
        task = next;
    }
    return first;
}

/*
 * The deque is full: its oldest tasks, and this one, are for everybody.  Whoever
 * takes them may find each in memory only: a new task, which has no stack yet,
 * says in the place of its stack pointer which one comes some places later.
 */
static ARS__NOINLINE void overflow(ars__worker *w, ars__task *task)
{
    void *moved[BATCH + 1];
    int n = ars_deque_steal_half(&w->deque, moved, BATCH);
    if (n < 0) n = 0;
    moved[n] = task;
    for (int i = 0; i <= n; i++) {
        ars__task *at = moved[i];
        if (at->ctx.flags & ARS__NEW) at->ctx.sp = moved[i + HINT < n ? i + HINT : n];
        if (i < n) put_behind(at, moved[i + 1]);
    }
    queue_append(w->rt, moved[0], task, (uint32_t)n + 1);
}

/* ---- starting ---- */

/* Somebody should come, unless somebody is looking already. */
static inline void notify(ars_runtime *rt)
{
    if (ARS__UNLIKELY(ars_atomic_u32_load_seq_cst(&rt->asleep) > 0) &&
        ars_atomic_u32_load_seq_cst(&rt->searching) == 0)
        ars__sched_wake_one(rt);
}

void ars__sched_offer(ars__worker *w, ars__task *task)
{
    if (ARS__UNLIKELY(!ars__fresh_push(w, task))) overflow(w, task);
    (void)ARS_POINT("offered");
    if (w->rt->n > 1) notify(w->rt);
}

void ars__sched_start(ars__worker *w, ars_runtime *rt, ars__task *task)
{
    if (w)
        __atomic_store_n(&w->born, w->born + 1, __ATOMIC_RELAXED);
    else
        ars_atomic_u64_add_relaxed(&rt->born_outside, 1);
    if (ARS__UNLIKELY(task->worker != NULL)) { /* pinned */
        if (task->worker == w)
            ars__sched_push(w, task);
        else
            ars__task_mail(task, ARS__STARTED);
        return;
    }
    if (ARS__LIKELY(w != NULL)) {
        ars__sched_offer(w, task);
        return;
    }
    queue_append(rt, task, task, 1);
    (void)ARS_POINT("queued");
    ars__sched_wake_one(rt);
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

int ars__sched_prepare(ars__worker *w, ars__task *task)
{
    enum { SPECIAL = ARS__SIZED * 7 };
    ars__stack stack;
    int rc = ARS__LIKELY(w->plain && !(task->ctx.flags & SPECIAL))
                 ? ars__stack_get(w->stacks, &stack)
                 : ars__stack_take(w, task, &stack);
    if (ARS__UNLIKELY(rc < 0)) {
        if (!w->spare || task->ctx.flags & SPECIAL) return rc;
        stack = ars__stack_at(w->spare);
        w->spare = NULL;
    }
#if ARS__SAN_FIBERS
    forget_stack(stack);
    task->fake_stack = NULL;
#endif
    uint32_t flags = task->ctx.flags & ~(uint32_t)SPECIAL;
    ars__ctx_init(&task->ctx, stack.top, ars__task_main, task);
    task->ctx.flags = flags;
    ars__fresh_settle(w, task, stack.top);
    return 0;
}

/* ---- finding ---- */

ars__task *ars__sched_oldest(ars__worker *w)
{
    void *task;
    int rc;
    /* In turn: neither a worker that keeps starting tasks nor threads that do starve the others'. */
    w->queue_turn = !w->queue_turn;
    if (w->queue_turn && (task = queue_take(w, 1)) != NULL) return task;
    while ((rc = ars_deque_steal(&w->deque, &task)) == ARS_EAGAIN) {}
    return rc ? task : queue_take(w, 1);
}

/* Whom to look at first; that some are likelier by 2^-32 is nothing here. */
static uint32_t random_below(ars__worker *w, uint32_t bound)
{
    return (uint32_t)((ars_wyrand_next(&w->random) >> 32) * bound >> 32);
}

ars__task *ars__sched_steal(ars__worker *w)
{
    ars_runtime *rt = w->rt;
    ars__task *task = queue_take(w, BATCH);
    if (task || rt->n == 1) return task;
    uint32_t at = random_below(w, rt->n);
    for (uint32_t i = 0; i < rt->n; i++, at = at + 1 == rt->n ? 0 : at + 1) {
        ars__worker *victim = rt->workers[at];
        if (victim == w || ars_deque_size(&victim->deque) == 0) continue;
        void *taken[BATCH];
        int n = ars_deque_steal_half(&victim->deque, taken, BATCH);
        if (n <= 0) continue;
        for (int k = 1; k < n; k++)
            if (!ars__fresh_push(w, taken[k])) queue_append(rt, taken[k], taken[k], 1);
        return taken[0];
    }
    return NULL;
}

int ars__sched_anything(const ars_runtime *rt)
{
    if (ars_atomic_u32_load_seq_cst(&rt->queued) > 0) return 1;
    for (uint32_t i = 0; i < rt->n; i++)
        if (ars_deque_size(&rt->workers[i]->deque) > 0) return 1;
    return 0;
}

ars__task *ars__sched_successor(ars__worker *w)
{
    if (ARS__SAN_FIBERS || w->tick <= 1 || w->next || w->head != w->tail) return NULL;
    ars__task *task = ars__fresh_pop(w);
    if (!task) return NULL;
    if (ARS__UNLIKELY(!ars__fresh_plain(task))) {
        if (!ars__fresh_push(w, task)) queue_append(w->rt, task, task, 1);
        return NULL;
    }
    w->tick--;
    w->budget = ARS__BUDGET;
    w->current = task;
    task->ctx.flags &= ~(uint32_t)ARS__NEW;
    task->worker = w;
    return task;
}

/* ---- waking ---- */

static int wake(ars__worker *w)
{
    switch (ars_atomic_u32_swap_seq_cst(&w->sleeping, ARS__AWAKE)) {
    case ARS__ON_FUTEX: ars__os_futex_wake(&w->sleeping.ars__v, 1); return 1;
    case ARS__IN_POLLER: w->poller->ops->wake(w->poller); return 1;
    default: return 0; /* another sender has woken it */
    }
}

void ars__sched_wake(ars__worker *w)
{
    if (ars_atomic_u32_load_seq_cst(&w->sleeping) != ARS__AWAKE) wake(w);
}

void ars__sched_wake_one(ars_runtime *rt)
{
    for (uint32_t i = 0; i < rt->n; i++) {
        ars__worker *w = rt->workers[i];
        if (ars_atomic_u32_load_seq_cst(&w->sleeping) != ARS__AWAKE && wake(w)) return;
    }
}
