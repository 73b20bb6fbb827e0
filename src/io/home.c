/* SPDX-License-Identifier: MIT */
#include "io/home.h"

#include <arsenal/clock.h>
#include <string.h>

#include "os/os.h"

/* Events, in the order in which they are dealt with. */
enum {
    MOVED = 1,  /* for the loop that wants it: the answer is in 'moved' */
    MOVE = 2,   /* for its home: it is wanted elsewhere */
    CLOSE = 4,  /* for its home */
    SETTLE = 8, /* for its home: it is closed and waits to be freed */
};

/* ---- the hub ---- */

int ars__hub_join(ars__loop *loop, ars__worker *worker)
{
    const ars_alloc *alloc = loop->alloc;
    ars_atomic_ptr *shared = ars__worker_shared(worker);
    ars__hub *hub = ars_atomic_ptr_load_acquire(shared);
    if (!hub) {
        ars__hub *made = alloc->alloc(alloc->ctx, sizeof *made, 64);
        if (!made) return ARS_ENOMEM;
        *made = (ars__hub){.alloc = alloc};
        ars__slab_init(&made->conns, alloc, sizeof(ars__source), 64);
        ars__list_init(&made->loose);
        void *first = NULL;
        if (ars_atomic_ptr_cas_acq_rel(shared, &first, made)) {
            hub = made;
        } else {
            alloc->free(alloc->ctx, made, sizeof *made, 64);
            hub = first;
        }
    }
    ars_spin_lock(&hub->lock);
    hub->loops++;
    ars_spin_unlock(&hub->lock);
    loop->hub = hub;
    loop->worker = worker;
    return 0;
}

static void hub_free(ars__hub *hub)
{
    const ars_alloc *alloc = hub->alloc;
    while (!ars__list_empty(&hub->loose)) {
        ars__source *source = ARS__MEMBER(hub->loose.next, ars__source, node);
        ars_atomic_u32_store_relaxed(&source->events, 0);
        source->pins = 0;
        source->closing = 1;
        ars__source_settle(source);
    }
    for (ars__loop *loop = hub->closed, *next; loop; loop = next) {
        next = loop->next_closed;
        alloc->free(alloc->ctx, loop, loop->size, 64);
    }
    ars__slab_deinit(&hub->conns);
    alloc->free(alloc->ctx, hub, sizeof *hub, 64);
}

void ars__loop_end(ars__loop *loop, size_t size)
{
    ars__hub *hub = loop->hub;
    if (!hub) {
        loop->alloc->free(loop->alloc->ctx, loop, size, 64);
        return;
    }
    /* What is left is held by a mail that somebody may be reading. */
    while (!ars__list_empty(&loop->sources))
        ars__source_loosen(ARS__MEMBER(loop->sources.next, ars__source, node));
    loop->size = size;
    ars_spin_lock(&hub->lock);
    loop->next_closed = hub->closed;
    hub->closed = loop;
    int last = --hub->loops == 0;
    ars_spin_unlock(&hub->lock);
    if (last) hub_free(hub);
}

/* A program that has sources may have cases of them: see classes[] of run/select.c. */
__attribute__((used)) static const ars__waitable_class *const cases = &ars__source_waitable;

/* ---- the list ---- */

static ars__loop *home_of(const ars__source *source)
{
    return __atomic_load_n(&source->loop, __ATOMIC_ACQUIRE);
}

void ars__source_init(ars__source *source, ars__hub *hub, int fd, int kind,
                      void (*freed)(ars__source *))
{
    ars__san_ignore_begin(); /* the slab is shared, and its lock not seen */
    *source = (ars__source){.hub = hub, .fd = fd, .kind = (uint8_t)kind, .freed = freed};
    ars__san_ignore_end();
    source->read.source = source;
    ars_spin_lock(&hub->lock);
    ars__list_append(&hub->loose, &source->node);
    ars_spin_unlock(&hub->lock);
}

void ars__source_loosen(ars__source *source)
{
    ars__hub *hub = source->hub;
    ars__list_remove(&source->node);
    ars_spin_lock(&hub->lock);
    ars__list_append(&hub->loose, &source->node);
    __atomic_store_n(&source->loop, NULL, __ATOMIC_RELEASE);
    ars_spin_unlock(&hub->lock);
}

void ars__source_unlist(ars__source *source)
{
    ars__hub *hub = source->hub;
    int loose = !source->loop;
    if (loose) ars_spin_lock(&hub->lock);
    ars__list_remove(&source->node);
    if (loose) ars_spin_unlock(&hub->lock);
}

int ars__source_take(ars__source *source, ars__loop *loop)
{
    ars__hub *hub = source->hub;
    ars_spin_lock(&hub->lock);
    ars__loop *home = source->loop;
    if (home) {
        ars_spin_unlock(&hub->lock);
        return home == loop ? 0 : ARS_EBUSY;
    }
    ars__list_remove(&source->node);
    __atomic_store_n(&source->loop, loop, __ATOMIC_RELAXED);
    ars_spin_unlock(&hub->lock);
    ars__list_append(&loop->sources, &source->node);
    source->generation = ++loop->generation;
    int rc = loop->backend->source_open(source);
    if (rc < 0) ars__source_loosen(source);
    return rc;
}

/* ---- what is carried ---- */

static void carried_free(ars__source *source, ars__carried *c)
{
    const ars_alloc *alloc = source->hub->alloc;
    if (c) alloc->free(alloc->ctx, c, sizeof *c + c->len, 8);
}

void ars__source_drop_carried(ars__source *source)
{
    carried_free(source, source->carried);
    source->carried = NULL;
}

static char *carry(ars__source *source, uint32_t more, int in_front)
{
    const ars_alloc *alloc = source->hub->alloc;
    ars__carried *old = source->carried;
    uint32_t rest = old ? old->len - old->at : 0;
    ars__carried *c = alloc->alloc(alloc->ctx, sizeof *c + rest + more, 8);
    if (!c) return NULL;
    *c = (ars__carried){.len = rest + more};
    ars__san_acquire(source);
    if (rest) memcpy(c->data + (in_front ? more : 0), old->data + old->at, rest);
    carried_free(source, old);
    source->carried = c;
    return c->data + (in_front ? 0 : rest);
}

char *ars__source_carry(ars__source *source, uint32_t more)
{
    return carry(source, more, 0);
}

char *ars__source_put_back(ars__source *source, uint32_t more)
{
    return carry(source, more, 1);
}

size_t ars__source_carried(ars__source *source, char *buf, size_t n)
{
    ars__carried *c = source->carried;
    if (n > c->len - c->at) n = c->len - c->at;
    ars__san_acquire(source);
    memcpy(buf, c->data + c->at, n);
    c->at += (uint32_t)n;
    if (c->at == c->len) ars__source_drop_carried(source);
    return n;
}

/* ---- events ---- */

/* Why the home cannot let go of it, or 0. */
static int held_by(const ars__source *source)
{
    if (source->closing) return ARS_EBADF;
    if (source->pins || source->sending || source->served) return ARS_EBUSY;
    if (source->kind == ARS__LISTENER) return source->accepts->first ? ARS_EBUSY : 0;
    return source->reader || source->writer ? ARS_EBUSY : 0;
}

/* The home lets go of it: 0, or why it does not; ARS__PENDING: it will be told. */
static int let_go(ars__source *source)
{
    int rc = held_by(source);
    if (rc < 0) return rc;
    rc = source->loop->backend->source_leave(source);
    if (rc < 0) return rc;
    if (rc == 0) {
        source->moving = 1;
        return ARS__PENDING;
    }
    ars__source_loosen(source);
    return 0;
}

/* The answer has come to the loop that asked. */
static void end_move(ars__source *source, ars__loop *here)
{
    ars__request *movers = source->movers;
    int rc = source->moved;
    source->movers = NULL;
    if (rc == 0 && movers) rc = ars__source_take(source, here);
    ars_atomic_ptr_store_release(&source->wants, NULL);
    while (movers) {
        ars__request *next = movers->next;
        /* Until that task runs: somebody may close the source first. */
        if (rc == 0 && !ars__task_moves(movers->task)) source->pins++;
        movers->done(movers, rc);
        movers = next;
    }
}

static void send(ars__loop *to, ars__source *source)
{
    /* The source may be gone as soon as it is in the inbox. */
    ars__inbox_push(&to->inbox, &source->mail);
    ars__worker_wake(to->worker);
}

/* Deals with the events of a source whose node it owns; 'here' NULL: on a worker without a loop. */
static void deal(ars__source *source, ars__loop *here)
{
    uint32_t bits = ars_atomic_u32_load_acquire(&source->events);
    while (bits) {
        uint32_t bit = bits & -bits;
        ars__loop *to =
            bit == MOVED ? ars_atomic_ptr_load_acquire(&source->wants) : home_of(source);
        if (to && to != here) {
            send(to, source);
            return;
        }
        if (bit == MOVED) {
            end_move(source, here);
        } else if (bit == MOVE) {
            int rc = to ? let_go(source) : 0;
            if (rc != ARS__PENDING) {
                source->moved = rc;
                ars_atomic_u32_or_acq_rel(&source->events, MOVED);
            }
        } else if (bit == CLOSE) {
            if (!source->closing) ars__source_close(source);
        }
        bits = ars_atomic_u32_and_acq_rel(&source->events, ~bit) & ~bit;
        /* Only the one who settles it frees it; without events it is not ours but then. */
        if (bit == SETTLE && !bits) ars__source_settle(source);
    }
}

static void post(ars__source *source, uint32_t event, ars__loop *here)
{
    if (ars_atomic_u32_or_acq_rel(&source->events, event) == 0) deal(source, here);
}

void ars__source_left(ars__source *source)
{
    ars__loop *here = source->loop;
    source->moving = 0;
    int rc = let_go(source);
    if (rc == ARS__PENDING) return;
    source->moved = rc;
    post(source, MOVED, here);
}

void ars__source_refuse(ars__source *source)
{
    if (!source->moving) return;
    source->moving = 0;
    source->moved = ARS_EBADF;
    post(source, MOVED, source->loop);
}

int ars__source_unmailed(ars__source *source)
{
    if (ARS__LIKELY(ars_atomic_u32_load_acquire(&source->events) == 0)) return 1;
    return ars_atomic_u32_or_acq_rel(&source->events, SETTLE) == 0;
}

void ars__source_misused(ars__task *self)
{
    if (ARS__ASSERTS && self)
        ars__worker_report(ars__task_worker(self),
                           "a connection or listener is used after it was closed");
}

void ars__source_shut(ars__source *source)
{
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(home_of(source) == ARS__GONE)) {
        ars__source_misused(self);
        return;
    }
    ars__poller *poller = self ? ars__task_poller(self) : NULL;
    ars__loop *here = poller ? ARS__MEMBER(poller, ars__loop, poller) : NULL;
    if (ARS__LIKELY(here && home_of(source) == here)) {
        if (ARS__LIKELY(!source->closing))
            ars__source_close(source);
        else
            ars__source_misused(self);
    } else {
        post(source, CLOSE, here);
    }
}

/* ---- loops ---- */

int ars__loop_drain_mail(ars__loop *loop)
{
    ars__inbox_node *node = ars__inbox_take(&loop->inbox), *next;
    int any = node != NULL;
    for (; node; node = next) {
        next = node->next;
        deal(ARS__MEMBER(node, ars__source, mail), loop);
    }
    for (node = ars__inbox_take(&loop->loans); node; node = next) {
        next = node->next;
        ars__san_acquire(node);
        loop->backend->loan_return(loop, ((ars__lent *)(void *)node)->loan);
    }
    return any;
}

/* Returned twice, at least. */
static ARS__NOINLINE void loan_misused(ars__task *self)
{
    if (ARS__ASSERTS && self)
        ars__worker_report(ars__task_worker(self), "a loan is given back that is not out");
}

void ars__loan_return(ars__loop *loop, uint64_t out)
{
    ars__task *self = ars__task_self();
    uint64_t loan = (uint32_t)out;
    uint8_t times = (uint8_t)(out >> 32), *lent = &loop->lent[loan];
    /* Relaxed: what it guards goes by the inbox, or stays here. */
    if (ARS__LIKELY(self && ars__task_poller(self) == &loop->poller)) {
        if (ARS__UNLIKELY(__atomic_load_n(lent, __ATOMIC_RELAXED) != times)) {
            loan_misused(self);
            return;
        }
        __atomic_store_n(lent, (uint8_t)(times + 1), __ATOMIC_RELAXED);
        loop->backend->loan_return(loop, loan);
        return;
    }
    if (!__atomic_compare_exchange_n(lent, &times, (uint8_t)(times + 1), 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
        loan_misused(self);
        return;
    }
    /* It waits in its own buffer; the loop need not be woken, it looks before it receives. */
    ars__lent *mail = loop->backend->loan_room(loop, loan);
    mail->loan = loan;
    ars__san_release(mail);
    ars__inbox_push(&loop->loans, &mail->node);
}

/* ---- fetching ---- */

static const ars__wait_class fetching = {"the move of a connection", ars__request_interrupt};

/* It has come, and may have been closed since. */
static int arrived(ars__source *source)
{
    source->pins--;
    if (ARS__LIKELY(!source->closing)) return 0;
    ars__source_settle(source);
    return ARS_EBADF;
}

static int refused(ars__task *self)
{
    if (ARS__ASSERTS)
        ars__worker_report(ars__task_worker(self),
                           "a connection or listener was refused: another worker is using it");
    return ARS_EBUSY;
}

/* Another loop has asked for it: soon it knows the answer, and then it is our turn. */
static int wait_turn(ars_time deadline)
{
    enum { NAP = 20 * 1000 }; /* ns */
    ars_time now = ars__os_now(), again = ars_time_add(now, NAP);
    if (now >= deadline) return ARS_ETIMEDOUT;
    return ars_sleep(again < deadline ? again : deadline);
}

int ars__source_fetch(ars__source *source, ars__task *self, ars_time deadline)
{
    ars__loop *here;
    if (home_of(source) == ARS__GONE || (ars__source_is_home(source, self) && source->closing)) {
        ars__source_misused(self);
        return ARS_EBADF;
    }
    int rc = ars__loop_get(&here, self);
    if (rc < 0) return rc;
    rc = ars__source_take(source, here);
    if (rc != ARS_EBUSY) return rc;
    rc = ars__wait_enter(self, deadline);
    while (rc == 0 && !ars__source_is_home(source, self)) {
        rc = ars__loop_get(&here, self);
        if (rc < 0) return rc;
        ars__loop_drain(here);
        void *wants = ars_atomic_ptr_load_acquire(&source->wants);
        if (!wants) {
            rc = ars__source_take(source, here);
            if (rc != ARS_EBUSY) return rc;
            rc = 0;
            if (!ars_atomic_ptr_cas_acq_rel(&source->wants, &wants, here)) continue;
            post(source, MOVE, here);
            /* The answer comes in a turn of this worker, or has come already. */
            if (ars_atomic_ptr_load_acquire(&source->wants) != here) continue;
        } else if (wants != here) {
            rc = wait_turn(deadline);
            continue;
        }
        if (deadline == 0) return ARS_ETIMEDOUT;
        ars__request request = {.kind = ARS__MOVE,
                                .task = self,
                                .done = ars__request_wake,
                                .source = source,
                                .next = source->movers};
        source->movers = &request;
        rc = ars__request_park(&request, &fetching, deadline);
        if (rc == ARS_EBUSY) return refused(self);
        if (rc == 0 && !ars__task_moves(self)) rc = arrived(source);
    }
    return rc;
}
