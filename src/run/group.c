/* SPDX-License-Identifier: MIT */
/* Groups.  Documented in <arsenal/group.h> and sched.h. */
#include "base/point.h"
#include "os/os.h"
#include "run/sched.h"
#include "run/waitable.h"

ARS__STATIC_ASSERT(ARS__ASSERTS || sizeof(ars__group) <= 192);

static void handle_clear(ars_group *handle)
{
    if (handle) handle->ars__state[0] = handle->ars__state[1] = 0;
}

/* ---- the record ---- */

static void set_cause(ars__group *group, int cause)
{
    uint64_t none = 0;
    ars_atomic_u64_cas_acq_rel(&group->cause, &none, ARS__CAUSED | (uint32_t)cause);
}

static inline void own(ars__task *owner, ars__group *group)
{
    ars__group *next = owner->groups;
    group->next_owned = next;
    if (next) next->previous_owned = group;
    owner->groups = group;
}

static inline void disown(ars__task *owner, ars__group *group)
{
    ars__group *next = group->next_owned;
    if (ARS__LIKELY(owner->groups == group)) {
        owner->groups = next;
        return;
    }
    group->previous_owned->next_owned = next;
    if (next) next->previous_owned = group->previous_owned;
}

/* The parts that whoever asks needs. */
static void init_lists(ars__group *group)
{
    group->lock = (ars_spin){0};
    group->link.prev = group->link.next = NULL;
    ars__list_init(&group->children);
    ars__list_init(&group->tasks);
}

static inline void fill(ars__group *group, ars_runtime *rt, ars__worker *worker, unsigned policy)
{
    group->rt = rt;
    /* Each worker counts for itself, and threads together. */
    group->serial = worker ? ++worker->serials << 9 | (worker->id + 1)
                           : (ars_atomic_u64_add_relaxed(&rt->serials, 1) + 1) << 9;
    group->owner = NULL;
    group->local = 0;
    group->waiter = NULL;
    group->handle = NULL;
    group->home = NULL;
    group->policy = (uint8_t)policy;
    group->uncounted = group->watched = 0;
    ars_atomic_i64_store_relaxed(&group->pending, ARS__BIAS);
    ars_atomic_u64_store_relaxed(&group->cause, 0);
    ars_atomic_u32_store_relaxed(&group->first_error, 0);
}

ars__group *ars__group_new_top(ars_runtime *rt, ars__worker *worker)
{
    ars__group *group = ars__slab_cache_get(&worker->groups);
    if (!group) return NULL;
    fill(group, rt, worker, ARS_COLLECT);
    group->parent = NULL;
    group->limit = ARS_FOREVER;
    ars_atomic_u32_store_relaxed(&group->reason, 0);
    init_lists(group);
    return group;
}

ARS__NOINLINE int ars__group_join(ars__group *group)
{
    ars__group *parent = group->parent;
    ars_spin_lock(&parent->lock);
    int reason = (int32_t)ars_atomic_u32_load_relaxed(&group->reason);
    if (reason > 0) { /* nobody else was faster */
        init_lists(group);
        ars__list_append(&parent->children, &group->link);
        /* A cancel that has walked here already is seen; one that comes later sees the group. */
        reason = ars__group_reason(parent);
        if (reason < 0) set_cause(group, ARS_ECANCELED);
        /* Release: who finds it in the tree finds the lists. */
        ars_atomic_u32_store_release(&group->reason, (uint32_t)reason);
    }
    ars_spin_unlock(&parent->lock);
    return reason;
}

static int in_tree(const ars__group *group)
{
    return ars_atomic_u32_load_acquire(&group->reason) != ARS__OUT_OF_TREE;
}

static ARS__NOINLINE void leave_tree(ars__group *group)
{
    ars__group *parent = group->parent;
    ARS__ASSERT(ars__list_empty(&group->children) && ars__list_empty(&group->tasks));
    ars_spin_lock(&parent->lock);
    ars__list_remove(&group->link);
    ars_spin_unlock(&parent->lock);
}

/* Nobody refers to the record any more. */
static inline void drop(ars__group *group)
{
    ars_runtime *rt = group->rt;
    ars__worker *worker = ars__worker_here();
    handle_clear(group->handle);
    group->serial = 0;
    if (ARS__LIKELY(worker && worker->rt == rt))
        ars__slab_cache_put(&worker->groups, group);
    else
        ars__slab_put_shared(&rt->group_slab, group);
}

/* Ends a group without living children and gives its result. */
static inline int conclude(ars__group *group)
{
    if (ARS__UNLIKELY(in_tree(group)))
        leave_tree(group);
    else if (ARS__UNLIKELY(ars_atomic_u32_load_relaxed(&group->parent->reason)))
        set_cause(group, ARS_ECANCELED); /* as it would have been in the tree */
    uint64_t cause = ars_atomic_u64_load_acquire(&group->cause);
    int result = 0;
    if (ARS__UNLIKELY(cause))
        result = (int32_t)(uint32_t)cause;
    else if (group->policy != ARS_FAIL_FAST)
        result = (int32_t)ars_atomic_u32_load_acquire(&group->first_error);
    ars__san_acquire(group);
    drop(group);
    return result;
}

/* ---- tasks of a group ---- */

void ars__group_link_task(ars__group *group, ars__task *task)
{
    task->linked = ARS__IN_GROUP;
    (void)ars__group_reason(group); /* which puts it into the tree */
    ars_spin_lock(&group->lock);
    ars__list_append(&group->tasks, &task->siblings);
    /* As in ars__group_join(): either the cancel sees the task or the task sees the cancel. */
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
            uint32_t zero = 0;
            ars_spin_lock(&child->lock);
            set_cause(child, ARS_ECANCELED);
            ars_atomic_u32_cas_acq_rel(&child->reason, &zero, (uint32_t)reason);
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
    uint32_t zero = 0;
    (void)ars__group_reason(group); /* which puts it into the tree */
    set_cause(group, cause);
    if (!ars_atomic_u32_cas_acq_rel(&group->reason, &zero, (uint32_t)reason)) return;
    walk(group, reason);
    /* The caller's own worker looks at its mail soon. */
    ars__worker *worker = ars__worker_here();
    if (worker) worker->tick = 1;
}

void ars_group_cancel(ars_group *handle, int reason)
{
    ars__group *group = ars__group_of(handle);
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
        (void)ARS_POINT("group ended");
        while (ars_atomic_u32_load_acquire(&waiter->events) & ARS__TELLING) ars_atomic_pause();
    }
    int outcome = conclude(group);
    ars__wake(waiter, outcome, ARS__WAKE_NEXT);
}

static ARS__NOINLINE void take_result(ars__group *group, int result)
{
    if (result < 0) {
        uint32_t zero = 0;
        ars_atomic_u32_cas_acq_rel(&group->first_error, &zero, (uint32_t)result);
        if (group->policy == ARS_FAIL_FAST) ars__group_cancel_now(group, result, result);
    } else if (group->policy == ARS_RACE) {
        ars__group_cancel_now(group, result, ARS_ECANCELED);
    }
}

/* Of a group whose home is this worker. */
static inline int all_ended(const ars__group *group)
{
    /* Acquire: what children did elsewhere happens before what follows the wait. */
    return group->local + ars_atomic_i64_load_acquire(&group->pending) == ARS__BIAS;
}

static inline void unshare(ars__worker *worker, ars__group *group)
{
    if (group->next_shared) group->next_shared->previous_shared = group->previous_shared;
    if (group->previous_shared)
        group->previous_shared->next_shared = group->next_shared;
    else
        worker->waited = group->next_shared;
}

static void take_out(ars__group *group, int64_t n)
{
    int64_t before = ars_atomic_i64_add_acq_rel(&group->pending, -n);
    ARS__ASSERT(before >= n);
    if (before == n) finished(group);
}

void ars__group_tell(ars__worker *worker)
{
    ars__group *group = worker->held;
    worker->held = NULL;
    if (group) take_out(group, worker->held_count);
}

void ars__group_child_ended(ars__group *group, ars__worker *worker, int result)
{
    if (ARS__UNLIKELY(result < 0 || group->policy == ARS_RACE)) take_result(group, result);
    if (ARS__LIKELY(worker && ars__group_home(group) == worker)) {
        group->local--;
        ars__task *waiter = group->waiter;
        if (!waiter || !all_ended(group)) return;
        if (group->rt->n > 1) unshare(worker, group);
        ars__wake_here(worker, waiter, conclude(group));
        return;
    }
    if (ARS__UNLIKELY(group->uncounted)) return;
    if (!worker) {
        take_out(group, 1);
    } else if (worker->held == group) {
        worker->held_count++;
    } else {
        ars__group_tell(worker);
        worker->held = group;
        worker->held_count = 1;
    }
}

/* Takes the bias away; whether the last child has ended already. */
static int merge(ars__group *group)
{
    int64_t change = group->local - ARS__BIAS;
    group->local = 0;
    __atomic_store_n(&group->home, NULL, __ATOMIC_RELAXED);
    return ars_atomic_i64_add_acq_rel(&group->pending, change) + change == 0;
}

void ars__groups_share(ars__worker *worker)
{
    while (worker->waited) {
        ars__group *group = worker->waited;
        worker->waited = group->next_shared;
        if (worker->waited) worker->waited->previous_shared = NULL;
        if (merge(group)) finished(group);
    }
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
    (void)ARS_POINT("group told");
    ars_atomic_u32_and_acq_rel(&task->events, ~(uint32_t)ARS__TELLING);
}

static const ars__wait_class wait_class = {"group wait", wait_interrupt};

/*
 * Watching for the end takes the bias away too, so that the last child notices.
 * The owner puts it back before it starts or waits for anybody.
 */
ARS__NOINLINE void ars__group_stop_watching(ars__group *group)
{
    if (ars_atomic_i64_add_acq_rel(&group->pending, ARS__BIAS) == 0)
        while (!ars_atomic_u32_load_acquire(&group->ended)) ars_atomic_pause();
    group->watched = 0;
}

static int is_empty(ars__group *group)
{
    if (ARS__UNLIKELY(group->watched))
        return ars_atomic_i64_load_acquire(&group->pending) == 0 &&
               ars_atomic_u32_load_acquire(&group->ended);
    return all_ended(group);
}

/* A wait under a scope got ARS_ECANCELED: was it the scope's deadline? */
static int note_scope(ars__task *self, int result)
{
    if (result == ARS_ECANCELED && self->scope_limit != ARS_FOREVER &&
        self->scope_limit <= ars__os_now())
        ars__scope_fired(self);
    return result;
}

static inline void share_later(ars__worker *worker, ars__group *group)
{
    group->previous_shared = NULL;
    group->next_shared = worker->waited;
    if (worker->waited) worker->waited->previous_shared = group;
    worker->waited = group;
}

static inline int wait_for(ars_group *handle, ars__group *group, ars__task *self, ars_time deadline)
{
    if (ARS__UNLIKELY(group->watched)) ars__group_stop_watching(group);
    ars__worker *home = group->home;
    group->handle = handle;
    group->waiter = self;
    if (self->worker && group->owner) disown(group->owner, group);
    if (!home) {
        if (merge(group)) return conclude(group);
    } else {
        if (all_ended(group)) return conclude(group);
        if (group->rt->n > 1) share_later(home, group);
    }
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

static ARS__NOINLINE int wait_checked(ars_group *handle, ars_time deadline)
{
    ars__group *group = ars__group_of(handle);
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

int ars_group_wait(ars_group *handle, ars_time deadline)
{
    ars__group *group = ars__group_of(handle);
    ars__worker *worker = ars__worker_here();
    ars__task *self;
    /* Most often by its owner, on the group's own worker. */
    if (ARS__LIKELY(group && worker && (self = worker->current) == group->owner &&
                    group->home == worker && deadline != 0 && ars__wait_enter_fast(worker, self)))
        return wait_for(handle, group, self, deadline);
    return wait_checked(handle, deadline);
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
    ars__group *group = ars__group_of(object);
    if (!mine(group)) return ARS_EINVAL;
    return is_empty(group) ? 0 : ARS__NOT_READY;
}

static int watch_enqueue(void *object, ars__node *node)
{
    ars__group *group = ars__group_of(object);
    (void)ars__group_reason(group); /* which makes the list */
    if (!group->watched) {
        group->watched = 1;
        group->watchers = (ars__waitq){NULL, NULL};
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
    ars__group *group = ars__group_of(object);
    ars_spin_lock(&group->lock);
    if (ars__node_linked(node)) ars__waitq_remove(&group->watchers, node);
    ars_spin_unlock(&group->lock);
}

const ars__waitable_class ars__group_waitable = {"group",       watch_try, watch_enqueue,
                                                 watch_dequeue, NULL,      NULL};

/* ---- making ---- */

static inline void give(ars_group *handle, ars__group *group)
{
    handle->ars__state[0] = (uintptr_t)group;
    handle->ars__state[1] = group->serial;
}

/* The group of a task: below its own, unless that is shielded. */
static inline void begin_owned(ars_group *handle, ars__group *group, ars__worker *worker,
                               ars__group *parent, unsigned policy)
{
    ars__task *owner = worker->current;
    fill(group, worker->rt, worker, policy);
    group->owner = owner;
    if (!(owner->ctx.flags & ARS__MIGRATES)) group->home = worker;
    group->parent = parent;
    group->limit = owner->scope_limit;
    ars_atomic_u32_store_relaxed(&group->reason, ARS__OUT_OF_TREE);
    own(owner, group);
    give(handle, group);
}

static inline ars__group *parent_of(const ars__worker *worker)
{
    const ars__task *owner = worker->current;
    return owner->shields == 0 ? owner->group : worker->rt->apart;
}

static ARS__NOINLINE int init_checked(ars_group *handle, ars_runtime *rt, unsigned policy)
{
    ars__worker *worker = ars__worker_here();
    ars__group *group;
    if (policy > ARS_RACE || (!rt && !worker)) return ARS_EINVAL;
    if (worker && (!rt || rt == worker->rt)) {
        ars__group *parent = parent_of(worker);
        (void)ars__group_reason(parent); /* a parent is in the tree */
        group = ars__slab_cache_get(&worker->groups);
        if (!group) return ARS_ENOMEM;
        begin_owned(handle, group, worker, parent, policy);
        return 0;
    }
    group = ars__slab_get_shared(&rt->group_slab);
    if (!group) return ARS_ENOMEM;
    fill(group, rt, NULL, policy);
    group->parent = rt->apart;
    group->limit = ARS_FOREVER;
    ars_atomic_u32_store_relaxed(&group->reason, ARS__OUT_OF_TREE);
    give(handle, group);
    return 0;
}

int ars_group_init(ars_group *handle, ars_runtime *rt, unsigned policy)
{
    ars__worker *worker = ars__worker_here();
    /* Most often by a task, which has a record at hand and a group that is in the tree. */
    if (ARS__LIKELY(worker && !rt && policy <= ARS_RACE)) {
        ars__group *parent = parent_of(worker), *group;
        if (ARS__LIKELY(ars_atomic_u32_load_acquire(&parent->reason) != ARS__OUT_OF_TREE &&
                        (group = ars__slab_cache_hot(&worker->groups)) != NULL)) {
            begin_owned(handle, group, worker, parent, policy);
            return 0;
        }
    }
    return init_checked(handle, rt, policy);
}
