/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/ioctl.h>

#include "peer.h"

enum { MIB = 1 << 20 };

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* ---- reading ---- */

static int reads_in_pieces_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    unsigned char data[100], buf[64];
    stream_fill(1, 0, data, sizeof data);
    plain_send(p.fd, data, sizeof data);
    CHECK_EQ(ars_conn_read(p.conn, buf, 30, soon()), 30);
    stream_check(1, 0, buf, 30);
    CHECK_EQ(ars_conn_read(p.conn, buf, 0, soon()), 0);
    CHECK_EQ(ars_conn_read(p.conn, buf, 30, 0), 30);
    stream_check(1, 30, buf, 30);
    CHECK_EQ(ars_conn_read(p.conn, buf, 64, ars_after(-1)), 40);
    stream_check(1, 60, buf, 40);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(reads_in_pieces)

/* One read takes what has come, in however many pieces the kernel brings it. */
static int takes_all_task(void *arg)
{
    (void)arg;
    enum { ALL = 20000 };
    static unsigned char data[ALL], buf[ALL + 1];
    stream_fill(4, 0, data, ALL);
    for (size_t room = ALL - 1; room <= ALL + 1; room++) {
        peer p = peer_open();
        plain_send(p.fd, data, ALL);
        for (int come = 0; come < ALL;) CHECK_EQ(ioctl(ars_conn_fd(p.conn), FIONREAD, &come), 0);
        int n = ars_conn_read(p.conn, buf, room, soon());
        CHECK_EQ(n, room < ALL ? ALL - 1 : ALL);
        stream_check(4, 0, buf, (size_t)n);
        if (n < ALL) CHECK_EQ(ars_conn_read(p.conn, buf, room, soon()), 1);
        close(p.fd);
        CHECK_EQ(ars_conn_read(p.conn, buf, room, soon()), 0);
        ars_conn_close(p.conn);
    }
    return 0;
}
BACKEND_CASE(takes_all)

typedef struct reading {
    ars_conn *conn;
    size_t size, got;
    unsigned seed;
    int result;
    ars_time deadline;
} reading;

/* Reads and checks the stream until its end or an error. */
static int read_all(void *arg)
{
    reading *r = arg;
    unsigned char *buf = malloc(r->size);
    while ((r->result = ars_conn_read(r->conn, buf, r->size, r->deadline)) > 0) {
        stream_check(r->seed, r->got, buf, (size_t)r->result);
        r->got += (size_t)r->result;
    }
    free(buf);
    return r->result;
}

static int dribble_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    reading r = {.conn = p.conn, .size = 64, .seed = 7, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, read_all, &r);
    int one = 1;
    setsockopt(p.fd, 6, 1, &one, sizeof one); /* TCP_NODELAY */
    for (size_t i = 0; i < 500; i++) {
        unsigned char byte = stream_byte(7, i);
        plain_send(p.fd, &byte, 1);
        if (i % 3 == 0) CHECK_EQ(ars_yield(), 0);
        if (i % 50 == 0) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    }
    close(p.fd);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(r.got, 500);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(dribble)

static int half_close_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[8];
    plain_send(p.fd, "last", 4);
    CHECK_EQ(shutdown(p.fd, SHUT_WR), 0);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 4);
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 0);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, 0), 0);
    CHECK_EQ(ars_conn_write(p.conn, "more", 4, NULL, soon()), 0);
    plain_recv(p.fd, buf, 4);
    CHECK(memcmp(buf, "more", 4) == 0);
    peer_close(&p);

    p = peer_open();
    CHECK_EQ(ars_conn_shutdown(p.conn, 3), ARS_EINVAL);
    CHECK_EQ(ars_conn_shutdown(p.conn, ARS_WRITE_SIDE), 0);
    CHECK_EQ(recv(p.fd, buf, sizeof buf, 0), 0);
    plain_send(p.fd, "still", 5);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 5);
    CHECK_EQ(ars_conn_write(p.conn, "x", 1, NULL, soon()), ARS_EPIPE);
    CHECK_EQ(ars_conn_shutdown(p.conn, ARS_READ_SIDE), 0);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 0);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(half_close)

static int send_and_end(void *arg)
{
    const int *fd = arg;
    plain_send(*fd, "last", 4);
    CHECK_EQ(shutdown(*fd, SHUT_WR), 0);
    return 0;
}

/* Data and the end at almost the same time, while a read waits, on a socket of each family. */
static int end_at_once_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        char buf[8];
        int fds[2];
        peer p;
        if (i == 0) {
            p = peer_open();
        } else {
            CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
            p.fd = fds[1];
            CHECK_EQ(ars_conn_from_fd(&p.conn, fds[0]), 0);
        }
        ars_group group;
        start(&group, send_and_end, &p.fd);
        CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 4);
        CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 0);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        peer_close(&p);
    }
    return 0;
}
BACKEND_CASE(end_at_once)

static int reset_task(void *arg)
{
    (void)arg;
    struct linger now = {1, 0};
    char buf[8];
    peer p = peer_open();
    reading r = {.conn = p.conn, .size = 8, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, read_all, &r);
    settle();
    CHECK_EQ(setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(p.fd);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_ECONNRESET);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 0);
    ars_conn_close(p.conn);

    /* The other way round, with a receive under way when it is closed. */
    p = peer_open();
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_LINGER, 0), 0);
    ars_conn_close(p.conn);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(recv(p.fd, buf, sizeof buf, 0), -1);
    CHECK_EQ(errno, ECONNRESET);
    close(p.fd);
    return 0;
}
BACKEND_CASE(reset)

static int second_reader_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[8];
    ars_loan loan;
    reading r = {.conn = p.conn, .size = 8, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, read_all, &r);
    settle();
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), ARS_EBUSY);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, 0), ARS_EBUSY);
    CHECK_EQ(ars_conn_read_loan(p.conn, &loan, soon()), ARS_EBUSY);
    close(p.fd);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(second_reader)

static int read_deadlines_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[8];
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, 1), ARS_ETIMEDOUT);
    ars_time deadline = ars_after(20 * ARS_MILLISECOND);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    /* Nothing is lost by it, whenever the data comes. */
    plain_send(p.fd, "12345", 5);
    CHECK_EQ(ars_conn_read(p.conn, buf, 2, 0), 2);
    CHECK_EQ(ars_conn_read(p.conn, buf + 2, 6, soon()), 3);
    CHECK(memcmp(buf, "12345", 5) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(ars_conn_read(p.conn, buf, 8, ars_after(1)), ARS_ETIMEDOUT);
        plain_send(p.fd, "abc", 3);
        CHECK_EQ(ars_conn_read(p.conn, buf, 8, soon()), 3);
    }
    peer_close(&p);
    return 0;
}
BACKEND_CASE(read_deadlines)

static int read_cancel_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[8];
    reading r = {.conn = p.conn, .size = 8, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, read_all, &r);
    settle();
    ars_group_cancel(&group, ARS_EIO);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
    CHECK_EQ(r.result, ARS_ECANCELED);
    plain_send(p.fd, "kept", 4);
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 4);
    CHECK(memcmp(buf, "kept", 4) == 0);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(read_cancel)

/* ---- writing ---- */

static int broken_pipe_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    size_t sent = 99;
    close(p.fd);
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++) {
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        rc = ars_conn_write(p.conn, "hello", 5, &sent, soon());
        CHECK_EQ(sent, rc == 0 ? 5 : 0);
    }
    CHECK(rc == ARS_EPIPE || rc == ARS_ECONNRESET);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(broken_pipe)

typedef struct writing {
    ars_conn *conn;
    unsigned char *data;
    size_t size, sent;
    ars_time deadline;
    int result;
} writing;

static int write_all(void *arg)
{
    writing *w = arg;
    w->result = ars_conn_write(w->conn, w->data, w->size, &w->sent, w->deadline);
    return w->result;
}

/* The cancel comes before the kernel's answer, but after the bytes went out: they count. */
static int done_before_cancel_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    unsigned char hello[] = "hello";
    char buf[5];
    writing w = {.conn = p.conn, .data = hello, .size = 5, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, write_all, &w);
    CHECK_EQ(ars_yield(), 0);
    ars_group_cancel(&group, ARS_EIO);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
    CHECK_EQ(w.result, 0);
    CHECK_EQ(w.sent, 5);
    plain_recv(p.fd, buf, 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(done_before_cancel)

/* What has arrived at a plain descriptor is exactly the first 'n' bytes of the stream. */
static void check_arrived(int fd, unsigned seed, size_t n)
{
    unsigned char *buf = malloc(n + 1);
    plain_recv(fd, buf, n);
    stream_check(seed, 0, buf, n);
    CHECK_EQ(recv(fd, buf, 1, MSG_DONTWAIT), -1);
    CHECK_EQ(errno, EAGAIN);
    free(buf);
}

/* A peer that never reads, met by a deadline, a cancel, and a close. */
static int never_reads_task(void *arg)
{
    (void)arg;
    unsigned char *data = malloc(16 * MIB);
    stream_fill(3, 0, data, 16 * MIB);
    for (int how = 0; how < 3; how++) {
        peer p = peer_open();
        writing w = {.conn = p.conn, .data = data, .size = 16 * MIB, .sent = 1};
        w.deadline = how == 0 ? ars_after(20 * ARS_MILLISECOND) : ARS_FOREVER;
        ars_group group;
        start(&group, write_all, &w);
        settle();
        CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
        if (how == 1) ars_group_cancel(&group, 0);
        if (how == 2) ars_conn_close(p.conn);
        int rc = ars_group_wait(&group, soon());
        CHECK_EQ(rc, how == 0 ? ARS_ETIMEDOUT : how == 1 ? ARS_ECANCELED : ARS_EBADF);
        CHECK_EQ(w.result, rc);
        CHECK(w.sent > 0 && w.sent < w.size);
        if (how < 2) {
            check_arrived(p.fd, 3, w.sent);
            /* The connection stays usable. */
            CHECK_EQ(ars_conn_write(p.conn, "on", 2, NULL, soon()), 0);
            char on[2];
            plain_recv(p.fd, on, 2);
            CHECK(memcmp(on, "on", 2) == 0);
            ars_conn_close(p.conn);
        }
        close(p.fd);
    }
    free(data);
    return 0;
}
BACKEND_CASE(never_reads)

static int write_at_once_task(void *arg)
{
    (void)arg;
    unsigned char *data = malloc(16 * MIB);
    stream_fill(4, 0, data, 16 * MIB);
    peer p = peer_open();
    size_t sent = 1;
    CHECK_EQ(ars_conn_write(p.conn, data, 0, &sent, soon()), 0);
    CHECK_EQ(sent, 0);
    CHECK_EQ(ars_conn_write(p.conn, data, 1000, &sent, 0), 0);
    CHECK_EQ(sent, 1000);
    size_t total = sent;
    int rc;
    do {
        rc = ars_conn_write(p.conn, data + total, 16 * MIB - total, &sent, 0);
        total += sent;
    } while (sent > 0);
    CHECK_EQ(rc, ARS_ETIMEDOUT);
    CHECK(total < 16 * MIB);
    check_arrived(p.fd, 4, total);
    peer_close(&p);
    free(data);
    return 0;
}
BACKEND_CASE(write_at_once)

enum { WRITERS = 8, MESSAGES = 6, MESSAGE = 150000 };

static int write_messages(void *arg)
{
    writing *w = arg;
    for (int i = 0; i < MESSAGES; i++) {
        size_t sent;
        int rc = ars_conn_write(w->conn, w->data, MESSAGE, &sent, ARS_FOREVER);
        if (rc < 0) return rc;
        CHECK_EQ(sent, MESSAGE);
    }
    return 0;
}

/* Each write's bytes come together, whatever the order of the writes. */
static int writers_queue_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    pair_open(&a, &b);
    writing w[WRITERS];
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (writing){.conn = a, .data = malloc(MESSAGE)};
        stream_fill(i, 0, w[i].data, MESSAGE);
        w[i].data[0] = (unsigned char)i;
        go_beside(&group, write_messages, &w[i]);
    }
    unsigned char *buf = malloc(MESSAGE);
    int seen[WRITERS] = {0};
    for (int i = 0; i < WRITERS * MESSAGES; i++) {
        size_t got = 0;
        while (got < MESSAGE) {
            int n = ars_conn_read(b, buf + got, MESSAGE - got, soon());
            CHECK(n > 0);
            got += (size_t)n;
        }
        CHECK(buf[0] < WRITERS);
        seen[buf[0]]++;
        stream_check(buf[0], 1, buf + 1, MESSAGE - 1);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        CHECK_EQ(seen[i], MESSAGES);
        free(w[i].data);
    }
    free(buf);
    ars_conn_close(a);
    ars_conn_close(b);
    return 0;
}
BACKEND_CASE(writers_queue)

/* A writer that gives up in the queue leaves the others alone. */
static int queued_writer_gives_up_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    size_t size = 16 * MIB, sent = 1;
    unsigned char *data = malloc(size);
    stream_fill(5, 0, data, size);
    writing first = {.conn = p.conn, .data = data, .size = size, .deadline = ARS_FOREVER};
    writing last = {.conn = p.conn, .data = data, .size = 10, .deadline = ARS_FOREVER};
    ars_group group, late;
    start(&group, write_all, &first);
    settle();
    start(&late, write_all, &last);
    settle();
    CHECK_EQ(ars_conn_write(p.conn, "x", 1, &sent, 0), ARS_ETIMEDOUT);
    CHECK_EQ(sent, 0);
    CHECK_EQ(ars_conn_write(p.conn, "x", 1, &sent, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(sent, 0);
    unsigned char *buf = malloc(size + 10);
    for (size_t got = 0; got < size + 10;) {
        CHECK_EQ(ars_wait_fd(p.fd, ARS_FD_IN, soon()), ARS_FD_IN);
        ssize_t n = recv(p.fd, buf + got, size + 10 - got, 0);
        CHECK(n > 0);
        got += (size_t)n;
    }
    stream_check(5, 0, buf, size);
    stream_check(5, 0, buf + size, 10);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(ars_group_wait(&late, soon()), 0);
    CHECK_EQ(last.sent, 10);
    peer_close(&p);
    free(buf);
    free(data);
    return 0;
}
BACKEND_CASE(queued_writer_gives_up)

/* ---- closing ---- */

static int close_wakes_task(void *arg)
{
    (void)arg;
    unsigned char *data = malloc(16 * MIB);
    peer p = peer_open();
    reading r = {.conn = p.conn, .size = 8, .deadline = ARS_FOREVER};
    writing w[3];
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    go_beside(&group, read_all, &r);
    memset(data, 1, 16 * MIB);
    for (int i = 0; i < 3; i++) {
        w[i] = (writing){.conn = p.conn, .data = data, .size = 16 * MIB, .deadline = ARS_FOREVER};
        go_beside(&group, write_all, &w[i]);
    }
    settle();
    ars_conn_close(p.conn);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_EBADF);
    CHECK_EQ(r.result, ARS_EBADF);
    size_t begun = 0;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(w[i].result, ARS_EBADF);
        begun += w[i].sent > 0;
    }
    CHECK_EQ(begun, 1);
    ars_conn_close(NULL);
    close(p.fd);
    free(data);
    return 0;
}
BACKEND_CASE(close_wakes)

/* Inside of a read that has run out of budget and lets others run, a task does not wait yet. */
static int poll_until_closed(void *arg)
{
    ars_conn *conn = arg;
    char buf[8];
    int rc;
    do rc = ars_conn_read(conn, buf, sizeof buf, 0);
    while (rc == ARS_ETIMEDOUT);
    return rc;
}

static int close_under_yield_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    ars_group group;
    start(&group, poll_until_closed, p.conn);
    settle();
    ars_conn_close(p.conn);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_EBADF);
    close(p.fd);
    return 0;
}
BACKEND_CASE(close_under_yield)

/* What was written before a close goes out, with a receive under way too. */
static int close_flushes_task(void *arg)
{
    (void)arg;
    enum { N = 100000 };
    static unsigned char data[N], buf[N];
    stream_fill(6, 0, data, N);
    for (int i = 0; i < 2; i++) {
        peer p = peer_open();
        if (i == 1)
            CHECK_EQ(ars_conn_read(p.conn, buf, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(ars_conn_write(p.conn, data, N, NULL, soon()), 0);
        ars_conn_close(p.conn);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        plain_recv(p.fd, buf, N);
        stream_check(6, 0, buf, N);
        CHECK_EQ(recv(p.fd, buf, 1, 0), 0);
        close(p.fd);
    }
    return 0;
}
BACKEND_CASE(close_flushes)

/*
 * A connection is closed with its receive in flight, and at once others are
 * made; what still comes for the old one must not show up in the new ones.
 */
static int stale_completions_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    char buf[64];
    for (int i = 0; i < 300; i++) {
        peer old = peer_of(listener, &addr);
        CHECK_EQ(ars_conn_read(old.conn, buf, 1, 1), ARS_ETIMEDOUT);
        plain_send(old.fd, "stale", 5);
        ars_conn_close(old.conn);
        peer new = peer_of(listener, &addr);
        plain_send(new.fd, "fresh", 5);
        CHECK_EQ(ars_conn_read(new.conn, buf, sizeof buf, soon()), 5);
        CHECK(memcmp(buf, "fresh", 5) == 0);
        CHECK_EQ(ars_conn_read(new.conn, buf, sizeof buf, 0), ARS_ETIMEDOUT);
        peer_close(&new);
        close(old.fd);
    }
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(stale_completions)

/* ---- the rest ---- */

static int options_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    int value = -2;
    CHECK_EQ(ars_conn_set(p.conn, 99, 1), ARS_EINVAL);
    CHECK_EQ(ars_conn_get(p.conn, 99, &value), ARS_EINVAL);
    CHECK_EQ(value, -2);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_NODELAY, 2), ARS_EINVAL);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_NODELAY, 0), 0);
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_NODELAY, &value), 0);
    CHECK_EQ(value, 0);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_KEEPALIVE, 1), 0);
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_KEEPALIVE, &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_LINGER, &value), 0);
    CHECK_EQ(value, -1);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_LINGER, 5), ARS_EINVAL);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_SNDBUF, 50000), 0);
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_SNDBUF, &value), 0);
    CHECK(value >= 50000);
    CHECK(ars_conn_fd(p.conn) > 2);
    peer_close(&p);

    ars_conn_opt opt = {.delay = 1};
    ars_addr addr, local;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    CHECK_EQ(ars_addr_parse(&local, "127.0.0.9:0"), 0);
    opt.local = &local;
    ars_conn *conn;
    CHECK_EQ(ars_conn_dial(&conn, &addr, &opt, soon()), 0);
    CHECK_EQ(ars_conn_get(conn, ARS_CONN_NODELAY, &value), 0);
    CHECK_EQ(value, 0);
    char text[ARS_ADDR_TEXT];
    CHECK_EQ(ars_conn_local(conn, &local), 0);
    CHECK(ars_addr_format(&local, text, sizeof text) > 0);
    CHECK(strncmp(text, "127.0.0.9:", 10) == 0);
    ars_conn_close(conn);
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(options)

static int echo_and_close(void *conn)
{
    char buf[64];
    int n;
    while ((n = ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER)) > 0) {
        if (ars_conn_write(conn, buf, (size_t)n, NULL, ARS_FOREVER) < 0) break;
    }
    ars_conn_close(conn);
    return n;
}

static int thousand_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 1000; i++) {
        ars_conn *a, *b;
        char buf[64];
        CHECK_EQ(ars_conn_dial(&a, &addr, NULL, soon()), 0);
        CHECK_EQ(ars_listener_accept(listener, &b, soon()), 0);
        CHECK_EQ(ars_group_go(&group, echo_and_close, b, NULL), 0);
        CHECK_EQ(ars_conn_write(a, &i, sizeof i, NULL, soon()), 0);
        CHECK_EQ(ars_conn_read(a, buf, sizeof buf, soon()), sizeof i);
        CHECK(memcmp(buf, &i, sizeof i) == 0);
        ars_conn_close(a);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_listener_close(listener);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_run_stats stats;
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.operations, 0);
    return 0;
}
BACKEND_CASE(thousand)

/* What a user never closed goes with the runtime. */
static int left_open_task(void *arg)
{
    (void)arg;
    peer p = peer_open(), q = peer_open();
    ars_addr addr;
    char buf[8];
    CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, ars_after(1)), ARS_ETIMEDOUT);
    plain_send(q.fd, "unread", 6);
    CHECK_EQ(ars_conn_read(q.conn, buf, 1, soon()), 1);
    listen_at("127.0.0.1:0", &addr);
    close(p.fd);
    close(q.fd);
    return 0;
}
BACKEND_CASE(left_open)

static const test_case cases[] = {
    {"reads_in_pieces", reads_in_pieces},
    {"takes_all", takes_all},
    {"dribble", dribble},
    {"half_close", half_close},
    {"end_at_once", end_at_once},
    {"reset", reset},
    {"second_reader", second_reader},
    {"read_deadlines", read_deadlines},
    {"read_cancel", read_cancel},
    {"broken_pipe", broken_pipe},
    {"done_before_cancel", done_before_cancel},
    {"never_reads", never_reads},
    {"write_at_once", write_at_once},
    {"writers_queue", writers_queue},
    {"queued_writer_gives_up", queued_writer_gives_up},
    {"close_wakes", close_wakes},
    {"close_under_yield", close_under_yield},
    {"close_flushes", close_flushes},
    {"stale_completions", stale_completions},
    {"options", options},
    {"thousand", thousand},
    {"left_open", left_open},
};
TEST_MAIN(cases)
