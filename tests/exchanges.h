/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_EXCHANGES_H
#define ARS_TEST_EXCHANGES_H

/*
 * What the fault matrix does: each exchange opens what it needs, moves a few
 * pieces, one system call or io_uring operation each, goes on after the one
 * error that it may meet, and has every byte checked at the other end.
 */

#include <arsenal/dgram.h>
#include <arsenal/rights.h>
#include <arsenal/select.h>
#include <arsenal/transfer.h>
#include <sys/mman.h>

#include "ends.h"

/* ---- reading ---- */

enum { PLAIN, LENT, FULL, SELECTED, VECTORED, UNCOPIED, RIGHTS };

/* What is left of a piece: 1, or 0 where the stream ends, or an error. */
static int read_full(ars_conn *conn, far *f, ars_time deadline)
{
    unsigned char buf[PIECE];
    size_t got = 0, left = PIECE - f->consumed % PIECE;
    ars_buf parts[] = {{buf, 100}, {buf + 100, PIECE - 100}};
    int rc;
    if (left == PIECE)
        rc = ars_conn_readv(conn, parts, 2, &got, deadline);
    else
        rc = ars_conn_read_full(conn, buf, left, &got, deadline);
    stream_check(SEED, f->consumed, buf, got);
    f->consumed += got;
    if (cell.ends && rc == ARS_EPIPE) return 0;
    return rc < 0 ? rc : 1;
}

static int read_lent(ars_conn *conn, far *f, ars_time deadline)
{
    ars_loan loan;
    int rc = ars_conn_read_loan(conn, &loan, deadline);
    if (rc <= 0) return rc;
    CHECK_EQ(loan.len, rc);
    stream_check(SEED, f->consumed, loan.data, loan.len);
    f->consumed += loan.len;
    ars_conn_read_return(&loan);
    return rc;
}

static int read_some(ars_conn *conn, int how, far *f, ars_time deadline)
{
    unsigned char buf[PIECE];
    int rc;
    if (how == LENT) return read_lent(conn, f, deadline);
    if (how == FULL) return read_full(conn, f, deadline);
    if (how == SELECTED) {
        ars_case readable = ARS_READABLE(conn);
        rc = ars_select(&readable, 1, deadline);
        if (rc < 0) return rc;
        CHECK_EQ(rc, 0);
        deadline = 0;
    }
    ars_rights none = {0};
    if (how == RIGHTS)
        rc = ars_conn_recv_rights(conn, buf, sizeof buf, &none, deadline);
    else
        rc = ars_conn_read(conn, buf, sizeof buf, deadline);
    /* What was ready for the fault's sake need not be there. */
    if (how == SELECTED && rc == ARS_ETIMEDOUT && cell.struck()) return 1;
    if (rc <= 0) return rc;
    stream_check(SEED, f->consumed, buf, (size_t)rc);
    f->consumed += (size_t)rc;
    return rc;
}

static void reads(int wire, int how)
{
    far f;
    ars_conn *conn = conn_to(wire, &f);
    far_begin(&f, feeds, PIECES, PIECE);
    while (f.consumed < f.total) {
        int rc = read_some(conn, how, &f, in_time());
        if (rc <= 0) note(rc ? rc : NOTHING);
        if (rc == 0) break;
    }
    f.over = 1;
    ars_conn_close(conn);
    far_end(&f);
}

static void ex_read(int wire)
{
    reads(wire, PLAIN);
}
static void ex_read_loan(int wire)
{
    reads(wire, LENT);
}
static void ex_read_full(int wire)
{
    reads(wire, FULL);
}
static void ex_recv_rights(int wire)
{
    reads(wire, RIGHTS);
}

static void ex_readable(int wire)
{
    reads(wire, SELECTED);
}

/* ---- writing ---- */

static void writes(int wire, int how, int fd)
{
    far f;
    ars_conn *conn = conn_to(wire, &f);
    if (how == UNCOPIED) CHECK_EQ(ars_conn_set(conn, ARS_CONN_ZEROCOPY, 1), 0);
    unsigned char data[PIECE];
    far_begin(&f, takes, PIECES, PIECE);
    for (size_t at = 0; at < f.total;) {
        size_t n = PIECE - at % PIECE, sent = n + 1, cut = n / 3;
        stream_fill(SEED, at, data, n);
        ars_buf parts[] = {{data, cut}, {data + cut, n - cut}};
        int rc;
        if (fd >= 0)
            rc = ars_conn_sendfile(conn, fd, (int64_t)at, n, &sent, in_time());
        else if (how == RIGHTS)
            rc = ars_conn_send_rights(conn, data, n, &(int){2}, 1, &sent, in_time());
        else if (how == VECTORED)
            rc = ars_conn_writev(conn, parts, 2, &sent, in_time());
        else
            rc = ars_conn_write(conn, data, n, &sent, in_time());
        memset(data, 0, n);
        CHECK(sent <= n);
        at += sent;
        if (rc < 0)
            note(rc);
        else if (sent < n)
            note(NOTHING);
    }
    far_end(&f);
    CHECK_EQ(f.taken, f.total);
    ars_conn_close(conn);
}

static void ex_write(int wire)
{
    writes(wire, 0, -1);
}
static void ex_send_rights(int wire)
{
    writes(wire, RIGHTS, -1);
}

static void ex_writev(int wire)
{
    writes(wire, VECTORED, -1);
}

static void ex_write_uncopied(int wire)
{
    writes(wire, UNCOPIED, -1);
}

static void ex_sendfile(int wire)
{
    unsigned char data[TOTAL];
    int fd = memfd_create("matrix", MFD_CLOEXEC);
    stream_fill(SEED, 0, data, TOTAL);
    CHECK_EQ(write(fd, data, TOTAL), TOTAL);
    writes(wire, 0, fd);
    close(fd);
}

/* ---- connecting ---- */

static int knocks(void *arg)
{
    const ars_addr *addr = arg;
    while (!cell.struck())
        if (ars_sleep(ars_after(1)) < 0) return 0;
    close(plain_connect(addr));
    return 0;
}

static void ex_accept(int wire)
{
    (void)wire;
    for (int i = 0; i < 3; i++) {
        ars_addr addr;
        ars_listener *listener = listen_at("127.0.0.1:0", &addr);
        ars_conn *conn = NULL;
        ars_group group;
        start(&group, knocks, &addr);
        int fd = plain_connect(&addr);
        while (!conn) {
            int rc = ars_listener_accept(listener, &conn, in_time());
            if (rc < 0) note(rc);
        }
        plain_send(fd, "a", 1);
        char c = 0;
        CHECK_EQ(ars_conn_read(conn, &c, 1, in_time()), 1);
        CHECK_EQ(c, 'a');
        ars_conn_close(conn);
        close(fd);
        if (!cell.struck()) ars_group_cancel(&group, 0);
        int rc = ars_group_wait(&group, in_time());
        CHECK(rc == 0 || rc == ARS_ECANCELED);
        ars_listener_close(listener);
    }
}

static void ex_dial(int wire)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    ars_addr addr;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)wire;
    CHECK_EQ(bind(listening, (const void *)&sa, sizeof sa), 0);
    CHECK_EQ(listen(listening, 8), 0);
    CHECK_EQ(getsockname(listening, (void *)&sa, &len), 0);
    CHECK_EQ(ars_addr_from(&addr, &sa, len), 0);
    for (int i = 0; i < 3; i++) {
        ars_conn *conn = NULL;
        char c = 0;
        while (!conn) {
            int rc = ars_conn_dial(&conn, &addr, NULL, in_time());
            if (rc < 0) note(rc);
        }
        CHECK_EQ(ars_conn_write(conn, "d", 1, NULL, in_time()), 0);
        int fd = -1;
        /* Attempts that failed may stand before it. */
        for (ssize_t n = 0; n <= 0;) {
            if (fd >= 0) close(fd);
            fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
            CHECK(fd >= 0);
            n = recv(fd, &c, 1, 0);
        }
        CHECK_EQ(c, 'd');
        ars_conn_close(conn);
        close(fd);
    }
    close(listening);
}

/* ---- other people's descriptors ---- */

static void waits(int selected)
{
    far f = {0};
    int fd;
    plain_pair(UNIX, &f.fd, &fd);
    far_begin(&f, feeds, PIECES, 1);
    while (f.consumed < f.total) {
        ars_case ready = ARS_READY(fd, ARS_FD_IN);
        int rc =
            selected ? ars_select(&ready, 1, in_time()) : ars_wait_fd(fd, ARS_FD_IN, in_time());
        unsigned char c;
        if (rc < 0) {
            note(rc);
            continue;
        }
        CHECK_EQ(rc, selected ? 0 : ARS_FD_IN);
        CHECK_EQ(recv(fd, &c, 1, MSG_DONTWAIT), 1);
        stream_check(SEED, f.consumed++, &c, 1);
    }
    far_end(&f);
    close(fd);
}

static void ex_wait_fd(int wire)
{
    (void)wire, waits(0);
}
static void ex_ready(int wire)
{
    (void)wire, waits(1);
}

/* ---- datagrams ---- */

static ars_dgram *dgram_to(far *f)
{
    ars_dgram *dgram;
    ars_addr addr;
    size_t len;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof sa;
    *f = (far){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), .datagrams = 1};
    CHECK_EQ(bind(f->fd, (const void *)&sa, sizeof sa), 0);
    CHECK_EQ(getsockname(f->fd, (void *)&sa, &size), 0);
    CHECK_EQ(ars_addr_from(&addr, &sa, size), 0);
    CHECK_EQ(ars_dgram_dial(&dgram, &addr, NULL), 0);
    CHECK_EQ(ars_dgram_local(dgram, &addr), 0);
    const struct sockaddr *at = ars_addr_sockaddr(&addr, &len);
    CHECK_EQ(connect(f->fd, at, (socklen_t)len), 0);
    return dgram;
}

static void receives(int many)
{
    far f;
    ars_dgram *dgram = dgram_to(&f);
    far_begin(&f, feeds, PIECES, PIECE);
    while (f.consumed < f.total) {
        unsigned char buf[2][PIECE];
        ars_message messages[] = {{.data = buf[0], .size = PIECE}, {.data = buf[1], .size = PIECE}};
        int rc = many ? ars_dgram_recv_many(dgram, messages, 2, in_time())
                      : ars_dgram_recv(dgram, buf, PIECE, NULL, in_time());
        if (rc <= 0) {
            note(rc ? rc : NOTHING);
            continue;
        }
        int n = many ? rc : 1;
        for (int i = 0; i < n; i++, f.consumed += PIECE) {
            CHECK_EQ(many ? messages[i].len : (size_t)rc, PIECE);
            stream_check(SEED, f.consumed, buf[i], PIECE);
        }
    }
    far_end(&f);
    ars_dgram_close(dgram);
}

static void sends(int many)
{
    far f;
    ars_dgram *dgram = dgram_to(&f);
    unsigned char data[2][PIECE];
    far_begin(&f, takes, PIECES, PIECE);
    for (size_t at = 0; at < f.total;) {
        ars_message messages[] = {{.data = data[0], .size = PIECE},
                                  {.data = data[1], .size = PIECE}};
        stream_fill(SEED, at, data[0], PIECE);
        stream_fill(SEED, at + PIECE, data[1], PIECE);
        int rc = many ? ars_dgram_send_many(dgram, messages, 2, in_time())
                      : ars_dgram_send(dgram, data, PIECE, NULL, in_time());
        if (rc < 0 || (many && rc == 0))
            note(rc ? rc : NOTHING);
        else
            at += many ? (size_t)rc * PIECE : PIECE;
    }
    far_end(&f);
    ars_dgram_close(dgram);
}

static void ex_dgram_recv(int wire)
{
    (void)wire, receives(0);
}
static void ex_dgram_recv_many(int wire)
{
    (void)wire, receives(1);
}
static void ex_dgram_send(int wire)
{
    (void)wire, sends(0);
}
static void ex_dgram_send_many(int wire)
{
    (void)wire, sends(1);
}

#endif
