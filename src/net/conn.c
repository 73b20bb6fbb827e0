/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/conn.h>. */
#include <arsenal/conn.h>

#include <string.h>

#include "base/assert.h"
#include "net/net.h"
#include "os/os.h"

static const ars__wait_class reading = {"read", ars__request_interrupt};
static const ars__wait_class writing = {"write", ars__request_interrupt};

/* ---- a connection's life ---- */

ars_conn *ars__conn_alloc(ars__hub *hub)
{
    ARS__STATIC_ASSERT(sizeof(ars_conn) == sizeof(ars__source));
    return ars__slab_get_shared(&hub->conns);
}

void ars__conn_free(ars__hub *hub, ars_conn *conn)
{
    ars__slab_put_shared(&hub->conns, conn);
}

static void freed(ars__source *source)
{
    ars__conn_free(source->hub, ARS__MEMBER(source, ars_conn, source));
}

void ars__conn_init(ars_conn *conn, ars__hub *hub, int fd)
{
    ars__source_init(&conn->source, hub, fd, ARS__STREAM, freed);
}

void ars__conn_init_file(ars_conn *conn, ars__hub *hub, int fd)
{
    ars__source_init(&conn->source, hub, fd, ARS__FILE, freed);
}

int ars__conn_open(ars_conn *conn, ars__loop *loop, int fd)
{
    return ars__source_open(&conn->source, loop, fd, ARS__STREAM, freed);
}

void ars_conn_close(ars_conn *conn)
{
    if (conn) ars__source_shut(&conn->source);
}

/*
 * What is read or written without waiting counts by its size too, so that a
 * task for which there is always more lets others run.
 */
enum { UNIT = 4096 };

static inline void spend(ars__task *self, size_t bytes)
{
    if (ARS__UNLIKELY(bytes >= UNIT)) ars__task_spend(self, bytes / UNIT);
}

/* Out of the fast paths: the first use, a change of home, a slice that is over, a cancel. */
static ARS__NOINLINE int enter_slow(ars__source *source, ars_time deadline, const void *frame)
{
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(!self)) return ARS_EINVAL;
    return ars__source_enter_at(source, self, deadline, frame);
}

/* ---- reading ---- */

int ars_conn_read(ars_conn *conn, void *buf, size_t n, ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__source_enter_fast(source);
    int rc;
    if (ARS__UNLIKELY(!self)) {
        rc = enter_slow(source, deadline, __builtin_dwarf_cfa());
        if (rc < 0) return rc;
        self = ars__task_self();
    }
    if (ARS__UNLIKELY((ptrdiff_t)n <= 0)) return n ? ARS_EINVAL : 0;
    if (ARS__UNLIKELY(source->reader != NULL)) return ARS_EBUSY;
    ars__request *request = &source->read;
    request->kind = ARS__RECV;
    request->task = self;
    request->done = ars__request_wake;
    request->buf = buf;
    request->len = n < INT32_MAX ? n : INT32_MAX;
    rc = ars__submit_read(source, request, deadline != 0);
    if (rc == ARS__PENDING) return ars__request_park(request, &reading, deadline);
    if (rc > 0) spend(self, (size_t)rc);
    return rc == ARS_EAGAIN ? ARS_ETIMEDOUT : rc;
}

static void fill_loan(const ars__request *request, ars_loan *loan)
{
    loan->data = request->buf;
    loan->len = request->len;
    loan->ars__state[0] = (uint64_t)(uintptr_t)request->source->loop;
    loan->ars__state[1] = ars__loan_out(request->source->loop, request->loan);
}

static void loan_done(ars__request *request, int32_t result)
{
    if (result > 0) fill_loan(request, request->user);
    ars__ready(request->task, result);
}

int ars_conn_read_loan(ars_conn *conn, ars_loan *loan, ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__source_enter_fast(source);
    int rc;
    if (ARS__UNLIKELY(!self)) {
        rc = enter_slow(source, deadline, __builtin_dwarf_cfa());
        if (rc < 0) return rc;
        self = ars__task_self();
    }
    if (ARS__UNLIKELY(source->reader != NULL)) return ARS_EBUSY;
    ars__request *request = &source->read;
    request->kind = ARS__LOAN;
    request->task = self;
    request->done = loan_done;
    request->user = loan;
    rc = ars__submit_read(source, request, deadline != 0);
    if (rc == ARS__PENDING) return ars__request_park(request, &reading, deadline);
    if (rc > 0) fill_loan(request, loan);
    return rc == ARS_EAGAIN ? ARS_ETIMEDOUT : rc;
}

void ars_conn_read_return(ars_loan *loan)
{
    if (!loan->data) return;
    ars__loan_return((ars__loop *)(uintptr_t)loan->ars__state[0], loan->ars__state[1]);
    memset(loan, 0, sizeof *loan);
}

/* ---- writing ---- */

static void write_done(ars__request *request, int32_t result)
{
    size_t *sent = request->user;
    if (sent) *sent = request->progress;
    ars__ready(request->task, result);
}

static void prepare_write(ars__request *request, ars__task *self, const void *buf, size_t n,
                          size_t *sent)
{
    request->kind = ARS__SEND;
    request->task = self;
    request->done = write_done;
    request->buf = (void *)(uintptr_t)buf;
    request->len = n;
    request->progress = 0;
    request->user = sent;
}

int ars_conn_write(ars_conn *conn, const void *buf, size_t n, size_t *sent, ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__source_enter_fast(source);
    if (sent) *sent = 0;
    int rc;
    if (ARS__UNLIKELY(!self)) {
        rc = enter_slow(source, deadline, __builtin_dwarf_cfa());
        if (rc < 0) return rc;
        self = ars__task_self();
    }
    if (ARS__UNLIKELY((ptrdiff_t)n <= 0)) return n ? ARS_EINVAL : 0;
    ars__request request;
    request.source = source;
    prepare_write(&request, self, buf, n, sent);
    rc = ars__submit_send(source, &request, deadline != 0);
    if (rc == ARS__PENDING) return ars__request_park(&request, &writing, deadline);
    if (sent) *sent = request.progress;
    spend(self, request.progress);
    return rc == ARS_EAGAIN ? ARS_ETIMEDOUT : rc;
}

int ars_conn_shutdown(ars_conn *conn, int side)
{
    if (side < ARS_READ_SIDE || side > ARS_BOTH_SIDES) return ARS_EINVAL;
    return ars__os_shutdown(conn->source.fd, side);
}
