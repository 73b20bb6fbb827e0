/* SPDX-License-Identifier: MIT */
#include "io/ready.h"

#include <sys/socket.h>

#include "base/assert.h"
#include "os/os.h"

/* ---- streams ---- */

/*
 * A receive that brought less than it could has emptied the socket, which saves
 * the call that would say so; not so after the peer's end of the stream, which
 * may have been told already, nor with a unix socket, where a receive ends at
 * bytes that came with descriptors.
 */
static inline int32_t try_recv(ars__source *source, char *buf, size_t len)
{
    if (ARS__UNLIKELY(source->carried != NULL))
        return (int32_t)ars__source_carried(source, buf, len);
    while (source->readable) {
        int stream = source->kind != ARS__FILE;
        int64_t n =
            stream ? ars__os_recv(source->fd, buf, len, 1) : ars__os_read(source->fd, buf, len);
        if (n > 0) {
            /* A terminal gives a line at a time. */
            if ((size_t)n < len && stream && !source->hung_up && !ars__source_is_single(source))
                source->readable = 0;
            return (int32_t)n;
        }
        if (n == ARS_EAGAIN)
            source->readable = 0;
        else if (n != ARS_EINTR)
            return (int32_t)n;
    }
    return ARS_EAGAIN;
}

/* Whether there is something to be had: one system call, unless it is known that there is not. */
static int has_some(ars__source *source)
{
    if (source->carried) return 1;
    if (source->readable && ars__os_poll(source->fd, POLLIN) == 0) source->readable = 0;
    return source->readable;
}

static int32_t try_read(ars__request *request)
{
    ars__source *source = request->source;
    if (ARS__LIKELY(request->kind == ARS__RECV))
        return try_recv(source, request->buf, request->len);
    if (request->kind == ARS__READY) return has_some(source) ? 0 : ARS_EAGAIN;
    if (!source->readable && !source->carried) return ARS_EAGAIN;
    if (request->kind == ARS__POLL_IN) return 1;
    ars__lend *lend = &ars__ready_of(source->loop)->lend;
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

static inline int64_t send_some(ars__request *request)
{
    ars__source *source = request->source;
    if (ARS__UNLIKELY(request->kind != ARS__SEND || source->kind == ARS__FILE))
        return ars__send_some(request);
    int64_t n = ars__os_send(source->fd, (char *)request->buf + request->progress,
                             request->len - request->progress, 1);
    if (n > 0) request->progress += (size_t)n;
    return n;
}

static inline int32_t try_send(ars__request *request)
{
    ars__source *source = request->source;
    while (source->writable) {
        int64_t n = send_some(request);
        if (n > 0) {
            if (request->progress == request->len) return 0;
        } else if (n == ARS_EAGAIN) {
            source->writable = 0;
        } else if (n != ARS_EINTR) {
            return n ? (int32_t)n : ARS_EIO; /* there was something to send */
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

static void writer_event(ars__source *source, ars__request *writer)
{
    if (writer->kind == ARS__TURN) return;
    if (writer->kind == ARS__POLL_OUT) {
        ars__turn_wake(writer, 1);
        return;
    }
    int32_t rc = writer->kind == ARS__CONNECT ? connect_result(source) : try_send(writer);
    if (rc != ARS_EAGAIN) ars__send_done(source, rc);
}

static void stream_event(ars__source *source)
{
    ars__request *reader = source->reader;
    if (reader && source->readable) {
        int32_t rc = reader->kind == ARS__READY ? 0 : try_read(reader);
        if (rc != ARS_EAGAIN) {
            source->reader = NULL;
            reader->done(reader, rc);
        }
    }
    ars__request *writer = source->writer;
    if (writer && source->writable) writer_event(source, writer);
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

void ars__ready_event(ars__source *source, unsigned events)
{
    if (events & POLLHUP) {
        source->hung_up = 1;
        events |= POLLIN | POLLOUT;
    }
    if (events & POLLIN) source->readable = 1;
    if (events & POLLOUT) source->writable = 1;
    if (source->kind == ARS__LISTENER)
        listener_event(source);
    else
        stream_event(source);
}

/* ---- foreign descriptors ---- */

static ars__request **bucket(ars__ready_loop *loop, int fd)
{
    return &loop->polls[(unsigned)fd & (ARS__READY_BUCKETS - 1)];
}

static unsigned wanted(ars__ready_loop *loop, int fd)
{
    unsigned events = 0;
    for (ars__request *r = *bucket(loop, fd); r; r = r->next) {
        if (r->fd == fd) events |= (unsigned)r->len;
    }
    return events;
}

static void end_poll(ars__ready_loop *loop, ars__request **at, int32_t result)
{
    ars__request *request = *at;
    *at = request->next;
    ars__loop_count(&loop->base, -1);
    request->done(request, result);
}

static void end_all(ars__ready_loop *loop, int fd, int32_t result)
{
    ars__request **at = bucket(loop, fd);
    while (*at) {
        if ((*at)->fd == fd)
            end_poll(loop, at, result);
        else
            at = &(*at)->next;
    }
}

/*
 * Watches 'fd', and gives that watch a number of its own, which all who wait
 * for it go by.  If the descriptor is not the one that they waited for, it was
 * closed under them.
 */
static int watch(ars__ready_loop *loop, int fd, unsigned events)
{
    loop->watches++;
    int rc = loop->watch(loop, fd, events);
    if (rc == ARS__READY_OTHER || rc == ARS_EBADF || rc == ARS_EBUSY) end_all(loop, fd, ARS_EBADF);
    for (ars__request *r = *bucket(loop, fd); r && rc >= 0; r = r->next) {
        if (r->fd == fd) r->watch = loop->watches;
    }
    return rc;
}

/* After some have left. */
static void watch_rest(ars__ready_loop *loop, int fd)
{
    int rc = watch(loop, fd, wanted(loop, fd));
    if (rc < 0) end_all(loop, fd, rc);
}

static int32_t start_poll(ars__ready_loop *loop, ars__request *request)
{
    int fd = request->fd;
    int rc = watch(loop, fd, wanted(loop, fd) | (unsigned)request->len);
    if (rc < 0) return rc;
    ars__request **first = bucket(loop, fd);
    request->watch = loop->watches;
    request->next = *first;
    *first = request;
    ars__loop_count(&loop->base, 1);
    return ARS__PENDING;
}

int ars__ready_is_watched(const ars__ready_loop *loop, int fd, uint32_t number)
{
    const ars__request *r = loop->polls[(unsigned)fd & (ARS__READY_BUCKETS - 1)];
    while (r && r->fd != fd) r = r->next;
    return r && r->watch == number;
}

void ars__ready_polled(ars__ready_loop *loop, int fd, int32_t events)
{
    ars__request **at = bucket(loop, fd);
    while (*at) {
        ars__request *request = *at;
        unsigned hit = (unsigned)events & ((unsigned)request->len | POLLERR | POLLHUP);
        if (request->fd == fd && (events < 0 || hit))
            end_poll(loop, at, events < 0 ? events : (int32_t)hit);
        else
            at = &request->next;
    }
    watch_rest(loop, fd);
}

static void cancel_poll(ars__ready_loop *loop, ars__request *request)
{
    ars__request **at = bucket(loop, request->fd);
    int fd = request->fd;
    while (*at != request) at = &(*at)->next;
    end_poll(loop, at, request->why);
    watch_rest(loop, fd);
}

/* ---- open and close ---- */

int ars__ready_open(ars__ready_loop *loop, const ars__backend *backend, const ars_alloc *alloc)
{
    ars__loop_init(&loop->base, backend, alloc);
    int rc = ars__os_eventfd();
    if (rc < 0) return rc;
    loop->wake_fd = rc;
    return 0;
}

void ars__ready_stop(ars__ready_loop *loop)
{
    ars__loop_close_sources(&loop->base);
    for (unsigned i = 0; i < ARS__READY_BUCKETS; i++) {
        while (loop->polls[i]) end_poll(loop, &loop->polls[i], ARS_ECANCELED);
    }
}

void ars__ready_close(ars__ready_loop *loop, size_t size)
{
    ars__os_close(loop->wake_fd);
    ars__lend_deinit(&loop->lend);
    ars__loop_end(&loop->base, size);
}

/* ---- members of the tables ---- */

void ars__ready_wake(ars__poller *poller)
{
    uint64_t one = 1;
    ars__os_write(ars__ready_of(ARS__MEMBER(poller, ars__loop, poller))->wake_fd, &one, sizeof one);
}

uint64_t ars__ready_in_flight(const ars__poller *poller)
{
    return __atomic_load_n(&((const ars__loop *)(const void *)poller)->in_flight, __ATOMIC_RELAXED);
}

static ARS__NOINLINE int32_t submit_other(ars__request *request, int wait)
{
    int32_t rc;
    if (request->kind == ARS__POLL) return start_poll(ars__ready_of(request->loop), request);
    /* Who does not wait cannot rely on readiness that nobody has looked for yet. */
    if (!wait) request->source->readable = 1;
    switch (request->kind) {
    case ARS__CONNECT: return start_connect(request);
    case ARS__SENDV: rc = try_send(request); break;
    /* The caller's own try has just failed; what comes after that will be told. */
    case ARS__POLL_IN: request->source->readable = 0; return ARS__PENDING;
    case ARS__POLL_OUT: request->source->writable = 0; return ARS__PENDING;
    case ARS__ACCEPT: rc = try_accept(request->source); break;
    default: rc = try_read(request); break;
    }
    return rc == ARS_EAGAIN && wait ? ARS__PENDING : rc;
}

int32_t ars__ready_submit(ars__request *request, int wait)
{
    int32_t rc;
    ars__source *source = request->source;
    if (ARS__UNLIKELY(!wait))
        return submit_other(request, 0);
    else if (request->kind == ARS__RECV)
        rc = try_recv(source, request->buf, request->len);
    else if (request->kind == ARS__SEND)
        rc = try_send(request);
    else
        return submit_other(request, 1);
    return rc == ARS_EAGAIN ? ARS__PENDING : rc;
}

int ars__ready_look(ars__source *source, int ask)
{
    if (source->kind == ARS__LISTENER && source->accepts->count > 0) return 1;
    if (ask) source->readable = 1;
    return has_some(source);
}

void ars__ready_cancel(ars__request *request)
{
    if (request->kind == ARS__POLL)
        cancel_poll(ars__ready_of(request->loop), request);
    else if (request->kind == ARS__POLL_OUT)
        ars__turn_wake(request, request->why);
    else if (request->kind != ARS__TURN)
        ars__send_done(request->source, request->why);
}

void ars__ready_loan_return(ars__loop *base, uint64_t loan)
{
    ars__lend_give(&ars__ready_of(base)->lend, (unsigned)loan);
}

void *ars__ready_loan_room(ars__loop *base, uint64_t loan)
{
    return ars__lend_at(&ars__ready_of(base)->lend, (unsigned)loan);
}
