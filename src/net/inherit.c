/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/listener.h>; the protocol: sd_listen_fds(3). */
#include <arsenal/listener.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/net.h"
#include "os/os.h"

enum { FIRST = 3, MOST = 1 << 16 };

/* A decimal number, and nothing else; or ARS_EINVAL. */
static int number(const char *text)
{
    int n = 0;
    if (!*text) return ARS_EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || n > INT32_MAX / 10 - 1) return ARS_EINVAL;
        n = n * 10 + (*text - '0');
    }
    return n;
}

/* How many descriptors were passed to this process, or an error. */
static int passed(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    if (!pid || !fds) return ARS_ENOENT;
    int whose = number(pid), n = number(fds);
    if (whose < 0 || n < 0 || n > MOST) return ARS_EINVAL;
    return whose == ars__os_pid() ? n : ARS_ENOENT;
}

/* Whether the i-th name is 'name'; names end with a colon or the end. */
static int is_named(const char *names, int i, const char *name)
{
    size_t len = strlen(name);
    for (; names && i > 0; i--) {
        names = strchr(names, ':');
        if (names) names++;
    }
    return names && strncmp(names, name, len) == 0 && (names[len] == ':' || names[len] == '\0');
}

static int listens(int fd)
{
    int type = 0, on = 0;
    uint32_t len = sizeof type;
    int rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    len = sizeof on;
    if (rc == 0) rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len);
    return rc == 0 && type == SOCK_STREAM && on;
}

/* On an error it is as it was, except that it may be non-blocking. */
static int take(ars_listener **out, ars__loop *loop, int fd, const ars_listener_opt *opt)
{
    if (!listens(fd)) return ARS_EINVAL;
    int rc = ars__os_set_nonblock(fd, loop->backend->nonblock);
    if (rc < 0) return rc;
    /* Accepted connections inherit it; a unix socket has none. */
    if (!opt || !opt->delay) ars__set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return ars__listener_new(out, loop, fd);
}

int ars_listener_inherit(ars_listener **out, const char *name, const ars_listener_opt *opt)
{
    ars__task *self = ars__task_self();
    if (!self) return ARS_EINVAL;
    ars__loop *loop;
    int rc = ars__loop_get(&loop, self);
    if (rc < 0) return rc;
    int n = passed();
    if (n < 0) return n;
    const char *names = getenv("LISTEN_FDNAMES");
    for (int fd = FIRST; fd < FIRST + n; fd++) {
        if (name && !is_named(names, fd - FIRST, name)) continue;
        rc = ars__os_set_cloexec(fd, 1);
        if (rc < 0) return rc;
        if (rc == 1) continue; /* taken */
        rc = take(out, loop, fd, opt);
        if (rc < 0) ars__os_set_cloexec(fd, 0);
        return rc;
    }
    return ARS_ENOENT;
}
