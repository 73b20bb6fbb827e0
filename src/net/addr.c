/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/addr.h>. */
#include <arsenal/addr.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/assert.h"
#include "net/net.h"
#include "os/os.h"

enum {
    PATH_AT = offsetof(struct sockaddr_un, sun_path),
    PATH_MAX_LEN = sizeof(((struct sockaddr_un *)0)->sun_path) - 1
};

ARS__STATIC_ASSERT(sizeof(struct sockaddr_un) <= sizeof(((ars_addr *)0)->ars__sockaddr));
ARS__STATIC_ASSERT(sizeof(struct sockaddr_in6) <= sizeof(((ars_addr *)0)->ars__sockaddr));
ARS__STATIC_ASSERT(sizeof("unix:") + PATH_MAX_LEN + 1 <= ARS_ADDR_TEXT);

static void set(ars_addr *addr, const void *sockaddr, size_t len)
{
    memset(addr, 0, sizeof *addr);
    addr->ars__len = (uint32_t)len;
    memcpy(addr->ars__sockaddr, sockaddr, len);
}

/* ---- text to address ---- */

/* Decimal digits only, at most 'max'; -1 if 'text' is anything else. */
static long number(const char *text, long max)
{
    long value = 0;
    if (!*text) return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return -1;
        value = value * 10 + (*text - '0');
        if (value > max) return -1;
    }
    return value;
}

static int parse_unix(ars_addr *addr, const char *path)
{
    struct sockaddr_un un;
    size_t len = strlen(path);
    if (len == 0) return ARS_EINVAL;
    if (len > PATH_MAX_LEN) return ARS_ENAMETOOLONG;
    memset(&un, 0, sizeof un);
    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, path, len);
    /* An abstract name begins with a NUL and has no end but the length. */
    int abstract = path[0] == '@';
    if (abstract) un.sun_path[0] = '\0';
    set(addr, &un, PATH_AT + len + !abstract);
    return 0;
}

static int parse_v6(struct sockaddr_in6 *in6, char *host)
{
    char *zone = strchr(host, '%');
    if (zone) {
        *zone++ = '\0';
        long index = number(zone, INT32_MAX);
        if (index < 0) index = ars__os_interface_index(zone);
        if (index <= 0) return ARS_EINVAL;
        in6->sin6_scope_id = (uint32_t)index;
    }
    in6->sin6_family = AF_INET6;
    return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : ARS_EINVAL;
}

int ars_addr_parse(ars_addr *addr, const char *text)
{
    if (strncmp(text, "unix:", 5) == 0) return parse_unix(addr, text + 5);
    char host[INET6_ADDRSTRLEN + ARS__OS_INTERFACE_NAME + 4];
    const char *colon = strrchr(text, ':');
    if (!colon) return ARS_EINVAL;
    long port = number(colon + 1, 65535);
    size_t len = (size_t)(colon - text);
    if (port < 0 || len == 0 || len >= sizeof host) return ARS_EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    if (host[0] == '[' || strcmp(host, "*") == 0) {
        struct sockaddr_in6 in6;
        memset(&in6, 0, sizeof in6);
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons((uint16_t)port);
        if (host[0] == '[') {
            if (host[len - 1] != ']') return ARS_EINVAL;
            host[len - 1] = '\0';
            int rc = parse_v6(&in6, host + 1);
            if (rc < 0) return rc;
        }
        set(addr, &in6, sizeof in6);
        return 0;
    }
    struct sockaddr_in in;
    memset(&in, 0, sizeof in);
    in.sin_family = AF_INET;
    in.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1) return ARS_EINVAL;
    set(addr, &in, sizeof in);
    return 0;
}

/* ---- address to text ---- */

static int format_unix(const ars_addr *addr, char out[ARS_ADDR_TEXT])
{
    const char *path = (const char *)addr->ars__sockaddr + PATH_AT;
    size_t len = addr->ars__len - PATH_AT;
    int abstract = path[0] == '\0';
    if (!abstract) len = strnlen(path, len);
    memcpy(out, "unix:", 5);
    for (size_t i = 0; i < len; i++) out[5 + i] = path[i] ? path[i] : '@';
    out[5 + len] = '\0';
    return (int)(5 + len);
}

static int format_v6(const struct sockaddr_in6 *in6, char out[ARS_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN], zone[ARS__OS_INTERFACE_NAME + 1] = "";
    if (!inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host)) return ARS_EINVAL;
    unsigned scope = in6->sin6_scope_id;
    if (scope != 0) {
        zone[0] = '%';
        if (ars__os_interface_name(scope, zone + 1) < 0) snprintf(zone, sizeof zone, "%%%u", scope);
    }
    return snprintf(out, ARS_ADDR_TEXT, "[%s%s]:%u", host, zone, ntohs(in6->sin6_port));
}

int ars_addr_format(const ars_addr *addr, char *text, size_t size)
{
    char out[ARS_ADDR_TEXT];
    const void *sa = addr->ars__sockaddr;
    int n;
    if (addr->ars__len == 0) return ARS_EINVAL;
    switch (((const struct sockaddr *)sa)->sa_family) {
    case AF_INET: {
        const struct sockaddr_in *in = sa;
        char host[INET_ADDRSTRLEN];
        if (!inet_ntop(AF_INET, &in->sin_addr, host, sizeof host)) return ARS_EINVAL;
        n = snprintf(out, sizeof out, "%s:%u", host, ntohs(in->sin_port));
        break;
    }
    case AF_INET6: n = format_v6(sa, out); break;
    case AF_UNIX: n = format_unix(addr, out); break;
    default: n = ARS_EINVAL; break;
    }
    if (n < 0) return n;
    if ((size_t)n >= size) return ARS_ENOSPC;
    memcpy(text, out, (size_t)n + 1);
    return n;
}

/* ---- the system's form ---- */

int ars_addr_port(const ars_addr *addr)
{
    const void *sa = addr->ars__sockaddr;
    if (addr->ars__len == 0) return ARS_EINVAL;
    switch (((const struct sockaddr *)sa)->sa_family) {
    case AF_INET: return ntohs(((const struct sockaddr_in *)sa)->sin_port);
    case AF_INET6: return ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
    default: return ARS_EINVAL;
    }
}

/* The system reads a path up to its first NUL: more than NULs behind that is a mistake. */
static int is_path_whole(const char *path, size_t len)
{
    size_t end = strnlen(path, len);
    if (end == 0) return 1; /* abstract: NULs are part of the name */
    while (end < len && !path[end]) end++;
    return end == len;
}

int ars_addr_from(ars_addr *addr, const void *sockaddr, size_t len)
{
    sa_family_t family;
    if (!sockaddr || len < sizeof family) return ARS_EINVAL;
    memcpy(&family, (const char *)sockaddr + offsetof(struct sockaddr, sa_family), sizeof family);
    switch (family) {
    case AF_INET:
        if (len != sizeof(struct sockaddr_in)) return ARS_EINVAL;
        break;
    case AF_INET6:
        if (len != sizeof(struct sockaddr_in6)) return ARS_EINVAL;
        break;
    case AF_UNIX:
        if (len <= PATH_AT || len > sizeof(struct sockaddr_un)) return ARS_EINVAL;
        if (!is_path_whole((const char *)sockaddr + PATH_AT, len - PATH_AT)) return ARS_EINVAL;
        break;
    default: return ARS_EAFNOSUPPORT;
    }
    set(addr, sockaddr, len);
    return 0;
}

const void *ars_addr_sockaddr(const ars_addr *addr, size_t *len)
{
    *len = addr->ars__len;
    return addr->ars__len ? addr->ars__sockaddr : NULL;
}

int ars__addr_of(ars_addr *addr, int fd, int (*get)(int fd, struct sockaddr *addr, uint32_t *len))
{
    struct sockaddr_storage ss;
    uint32_t len = sizeof ss;
    int rc = get(fd, (struct sockaddr *)&ss, &len);
    if (rc < 0) return rc;
    /* A unix socket without a name. */
    if (ss.ss_family == AF_UNIX && len <= PATH_AT) return ARS_ENOENT;
    return ars_addr_from(addr, &ss, len);
}
