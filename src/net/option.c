/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/conn.h>. */
#include <arsenal/conn.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/net.h"
#include "os/os.h"

int ars_conn_local(const ars_conn *conn, ars_addr *addr)
{
    return ars__addr_of(addr, conn->source.fd, ars__os_getsockname);
}

int ars_conn_peer(const ars_conn *conn, ars_addr *addr)
{
    return ars__addr_of(addr, conn->source.fd, ars__os_getpeername);
}

int ars_conn_fd(const ars_conn *conn)
{
    return conn->source.fd;
}

int ars__set_int(int fd, int level, int name, int value)
{
    return ars__os_setsockopt(fd, level, name, &value, sizeof value);
}

enum { NO_SOCKET = -88, BAD_OPTION = -92 }; /* ENOTSOCK, ENOPROTOOPT */

typedef struct entry {
    int level, name; /* level 0: there is no such option */
    int least, most;
} entry;

static const entry entries[] = {
    [ARS_CONN_NODELAY] = {IPPROTO_TCP, TCP_NODELAY, 0, 1},
    [ARS_CONN_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE, 0, 1},
    [ARS_CONN_RCVBUF] = {SOL_SOCKET, SO_RCVBUF, 0, INT32_MAX},
    [ARS_CONN_SNDBUF] = {SOL_SOCKET, SO_SNDBUF, 0, INT32_MAX},
    [ARS_CONN_KEEPALIVE_IDLE] = {IPPROTO_TCP, TCP_KEEPIDLE, 1, 32767},
    [ARS_CONN_KEEPALIVE_INTERVAL] = {IPPROTO_TCP, TCP_KEEPINTVL, 1, 32767},
    [ARS_CONN_KEEPALIVE_COUNT] = {IPPROTO_TCP, TCP_KEEPCNT, 1, 127},
    [ARS_CONN_USER_TIMEOUT] = {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, INT32_MAX},
    [ARS_CONN_CORK] = {IPPROTO_TCP, TCP_CORK, 0, 1},
    [ARS_CONN_QUICKACK] = {IPPROTO_TCP, TCP_QUICKACK, 0, 1},
    [ARS_CONN_TOS] = {IPPROTO_IP, IP_TOS, 0, 255},
};

/* 0, or ARS_EINVAL for an option that there is not. */
static int lookup(int option, entry *e)
{
    if (option < 0 || (size_t)option >= sizeof entries / sizeof *entries) return ARS_EINVAL;
    *e = entries[option];
    return e->most > 0 ? 0 : ARS_EINVAL;
}

/* IPv6 has its own; an IPv4 peer of an IPv6 socket still goes by IPv4's. */
static int adapt(entry *e, int fd)
{
    int family;
    uint32_t len = sizeof family;
    if (e->level != IPPROTO_IP) return 0;
    int rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    if (rc == 0 && family == AF_INET6) {
        e->level = IPPROTO_IPV6;
        e->name = IPV6_TCLASS;
    }
    return rc;
}

static int supported(int rc)
{
    return rc == BAD_OPTION || rc == NO_SOCKET ? ARS_EOPNOTSUPP : rc;
}

static int set_zerocopy(ars__source *source, int value)
{
    uint8_t bits = 0;
    if (value < 0) return ARS_EINVAL;
    while (value > 0 && INT64_C(1) << bits < value) bits++;
    if (value == 1) bits = 1; /* 0 is off */
    __atomic_store_n(&source->zerocopy, bits, __ATOMIC_RELAXED);
    return 0;
}

static int get_zerocopy(const ars__source *source)
{
    uint8_t bits = __atomic_load_n(&source->zerocopy, __ATOMIC_RELAXED);
    return bits == 0 ? 0 : bits < 31 ? 1 << bits : INT32_MAX;
}

int ars_conn_set(ars_conn *conn, int option, int value)
{
    if (option == ARS_CONN_ZEROCOPY) return set_zerocopy(&conn->source, value);
    int fd = conn->source.fd;
    if (option == ARS_CONN_LINGER) {
        if (value != 0 && value != -1) return ARS_EINVAL;
        struct linger linger = {.l_onoff = value == 0, .l_linger = 0};
        return supported(ars__os_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    }
    entry e;
    int rc = lookup(option, &e);
    if (rc < 0) return rc;
    if (value < e.least || value > e.most) return ARS_EINVAL;
    rc = adapt(&e, fd);
    return supported(rc < 0 ? rc : ars__set_int(fd, e.level, e.name, value));
}

int ars_conn_get(const ars_conn *conn, int option, int *value)
{
    if (option == ARS_CONN_ZEROCOPY) {
        *value = get_zerocopy(&conn->source);
        return 0;
    }
    int fd = conn->source.fd, got, rc;
    uint32_t len = sizeof got;
    if (option == ARS_CONN_LINGER) {
        struct linger linger;
        len = sizeof linger;
        rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len);
        if (rc == 0) *value = linger.l_onoff ? linger.l_linger : -1;
        return supported(rc);
    }
    entry e;
    rc = lookup(option, &e);
    if (rc == 0) rc = adapt(&e, fd);
    if (rc == 0) rc = ars__os_getsockopt(fd, e.level, e.name, &got, &len);
    if (rc == 0) *value = got;
    return supported(rc);
}
