/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/dgram.h>. */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "net/dgram.h"
#include "os/os.h"

enum { BAD_OPTION = -92 }; /* ENOPROTOOPT */

typedef struct option {
    int level, name;
} option;

typedef struct entry {
    option v4, v6; /* level 0: there is none */
    int least, most;
} entry;

#define BOTH(level, name)                                                                          \
    {level, name},                                                                                 \
    {                                                                                              \
        level, name                                                                                \
    }
#define IN4_6(v4, v6)                                                                              \
    {IPPROTO_IP, v4},                                                                              \
    {                                                                                              \
        IPPROTO_IPV6, v6                                                                           \
    }

static const entry entries[] = {
    [ARS_DGRAM_BROADCAST] = {BOTH(SOL_SOCKET, SO_BROADCAST), 0, 1},
    [ARS_DGRAM_RCVBUF] = {BOTH(SOL_SOCKET, SO_RCVBUF), 0, INT32_MAX},
    [ARS_DGRAM_SNDBUF] = {BOTH(SOL_SOCKET, SO_SNDBUF), 0, INT32_MAX},
    [ARS_DGRAM_CRED] = {BOTH(SOL_SOCKET, SO_PASSCRED), 0, 1},
    [ARS_DGRAM_GRO] = {BOTH(IPPROTO_UDP, UDP_GRO), 0, 1},
    [ARS_DGRAM_TTL] = {IN4_6(IP_TTL, IPV6_UNICAST_HOPS), 1, 255},
    [ARS_DGRAM_TOS] = {IN4_6(IP_TOS, IPV6_TCLASS), 0, 255},
    [ARS_DGRAM_MULTICAST_TTL] = {IN4_6(IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS), 0, 255},
    [ARS_DGRAM_MULTICAST_LOOP] = {IN4_6(IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP), 0, 1},
    [ARS_DGRAM_MULTICAST_IF] = {IN4_6(IP_MULTICAST_IF, IPV6_MULTICAST_IF), 0, INT32_MAX},
};

/* 0, or ARS_EINVAL for an option that there is not, ARS_EOPNOTSUPP for one of other sockets. */
static int lookup(const ars_dgram *dgram, int option_id, option *found)
{
    if (option_id < 1 || (size_t)option_id >= sizeof entries / sizeof *entries) return ARS_EINVAL;
    const entry *e = &entries[option_id];
    *found = dgram->family == AF_INET6 ? e->v6 : e->v4;
    if (dgram->family == AF_UNIX) return found->level != SOL_SOCKET ? ARS_EOPNOTSUPP : 0;
    return option_id == ARS_DGRAM_CRED ? ARS_EOPNOTSUPP : 0;
}

static int supported(int rc)
{
    return rc == BAD_OPTION ? ARS_EOPNOTSUPP : rc;
}

int ars_dgram_set(ars_dgram *dgram, int option_id, int value)
{
    int fd = dgram->source.fd;
    option o;
    int rc = lookup(dgram, option_id, &o);
    if (rc < 0) return rc;
    if (value < entries[option_id].least || value > entries[option_id].most) return ARS_EINVAL;
    struct ip_mreqn mreq = {.imr_ifindex = value};
    if (o.level == IPPROTO_IP && o.name == IP_MULTICAST_IF)
        rc = ars__os_setsockopt(fd, o.level, o.name, &mreq, sizeof mreq);
    else
        rc = ars__set_int(fd, o.level, o.name, value);
    if (rc == 0 && option_id == ARS_DGRAM_GRO) dgram->gro = value;
    if (rc == 0 && option_id == ARS_DGRAM_MULTICAST_IF) dgram->multicast_if = value;
    return supported(rc);
}

int ars_dgram_get(const ars_dgram *dgram, int option_id, int *value)
{
    option o;
    int rc = lookup(dgram, option_id, &o);
    if (rc < 0) return rc;
    if (option_id == ARS_DGRAM_MULTICAST_IF) {
        *value = dgram->multicast_if; /* the system may tell an address instead */
        return 0;
    }
    int got = 0;
    uint32_t len = sizeof got;
    rc = ars__os_getsockopt(dgram->source.fd, o.level, o.name, &got, &len);
    if (rc == 0) *value = got;
    return supported(rc);
}

static int membership(ars_dgram *dgram, const ars_addr *group, unsigned interface, int v4, int v6)
{
    size_t len;
    const void *sa = ars_addr_sockaddr(group, &len);
    if (!sa || interface > INT32_MAX) return ARS_EINVAL;
    int family = ((const struct sockaddr *)sa)->sa_family, fd = dgram->source.fd;
    if (family != dgram->family || family == AF_UNIX) return ARS_EINVAL;
    if (family == AF_INET) {
        struct ip_mreqn mreq = {.imr_multiaddr = ((const struct sockaddr_in *)sa)->sin_addr,
                                .imr_ifindex = (int)interface};
        return ars__os_setsockopt(fd, IPPROTO_IP, v4, &mreq, sizeof mreq);
    }
    const struct sockaddr_in6 *in6 = sa;
    struct ipv6_mreq mreq = {.ipv6mr_multiaddr = in6->sin6_addr,
                             .ipv6mr_interface = interface ? interface : in6->sin6_scope_id};
    return ars__os_setsockopt(fd, IPPROTO_IPV6, v6, &mreq, sizeof mreq);
}

int ars_dgram_join(ars_dgram *dgram, const ars_addr *group, unsigned interface)
{
    return membership(dgram, group, interface, IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP);
}

int ars_dgram_leave(ars_dgram *dgram, const ars_addr *group, unsigned interface)
{
    return membership(dgram, group, interface, IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP);
}
