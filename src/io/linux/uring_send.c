/* SPDX-License-Identifier: MIT */
#include "io/linux/uring.h"

#include <poll.h>
#include <sys/socket.h>

#include "io/vec.h"

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
    source->sending = 1;
    ars__loop_count(&u->loop, 1);
    return ARS__PENDING;
}

/* A file is written to at once, or when a poll has said that there is room. */
static int32_t write_file(ars__uring *u, ars__request *request)
{
    for (;;) {
        int64_t n = ars__send_some(request);
        if (n == ARS_EAGAIN) return ars__uring_poll_out(u, request);
        if (n < 0 && n != ARS_EINTR) return (int32_t)n;
        if (request->progress == request->len) return 0;
    }
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

/* What the first writer's operation came to; ARS__PENDING: it goes on. */
static int32_t send_result(ars__uring *u, ars__request *request, int32_t res)
{
    if (request->kind == ARS__CONNECT) return res < 0 && request->why ? request->why : res;
    if (request->source->kind == ARS__FILE) {
        if (request->why) return request->why;
        return res < 0 && res != ARS_ECANCELED ? res : write_file(u, request);
    }
    if (res > 0) {
        request->progress += (size_t)res;
        if (request->kind == ARS__SENDV) ars__vec_advance(request->buf, (size_t)res);
    }
    ARS__ASSERT(request->progress <= request->len);
    if (res > 0 && request->progress == request->len) return 0;
    if (request->why) return request->why;
    if (res == 0) return ARS_EIO;
    /* Less than asked for without a cancel: the next try tells why. */
    if (res > 0 || res == ARS_EINTR) return ars__uring_send(u, request);
    return res;
}

void ars__uring_sent(ars__uring *u, ars__source *source, int32_t res)
{
    source->sending = 0;
    ars__loop_count(&u->loop, -1);
    ARS__ASSERT(source->writer != NULL);
    if (source->writer->kind == ARS__POLL_OUT) {
        ars__request *request = source->writer;
        ars__turn_wake(request, request->why ? request->why : res < 0 ? res : 1);
        return;
    }
    int32_t result = send_result(u, source->writer, res);
    if (result == ARS__PENDING) return;
    ars__send_done(source, result);
    if (ARS__UNLIKELY(source->closing)) ars__source_settle(source);
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
    if (cancel_data(u, ars__uring_data(source, ARS__TAG_SEND)) < 0) owe(u, source);
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
