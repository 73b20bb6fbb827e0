/* SPDX-License-Identifier: MIT */
/*
 * Channels whose users have promised that there is one receiver at a time
 * (MPSC), and one sender (SPSC): a ring without a lock.
 *
 * SPSC.  Values lie between 'head' and 'tail'; each side writes its own index
 * and keeps a copy of the other's, which it reads again only when the copy says
 * full or empty.
 *
 * MPSC (Vyukov's queue).  Each cell has a number: it is free for the sender
 * that has drawn position p from 'tail' while the number is p, full for the
 * receiver at p when it is p + 1, and free for the next round at p + capacity.
 *
 * Waiting.  Who finds the ring full or empty takes the channel's lock, sets the
 * side's 'waits', and looks once more before it links its node.  The other side
 * publishes what it did by a read-modify-write and then looks at 'waits'.  Both
 * are sequentially consistent and each writes before it reads what the other
 * has written, so one of them sees the other.  A woken waiter tries again; a
 * select that was woken and has chosen another case passes the wake on.
 *
 * A side of an SPSC channel that one worker has used for long publishes by a
 * plain store, in a section of its own (bias.h).  Who waits on another worker
 * ends that between setting 'waits' and looking once more; what the section
 * had published is seen then, and what comes after sees 'waits'.
 *
 * Closing sets a bit of 'tail', which every send changes by a compare-and-swap,
 * or within a section, which the close ends: so a send is before the close and
 * its value is seen by who finds the ring closed and drained, or it fails.
 */
#include "run/lane.h"

#define CLOSED ((uint64_t)1 << 63)

enum { SPINS = 100 }; /* looks before parking where there is nothing else to run */

typedef struct cell {
    ars_atomic_u64 number; /* MPSC */
    char value[];
} cell;

struct ars__lane {
    ars_chan chan;
    uint32_t mask, stride;
    ARS__ALIGNED(64) ars_atomic_u32 receiver_waits;
    ars_atomic_u32 senders_wait;
    ARS__ALIGNED(64) ars_atomic_u64 tail;
    uint64_t seen_head;
    ars__bias pushing;
    ARS__ALIGNED(64) ars_atomic_u64 head;
    uint64_t seen_tail;
    ars__bias popping;
    ARS__ALIGNED(64) char cells[];
};

typedef struct ars__lane lane;

static lane *lane_of(ars_chan *chan)
{
    return (lane *)(void *)chan;
}

static inline cell *cell_at(lane *l, uint64_t position)
{
    return (cell *)(void *)(l->cells + (size_t)(position & l->mask) * l->stride);
}

static inline char *value_at(lane *l, uint64_t position)
{
    return l->cells + (size_t)(position & l->mask) * l->stride;
}

static inline char *word_at(lane *l, uint64_t position)
{
    return l->cells + (size_t)(position & l->mask) * 8;
}

static size_t stride_of(int multi, size_t elem)
{
    return (multi ? sizeof(cell) : 0) + ((elem + 7) & ~(size_t)7);
}

ars_chan *ars__lane_make(const ars_alloc *alloc, int multi, size_t elem, size_t cap)
{
    size_t stride = stride_of(multi, elem), cells = 2;
    while (cells < cap) cells *= 2;
    if (!alloc) alloc = ars_alloc_default();
    if ((stride && cells > (SIZE_MAX - sizeof(lane)) / stride) || stride > UINT32_MAX) return NULL;
    lane *l = alloc->alloc(alloc->ctx, sizeof *l + cells * stride, 64);
    if (!l) return NULL;
    memset(l, 0, sizeof *l);
    l->chan.kind = multi ? ARS__CHAN_MPSC : ARS__CHAN_SPSC;
    l->chan.elem = (uint32_t)elem;
    l->chan.cap = (uint32_t)cells;
    l->chan.alloc = alloc;
    l->mask = (uint32_t)cells - 1;
    l->stride = (uint32_t)stride;
    for (size_t i = 0; multi && i < cells; i++)
        ars_atomic_u64_store_relaxed(&cell_at(l, i)->number, i);
    return &l->chan;
}

size_t ars__lane_size(const ars_chan *chan)
{
    return sizeof(lane) + (size_t)chan->cap * stride_of(chan->kind == ARS__CHAN_MPSC, chan->elem);
}

size_t ars__lane_len(const ars_chan *chan)
{
    const lane *l = (const lane *)(const void *)chan;
    /* Head first: it never overtakes the tail. */
    uint64_t head = ars_atomic_u64_load_acquire(&l->head);
    uint64_t n = (ars_atomic_u64_load_acquire(&l->tail) & ~CLOSED) - head;
    return n > chan->cap ? chan->cap : (size_t)n;
}

/* ---- the two ends ---- */

static inline int has_room(lane *l)
{
    for (;;) {
        uint64_t tail = ars_atomic_u64_load_seq_cst(&l->tail);
        if (tail & CLOSED) return 1;
        if (l->chan.kind == ARS__CHAN_SPSC)
            return tail - ars_atomic_u64_load_seq_cst(&l->head) <= l->mask;
        uint64_t number = ars_atomic_u64_load_seq_cst(&cell_at(l, tail)->number);
        /* Beyond: another sender has drawn this position meanwhile, so it says nothing of the next. */
        if ((int64_t)(number - tail) <= 0) return number == tail;
    }
}

static inline int has_value(lane *l)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&l->head);
    uint64_t tail = ars_atomic_u64_load_seq_cst(&l->tail);
    if (tail == (head | CLOSED)) return 1;
    if (l->chan.kind == ARS__CHAN_SPSC) return (tail & ~CLOSED) != head;
    return ars_atomic_u64_load_seq_cst(&cell_at(l, head)->number) == head + 1;
}

/* Wakes the first who waits, to try again. */
static ARS__NOINLINE void wake(lane *l, ars__waitq *queue, ars_atomic_u32 *waits)
{
    ars_spin_lock(&l->chan.lock);
    ars__node *node = ars__waitq_take(queue);
    if (!queue->first) ars_atomic_u32_store_relaxed(waits, 0);
    ars_spin_unlock(&l->chan.lock);
    if (node)
        ars__node_wake(node, ARS__RETRY,
                       queue == &l->chan.receivers ? ARS__WAKE_NEXT : ARS__WAKE_TAIL);
}

static inline int push_single(lane *l, const void *value, uint32_t elem)
{
    uint64_t tail = ars_atomic_u64_load_relaxed(&l->tail);
    if (ARS__UNLIKELY(tail & CLOSED)) return ARS_EPIPE;
    if (ARS__UNLIKELY(tail - l->seen_head > l->mask)) {
        /* Acquire: pairs with the exchange in pop_single(), after which the slot is ours. */
        l->seen_head = ars_atomic_u64_load_acquire(&l->head);
        if (tail - l->seen_head > l->mask) return ARS__NOT_READY;
    }
    ars__san_acquire(ARS__CHAN_TAKEN(&l->chan));
    ars__chan_copy(value_at(l, tail), value, elem);
    ars__san_release(ARS__CHAN_SENT(&l->chan));
    return ars_atomic_u64_cas_seq_cst(&l->tail, &tail, tail + 1) ? 0 : ARS_EPIPE;
}

static inline int push_multi(lane *l, const void *value)
{
    uint64_t tail = ars_atomic_u64_load_relaxed(&l->tail);
    cell *c;
    for (;;) {
        if (ARS__UNLIKELY(tail & CLOSED)) return ARS_EPIPE;
        c = cell_at(l, tail);
        /* Acquire: pairs with the exchange in pop_multi(), after which the cell is free. */
        uint64_t number = ars_atomic_u64_load_acquire(&c->number);
        if (number == tail) {
            if (ars_atomic_u64_cas_seq_cst(&l->tail, &tail, tail + 1)) break;
        } else if ((int64_t)(number - tail) < 0) {
            return ARS__NOT_READY;
        } else {
            tail = ars_atomic_u64_load_relaxed(&l->tail);
        }
    }
    ars__san_acquire(ARS__CHAN_TAKEN(&l->chan));
    ars__chan_copy(c->value, value, l->chan.elem);
    ars__san_release(ARS__CHAN_SENT(&l->chan));
    ars_atomic_u64_swap_seq_cst(&c->number, tail + 1);
    return 0;
}

static inline int pop_single(lane *l, void *value, uint32_t elem)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&l->head);
    if (ARS__UNLIKELY(head == l->seen_tail)) {
        /* Acquire: pairs with the compare-and-swap in push_single(), which shows the values. */
        uint64_t tail = ars_atomic_u64_load_acquire(&l->tail);
        l->seen_tail = tail & ~CLOSED;
        if (head == l->seen_tail) {
            if (!(tail & CLOSED)) return ARS__NOT_READY;
            ars__san_acquire(ARS__CHAN_SENT(&l->chan));
            return ARS_EPIPE;
        }
    }
    ars__san_acquire(ARS__CHAN_SENT(&l->chan));
    ars__chan_copy(value, value_at(l, head), elem);
    ars__san_release(ARS__CHAN_TAKEN(&l->chan));
    ars_atomic_u64_swap_seq_cst(&l->head, head + 1);
    return 0;
}

static inline int pop_multi(lane *l, void *value)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&l->head);
    cell *c = cell_at(l, head);
    /* Acquire: pairs with the exchange in push_multi(), which shows the value. */
    if (ars_atomic_u64_load_acquire(&c->number) != head + 1) {
        if (ars_atomic_u64_load_acquire(&l->tail) != (head | CLOSED)) return ARS__NOT_READY;
        ars__san_acquire(ARS__CHAN_SENT(&l->chan));
        return ARS_EPIPE;
    }
    ars__san_acquire(ARS__CHAN_SENT(&l->chan));
    ars__chan_copy(value, c->value, l->chan.elem);
    ars__san_release(ARS__CHAN_TAKEN(&l->chan));
    ars_atomic_u64_store_relaxed(&l->head, head + 1);
    ars_atomic_u64_swap_seq_cst(&c->number, head + l->mask + 1);
    return 0;
}

int ars__lane_put(ars_chan *chan, const void *value)
{
    lane *l = lane_of(chan);
    int rc =
        chan->kind == ARS__CHAN_SPSC ? push_single(l, value, chan->elem) : push_multi(l, value);
    if (rc == 0 && ARS__UNLIKELY(ars_atomic_u32_load_seq_cst(&l->receiver_waits)))
        wake(l, &chan->receivers, &l->receiver_waits);
    return rc;
}

int ars__lane_take(ars_chan *chan, void *value)
{
    lane *l = lane_of(chan);
    int rc = chan->kind == ARS__CHAN_SPSC ? pop_single(l, value, chan->elem) : pop_multi(l, value);
    if (rc == 0 && ARS__UNLIKELY(ars_atomic_u32_load_seq_cst(&l->senders_wait)))
        wake(l, &chan->senders, &l->senders_wait);
    return rc;
}

/* ---- waiting ---- */

int ars__lane_link(ars_chan *chan, ars__node *node, int to_send)
{
    lane *l = lane_of(chan);
    ars_atomic_u32 *waits = to_send ? &l->senders_wait : &l->receiver_waits;
    ars__waitq *queue = to_send ? &chan->senders : &chan->receivers;
    ars__bias *other = to_send ? &l->popping : &l->pushing;
    ars_spin_lock(&chan->lock);
    ars_atomic_u32_swap_seq_cst(waits, 1);
    if (ars__bias_is_foreign(other, ars__node_task(node)->worker)) ars__bias_end(other);
    int ready = to_send ? has_room(l) : has_value(l);
    if (!ready) {
        ars__san_release(to_send ? ARS__CHAN_SENT(chan) : ARS__CHAN_TAKEN(chan));
        ars__waitq_append(queue, node);
    } else if (!queue->first) {
        ars_atomic_u32_store_relaxed(waits, 0);
    }
    ars_spin_unlock(&chan->lock);
    return ready;
}

void ars__lane_pass_on(ars_chan *chan, int to_send)
{
    lane *l = lane_of(chan);
    if (to_send && has_room(l)) wake(l, &chan->senders, &l->senders_wait);
    if (!to_send && has_value(l)) wake(l, &chan->receivers, &l->receiver_waits);
}

/* With other workers, and nothing else to run on this one, the other side is probably at work. */
static int spin(lane *l, const ars__task *self, int to_send)
{
    const ars__worker *w = self ? self->worker : NULL;
    if (w && (w->rt->n == 1 || w->next || w->head != w->tail)) return 0;
    for (int i = 0; i < SPINS; i++) {
        for (int k = 0; k < 8; k++) ars_atomic_pause();
        if (to_send ? has_room(l) : has_value(l)) return 1;
    }
    return 0;
}

int ars__lane_wait(ars_chan *chan, ars_time deadline, int to_send)
{
    ars__thread room;
    ars__task *here = ars__task_self(), *self = here;
    if (spin(lane_of(chan), here, to_send)) return 0;
    if (!here) self = ars__thread_begin(&room);
    int rc = 0;
    if (!ars__lane_link(chan, ars__task_node(self, NULL), to_send))
        rc = ars__park(self, to_send ? &ars__send_class : &ars__recv_class, chan, deadline);
    return rc < 0 ? rc : 0;
}

int ars__lane_close(ars_chan *chan)
{
    lane *l = lane_of(chan);
    ars__wakes wakes;
    ars__wakes_init(&wakes);
    ars__san_release(ARS__CHAN_SENT(chan));
    ars_spin_lock(&chan->lock);
    if (ars__bias_is_foreign(&l->pushing, ars__worker_self())) ars__bias_end(&l->pushing);
    uint64_t tail = ars_atomic_u64_load_relaxed(&l->tail);
    do {
        if (tail & CLOSED) {
            ars_spin_unlock(&chan->lock);
            return ARS_EPIPE;
        }
    } while (!ars_atomic_u64_cas_seq_cst(&l->tail, &tail, tail | CLOSED));
    ars__wakes_take_all(&wakes, &chan->receivers);
    ars__wakes_take_all(&wakes, &chan->senders);
    ars_spin_unlock(&chan->lock);
    ars__wakes_send(&wakes, ARS__RETRY, ARS__WAKE_TAIL);
    return 0;
}

/* ---- send and receive ---- */

int ars__lane_send(ars_chan *chan, const char *values, size_t n, ars_time deadline)
{
    size_t moved = 0;
    for (;;) {
        int rc = ars__lane_put(chan, values + moved * chan->elem);
        if (ARS__LIKELY(rc == 0)) {
            if (++moved == n) return (int)n;
        } else if (moved) {
            return (int)moved;
        } else if (rc != ARS__NOT_READY) {
            return rc;
        } else if (deadline == 0) {
            return ARS_ETIMEDOUT;
        } else if ((rc = ars__lane_wait(chan, deadline, 1)) < 0) {
            return rc;
        }
    }
}

int ars__lane_recv(ars_chan *chan, char *values, size_t n, ars_time deadline)
{
    size_t moved = 0;
    for (;;) {
        int rc = ars__lane_take(chan, values + moved * chan->elem);
        if (ARS__LIKELY(rc == 0)) {
            if (++moved == n) return (int)n;
        } else if (moved) {
            return (int)moved;
        } else if (rc != ARS__NOT_READY) {
            return rc;
        } else if (deadline == 0) {
            return ARS_ETIMEDOUT;
        } else if ((rc = ars__lane_wait(chan, deadline, 0)) < 0) {
            return rc;
        }
    }
}

static ARS__NOINLINE int send_one(ars_chan *chan, const void *value, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = self ? ars__wait_enter(self, deadline) : 0;
    if (rc == 0) rc = ars__lane_send(chan, value, 1, deadline);
    return rc < 0 ? rc : 0;
}

static ARS__NOINLINE int recv_one(ars_chan *chan, void *value, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = self ? ars__wait_enter(self, deadline) : 0;
    if (rc == 0) rc = ars__lane_recv(chan, value, 1, deadline);
    return rc < 0 ? rc : 0;
}

static ARS__NOINLINE int wake_receiver(lane *l)
{
    wake(l, &l->chan.receivers, &l->receiver_waits);
    return 0;
}

static ARS__NOINLINE int wake_sender(lane *l)
{
    wake(l, &l->chan.senders, &l->senders_wait);
    return 0;
}

static ARS__NOINLINE int grant(lane *l, ars__bias *side, ars__worker *w)
{
    side->streak = 0;
    ars_spin_lock(&l->chan.lock);
    ars__bias_grant(side, w);
    ars_spin_unlock(&l->chan.lock);
    return 0;
}

static inline int push_biased(lane *l, const void *value)
{
    uint64_t tail = ars_atomic_u64_load_relaxed(&l->tail);
    int rc = ARS__NOT_READY;
    if (ARS__UNLIKELY(tail & CLOSED)) goto out;
    if (ARS__UNLIKELY(tail - l->seen_head > l->mask)) {
        /* As in push_single(). */
        l->seen_head = ars_atomic_u64_load_acquire(&l->head);
        if (tail - l->seen_head > l->mask) goto out;
    }
    __builtin_memcpy(word_at(l, tail), value, 8);
    ars_atomic_u64_store_release(&l->tail, tail + 1);
    rc = 0;
out:
    ars__bias_leave(&l->pushing);
    return rc;
}

static inline int pop_biased(lane *l, void *value)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&l->head);
    int rc = ARS__NOT_READY;
    if (ARS__UNLIKELY(head == l->seen_tail)) {
        /* As in pop_single(). */
        l->seen_tail = ars_atomic_u64_load_acquire(&l->tail) & ~CLOSED;
        if (head == l->seen_tail) goto out;
    }
    __builtin_memcpy(value, word_at(l, head), 8);
    ars_atomic_u64_store_release(&l->head, head + 1);
    rc = 0;
out:
    ars__bias_leave(&l->popping);
    return rc;
}

/*
 * Words from one to one go a way without calls, as those of plain channels do,
 * and without read-modify-writes while the worker has this side to itself.
 */
int ars__lane_send_one(ars_chan *chan, const void *value, ars_time deadline)
{
    ars__worker *w = ars__worker_here();
    lane *l = lane_of(chan);
    if (ARS__SAN_FIBERS || !w || chan->kind != ARS__CHAN_SPSC || chan->elem != 8 ||
        !ars__chan_enter(w, w->current))
        return send_one(chan, value, deadline);
    int biased = ars__bias_enter(&l->pushing, w);
    if (ARS__UNLIKELY((biased ? push_biased(l, value) : push_single(l, value, 8)) != 0)) {
        w->budget++;
        return send_one(chan, value, deadline);
    }
    if (ARS__UNLIKELY(ars_atomic_u32_load_seq_cst(&l->receiver_waits))) return wake_receiver(l);
    if (ARS__UNLIKELY(!biased && ++l->pushing.streak >= ARS__STREAK))
        return grant(l, &l->pushing, w);
    return 0;
}

int ars__lane_recv_one(ars_chan *chan, void *value, ars_time deadline)
{
    ars__worker *w = ars__worker_here();
    lane *l = lane_of(chan);
    if (ARS__SAN_FIBERS || !w || chan->kind != ARS__CHAN_SPSC || chan->elem != 8 ||
        !ars__chan_enter(w, w->current))
        return recv_one(chan, value, deadline);
    int biased = ars__bias_enter(&l->popping, w);
    if (ARS__UNLIKELY((biased ? pop_biased(l, value) : pop_single(l, value, 8)) != 0)) {
        w->budget++;
        return recv_one(chan, value, deadline);
    }
    if (ARS__UNLIKELY(ars_atomic_u32_load_seq_cst(&l->senders_wait))) return wake_sender(l);
    if (ARS__UNLIKELY(!biased && ++l->popping.streak >= ARS__STREAK))
        return grant(l, &l->popping, w);
    return 0;
}
