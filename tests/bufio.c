/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arsenal/bufio.h>
#include <stdlib.h>

#include "fault.h"
#include "peer.h"

static volatile size_t too_much = (size_t)-1; /* unknown to the compiler */

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static int lines_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[16], *line = NULL;
    const char *data = NULL;
    ars_reader r;
    CHECK_EQ(ars_reader_init(&r, p.conn, buf, sizeof buf), 0);
    plain_send(p.fd, "GET /\r\n\r\n\nlong one\r", 19);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 5);
    CHECK_STR(line, "GET /");
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 0);
    CHECK_STR(line, "");
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 0);
    /* The rest of a line comes later; a deadline between loses nothing. */
    line = NULL;
    CHECK_EQ(ars_reader_line(&r, &line, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_reader_line(&r, &line, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK(line == NULL);
    plain_send(p.fd, "\n\rx\n", 4);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 8);
    CHECK_STR(line, "long one");
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 2);
    CHECK_STR(line, "\rx");

    /* As long as the buffer, and longer. */
    plain_send(p.fd, "123456789012345\n1234567890123456\nab,c", 37);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 15);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), ARS_EMSGSIZE);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), ARS_EMSGSIZE);
    CHECK_EQ(ars_reader_buffered(&r), 16);
    CHECK_EQ(ars_reader_peek(&r, 16, &data, 0), 16);
    CHECK(memcmp(data, "1234567890123456", 16) == 0);
    CHECK_EQ(ars_reader_skip(&r, 10), 10);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), 6);
    CHECK_STR(line, "123456");
    CHECK_EQ(ars_reader_until(&r, ',', &line, soon()), 3);
    CHECK(memcmp(line, "ab,", 3) == 0);
    close(p.fd);
    CHECK_EQ(ars_reader_until(&r, ',', &line, soon()), ARS_EPIPE);
    CHECK_EQ(ars_reader_peek(&r, 2, &data, soon()), ARS_EPIPE);
    CHECK_EQ(ars_reader_peek(&r, 17, &data, soon()), ARS_EMSGSIZE);
    char rest[8];
    CHECK_EQ(ars_reader_read(&r, rest, sizeof rest, soon()), 1);
    CHECK_EQ(rest[0], 'c');
    CHECK_EQ(ars_reader_read(&r, rest, sizeof rest, soon()), 0);
    CHECK_EQ(ars_reader_read(&r, rest, 0, soon()), 0);
    CHECK_EQ(ars_reader_skip(&r, 5), 0);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(lines)

typedef struct source {
    ars_conn *conn;
    size_t size;
    unsigned seed;
} source;

static int write_stream(void *arg)
{
    source *s = arg;
    unsigned char piece[997];
    for (size_t at = 0; at < s->size;) {
        size_t n = 1 + stream_byte(5, at) % sizeof piece * 3 % sizeof piece;
        if (n > s->size - at) n = s->size - at;
        stream_fill(s->seed, at, piece, n);
        int rc = ars_conn_write(s->conn, piece, n, NULL, soon());
        if (rc < 0) return rc;
        at += n;
    }
    ars_conn_close(s->conn);
    return 0;
}

/* Every way of reading, in turn, gives the same stream, whatever the buffer's size. */
static int mixed_task(void *arg)
{
    (void)arg;
    static char buf[4096];
    static unsigned char out[9000];
    const size_t sizes[] = {1, 2, 7, 64, 1000, 4096};
    for (unsigned i = 0; i < 6; i++) {
        ars_conn *a, *b;
        CHECK_EQ(ars_conn_pair(&a, &b), 0);
        source s = {a, i < 3 ? 20000 : 400000, i};
        ars_group group;
        start(&group, write_stream, &s);
        ars_reader r;
        CHECK_EQ(ars_reader_init(&r, b, buf, sizes[i]), 0);
        size_t at = 0;
        for (unsigned k = 0; at < s.size; k++) {
            size_t n = 1 + stream_byte(77, k) * 31u % 5000, got = 0;
            const char *data = NULL;
            char *text;
            int rc;
            switch (k % 5) {
            case 0:
                rc = ars_reader_read(&r, out, n, soon());
                CHECK(rc > 0 && (size_t)rc <= n);
                got = (size_t)rc;
                break;
            case 1:
                rc = ars_reader_read_full(&r, out, n, &got, soon());
                CHECK(rc == 0 ? got == n : rc == ARS_EPIPE);
                break;
            case 2:
                n = n % sizes[i] + 1;
                rc = ars_reader_peek(&r, n, &data, soon());
                if (rc == ARS_EPIPE) continue;
                CHECK(rc >= (int)n);
                memcpy(out, data, n);
                got = ars_reader_skip(&r, n);
                CHECK_EQ(got, n);
                break;
            case 3:
                rc = ars_reader_until(&r, '\n', &text, soon());
                if (rc == ARS_EPIPE || rc == ARS_EMSGSIZE) continue;
                CHECK(rc > 0);
                CHECK_EQ(text[rc - 1], '\n');
                CHECK(!memchr(text, '\n', (size_t)rc - 1));
                memcpy(out, text, got = (size_t)rc);
                break;
            default:
                /* One that does not wait takes what there is. */
                rc = ars_reader_read(&r, out, 3, 0);
                if (rc == ARS_ETIMEDOUT) continue;
                CHECK(rc >= 0);
                got = (size_t)rc;
                break;
            }
            stream_check(i, at, out, got);
            at += got;
        }
        CHECK_EQ(at, s.size);
        CHECK_EQ(ars_reader_read(&r, out, 1, soon()), 0);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        ars_conn_close(b);
    }
    return 0;
}
BACKEND_CASE(mixed)

static int full_deadline_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[8], out[40];
    size_t got = 9;
    ars_reader r;
    CHECK_EQ(ars_reader_init(&r, p.conn, buf, sizeof buf), 0);
    plain_send(p.fd, "0123456789abcdefghij", 20);
    CHECK_EQ(ars_reader_read_full(&r, out, 3, &got, soon()), 0);
    CHECK_EQ(got, 3);
    CHECK_EQ(ars_reader_read_full(&r, out + 3, 30, &got, ars_after(ARS_MILLISECOND)),
             ARS_ETIMEDOUT);
    CHECK_EQ(got, 17);
    CHECK(memcmp(out, "0123456789abcdefghij", 20) == 0);
    CHECK_EQ(ars_reader_read_full(&r, out, too_much, &got, soon()), ARS_EINVAL);
    CHECK_EQ(got, 0);
    CHECK_EQ(ars_reader_init(&r, NULL, buf, 8), ARS_EINVAL);
    CHECK_EQ(ars_reader_init(&r, p.conn, NULL, 8), ARS_EINVAL);
    CHECK_EQ(ars_reader_init(&r, p.conn, buf, 0), ARS_EINVAL);
    CHECK_EQ(ars_reader_init(&r, p.conn, buf, (size_t)-1), ARS_EINVAL);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(full_deadline)

static int writes_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[16], in[64];
    size_t taken = 9;
    ars_writer w;
    CHECK_EQ(ars_writer_init(&w, NULL, buf, 8), ARS_EINVAL);
    CHECK_EQ(ars_writer_init(&w, p.conn, buf, 0), ARS_EINVAL);
    CHECK_EQ(ars_writer_init(&w, p.conn, buf, sizeof buf), 0);
    CHECK_EQ(ars_writer_flush(&w, soon()), 0);
    CHECK_EQ(ars_writer_write(&w, "0123456789", 10, &taken, 0), 0);
    CHECK_EQ(taken, 10);
    CHECK_EQ(ars_writer_write(&w, "012345", 6, NULL, 0), 0);
    CHECK_EQ(ars_writer_buffered(&w), 16);
    CHECK_EQ(recv(p.fd, in, 1, MSG_DONTWAIT), -1);
    CHECK_EQ(ars_writer_flush(&w, soon()), 0);
    plain_recv(p.fd, in, 16);
    CHECK(memcmp(in, "0123456789012345", 16) == 0);
    /* What does not fit goes with what is there, in one piece. */
    CHECK_EQ(ars_writer_write(&w, "abc", 3, NULL, soon()), 0);
    CHECK_EQ(ars_writer_write(&w, "01234567890123456789", 20, &taken, soon()), 0);
    CHECK_EQ(taken, 20);
    CHECK_EQ(ars_writer_buffered(&w), 0);
    plain_recv(p.fd, in, 23);
    CHECK(memcmp(in, "abc01234567890123456789", 23) == 0);
    CHECK_EQ(ars_writer_write(&w, "abc", 3, NULL, soon()), 0);
    CHECK_EQ(ars_writer_write(&w, in, too_much, &taken, soon()), ARS_EINVAL);
    CHECK_EQ(taken, 0);
    CHECK_EQ(ars_writer_buffered(&w), 3);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(writes)

/* A peer that reads slowly, and deadlines all the while: every byte arrives once. */
static int slow_reader_task(void *arg)
{
    (void)arg;
    static unsigned char data[200000], in[300000];
    static char buf[5000];
    enum { TOTAL = 6000000 };
    peer p = peer_open();
    ars_writer w;
    size_t at = 0, arrived = 0, taken;
    int late = 0;
    CHECK_EQ(ars_writer_init(&w, p.conn, buf, sizeof buf), 0);
    while (arrived < TOTAL) {
        if (at < TOTAL) {
            size_t n = 1 + stream_byte(3, at) * 900u % sizeof data;
            if (n > TOTAL - at) n = TOTAL - at;
            stream_fill(4, at, data, n);
            ars_time deadline = at % 3 ? 0 : ars_after(ARS_MILLISECOND);
            int rc = ars_writer_write(&w, data, n, &taken, deadline);
            CHECK(rc == 0 ? taken == n : rc == ARS_ETIMEDOUT && taken < n);
            at += taken;
            late += rc < 0;
        } else if (ars_writer_flush(&w, 0) < 0) {
            late++;
        }
        if (late % 2 || at == TOTAL) {
            ssize_t n = recv(p.fd, in, sizeof in, MSG_DONTWAIT);
            if (n > 0) {
                stream_check(4, arrived, in, (size_t)n);
                arrived += (size_t)n;
            }
            CHECK_EQ(ars_yield(), 0);
        }
    }
    CHECK_EQ(ars_writer_buffered(&w), 0);
    CHECK(late > 0);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(slow_reader)

static int converse(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    char in[8], out[8], *line = NULL;
    ars_reader r;
    ars_writer w;
    int rc = ars_conn_pair(&a, &b);
    if (rc < 0) return rc;
    CHECK_EQ(ars_reader_init(&r, b, in, sizeof in), 0);
    CHECK_EQ(ars_writer_init(&w, a, out, sizeof out), 0);
    rc = ars_writer_write(&w, "one", 3, NULL, ars_after(ARS_SECOND));
    if (rc == 0) rc = ars_writer_write(&w, " two\n3", 6, NULL, ars_after(ARS_SECOND));
    if (rc == 0) rc = ars_writer_write(&w, "\n", 1, NULL, ars_after(ARS_SECOND));
    if (rc == 0) rc = ars_writer_flush(&w, ars_after(ARS_SECOND));
    if (rc == 0) rc = ars_reader_line(&r, &line, ars_after(ARS_SECOND));
    if (rc >= 0) CHECK_STR(line, "one two");
    if (rc >= 0) rc = ars_reader_line(&r, &line, ars_after(ARS_SECOND));
    if (rc >= 0) CHECK_STR(line, "3");
    ars_conn_close(a);
    ars_conn_close(b);
    return rc < 0 ? rc : 0;
}

static void survive(const ars_alloc *alloc, unsigned backend)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    CHECK(ars_run(converse, NULL, &config) <= 0);
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
    {"lines", lines},
    {"mixed", mixed},
    {"full_deadline", full_deadline},
    {"writes", writes},
    {"slow_reader", slow_reader},
    {"faults", faults},
};
TEST_MAIN(cases)
