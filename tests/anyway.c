/* SPDX-License-Identifier: MIT */
/* Every way of writing against every way of reading, at random, with deadlines and cancels all the while. */
#define _GNU_SOURCE
#include <arsenal/bufio.h>
#include <arsenal/rights.h>
#include <arsenal/transfer.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "peer.h"

enum { MOST = 60000, SEED = 3 };

typedef struct side {
    ars_conn *conn;
    uint64_t state;
    size_t at, size;
    int unix_socket, file;
    int op;        /* the last call: 0 to 4 to write, 10 to 16 to read */
    long given_up; /* calls that a deadline or a cancel ended */
} side;

static uint64_t roll(side *s, uint64_t n)
{
    s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (s->state >> 33) % n;
}

static int64_t soon(void)
{
    return ars_after(20 * ARS_SECOND);
}

/* Now, soon, or late; or late in a scope that ends soon. */
static ars_time some_deadline(side *s, ars_scope *scope)
{
    ars_time little = ars_after((int64_t)roll(s, 100) * ARS_MICROSECOND);
    uint64_t how = roll(s, 8);
    ars_scope_enter(scope, how == 0 ? little : ARS_FOREVER);
    return how == 1 ? 0 : how == 2 || how == 3 ? little : soon();
}

static void end_of_call(side *s, ars_scope *scope, int rc)
{
    int ended = ars_scope_leave(scope);
    if (rc >= 0) return;
    if (rc == ARS_ECANCELED && ended != ARS_ETIMEDOUT)
        FAIL("cancelled on %s after %zu bytes, in call %d", backend_name(), s->at, s->op);
    if (rc != ARS_ECANCELED && rc != ARS_ETIMEDOUT) FAIL("%d (%s)", rc, ars_strerror(rc));
    s->given_up++;
}

/* ---- writing ---- */

static size_t write_vector(side *s, unsigned char *data, size_t n, int *rc, ars_time deadline)
{
    ars_buf bufs[50];
    size_t count = 1 + roll(s, 50), sent, at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = i == count - 1 ? n - at : roll(s, (n - at) / 4 + 1);
        bufs[i] = (ars_buf){data + at, len};
        at += len;
    }
    *rc = ars_conn_writev(s->conn, bufs, count, &sent, deadline);
    return sent;
}

static size_t write_buffered(side *s, const unsigned char *data, size_t n, int *rc,
                             ars_time deadline)
{
    static char buf[3000];
    ars_writer w;
    size_t taken = 0, total = 0;
    CHECK_EQ(ars_writer_init(&w, s->conn, buf, sizeof buf), 0);
    for (*rc = 0; total < n && *rc == 0; total += taken) {
        size_t piece = 1 + roll(s, 4000);
        *rc = ars_writer_write(&w, data + total, piece < n - total ? piece : n - total, &taken,
                               deadline);
    }
    if (*rc == 0) *rc = ars_writer_flush(&w, deadline);
    return total - ars_writer_buffered(&w);
}

static size_t write_some(side *s, unsigned char *data, size_t n, int *rc, ars_time deadline)
{
    size_t sent = 0;
    int fd = s->file;
    switch (s->op = (int)roll(s, 5)) {
    case 0: return write_vector(s, data, n, rc, deadline);
    case 1: return write_buffered(s, data, n, rc, deadline);
    case 2: *rc = ars_conn_sendfile(s->conn, fd, (int64_t)s->at, n, &sent, deadline); break;
    case 3:
        if (s->unix_socket) {
            *rc = ars_conn_send_rights(s->conn, data, n, &fd, 1, &sent, deadline);
            break;
        }
        /* fall through */
    default: *rc = ars_conn_write(s->conn, data, n, &sent, deadline); break;
    }
    return sent;
}

static int write_all(void *arg)
{
    side *s = arg;
    static unsigned char data[MOST];
    while (s->at < s->size) {
        ars_scope scope;
        int rc;
        size_t n = 1 + (roll(s, 4) ? roll(s, 3000) : roll(s, MOST));
        if (n > s->size - s->at) n = s->size - s->at;
        stream_fill(SEED, s->at, data, n);
        ars_time deadline = some_deadline(s, &scope);
        size_t sent = write_some(s, data, n, &rc, deadline);
        end_of_call(s, &scope, rc);
        CHECK(rc == 0 ? sent == n : sent <= n);
        s->at += sent;
        if (roll(s, 20) == 0) CHECK_EQ(ars_yield(), 0);
    }
    ars_conn_close(s->conn);
    return 0;
}

/* ---- reading ---- */

/* Through another pair, which nothing stays behind in. */
static size_t read_copied(side *s, unsigned char *buf, size_t n, int *rc, ars_time deadline)
{
    ars_conn *in, *out;
    uint64_t copied;
    size_t got;
    CHECK_EQ(roll(s, 2) ? ars_conn_pair(&in, &out) : ars_conn_pipe(&out, &in), 0);
    *rc = ars_conn_copy(s->conn, in, n, &copied, deadline);
    ars_scope scope;
    ars_shield_enter(&scope, ARS_FOREVER);
    CHECK_EQ(ars_conn_read_full(out, buf, copied, &got, soon()), 0);
    CHECK_EQ(ars_scope_leave(&scope), 0);
    ars_conn_close(in);
    ars_conn_close(out);
    return got;
}

static size_t read_some(side *s, unsigned char *buf, size_t n, int *rc, ars_time deadline)
{
    size_t got = 0;
    int fd;
    ars_rights rights = {&fd, 1, 0, {0, 0, 0}};
    ars_buf two[2] = {{buf, n / 3}, {buf + n / 3, n - n / 3}};
    ars_loan loan;
    switch (s->op = 10 + (int)roll(s, s->unix_socket ? 7 : 6)) {
    case 10: *rc = ars_conn_read_full(s->conn, buf, n, &got, deadline); return got;
    case 11: *rc = ars_conn_readv(s->conn, two, 2, &got, deadline); return got;
    case 12: return read_copied(s, buf, n < 30000 ? n : 30000, rc, deadline);
    case 13:
        *rc = ars_conn_read_loan(s->conn, &loan, deadline);
        if (*rc <= 0) return 0;
        memcpy(buf, loan.data, loan.len);
        ars_conn_read_return(&loan);
        break;
    case 16:
        *rc = ars_conn_recv_rights(s->conn, buf, n, &rights, deadline);
        if (*rc > 0 && rights.count) close(fd);
        break;
    default: *rc = ars_conn_read(s->conn, buf, n, deadline); break;
    }
    return *rc > 0 ? (size_t)*rc : 0;
}

static int read_all(void *arg)
{
    side *s = arg;
    static unsigned char buf[MOST + 4096];
    while (s->at < s->size) {
        ars_scope scope;
        int rc;
        size_t n = 1 + (roll(s, 4) ? roll(s, 3000) : roll(s, MOST));
        if (n > s->size - s->at) n = s->size - s->at;
        ars_time deadline = some_deadline(s, &scope);
        size_t got = read_some(s, buf, n, &rc, deadline);
        end_of_call(s, &scope, rc);
        stream_check(SEED, s->at, buf, got);
        s->at += got;
        if (roll(s, 50) == 0) CHECK_EQ(ars_sleep(ars_after(50 * ARS_MICROSECOND)), 0);
    }
    CHECK_EQ(ars_conn_read(s->conn, buf, 1, soon()), 0);
    ars_conn_close(s->conn);
    return 0;
}

static int everything_task(void *arg)
{
    (void)arg;
    size_t size = (size_t)test_times(4000000, 1000000);
    int file = memfd_create("stream", MFD_CLOEXEC);
    long given_up = 0;
    unsigned char *data = malloc(size);
    stream_fill(SEED, 0, data, size);
    CHECK_EQ(write(file, data, size), size);
    free(data);
    for (unsigned i = 0; i < 6; i++) {
        ars_conn *in, *out;
        if (i % 3 == 0) pair_open(&in, &out);
        if (i % 3 == 1) CHECK_EQ(ars_conn_pair(&in, &out), 0);
        if (i % 3 == 2) CHECK_EQ(ars_conn_pipe(&out, &in), 0);
        side w = {in, i * 2 + 1, 0, size, i % 3 == 1, file, 0, 0};
        side r = {out, i * 7 + 5, 0, size, i % 3 == 1, file, 0, 0};
        ars_group group;
        start(&group, write_all, &w);
        go_beside(&group, read_all, &r);
        int rc = ars_group_wait(&group, ars_after(60 * ARS_SECOND));
        if (rc != 0) FAIL("round %u: %d; written %zu, read %zu", i, rc, w.at, r.at);
        given_up += w.given_up + r.given_up;
    }
    CHECK(given_up > 0);
    close(file);
    return 0;
}

static void everything(void)
{
    /* Files may be read on threads. */
    on_each_backend_threads(world_workers(), everything_task, 4);
}

static const test_case cases[] = {{"everything", everything}};
TEST_MAIN(cases)
