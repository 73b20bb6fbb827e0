/* SPDX-License-Identifier: MIT */
#include "io/linux/uring.h"

#include <poll.h>
#include <sys/socket.h>

#include "io/vec.h"
#include "os/os.h"

enum { SEND_MAX = 1 << 30 }; /* the kernel counts in int */

/* ---- send and connect ---- */

int32_t ars__uring_poll_out(ars__uring *u, ars__request *request)
{
    ars__source *source = request->source;
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return ARS_ENOMEM;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = source->fd;
    sqe->poll32_events = POLLOUT;
    sqe->user_data = ars__uring_data(source, ARS__TAG_SEND);
    source->sending = source->send_polled = 1;
    ars__loop_count(&u->loop, 1);
    return ARS__PENDING;
}

/* A file is written to at once, or when a poll has said that there is room. */
static int32_t write_file(ars__uring *u, ars__request *request)
{
    for (;;) {
        int64_t n = ars__send_some(request);
        if (n == ARS_EAGAIN) return ars__uring_poll_out(u, request);
        if (n == 0) return ARS_EIO; /* there was something to send */
        if (n < 0 && n != ARS_EINTR) return (int32_t)n;
        if (request->progress == request->len) return 0;
    }
}

/* Whether the rest of it is to go without being copied. */
static int lends(const ars__uring *u, const ars__request *request)
{
    const ars__source *source = request->source;
    return ARS__UNLIKELY(source->zerocopy) && u->zero_copies &&
           (request->len - request->progress) >> source->zerocopy != 0;
}

int32_t ars__uring_send(ars__uring *u, ars__request *request)
{
    ars__source *source = request->source;
    if (ARS__UNLIKELY(source->kind == ARS__FILE)) return write_file(u, request);
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (ARS__UNLIKELY(!sqe)) return ARS_ENOMEM;
    if (request->kind == ARS__SEND) {
        size_t left = request->len - request->progress;
        sqe->opcode = IORING_OP_SEND;
        sqe->addr = (uint64_t)(uintptr_t)((char *)request->buf + request->progress);
        sqe->len = (uint32_t)(left < SEND_MAX ? left : SEND_MAX);
    } else {
        sqe->opcode = IORING_OP_SENDMSG;
        sqe->addr = (uint64_t)(uintptr_t) & ((ars__vec *)request->buf)->msg;
        sqe->len = 1;
    }
    if (lends(u, request)) {
        sqe->opcode = request->kind == ARS__SEND ? IORING_OP_SEND_ZC : IORING_OP_SENDMSG_ZC;
        sqe->ioprio = IORING_SEND_ZC_REPORT_USAGE;
        source->lent = 1;
    }
    sqe->fd = source->fd;
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
    sqe->user_data = ars__uring_data(source, ARS__TAG_SEND);
    source->sending = 1;
    ars__loop_count(&u->loop, 1);
    return ARS__PENDING;
}

int32_t ars__uring_connect(ars__uring *u, ars__request *request)
{
    ars__source *source = request->source;
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return ARS_ENOMEM;
    sqe->opcode = IORING_OP_CONNECT;
    sqe->fd = source->fd;
    sqe->addr = (uint64_t)(uintptr_t)request->buf;
    sqe->off = request->len;
    sqe->user_data = ars__uring_data(source, ARS__TAG_SEND);
    source->sending = 1;
    ars__loop_count(&u->loop, 1);
    return ARS__PENDING;
}

static void advance(ars__request *request, int32_t res)
{
    if (res <= 0) return;
    if (request->kind == ARS__SEND)
        ars__san_check((char *)request->buf + request->progress, (size_t)res);
    request->progress += (size_t)res;
    if (request->kind == ARS__SENDV) ars__vec_advance(request->buf, (size_t)res);
    ARS__ASSERT(request->progress <= request->len);
}

/* What the first writer's operation came to; ARS__PENDING: it goes on. */
static int32_t send_result(ars__uring *u, ars__request *request, int32_t res, int polled)
{
    if (request->kind == ARS__CONNECT) {
        if (res < 0 && request->why) return request->why;
        return ars__uring_is_interrupted(res) ? ars__uring_connect(u, request) : res;
    }
    if (polled) {
        if (request->why) return request->why;
        return res < 0 && !ars__uring_is_interrupted(res) ? res : write_file(u, request);
    }
    advance(request, res);
    if (request->progress == request->len && (res > 0 || !request->why)) return 0;
    if (request->why) return request->why;
    if (res == 0) return ARS_EIO;
    /* Less than asked for without a cancel: the next try tells why. */
    if (res > 0 || ars__uring_is_interrupted(res)) return ars__uring_send(u, request);
    return res;
}

/* ---- sends that do not copy ---- */

/*
 * The peer may never acknowledge what was sent, and so the kernel never be done
 * with the buffer: to be rid of it there is only to reset the connection.
 */
static void reset(const ars__source *source)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    ars__os_connect(source->fd, &none, sizeof none);
}

/* Not every socket and kernel can, nor always: then what is left is copied after all. */
static int cannot_lend(int32_t res)
{
    return res == ARS_EOPNOTSUPP || res == ARS_EINVAL || res == ARS_ENOMEM || res == ARS_ENOBUFS;
}

/* It is over, but for the buffer. */
static void hold(ars__source *source, ars__request *request, int32_t res)
{
    source->held = 1;
    advance(request, res);
    if (cannot_lend(res))
        source->zerocopy = 0;
    else if (res <= 0 && !ars__uring_is_interrupted(res) && !request->why)
        request->why = res < 0 ? res : ARS_EIO;
    if (request->why) reset(source);
}

/* Another completion of one, 1; or 0: it is as if it were of any send, with the result '*res'. */
static int lent_goes_on(ars__source *source, int32_t *res, uint32_t flags)
{
    ars__request *request = source->writer;
    if (flags & IORING_CQE_F_MORE) {
        hold(source, request, *res);
        return 1;
    }
    if (flags & IORING_CQE_F_NOTIF) {
        if ((uint32_t)*res & IORING_NOTIF_USAGE_ZC_COPIED) source->zerocopy = 0;
        /* What there was to account is accounted. */
        *res = ARS_EINTR;
    } else if (cannot_lend(*res)) {
        source->zerocopy = 0;
        *res = ARS_EINTR;
    }
    source->lent = source->held = 0;
    return 0;
}

static ARS__NOINLINE void sent_other(ars__uring *u, ars__source *source, int32_t res,
                                     uint32_t flags)
{
    if (ARS__UNLIKELY(source->lent) && lent_goes_on(source, &res, flags)) return;
    int polled = source->send_polled;
    source->sending = source->send_polled = 0;
    ars__loop_count(&u->loop, -1);
    ARS__ASSERT(source->writer != NULL);
    if (source->writer->kind == ARS__POLL_OUT) {
        ars__request *request = source->writer;
        int failed = res < 0 && !ars__uring_is_interrupted(res);
        ars__turn_wake(request, request->why ? request->why : failed ? res : 1);
        return;
    }
    int32_t result = send_result(u, source->writer, res, polled);
    if (result == ARS__PENDING) return;
    ars__send_done(source, result);
    if (ARS__UNLIKELY(source->closing)) ars__source_settle(source);
}

/* Whether the only writer's bytes have all gone, and nothing else is to be looked at. */
static inline int is_all(const ars__source *source, int32_t res)
{
    const ars__request *request = source->writer;
    return !source->lent && !source->closing && !source->send_polled && res > 0 &&
           request->kind == ARS__SEND && !request->next &&
           request->len - request->progress == (size_t)res;
}

void ars__uring_sent(ars__uring *u, ars__source *source, int32_t res, uint32_t flags)
{
    ars__request *request = source->writer;
    ARS__ASSERT(request != NULL);
    if (ARS__UNLIKELY(!is_all(source, res))) {
        sent_other(u, source, res, flags);
        return;
    }
    source->sending = 0;
    source->writer = source->last_writer = NULL;
    ars__loop_count(&u->loop, -1);
    ars__san_check((char *)request->buf + request->progress, (size_t)res);
    request->progress += (size_t)res;
    request->done(request, 0);
}

/* ---- poll ---- */

int32_t ars__uring_poll(ars__uring *u, ars__request *request)
{
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return ARS_ENOMEM;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = request->fd;
    sqe->poll32_events = (uint32_t)request->len;
    sqe->user_data = (uint64_t)(uintptr_t)request | ARS__TAG_POLL;
    ars__loop_count(&u->loop, 1);
    return ARS__PENDING;
}

void ars__uring_polled(ars__uring *u, ars__request *request, int32_t res)
{
    ars__loop_count(&u->loop, -1);
    for (ars__request **at = &u->owed_polls; *at; at = &(*at)->next) {
        if (*at != request) continue;
        *at = request->next;
        break;
    }
    if (ars__uring_is_interrupted(res) && !request->why && !u->ending) {
        res = ars__uring_poll(u, request);
        if (res == ARS__PENDING) return;
    }
    request->done(request, res < 0 && request->why ? request->why : res);
}

/* ---- cancelling ---- */

static int cancel_data(ars__uring *u, uint64_t data)
{
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return ARS_ENOMEM;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->addr = data;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = ARS__TAG_NONE;
    return 0;
}

static void owe(ars__uring *u, ars__source *source)
{
    source->cancel_owed = 1;
    u->cancel_owed = 1;
}

void ars__uring_cancel(ars__request *request)
{
    if (request->kind == ARS__POLL) {
        ars__uring *u = ars__uring_of(request->loop);
        if (cancel_data(u, (uint64_t)(uintptr_t)request | ARS__TAG_POLL) == 0) return;
        request->next = u->owed_polls;
        u->owed_polls = request;
        u->cancel_owed = 1;
        return;
    }
    if (request->kind == ARS__TURN) return;
    ars__source *source = request->source;
    ars__uring *u = ars__uring_of(source->loop);
    if (ARS__UNLIKELY(source->held))
        reset(source);
    else if (cancel_data(u, ars__uring_data(source, ARS__TAG_SEND)) < 0)
        owe(u, source);
}

void ars__uring_end_receive(ars__uring *u, ars__source *source)
{
    ARS__ASSERT(source->receiving && !source->receive_ending);
    if (cancel_data(u, ars__uring_data(source, ARS__TAG_RECV)) == 0)
        source->receive_ending = 1;
    else
        owe(u, source);
}

void ars__uring_pay_cancels(ars__uring *u)
{
    u->cancel_owed = 0;
    ars__request *polls = u->owed_polls;
    u->owed_polls = NULL;
    while (polls) {
        ars__request *next = polls->next;
        ars__uring_cancel(polls);
        polls = next;
    }
    for (ars__list *node = u->loop.sources.next; node != &u->loop.sources; node = node->next) {
        ars__source *source = ARS__MEMBER(node, ars__source, node);
        if (!source->cancel_owed) continue;
        source->cancel_owed = 0;
        if (source->sending && source->writer->why) ars__uring_cancel(source->writer);
        if ((source->closing || source->moving) && source->receiving && !source->receive_ending)
            ars__uring_end_receive(u, source);
    }
}
