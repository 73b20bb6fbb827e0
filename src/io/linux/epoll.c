/* SPDX-License-Identifier: MIT */

/*
 * The epoll backend: readiness turned into completion.
 *
 * A source is registered once, edge-triggered, for both directions; what the
 * kernel said last is kept in it, and a request tries its system call first
 * and waits for the next edge only when the kernel has nothing.  A receive
 * that brought less than it could has emptied the socket, which saves the call
 * that would say so; not so after the peer's end of the stream, which causes
 * no further edge.
 *
 * A foreign descriptor is registered one-shot for each wait and removed after
 * it: if its owner closed and reused the number in between, a registration
 * that was kept would never report.  Those who wait for the same one share a
 * registration for the union of what they wait for.
 */

#include <arsenal/run.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "io/lend.h"
#include "io/linux/backends.h"
#include "os/os.h"

enum { EVENTS = 256, BUCKETS = 1024 };
enum { TAG_SOURCE = 0, TAG_FOREIGN = 1, TAG_WAKE = 2, TAG_MASK = 3 };

typedef struct loop {
    ars__loop base;
    int ep, wake_fd;
    ars__lend lend;
    ars__request *polls[BUCKETS]; /* by descriptor */
    struct epoll_event events[EVENTS];
} loop;

static loop *loop_of(const ars__loop *base)
{
    return (loop *)(uintptr_t)base; /* it is the first member */
}

/* ---- streams ---- */

static int32_t try_recv(ars__source *source, char *buf, size_t len)
{
    while (source->readable) {
        int64_t n = ars__os_recv(source->fd, buf, len, 1);
        if (n > 0) {
            if ((size_t)n < len && !source->hung_up) source->readable = 0;
            return (int32_t)n;
        }
        if (n == ARS_EAGAIN)
            source->readable = 0;
        else if (n != ARS_EINTR)
            return (int32_t)n;
    }
    return ARS_EAGAIN;
}

static int32_t try_read(ars__request *request)
{
    ars__source *source = request->source;
    if (request->kind == ARS__RECV) return try_recv(source, request->buf, request->len);
    if (!source->readable) return ARS_EAGAIN;
    ars__lend *lend = &loop_of(source->loop)->lend;
    int id = ars__lend_take(lend);
    if (id < 0) return id;
    char *p = ars__lend_at(lend, (unsigned)id);
    int32_t n = try_recv(source, p, ARS__LEND_SIZE);
    if (n <= 0) {
        ars__lend_give(lend, (unsigned)id);
        return n;
    }
    request->buf = p;
    request->len = (size_t)n;
    request->loan = (unsigned)id;
    return n;
}

static int32_t try_send(ars__request *request)
{
    ars__source *source = request->source;
    while (source->writable) {
        int64_t n = ars__os_send(source->fd, (char *)request->buf + request->progress,
                                 request->len - request->progress, 1);
        if (n >= 0) {
            request->progress += (size_t)n;
            if (request->progress == request->len) return 0;
        } else if (n == ARS_EAGAIN) {
            source->writable = 0;
        } else if (n != ARS_EINTR) {
            return (int32_t)n;
        }
    }
    return ARS_EAGAIN;
}

static int32_t start_connect(ars__request *request)
{
    ars__source *source = request->source;
    int rc = ars__os_connect(source->fd, request->buf, (uint32_t)request->len);
    /* Interrupted, the attempt goes on as well. */
    if (rc != ARS_EINPROGRESS && rc != ARS_EINTR) return rc;
    source->writable = 0;
    return ARS__PENDING;
}

/* The socket has an answer to its connect. */
static int32_t connect_result(const ars__source *source)
{
    int error = 0;
    uint32_t len = sizeof error;
    int rc = ars__os_getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return rc < 0 ? rc : -error;
}

static void stream_event(ars__source *source)
{
    ars__request *reader = source->reader;
    if (reader && source->readable) {
        int32_t rc = try_read(reader);
        if (rc != ARS_EAGAIN) {
            source->reader = NULL;
            reader->done(reader, rc);
        }
    }
    ars__request *writer = source->writer;
    if (writer && source->writable) {
        int32_t rc = writer->kind == ARS__CONNECT ? connect_result(source) : try_send(writer);
        if (rc != ARS_EAGAIN) ars__send_done(source, rc);
    }
}

/* ---- listeners ---- */

static int32_t try_accept(ars__source *source)
{
    while (source->readable) {
        int fd = ars__os_accept(source->fd, NULL, NULL, 1);
        if (fd == ARS_EAGAIN)
            source->readable = 0;
        else if (fd >= 0 || !ars__accept_is_gone(fd))
            return fd;
    }
    return ARS_EAGAIN;
}

static void listener_event(ars__source *source)
{
    while (source->accepts->first) {
        int32_t fd = try_accept(source);
        if (fd == ARS_EAGAIN) return;
        if (fd >= 0)
            ars__accept_done(source, fd);
        else
            ars__accept_failed(source, fd);
    }
}

/* ---- foreign descriptors ---- */

static ars__request **bucket(loop *l, int fd)
{
    return &l->polls[(unsigned)fd & (BUCKETS - 1)];
}

static unsigned wanted(loop *l, int fd)
{
    unsigned events = 0;
    for (ars__request *r = *bucket(l, fd); r; r = r->next) {
        if (r->fd == fd) events |= (unsigned)r->len;
    }
    return events;
}

static int control(loop *l, int op, int fd, unsigned events)
{
    struct epoll_event ev = {.events = events | EPOLLONESHOT,
                             .data.u64 = (uint64_t)(unsigned)fd << 2 | TAG_FOREIGN};
    return ars__os_epoll_ctl(l->ep, op, fd, &ev);
}

/* After some have left. */
static void control_rest(loop *l, int fd)
{
    unsigned events = wanted(l, fd);
    /* An error means that the descriptor was closed under those who wait: they wait until they are cancelled. */
    control(l, events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, events);
}

static int32_t start_poll(loop *l, ars__request *request)
{
    int fd = request->fd;
    unsigned others = wanted(l, fd);
    int rc =
        control(l, others ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, others | (unsigned)request->len);
    if (rc < 0) return rc;
    ars__request **first = bucket(l, fd);
    request->next = *first;
    *first = request;
    ars__loop_count(&l->base, 1);
    return ARS__PENDING;
}

static void end_poll(loop *l, ars__request **at, int32_t result)
{
    ars__request *request = *at;
    *at = request->next;
    ars__loop_count(&l->base, -1);
    request->done(request, result);
}

static void foreign_event(loop *l, int fd, unsigned events)
{
    ars__request **at = bucket(l, fd);
    while (*at) {
        ars__request *request = *at;
        unsigned hit = events & ((unsigned)request->len | EPOLLERR | EPOLLHUP);
        if (request->fd == fd && hit)
            end_poll(l, at, (int32_t)hit);
        else
            at = &request->next;
    }
    control_rest(l, fd);
}

static void cancel_poll(loop *l, ars__request *request)
{
    ars__request **at = bucket(l, request->fd);
    int fd = request->fd;
    while (*at != request) at = &(*at)->next;
    end_poll(l, at, request->why);
    control_rest(l, fd);
}

/* ---- the turn ---- */

static void event(loop *l, uint64_t data, unsigned events)
{
    if ((data & TAG_MASK) == TAG_FOREIGN) {
        foreign_event(l, (int)(data >> 2), events);
        return;
    }
    /* The wake-up's count need not be read: each write to it is an edge of its own. */
    if ((data & TAG_MASK) == TAG_WAKE) return;
    ars__source *source = (void *)(uintptr_t)(data & ((UINT64_C(1) << 48) - 1));
    ARS__ASSERT(source->generation == data >> 48);
    if (source->generation != data >> 48) return;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        source->hung_up = 1;
        events |= EPOLLIN | EPOLLOUT;
    }
    if (events & EPOLLIN) source->readable = 1;
    if (events & EPOLLOUT) source->writable = 1;
    if (source->kind == ARS__STREAM)
        stream_event(source);
    else
        listener_event(source);
}

static void look_ahead(const struct epoll_event *events, int i, int n)
{
    if (i + 4 < n && (events[i + 4].data.u64 & TAG_MASK) == TAG_SOURCE) {
        const char *p = (void *)(uintptr_t)(events[i + 4].data.u64 & ((UINT64_C(1) << 48) - 1));
        __builtin_prefetch(p);
        __builtin_prefetch(p + 64);
    }
    if (i + 2 < n && (events[i + 2].data.u64 & TAG_MASK) == TAG_SOURCE) {
        const ars__source *source =
            (void *)(uintptr_t)(events[i + 2].data.u64 & ((UINT64_C(1) << 48) - 1));
        const ars__request *request = source->reader;
        if (request && request->task) ars__ready_prefetch(request->task);
    }
}

static void epoll_turn(ars__poller *poller, ars_time deadline)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    if (ars__loop_drain(&l->base)) deadline = 0;
    int n = ars__os_epoll_wait(l->ep, l->events, EVENTS, deadline);
    for (int i = 0; i < n; i++) {
        look_ahead(l->events, i, n);
        event(l, l->events[i].data.u64, l->events[i].events);
    }
}

static void epoll_wake(ars__poller *poller)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    uint64_t one = 1;
    ars__os_write(l->wake_fd, &one, sizeof one);
}

static uint64_t epoll_in_flight(const ars__poller *poller)
{
    return __atomic_load_n(&((const ars__loop *)(const void *)poller)->in_flight, __ATOMIC_RELAXED);
}

/* ---- open and close ---- */

static int epoll_open(ars__loop **out, const ars_alloc *alloc)
{
    loop *l = alloc->alloc(alloc->ctx, sizeof *l, 64);
    if (!l) return ARS_ENOMEM;
    memset(l, 0, sizeof *l);
    ars__loop_init(&l->base, &ars__epoll_backend, alloc);
    int rc = ars__os_epoll_create();
    if (rc < 0) goto no_epoll;
    l->ep = rc;
    rc = ars__os_eventfd();
    if (rc < 0) goto no_wake;
    l->wake_fd = rc;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = TAG_WAKE};
    rc = ars__os_epoll_ctl(l->ep, EPOLL_CTL_ADD, l->wake_fd, &ev);
    if (rc < 0) goto no_add;
    *out = &l->base;
    return 0;
no_add:
    ars__os_close(l->wake_fd);
no_wake:
    ars__os_close(l->ep);
no_epoll:
    alloc->free(alloc->ctx, l, sizeof *l, 64);
    return rc;
}

static void epoll_close(ars__poller *poller)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    ars__loop_close_sources(&l->base);
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (l->polls[i]) end_poll(l, &l->polls[i], ARS_ECANCELED);
    }
    ars__os_close(l->ep);
    ars__os_close(l->wake_fd);
    ars__lend_deinit(&l->lend);
    ars__loop_end(&l->base, sizeof *l);
}

/* ---- the contract ---- */

static int epoll_source_open(ars__source *source)
{
    loop *l = loop_of(source->loop);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    ev.data.u64 = (uint64_t)source->generation << 48 | (uint64_t)(uintptr_t)source;
    if (source->kind == ARS__STREAM) ev.events |= EPOLLOUT | EPOLLRDHUP;
    /* The registration tells the present state too; until then trying tells it. */
    source->readable = source->writable = 1;
    return ars__os_epoll_ctl(l->ep, EPOLL_CTL_ADD, source->fd, &ev);
}

static void epoll_source_close(ars__source *source)
{
    /* Closing would do, unless somebody has a duplicate of the descriptor. */
    struct epoll_event ev = {0};
    ars__os_epoll_ctl(loop_of(source->loop)->ep, EPOLL_CTL_DEL, source->fd, &ev);
}

static int epoll_source_leave(ars__source *source)
{
    epoll_source_close(source);
    return 1;
}

static int32_t epoll_submit(ars__request *request, int wait)
{
    int32_t rc;
    /* Who does not wait cannot rely on an edge that nobody has looked for yet. */
    if (!wait) request->source->readable = 1;
    switch (request->kind) {
    case ARS__POLL: return start_poll(loop_of(request->loop), request);
    case ARS__CONNECT: return start_connect(request);
    case ARS__SEND: rc = try_send(request); break;
    case ARS__ACCEPT: rc = try_accept(request->source); break;
    default: rc = try_read(request); break;
    }
    return rc == ARS_EAGAIN && wait ? ARS__PENDING : rc;
}

static void epoll_cancel(ars__request *request)
{
    if (request->kind == ARS__POLL)
        cancel_poll(loop_of(request->loop), request);
    else
        ars__send_done(request->source, request->why);
}

static void epoll_loan_return(ars__loop *base, uint64_t loan)
{
    ars__lend_give(&loop_of(base)->lend, (unsigned)loan);
}

static void *epoll_loan_room(ars__loop *base, uint64_t loan)
{
    return ars__lend_at(&loop_of(base)->lend, (unsigned)loan);
}

const ars__backend ars__epoll_backend = {
    .poller = {"epoll", epoll_turn, epoll_wake, epoll_in_flight, epoll_close},
    .id = ARS_BACKEND_EPOLL,
    .nonblock = 1,
    .open = epoll_open,
    .source_open = epoll_source_open,
    .source_leave = epoll_source_leave,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .source_close = epoll_source_close,
    .loan_return = epoll_loan_return,
    .loan_room = epoll_loan_room,
};
