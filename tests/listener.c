/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fault.h"
#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

typedef struct accepting {
    ars_listener *listener;
    ars_time deadline;
    ars_conn *conn;
    int result;
} accepting;

static int accept_one(void *arg)
{
    accepting *a = arg;
    a->result = ars_listener_accept(a->listener, &a->conn, a->deadline);
    return a->result;
}

static int waits_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *conn = (void *)1;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    CHECK(ars_addr_port(&addr) > 0);
    CHECK_EQ(ars_listener_accept(listener, &conn, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_listener_accept(listener, &conn, 1), ARS_ETIMEDOUT);
    ars_time deadline = ars_after(10 * ARS_MILLISECOND);
    CHECK_EQ(ars_listener_accept(listener, &conn, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    CHECK(conn == (void *)1);

    accepting a = {.listener = listener, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, accept_one, &a);
    settle();
    ars_group_cancel(&group, 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);

    /* Whether anybody waited or not, the next one gets it. */
    for (int i = 0; i < 20; i++) {
        int fd = plain_connect(&addr);
        CHECK_EQ(ars_listener_accept(listener, &conn, i % 2 ? 0 : soon()), 0);
        ars_conn_close(conn);
        close(fd);
    }
    ars_listener_close(listener);
    ars_listener_close(NULL);
    return 0;
}
BACKEND_CASE(waits)

enum { MANY = 12 };

static int many_wait_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    accepting a[MANY];
    int fds[MANY];
    ars_group group;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < MANY; i++) {
        /* Every third gives up, from the middle of the queue. */
        a[i] = (accepting){.listener = listener, .deadline = ARS_FOREVER};
        if (i % 3 == 1) a[i].deadline = ars_after(5 * ARS_MILLISECOND);
        go_beside(&group, accept_one, &a[i]);
    }
    CHECK_EQ(ars_sleep(ars_after(20 * ARS_MILLISECOND)), 0);
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        if (i % 3 == 1)
            CHECK_EQ(a[i].result, ARS_ETIMEDOUT);
        else
            fds[n++] = plain_connect(&addr);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_ETIMEDOUT);
    for (int i = 0; i < MANY; i++) {
        if (i % 3 == 1) continue;
        CHECK_EQ(a[i].result, 0);
        ars_conn_close(a[i].conn);
    }
    while (n > 0) close(fds[--n]);
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(many_wait)

static int close_wakes_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    char byte;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    accepting a[3];
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 3; i++) {
        a[i] = (accepting){.listener = listener, .deadline = ARS_FOREVER};
        go_beside(&group, accept_one, &a[i]);
    }
    settle();
    ars_listener_close(listener);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_EBADF);
    for (int i = 0; i < 3; i++) CHECK_EQ(a[i].result, ARS_EBADF);

    /* Connections that nobody accepted are closed, those taken ahead too. */
    listener = listen_at("127.0.0.1:0", &addr);
    ars_conn *conn;
    int fd[3];
    for (int i = 0; i < 3; i++) fd[i] = plain_connect(&addr);
    CHECK_EQ(ars_listener_accept(listener, &conn, soon()), 0);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_listener_close(listener);
    ars_conn_close(conn);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ars_wait_fd(fd[i], ARS_FD_IN, soon()) & ARS_FD_IN, ARS_FD_IN);
        CHECK(recv(fd[i], &byte, 1, 0) <= 0);
        close(fd[i]);
    }
    return 0;
}
BACKEND_CASE(close_wakes)

/* The address is free as soon as the listener is closed. */
static int reopens_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *conn;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr), *other = (void *)1;
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(ars_listener_accept(listener, &conn, i % 2), ARS_ETIMEDOUT);
        CHECK_EQ(ars_listener_open(&other, &addr, NULL), ARS_EADDRINUSE);
        CHECK(other == (void *)1);
        ars_listener_close(listener);
        CHECK_EQ(ars_listener_open(&listener, &addr, NULL), 0);
    }
    ars_listener_close(listener);

    ars_listener_opt opt = {.reuseport = 1, .backlog = 5};
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:0"), 0);
    CHECK_EQ(ars_listener_open(&listener, &addr, &opt), 0);
    CHECK_EQ(ars_listener_addr(listener, &addr), 0);
    CHECK_EQ(ars_listener_open(&other, &addr, &opt), 0);
    ars_listener_close(other);
    ars_listener_close(listener);

    memset(&addr, 0, sizeof addr);
    CHECK_EQ(ars_listener_open(&listener, &addr, NULL), ARS_EINVAL);
    CHECK_EQ(ars_addr_parse(&addr, "192.0.2.1:0"), 0);
    CHECK_EQ(ars_listener_open(&listener, &addr, NULL), ARS_EADDRNOTAVAIL);
    return 0;
}
BACKEND_CASE(reopens)

/* More connections than anybody has asked for: none is lost. */
static int unclaimed_task(void *arg)
{
    (void)arg;
    enum { N = 400 };
    static int fds[N];
    ars_addr addr;
    ars_conn *conn;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    CHECK_EQ(ars_listener_accept(listener, &conn, 1), ARS_ETIMEDOUT);
    for (int round = 0; round < 3; round++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < N; i++) {
            fds[i] = plain_connect(&addr);
            plain_send(fds[i], &i, sizeof i);
        }
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        for (unsigned i = 0; i < N; i++) {
            unsigned who;
            CHECK_EQ(ars_listener_accept(listener, &conn, i % 5 ? soon() : 0), 0);
            CHECK_EQ(ars_conn_read(conn, &who, sizeof who, soon()), sizeof who);
            ars_conn_close(conn);
            sum += who;
        }
        CHECK_EQ(sum, (uint64_t)N * (N - 1) / 2);
        CHECK_EQ(ars_listener_accept(listener, &conn, 0), ARS_ETIMEDOUT);
        for (int i = 0; i < N; i++) close(fds[i]);
    }
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(unclaimed)

/* ---- when descriptors run out ---- */

enum { FEW = 64 };

static struct {
    struct rlimit all;
    int fds[FEW], n;
} taken;

/* Takes every descriptor that is left. */
static void take_descriptors(void)
{
    int fd;
    for (taken.n = 0; (fd = dup(0)) >= 0; taken.n++) taken.fds[taken.n] = fd;
    CHECK_EQ(errno, EMFILE);
}

static void return_descriptors(void)
{
    while (taken.n > 0) close(taken.fds[--taken.n]);
}

static void limit_descriptors(void)
{
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &taken.all), 0);
    struct rlimit few = taken.all;
    few.rlim_cur = FEW;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static void unlimit_descriptors(void)
{
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &taken.all), 0);
}

/* Without a descriptor for it a connection waits, and is accepted when there is one. */
static int no_descriptors_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *conn;
    limit_descriptors();
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    for (int i = 0; i < 4; i++) {
        char buf[8];
        int fd = plain_connect(&addr);
        plain_send(fd, "here", 4);
        take_descriptors();
        for (int j = 0; j < 3; j++)
            CHECK_EQ(ars_listener_accept(listener, &conn, i % 2 ? 0 : soon()), ARS_EMFILE);
        return_descriptors();
        CHECK_EQ(ars_listener_accept(listener, &conn, soon()), 0);
        CHECK_EQ(ars_conn_read(conn, buf, sizeof buf, soon()), 4);
        ars_conn_close(conn);
        close(fd);
        /* Lets the connection's descriptor go. */
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    }
    ars_listener_close(listener);
    unlimit_descriptors();
    return 0;
}
BACKEND_CASE(no_descriptors)

/* Several wait when descriptors run out: each hears of it. */
static int no_descriptors_many_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    limit_descriptors();
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    int fd = plain_connect(&addr);
    accepting a[3];
    ars_group group;
    take_descriptors();
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 3; i++) {
        a[i] = (accepting){.listener = listener, .deadline = ARS_FOREVER};
        go_beside(&group, accept_one, &a[i]);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_EMFILE);
    for (int i = 0; i < 3; i++) CHECK_EQ(a[i].result, ARS_EMFILE);
    return_descriptors();
    ars_conn *conn;
    CHECK_EQ(ars_listener_accept(listener, &conn, soon()), 0);
    ars_conn_close(conn);
    close(fd);
    ars_listener_close(listener);
    unlimit_descriptors();
    return 0;
}
BACKEND_CASE(no_descriptors_many)

/* A connection that is gone before it is accepted is not the listener's error. */
static int gone_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *conn;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    if (strcmp(backend_name(), "epoll") == 0) {
        int fd = plain_connect(&addr);
        static const int errors[] = {ARS_ECONNABORTED, ARS_EINTR, -71, ARS_EHOSTUNREACH};
        for (int i = 0; i < 4; i++) {
            fault_at("accept", 1 + (unsigned)i, errors[i], 1);
            CHECK_EQ(ars_listener_accept(listener, &conn, 0), i ? ARS_ETIMEDOUT : 0);
            CHECK_EQ(fault_hits("accept") > 0, i == 0);
            if (i == 0) ars_conn_close(conn);
            fault_reset();
        }
        close(fd);
    }
    /* Reset before it is accepted. */
    struct linger now = {1, 0};
    int fd = plain_connect(&addr);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
    fd = plain_connect(&addr);
    plain_send(fd, "b", 1);
    char byte = 0;
    for (int i = 0; i < 2 && byte != 'b'; i++) {
        CHECK_EQ(ars_listener_accept(listener, &conn, soon()), 0);
        int n = ars_conn_read(conn, &byte, 1, soon());
        CHECK(n == 1 || n == ARS_ECONNRESET);
        ars_conn_close(conn);
    }
    CHECK_EQ(byte, 'b');
    close(fd);
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(gone)

/* ---- unix sockets ---- */

static int unix_paths_task(void *arg)
{
    (void)arg;
    char dir[] = "/tmp/arsenal-test-XXXXXX", text[80], path[64];
    struct stat st;
    ars_addr addr;
    ars_listener *listener, *other;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/socket", dir);
    snprintf(text, sizeof text, "unix:%s", path);
    CHECK_EQ(ars_addr_parse(&addr, text), 0);
    CHECK_EQ(ars_listener_open(&listener, &addr, NULL), 0);
    /* In use it is not replaced, and still works. */
    CHECK_EQ(ars_listener_open(&other, &addr, NULL), ARS_EADDRINUSE);
    peer p = peer_of(listener, &addr);
    char buf[8];
    plain_send(p.fd, "hello", 5);
    ars_conn *conn;
    /* The probe of the attempt above may have come first. */
    int n = ars_conn_read(p.conn, buf, sizeof buf, soon());
    if (n == 0) {
        CHECK_EQ(ars_listener_accept(listener, &conn, soon()), 0);
        ars_conn_close(p.conn);
        p.conn = conn;
        n = ars_conn_read(p.conn, buf, sizeof buf, soon());
    }
    CHECK_EQ(n, 5);
    peer_close(&p);
    ars_listener_close(listener);
    CHECK_EQ(stat(path, &st), -1);

    /* Left over by a process that is gone. */
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(&addr, &len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, sa, (socklen_t)len), 0);
    close(fd);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(ars_listener_open(&listener, &addr, NULL), 0);
    p = peer_of(listener, &addr);
    peer_close(&p);
    ars_listener_close(listener);

    /* What is no socket is not removed. */
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    CHECK_EQ(ars_listener_open(&listener, &addr, NULL), ARS_EADDRINUSE);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(dir), 0);
    return 0;
}
BACKEND_CASE(unix_paths)

/* ---- addresses ---- */

static int any_address_task(void *arg)
{
    (void)arg;
    ars_addr addr, four;
    char text[64];
    ars_listener *listener = listen_at("*:0", &addr);
    snprintf(text, sizeof text, "127.0.0.1:%d", ars_addr_port(&addr));
    CHECK_EQ(ars_addr_parse(&four, text), 0);
    peer p = peer_of(listener, &four);
    peer_close(&p);
    ars_listener_close(listener);

    /* Where there is no IPv6, '*' is IPv4's any. */
    fault_at("socket", 1, ARS_EAFNOSUPPORT, 1);
    listener = listen_at("*:0", &addr);
    CHECK_EQ(fault_hits("socket"), 1);
    fault_reset();
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text) > 0, 1);
    CHECK(strncmp(text, "0.0.0.0:", 8) == 0);
    ars_listener_close(listener);

    ars_listener_opt opt = {.v6only = 1};
    CHECK_EQ(ars_addr_parse(&addr, "[::]:0"), 0);
    int rc = ars_listener_open(&listener, &addr, &opt);
    if (rc == ARS_EAFNOSUPPORT) {
        test_skipped("no IPv6 here");
        return 0;
    }
    CHECK_EQ(rc, 0);
    CHECK_EQ(ars_listener_addr(listener, &addr), 0);
    snprintf(text, sizeof text, "127.0.0.1:%d", ars_addr_port(&addr));
    CHECK_EQ(ars_addr_parse(&four, text), 0);
    ars_conn *conn;
    CHECK_EQ(ars_conn_dial(&conn, &four, NULL, soon()), ARS_ECONNREFUSED);
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(any_address)

static const test_case cases[] = {
    {"waits", waits},
    {"many_wait", many_wait},
    {"close_wakes", close_wakes},
    {"reopens", reopens},
    {"unclaimed", unclaimed},
    {"no_descriptors", no_descriptors},
    {"no_descriptors_many", no_descriptors_many},
    {"gone", gone},
    {"unix_paths", unix_paths},
    {"any_address", any_address},
};
TEST_MAIN(cases)
