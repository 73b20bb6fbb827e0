/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arsenal/rights.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fault.h"
#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* Both are the same open file. */
static void check_same(int a, int b)
{
    struct stat x, y;
    CHECK_EQ(fstat(a, &x), 0);
    CHECK_EQ(fstat(b, &y), 0);
    CHECK_EQ(x.st_ino, y.st_ino);
    CHECK(fcntl(b, F_GETFD) & FD_CLOEXEC);
}

static int streams_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    int fds[2], back[4];
    char buf[16];
    ars_rights rights = {back, 4, 9, {0, 0, 0}};
    size_t sent = 9;
    CHECK_EQ(ars_conn_pair(&a, &b), 0);
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(ars_conn_recv_rights(b, buf, sizeof buf, &rights, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_recv_rights(b, buf, sizeof buf, &rights, ars_after(ARS_MILLISECOND)),
             ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_send_rights(a, "two", 3, fds, 2, &sent, soon()), 0);
    CHECK_EQ(sent, 3);
    CHECK_EQ(ars_conn_write(a, "plain", 5, NULL, soon()), 0);
    CHECK_EQ(ars_conn_recv_rights(b, buf, sizeof buf, &rights, soon()), 3);
    CHECK_EQ(rights.count, 2);
    check_same(fds[0], back[0]);
    check_same(fds[1], back[1]);
    CHECK_EQ(ars_conn_recv_rights(b, buf, sizeof buf, &rights, soon()), 5);
    CHECK_EQ(rights.count, 0);
    close(back[0]);
    close(back[1]);

    /* More than there is room for: none stays open, and the bytes are there. */
    int many[4] = {fds[0], fds[1], fds[0], fds[1]}, before = (int)test_count_fds();
    rights.room = 3;
    CHECK_EQ(ars_conn_send_rights(a, "many", 4, many, 4, NULL, soon()), 0);
    CHECK_EQ(ars_conn_recv_rights(b, buf, sizeof buf, &rights, soon()), ARS_EMSGSIZE);
    CHECK_EQ(test_count_fds(), before);
    CHECK_EQ(ars_conn_recv_rights(b, buf, 2, &rights, soon()), 2);
    CHECK_EQ(rights.count, 0);
    CHECK_EQ(ars_conn_read(b, buf + 2, 10, soon()), 2);
    CHECK(memcmp(buf, "many", 4) == 0);

    /* Whoever reads plainly gets the bytes only. */
    CHECK_EQ(ars_conn_send_rights(a, "x", 1, fds, 2, NULL, soon()), 0);
    CHECK_EQ(ars_conn_read(b, buf, 10, soon()), 1);
    CHECK_EQ(test_count_fds(), before);

    /* A read ends at each of them, and the next one finds what is behind. */
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_conn_send_rights(a, "x", 1, fds, 1, NULL, soon()), 0);
    for (int i = 0; i < 3;) i += ars_conn_read(b, buf, 10, soon());

    CHECK_EQ(ars_conn_send_rights(a, "x", 0, fds, 2, NULL, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_send_rights(a, "x", 1, fds, 254, NULL, soon()), ARS_EINVAL);
    many[1] = -1;
    CHECK_EQ(ars_conn_send_rights(a, "x", 1, many, 2, &sent, soon()), ARS_EBADF);
    CHECK_EQ(sent, 0);
    CHECK_EQ(ars_conn_recv_rights(b, buf, 0, &rights, soon()), ARS_EINVAL);
    ars_conn_close(a);
    CHECK_EQ(ars_conn_recv_rights(b, buf, 8, &rights, soon()), 0);
    ars_conn_close(b);

    peer p = peer_open();
    ars_cred cred;
    CHECK_EQ(ars_conn_send_rights(p.conn, "x", 1, fds, 2, &sent, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_recv_rights(p.conn, buf, 8, &rights, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_cred(p.conn, &cred), ARS_EINVAL);
    peer_close(&p);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
BACKEND_CASE(streams)

/* All that the system allows at once, and a process that may not have so many. */
static int limits_task(void *arg)
{
    (void)arg;
    enum { MOST = ARS_RIGHTS_MAX };
    int fds[MOST], back[MOST];
    char buf[4];
    ars_rights rights = {back, MOST, 0, {0, 0, 0}};
    ars_conn *a, *b;
    ars_dgram *c, *d;
    CHECK_EQ(ars_conn_pair(&a, &b), 0);
    CHECK_EQ(ars_dgram_pair(&c, &d, NULL), 0);
    for (int i = 0; i < MOST; i++) fds[i] = 2;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(i ? ars_dgram_send_rights(c, "x", 1, NULL, fds, MOST, soon())
                   : ars_conn_send_rights(a, "x", 1, fds, MOST, NULL, soon()),
                 0);
        CHECK_EQ(i ? ars_dgram_recv_rights(d, buf, 4, NULL, &rights, soon())
                   : ars_conn_recv_rights(b, buf, 4, &rights, soon()),
                 1);
        CHECK_EQ(rights.count, MOST);
        while (rights.count > 0) close(back[--rights.count]);
    }
    struct rlimit limit, low;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)test_count_fds() + 20;
    for (int i = 0; i < 2; i++) {
        long before = test_count_fds();
        CHECK_EQ(i ? ars_dgram_send_rights(c, "x", 1, NULL, fds, MOST, soon())
                   : ars_conn_send_rights(a, "x", 1, fds, MOST, NULL, soon()),
                 0);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        int rc = i ? ars_dgram_recv_rights(d, buf, 4, NULL, &rights, soon())
                   : ars_conn_recv_rights(b, buf, 4, &rights, soon());
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        CHECK_EQ(rc, ARS_EMSGSIZE);
        CHECK_EQ(test_count_fds(), before);
    }
    CHECK_EQ(ars_conn_read(b, buf, 4, soon()), 1);
    CHECK_EQ(ars_dgram_recv(d, buf, 4, NULL, 0), ARS_ETIMEDOUT);
    ars_conn_close(a);
    ars_conn_close(b);
    ars_dgram_close(c);
    ars_dgram_close(d);
    return 0;
}
BACKEND_CASE(limits)

static int datagrams_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        ars_dgram *a, *b, *inet;
        ars_dgram_opt opt = {.seqpacket = (unsigned)i};
        ars_addr addr;
        int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), back[2];
        char buf[8];
        ars_cred cred;
        ars_rights rights = {back, 2, 9, {0, 0, 0}};
        CHECK_EQ(ars_dgram_pair(&a, &b, &opt), 0);
        CHECK_EQ(ars_dgram_send_rights(a, "fd", 2, NULL, &fd, 1, soon()), 0);
        CHECK_EQ(ars_dgram_recv_rights(b, buf, sizeof buf, NULL, &rights, soon()), 2);
        CHECK_EQ(rights.count, 1);
        CHECK_EQ(rights.cred.pid, 0);
        check_same(fd, back[0]);
        close(back[0]);
        CHECK_EQ(ars_dgram_set(b, ARS_DGRAM_CRED, 1), 0);
        CHECK_EQ(ars_dgram_send(a, "who", 3, NULL, soon()), 0);
        CHECK_EQ(ars_dgram_recv_rights(b, buf, 2, NULL, &rights, soon()), 3);
        CHECK_EQ(rights.count, 0);
        CHECK_EQ(rights.cred.pid, getpid());
        CHECK_EQ(rights.cred.uid, getuid());
        CHECK_EQ(rights.cred.gid, getgid());
        CHECK_EQ(ars_dgram_cred(a, &cred), 0);
        CHECK_EQ(cred.pid, getpid());
        int fds[3] = {fd, fd, fd};
        CHECK_EQ(ars_dgram_send_rights(a, "x", 1, NULL, fds, 3, soon()), 0);
        CHECK_EQ(ars_dgram_recv_rights(b, buf, 8, NULL, &rights, soon()), ARS_EMSGSIZE);
        CHECK_EQ(ars_dgram_send_rights(a, "x", 1, NULL, fds, 254, soon()), ARS_EINVAL);
        ars_dgram_close(a);
        ars_dgram_close(b);
        CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:0"), 0);
        CHECK_EQ(ars_dgram_open(&inet, &addr, NULL), 0);
        CHECK_EQ(ars_dgram_send_rights(inet, "x", 1, NULL, &fd, 1, soon()), ARS_EINVAL);
        CHECK_EQ(ars_dgram_set(inet, ARS_DGRAM_CRED, 1), ARS_EOPNOTSUPP);
        CHECK_EQ(ars_dgram_cred(inet, &cred), ARS_EINVAL);
        ars_dgram_close(inet);
        close(fd);
    }
    return 0;
}
BACKEND_CASE(datagrams)

static int connect_and_ask(void *arg)
{
    ars_dgram *d;
    ars_dgram_opt opt = {.seqpacket = 1};
    char buf[16];
    ars_message m = {.data = buf, .size = sizeof buf};
    int rc = ars_dgram_dial(&d, arg, &opt);
    if (rc < 0) return rc;
    CHECK_EQ(ars_dgram_send(d, "", 0, NULL, soon()), ARS_EINVAL);
    CHECK_EQ(ars_dgram_send(d, "hello", 5, NULL, soon()), 0);
    CHECK_EQ(ars_dgram_send(d, "again", 5, NULL, soon()), 0);
    CHECK_EQ(ars_dgram_recv(d, buf, sizeof buf, NULL, soon()), 2);
    CHECK_EQ(ars_dgram_recv_many(d, &m, 1, soon()), ARS_EPIPE);
    ars_dgram_close(d);
    return 0;
}

/* A connection of messages: their bounds are kept, and its end is told. */
static int seqpacket_task(void *arg)
{
    (void)arg;
    ars_addr addr, inet;
    ars_dgram_opt opt = {.seqpacket = 1};
    ars_dgram *listener, *d;
    char buf[16];
    ars_cred cred;
    CHECK_EQ(ars_addr_parse(&addr, "unix:@arsenal-seqpacket"), 0);
    CHECK_EQ(ars_addr_parse(&inet, "127.0.0.1:0"), 0);
    CHECK_EQ(ars_dgram_open(&listener, &inet, &opt), ARS_EINVAL);
    CHECK_EQ(ars_dgram_dial(&d, &addr, &opt), ARS_ECONNREFUSED);
    CHECK_EQ(ars_dgram_open(&listener, &addr, &opt), 0);
    CHECK_EQ(ars_dgram_accept(listener, &d, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_dgram_accept(listener, &d, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    ars_group group;
    start(&group, connect_and_ask, &addr);
    CHECK_EQ(ars_dgram_accept(listener, &d, soon()), 0);
    CHECK_EQ(ars_dgram_cred(d, &cred), 0);
    CHECK_EQ(cred.pid, getpid());
    CHECK_EQ(ars_dgram_recv(d, buf, sizeof buf, NULL, soon()), 5);
    CHECK_EQ(ars_dgram_recv(d, buf, 3, NULL, soon()), 5);
    CHECK_EQ(ars_dgram_send(d, "ok", 2, NULL, soon()), 0);
    ars_dgram_close(d);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_dgram_close(listener);
    return 0;
}
BACKEND_CASE(seqpacket)

/* A big write with descriptors to one that never reads; what arrives is whole. */
static int big_task(void *arg)
{
    (void)arg;
    enum { SIZE = 1 << 22 };
    unsigned char *data = malloc(SIZE), *back = malloc(SIZE);
    ars_conn *a, *b;
    int fd = 2, came[1];
    size_t sent;
    ars_rights rights = {came, 1, 0, {0, 0, 0}};
    stream_fill(1, 0, data, SIZE);
    CHECK_EQ(ars_conn_pair(&a, &b), 0);
    CHECK_EQ(ars_conn_send_rights(a, data, SIZE, &fd, 1, &sent, ars_after(5 * ARS_MILLISECOND)),
             ARS_ETIMEDOUT);
    CHECK(sent > 0 && sent < SIZE);
    size_t count = 0;
    for (size_t got = 0; got < sent;) {
        int n = ars_conn_recv_rights(b, back + got, SIZE - got, &rights, soon());
        CHECK(n > 0);
        if (rights.count) close(came[0]);
        count += rights.count;
        got += (size_t)n;
    }
    CHECK_EQ(count, 1);
    stream_check(1, 0, back, sent);
    ars_conn_close(a);
    ars_conn_close(b);
    free(data);
    free(back);
    return 0;
}
BACKEND_CASE(big)

static int pass(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    int fds[2] = {2, 2}, back[2];
    char buf[8];
    ars_rights rights = {back, 1, 0, {0, 0, 0}};
    ars_time deadline = ars_after(ARS_SECOND);
    int rc = ars_conn_pair(&a, &b);
    if (rc < 0) return rc;
    rc = ars_conn_send_rights(a, "x", 1, fds, 2, NULL, deadline);
    if (rc == 0) rc = ars_conn_recv_rights(b, buf, 8, &rights, deadline);
    if (rc == ARS_EMSGSIZE) rc = ars_conn_read(b, buf, 8, deadline);
    rights.room = 2;
    if (rc >= 0) rc = ars_conn_send_rights(a, "x", 1, fds, 2, NULL, deadline);
    if (rc == 0) rc = ars_conn_recv_rights(b, buf, 8, &rights, deadline);
    if (rc > 0)
        while (rights.count > 0) close(back[--rights.count]);
    ars_conn_close(a);
    ars_conn_close(b);
    if (rc < 0) return rc;
    ars_addr addr;
    ars_dgram_opt opt = {.seqpacket = 1};
    ars_dgram *listener, *c, *d;
    CHECK_EQ(ars_addr_parse(&addr, "unix:@arsenal-rights-faults"), 0);
    rc = ars_dgram_open(&listener, &addr, &opt);
    if (rc < 0) return rc;
    rc = ars_dgram_dial(&c, &addr, &opt);
    if (rc == 0) {
        rc = ars_dgram_accept(listener, &d, deadline);
        if (rc == 0) ars_dgram_close(d);
        ars_dgram_close(c);
    }
    ars_dgram_close(listener);
    return rc;
}

static void survive(const ars_alloc *alloc, unsigned backend)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    CHECK(ars_run(pass, NULL, &config) <= 0);
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
    {"streams", streams},     {"limits", limits}, {"datagrams", datagrams},
    {"seqpacket", seqpacket}, {"big", big},       {"faults", faults},
};
TEST_MAIN(cases)
