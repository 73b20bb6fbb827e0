/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static const struct {
    int option, least, most; /* 'most' INT32_MAX: no limit to test */
} ranges[] = {
    {ARS_CONN_NODELAY, 0, 1},
    {ARS_CONN_KEEPALIVE, 0, 1},
    {ARS_CONN_KEEPALIVE_IDLE, 1, 32767},
    {ARS_CONN_KEEPALIVE_INTERVAL, 1, 32767},
    {ARS_CONN_KEEPALIVE_COUNT, 1, 127},
    {ARS_CONN_USER_TIMEOUT, 0, INT32_MAX},
    {ARS_CONN_CORK, 0, 1},
    {ARS_CONN_TOS, 0, 252}, /* the two lowest bits are TCP's own */
};

static int each_range_task(void *arg)
{
    (void)arg;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    for (int i = 0; i < 2; i++) {
        ars_addr addr;
        ars_listener *listener = listen_at(texts[i], &addr);
        peer p = peer_of(listener, &addr);
        for (unsigned k = 0; k < sizeof ranges / sizeof *ranges; k++) {
            int option = ranges[k].option, least = ranges[k].least, most = ranges[k].most, value;
            CHECK_EQ(ars_conn_set(p.conn, option, least - 1), ARS_EINVAL);
            if (most < INT32_MAX)
                CHECK_EQ(ars_conn_set(p.conn, option, most + (option == ARS_CONN_TOS ? 4 : 1)),
                         ARS_EINVAL);
            for (int round = 0; round < 2; round++) {
                CHECK_EQ(ars_conn_set(p.conn, option, round ? most : least), 0);
                CHECK_EQ(ars_conn_get(p.conn, option, &value), 0);
                CHECK_EQ(value, round ? most : least);
            }
        }
        CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_QUICKACK, 2), ARS_EINVAL);
        CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_QUICKACK, 1), 0);
        peer_close(&p);
        ars_listener_close(listener);
    }
    return 0;
}
BACKEND_CASE(each_range)

/* What is not for this kind of connection says so. */
static int others_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b, *in, *out;
    int value = 7;
    CHECK_EQ(ars_conn_pair(&a, &b), 0);
    CHECK_EQ(ars_conn_pipe(&in, &out), 0);
    for (unsigned k = 0; k < sizeof ranges / sizeof *ranges; k++) {
        int option = ranges[k].option;
        if (option != ARS_CONN_KEEPALIVE) {
            CHECK_EQ(ars_conn_set(a, option, ranges[k].least), ARS_EOPNOTSUPP);
            CHECK_EQ(ars_conn_get(a, option, &value), ARS_EOPNOTSUPP);
        }
        CHECK_EQ(ars_conn_set(in, option, ranges[k].least), ARS_EOPNOTSUPP);
        CHECK_EQ(ars_conn_get(in, option, &value), ARS_EOPNOTSUPP);
    }
    CHECK_EQ(ars_conn_set(in, ARS_CONN_LINGER, 0), ARS_EOPNOTSUPP);
    CHECK_EQ(ars_conn_get(in, ARS_CONN_LINGER, &value), ARS_EOPNOTSUPP);
    static const int unknown[] = {0, -1, 14, 1000, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(ars_conn_set(a, unknown[i], 1), ARS_EINVAL);
        CHECK_EQ(ars_conn_get(a, unknown[i], &value), ARS_EINVAL);
    }
    CHECK_EQ(value, 7);
    ars_conn_close(a);
    ars_conn_close(b);
    ars_conn_close(in);
    ars_conn_close(out);
    return 0;
}
BACKEND_CASE(others)

/* Corked bytes leave when the cork does, or when a segment is full. */
static int cork_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    char buf[16];
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_CORK, 1), 0);
    CHECK_EQ(ars_conn_write(p.conn, "head", 4, NULL, soon()), 0);
    CHECK_EQ(recv(p.fd, buf, sizeof buf, MSG_DONTWAIT), -1);
    CHECK_EQ(ars_conn_write(p.conn, "body", 4, NULL, soon()), 0);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_CORK, 0), 0);
    CHECK_EQ(recv(p.fd, buf, sizeof buf, 0), 8);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(cork)

/* ---- fast open ---- */

/* Whether the data went with the request to connect; the last two of so many rounds must agree. */
static int fast_dials_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener;
    ars_listener_opt listens = {.fastopen = 16};
    ars_conn_opt dials = {.fastopen = 1};
    int fast = 0;
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:0"), 0);
    CHECK_EQ(ars_listener_open(&listener, &addr, &listens), 0);
    CHECK_EQ(ars_listener_addr(listener, &addr), 0);
    for (int i = 0; i < 4; i++) {
        ars_conn *a, *b;
        char buf[8];
        struct tcp_info info;
        socklen_t len = sizeof info;
        CHECK_EQ(ars_conn_dial(&a, &addr, &dials, i < 3 ? soon() : 0), 0);
        CHECK_EQ(ars_conn_write(a, "first", 5, NULL, soon()), 0);
        CHECK_EQ(ars_listener_accept(listener, &b, soon()), 0);
        CHECK_EQ(ars_conn_read(b, buf, sizeof buf, soon()), 5);
        CHECK_EQ(ars_conn_write(b, "back", 4, NULL, soon()), 0);
        CHECK_EQ(ars_conn_read(a, buf, sizeof buf, soon()), 4);
        CHECK_EQ(getsockopt(ars_conn_fd(a), IPPROTO_TCP, TCP_INFO, &info, &len), 0);
        if (info.tcpi_options & TCPI_OPT_SYN_DATA) fast++;
        ars_conn_close(a);
        ars_conn_close(b);
    }
    ars_listener_close(listener);
    /* The first one fetches the cookie. */
    if (getenv("ARS_FAST_OPEN")) CHECK(fast >= 3);
    return 0;
}
BACKEND_CASE(fast_dials)

/* In a network of its own, where servers may do it too. */
static void in_own_network(void *arg)
{
    (void)arg;
    struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (unshare(CLONE_NEWNET) < 0) _exit(77);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int on = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) < 0 || on < 0 || write(on, "3", 1) != 1) _exit(77);
    close(fd);
    close(on);
    setenv("ARS_FAST_OPEN", "1", 1);
    on_each_backend(fast_dials_task);
}

static void fast_open(void)
{
    test_end end = test_child(in_own_network, NULL);
    if (end.signal == 0 && end.status == 77)
        test_skipped("a network of one's own cannot be had here");
    else if (end.signal || end.status)
        FAIL("signal %d, status %d: %s", end.signal, end.status, end.err);
}

static const test_case cases[] = {
    {"each_range", each_range}, {"others", others},       {"cork", cork},
    {"fast_dials", fast_dials}, {"fast_open", fast_open},
};
TEST_MAIN(cases)
