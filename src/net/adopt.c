/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/conn.h>. */
#include <arsenal/conn.h>

#include <sys/socket.h>

#include "net/net.h"
#include "os/os.h"

enum { NOT_A_SOCKET = -88 }; /* ENOTSOCK */

/* What it is to the backends, or an error. */
static int kind_of(int fd)
{
    int type;
    uint32_t len = sizeof type;
    int rc = ars__os_is_stream(fd);
    if (rc <= 0) return rc < 0 ? rc : ARS_EINVAL;
    rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    if (rc == 0) return type == SOCK_STREAM ? ARS__STREAM : ARS_EINVAL;
    return rc == NOT_A_SOCKET ? ARS__FILE : rc;
}

static int loop_of_caller(ars__loop **loop)
{
    ars__task *self = ars__task_self();
    return self ? ars__loop_get(loop, self) : ARS_EINVAL;
}

int ars_conn_from_fd(ars_conn **out, int fd)
{
    ars__loop *loop;
    int rc = loop_of_caller(&loop);
    if (rc < 0) return rc;
    int kind = kind_of(fd);
    if (kind < 0) return kind;
    ars_conn *conn = ars__conn_alloc(loop->hub);
    if (!conn) return ARS_ENOMEM;
    int before = ars__os_set_nonblock(fd, kind == ARS__FILE || loop->backend->nonblock);
    if (before < 0) {
        ars__conn_free(loop->hub, conn);
        return before;
    }
    if (kind == ARS__FILE)
        ars__conn_init_file(conn, loop->hub, fd);
    else
        ars__conn_init(conn, loop->hub, fd);
    *out = conn;
    return 0;
}

/* Two connections, or none and an error; make() opens their descriptors. */
static int make_two(ars_conn *out[2], int (*make)(const ars__loop *loop, int fds[2]),
                    void (*init)(ars_conn *conn, ars__hub *hub, int fd))
{
    ars__loop *loop;
    int fds[2], rc = loop_of_caller(&loop);
    if (rc < 0) return rc;
    ars__hub *hub = loop->hub;
    ars_conn *one = ars__conn_alloc(hub);
    if (!one) return ARS_ENOMEM;
    ars_conn *other = ars__conn_alloc(hub);
    rc = other ? make(loop, fds) : ARS_ENOMEM;
    if (rc < 0) {
        if (other) ars__conn_free(hub, other);
        ars__conn_free(hub, one);
        return rc;
    }
    init(one, hub, fds[0]);
    init(other, hub, fds[1]);
    out[0] = one;
    out[1] = other;
    return 0;
}

static int make_pair(const ars__loop *loop, int fds[2])
{
    return ars__os_socketpair(AF_UNIX, SOCK_STREAM, loop->backend->nonblock, fds);
}

static int make_pipe(const ars__loop *loop, int fds[2])
{
    (void)loop;
    return ars__os_pipe(fds);
}

int ars_conn_pair(ars_conn **one, ars_conn **other)
{
    ars_conn *two[2];
    int rc = make_two(two, make_pair, ars__conn_init);
    if (rc < 0) return rc;
    *one = two[0];
    *other = two[1];
    return 0;
}

int ars_conn_pipe(ars_conn **reader, ars_conn **writer)
{
    ars_conn *two[2];
    int rc = make_two(two, make_pipe, ars__conn_init_file);
    if (rc < 0) return rc;
    *reader = two[0];
    *writer = two[1];
    return 0;
}
