/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/transfer.h>. */
#include <arsenal/transfer.h>

#include <string.h>

#include "io/await.h"
#include "io/lend.h"
#include "net/net.h"
#include "os/os.h"

/*
 * Small pieces are lent and written; when much has come in one go, what follows
 * is spliced through a pipe, which costs two system calls a piece however small
 * but copies nothing.
 */
enum { SPLICE_FROM = 64 * 1024, SPLICE_MAX = 1 << 20, LOAN_MAX = 64 * 1024, PIECE = 4096 };

static const ars__wait_class copying = {"copy", ars__request_interrupt};

typedef struct copy {
    ars_conn *from, *to;
    ars__task *self;
    uint64_t left, done;
    size_t lent;    /* in full buffers, one after the other */
    int can_splice; /* not found out yet that it cannot be done */
    int pipe[2];    /* -1: nothing is prepared for it yet */
    ars_time deadline;
} copy;

/* For bytes that were read and not written; they lie in 'data', or without it in the pipe. */
static int put_back(copy *c, const char *data, size_t n)
{
    if (n == 0) return 0;
    char *room = ars__source_put_back(&c->from->source, (uint32_t)n);
    if (!room) return ARS_ENOMEM;
    int64_t got = (int64_t)n;
    if (data) {
        memcpy(room, data, n);
    } else {
        do got = ars__os_read(c->pipe[0], room, n);
        while (got == ARS_EINTR);
    }
    ars__san_release(&c->from->source);
    if (got == (int64_t)n) return 0;
    ars__source_drop_carried(&c->from->source);
    return ARS_EIO;
}

static int is_closed(const copy *c)
{
    return c->from->source.closing || c->to->source.closing;
}

/* ---- by memory: > 0, 0 at the end, or an error ---- */

static int write_out(copy *c, const char *data, size_t n)
{
    size_t sent = 0;
    int rc = is_closed(c) ? ARS_EBADF : ars_conn_write(c->to, data, n, &sent, c->deadline);
    c->done += sent;
    c->left -= sent;
    if (rc == 0) return 1;
    if (c->from->source.closing) return rc;
    int kept = put_back(c, data + sent, n - sent);
    return kept < 0 ? kept : rc;
}

/* No more than 'left', which is less than a loan may be. */
static ARS__NOINLINE int copy_piece(copy *c)
{
    char buf[PIECE];
    int n = ars_conn_read(c->from, buf, c->left < PIECE ? (size_t)c->left : PIECE, c->deadline);
    return n <= 0 ? n : write_out(c, buf, (size_t)n);
}

static int copy_loan(copy *c)
{
    ars_loan loan;
    if (c->left < LOAN_MAX) return copy_piece(c);
    int n = ars_conn_read_loan(c->from, &loan, c->deadline);
    if (n <= 0) return n;
    int rc = write_out(c, loan.data, loan.len);
    ars_conn_read_return(&loan);
    return rc < 0 ? rc : n;
}

/* ---- by pipe ---- */

/* Has both ends ready for it: nothing of 'from' is received ahead. */
static int prepare(copy *c)
{
    int rc = ars__source_to_file(&c->from->source);
    if (rc == 0) rc = ars__source_to_file(&c->to->source);
    if (rc == 0 && c->pipe[0] < 0) rc = ars__os_pipe(c->pipe);
    return rc;
}

/* Writes the 'n' bytes that are in the pipe; '*n' is what is left there. */
static int drain(copy *c, size_t *n)
{
    ars__source *to = &c->to->source;
    ars__request turn;
    int rc = ars__await_turn(&turn, to, c->self, &copying, c->deadline);
    if (rc < 0) return rc;
    while (*n > 0 && rc >= 0) {
        int64_t sent = turn.why ? turn.why : ars__os_splice(c->pipe[0], to->fd, *n);
        if (sent > 0) {
            *n -= (size_t)sent;
            c->done += (uint64_t)sent;
            c->left -= (uint64_t)sent;
        } else if (sent == ARS_EAGAIN) {
            rc = ars__await_out(&turn, &copying, c->deadline);
        } else if (sent != ARS_EINTR) {
            rc = sent < 0 ? (int)sent : ARS_EIO;
        }
    }
    ars__turn_end(to);
    return rc < 0 ? rc : 0;
}

static int copy_spliced(copy *c)
{
    ars__source *from = &c->from->source;
    int rc = ars__wait_enter(c->self, c->deadline);
    if (rc == 0 && is_closed(c)) rc = ARS_EBADF;
    if (rc < 0) return rc;
    if (from->reader) return ARS_EBUSY;
    size_t n = c->left < SPLICE_MAX ? (size_t)c->left : SPLICE_MAX;
    int64_t got = ars__os_splice(from->fd, c->pipe[1], n);
    if (got == ARS_EINTR) return 1;
    if (got == ARS_EAGAIN) {
        rc = ars__await_in(from, c->self, &copying, c->deadline);
        return rc < 0 ? rc : 1;
    }
    if (got == ARS_EINVAL) {
        c->can_splice = 0;
        return 1;
    }
    if (got <= 0) return (int)got;
    size_t left = (size_t)got;
    rc = drain(c, &left);
    if (rc == 0) return 1;
    if (from->closing) return rc;
    int kept = put_back(c, NULL, left);
    if (kept < 0) return kept;
    if (rc != ARS_EINVAL || left == 0) return rc;
    c->can_splice = 0; /* 'to' cannot */
    return 1;
}

/* ---- both ---- */

static int step(copy *c)
{
    if (is_closed(c)) return ARS_EBADF;
    if (c->can_splice && c->lent >= SPLICE_FROM) {
        if (c->pipe[0] < 0 && prepare(c) < 0) c->can_splice = 0;
        if (c->can_splice && !ars__source_is_ahead(&c->from->source)) return copy_spliced(c);
    }
    int n = copy_loan(c);
    if (c->pipe[0] < 0) c->lent = n >= ARS__LEND_SIZE ? c->lent + (size_t)n : 0;
    return n;
}

static void unpin(ars__source *source)
{
    source->pins--;
    if (ARS__UNLIKELY(source->closing)) ars__source_settle(source);
}

int ars_conn_copy(ars_conn *from, ars_conn *to, uint64_t limit, uint64_t *copied, ars_time deadline)
{
    copy c = {.from = from,
              .to = to,
              .self = ars__task_self(),
              .left = limit,
              .can_splice = 1,
              .pipe = {-1, -1},
              .deadline = deadline};
    if (copied) *copied = 0;
    if (!c.self) return ARS_EINVAL;
    int rc = ars__source_enter(&from->source, c.self, deadline);
    if (rc < 0) return rc;
    /* Both stay here, and in memory, until it is done. */
    from->source.pins++;
    rc = ars__source_enter(&to->source, c.self, deadline);
    if (rc == 0) {
        to->source.pins++;
        do rc = c.left > 0 ? step(&c) : 0;
        while (rc > 0);
        unpin(&to->source);
    }
    unpin(&from->source);
    if (c.pipe[0] >= 0) {
        ars__os_close(c.pipe[0]);
        ars__os_close(c.pipe[1]);
    }
    if (copied) *copied = c.done;
    return rc;
}
