/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "net/control.h"

#include <string.h>

#include "net/dgram.h"
#include "os/os.h"

void ars__control_put(struct msghdr *msg, ars__control *control, const int *fds, size_t count)
{
    size_t size = count * sizeof(int);
    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(size);
    memset(control, 0, CMSG_SPACE(size));
    control->header.cmsg_level = SOL_SOCKET;
    control->header.cmsg_type = SCM_RIGHTS;
    control->header.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&control->header), fds, size);
}

void ars__control_expect(struct msghdr *msg, ars__control *control)
{
    msg->msg_control = control;
    msg->msg_controllen = sizeof *control;
}

/* Keeps 'n' descriptors, or closes them: whether there is room. */
static int keep(ars_rights *rights, size_t *count, const void *data, size_t n)
{
    int fits = n <= rights->room - *count;
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, (const char *)data + i * sizeof fd, sizeof fd);
        if (fits)
            rights->fds[(*count)++] = fd;
        else
            ars__os_close(fd);
    }
    return fits;
}

int ars__control_take(struct msghdr *msg, ars_rights *rights)
{
    size_t count = 0;
    int whole = !(msg->msg_flags & MSG_CTRUNC);
    struct ucred cred = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        size_t size = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_type == SCM_RIGHTS && !keep(rights, &count, CMSG_DATA(c), size / sizeof(int)))
            whole = 0;
        if (c->cmsg_type == SCM_CREDENTIALS) memcpy(&cred, CMSG_DATA(c), sizeof cred);
    }
    if (!whole) {
        while (count > 0) ars__os_close(rights->fds[--count]);
        return ARS_EMSGSIZE;
    }
    rights->count = count;
    rights->cred = (ars_cred){cred.pid, cred.uid, cred.gid};
    return 0;
}

static int peer_cred(int fd, ars_cred *cred)
{
    enum { NOT_A_SOCKET = -88 }; /* ENOTSOCK */
    int family;
    struct ucred u;
    uint32_t len = sizeof family;
    int rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    if (rc < 0) return rc == NOT_A_SOCKET ? ARS_EINVAL : rc;
    if (family != AF_UNIX) return ARS_EINVAL;
    len = sizeof u;
    rc = ars__os_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len);
    if (rc < 0) return rc;
    if (u.pid == 0) return ARS_ENOTCONN;
    *cred = (ars_cred){u.pid, u.uid, u.gid};
    return 0;
}

int ars_conn_cred(const ars_conn *conn, ars_cred *cred)
{
    return peer_cred(conn->source.fd, cred);
}

int ars_dgram_cred(const ars_dgram *dgram, ars_cred *cred)
{
    return peer_cred(dgram->source.fd, cred);
}
