/* SPDX-License-Identifier: MIT */

/*
 * The epoll backend.
 *
 * A source is registered once, edge-triggered, for both directions.  The peer's
 * end of the stream causes one edge, and none for what came before it.
 *
 * A foreign descriptor is registered at its first wait and stays so until it is
 * closed; each wait arms it anew, one-shot.  epoll knows a registration by the
 * open file and its number together, so that arming fails where the number has
 * become another file's; that one is then registered beside it.  What is left
 * of the old one, if a duplicate keeps the file open, reports once at most, and
 * is told by the number of its watch.  The numbers of sources are known, for
 * arming one of these would take its registration away.
 */

#include <arsenal/run.h>
#include <string.h>
#include <sys/epoll.h>

#include "io/linux/backends.h"
#include "io/ready.h"
#include "os/os.h"

enum { EVENTS = 256 };

/* An event's data: a source with its generation in the high bits; a descriptor with the number of its watch. */
enum { TAG_SOURCE = 0, TAG_FOREIGN = 1, TAG_WAKE = 2, TAG_MASK = 3, WATCH_SHIFT = 33 };

typedef struct loop {
    ars__ready_loop ready;
    int ep;
    uint64_t *owned; /* a bit for each descriptor that is a source's here */
    uint32_t words;
    struct epoll_event events[EVENTS];
} loop;

static loop *loop_of(const ars__loop *base)
{
    return (loop *)(uintptr_t)base; /* it is the first member of the first member */
}

static ars__source *source_of(uint64_t data)
{
    return (void *)(uintptr_t)(data & ((UINT64_C(1) << 48) - 1));
}

/* ---- whose a descriptor is ---- */

static int is_owned(const loop *l, int fd)
{
    uint32_t word = (uint32_t)fd / 64;
    return word < l->words && (l->owned[word] >> (fd & 63) & 1);
}

static ARS__NOINLINE int grow(loop *l, int fd)
{
    const ars_alloc *alloc = l->ready.base.alloc;
    uint32_t words = l->words ? l->words : 16;
    while ((uint32_t)fd / 64 >= words) words *= 2;
    size_t old = l->words * sizeof(uint64_t), size = words * sizeof(uint64_t);
    void *p = l->owned ? alloc->resize(alloc->ctx, l->owned, old, size, 8)
                       : alloc->alloc(alloc->ctx, size, 8);
    if (!p) return ARS_ENOMEM;
    memset((char *)p + old, 0, size - old);
    l->owned = p;
    l->words = words;
    return 0;
}

/* Room for the bit of 'fd'; 0 or ARS_ENOMEM. */
static int make_room(loop *l, int fd)
{
    if (ARS__LIKELY((uint32_t)fd / 64 < l->words)) return 0;
    ars__san_ignore_begin(); /* all tasks of the worker use it */
    int rc = grow(l, fd);
    ars__san_ignore_end();
    return rc;
}

/* ---- foreign descriptors ---- */

static uint64_t foreign_data(int fd, uint32_t watch)
{
    return (uint64_t)watch << WATCH_SHIFT | (uint64_t)(unsigned)fd << 2 | TAG_FOREIGN;
}

static int watch(ars__ready_loop *ready, int fd, unsigned events)
{
    int ep = loop_of(&ready->base)->ep;
    struct epoll_event ev = {.events = events | EPOLLONESHOT,
                             .data.u64 = foreign_data(fd, ready->watches)};
    if (!events) return 0;
    if (is_owned(loop_of(&ready->base), fd)) return ARS_EBUSY;
    int rc = ars__os_epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
    if (rc != ARS_ENOENT) return rc;
    rc = ars__os_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    return rc < 0 ? rc : ARS__READY_OTHER;
}

static void foreign_event(loop *l, uint64_t data, unsigned events)
{
    int fd = (int)((data & ((UINT64_C(1) << WATCH_SHIFT) - 1)) >> 2);
    /* Only so many bits of the number came along. */
    uint32_t watch = l->ready.watches;
    watch -= (watch - (uint32_t)(data >> WATCH_SHIFT)) & (UINT32_MAX >> 1);
    if (ars__ready_is_watched(&l->ready, fd, watch))
        ars__ready_polled(&l->ready, fd, (int32_t)events);
}

/* ---- the turn ---- */

static void event(loop *l, uint64_t data, unsigned events)
{
    if ((data & TAG_MASK) == TAG_FOREIGN) {
        foreign_event(l, data, events);
        return;
    }
    /* The wake-up's count need not be read: each write to it is an edge of its own. */
    if ((data & TAG_MASK) == TAG_WAKE) return;
    ars__source *source = source_of(data);
    ARS__ASSERT(source->generation == data >> 48);
    if (source->generation != data >> 48) return;
    if (events & (EPOLLRDHUP | EPOLLERR)) events |= EPOLLHUP;
    ars__ready_event(source, events);
}

static void look_ahead(const struct epoll_event *events, int i, int n)
{
    if (i + 4 < n && (events[i + 4].data.u64 & TAG_MASK) == TAG_SOURCE) {
        const char *p = (const char *)source_of(events[i + 4].data.u64);
        __builtin_prefetch(p);
        __builtin_prefetch(p + 64);
    }
    if (i + 2 < n && (events[i + 2].data.u64 & TAG_MASK) == TAG_SOURCE) {
        const ars__request *request = source_of(events[i + 2].data.u64)->reader;
        if (request) __builtin_prefetch(request->buf, 1);
        if (request && request->task) ars__ready_prefetch(request->task);
    }
}

static void epoll_turn(ars__poller *poller, ars_time deadline)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    if (ars__loop_drain(&l->ready.base)) deadline = 0;
    int n = ars__os_epoll_wait(l->ep, l->events, EVENTS, deadline);
    for (int i = 0; i < n; i++) {
        look_ahead(l->events, i, n);
        event(l, l->events[i].data.u64, l->events[i].events);
    }
}

/* ---- open and close ---- */

static int epoll_open(ars__loop **out, const ars_alloc *alloc)
{
    loop *l = alloc->alloc(alloc->ctx, sizeof *l, 64);
    if (!l) return ARS_ENOMEM;
    memset(l, 0, sizeof *l);
    int rc = ars__os_epoll_create();
    if (rc < 0) goto no_epoll;
    l->ep = rc;
    rc = ars__ready_open(&l->ready, &ars__epoll_backend, alloc);
    if (rc < 0) goto no_ready;
    l->ready.watch = watch;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = TAG_WAKE};
    rc = ars__os_epoll_ctl(l->ep, EPOLL_CTL_ADD, l->ready.wake_fd, &ev);
    if (rc < 0) goto no_add;
    *out = &l->ready.base;
    return 0;
no_add:
    ars__os_close(l->ready.wake_fd);
no_ready:
    ars__os_close(l->ep);
no_epoll:
    alloc->free(alloc->ctx, l, sizeof *l, 64);
    return rc;
}

static void epoll_close(ars__poller *poller)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    ars__ready_stop(&l->ready);
    ars__os_close(l->ep);
    const ars_alloc *alloc = l->ready.base.alloc;
    if (l->owned) alloc->free(alloc->ctx, l->owned, l->words * sizeof *l->owned, 8);
    ars__ready_close(&l->ready, sizeof *l);
}

/* ---- the contract ---- */

static int epoll_source_open(ars__source *source)
{
    loop *l = loop_of(source->loop);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    ev.data.u64 = (uint64_t)source->generation << 48 | (uint64_t)(uintptr_t)source;
    if (source->kind != ARS__LISTENER) ev.events |= EPOLLOUT | EPOLLRDHUP;
    /* The registration tells the present state too; until then trying tells it. */
    source->readable = source->writable = 1;
    int rc = make_room(l, source->fd);
    if (rc == 0) rc = ars__os_epoll_ctl(l->ep, EPOLL_CTL_ADD, source->fd, &ev);
    if (rc == 0) l->owned[source->fd / 64] |= UINT64_C(1) << (source->fd & 63);
    return rc;
}

static void epoll_source_close(ars__source *source)
{
    /* Closing would do, unless somebody has a duplicate of the descriptor. */
    struct epoll_event ev = {0};
    loop *l = loop_of(source->loop);
    ars__os_epoll_ctl(l->ep, EPOLL_CTL_DEL, source->fd, &ev);
    l->owned[source->fd / 64] &= ~(UINT64_C(1) << (source->fd & 63));
}

static int epoll_source_leave(ars__source *source)
{
    epoll_source_close(source);
    return 1;
}

const ars__backend ars__epoll_backend = {
    .poller = {"epoll", epoll_turn, ars__ready_wake, ars__ready_in_flight, epoll_close},
    .id = ARS_BACKEND_EPOLL,
    .nonblock = 1,
    .open = epoll_open,
    .source_open = epoll_source_open,
    .source_leave = epoll_source_leave,
    .submit = ars__ready_submit,
    .ready = ars__ready_look,
    .cancel = ars__ready_cancel,
    .source_close = epoll_source_close,
    .loan_return = ars__ready_loan_return,
    .loan_room = ars__ready_loan_room,
};
