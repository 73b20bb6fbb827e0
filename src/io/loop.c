/* SPDX-License-Identifier: MIT */
#include "io/backend.h"

#include <arsenal/run.h>

#include "base/assert.h"
#include "io/home.h"
#include "os/os.h"

/* A descriptor limit is no reason to do without io_uring for good: the next call may find room. */
static int is_transient(int error)
{
    return error == ARS_EMFILE || error == ARS_ENFILE;
}

int ars__loop_get(ars__loop **out, ars__task *self)
{
    ars__worker *worker = ars__task_worker(self);
    ars__poller *poller = ars__worker_poller(worker);
    if (ARS__LIKELY(poller != NULL)) {
        *out = ARS__MEMBER(poller, ars__loop, poller);
        return 0;
    }
    unsigned wanted = ars__worker_backend(worker);
    int rc = ARS_ENOSYS;
    for (const ars__backend *const *b = ars__backends; *b; b++) {
        if (wanted != ARS_BACKEND_AUTO && wanted != (*b)->id) continue;
        ars__loop *loop;
        rc = (*b)->open(&loop, ars__worker_alloc(worker));
        if (rc == 0) {
            rc = ars__hub_join(loop, worker);
            if (rc < 0) {
                loop->poller.ops->close(&loop->poller);
                return rc;
            }
            ars__worker_set_poller(worker, &loop->poller);
            *out = loop;
            return 0;
        }
        if (is_transient(rc)) break;
    }
    return rc;
}

void ars__loop_init(ars__loop *loop, const ars__backend *backend, const ars_alloc *alloc)
{
    *loop = (ars__loop){.poller.ops = &backend->poller, .backend = backend, .alloc = alloc};
    ars__list_init(&loop->sources);
}

void ars__loop_close_sources(ars__loop *loop)
{
    ars__list *node = loop->sources.next;
    while (node != &loop->sources) {
        ars__source *source = ARS__MEMBER(node, ars__source, node);
        node = node->next;
        /* Whoever pinned it never runs again. */
        source->pins = 0;
        if (source->writer && source->writer->kind == ARS__TURN)
            source->writer = source->writer->next;
        if (source->closing)
            ars__source_settle(source);
        else
            ars__source_close(source);
    }
}

/* What the kernel takes at once. */
static int32_t send_now(ars__request *request)
{
    int64_t n = ars__send_some(request);
    if (n < 0) return n == ARS_EINTR ? ARS_EAGAIN : (int32_t)n;
    return request->progress == request->len ? 0 : ARS_EAGAIN;
}

/* For one that is the first writer, or has the turn. */
static int32_t start_writer(ars__source *source, ars__request *request, int wait)
{
    if (request->kind == ARS__TURN) {
        source->writer = source->last_writer = request;
        request->next = NULL;
        return 0;
    }
    if (!wait) return send_now(request);
    int32_t rc = source->loop->backend->submit(request, 1);
    if (rc == ARS__PENDING && request->kind != ARS__POLL_OUT) {
        request->next = NULL;
        source->writer = source->last_writer = request;
    }
    return rc;
}

static int32_t submit_accept(ars__source *source, ars__request *request, int wait)
{
    ars__accepts *accepts = source->accepts;
    if (accepts->count > 0) {
        if (request->kind == ARS__READY) return 0;
        int fd = accepts->fds[accepts->head++ & (accepts->room - 1)];
        accepts->count--;
        return fd;
    }
    int32_t rc = source->loop->backend->submit(request, wait);
    if (rc != ARS__PENDING) return rc;
    request->next = NULL;
    if (accepts->last)
        accepts->last->next = request;
    else
        accepts->first = request;
    accepts->last = request;
    return rc;
}

int32_t ars__submit(ars__request *request, int wait)
{
    ars__source *source = request->source;
    const ars__backend *backend = source->loop->backend;
    int32_t rc;
    switch (request->kind) {
    case ARS__RECV:
    case ARS__LOAN:
    case ARS__POLL_IN:
        if (ARS__UNLIKELY(source->reader != NULL)) return ARS_EBUSY;
        rc = backend->submit(request, wait);
        if (rc == ARS__PENDING) source->reader = request;
        return rc;
    case ARS__POLL_OUT:
        ARS__ASSERT(source->writer == request);
        if (request->why) return request->why;
        return start_writer(source, request, 1);
    case ARS__READY:
        ARS__ASSERT(wait);
        if (source->kind == ARS__LISTENER) return submit_accept(source, request, 1);
        if (ARS__UNLIKELY(source->reader != NULL)) return ARS_EBUSY;
        rc = backend->submit(request, 1);
        if (rc == ARS__PENDING) source->reader = request;
        return rc;
    case ARS__SEND:
    case ARS__SENDV:
    case ARS__TURN:
    case ARS__CONNECT:
        request->why = 0;
        if (ARS__UNLIKELY(source->writer != NULL)) {
            if (!wait) return ARS_EAGAIN;
            request->next = NULL;
            source->last_writer = source->last_writer->next = request;
            return ARS__PENDING;
        }
        return start_writer(source, request, wait);
    case ARS__ACCEPT: return submit_accept(source, request, wait);
    default: ARS__ASSERT(request->kind == ARS__POLL); return ARS_EINVAL;
    }
}

/* Takes 'request' out of a list, whose last is then '*last'. */
static void unlink_request(ars__request **first, ars__request **last, ars__request *request)
{
    ars__request *before = NULL, **at = first;
    while (*at != request) {
        ARS__ASSERT(*at != NULL);
        before = *at;
        at = &before->next;
    }
    *at = request->next;
    if (*last == request) *last = before;
}

void ars__request_withdraw(ars__request *request)
{
    ars__source *source = request->source;
    if (source->kind == ARS__LISTENER) {
        unlink_request(&source->accepts->first, &source->accepts->last, request);
        return;
    }
    ARS__ASSERT(source->reader == request);
    source->reader = NULL;
}

void ars__request_interrupt(ars__task *task, int why)
{
    ars__request *request = ars__task_object(task);
    ars__source *source = request->source;
    switch (request->kind) {
    case ARS__RECV:
    case ARS__LOAN:
    case ARS__POLL_IN:
    case ARS__ACCEPT: ars__request_withdraw(request); break;
    case ARS__SEND:
    case ARS__SENDV:
    case ARS__TURN:
    case ARS__POLL_OUT:
    case ARS__CONNECT:
        if (source->writer == request) {
            /* A close may have asked already. */
            if (request->why) return;
            request->why = why;
            source->loop->backend->cancel(request);
            return;
        }
        unlink_request(&source->writer, &source->last_writer, request);
        break;
    case ARS__MOVE: {
        ars__request **at = &source->movers;
        while (*at != request) at = &(*at)->next;
        *at = request->next;
        break;
    }
    default:
        request->why = why;
        request->loop->backend->cancel(request);
        return;
    }
    request->done(request, why);
}

void ars__request_wake(ars__request *request, int32_t result)
{
    ars__ready(request->task, result);
}
