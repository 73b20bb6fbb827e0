/* SPDX-License-Identifier: MIT */
/* Many values under one lock.  Documented in <arsenal/chan.h>. */
#include "run/channel.h"
#include "run/lane.h"

/* What happened under the lock: how many values have moved, why no more, and who is to be woken. */
typedef struct batch {
    size_t moved;
    int rc;
    ars__wakes wakes;
} batch;

static void put_many(ars_chan *chan, const char *values, size_t n, batch *b)
{
    b->moved = 0;
    b->rc = 0;
    ars__wakes_init(&b->wakes);
    while (b->moved < n) {
        ars__node *woken;
        b->rc = ars__chan_put(chan, values + b->moved * chan->elem, &woken);
        if (b->rc != 0) break;
        if (woken) ars__wakes_add(&b->wakes, woken);
        b->moved++;
    }
}

static void take_many(ars_chan *chan, char *values, size_t n, batch *b)
{
    b->moved = 0;
    b->rc = 0;
    ars__wakes_init(&b->wakes);
    while (b->moved < n) {
        ars__node *woken;
        b->rc = ars__chan_take(chan, values + b->moved * chan->elem, &woken);
        if (b->rc != 0) break;
        if (woken) ars__wakes_add(&b->wakes, woken);
        b->moved++;
    }
}

/* Several receivers are woken in the order in which they came. */
static enum ars__how how(const batch *b)
{
    return b->wakes.first && !b->wakes.first->next ? ARS__WAKE_NEXT : ARS__WAKE_TAIL;
}

static void send_rest(ars_chan *chan, const char *values, size_t n, batch *b, void *me)
{
    ars_atomic_u32 *lock = ars__chan_lock(chan, me);
    put_many(chan, values, n, b);
    ars__chan_unlock(lock);
    ars__wakes_send(&b->wakes, 0, how(b));
}

static void recv_rest(ars_chan *chan, char *values, size_t n, batch *b, void *me)
{
    ars_atomic_u32 *lock = ars__chan_lock(chan, me);
    take_many(chan, values, n, b);
    ars__chan_unlock(lock);
    ars__wakes_send(&b->wakes, 0, ARS__WAKE_TAIL);
}

/* The channel is locked, and full.  Waits until the first value is gone, then sends what goes. */
static int wait_to_send(ars_chan *chan, const char *values, size_t n, ars_time deadline,
                        ars_atomic_u32 *lock)
{
    ars__thread room;
    ars__task *here = ars__task_self(), *self = here ? here : ars__thread_begin(&room);
    ars__san_release(ARS__CHAN_SENT(chan));
    ars__chan_wait(chan, &chan->senders, ars__task_node(self, (void *)(uintptr_t)values),
                   self->worker);
    ars__chan_unlock(lock);
    int rc = ars__park(self, &ars__send_class, chan, deadline);
    ars__san_acquire(ARS__CHAN_TAKEN(chan));
    void *me = self->worker;
    if (rc < 0) return rc;
    if (n == 1) return 1;
    batch rest;
    send_rest(chan, values + chan->elem, n - 1, &rest, me);
    return 1 + (int)rest.moved;
}

static int wait_to_recv(ars_chan *chan, char *values, size_t n, ars_time deadline,
                        ars_atomic_u32 *lock)
{
    ars__thread room;
    ars__task *here = ars__task_self(), *self = here ? here : ars__thread_begin(&room);
    ars__san_release(ARS__CHAN_TAKEN(chan));
    ars__chan_wait(chan, &chan->receivers, ars__task_node(self, values), self->worker);
    ars__chan_unlock(lock);
    int rc = ars__park(self, &ars__recv_class, chan, deadline);
    ars__san_acquire(ARS__CHAN_SENT(chan));
    void *me = self->worker;
    if (rc < 0) return rc;
    if (n == 1) return 1;
    batch rest;
    recv_rest(chan, values + chan->elem, n - 1, &rest, me);
    return 1 + (int)rest.moved;
}

static int source_send_many(ars_chan *source, const char *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = ars__feed_send(source, values + i * source->elem);
        if (rc < 0) return i ? (int)i : rc;
    }
    return (int)n;
}

int ars_chan_send_many(ars_chan *chan, const void *values, size_t n, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = ars__chan_sendable(chan);
    if (rc < 0) return rc;
    if (self && (rc = ars__wait_enter(self, deadline)) < 0) return rc;
    if (n > INT32_MAX) n = INT32_MAX;
    if (n == 0) return 0;
    if (chan->kind == ARS__CHAN_SOURCE) return source_send_many(chan, values, n);
    if (ars__chan_is_lane(chan)) return ars__lane_send(chan, values, n, deadline);
    if (deadline == 0 && ars__chan_no_room(chan)) return ARS_ETIMEDOUT;
    batch b;
    ars_atomic_u32 *lock = ars__chan_lock(chan, self ? self->worker : NULL);
    put_many(chan, values, n, &b);
    if (b.moved == 0 && b.rc == ARS__NOT_READY && deadline != 0)
        return wait_to_send(chan, values, n, deadline, lock);
    ars__chan_unlock(lock);
    ars__wakes_send(&b.wakes, 0, how(&b));
    if (b.moved) return (int)b.moved;
    return b.rc == ARS__NOT_READY ? ARS_ETIMEDOUT : b.rc;
}

int ars_chan_recv_many(ars_chan *chan, void *values, size_t n, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = ars__chan_receivable(chan);
    if (rc < 0) return rc;
    if (self && (rc = ars__wait_enter(self, deadline)) < 0) return rc;
    if (n > INT32_MAX) n = INT32_MAX;
    if (n == 0) return 0;
    if (ars__chan_is_lane(chan)) return ars__lane_recv(chan, values, n, deadline);
    if (deadline == 0 && ars__chan_no_value(chan)) return ARS_ETIMEDOUT;
    batch b;
    ars_atomic_u32 *lock = ars__chan_lock(chan, self ? self->worker : NULL);
    take_many(chan, values, n, &b);
    if (b.moved == 0 && b.rc == ARS__NOT_READY && deadline != 0)
        return wait_to_recv(chan, values, n, deadline, lock);
    ars__chan_unlock(lock);
    ars__wakes_send(&b.wakes, 0, ARS__WAKE_TAIL);
    if (b.moved) return (int)b.moved;
    return b.rc == ARS__NOT_READY ? ARS_ETIMEDOUT : b.rc;
}
