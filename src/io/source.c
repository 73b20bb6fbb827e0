/* SPDX-License-Identifier: MIT */
#include "io/home.h"

#include <sys/socket.h>

#include "base/assert.h"
#include "os/os.h"

enum { FIRST_ROOM = 64 };

int ars__source_open(ars__source *source, ars__loop *loop, int fd, int kind,
                     void (*freed)(ars__source *))
{
    const ars_alloc *alloc = loop->alloc;
    ars__accepts *accepts = NULL;
    if (kind == ARS__LISTENER) {
        accepts = alloc->alloc(alloc->ctx, sizeof *accepts, 8);
        if (!accepts) return ARS_ENOMEM;
        *accepts = (ars__accepts){0};
    }
    ars__source_init(source, loop->hub, fd, kind, freed);
    if (accepts) source->accepts = accepts;
    int rc = ars__source_take(source, loop);
    if (rc < 0) {
        ars__source_unlist(source);
        if (accepts) alloc->free(alloc->ctx, accepts, sizeof *accepts, 8);
    }
    return rc;
}

static void close_stream(ars__source *source)
{
    ars__request *request = source->reader;
    if (request) {
        source->reader = NULL;
        request->done(request, ARS_EBADF);
    }
    ars__request *first = source->writer;
    if (!first) return;
    request = first->next;
    first->next = NULL;
    source->last_writer = first;
    while (request) {
        ars__request *next = request->next;
        request->done(request, ARS_EBADF);
        request = next;
    }
    if (!first->why) {
        first->why = ARS_EBADF;
        source->loop->backend->cancel(first);
    }
}

static void close_listener(ars__source *source)
{
    ars__accepts *accepts = source->accepts;
    ars__request *request = accepts->first;
    accepts->first = accepts->last = NULL;
    while (request) {
        ars__request *next = request->next;
        request->done(request, ARS_EBADF);
        request = next;
    }
    for (; accepts->count > 0; accepts->count--)
        ars__os_close(accepts->fds[accepts->head++ & (accepts->room - 1)]);
}

void ars__source_get_to_know(ars__source *source)
{
    int family = AF_UNSPEC;
    uint32_t len = sizeof family;
    ars__os_getsockopt(source->fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    source->single = family != AF_INET && family != AF_INET6;
    source->known = 1;
}

int ars__source_to_file(ars__source *source)
{
    if (source->kind == ARS__FILE) return 0;
    int rc = ars__os_set_nonblock(source->fd, 1);
    if (rc < 0) return rc;
    source->kind = ARS__FILE;
    return 0;
}

void ars__source_close(ars__source *source)
{
    ARS__ASSERT(!source->closing);
    source->closing = 1;
    if (source->kind == ARS__LISTENER)
        close_listener(source);
    else
        close_stream(source);
    if (source->loop) source->loop->backend->source_close(source);
    /* The descriptor may stay open for long: the peer shall know now. */
    if (ARS__UNLIKELY(source->pins > 0)) ars__os_shutdown(source->fd, 2);
    ars__source_refuse(source);
    ars__source_settle(source);
}

void ars__source_settle(ars__source *source)
{
    if (!source->closing || source->pins || source->receiving || source->sending) return;
    if (source->writer && source->writer->kind == ARS__TURN) return;
    ARS__ASSERT(!source->reader && !source->writer);
    if (!ars__source_unmailed(source)) return;
    const ars_alloc *alloc = source->hub->alloc;
    if (source->kind == ARS__LISTENER) {
        ars__accepts *accepts = source->accepts;
        if (accepts->fds) alloc->free(alloc->ctx, accepts->fds, accepts->room * sizeof(int), 4);
        alloc->free(alloc->ctx, accepts, sizeof *accepts, 8);
    }
    ars__source_drop_carried(source);
    ars__os_close(source->fd);
    source->fd = -1;
    ars__source_unlist(source);
    __atomic_store_n(&source->loop, ARS__GONE, __ATOMIC_RELAXED);
    source->freed(source);
}

/* Starts those that are in the queue, until one is under way. */
static void start_next(ars__source *source)
{
    ars__request *request;
    while ((request = source->writer) != NULL) {
        int32_t result = 0;
        if (request->kind != ARS__TURN) {
            result = source->loop->backend->submit(request, 1);
            if (result == ARS__PENDING) return;
            source->writer = request->next;
            if (!request->next) source->last_writer = NULL;
        }
        int turn = request->kind == ARS__TURN;
        request->done(request, result);
        if (turn) return;
    }
}

void ars__send_done(ars__source *source, int32_t result)
{
    ars__request *request = source->writer;
    source->writer = request->next;
    if (!request->next) source->last_writer = NULL;
    request->done(request, result);
    start_next(source);
}

void ars__turn_wake(ars__request *request, int32_t result)
{
    request->kind = ARS__TURN;
    request->done(request, result);
}

void ars__turn_end(ars__source *source)
{
    ARS__ASSERT(source->writer && source->writer->kind == ARS__TURN);
    source->writer = source->writer->next;
    if (!source->writer) source->last_writer = NULL;
    start_next(source);
    if (ARS__UNLIKELY(source->closing)) ars__source_settle(source);
}

/* Room for one more; the ring is in order afterwards. */
static int grow(const ars_alloc *alloc, ars__accepts *accepts)
{
    uint32_t room = accepts->room ? accepts->room * 2 : FIRST_ROOM;
    int *fds = alloc->alloc(alloc->ctx, room * sizeof(int), 4);
    if (!fds) return ARS_ENOMEM;
    for (uint32_t i = 0; i < accepts->count; i++)
        fds[i] = accepts->fds[(accepts->head + i) & (accepts->room - 1)];
    if (accepts->fds) alloc->free(alloc->ctx, accepts->fds, accepts->room * sizeof(int), 4);
    accepts->fds = fds;
    accepts->room = room;
    accepts->head = 0;
    return 0;
}

/* The first that waits for a connection; who only waits to know of one is told. */
static ars__request *first_accept(ars__accepts *accepts)
{
    ars__request *request;
    do {
        request = accepts->first;
        if (!request) return NULL;
        accepts->first = request->next;
        if (!accepts->first) accepts->last = NULL;
        if (request->kind == ARS__READY) request->done(request, 0);
    } while (request->kind == ARS__READY);
    return request;
}

void ars__accept_done(ars__source *source, int fd)
{
    ars__accepts *accepts = source->accepts;
    ars__request *request = first_accept(accepts);
    if (request) {
        request->done(request, fd);
        return;
    }
    /* Without memory to remember it by, the connection is refused after all. */
    if (source->closing ||
        (accepts->count == accepts->room && grow(source->loop->alloc, accepts) < 0)) {
        ars__os_close(fd);
        return;
    }
    accepts->fds[(accepts->head + accepts->count++) & (accepts->room - 1)] = fd;
}

int ars__accept_failed(ars__source *source, int error)
{
    ars__accepts *accepts = source->accepts;
    ars__request *request = first_accept(accepts);
    if (!request) {
        source->error = (int16_t)error;
        return 0;
    }
    request->done(request, error);
    return accepts->first != NULL;
}
