/* SPDX-License-Identifier: MIT */
/*
 * Stacks that are not simply taken from the worker's pool and put back there:
 * those of other sizes, which all workers share; those of tasks that have moved,
 * which go back to the pool they came from; and all of them when it is measured
 * how deep they are used.
 */
#include <string.h>

#include "run/sched.h"

static const size_t sizes[ARS__STACK_CLASSES] = {ARS__STACK_SIZE, 16 << 10, 256 << 10, 1 << 20,
                                                 ARS_STACK_MAX};

int ars__stack_class(uint64_t bytes)
{
    if (bytes == 0) return 0;
    if (bytes < ARS_STACK_MIN || bytes > ARS_STACK_MAX) return ARS_EINVAL;
    if (bytes <= sizes[1]) return 1;
    if (bytes <= sizes[0]) return 0;
    int stack_class = 2;
    while (bytes > sizes[stack_class]) stack_class++;
    return stack_class;
}

/* ---- other sizes ---- */

static ars__stack_pool *pool_of(ars_runtime *rt, unsigned stack_class)
{
    ars__sized_stacks *sized = &rt->sized[stack_class];
    void *pool = ars_atomic_ptr_load_acquire(&sized->pool);
    if (pool) return pool;
    ars__stack_pool *mine;
    if (ars__stack_pool_new(&mine, rt->alloc, sizes[stack_class]) < 0) return NULL;
    ars__stack_pool_keep(mine, rt->sized_kept);
    if (!ars_atomic_ptr_cas_acq_rel(&sized->pool, &pool, mine)) {
        ars__stack_pool_free(mine); /* somebody was faster */
        return pool;
    }
    ars_atomic_u32_store_relaxed(&rt->any_sized, 1);
    return mine;
}

/*
 * 'promised' goes up under the lock and down without, after the stack has been
 * returned (release, acquire).  So it is never less than the tasks that have or
 * will have a stack, and the pool never has less than 'promised'.
 */
int ars__stack_promise(ars_runtime *rt, unsigned stack_class)
{
    ars__sized_stacks *sized = &rt->sized[stack_class];
    ars__stack_pool *pool = pool_of(rt, stack_class);
    if (!pool) return ARS_ENOMEM;
    ars_spin_lock(&sized->lock);
    uint64_t promised = ars_atomic_u64_load_acquire(&sized->promised);
    int rc = ars__stack_pool_reserve(pool, promised + 1);
    if (rc == 0) ars_atomic_u64_add_relaxed(&sized->promised, 1);
    ars_spin_unlock(&sized->lock);
    return rc;
}

static int trim_sized(ars_runtime *rt)
{
    int more = 0;
    for (unsigned i = 1; i < ARS__STACK_CLASSES; i++) {
        ars__sized_stacks *sized = &rt->sized[i];
        ars__stack_pool *pool = ars_atomic_ptr_load_acquire(&sized->pool);
        if (!pool || !ars_spin_try(&sized->lock)) continue;
        more |= ars__stack_pool_trim(pool);
        ars_spin_unlock(&sized->lock);
    }
    return more;
}

/* ---- how deep ---- */

struct ars__stack_note {
    ars__stack_note *next;
    ars_stack_use use;
};

/* The record of this function's tasks; NULL without memory. */
static ars__stack_note *use_of(ars_runtime *rt, ars_fn *fn, const char *name)
{
    ars_spin_lock(&rt->uses_lock);
    ars__stack_note *at = rt->uses;
    while (at && at->use.fn != fn) at = at->next;
    ars_spin_unlock(&rt->uses_lock);
    if (at) return at;
    const ars_alloc *alloc = rt->alloc;
    ars__stack_note *mine = alloc->alloc(alloc->ctx, sizeof *mine, _Alignof(ars__stack_note));
    if (!mine) return NULL;
    memset(mine, 0, sizeof *mine);
    mine->use.fn = fn;
    for (size_t i = 0; name && name[i] && i + 1 < sizeof mine->use.name; i++)
        mine->use.name[i] = name[i];
    ars_spin_lock(&rt->uses_lock);
    for (at = rt->uses; at && at->use.fn != fn;) at = at->next;
    if (!at) {
        mine->next = rt->uses;
        rt->uses = mine;
    }
    ars_spin_unlock(&rt->uses_lock);
    if (!at) return mine;
    alloc->free(alloc->ctx, mine, sizeof *mine, _Alignof(ars__stack_note));
    return at;
}

void ars__stack_ended(ars__worker *w, ars__stack stack)
{
    ars_runtime *rt = w->rt;
    /* The name may have gone with the task. */
    if (ARS__UNLIKELY(ars__stack_revive(stack))) {
        ars_atomic_u64_add_relaxed(&rt->smashed, 1);
        ars__report(rt, "a task has overflowed its stack, and may have damaged another's");
        ars__san_release(rt); /* the task was over before: this is not, for ars_run() */
    }
    ars__stack_note *at = rt->config.stack_use ? ars__stack_header_of(stack)->note : NULL;
    if (!at) return;
    /* A worker that finds nothing else to run looks for work, polls and sleeps on this stack. */
    enum { RESTING = 4096 };
    uint64_t depth = ars__stack_depth(stack);
    if (depth < RESTING) depth = RESTING;
    depth += ARS__STACK_TAKEN;
    ars_spin_lock(&rt->uses_lock);
    at->use.tasks++;
    if (depth > at->use.deepest) at->use.deepest = depth;
    ars_spin_unlock(&rt->uses_lock);
}

int ars_stats_stacks(ars_stack_use *uses, size_t n)
{
    ars__worker *self = ars__worker_here();
    if (!self || !self->rt->config.stack_use) return ARS_EINVAL;
    ars_runtime *rt = self->rt;
    if (!uses) n = 0;
    int count = 0;
    ars_spin_lock(&rt->uses_lock);
    for (const ars__stack_note *at = rt->uses; at; at = at->next, count++)
        if ((size_t)count < n) uses[count] = at->use;
    ars_spin_unlock(&rt->uses_lock);
    return count;
}

/* ---- taking and leaving ---- */

int ars__stack_take(ars__worker *w, const ars__task *task, ars__stack *out)
{
    ars_runtime *rt = w->rt;
    unsigned stack_class = task->ctx.flags / ARS__SIZED;
    int rc;
    if (stack_class) {
        ars__sized_stacks *sized = &rt->sized[stack_class];
        ars_spin_lock(&sized->lock);
        rc = ars__stack_get(ars_atomic_ptr_load_relaxed(&sized->pool), out);
        ars_spin_unlock(&sized->lock);
    } else {
        rc = ars__stack_get(w->stacks, out);
    }
    if (rc < 0 || !rt->config.stack_use) return rc;
    ars__stack_wipe(*out);
    ars__stack_header_of(*out)->note = use_of(rt, task->fn, task->name);
    return 0;
}

static void give_back(ars__worker *w)
{
    ars__stack_header *left = w->left;
    if (!left) return;
    w->left = NULL;
    ars__stack stack = ars__stack_at((char *)left);
    const ars__stack_pool *pool = ars__stack_home(stack);
    ars__stack_return(stack);
    for (unsigned i = 1; i < ARS__STACK_CLASSES; i++) {
        ars__sized_stacks *sized = &w->rt->sized[i];
        /* Release: pairs with the acquire in ars__stack_promise(). */
        if (ars_atomic_ptr_load_relaxed(&sized->pool) == pool)
            ars_atomic_u64_add_release(&sized->promised, (uint64_t)-1);
    }
}

/*
 * This thread still stands on the stack.  To the worker's own pool it can go
 * at once, because nobody else takes from there; others' may have it only when
 * the worker stands elsewhere.
 */
void ars__stack_leave(ars__worker *w, ars__stack stack)
{
    give_back(w);
    if (ars__stack_home(stack) == w->stacks)
        ars__stack_put(w->stacks, stack);
    else
        w->left = ars__stack_header_of(stack);
}

int ars__stack_tidy(ars__worker *w)
{
    give_back(w);
    return ars_atomic_u32_load_relaxed(&w->rt->any_sized) ? trim_sized(w->rt) : 0;
}

int ars__stacks_trim(ars__worker *w)
{
    if (w->tuning.linger && w->now >= w->trim_next) {
        ars__stack_pool_age(w->stacks);
        w->trim_next = ars_time_add(w->now, w->tuning.linger);
    }
    w->trimming = (uint32_t)ars__stack_pool_trim(w->stacks);
    return (int)w->trimming;
}

/* ---- the runtime's ---- */

void ars__stack_sum(ars_runtime *rt, ars_run_stats *sum)
{
    for (unsigned i = 1; i < ARS__STACK_CLASSES; i++) {
        ars__sized_stacks *sized = &rt->sized[i];
        ars__stack_pool *pool = ars_atomic_ptr_load_acquire(&sized->pool);
        if (!pool) continue;
        ars_spin_lock(&sized->lock);
        ars__stack_stats stacks = ars__stack_pool_stats(pool);
        ars_spin_unlock(&sized->lock);
        sum->stacks += stacks.in_use;
        sum->guards_light += stacks.guard_light;
        sum->guards_protect += stacks.guard_protect;
        sum->guards_canary += stacks.guard_canary;
        sum->smashed += stacks.smashed;
    }
}

void ars__stacks_deinit(ars_runtime *rt)
{
    const ars_alloc *alloc = rt->alloc;
    for (unsigned i = 1; i < ARS__STACK_CLASSES; i++)
        ars__stack_pool_free(ars_atomic_ptr_load_relaxed(&rt->sized[i].pool));
    while (rt->uses) {
        ars__stack_note *at = rt->uses;
        rt->uses = at->next;
        alloc->free(alloc->ctx, at, sizeof *at, _Alignof(ars__stack_note));
    }
}
