/* SPDX-License-Identifier: MIT */
/*
 * Groups.  Documented in <arsenal/group.h> and sched.h.
 *
 * Counting: 'pending' is the number of living children plus a bias.  The owner
 * counts the children it starts in 'spawned', without atomics; its wait adds
 * them and takes the bias away, in one step.  From then on whoever makes
 * 'pending' 0 has ended the last child, and nobody else touches the record any
 * more: it wakes the one who waits.  The read-modify-writes on 'pending' order
 * all that the children did before what follows the wait.
 */
#include "os/os.h"
#include "run/sched.h"
#include "run/waitable.h"

/* ---- the handle ---- */

static ars__group *record_of(const ars_group *handle)
{
    ars__group *group = (ars__group *)(uintptr_t)handle->ars__state[0];
    if (!group || group->serial != handle->ars__state[1]) return NULL;
    return group;
}

static void handle_clear(ars_group *handle)
{
    if (handle) handle->ars__state[0] = handle->ars__state[1] = 0;
}

/* ---- the record ---- */

static void mark(ars__group *group, int cause, int reason)
{
    uint64_t none = 0;
    uint32_t zero = 0;
    ars_atomic_u64_cas_acq_rel(&group->cause, &none, ARS__CAUSED | (uint32_t)cause);
    ars_atomic_u32_cas_acq_rel(&group->reason, &zero, (uint32_t)reason);
}

static void own(ars__task *owner, ars__group *group)
{
    group->next_owned = owner->groups;
    group->previous_owned = NULL;
    if (owner->groups) owner->groups->previous_owned = group;
    owner->groups = group;
}

static void disown(ars__task *owner, ars__group *group)
{
    if (group->next_owned) group->next_owned->previous_owned = group->previous_owned;
    if (group->previous_owned)
        group->previous_owned->next_owned = group->next_owned;
    else
        owner->groups = group->next_owned;
}

ars__group *ars__group_new(ars_runtime *rt, ars__worker *worker, ars__task *owner,
                           ars__group *parent, unsigned policy)
{
    ars__group *group =
        worker ? ars__slab_cache_get(&worker->groups) : ars__slab_get_shared(&rt->group_slab);
    if (!group) return NULL;
    *group =
        (ars__group){.rt = rt, .owner = owner, .policy = (uint8_t)policy, .limit = ARS_FOREVER};
    /* Each worker counts for itself, and threads together. */
    group->serial = worker ? ++worker->serials << 9 | (worker->id + 1)
                           : (ars_atomic_u64_add_relaxed(&rt->serials, 1) + 1) << 9;
    ars_atomic_i64_store_relaxed(&group->pending, ARS__BIAS);
    ars__list_init(&group->children);
    ars__list_init(&group->tasks);
    if (owner) {
        own(owner, group);
        group->limit = owner->scope_limit;
        if (owner->shields == 0) parent = owner->group;
    }
    if (!parent) return group;
    group->parent = parent;
    ars_spin_lock(&parent->lock);
    ars__list_append(&parent->children, &group->link);
    /* A cancel that has walked here already is seen; one that comes later sees the group. */
    int reason = ars__group_reason(parent);
    ars_spin_unlock(&parent->lock);
    if (reason < 0) mark(group, ARS_ECANCELED, reason);
    return group;
}

/* A group that nobody can refer to any more. */
static void drop(ars__group *group)
{
    ars_runtime *rt = group->rt;
    ars__worker *worker = ars__worker_here();
    ars__group *parent = group->parent;
    if (parent) {
        ars_spin_lock(&parent->lock);
        ars__list_remove(&group->link);
        ars_spin_unlock(&parent->lock);
    }
    ARS__ASSERT(ars__list_empty(&group->children) && ars__list_empty(&group->tasks));
    group->serial = 0;
    if (worker && worker->rt == rt)
        ars__slab_cache_put(&worker->groups, group);
    else
        ars__slab_put_shared(&rt->group_slab, group);
}

/* Ends a group without living children and gives its result. */
static int conclude(ars__group *group)
{
    uint64_t cause = ars_atomic_u64_load_acquire(&group->cause);
    int result = 0;
    if (cause)
        result = (int32_t)(uint32_t)cause;
    else if (group->policy != ARS_FAIL_FAST)
        result = (int32_t)ars_atomic_u32_load_acquire(&group->first_error);
    ars__san_acquire(group);
    handle_clear(group->handle);
    drop(group);
    return result;
}

/* ---- tasks of a group ---- */

void ars__group_link_task(ars__group *group, ars__task *task)
{
    task->linked = ARS__IN_GROUP;
    ars_spin_lock(&group->lock);
    ars__list_append(&group->tasks, &task->siblings);
    /* As in ars__group_new(): either the cancel sees the task or the task sees the cancel. */
    int reason = ars__group_reason(group);
    ars_spin_unlock(&group->lock);
    if (reason < 0) ars__task_mail(task, ARS__CANCELLED);
}

void ars__group_unlink_task(ars__group *group, ars__task *task)
{
    ars_spin_lock(&group->lock);
    ars__list_remove(&task->siblings);
    ars_spin_unlock(&group->lock);
    task->linked = 0;
}

/* ---- cancelling ---- */

static void tell(ars__group *group)
{
    for (ars__list *node = group->tasks.next; node != &group->tasks; node = node->next)
        ars__task_mail(ARS__MEMBER(node, ars__task, siblings), ARS__CANCELLED);
}

/*
 * Walks the tree from the top down, holding the locks from the group to where
 * it is, so that nothing on the way can go.  Groups that were cancelled before
 * are left out, and all below them.  Tasks get mail and are interrupted by
 * their own workers; none of that happens here, so trees may be deeper than
 * stacks.
 */
static void walk(ars__group *group, int reason)
{
    ars__group *at = group;
    ars_spin_lock(&at->lock);
    tell(at);
    ars__list *node = at->children.next;
    for (;;) {
        if (node != &at->children) {
            ars__group *child = ARS__MEMBER(node, ars__group, link);
            if (ars__group_reason(child) < 0) {
                node = node->next;
                continue;
            }
            ars_spin_lock(&child->lock);
            mark(child, ARS_ECANCELED, reason);
            tell(child);
            at = child;
            node = at->children.next;
            continue;
        }
        ars__group *parent = at->parent;
        node = at->link.next;
        ars_spin_unlock(&at->lock);
        if (at == group) return;
        at = parent;
    }
}

void ars__group_cancel_now(ars__group *group, int cause, int reason)
{
    uint64_t none = 0;
    uint32_t zero = 0;
    ars_atomic_u64_cas_acq_rel(&group->cause, &none, ARS__CAUSED | (uint32_t)cause);
    if (!ars_atomic_u32_cas_acq_rel(&group->reason, &zero, (uint32_t)reason)) return;
    walk(group, reason);
    /* The caller's own worker looks at its mail soon. */
    ars__worker *worker = ars__worker_here();
    if (worker) worker->tick = 1;
}

void ars_group_cancel(ars_group *handle, int reason)
{
    ars__group *group = record_of(handle);
    if (!group) return;
    if (reason >= 0) reason = ARS_ECANCELED;
    ars__group_cancel_now(group, reason, reason);
}

/* ---- the end of a child ---- */

/*
 * Nobody waits, but selects may look on.  The owner takes the group for ended
 * only once 'ended' is set, the last touch of the record.
 */
static ARS__NOINLINE void watched_end(ars__group *group)
{
    ars__wakes wakes;
    ars__wakes_init(&wakes);
    ars_spin_lock(&group->lock);
    ars__wakes_take_all(&wakes, &group->watchers);
    ars_spin_unlock(&group->lock);
    ars_atomic_u32_store_release(&group->ended, 1);
    ars__wakes_send(&wakes, 0, ARS__WAKE_NEXT);
}

/*
 * Wakes the one who waits.  Its worker may be carrying out a deadline or a
 * cancel of the wait just now, and so be using the record: of the two bits,
 * set by read-modify-writes of one word, one side sees the other's, so either
 * that leaves the record alone or this waits for it.
 */
static void finished(ars__group *group)
{
    ars__task *waiter = group->waiter;
    if (ARS__UNLIKELY(!waiter)) {
        watched_end(group);
        return;
    }
    if (!waiter->worker || waiter->worker != ars__worker_here()) {
        ars_atomic_u32_or_acq_rel(&waiter->events, ARS__ENDED);
        while (ars_atomic_u32_load_acquire(&waiter->events) & ARS__TELLING) ars_atomic_pause();
    }
    int outcome = conclude(group);
    ars__wake(waiter, outcome, ARS__WAKE_NEXT);
}

void ars__group_child_ended(ars__group *group, int result)
{
    if (result < 0) {
        uint32_t zero = 0;
        ars_atomic_u32_cas_acq_rel(&group->first_error, &zero, (uint32_t)result);
        if (group->policy == ARS_FAIL_FAST) ars__group_cancel_now(group, result, result);
    } else if (ARS__UNLIKELY(group->policy == ARS_RACE)) {
        ars__group_cancel_now(group, result, ARS_ECANCELED);
    }
    if (ARS__UNLIKELY(group->uncounted)) return;
    int64_t before = ars_atomic_i64_add_acq_rel(&group->pending, -1);
    ARS__ASSERT(before > 0);
    if (before == 1) finished(group);
}

/* ---- waiting ---- */

/* The deadline or a cancel of the task that waits: its children end first. */
static void wait_interrupt(ars__task *task, int why)
{
    ars__group *group = task->object;
    int reason = ARS_ETIMEDOUT;
    if (why == ARS_ECANCELED && task->group && ars__task_cancelled(task))
        reason = ars__group_reason(task->group);
    if (!(ars_atomic_u32_or_acq_rel(&task->events, ARS__TELLING) & ARS__ENDED))
        ars__group_cancel_now(group, why, reason);
    ars_atomic_u32_and_acq_rel(&task->events, ~(uint32_t)ARS__TELLING);
}

static const ars__wait_class wait_class = {"group wait", wait_interrupt};

/*
 * Watching for the end takes the bias away too, so that the last child notices.
 * The owner puts it back before it starts or waits for anybody.
 */
static ARS__NOINLINE void stop_watching(ars__group *group)
{
    if (ars_atomic_i64_add_acq_rel(&group->pending, ARS__BIAS) == 0)
        while (!ars_atomic_u32_load_acquire(&group->ended)) ars_atomic_pause();
    group->watched = 0;
}

/* Takes the bias away; whether the last child has ended already. */
static int merge(ars__group *group)
{
    int64_t change = group->spawned - ARS__BIAS;
    group->spawned = 0;
    return ars_atomic_i64_add_acq_rel(&group->pending, change) + change == 0;
}

static int is_empty(ars__group *group)
{
    if (ARS__UNLIKELY(group->watched))
        return ars_atomic_i64_load_acquire(&group->pending) == 0 &&
               ars_atomic_u32_load_acquire(&group->ended);
    return ars_atomic_i64_load_acquire(&group->pending) + group->spawned == ARS__BIAS;
}

/* A wait under a scope got ARS_ECANCELED: was it the scope's deadline? */
static int note_scope(ars__task *self, int result)
{
    if (result == ARS_ECANCELED && self->scope_limit != ARS_FOREVER &&
        self->scope_limit <= ars__os_now())
        ars__scope_fired(self);
    return result;
}

static int wait_for(ars_group *handle, ars__group *group, ars__task *self, ars_time deadline)
{
    if (ARS__UNLIKELY(group->watched)) stop_watching(group);
    group->handle = handle;
    group->waiter = self;
    if (self->worker && group->owner) disown(group->owner, group);
    if (merge(group)) return conclude(group);
    int result = ars__park(self, &wait_class, group, deadline);
    ars__san_acquire(group);
    return result;
}

static ARS__NOINLINE int thread_wait(ars_group *handle, ars__group *group, ars_time deadline)
{
    if (group->owner) return ARS_EINVAL; /* a task's: it counts without atomics */
    if (group->waiter) return ARS_EBUSY;
    if (is_empty(group)) {
        group->handle = handle;
        return conclude(group);
    }
    if (deadline == 0) return ARS_ETIMEDOUT;
    ars__thread room;
    return wait_for(handle, group, ars__thread_begin(&room), deadline);
}

static int below(const ars__task *task, const ars__group *group)
{
    for (const ars__group *at = task->group; at; at = at->parent)
        if (at == group) return 1;
    return 0;
}

static ARS__NOINLINE int wait_scoped(ars_group *handle, ars__group *group, ars__task *self,
                                     ars_time deadline)
{
    return note_scope(self, wait_for(handle, group, self, deadline));
}

int ars_group_wait(ars_group *handle, ars_time deadline)
{
    ars__group *group = record_of(handle);
    if (!group) return ARS_EINVAL;
    ars__worker *worker = ars__worker_here();
    if (ARS__UNLIKELY(!worker)) return thread_wait(handle, group, deadline);
    if (worker->rt != group->rt) return ARS_EINVAL;
    ars__task *self = worker->current;
    if (ARS__UNLIKELY(group->owner != self)) return below(self, group) ? ARS_EDEADLK : ARS_EINVAL;
    int rc = ars__wait_enter(self, deadline);
    if (ARS__UNLIKELY(rc < 0)) {
        int reason = ars_cancel_reason();
        ars__group_cancel_now(group, ARS_ECANCELED, reason ? reason : ARS_ECANCELED);
    }
    if (deadline == 0 && !is_empty(group)) return ARS_ETIMEDOUT;
    if (ARS__UNLIKELY(self->scope_limit != ARS_FOREVER))
        return wait_scoped(handle, group, self, deadline);
    return wait_for(handle, group, self, deadline);
}

/* Waits as the end of a task does: it cannot be cancelled, and the handle may be gone. */
void ars__task_finish_groups(ars__task *task)
{
    task->shields++;
    task->scope_limit = ARS_FOREVER;
    while (task->groups) {
        ars__group *group = task->groups;
#if ARS__ASSERTS
        const char *name = ars__task_name(task);
        ars__report(group->rt, "task '%s' ended with a group that it had not waited for",
                    name ? name : "unnamed");
#endif
        ars__group_cancel_now(group, ARS_ECANCELED, ARS_ECANCELED);
        wait_for(NULL, group, task, ARS_FOREVER);
    }
    task->shields--;
}

/* ---- as a case of a select ---- */

static int mine(const ars__group *group)
{
    return group && group->owner == ars__task_self();
}

static int watch_try(void *object, void *value)
{
    (void)value;
    ars__group *group = record_of(object);
    if (!mine(group)) return ARS_EINVAL;
    return is_empty(group) ? 0 : ARS__NOT_READY;
}

static int watch_enqueue(void *object, ars__node *node)
{
    ars__group *group = record_of(object);
    if (!group->watched) {
        group->watched = 1;
        ars_atomic_u32_store_relaxed(&group->ended, 0);
        if (merge(group)) {
            ars_atomic_u32_store_relaxed(&group->ended, 1);
            return 1;
        }
    }
    ars_spin_lock(&group->lock);
    int ready = ars_atomic_i64_load_acquire(&group->pending) == 0;
    if (!ready) ars__waitq_append(&group->watchers, node);
    ars_spin_unlock(&group->lock);
    return ready;
}

static void watch_dequeue(void *object, ars__node *node)
{
    ars__group *group = record_of(object);
    ars_spin_lock(&group->lock);
    if (ars__node_linked(node)) ars__waitq_remove(&group->watchers, node);
    ars_spin_unlock(&group->lock);
}

const ars__waitable_class ars__group_waitable = {"group", watch_try, watch_enqueue, watch_dequeue,
                                                 NULL};

/* ---- making and filling ---- */

int ars_group_init(ars_group *handle, ars_runtime *rt, unsigned policy)
{
    ars__worker *worker = ars__worker_here();
    if (policy > ARS_RACE || (!rt && !worker)) return ARS_EINVAL;
    if (!rt) rt = worker->rt;
    if (worker && worker->rt != rt) worker = NULL;
    ars__task *owner = worker ? worker->current : NULL;
    ars__group *group = ars__group_new(rt, worker, owner, rt->apart, policy);
    if (!group) return ARS_ENOMEM;
    handle->ars__state[0] = (uintptr_t)group;
    handle->ars__state[1] = group->serial;
    return 0;
}

static int go(ars_group *handle, ars_fn *fn, void *arg, const void *args, size_t size,
              const ars_task_opt *opt)
{
    ars__group *group;
    if (handle) {
        group = record_of(handle);
    } else {
        ars__worker *worker = ars__worker_here();
        group = worker ? worker->rt->root_group : NULL;
    }
    if (!group) return ARS_EINVAL;
    if (ARS__UNLIKELY(group->watched) && mine(group)) stop_watching(group);
    return ars__task_go(group, fn, arg, args, size, opt);
}

int ars_group_go(ars_group *handle, ars_fn *fn, void *arg, const ars_task_opt *opt)
{
    return go(handle, fn, arg, NULL, 0, opt);
}

int ars_group_go_copy(ars_group *handle, ars_fn *fn, const void *args, size_t size,
                      const ars_task_opt *opt)
{
    if (size > ARS_ARGS_MAX) return ARS_EINVAL;
    return go(handle, fn, NULL, args, size, opt);
}
