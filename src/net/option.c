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

/* The system's level and name of an option whose value is an int; 0: there is none. */
static int lookup(int option, int *level, int *name)
{
    static const struct {
        int option, level, name;
    } options[] = {
        {ARS_CONN_NODELAY, IPPROTO_TCP, TCP_NODELAY},
        {ARS_CONN_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE},
        {ARS_CONN_RCVBUF, SOL_SOCKET, SO_RCVBUF},
        {ARS_CONN_SNDBUF, SOL_SOCKET, SO_SNDBUF},
    };
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        if (options[i].option != option) continue;
        *level = options[i].level;
        *name = options[i].name;
        return 1;
    }
    return 0;
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
    int fd = conn->source.fd, level, name;
    if (option == ARS_CONN_LINGER) {
        if (value != 0 && value != -1) return ARS_EINVAL;
        struct linger linger = {.l_onoff = value == 0, .l_linger = 0};
        return ars__os_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    if (!lookup(option, &level, &name)) return ARS_EINVAL;
    int is_switch = option == ARS_CONN_NODELAY || option == ARS_CONN_KEEPALIVE;
    if (value < 0 || (is_switch && value > 1)) return ARS_EINVAL;
    return ars__set_int(fd, level, name, value);
}

int ars_conn_get(const ars_conn *conn, int option, int *value)
{
    if (option == ARS_CONN_ZEROCOPY) {
        *value = get_zerocopy(&conn->source);
        return 0;
    }
    int fd = conn->source.fd, level, name, got;
    uint32_t len = sizeof got;
    if (option == ARS_CONN_LINGER) {
        struct linger linger;
        len = sizeof linger;
        int rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len);
        if (rc == 0) *value = linger.l_onoff ? linger.l_linger : -1;
        return rc;
    }
    if (!lookup(option, &level, &name)) return ARS_EINVAL;
    int rc = ars__os_getsockopt(fd, level, name, &got, &len);
    if (rc == 0) *value = got;
    return rc;
}
