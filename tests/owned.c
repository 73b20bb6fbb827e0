/* SPDX-License-Identifier: MIT */
/*
 * Who touches, or takes away, a buffer that the kernel is using is told so by
 * AddressSanitizer, on each backend.
 */
#include <arsenal/dgram.h>
#include <stdlib.h>

#include "base/san.h"
#include "peer.h"

enum { SIZE = 4 << 20 };

static ars_time soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* An operation that is under way in another task, with a buffer that can go. */
typedef struct doing {
    ars_conn *conn;
    ars_dgram *dgram;
    char *buf;
    ars_group group;
} doing;

static int reads(void *arg)
{
    doing *d = arg;
    return ars_conn_read(d->conn, d->buf, 100, soon());
}

static int receives(void *arg)
{
    doing *d = arg;
    return ars_dgram_recv(d->dgram, d->buf, 100, NULL, soon());
}

static int writes(void *arg)
{
    doing *d = arg;
    return ars_conn_write(d->conn, d->buf, SIZE, NULL, soon());
}

static int writes_parts(void *arg)
{
    doing *d = arg;
    ars_buf parts[] = {{d->buf, SIZE / 2}, {d->buf + SIZE / 2, SIZE / 2}};
    return ars_conn_writev(d->conn, parts, 2, NULL, soon());
}

static void begin(doing *d, ars_fn *fn, size_t size)
{
    d->buf = calloc(size, 1);
    start(&d->group, fn, d);
    settle();
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
}

static int read_freed(void *arg)
{
    (void)arg;
    peer p = peer_open();
    doing d = {.conn = p.conn};
    begin(&d, reads, 100);
    free(d.buf);
    plain_send(p.fd, "hello", 5);
    return ars_group_wait(&d.group, soon());
}

static int receive_freed(void *arg)
{
    (void)arg;
    ars_dgram *other;
    doing d = {0};
    CHECK_EQ(ars_dgram_pair(&d.dgram, &other, 0), 0);
    begin(&d, receives, 100);
    free(d.buf);
    CHECK_EQ(ars_dgram_send(other, "hello", 5, NULL, soon()), 0);
    return ars_group_wait(&d.group, soon());
}

static int write_freed_by(ars_fn *fn)
{
    peer p = peer_open();
    doing d = {.conn = p.conn};
    char *sink = malloc(SIZE);
    begin(&d, fn, SIZE);
    free(d.buf);
    for (ssize_t n = 1; n > 0;) {
        n = recv(p.fd, sink, SIZE, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) n = ars_sleep(ars_after(ARS_MILLISECOND)) == 0;
    }
    return 0;
}

static int write_freed(void *arg)
{
    (void)arg;
    return write_freed_by(writes);
}

static int writev_freed(void *arg)
{
    (void)arg;
    return write_freed_by(writes_parts);
}

/* A buffer that is given back is the kernel's. */
static int loan_kept(void *arg)
{
    (void)arg;
    peer p = peer_open();
    ars_loan loan;
    plain_send(p.fd, "hello", 5);
    CHECK_EQ(ars_conn_read_loan(p.conn, &loan, soon()), 5);
    const volatile char *kept = loan.data;
    CHECK_EQ(kept[0], 'h');
    ars_conn_read_return(&loan);
    return kept[0];
}

static int read_too_far(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char *small = malloc(10);
    plain_send(p.fd, "more than ten", 13);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    int n = ars_conn_read(p.conn, small, 20, soon());
    free(small);
    return n;
}

typedef struct misuse {
    ars_fn *fn;
    unsigned backend;
    const char *report;
} misuse;

static void in_child(void *arg)
{
    const misuse *m = arg;
    ars_config config = {.backend = m->backend, .workers = 1};
    (void)!ars_run(m->fn, NULL, &config);
}

static void told(ars_fn *fn, const char *report)
{
    if (!ARS__ASAN) test_skip_all("only AddressSanitizer looks");
    for (unsigned backend = ARS_BACKEND_URING; backend <= ARS_BACKEND_POLL; backend++) {
        misuse m = {fn, backend, report};
        if (is_refused(backend)) continue;
        test_end end = test_child(in_child, &m);
        if (end.status == 0 || !strstr(end.err, report))
            FAIL("backend %u: status %d, signal %d, no %s: %s", backend, end.status, end.signal,
                 report, end.err);
    }
}

#define TOLD(name, report)                                                                         \
    static void name##_told(void)                                                                  \
    {                                                                                              \
        told(name, report);                                                                        \
    }
TOLD(read_freed, "heap-use-after-free")
TOLD(receive_freed, "heap-use-after-free")
TOLD(write_freed, "heap-use-after-free")
TOLD(writev_freed, "heap-use-after-free")
TOLD(loan_kept, "use-after-poison")
TOLD(read_too_far, "heap-buffer-overflow")

static const test_case cases[] = {
    {"read_freed", read_freed_told},   {"receive_freed", receive_freed_told},
    {"write_freed", write_freed_told}, {"writev_freed", writev_freed_told},
    {"loan_kept", loan_kept_told},     {"read_too_far", read_too_far_told},
};
TEST_MAIN(cases)
