/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/conn.h>. */
#include <arsenal/clock.h>
#include <arsenal/conn.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/net.h"
#include "os/os.h"

static const ars__wait_class connecting = {"dial", ars__request_interrupt};

/* A socket of the address's family, bound and set as 'opt' says. */
static int make_socket(const ars_addr *addr, const ars_conn_opt *opt, int nonblock)
{
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(addr, &len);
    int fd = ars__os_socket(sa->sa_family, SOCK_STREAM, 0, nonblock);
    if (fd < 0) return fd;
    int rc = 0;
    if (sa->sa_family != AF_UNIX && !(opt && opt->delay))
        rc = ars__set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    /* Where it cannot be had, the connection is made as ever. */
    if (rc == 0 && opt && opt->fastopen && sa->sa_family != AF_UNIX)
        ars__set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    if (rc == 0 && opt && opt->local) {
        const struct sockaddr *local = ars_addr_sockaddr(opt->local, &len);
        rc = local ? ars__os_bind(fd, local, (uint32_t)len) : ARS_EINVAL;
    }
    if (rc == 0) return fd;
    ars__os_close(fd);
    return rc;
}

/* Deadline 0: only if it can be had at once.  The socket is non-blocking. */
static int connect_now(int fd, const void *sa, size_t len)
{
    int rc = ars__os_connect(fd, sa, (uint32_t)len);
    if (rc == ARS_EAGAIN) return ARS_ETIMEDOUT;
    if (rc != ARS_EINPROGRESS && rc != ARS_EINTR) return rc;
    /* Over loopback the answer has come by now. */
    rc = ars__os_poll(fd, POLLOUT);
    if (rc <= 0) return rc < 0 ? rc : ARS_ETIMEDOUT;
    int error = 0;
    uint32_t size = sizeof error;
    rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return rc < 0 ? rc : -error;
}

static int connect_wait(ars_conn *conn, ars__task *self, const void *sa, size_t len,
                        ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__request request = {.kind = ARS__CONNECT,
                            .task = self,
                            .done = ars__request_wake,
                            .source = source,
                            .buf = (void *)(uintptr_t)sa,
                            .len = len};
    for (;;) {
        int rc = ars__submit(&request, 1);
        if (rc == ARS__PENDING) rc = ars__request_park(&request, &connecting, deadline);
        if (rc != ARS_EAGAIN) return rc;
        /* A unix listener whose backlog is full: nothing tells when it no longer is. */
        ars_time now = ars_now(), again = ars_time_add(now, ARS_MILLISECOND);
        if (now >= deadline) return ARS_ETIMEDOUT;
        rc = ars_sleep(again < deadline ? again : deadline);
        if (rc == 0) rc = ars__source_enter(source, self, deadline);
        if (rc < 0) return rc;
    }
}

int ars_conn_dial(ars_conn **out, const ars_addr *addr, const ars_conn_opt *opt, ars_time deadline)
{
    ars__task *self = ars__task_self();
    size_t len;
    const void *sa = ars_addr_sockaddr(addr, &len);
    if (!self || !sa) return ARS_EINVAL;
    int rc = ars__wait_enter(self, deadline);
    if (rc < 0) return rc;
    ars__loop *loop;
    rc = ars__loop_get(&loop, self);
    if (rc < 0) return rc;
    ars_conn *conn = ars__conn_alloc(loop->hub);
    if (!conn) return ARS_ENOMEM;

    int nonblock = loop->backend->nonblock;
    int fd = rc = make_socket(addr, opt, nonblock || deadline == 0);
    if (rc < 0) goto no_socket;
    if (deadline == 0) {
        rc = connect_now(fd, sa, len);
        if (rc == 0 && !nonblock) {
            rc = ars__os_set_nonblock(fd, 0);
            if (rc > 0) rc = 0;
        }
        if (rc < 0) goto no_conn;
    }
    rc = ars__conn_open(conn, loop, fd);
    if (rc < 0) goto no_conn;
    if (deadline != 0) {
        rc = connect_wait(conn, self, sa, len, deadline);
        if (rc < 0) {
            ars_conn_close(conn);
            return rc;
        }
    }
    *out = conn;
    return 0;

no_conn:
    ars__os_close(fd);
no_socket:
    ars__conn_free(loop->hub, conn);
    return rc;
}
