/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_CHANNEL_H
#define ARS_RUN_CHANNEL_H

/*
 * The inside of a channel.  Private to chan.c, batch.c, lane.c and subscribe.c.
 *
 * Everything of the first cache line but 'kind' is guarded by the lock, or by
 * the section that a worker has which is alone with the channel (bias.h).  What
 * is true while both are free:
 *
 *   - receivers wait only if the channel holds nothing and no sender waits;
 *   - senders wait only if it is full and no receiver waits;
 *   - nobody waits if it is closed;
 *
 * where nodes of selects that have been decided elsewhere do not count, nor
 * does a select that both sends and receives here meet itself.
 *
 * For ThreadSanitizer a channel has two addresses: who sends releases SENT and
 * who receives acquires it; who receives releases TAKEN and who sends acquires
 * it.  Both sides acquire before they copy, because they copy from and to what
 * is the other's.
 */

#include <arsenal/chan.h>
#include <arsenal/spin.h>

#include <string.h>

#include "base/point.h"
#include "base/san.h"
#include "data/list.h"
#include "run/bias.h"
#include "run/sched.h"
#include "run/waitable.h"

enum ars__chan_kind {
    ARS__CHAN_FREED = 0,
    ARS__CHAN_WORD = 1, /* plain, values of 8 bytes: for which there is a faster path */
    ARS__CHAN_PLAIN = 2,
    ARS__CHAN_SUBSCRIBER = 3, /* somebody sends through its source only */
    ARS__CHAN_SOURCE = 4,
    ARS__CHAN_SPSC = 5, /* these two are ars__lanes */
    ARS__CHAN_MPSC = 6
};

struct ars_chan {
    ars_spin lock;
    uint8_t kind;
    uint8_t closed;
    uint8_t lagged; /* a subscriber has lost values and not said so */
    uint8_t latest; /* a subscriber, or source, that does not say so */
    uint32_t elem, cap;
    uint32_t count, head;
    ars__waitq receivers, senders;
    ars__bias bias; /* its claim is the line's last word */
    /* The rest is not touched by sends and receives. */
    const ars_alloc *alloc;
    ars_chan *source; /* of a subscriber; NULL when that is gone */
    ars__list subs;   /* of a source: its subscribers; of a subscriber: its place there */
    /* The slots follow. */
};

#define ARS__CHAN_SENT(chan)  ((void *)&(chan)->count)
#define ARS__CHAN_TAKEN(chan) ((void *)&(chan)->head)

static inline int ars__chan_is_lane(const ars_chan *chan)
{
    return chan->kind >= ARS__CHAN_SPSC;
}

/*
 * Locks the channel, for a caller on worker 'me' (NULL: on a thread), and
 * returns the word that the unlock clears.  The first leaves it to the caller,
 * who must not touch the channel before, to ask whether the section is foreign.
 */
static inline ars_atomic_u32 *ars__chan_lock_only(ars_chan *chan, void *me)
{
    if (ars__bias_enter(&chan->bias, me)) return &chan->bias.busy;
    ars_spin_lock_busy(&chan->lock);
    return &chan->lock.held;
}

static inline ars_atomic_u32 *ars__chan_lock(ars_chan *chan, void *me)
{
    ars_atomic_u32 *lock = ars__chan_lock_only(chan, me);
    if (ars__bias_is_foreign(&chan->bias, me)) ars__bias_end(&chan->bias);
    return lock;
}

static inline void ars__chan_unlock(ars_atomic_u32 *locked)
{
    /* Release: pairs with the acquire of who locks next; on the way of ars_spin_unlock(). */
    ars_atomic_u32_store_release(locked, 0);
}

/* The channel is locked: somebody on worker 'me' waits, after as many uses as it has slots. */
static inline void ars__chan_wait(ars_chan *chan, ars__waitq *queue, ars__node *node, void *me)
{
    ars__waitq_append(queue, node);
    if (me) ars__bias_use(&chan->bias, me, chan->cap + 1);
}

static inline void ars__chan_copy(void *to, const void *from, uint32_t elem)
{
    if (ARS__LIKELY(elem == 8))
        __builtin_memcpy(to, from, 8);
    else if (elem)
        memcpy(to, from, elem);
}

static inline char *ars__chan_slot(ars_chan *chan, uint32_t i)
{
    return (char *)(chan + 1) + (size_t)i * chan->elem;
}

/* The slot behind the last value. */
static inline uint32_t ars__chan_tail(const ars_chan *chan)
{
    uint64_t i = (uint64_t)chan->head + chan->count;
    return (uint32_t)(i >= chan->cap ? i - chan->cap : i);
}

static inline void ars__chan_advance(ars_chan *chan)
{
    if (++chan->head == chan->cap) chan->head = 0;
}

/*
 * The channel is locked.  The value goes to a receiver, whose node is then in
 * '*woken' to be woken after the unlock, or into a slot.  0, ARS_EPIPE,
 * ARS__NOT_READY.
 */
static inline int ars__chan_put(ars_chan *chan, const void *value, ars__node **woken)
{
    *woken = NULL;
    if (chan->closed) return ARS_EPIPE;
    ars__node *node = ars__waitq_take(&chan->receivers);
    ars__san_acquire(ARS__CHAN_TAKEN(chan));
    if (node) {
        ars__chan_copy(node->value, value, chan->elem);
        *woken = node;
    } else if (chan->count < chan->cap) {
        ars__chan_copy(ars__chan_slot(chan, ars__chan_tail(chan)), value, chan->elem);
        chan->count++;
    } else {
        return ARS__NOT_READY;
    }
    ars__san_release(ARS__CHAN_SENT(chan));
    return 0;
}

/* The same for a receive; the woken one is a sender. */
static inline int ars__chan_take(ars_chan *chan, void *value, ars__node **woken)
{
    *woken = NULL;
    if (ARS__UNLIKELY(chan->lagged)) {
        chan->lagged = 0;
        return ARS_EOVERFLOW;
    }
    ars__san_acquire(ARS__CHAN_SENT(chan));
    if (chan->count) {
        char *slot = ars__chan_slot(chan, chan->head);
        ars__chan_copy(value, slot, chan->elem);
        ars__chan_advance(chan);
        ars__node *node = ars__waitq_take(&chan->senders);
        if (node) { /* the channel is full: the slot just emptied is the last */
            ars__chan_copy(slot, node->value, chan->elem);
            ars__san_release(ARS__CHAN_SENT(chan));
            *woken = node;
        } else {
            chan->count--;
        }
    } else {
        ars__node *node = ars__waitq_take(&chan->senders);
        if (!node) return chan->closed ? ARS_EPIPE : ARS__NOT_READY;
        ars__chan_copy(value, node->value, chan->elem);
        *woken = node;
    }
    ars__san_release(ARS__CHAN_TAKEN(chan));
    return 0;
}

/*
 * Whether a receive or a send surely cannot be done now, decided without the
 * lock.  Looking at 'closed' last makes it right: nothing is ever opened again,
 * so the channel was open when it was seen empty, or full.  One word decides:
 * with slots a sender that waits means a full channel, a receiver that waits
 * means an empty one.
 */
static inline int ars__chan_no_value(const ars_chan *chan)
{
    if (chan->cap ? __atomic_load_n(&chan->count, __ATOMIC_ACQUIRE) != 0
                  : __atomic_load_n(&chan->senders.first, __ATOMIC_ACQUIRE) != NULL)
        return 0;
    return !__atomic_load_n(&chan->closed, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&chan->lagged, __ATOMIC_RELAXED);
}

static inline int ars__chan_no_room(const ars_chan *chan)
{
    if (chan->cap ? __atomic_load_n(&chan->count, __ATOMIC_ACQUIRE) < chan->cap
                  : __atomic_load_n(&chan->receivers.first, __ATOMIC_ACQUIRE) != NULL)
        return 0;
    return !__atomic_load_n(&chan->closed, __ATOMIC_RELAXED);
}

/* The same for a channel that may be of any kind, or freed. */
static inline int ars__chan_surely_empty(const ars_chan *chan)
{
    return (unsigned)chan->kind - 1 < ARS__CHAN_SUBSCRIBER && ars__chan_no_value(chan);
}

static inline int ars__chan_surely_full(const ars_chan *chan)
{
    return (unsigned)chan->kind - 1 < ARS__CHAN_PLAIN && ars__chan_no_room(chan);
}

/* Whether the calling thread's channel can be received from or sent to at all: 0 or an error. */
static inline int ars__chan_receivable(const ars_chan *chan)
{
    if (!chan || chan->kind == ARS__CHAN_SOURCE) return ARS_EINVAL;
    return chan->kind == ARS__CHAN_FREED ? ARS_EBADF : 0;
}

static inline int ars__chan_sendable(const ars_chan *chan)
{
    if (!chan || chan->kind == ARS__CHAN_SUBSCRIBER) return ARS_EINVAL;
    return chan->kind == ARS__CHAN_FREED ? ARS_EBADF : 0;
}

/* ars__wait_enter() for a task that is under no scope, not cancelled, and has budget; else 0. */
static inline int ars__chan_enter(ars__worker *w, const ars__task *self)
{
    if (ARS__UNLIKELY(w->budget <= 0 || self->outermost || self->scope_limit != ARS_FOREVER ||
                      ars_atomic_u32_load_relaxed(&self->group->reason) || ARS_POINT("enter")))
        return 0;
    w->budget--;
    return 1;
}

extern const ars__wait_class ars__recv_class, ars__send_class;

/* ---- subscribe.c ---- */

/* Sends to every subscriber: 0 or ARS_EPIPE. */
int ars__feed_send(ars_chan *source, const void *value);
int ars__feed_close(ars_chan *source);
/* Takes a subscriber out of its source's list, or a source's subscribers from it. */
void ars__feed_leave(ars_chan *sub);
void ars__feed_free(ars_chan *source);

/* ---- chan.c ---- */

/* A channel of 'kind'; NULL when there is no memory.  The sizes have been checked. */
ars_chan *ars__chan_make(const ars_alloc *alloc, unsigned kind, size_t elem, size_t cap);

#endif
