/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sched.h>

#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static int refused_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *conn = (void *)1;
    ars_listener_close(listen_at("127.0.0.1:0", &addr));
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_conn_dial(&conn, &addr, NULL, soon()), ARS_ECONNREFUSED);
    CHECK_EQ(ars_conn_dial(&conn, &addr, NULL, 0), ARS_ECONNREFUSED);
    CHECK_EQ(ars_addr_parse(&addr, "unix:/nonexistent/socket"), 0);
    CHECK_EQ(ars_conn_dial(&conn, &addr, NULL, soon()), ARS_ENOENT);
    memset(&addr, 0, sizeof addr);
    CHECK_EQ(ars_conn_dial(&conn, &addr, NULL, soon()), ARS_EINVAL);
    CHECK(conn == (void *)1);
    return 0;
}
BACKEND_CASE(refused)

static int unreachable_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *conn;
    CHECK_EQ(ars_addr_parse(&addr, "192.0.2.1:9"), 0);
    CHECK_EQ(ars_conn_dial(&conn, &addr, NULL, soon()), ARS_ENETUNREACH);
    return 0;
}

static void unreachable_child(void *arg)
{
    (void)arg;
    on_each_backend(unreachable_task);
}

/* In a network without any route. */
static void isolated_child(void *arg)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0) _exit(77);
    unreachable_child(arg);
}

static void unreachable(void)
{
    test_end end = test_child(isolated_child, NULL);
    if (end.signal == 0 && end.status == 77) {
        test_skipped("no network namespace to be had");
        return;
    }
    CHECK_STR(end.err, "");
    CHECK_EQ(end.status, 0);
}

typedef struct dialling {
    ars_addr addr;
    ars_time deadline;
} dialling;

static int dial_it(void *arg)
{
    dialling *d = arg;
    ars_conn *conn;
    int rc = ars_conn_dial(&conn, &d->addr, NULL, d->deadline);
    if (rc == 0) ars_conn_close(conn);
    return rc;
}

/* A listener that takes nobody any more: its queue is full. */
static int full_listener(ars_addr *addr, int family)
{
    struct sockaddr_storage ss = {.ss_family = (sa_family_t)family};
    socklen_t len = family == AF_UNIX ? sizeof(sa_family_t) : sizeof ss;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (family == AF_INET) len = 16;
    CHECK_EQ(bind(fd, (struct sockaddr *)&ss, len), 0);
    CHECK_EQ(listen(fd, 0), 0);
    len = sizeof ss;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    CHECK_EQ(ars_addr_from(addr, &ss, len), 0);
    return fd;
}

static int dial_waits_task(void *arg)
{
    (void)arg;
    static const int families[] = {AF_INET, AF_UNIX};
    for (int i = 0; i < 2; i++) {
        dialling d = {.deadline = ARS_FOREVER};
        int listener = full_listener(&d.addr, families[i]);
        int fill = plain_connect(&d.addr);
        CHECK_EQ(ars_conn_dial(&(ars_conn *){NULL}, &d.addr, NULL, 0), ARS_ETIMEDOUT);
        CHECK_EQ(ars_conn_dial(&(ars_conn *){NULL}, &d.addr, NULL, ars_after(5 * ARS_MILLISECOND)),
                 ARS_ETIMEDOUT);
        ars_group group;
        start(&group, dial_it, &d);
        CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
        ars_group_cancel(&group, 0);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
        close(fill);
        close(listener);
    }
    return 0;
}
BACKEND_CASE(dial_waits)

static int dials_task(void *arg)
{
    (void)arg;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", "unix:@arsenal test"};
    for (int i = 0; i < 3; i++) {
        for (int at_once = 0; at_once < 2; at_once++) {
            ars_addr addr, local, peer_addr;
            ars_conn *a, *b;
            char buf[8];
            int nodelay;
            ars_listener *listener = listen_at(texts[i], &addr);
            CHECK_EQ(ars_conn_dial(&a, &addr, NULL, at_once ? 0 : soon()), 0);
            CHECK_EQ(ars_listener_accept(listener, &b, soon()), 0);
            CHECK_EQ(ars_conn_write(a, "hello", 5, NULL, soon()), 0);
            CHECK_EQ(ars_conn_read(b, buf, sizeof buf, soon()), 5);
            CHECK_EQ(ars_conn_read(b, buf, sizeof buf, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
            CHECK_EQ(ars_conn_read(a, buf, sizeof buf, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
            CHECK_EQ(ars_conn_peer(a, &peer_addr), 0);
            CHECK_EQ(memcmp(&peer_addr, &addr, sizeof addr), 0);
            if (i < 2) {
                CHECK_EQ(ars_conn_local(a, &local), 0);
                CHECK_EQ(ars_conn_peer(b, &peer_addr), 0);
                CHECK_EQ(memcmp(&peer_addr, &local, sizeof addr), 0);
                CHECK_EQ(ars_conn_get(a, ARS_CONN_NODELAY, &nodelay), 0);
                CHECK_EQ(nodelay, 1);
                CHECK_EQ(ars_conn_get(b, ARS_CONN_NODELAY, &nodelay), 0);
                CHECK_EQ(nodelay, 1);
            } else {
                CHECK_EQ(ars_conn_peer(b, &peer_addr), ARS_ENOENT);
                CHECK_EQ(ars_conn_set(a, ARS_CONN_NODELAY, 1), ARS_EOPNOTSUPP);
            }
            ars_conn_close(a);
            CHECK_EQ(ars_conn_read(b, buf, sizeof buf, soon()), 0);
            ars_conn_close(b);
            ars_listener_close(listener);
        }
    }
    return 0;
}
BACKEND_CASE(dials)

static const test_case cases[] = {
    {"refused", refused},
    {"unreachable", unreachable},
    {"dial_waits", dial_waits},
    {"dials", dials},
};
TEST_MAIN(cases)
