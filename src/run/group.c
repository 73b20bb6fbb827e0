/* SPDX-License-Identifier: MIT */
/*
 * Groups.  Documented in <arsenal/group.h>.
 *
 * The record of a group belongs to the worker that its children run on; other
 * threads send messages.  Messages of one thread arrive in the order sent, so
 * a thread's go is counted before its wait looks; and the inbox is emptied
 * before a group is found to be over, so that a go that happened before the
 * last child's end counts too.
 */
#include "os/os.h"
#include "run/sched.h"

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

static void fill(ars__group *group, ars__worker *worker, ars__task *owner, unsigned policy)
{
    *group = (ars__group){.worker = worker, .owner = owner, .policy = policy, .limit = ARS_FOREVER};
    group->serial = ars_atomic_u64_add_relaxed(&worker->runtime->serial, 1) + 1;
    ars__list_init(&group->children);
    ars__list_init(&group->tasks);
}

void ars__group_link(ars__group *group)
{
    if (group->linked) return;
    group->linked = 1;
    ars__list_append(&group->worker->runtime->groups, &group->all);
}

ars__group *ars__group_new(ars__worker *worker, ars__task *owner, unsigned policy)
{
    ars__group *group = ars__slab_cache_get(&worker->groups);
    if (!group) return NULL;
    fill(group, worker, owner, policy);
    ars__group_link(group);
    if (!owner) return group;
    ars__list_append(&owner->groups, &group->owned);
    group->limit = owner->scope_limit;
    if (owner->shields == 0) {
        group->parent = owner->group;
        ars__list_append(&group->parent->children, &group->link);
        if (group->parent->reason < 0)
            ars__group_cancel_now(group, ARS_ECANCELED, group->parent->reason);
    }
    return group;
}

void ars__group_drop(ars__group *group)
{
    ARS__ASSERT(ars__list_empty(&group->children) && ars__list_empty(&group->tasks));
    /* A cancel that another thread has sent refers to the record: it is taken in first. */
    while (ars_atomic_u32_load_acquire(&group->remote_busy)) {
        ars__sched_drain(group->worker);
        ars__os_thread_yield();
    }
    if (group->parent) ars__list_remove(&group->link);
    if (group->owner) ars__list_remove(&group->owned);
    if (group->linked) ars__list_remove(&group->all);
    group->serial = 0;
    ars__slab_cache_put(&group->worker->groups, group);
}

/* Ends a group without living children and gives its result. */
static int conclude(ars__group *group)
{
    int result = 0;
    if (group->caused)
        result = group->cause;
    else if (group->policy != ARS_FAIL_FAST)
        result = group->first_error;
    ars__san_acquire(group);
    ars__group_drop(group);
    return result;
}

/* ---- cancelling ---- */

static ars__group *tree_next(ars__group *top, ars__group *at)
{
    if (!ars__list_empty(&at->children)) return ARS__MEMBER(at->children.next, ars__group, link);
    while (at != top) {
        if (at->link.next != &at->parent->children)
            return ARS__MEMBER(at->link.next, ars__group, link);
        at = at->parent;
    }
    return NULL;
}

static void mark(ars__group *group, int cause, int reason)
{
    if (!group->caused) {
        group->caused = 1;
        group->cause = cause;
    }
    if (group->reason == 0) group->reason = reason;
}

/*
 * The whole tree is marked before any task of it is told.  A task that waits
 * for a group of the tree then finds that group cancelled already, so telling
 * it does not recurse: trees may be deeper than stacks.
 */
void ars__group_cancel_now(ars__group *group, int cause, int reason)
{
    int cancelled = group->reason < 0;
    mark(group, cause, reason);
    if (cancelled) return;
    for (ars__group *at = tree_next(group, group); at; at = tree_next(group, at))
        mark(at, ARS_ECANCELED, reason);
    for (ars__group *at = group; at; at = tree_next(group, at)) {
        for (ars__list *node = at->tasks.next; node != &at->tasks; node = node->next) {
            ars__task *task = ARS__MEMBER(node, ars__task, siblings);
            if (task->wait && task->shields == 0) ars__task_interrupt(task, ARS_ECANCELED);
        }
    }
}

static void cancel_deliver(ars__worker *worker, ars__message *message)
{
    (void)worker;
    ars__group *group = ARS__MEMBER(message, ars__group, remote);
    ars__group_link(group);
    int reason = group->remote_reason;
    ars__group_cancel_now(group, reason, reason);
    ars_atomic_u32_store_release(&group->remote_busy, 0);
}

void ars_group_cancel(ars_group *handle, int reason)
{
    ars__group *group = record_of(handle);
    if (!group) return;
    if (reason >= 0) reason = ARS_ECANCELED;
    if (ars__worker_here() == group->worker) {
        ars__group_cancel_now(group, reason, reason);
        return;
    }
    /* One message at a time; a second cancel would change nothing anyway. */
    if (ars_atomic_u32_swap_seq_cst(&group->remote_busy, 1)) return;
    group->remote_reason = reason;
    group->remote.deliver = cancel_deliver;
    ars__sched_send(group->worker, &group->remote);
}

/* ---- waiting ---- */

enum { DONE = 1, CANCEL_TAKEN = 2 };

/* A thread that waits: on its stack, touched by the worker until 'done' has all bits that the thread expects. */
typedef struct ars__thread_wait {
    ars__message message;
    ars__message cancel;
    ars__group *group;
    ars_atomic_u32 done;
    int32_t result;
    uint32_t looks_only;
} ars__thread_wait;

static void thread_done(ars__thread_wait *wait, int result)
{
    ars_atomic_u32 *done = &wait->done;
    wait->result = result;
    ars__san_release(wait);
    ars_atomic_u32_or_acq_rel(done, DONE);
    /* The thread may be gone by now: only the word's address is used, and waking nobody is harmless. */
    ars__os_futex_wake(&done->ars__v, 1);
}

void ars__group_child_ended(ars__group *group, int result)
{
    ARS__ASSERT(group->living > 0);
    if (result < 0 && group->first_error == 0) group->first_error = result;
    if (!group->caused) {
        if (group->policy == ARS_FAIL_FAST && result < 0)
            ars__group_cancel_now(group, result, result);
        if (group->policy == ARS_RACE && result >= 0)
            ars__group_cancel_now(group, result, ARS_ECANCELED);
    }
    if (--group->living > 0 || !(group->waiter || group->thread_waiter)) return;
    ars__sched_drain(group->worker);
    if (group->living > 0) return;
    if (group->waiter) {
        ars__task *waiter = group->waiter;
        handle_clear(waiter->object);
        int outcome = conclude(group);
        if (outcome == ARS_ECANCELED && waiter->scope_limit <= waiter->worker->now)
            ars__scope_fired(waiter);
        ars__ready(waiter, outcome);
    } else {
        ars__thread_wait *wait = group->thread_waiter;
        thread_done(wait, conclude(group));
    }
}

/* The deadline or a cancel of the task that waits: its children end first. */
static void wait_interrupt(ars__task *task, int why)
{
    for (ars__list *node = task->groups.next; node != &task->groups; node = node->next) {
        ars__group *group = ARS__MEMBER(node, ars__group, owned);
        if (group->waiter != task) continue;
        int reason =
            why == ARS_ECANCELED && ars__task_cancelled(task) ? task->group->reason : ARS_ETIMEDOUT;
        ars__group_cancel_now(group, why, reason);
        return;
    }
}

static const ars__wait_class wait_class = {"group wait", wait_interrupt};

static void thread_deliver(ars__worker *worker, ars__message *message)
{
    (void)worker;
    ars__thread_wait *wait = ARS__MEMBER(message, ars__thread_wait, message);
    ars__group *group = wait->group;
    ars__group_link(group);
    if (group->waiter || group->thread_waiter) {
        thread_done(wait, ARS_EBUSY);
    } else if (group->living == 0) {
        thread_done(wait, conclude(group));
    } else if (wait->looks_only) {
        thread_done(wait, ARS_ETIMEDOUT);
    } else {
        group->thread_waiter = wait;
    }
}

static void thread_cancel_deliver(ars__worker *worker, ars__message *message)
{
    (void)worker;
    ars__thread_wait *wait = ARS__MEMBER(message, ars__thread_wait, cancel);
    /* The result is out already when the last child was faster. */
    if (!ars_atomic_u32_load_relaxed(&wait->done))
        ars__group_cancel_now(wait->group, ARS_ETIMEDOUT, ARS_ETIMEDOUT);
    /* Tells the thread that the message is no longer under way. */
    ars_atomic_u32 *done = &wait->done;
    ars_atomic_u32_or_acq_rel(done, CANCEL_TAKEN);
    ars__os_futex_wake(&done->ars__v, 1);
}

static int thread_wait(ars_group *handle, ars__group *group, ars_time deadline)
{
    ars__thread_wait wait = {.message.deliver = thread_deliver,
                             .cancel.deliver = thread_cancel_deliver,
                             .group = group,
                             .looks_only = deadline == 0};
    uint32_t expected = DONE, done;
    ars__sched_send(group->worker, &wait.message);
    if (deadline == 0) deadline = ARS_FOREVER;
    while (((done = ars_atomic_u32_load_acquire(&wait.done)) & expected) != expected) {
        if (ars__os_futex_wait(&wait.done.ars__v, done, deadline) != ARS_ETIMEDOUT) continue;
        if (deadline == ARS_FOREVER || ars_atomic_u32_load_acquire(&wait.done)) continue;
        deadline = ARS_FOREVER;
        expected = DONE | CANCEL_TAKEN;
        ars__sched_send(group->worker, &wait.cancel);
    }
    ars__san_acquire(&wait);
    if (!(wait.looks_only && wait.result == ARS_ETIMEDOUT) && wait.result != ARS_EBUSY)
        handle_clear(handle);
    return wait.result;
}

static int below(const ars__task *task, const ars__group *group)
{
    for (const ars__group *at = task->group; at; at = at->parent)
        if (at == group) return 1;
    return 0;
}

int ars_group_wait(ars_group *handle, ars_time deadline)
{
    ars__group *group = record_of(handle);
    if (!group) return ARS_EINVAL;
    ars__worker *worker = ars__worker_here();
    if (!worker) return thread_wait(handle, group, deadline);
    if (worker != group->worker) return ARS_EINVAL;
    ars__task *self = worker->current;
    if (group->owner != self) return below(self, group) ? ARS_EDEADLK : ARS_EINVAL;
    int rc = ars__wait_enter(self, deadline);
    if (rc < 0) {
        int reason = ars_cancel_reason();
        ars__group_cancel_now(group, ARS_ECANCELED, reason ? reason : ARS_ECANCELED);
    }
    if (group->living == 0) ars__sched_drain(worker);
    if (group->living == 0) {
        handle_clear(handle);
        return conclude(group);
    }
    if (deadline == 0) return ARS_ETIMEDOUT;
    group->waiter = self;
    int result = ars__park(self, &wait_class, handle, deadline);
    ars__san_acquire(group);
    return result;
}

/* Waits as the end of a task does: it cannot be cancelled, and the handle may be gone. */
void ars__task_finish_groups(ars__task *task)
{
    task->shields++;
    task->scope_limit = ARS_FOREVER;
    while (!ars__list_empty(&task->groups)) {
        ars__group *group = ARS__MEMBER(task->groups.next, ars__group, owned);
#if ARS__ASSERTS
        const char *name = ars__task_name(task);
        ars__report(task->worker->runtime,
                    "task '%s' ended with a group that it had not waited for",
                    name ? name : "unnamed");
#endif
        ars__group_cancel_now(group, ARS_ECANCELED, ARS_ECANCELED);
        if (group->living == 0) {
            conclude(group);
            continue;
        }
        group->waiter = task;
        ars__park(task, &wait_class, NULL, ARS_FOREVER);
    }
    task->shields--;
}

/* ---- making and filling ---- */

int ars_group_init(ars_group *handle, ars_runtime *rt, unsigned policy)
{
    ars__worker *worker = ars__worker_here();
    if (policy > ARS_RACE || (!rt && !worker)) return ARS_EINVAL;
    if (!rt) rt = worker->runtime;
    ars__group *group;
    if (worker == &rt->worker) {
        group = ars__group_new(worker, worker->current, policy);
        if (!group) return ARS_ENOMEM;
    } else {
        group = ars__slab_get_shared(&rt->group_slab);
        if (!group) return ARS_ENOMEM;
        fill(group, &rt->worker, NULL, policy);
    }
    handle->ars__state[0] = (uintptr_t)group;
    handle->ars__state[1] = group->serial;
    return 0;
}

int ars_group_go(ars_group *handle, ars_fn *fn, void *arg, const ars_task_opt *opt)
{
    ars__group *group;
    if (handle) {
        group = record_of(handle);
    } else {
        ars__worker *worker = ars__worker_here();
        group = worker ? worker->runtime->root_group : NULL;
    }
    return group ? ars__task_go(group, fn, arg, opt) : ARS_EINVAL;
}
