/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/rights.h>. */
#include <arsenal/rights.h>

#include <string.h>

#include "io/await.h"
#include "net/control.h"
#include "net/net.h"
#include "os/os.h"

static const ars__wait_class sending = {"send descriptors", ars__request_interrupt};
static const ars__wait_class receiving = {"receive descriptors", ars__request_interrupt};

/* ---- sending ---- */

/* The descriptors go with the first byte, whatever else of it goes. */
static int64_t send_some(int fd, const char *from, size_t n, const int *fds, size_t count)
{
    ars__control control;
    struct iovec iov = {(void *)(uintptr_t)from, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) ars__control_put(&msg, &control, fds, count);
    int64_t sent;
    do sent = ars__os_sendmsg(fd, &msg, 1);
    while (sent == ARS_EINTR);
    return sent;
}

int ars_conn_send_rights(ars_conn *conn, const void *buf, size_t n, const int *fds, size_t count,
                         size_t *sent, ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__task_self();
    ars__request turn;
    ars_cred cred;
    size_t done = 0;
    if (sent) *sent = 0;
    if (!self || (ptrdiff_t)n <= 0 || count > ARS_RIGHTS_MAX) return ARS_EINVAL;
    int rc = ars__source_enter(source, self, deadline);
    if (rc == 0) rc = ars_conn_cred(conn, &cred);
    if (rc == 0) rc = ars__await_turn(&turn, source, self, &sending, deadline);
    if (rc < 0) return rc;
    while (done < n && rc >= 0) {
        const char *from = (const char *)buf + done;
        int64_t more = turn.why;
        if (!more) more = send_some(source->fd, from, n - done, fds, done ? 0 : count);
        if (more > 0)
            done += (size_t)more;
        else
            rc = more == ARS_EAGAIN ? ars__await_out(&turn, &sending, deadline) : (int)more;
    }
    ars__turn_end(source);
    if (sent) *sent = done;
    return rc < 0 ? rc : 0;
}

/* ---- receiving ---- */

/* Bytes that came with descriptors that could not be taken. */
static int keep_bytes(ars__source *source, const void *buf, size_t n, int error)
{
    if (n == 0) return error;
    char *room = ars__source_put_back(source, (uint32_t)n);
    if (!room) return ARS_ENOMEM;
    memcpy(room, buf, n);
    ars__san_release(source);
    return error;
}

static int recv_some(ars__source *source, void *buf, size_t n, ars_rights *rights)
{
    ars__control control;
    struct iovec iov = {buf, n < INT32_MAX ? n : INT32_MAX};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ars__control_expect(&msg, &control);
    int64_t got;
    do got = ars__os_recvmsg(source->fd, &msg, 0);
    while (got == ARS_EINTR);
    if (got < 0) return (int)got;
    int rc = ars__control_take(&msg, rights);
    return rc < 0 ? keep_bytes(source, buf, (size_t)got, rc) : (int)got;
}

/* What is in memory already, without descriptors; ARS_EAGAIN: nothing. */
static int recv_ahead(ars__source *source, void *buf, size_t n, ars_rights *rights)
{
    ars__request request = {
        .kind = ARS__RECV, .source = source, .buf = buf, .len = n < INT32_MAX ? n : INT32_MAX};
    int rc = ars__submit(&request, 0);
    if (rc >= 0) {
        rights->count = 0;
        rights->cred = (ars_cred){0, 0, 0};
    }
    return rc;
}

int ars_conn_recv_rights(ars_conn *conn, void *buf, size_t n, ars_rights *rights, ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__task_self();
    ars_cred cred;
    if (!self || (ptrdiff_t)n <= 0) return ARS_EINVAL;
    int rc = ars__source_enter(source, self, deadline);
    if (rc == 0) rc = ars_conn_cred(conn, &cred);
    /* Else it would be received without its descriptors. */
    if (rc == 0 && !source->loop->backend->nonblock) rc = ars__source_to_file(source);
    while (rc >= 0) {
        if (source->reader) return ARS_EBUSY;
        int got;
        if (ars__source_is_ahead(source))
            got = source->receiving && !source->polling ? ARS_EAGAIN
                                                        : recv_ahead(source, buf, n, rights);
        else
            got = recv_some(source, buf, n, rights);
        if (got != ARS_EAGAIN) return got;
        rc = ars__await_in(source, self, &receiving, deadline);
    }
    return rc;
}
