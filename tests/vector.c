/* SPDX-License-Identifier: MIT */
/* Reads and writes of several buffers, and of exactly so many bytes. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "fault.h"
#include "peer.h"

enum { MIB = 1 << 20, MANY = 3000 };

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* Cuts 'size' bytes into 'n' pieces of all sizes, 0 among them. */
static void cut(ars_buf *bufs, size_t n, unsigned char *data, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = i % 5 == 3 ? 0 : size / n / 2 + stream_byte(9, i) % (size / n);
        if (i == n - 1 || len > size - at) len = size - at;
        bufs[i] = (ars_buf){data + at, len};
        at += len;
    }
}

typedef struct moving {
    ars_conn *conn;
    ars_buf *bufs;
    size_t count, moved;
    ars_time deadline;
    int result;
} moving;

static int write_pieces(void *arg)
{
    moving *m = arg;
    m->moved = 1;
    return m->result = ars_conn_writev(m->conn, m->bufs, m->count, &m->moved, m->deadline);
}

static int pieces_task(void *arg)
{
    (void)arg;
    static ars_buf out[MANY], in[MANY];
    unsigned char *data = malloc(8 * MIB), *back = malloc(8 * MIB);
    const size_t sizes[] = {1, 100, 5000, 70000, 8 * MIB};
    const size_t counts[] = {1, 2, 7, 33, MANY};
    for (int i = 0; i < 5; i++) {
        ars_conn *a, *b;
        pair_open(&a, &b);
        size_t size = sizes[i], n = size < counts[i] * 2 ? 1 : counts[i], got = 1;
        stream_fill(1, 0, data, size);
        cut(out, n, data, size);
        cut(in, n > 1 ? n - 1 : 1, back, size);
        moving m = {.conn = a, .bufs = out, .count = n, .deadline = soon()};
        ars_group group;
        start(&group, write_pieces, &m);
        CHECK_EQ(ars_conn_readv(b, in, n > 1 ? n - 1 : 1, &got, soon()), 0);
        CHECK_EQ(got, size);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(m.moved, size);
        stream_check(1, 0, back, size);
        ars_conn_close(a);
        ars_conn_close(b);
    }
    free(data);
    free(back);
    return 0;
}
BACKEND_CASE(pieces)

/* Writes cut short at every byte by the system still bring all bytes, in order. */
static int cut_short_task(void *arg)
{
    (void)arg;
    unsigned char data[64], back[64];
    ars_buf bufs[5];
    peer p = peer_open();
    stream_fill(2, 0, data, sizeof data);
    cut(bufs, 5, data, sizeof data);
    for (size_t n = 1; n < sizeof data; n++) {
        fault_short("sendmsg", 1, n);
        CHECK_EQ(ars_conn_writev(p.conn, bufs, 5, NULL, soon()), 0);
        plain_recv(p.fd, back, sizeof back);
        CHECK(memcmp(data, back, sizeof back) == 0);
    }
    fault_reset();
    peer_close(&p);
    return 0;
}
BACKEND_CASE(cut_short)

static int full_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[16];
    size_t got = 9;
    plain_send(p.fd, "abcdef", 6);
    CHECK_EQ(ars_conn_read_full(p.conn, buf, 4, &got, soon()), 0);
    CHECK_EQ(got, 4);
    CHECK(memcmp(buf, "abcd", 4) == 0);
    CHECK_EQ(ars_conn_read_full(p.conn, buf, 0, &got, soon()), 0);
    CHECK_EQ(got, 0);
    /* What came before the deadline is told and not lost. */
    CHECK_EQ(ars_conn_read_full(p.conn, buf, 4, &got, 0), ARS_ETIMEDOUT);
    CHECK_EQ(got, 2);
    CHECK_EQ(ars_conn_read_full(p.conn, buf + 2, 2, &got, ars_after(ARS_MILLISECOND)),
             ARS_ETIMEDOUT);
    CHECK_EQ(got, 0);
    plain_send(p.fd, "ghi", 3);
    CHECK_EQ(ars_conn_read_full(p.conn, buf + 2, 2, NULL, soon()), 0);
    CHECK(memcmp(buf, "efgh", 4) == 0);
    close(p.fd);
    CHECK_EQ(ars_conn_read_full(p.conn, buf, 4, &got, soon()), ARS_EPIPE);
    CHECK_EQ(got, 1);
    CHECK_EQ(ars_conn_read_full(p.conn, buf, 4, &got, soon()), ARS_EPIPE);
    CHECK_EQ(got, 0);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(full)

/* A peer that never reads, met by a deadline, a cancel, a close, and a deadline of 0. */
static int never_reads_task(void *arg)
{
    (void)arg;
    enum { SIZE = 16 * MIB };
    static ars_buf bufs[100];
    unsigned char *data = malloc(SIZE), *back = malloc(SIZE);
    stream_fill(3, 0, data, SIZE);
    cut(bufs, 100, data, SIZE);
    for (int how = 0; how < 4; how++) {
        peer p = peer_open();
        moving m = {.conn = p.conn, .bufs = bufs, .count = 100, .deadline = ARS_FOREVER};
        if (how == 0) m.deadline = ars_after(20 * ARS_MILLISECOND);
        if (how == 3) m.deadline = 0;
        ars_group group;
        start(&group, write_pieces, &m);
        settle();
        CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
        if (how == 1) ars_group_cancel(&group, 0);
        if (how == 2) ars_conn_close(p.conn);
        int rc = ars_group_wait(&group, soon());
        static const int results[] = {ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBADF, ARS_ETIMEDOUT};
        CHECK_EQ(m.result, results[how]);
        CHECK_EQ(rc, m.result);
        CHECK(m.moved > 0 && m.moved < SIZE);
        plain_recv(p.fd, back, m.moved);
        stream_check(3, 0, back, m.moved);
        if (how != 2) {
            CHECK_EQ(recv(p.fd, back, 1, MSG_DONTWAIT), -1);
            ars_conn_close(p.conn);
        }
        close(p.fd);
    }
    free(data);
    free(back);
    return 0;
}
BACKEND_CASE(never_reads)

/* Behind another write and before one, each together. */
static int queued_task(void *arg)
{
    (void)arg;
    enum { SIZE = 2 * MIB };
    static ars_buf bufs[3][40];
    moving m[3];
    ars_conn *a, *b;
    pair_open(&a, &b);
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    unsigned char *data[3], *back = malloc(SIZE);
    for (unsigned i = 0; i < 3; i++) {
        data[i] = malloc(SIZE);
        stream_fill(i, 0, data[i], SIZE);
        cut(bufs[i], i == 0 ? 1 : 40, data[i], SIZE);
        m[i] = (moving){.conn = a, .bufs = bufs[i], .count = i == 0 ? 1 : 40, .deadline = soon()};
        go_beside(&group, write_pieces, &m[i]);
        settle();
    }
    CHECK_EQ(ars_conn_writev(a, bufs[0], 1, NULL, 0), ARS_ETIMEDOUT);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(ars_conn_read_full(b, back, SIZE, NULL, soon()), 0);
        stream_check(i, 0, back, SIZE);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    for (int i = 0; i < 3; i++) free(data[i]);
    free(back);
    ars_conn_close(a);
    ars_conn_close(b);
    return 0;
}
BACKEND_CASE(queued)

static int sizes_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[8];
    size_t moved = 7, much = (size_t)PTRDIFF_MAX;
    ars_buf two[2] = {{buf, much}, {buf, 1}};
    CHECK_EQ(ars_conn_read(p.conn, buf, much + 1, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_read(p.conn, buf, (size_t)-1, 0), ARS_EINVAL);
    CHECK_EQ(ars_conn_write(p.conn, buf, (size_t)-1, &moved, soon()), ARS_EINVAL);
    CHECK_EQ(moved, 0);
    CHECK_EQ(ars_conn_read_full(p.conn, buf, (size_t)-1, &moved, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_readv(p.conn, two, 2, &moved, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_writev(p.conn, two, 2, &moved, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_writev(p.conn, two, 0, &moved, soon()), 0);
    CHECK_EQ(ars_conn_readv(p.conn, NULL, 0, &moved, soon()), 0);
    CHECK_EQ(moved, 0);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(sizes)

static int exchange(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    char out[64] = "what goes out", in[64];
    int rc = ars_conn_pair(&a, &b);
    if (rc < 0) return rc;
    ars_buf to[3] = {{out, 10}, {out + 10, 50}, {out + 60, 4}};
    ars_buf from[2] = {{in, 32}, {in + 32, 32}};
    rc = ars_conn_writev(a, to, 3, NULL, ars_after(ARS_SECOND));
    if (rc == 0) rc = ars_conn_readv(b, from, 2, NULL, ars_after(ARS_SECOND));
    if (rc == 0) CHECK(memcmp(in, out, 64) == 0);
    ars_conn_close(a);
    ars_conn_close(b);
    return rc;
}

static void survive(const ars_alloc *alloc, unsigned backend)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    CHECK(ars_run(exchange, NULL, &config) <= 0);
}

static void survive_auto(const ars_alloc *alloc)
{
    survive(alloc, ARS_BACKEND_AUTO);
}

static void survive_epoll(const ars_alloc *alloc)
{
    survive(alloc, ARS_BACKEND_EPOLL);
}

static void faults(void)
{
    sweep_alloc("auto", survive_auto);
    sweep_os("auto", survive_auto);
    sweep_os("epoll", survive_epoll);
}

static const test_case cases[] = {
    {"pieces", pieces}, {"cut_short", cut_short}, {"full", full},     {"never_reads", never_reads},
    {"queued", queued}, {"sizes", sizes},         {"faults", faults},
};
TEST_MAIN(cases)
