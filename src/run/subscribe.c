/* SPDX-License-Identifier: MIT */
/*
 * Broadcast: a source and the channels that subscribe to it.  Documented in
 * <arsenal/chan.h>.
 *
 * Each subscriber has slots of its own, so that it is an ordinary channel for
 * whoever receives from it, and one that is behind costs nobody else anything.
 * A send copies to each under the source's lock, which gives all of them the
 * same order.  A source's lock is taken before its subscribers'.
 */
#include "run/channel.h"

/* As ars__chan_put(), but a full subscriber loses its oldest value. */
static ars__node *deliver(ars_chan *sub, const void *value)
{
    ars__node *node;
    ars_atomic_u32 *lock = ars__chan_lock(sub, ars__worker_self());
    if (!sub->closed && sub->count == sub->cap) {
        ars__chan_advance(sub);
        sub->count--;
        sub->lagged = !sub->latest;
    }
    ars__chan_put(sub, value, &node);
    ars__chan_unlock(lock);
    return node;
}

static ars_chan *sub_of(ars__list *link)
{
    return ARS__MEMBER(link, ars_chan, subs);
}

int ars__feed_send(ars_chan *source, const void *value)
{
    ars__wakes wakes;
    ars__wakes_init(&wakes);
    ars_spin_lock(&source->lock);
    int rc = source->closed ? ARS_EPIPE : 0;
    if (rc == 0) {
        for (ars__list *at = source->subs.next; at != &source->subs; at = at->next) {
            ars__node *node = deliver(sub_of(at), value);
            if (node) ars__wakes_add(&wakes, node);
        }
    }
    ars_spin_unlock(&source->lock);
    ars__wakes_send(&wakes, 0, ARS__WAKE_TAIL);
    return rc;
}

/* The source is locked. */
static void close_subs(ars_chan *source, ars__wakes *wakes)
{
    for (ars__list *at = source->subs.next; at != &source->subs; at = at->next) {
        ars_chan *sub = sub_of(at);
        ars_atomic_u32 *lock = ars__chan_lock(sub, ars__worker_self());
        sub->closed = 1;
        ars__san_release(ARS__CHAN_SENT(sub));
        ars__wakes_take_all(wakes, &sub->receivers);
        ars__chan_unlock(lock);
    }
}

int ars__feed_close(ars_chan *source)
{
    ars__wakes wakes;
    ars__wakes_init(&wakes);
    ars_spin_lock(&source->lock);
    int rc = source->closed ? ARS_EPIPE : 0;
    source->closed = 1;
    close_subs(source, &wakes);
    ars_spin_unlock(&source->lock);
    ars__wakes_send(&wakes, ARS_EPIPE, ARS__WAKE_TAIL);
    return rc;
}

void ars__feed_leave(ars_chan *sub)
{
    ars_chan *source = sub->source;
    ars_spin_lock(&source->lock);
    ars__list_remove(&sub->subs);
    ars_spin_unlock(&source->lock);
    sub->source = NULL;
}

void ars__feed_free(ars_chan *source)
{
    ars__feed_close(source);
    ars_spin_lock(&source->lock);
    while (!ars__list_empty(&source->subs)) {
        ars_chan *sub = sub_of(source->subs.next);
        ars__list_remove(&sub->subs);
        sub->source = NULL;
    }
    ars_spin_unlock(&source->lock);
}

int ars_chan_subscribe(ars_chan *source, ars_chan **out, size_t lag)
{
    if (!source || !out || source->kind != ARS__CHAN_SOURCE) return ARS_EINVAL;
    if (source->latest) lag = 1;
    if (lag == 0 || lag > INT32_MAX) return ARS_EINVAL;
    ars_chan *sub = ars__chan_make(source->alloc, ARS__CHAN_SUBSCRIBER, source->elem, lag);
    if (!sub) return ARS_ENOMEM;
    sub->latest = source->latest;
    ars_spin_lock(&source->lock);
    int closed = source->closed;
    if (!closed) {
        sub->source = source;
        ars__list_append(&source->subs, &sub->subs);
    }
    ars_spin_unlock(&source->lock);
    if (closed) {
        ars_chan_free(sub);
        return ARS_EPIPE;
    }
    *out = sub;
    return 0;
}
