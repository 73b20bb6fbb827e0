/* SPDX-License-Identifier: MIT */
/*
 * Channels.  Documented in <arsenal/chan.h> and channel.h.
 *
 * A send or receive of a word that need not wait costs the channel's first two
 * lines, the task's second, and one read-modify-write to lock; none where the
 * worker has long been alone with the channel (bias.h).  Its function saves
 * nothing on the stack, and neither does the way to a park: everything that
 * would is a function of its own, entered by a jump.
 */
#include "run/channel.h"
#include "run/lane.h"

ARS__STATIC_ASSERT(offsetof(ars_chan, bias.owner) == 64);
ARS__STATIC_ASSERT(_Alignof(ars__worker) > ARS__BIAS_LOW);

enum {
    SHAPES = ARS_CHAN_SPSC | ARS_CHAN_MPSC,
    KNOWN_FLAGS = SHAPES | ARS_CHAN_BROADCAST | ARS_CHAN_LATEST
};

/* ---- making ---- */

ars_chan *ars__chan_make(const ars_alloc *alloc, unsigned kind, size_t elem, size_t cap)
{
    if (!alloc) alloc = ars_alloc_default();
    if (elem && cap > (SIZE_MAX - sizeof(ars_chan)) / elem) return NULL;
    size_t size = sizeof(ars_chan) + elem * cap;
    ars_chan *chan = alloc->alloc(alloc->ctx, size, 64);
    if (!chan) return NULL;
    memset(chan, 0, sizeof *chan);
    chan->kind = (uint8_t)kind;
    chan->elem = (uint32_t)elem;
    chan->cap = (uint32_t)cap;
    chan->alloc = alloc;
    ars__list_init(&chan->subs);
    return chan;
}

int ars_chan_new(ars_chan **out, size_t elem, size_t cap, const ars_chan_opt *opt)
{
    static const ars_chan_opt none;
    unsigned kind = elem == 8 ? ARS__CHAN_WORD : ARS__CHAN_PLAIN;
    if (!opt) opt = &none;
    if (!out || elem > INT32_MAX || cap > INT32_MAX || (opt->flags & ~(unsigned)KNOWN_FLAGS) ||
        (opt->flags & (opt->flags - 1)))
        return ARS_EINVAL;
    ars_chan *chan;
    if (opt->flags & SHAPES) {
        chan = ars__lane_make(opt->alloc, opt->flags == ARS_CHAN_MPSC, elem, cap);
    } else {
        if (opt->flags && cap) return ARS_EINVAL;
        chan = ars__chan_make(opt->alloc, opt->flags ? ARS__CHAN_SOURCE : kind, elem, cap);
    }
    if (!chan) return ARS_ENOMEM;
    chan->latest = opt->flags == ARS_CHAN_LATEST;
    *out = chan;
    return 0;
}

void ars_chan_free(ars_chan *chan)
{
    if (!chan) return;
    if (chan->kind == ARS__CHAN_SOURCE) ars__feed_free(chan);
    if (chan->source) ars__feed_leave(chan);
#if ARS__ASSERTS
    if (chan->receivers.first || chan->senders.first) {
        ars__worker *w = ars__worker_here();
        ars_chan_close(chan);
        if (w) ars__report(w->rt, "a channel was freed that somebody waits for");
        return;
    }
#endif
    const ars_alloc *alloc = chan->alloc;
    size_t size = sizeof *chan + (size_t)chan->elem * chan->cap;
    if (ars__chan_is_lane(chan)) size = ars__lane_size(chan);
    chan->kind = ARS__CHAN_FREED;
    alloc->free(alloc->ctx, chan, size, 64);
}

size_t ars_chan_len(const ars_chan *chan)
{
    if (!chan) return 0;
    return ars__chan_is_lane(chan) ? ars__lane_len(chan)
                                   : __atomic_load_n(&chan->count, __ATOMIC_RELAXED);
}

size_t ars_chan_cap(const ars_chan *chan)
{
    return chan ? chan->cap : 0;
}

int ars_chan_close(ars_chan *chan)
{
    if (!chan) return ARS_EINVAL;
    if (chan->kind == ARS__CHAN_SOURCE) return ars__feed_close(chan);
    if (ars__chan_is_lane(chan)) return ars__lane_close(chan);
    ars__wakes wakes;
    ars__wakes_init(&wakes);
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    if (chan->closed) {
        ars__chan_unlock(lock);
        return ARS_EPIPE;
    }
    chan->closed = 1;
    ars__san_release(ARS__CHAN_SENT(chan));
    ars__san_release(ARS__CHAN_TAKEN(chan));
    ars__wakes_take_all(&wakes, &chan->receivers);
    ars__wakes_take_all(&wakes, &chan->senders);
    ars__chan_unlock(lock);
    ars__wakes_send(&wakes, ARS_EPIPE, ARS__WAKE_TAIL);
    return 0;
}

/* ---- giving up ---- */

static void give_up(ars__task *task, ars__waitq *queue, int why)
{
    ars_chan *chan = ars__task_object(task);
    ars_atomic_u32 *lock = ars__chan_lock(chan, task->worker);
    int waits = ars__node_linked(&task->node);
    if (waits) ars__waitq_remove(queue, &task->node);
    ars__chan_unlock(lock);
    if (waits) ars__ready(task, why);
}

static void recv_interrupt(ars__task *task, int why)
{
    give_up(task, &((ars_chan *)ars__task_object(task))->receivers, why);
}

static void send_interrupt(ars__task *task, int why)
{
    give_up(task, &((ars_chan *)ars__task_object(task))->senders, why);
}

const ars__wait_class ars__recv_class = {"receive", recv_interrupt};
const ars__wait_class ars__send_class = {"send", send_interrupt};

/* ---- send and receive, whatever the channel is ---- */

static ARS__NOINLINE int send_thread(ars_chan *chan, const void *value, ars_time deadline)
{
    ars__thread room;
    ars__task *self = ars__thread_begin(&room);
    ars__node *woken, *node = ars__task_node(self, (void *)(uintptr_t)value);
    ars_atomic_u32 *lock = ars__chan_lock(chan, NULL);
    int rc = ars__chan_put(chan, value, &woken);
    if (rc == ARS__NOT_READY) {
        ars__san_release(ARS__CHAN_SENT(chan));
        ars__chan_wait(chan, &chan->senders, node, NULL);
    }
    ars__chan_unlock(lock);
    if (woken) ars__node_wake(woken, 0, ARS__WAKE_NEXT);
    if (rc == ARS__NOT_READY) {
        rc = ars__park(self, &ars__send_class, chan, deadline);
        ars__san_acquire(ARS__CHAN_TAKEN(chan));
    }
    return rc;
}

static ARS__NOINLINE int recv_thread(ars_chan *chan, void *value, ars_time deadline)
{
    ars__thread room;
    ars__task *self = ars__thread_begin(&room);
    ars__node *woken, *node = ars__task_node(self, value);
    ars_atomic_u32 *lock = ars__chan_lock(chan, NULL);
    int rc = ars__chan_take(chan, value, &woken);
    if (rc == ARS__NOT_READY) {
        ars__san_release(ARS__CHAN_TAKEN(chan));
        ars__chan_wait(chan, &chan->receivers, node, NULL);
    }
    ars__chan_unlock(lock);
    if (woken) ars__node_wake(woken, 0, ARS__WAKE_TAIL);
    if (rc == ARS__NOT_READY) {
        rc = ars__park(self, &ars__recv_class, chan, deadline);
        ars__san_acquire(ARS__CHAN_SENT(chan));
    }
    return rc;
}

static ARS__NOINLINE int send_any(ars_chan *chan, const void *value, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = ars__chan_sendable(chan);
    if (rc < 0) return rc;
    if (self && (rc = ars__wait_enter(self, deadline)) < 0) return rc;
    if (chan->kind == ARS__CHAN_SOURCE) return ars__feed_send(chan, value);
    if (deadline == 0 && ars__chan_no_room(chan)) return ARS_ETIMEDOUT;
    if (!self && deadline != 0) return send_thread(chan, value, deadline);
    void *me = self ? self->worker : NULL;
    ars__node *woken;
    ars_atomic_u32 *lock = ars__chan_lock(chan, me);
    rc = ars__chan_put(chan, value, &woken);
    if (rc == ARS__NOT_READY && deadline != 0) {
        ars__san_release(ARS__CHAN_SENT(chan));
        ars__chan_wait(chan, &chan->senders, ars__task_node(self, (void *)(uintptr_t)value), me);
        ars__chan_unlock(lock);
        rc = ars__park(self, &ars__send_class, chan, deadline);
        ars__san_acquire(ARS__CHAN_TAKEN(chan));
        return rc;
    }
    ars__chan_unlock(lock);
    if (woken) ars__node_wake(woken, 0, ARS__WAKE_NEXT);
    return rc == ARS__NOT_READY ? ARS_ETIMEDOUT : rc;
}

static ARS__NOINLINE int recv_any(ars_chan *chan, void *value, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = ars__chan_receivable(chan);
    if (rc < 0) return rc;
    if (self && (rc = ars__wait_enter(self, deadline)) < 0) return rc;
    if (deadline == 0 && ars__chan_no_value(chan)) return ARS_ETIMEDOUT;
    if (!self && deadline != 0) return recv_thread(chan, value, deadline);
    void *me = self ? self->worker : NULL;
    ars__node *woken;
    ars_atomic_u32 *lock = ars__chan_lock(chan, me);
    rc = ars__chan_take(chan, value, &woken);
    if (rc == ARS__NOT_READY && deadline != 0) {
        ars__san_release(ARS__CHAN_TAKEN(chan));
        ars__chan_wait(chan, &chan->receivers, ars__task_node(self, value), me);
        ars__chan_unlock(lock);
        rc = ars__park(self, &ars__recv_class, chan, deadline);
        ars__san_acquire(ARS__CHAN_SENT(chan));
        return rc;
    }
    ars__chan_unlock(lock);
    if (woken) ars__node_wake(woken, 0, ARS__WAKE_TAIL);
    return rc == ARS__NOT_READY ? ARS_ETIMEDOUT : rc;
}

/* ---- the fast path ---- */

static inline int is_word(const ars_chan *chan)
{
    return ARS__LIKELY(chan && chan->kind == ARS__CHAN_WORD);
}

static inline char *word_slot(ars_chan *chan, uint32_t i)
{
    return (char *)(chan + 1) + (size_t)i * 8;
}

static inline int plain_or_none(const ars__node *node)
{
    return !node || !ars__node_is_select(node);
}

static ARS__NOINLINE int wake_any(ars__task *task, enum ars__how how)
{
    ars__wake(task, 0, how);
    return 0;
}

int ars_chan_send(ars_chan *chan, const void *value, ars_time deadline)
{
    ars__worker *w = ars__worker_here();
    if (ARS__UNLIKELY(ARS__SAN_FIBERS || !w || !is_word(chan) || !ars__chan_enter(w, w->current)))
        return chan && ars__chan_is_lane(chan) ? ars__lane_send_one(chan, value, deadline)
                                               : send_any(chan, value, deadline);
    ars__task *self = w->current;
    ars_atomic_u32 *lock = ars__chan_lock_only(chan, w);
    ars__node *node;
    if (ARS__UNLIKELY(ars__bias_is_foreign(&chan->bias, w) || chan->closed ||
                      !plain_or_none(node = chan->receivers.first))) {
        ars__chan_unlock(lock);
        w->budget++;
        return send_any(chan, value, deadline);
    }
    if (node) {
        ars__task *task = ars__node_task(node);
        ars__waitq_remove(&chan->receivers, node);
        __builtin_memcpy(node->value, value, 8);
        ars__chan_unlock(lock);
        return wake_any(task, ARS__WAKE_NEXT);
    }
    if (chan->count < chan->cap) {
        __builtin_memcpy(word_slot(chan, ars__chan_tail(chan)), value, 8);
        chan->count++;
        ars__chan_unlock(lock);
        return 0;
    }
    if (ARS__UNLIKELY(deadline == 0)) {
        ars__chan_unlock(lock);
        return ARS_ETIMEDOUT;
    }
    self->node.who = (uintptr_t)self;
    self->node.value = (void *)(uintptr_t)value;
    ars__chan_wait(chan, &chan->senders, &self->node, w);
    ars__chan_unlock(lock);
    return ars__park(self, &ars__send_class, chan, deadline);
}

int ars_chan_recv(ars_chan *chan, void *value, ars_time deadline)
{
    ars__worker *w = ars__worker_here();
    if (ARS__UNLIKELY(ARS__SAN_FIBERS || !w || !is_word(chan) || !ars__chan_enter(w, w->current)))
        return chan && ars__chan_is_lane(chan) ? ars__lane_recv_one(chan, value, deadline)
                                               : recv_any(chan, value, deadline);
    ars__task *self = w->current;
    ars_atomic_u32 *lock = ars__chan_lock_only(chan, w);
    ars__node *node;
    if (ARS__UNLIKELY(ars__bias_is_foreign(&chan->bias, w) || (chan->closed && !chan->count) ||
                      !plain_or_none(node = chan->senders.first))) {
        ars__chan_unlock(lock);
        w->budget++;
        return recv_any(chan, value, deadline);
    }
    if (chan->count) {
        char *slot = word_slot(chan, chan->head);
        __builtin_memcpy(value, slot, 8);
        ars__chan_advance(chan);
        if (ARS__LIKELY(!node)) {
            chan->count--;
            ars__chan_unlock(lock);
            return 0;
        }
        __builtin_memcpy(slot, node->value, 8);
    } else if (node) {
        __builtin_memcpy(value, node->value, 8);
    }
    if (node) {
        ars__task *task = ars__node_task(node);
        ars__waitq_remove(&chan->senders, node);
        ars__chan_unlock(lock);
        return wake_any(task, ARS__WAKE_TAIL);
    }
    if (ARS__UNLIKELY(deadline == 0)) {
        ars__chan_unlock(lock);
        return ARS_ETIMEDOUT;
    }
    self->node.who = (uintptr_t)self;
    self->node.value = value;
    ars__chan_wait(chan, &chan->receivers, &self->node, w);
    ars__chan_unlock(lock);
    return ars__park(self, &ars__recv_class, chan, deadline);
}

/* ---- in a select ---- */

static int try_recv(void *object, void *value)
{
    ars_chan *chan = object;
    ars__node *woken;
    int rc = ars__chan_receivable(chan);
    if (rc < 0) return rc;
    if (ars__chan_is_lane(chan)) return ars__lane_take(chan, value);
    if (ars__chan_no_value(chan)) return ARS__NOT_READY;
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    rc = ars__chan_take(chan, value, &woken);
    ars__chan_unlock(lock);
    if (woken) ars__node_wake(woken, 0, ARS__WAKE_TAIL);
    return rc;
}

static int try_send(void *object, void *value)
{
    ars_chan *chan = object;
    ars__node *woken;
    int rc = ars__chan_sendable(chan);
    if (rc < 0) return rc;
    if (chan->kind == ARS__CHAN_SOURCE) return ars__feed_send(chan, value);
    if (ars__chan_is_lane(chan)) return ars__lane_put(chan, value);
    if (ars__chan_no_room(chan)) return ARS__NOT_READY;
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    rc = ars__chan_put(chan, value, &woken);
    ars__chan_unlock(lock);
    if (woken) ars__node_wake(woken, 0, ARS__WAKE_NEXT);
    return rc;
}

static int enqueue_recv(void *object, ars__node *node)
{
    ars_chan *chan = object;
    if (ars__chan_is_lane(chan)) return ars__lane_link(chan, node, 0);
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    int ready = chan->count || chan->closed || chan->lagged ||
                ars__waitq_others(&chan->senders, ars__node_task(node));
    if (!ready) {
        ars__san_release(ARS__CHAN_TAKEN(chan));
        ars__chan_wait(chan, &chan->receivers, node, ars__worker_here());
    }
    ars__chan_unlock(lock);
    return ready;
}

static int enqueue_send(void *object, ars__node *node)
{
    ars_chan *chan = object;
    if (ars__chan_is_lane(chan)) return ars__lane_link(chan, node, 1);
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    int ready = chan->closed || chan->count < chan->cap ||
                ars__waitq_others(&chan->receivers, ars__node_task(node));
    if (!ready) {
        ars__san_release(ARS__CHAN_SENT(chan));
        ars__chan_wait(chan, &chan->senders, node, ars__worker_here());
    }
    ars__chan_unlock(lock);
    return ready;
}

static void dequeue_recv(void *object, ars__node *node)
{
    ars_chan *chan = object;
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    if (ars__node_linked(node)) ars__waitq_remove(&chan->receivers, node);
    ars__chan_unlock(lock);
}

static void dequeue_send(void *object, ars__node *node)
{
    ars_chan *chan = object;
    ars_atomic_u32 *lock = ars__chan_lock(chan, ars__worker_here());
    if (ars__node_linked(node)) ars__waitq_remove(&chan->senders, node);
    ars__chan_unlock(lock);
}

const ars__waitable_class ars__recv_waitable = {"receive",    try_recv, enqueue_recv,
                                                dequeue_recv, NULL,     NULL};
const ars__waitable_class ars__send_waitable = {"send",       try_send, enqueue_send,
                                                dequeue_send, NULL,     NULL};
