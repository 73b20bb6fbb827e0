/* SPDX-License-Identifier: MIT */
/*
 * Serving.  Documented in <arsenal/listener.h>.
 *
 * A served connection is
 *
 *   idle     its READY request is pending
 *   ready    there is something to read, and it waits for a task
 *   busy     a task is in its handler
 *   stalled  it could not be made idle, for want of memory: tried again later
 *
 * and in the list of that name, but for the busy ones.  The tasks, here called
 * runners, take what is ready, one after the other on the same stack.  When
 * there is nothing left a runner rests for a while, since starting another soon
 * would cost more, and then ends.  Only when a handler waits is another runner
 * needed: so before a handler is called the next runner is started or woken, if
 * there is more to do and none has been that has not come yet ('coming').
 * Where handlers do not wait, that one finds nothing to do.
 *
 * Most waits are short: for a write that goes to the kernel with those of the
 * others, when the worker polls.  A runner for each of thousands that are ready
 * at once would only take stacks that stay cold, so there are CROWD at most,
 * beside those whose handlers are really waiting and as many again: begun two
 * looks ago and not over.  Looks are taken only while somebody is kept waiting.
 *
 * The task that serves does the rest: it accepts, closes what has been idle for
 * too long, tries again what failed, and ends it all.
 *
 * All this happens on one worker and needs no lock.  Only drains come from
 * others: listener->server, server->drains and drain->server are guarded by the
 * hub's lock.
 */
#include <arsenal/event.h>
#include <arsenal/group.h>
#include <arsenal/listener.h>
#include <arsenal/scope.h>
#include <string.h>

#include "net/net.h"
#include "os/os.h"

enum {
    STATE_MAX = 64 * 1024,
    STATE_ALIGN = 16,
    NAP = 10 * 1000 * 1000,   /* ns until what failed is tried again */
    LOOK = 4 * 1000 * 1000,   /* ns between two looks at who is waiting */
    REST = 300 * 1000 * 1000, /* ns that a runner rests */
    CROWD = 32                /* runners that rest, or are busy with no reason to expect a wait */
};

/* Handlers that are running by when they were begun: since the last look, the one before, longer ago. */
enum { FRESH, KNOWN, OLD, AGES };

/* server->draining */
enum { DRAIN = 1, DRAIN_CANCEL = 2 };

/* The state follows. */
typedef struct served {
    ARS__ALIGNED(16) ars_conn conn;
    ars__server *server;
    ars__list node;
    ars_time since; /* idle; only kept where that is limited */
} served;

ARS__STATIC_ASSERT(sizeof(served) % STATE_ALIGN == 0);
ARS__STATIC_ASSERT(sizeof(served) + STATE_ALIGN <= 256);

/* A runner that rests; on its stack. */
typedef struct rest {
    ars__task *task;
    ars__server *server;
    struct rest *next;
} rest;

typedef struct drain {
    ars__server *server; /* NULL: it has ended */
    struct drain *next;
    ars_event over;
    ars_drain_report report;
} drain;

struct ars__server {
    ars_listener *listener; /* NULL: it is gone */
    ars__loop *loop;
    ars_serve_fn *handler;
    void *arg;
    ars_serve_opt opt;
    ars_task_opt runner;
    ars_group group; /* the runners */
    ars_event poke;  /* the task that serves has something to do */
    ars__slab slab;
    ars__list idle, ready, stalled; /* 'idle': the longest first */
    ars_time retry;                 /* when what failed is tried again; 0: nothing did */
    ars_time look;                  /* the next look; 0: nobody is kept waiting */
    uint64_t looks;
    uint64_t busy[AGES];
    uint64_t conns, runners;
    rest *resting; /* the one that came last first */
    uint32_t rests;
    ars__request accept;
    int32_t accepted;       /* what it gave; ARS_EAGAIN: nothing new */
    unsigned poked : 1;     /* 'poke' is set */
    unsigned coming : 1;    /* a runner is started and has not run yet */
    unsigned accepting : 1; /* 'accept' is pending */
    unsigned full : 1;      /* it is not, because there are too many connections */
    unsigned stopping : 1;  /* no connection becomes idle any more */
    served *spare;          /* for the next connection */
    ars_drain_report report;
    ars_atomic_u32 draining;
    drain *drains;
};

static void *state_of(served *c)
{
    return c + 1;
}

static served *served_of(ars__list *node)
{
    return ARS__MEMBER(node, served, node);
}

/* To the task that serves.  By its worker. */
static void poke(ars__server *s)
{
    if (s->poked) return;
    s->poked = 1;
    ars_event_set(&s->poke);
}

static void try_again(ars__server *s)
{
    if (!s->retry) s->retry = ars_time_add(ars__os_now(), NAP);
}

/* ---- handlers that are running ---- */

static uint64_t busy(const ars__server *s)
{
    return s->busy[FRESH] + s->busy[KNOWN] + s->busy[OLD];
}

/* One that was begun when there had been 'looks'. */
static void not_busy(ars__server *s, uint64_t looks)
{
    uint64_t age = s->looks - looks;
    s->busy[age < OLD ? age : OLD]--;
}

static void look(ars__server *s, ars_time now)
{
    if (!s->look || s->look > now) return;
    s->look = 0;
    s->looks++;
    s->busy[OLD] += s->busy[KNOWN];
    s->busy[KNOWN] = s->busy[FRESH];
    s->busy[FRESH] = 0;
}

static int is_crowded(ars__server *s)
{
    if (ARS__LIKELY(busy(s) < CROWD + 2 * s->busy[OLD])) return 0;
    if (!s->look) {
        s->look = ars_time_add(ars__os_now(), LOOK);
        poke(s);
    }
    return 1;
}

/* ---- connections ---- */

static int runner(void *server);

/* Sees to it that somebody takes what is ready. */
static void call_runner(ars__server *s)
{
    if (s->coming || is_crowded(s)) return;
    rest *r = s->resting;
    if (ARS__LIKELY(r != NULL)) {
        s->coming = 1;
        s->resting = r->next;
        s->rests--;
        ars__ready(r->task, 0);
        return;
    }
    if (ars_group_go(&s->group, runner, s, &s->runner) == 0) {
        s->coming = 1;
        s->runners++;
        return;
    }
    try_again(s);
    poke(s);
}

static void stall(ars__server *s, served *c)
{
    ars__list_append(&s->stalled, &c->node);
    try_again(s);
    poke(s);
}

static void ready_done(ars__request *request, int32_t result)
{
    served *c = ARS__MEMBER(request, served, conn.source.read);
    ars__server *s = c->server;
    if (ARS__UNLIKELY(result == ARS_EBADF)) return; /* being closed, and in no list */
    ars__list_remove(&c->node);
    if (ARS__LIKELY(result == 0)) {
        ars__list_append(&s->ready, &c->node);
        call_runner(s);
    } else {
        stall(s, c);
    }
}

/* The kernel has let go of it. */
static void freed(ars__source *source)
{
    served *c = ARS__MEMBER(source, served, conn.source);
    ars__server *s = c->server;
    ars__slab_put(&s->slab, c);
    s->conns--;
    if (s->stopping || s->full) poke(s);
}

static void end_conn(ars__server *s, served *c)
{
    ars__san_acquire(c);
    if (s->opt.closed) s->opt.closed(&c->conn, state_of(c), s->arg);
    ars__source_shut(&c->conn.source);
}

/* A request is over, or the first is still to come. */
static void make_idle(ars__server *s, served *c)
{
    ars__source *source = &c->conn.source;
    ars__request *request = &source->read;
    request->kind = ARS__READY;
    request->task = NULL;
    request->done = ready_done;
    request->buf = &c->server; /* what done() touches: backends look ahead */
    int rc = source->loop ? 0 : ars__source_take(source, s->loop);
    if (rc == 0) rc = ars__submit(request, 1);
    if (ARS__LIKELY(rc == ARS__PENDING)) {
        if (s->opt.idle) c->since = ars__os_now();
        ars__list_append(&s->idle, &c->node);
    } else if (rc == 0) {
        ars__list_append(&s->ready, &c->node);
        call_runner(s);
    } else if (rc == ARS_EBUSY) {
        end_conn(s, c); /* it was left with somebody who uses it */
    } else {
        stall(s, c);
    }
}

static void run_ready(ars__server *s, ars__task *self)
{
    while (!ars__list_empty(&s->ready)) {
        served *c = served_of(s->ready.next);
        ars__list_remove(&c->node);
        uint64_t looks = s->looks;
        s->busy[FRESH]++;
        if (!ars__list_empty(&s->ready)) call_runner(s);
        ars__san_acquire(c);
        int rc = s->handler(&c->conn, state_of(c), s->arg);
        ars__task_tidy(self);
        ars__san_release(c);
        not_busy(s, looks);
        if (rc > 0 && !s->stopping)
            make_idle(s, c);
        else
            end_conn(s, c);
        ars__task_next_slice(self);
    }
}

static void rest_interrupt(ars__task *task, int why)
{
    rest *r = ars__task_object(task), **at = &r->server->resting;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    r->server->rests--;
    ars__ready(task, why);
}

static const ars__wait_class resting = {"next request", rest_interrupt};

static int runner(void *server)
{
    ars__server *s = server;
    ars__task *self = ars__task_self();
    int rc = 0;
    while (rc == 0) {
        s->coming = 0;
        run_ready(s, self);
        if (s->stopping || s->rests == CROWD) break;
        rest r = {self, s, s->resting};
        s->resting = &r;
        s->rests++;
        rc = ars__park(self, &resting, &r,
                       ars_time_add(ars__worker_time(ars__task_worker(self)), REST));
    }
    s->runners--;
    if (s->stopping) poke(s);
    return 0;
}

/* ---- the task that serves ---- */

static void accept_done(ars__request *request, int32_t result)
{
    ars__server *s = ARS__MEMBER(request, ars__server, accept);
    s->accepted = result;
    s->accepting = 0;
    poke(s);
}

/* A descriptor, ARS__PENDING, or an error. */
static int32_t next_accepted(ars__server *s)
{
    int32_t rc = s->accepted;
    s->accepted = ARS_EAGAIN;
    if (rc != ARS_EAGAIN) return rc;
    if (s->listener->source.closing) return ARS_EBADF;
    rc = ars__submit(&s->accept, 1);
    s->accepting = rc == ARS__PENDING;
    return rc;
}

/* 0, or ARS_EBADF. */
static int accept_more(ars__server *s)
{
    while (!s->accepting) {
        if (!s->listener) return ARS_EBADF;
        s->full = s->opt.connections && s->conns >= s->opt.connections;
        if (s->retry || s->full) break;
        if (!s->spare && !(s->spare = ars__slab_get(&s->slab))) {
            try_again(s);
            break;
        }
        int32_t fd = next_accepted(s);
        if (fd == ARS_EBADF) return fd;
        if (fd >= 0) {
            served *c = s->spare;
            s->spare = NULL;
            s->conns++;
            memset(c, 0, sizeof *c + s->opt.state_size);
            c->server = s;
            ars__san_release(c);
            ars__source_init(&c->conn.source, s->loop->hub, fd, ARS__STREAM, freed);
            make_idle(s, c);
        } else if (fd != ARS__PENDING) {
            try_again(s);
        }
    }
    return s->listener && !s->listener->source.closing ? 0 : ARS_EBADF;
}

static void retry_stalled(ars__server *s)
{
    ars__list *last = s->stalled.prev;
    while (!ars__list_empty(&s->stalled)) {
        ars__list *node = s->stalled.next;
        ars__list_remove(node);
        make_idle(s, served_of(node));
        if (node == last) break;
    }
}

static void close_idle(ars__server *s, ars_time now)
{
    while (s->opt.idle && !ars__list_empty(&s->idle)) {
        served *c = served_of(s->idle.next);
        if (ars_time_add(c->since, s->opt.idle) > now) break;
        ars__list_remove(&c->node);
        end_conn(s, c);
    }
}

/* When there is something to do without being poked. */
static ars_time next_look(const ars__server *s, ars_time now, ars_time deadline)
{
    ars_time next = s->retry ? s->retry : ARS_FOREVER;
    if (s->look && s->look < next) next = s->look;
    if (s->opt.idle && s->conns) {
        /* Nobody tells when one becomes idle; that one is not due before this. */
        ars_time since = ars__list_empty(&s->idle) ? now : served_of(s->idle.next)->since;
        ars_time due = ars_time_add(since, s->opt.idle);
        if (due < next) next = due;
    }
    return next < deadline ? next : deadline;
}

/* Until something ends it: 0 for a drain, or why. */
static int serve(ars__server *s, ars_time deadline)
{
    for (;;) {
        s->poked = 0;
        ars_time now = ars__os_now();
        if (s->retry && s->retry <= now) {
            s->retry = 0;
            retry_stalled(s);
        }
        look(s, now);
        if (ars_atomic_u32_load_acquire(&s->draining)) return 0;
        int rc = accept_more(s);
        if (rc < 0) return rc;
        if (!s->retry && !ars__list_empty(&s->ready)) call_runner(s);
        close_idle(s, now);
        rc = ars_event_wait(&s->poke, next_look(s, now, deadline));
        if (rc == ARS_ECANCELED) return rc;
        if (rc == ARS_ETIMEDOUT && ars__os_now() >= deadline) return rc;
    }
}

/* ---- the end ---- */

/* Closes all that are in 'list': how many. */
static uint64_t close_all(ars__server *s, ars__list *list)
{
    uint64_t n = 0;
    for (; !ars__list_empty(list); n++) {
        served *c = served_of(list->next);
        ars__list_remove(&c->node);
        end_conn(s, c);
    }
    return n;
}

static void cancel_rest(ars__server *s)
{
    s->report.cancelled = busy(s) + close_all(s, &s->ready);
    ars_group_cancel(&s->group, ARS_ECANCELED);
}

/* Nothing new is begun; returns when everything has ended. */
static void stop(ars__server *s, int rc, ars_time deadline)
{
    ars_scope shield;
    int cancelled = 0;
    ars_shield_enter(&shield, ARS_FOREVER);
    s->stopping = 1;
    if (s->accepting) ars__request_withdraw(&s->accept);
    if (s->accepted >= 0) ars__os_close(s->accepted);
    s->report.finished = busy(s);
    for (ars__list *at = s->ready.next; at != &s->ready; at = at->next) s->report.finished++;
    while (s->resting) rest_interrupt(s->resting->task, ARS_ECANCELED);
    s->report.idle = close_all(s, &s->idle) + close_all(s, &s->stalled);
    for (;;) {
        s->poked = 0;
        ars_time now = ars__os_now();
        if (s->retry && s->retry <= now) s->retry = 0;
        look(s, now);
        if (!cancelled && (rc < 0 || ars_atomic_u32_load_acquire(&s->draining) & DRAIN_CANCEL)) {
            cancel_rest(s);
            cancelled = 1;
        }
        if (!s->retry && !ars__list_empty(&s->ready)) call_runner(s);
        if (s->conns == 0 && s->runners == 0) break;
        ars_time until = cancelled ? ARS_FOREVER : deadline;
        if (s->retry && s->retry < until) until = s->retry;
        if (s->look && s->look < until) until = s->look;
        if (ars_event_wait(&s->poke, until) == ARS_ETIMEDOUT && ars__os_now() >= deadline)
            rc = ARS_ETIMEDOUT;
    }
    s->report.finished -= s->report.cancelled;
    (void)!ars_group_wait(&s->group, ARS_FOREVER);
    ars_scope_leave(&shield);
}

/* Lets go of the listener, and of who waits for the end. */
static void detach(ars__server *s, ars__hub *hub)
{
    ars_spin_lock(&hub->lock);
    if (s->listener) {
        s->listener->server = NULL;
        s->listener->source.served = 0;
    }
    drain *d = s->drains;
    for (drain *each = d; each; each = each->next) each->server = NULL;
    ars_spin_unlock(&hub->lock);
    while (d) {
        drain *next = d->next;
        d->report = s->report;
        ars_event_set(&d->over);
        d = next;
    }
}

void ars__serve_listener_gone(ars_listener *listener)
{
    ars__server *s = listener->server;
    if (!s) return;
    s->listener = NULL;
    poke(s);
}

/* ---- the calls ---- */

static void init(ars__server *s, ars_listener *listener, ars__task *self, const ars_serve_opt *opt)
{
    ars__loop *loop = listener->source.loop;
    *s = (ars__server){.listener = listener, .loop = loop, .accepted = ARS_EAGAIN};
    if (opt) s->opt = *opt;
    s->runner = (ars_task_opt){.name = "serve", .home = ars__worker_number(ars__task_worker(self))};
    s->poke = (ars_event)ARS_EVENT_INIT(ARS_EVENT_AUTO);
    s->accept = (ars__request){
        .kind = ARS__ACCEPT, .task = self, .done = accept_done, .source = &listener->source};
    size_t state = (s->opt.state_size + STATE_ALIGN - 1) & ~(size_t)(STATE_ALIGN - 1);
    ars__slab_init(&s->slab, loop->alloc, sizeof(served) + state, 64);
    ars__list_init(&s->idle);
    ars__list_init(&s->ready);
    ars__list_init(&s->stalled);
}

static int is_valid(const ars_serve_opt *opt)
{
    return !opt || (opt->state_size <= STATE_MAX && opt->idle >= 0 && !opt->ars__pad &&
                    !(opt->ars__reserved[0] | opt->ars__reserved[1] | opt->ars__reserved[2] |
                      opt->ars__reserved[3]));
}

/* Makes the server the listener's: 0, or ARS_EBUSY; 1: it has been drained. */
static int attach(ars__server *s, ars_listener *listener)
{
    ars__hub *hub = listener->source.hub;
    ars_spin_lock(&hub->lock);
    int rc = listener->drained ? 1 : listener->server ? ARS_EBUSY : 0;
    if (rc == 0) {
        listener->server = s;
        listener->source.served = 1;
    }
    ars_spin_unlock(&hub->lock);
    return rc;
}

int ars_listener_serve(ars_listener *listener, ars_serve_fn *handler, void *arg,
                       const ars_serve_opt *opt, ars_time deadline)
{
    ars__task *self = ars__task_self();
    ars__server s;
    if (!self || ars__task_migrates(self) || !handler || !is_valid(opt) || deadline == 0)
        return ARS_EINVAL;
    int rc = ars__source_enter(&listener->source, self, deadline);
    if (rc < 0) return rc;
    ars__hub *hub = listener->source.hub;
    init(&s, listener, self, opt);
    s.handler = handler;
    s.arg = arg;
    rc = ars_group_init(&s.group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    rc = attach(&s, listener);
    if (rc != 0) {
        (void)!ars_group_wait(&s.group, ARS_FOREVER);
        return rc < 0 ? rc : 0;
    }
    rc = serve(&s, deadline);
    stop(&s, rc, deadline);
    detach(&s, hub);
    ars__slab_deinit(&s.slab);
    return rc;
}

int ars_listener_drain(ars_listener *listener, ars_time deadline, ars_drain_report *report)
{
    if (!ars__task_self()) return ARS_EINVAL;
    drain d = {.over = ARS_EVENT_INIT(0)};
    ars__hub *hub = listener->source.hub;
    ars_spin_lock(&hub->lock);
    listener->drained = 1;
    ars__server *s = d.server = listener->server;
    if (s) {
        if (deadline != 0) {
            d.next = s->drains;
            s->drains = &d;
        }
        ars_atomic_u32_or_acq_rel(&s->draining, DRAIN);
        ars_event_set(&s->poke);
    }
    ars_spin_unlock(&hub->lock);
    if (deadline == 0) return s ? ARS_ETIMEDOUT : 0;
    int rc = s ? ars_event_wait(&d.over, deadline) : 0;
    if (rc < 0) {
        ars_scope shield;
        ars_shield_enter(&shield, ARS_FOREVER);
        ars_spin_lock(&hub->lock);
        if (d.server) {
            ars_atomic_u32_or_acq_rel(&s->draining, DRAIN_CANCEL);
            ars_event_set(&s->poke);
        }
        ars_spin_unlock(&hub->lock);
        (void)!ars_event_wait(&d.over, ARS_FOREVER);
        ars_scope_leave(&shield);
    }
    if (report) *report = d.report;
    return d.report.cancelled ? rc : 0;
}
