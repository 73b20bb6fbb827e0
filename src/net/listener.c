/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/listener.h>. */
#include <arsenal/listener.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "net/net.h"
#include "net/path.h"
#include "os/os.h"

static const ars__wait_class accepting = {"accept", ars__request_interrupt};

static void freed(ars__source *source)
{
    const ars_alloc *alloc = source->hub->alloc;
    ars_listener *listener = ARS__MEMBER(source, ars_listener, source);
    ars__serve_listener_gone(listener);
    alloc->free(alloc->ctx, listener, sizeof *listener, 64);
}

/* ---- open ---- */

static int set_options(int fd, int family, const ars_listener_opt *opt)
{
    int rc = 0;
    if (opt->reuseport) rc = ars__set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (family == AF_UNIX || rc < 0) return rc;
    /* Connections of an earlier process that still linger do not bar the port. */
    rc = ars__set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* Accepted connections inherit it. */
    if (rc == 0 && !opt->delay) rc = ars__set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0 && family == AF_INET6)
        rc = ars__set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, opt->v6only != 0);
    /* Where it cannot be had, connections are made as ever. */
    if (rc == 0 && opt->fastopen)
        ars__set_int(fd, IPPROTO_TCP, TCP_FASTOPEN,
                     opt->fastopen < INT32_MAX ? (int)opt->fastopen : INT32_MAX);
    return rc;
}

static int listen_at(const struct sockaddr *sa, size_t len, const ars_listener_opt *opt,
                     int nonblock)
{
    int fd = ars__os_socket(sa->sa_family, SOCK_STREAM, 0, nonblock);
    if (fd < 0) return fd;
    int rc = set_options(fd, sa->sa_family, opt);
    if (rc == 0) rc = ars__bind_replacing(fd, sa, len, SOCK_STREAM);
    if (rc == 0) rc = ars__os_listen(fd, opt->backlog > 0 ? opt->backlog : INT32_MAX);
    if (rc == 0) return fd;
    ars__os_close(fd);
    return rc;
}

/* "*" where there is no IPv6 is IPv4's any. */
static int listen_any(const struct sockaddr *sa, size_t len, const ars_listener_opt *opt,
                      int nonblock)
{
    int fd = listen_at(sa, len, opt, nonblock);
    if (fd != ARS_EAFNOSUPPORT || sa->sa_family != AF_INET6 || opt->v6only) return fd;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    if (!IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) return fd;
    struct sockaddr_in in;
    memset(&in, 0, sizeof in);
    in.sin_family = AF_INET;
    in.sin_port = in6->sin6_port;
    return listen_at((const struct sockaddr *)(const void *)&in, sizeof in, opt, nonblock);
}

int ars__listener_new(ars_listener **out, ars__loop *loop, int fd)
{
    const ars_alloc *alloc = loop->alloc;
    ars_listener *listener = alloc->alloc(alloc->ctx, sizeof *listener, 64);
    if (!listener) return ARS_ENOMEM;
    memset(&listener->path, 0, sizeof listener->path);
    listener->server = NULL;
    listener->drained = 0;
    int rc = ars__source_open(&listener->source, loop, fd, ARS__LISTENER, freed);
    if (rc < 0)
        alloc->free(alloc->ctx, listener, sizeof *listener, 64);
    else
        *out = listener;
    return rc;
}

int ars_listener_open(ars_listener **out, const ars_addr *addr, const ars_listener_opt *opt)
{
    static const ars_listener_opt none;
    ars__task *self = ars__task_self();
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(addr, &len);
    if (!self || !sa) return ARS_EINVAL;
    ars__loop *loop;
    int rc = ars__loop_get(&loop, self);
    if (rc < 0) return rc;
    int fd = listen_any(sa, len, opt ? opt : &none, loop->backend->nonblock);
    if (fd < 0) return fd;
    int on_disk = ars__has_path(sa, len);
    rc = ars__listener_new(out, loop, fd);
    if (rc == 0) {
        if (on_disk) memcpy(&(*out)->path, sa, len);
        return 0;
    }
    if (on_disk) ars__os_unlink(((const struct sockaddr_un *)(const void *)sa)->sun_path);
    ars__os_close(fd);
    return rc;
}

/* ---- accept ---- */

/* A descriptor, or an error; for the listener it may be the last that is heard of it. */
static int accept_fd(ars__source *source, ars__task *self, ars_time deadline)
{
    ars__request request = {
        .kind = ARS__ACCEPT, .task = self, .done = ars__request_wake, .source = source};
    int rc = ars__submit(&request, deadline != 0);
    if (rc == ARS__PENDING) return ars__request_park(&request, &accepting, deadline);
    return rc == ARS_EAGAIN ? ARS_ETIMEDOUT : rc;
}

int ars_listener_accept(ars_listener *listener, ars_conn **out, ars_time deadline)
{
    ars__source *source = &listener->source;
    ars__task *self = ars__task_self();
    if (!self) return ARS_EINVAL;
    int rc = ars__source_enter(source, self, deadline);
    if (rc < 0) return rc;
    /* Before the descriptor, so that without memory the connection stays where it is. */
    ars__hub *hub = source->hub;
    ars_conn *conn = ars__conn_alloc(hub);
    if (!conn) return ARS_ENOMEM;
    int fd = accept_fd(source, self, deadline);
    if (fd < 0) {
        ars__conn_free(hub, conn);
        return fd;
    }
    ars__conn_init(conn, hub, fd);
    *out = conn;
    return 0;
}

/* ---- the rest ---- */

int ars_listener_addr(const ars_listener *listener, ars_addr *addr)
{
    return ars__addr_of(addr, listener->source.fd, ars__os_getsockname);
}

void ars_listener_close(ars_listener *listener)
{
    if (!listener) return;
    /* While it still listens: afterwards the path could be another's. */
    if (listener->path.sun_path[0]) ars__os_unlink(listener->path.sun_path);
    ars__source *source = &listener->source;
    ars__task *self = ars__task_self();
    ars__poller *held = self && ars__source_is_home(source, self) && source->receiving
                            ? ars__task_poller(self)
                            : NULL;
    ars__source_shut(source);
    /* Lets the kernel let go of it now, so that the address is free for the next listener. */
    if (held) held->ops->turn(held, 0);
}
