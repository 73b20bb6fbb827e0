/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/transfer.h>. */
#include <arsenal/block.h>
#include <arsenal/clock.h>
#include <arsenal/transfer.h>

#include "io/await.h"
#include "net/net.h"
#include "os/os.h"

enum { CHUNK = 256 * 1024 };

static const ars__wait_class sending = {"send a file", ars__request_interrupt};

/* ---- the file ---- */

typedef struct part {
    int fd;
    int64_t at, end;
    int64_t result;
} part;

/* On a thread that may wait: a byte of each page brings the page into memory. */
static void bring(void *arg)
{
    part *p = arg;
    char byte;
    do {
        p->result = ars__os_pread(p->fd, &byte, 1, p->at, 0);
        if (p->result != ARS_EINTR) p->at += 4096;
    } while ((p->result > 0 || p->result == ARS_EINTR) && p->at < p->end);
}

/* Whether the byte there could be read without waiting: 1, 0, or an error; 1 also behind the end. */
static int is_near(int fd, int64_t at)
{
    char byte;
    int64_t n;
    do n = ars__os_pread(fd, &byte, 1, at, 1);
    while (n == ARS_EINTR);
    if (n >= 0) return 1;
    return n == ARS_EAGAIN || n == ARS_EOPNOTSUPP ? 0 : (int)n;
}

/* Has the bytes from 'at' to 'end' in memory, as far as its two ends tell. */
static int bring_near(int fd, int64_t at, int64_t end, ars_time deadline)
{
    int rc = is_near(fd, at);
    if (rc > 0) rc = is_near(fd, end - 1);
    if (rc != 0) return rc < 0 ? rc : 0;
    part p = {.fd = fd, .at = at, .end = end};
    rc = ars_block(bring, &p, NULL, deadline);
    if (rc < 0) return rc;
    return p.result < 0 ? (int)p.result : 0;
}

/* ---- the socket ---- */

/*
 * sendfile(2) waits if the socket does, and io_uring's sockets do; an operation
 * that io_uring has under way has looked at that when it started, so that the
 * flag can be changed for the call.
 */
static int64_t send_some(ars__source *source, int fd, int64_t at, size_t n)
{
    int64_t sent;
    int was = ars__os_set_nonblock(source->fd, 1);
    if (was < 0) return was;
    do sent = ars__os_sendfile(source->fd, fd, &at, n);
    while (sent == ARS_EINTR);
    if (!was) ars__os_set_nonblock(source->fd, 0);
    return sent;
}

static int send_all(ars__request *turn, int fd, int64_t at, size_t n, size_t *sent,
                    ars_time deadline)
{
    ars__source *source = turn->source;
    while (*sent < n) {
        int64_t from = at + (int64_t)*sent, left = (int64_t)(n - *sent);
        int64_t chunk = left < CHUNK ? left : CHUNK;
        int rc = bring_near(fd, from, from + chunk, deadline);
        if (rc == 0) rc = turn->why;
        if (rc < 0) return rc;
        int64_t more = send_some(source, fd, from, (size_t)chunk);
        if (more == 0) return 0;
        if (more > 0) {
            *sent += (size_t)more;
            /* A fast peer must not keep the others from running, nor the deadline from passing. */
            rc = ars__wait_enter(turn->task, deadline);
            if (rc == 0 && deadline != 0 && *sent < n && ars_now() >= deadline) rc = ARS_ETIMEDOUT;
        } else {
            rc = more == ARS_EAGAIN ? ars__await_out(turn, &sending, deadline) : (int)more;
        }
        if (rc < 0) return rc;
    }
    return 0;
}

int ars_conn_sendfile(ars_conn *conn, int fd, int64_t offset, size_t n, size_t *sent,
                      ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__task_self();
    ars__request turn;
    size_t ignored;
    if (!sent) sent = &ignored;
    *sent = 0;
    if (!self || (ptrdiff_t)n < 0 || offset < 0) return ARS_EINVAL;
    /* Nothing lies behind the largest offset. */
    if (n > (uint64_t)(INT64_MAX - offset)) n = (size_t)(INT64_MAX - offset);
    int rc = ars__source_enter(source, self, deadline);
    if (rc < 0) return rc;
    rc = ars__os_is_stream(fd);
    if (rc != 0) return rc < 0 ? rc : ARS_EINVAL;
    rc = ars__await_turn(&turn, source, self, &sending, deadline);
    if (rc < 0) return rc;
    rc = send_all(&turn, fd, offset, n, sent, deadline);
    ars__turn_end(source);
    return rc;
}
