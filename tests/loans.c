/* SPDX-License-Identifier: MIT */
/* Buffers that connections share: lent to readers, and filled by floods that nobody reads. */
#define _GNU_SOURCE
#include "peer.h"
#include <stdlib.h>
#include <sys/ioctl.h>

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* ---- loans ---- */

static int loans_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    ars_loan first, second, none = {0};
    unsigned char buf[10];
    CHECK_EQ(ars_conn_read_loan(p.conn, &first, 0), ARS_ETIMEDOUT);
    stream_fill(9, 0, buf, 10);
    plain_send(p.fd, buf, 10);
    CHECK_EQ(ars_conn_read_loan(p.conn, &first, soon()), 10);
    CHECK_EQ(first.len, 10);
    plain_send(p.fd, "abcdefghij", 10);
    CHECK_EQ(ars_conn_read(p.conn, buf, 4, soon()), 4);
    CHECK_EQ(ars_conn_read_loan(p.conn, &second, soon()), 6);
    stream_check(9, 0, first.data, 10);
    CHECK(memcmp(second.data, "efghij", 6) == 0);
    ars_conn_read_return(&first);
    CHECK(first.data == NULL && first.len == 0);
    ars_conn_read_return(&first);
    ars_conn_read_return(&none);
    /* The second outlives its connection. */
    peer_close(&p);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK(memcmp(second.data, "efghij", 6) == 0);
    ars_conn_read_return(&second);
    p = peer_open();
    close(p.fd);
    CHECK_EQ(ars_conn_read_loan(p.conn, &first, soon()), 0);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(loans)

/* All buffers lent: an error, and everything works again when they are back. */
static int loans_run_out_task(void *arg)
{
    (void)arg;
    enum { MOST = 10000 };
    static ars_loan loans[MOST];
    peer p = peer_open();
    int n = 0, rc;
    do {
        unsigned char byte = stream_byte(8, (size_t)n);
        plain_send(p.fd, &byte, 1);
        rc = ars_conn_read_loan(p.conn, &loans[n], soon());
    } while (rc == 1 && ++n < MOST);
    CHECK_EQ(rc, ARS_ENOBUFS);
    CHECK(n >= 4096);
    for (int i = 0; i < n; i++) {
        stream_check(8, (size_t)i, loans[i].data, 1);
        ars_conn_read_return(&loans[i]);
    }
    CHECK_EQ(ars_conn_read_loan(p.conn, &loans[0], soon()), 1);
    stream_check(8, (size_t)n, loans[0].data, 1);
    ars_conn_read_return(&loans[0]);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(loans_run_out)

/* ---- floods ---- */

enum { FLOODS = 320 };

/* Sends as much as goes; returns how much. */
static size_t flood(int fd, unsigned seed)
{
    unsigned char chunk[4096];
    size_t at = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (at < 256 * 1024) {
        stream_fill(seed, at, chunk, sizeof chunk);
        ssize_t n = send(fd, chunk, sizeof chunk, MSG_NOSIGNAL);
        if (n <= 0) break;
        at += (size_t)n;
    }
    return at;
}

static void read_exactly(ars_conn *conn, unsigned seed, size_t n, int lent)
{
    unsigned char buf[8192];
    for (size_t got = 0; got < n;) {
        ars_loan loan = {.data = buf};
        int rc = lent ? ars_conn_read_loan(conn, &loan, soon())
                      : ars_conn_read(conn, buf, sizeof buf, soon());
        if (rc <= 0) FAIL("%zu of %zu bytes: %d", got, n, rc);
        stream_check(seed, got, loan.data, (size_t)rc);
        if (lent) ars_conn_read_return(&loan);
        got += (size_t)rc;
    }
}

/* Hundreds of peers send without end and nobody reads; one connection goes on undisturbed. */
static int floods_task(void *arg)
{
    (void)arg;
    static peer p[FLOODS];
    static size_t sent[FLOODS];
    unsigned char buf[64];
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    peer calm = peer_of(listener, &addr);
    for (unsigned i = 0; i < FLOODS; i++) {
        p[i] = peer_of(listener, &addr);
        /* A read that gives up leaves the kernel free to bring more. */
        CHECK_EQ(ars_conn_read(p[i].conn, buf, 1, 1), ARS_ETIMEDOUT);
    }
    for (unsigned i = 0; i < FLOODS; i++) sent[i] = flood(p[i].fd, i);
    for (unsigned i = 0; i < 200; i++) {
        ars_loan loan;
        plain_send(calm.fd, &i, sizeof i);
        if (i % 2) {
            CHECK_EQ(ars_conn_read(calm.conn, buf, sizeof buf, soon()), sizeof i);
        } else {
            CHECK_EQ(ars_conn_read_loan(calm.conn, &loan, soon()), sizeof i);
            memcpy(buf, loan.data, sizeof i);
            ars_conn_read_return(&loan);
        }
        CHECK(memcmp(buf, &i, sizeof i) == 0);
        CHECK_EQ(ars_conn_write(calm.conn, buf, sizeof i, NULL, soon()), 0);
        plain_recv(calm.fd, buf, sizeof i);
    }
    for (unsigned i = 0; i < FLOODS; i++) {
        read_exactly(p[i].conn, i, sent[i], i % 2);
        CHECK_EQ(ars_conn_read(p[i].conn, buf, 1, 0), ARS_ETIMEDOUT);
        peer_close(&p[i]);
    }
    peer_close(&calm);
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(floods)

static const test_case cases[] = {
    {"loans", loans},
    {"loans_run_out", loans_run_out},
    {"floods", floods},
};
TEST_MAIN(cases)
