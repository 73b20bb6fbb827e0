/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <sys/socket.h>

#include "os/linux/sys.h"

int ars__os_socket(int family, int type, int protocol, int nonblock)
{
    int flags = SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
    return (int)ARS__SYS(SYS_socket, family, type | flags, protocol);
}

int ars__os_socketpair(int family, int type, int nonblock, int fds[2])
{
    int flags = SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
    return (int)ARS__SYS(SYS_socketpair, family, type | flags, 0, fds);
}

int ars__os_bind(int fd, const struct sockaddr *addr, uint32_t len)
{
    return (int)ARS__SYS(SYS_bind, fd, addr, len);
}

int ars__os_listen(int fd, int backlog)
{
    return (int)ARS__SYS(SYS_listen, fd, backlog);
}

int ars__os_accept(int fd, struct sockaddr *addr, uint32_t *len, int nonblock)
{
    return (int)ARS__SYS(SYS_accept4, fd, addr, len, SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0));
}

int ars__os_connect(int fd, const struct sockaddr *addr, uint32_t len)
{
    return (int)ARS__SYS(SYS_connect, fd, addr, len);
}

/* For AddressSanitizer: 'n' bytes, or what there was room for, have gone from or to these buffers. */
static inline int64_t moved_msg(const struct msghdr *msg, int64_t n)
{
    int64_t left = ARS__ASAN ? n : 0;
    for (size_t i = 0; left > 0 && i < msg->msg_iovlen; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        ars__moved(iov->iov_base, iov->iov_len, left);
        left -= (int64_t)iov->iov_len;
    }
    return n;
}

int64_t ars__os_recv(int fd, void *buf, size_t n, int dontwait)
{
    return ars__moved(buf, n, ARS__SYS(SYS_recvfrom, fd, buf, n, dontwait ? MSG_DONTWAIT : 0));
}

int64_t ars__os_send(int fd, const void *buf, size_t n, int dontwait)
{
    return ars__moved(
        buf, n, ARS__SYS(SYS_sendto, fd, buf, n, MSG_NOSIGNAL | (dontwait ? MSG_DONTWAIT : 0)));
}

int64_t ars__os_recvfrom(int fd, void *buf, size_t n, struct sockaddr *addr, uint32_t *len)
{
    return ars__moved(buf, n,
                      ARS__SYS(SYS_recvfrom, fd, buf, n, MSG_DONTWAIT | MSG_TRUNC, addr, len));
}

int64_t ars__os_sendto(int fd, const void *buf, size_t n, const struct sockaddr *addr, uint32_t len)
{
    return ars__moved(buf, n,
                      ARS__SYS(SYS_sendto, fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL, addr, len));
}

int64_t ars__os_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return moved_msg(msg, ARS__SYS(SYS_recvmsg, fd, msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
}

int64_t ars__os_sendmsg(int fd, const struct msghdr *msg, int dontwait)
{
    return moved_msg(msg,
                     ARS__SYS(SYS_sendmsg, fd, msg, MSG_NOSIGNAL | (dontwait ? MSG_DONTWAIT : 0)));
}

int ars__os_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n)
{
    int done =
        (int)ARS__SYS(SYS_recvmmsg, fd, msgs, n, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC, 0);
    for (int i = 0; ARS__ASAN && i < done; i++) moved_msg(&msgs[i].msg_hdr, msgs[i].msg_len);
    return done;
}

int ars__os_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n)
{
    int done = (int)ARS__SYS(SYS_sendmmsg, fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; ARS__ASAN && i < done; i++) moved_msg(&msgs[i].msg_hdr, msgs[i].msg_len);
    return done;
}

int ars__os_shutdown(int fd, int how)
{
    return (int)ARS__SYS(SYS_shutdown, fd, how);
}

int ars__os_getsockopt(int fd, int level, int name, void *value, uint32_t *len)
{
    return (int)ARS__SYS(SYS_getsockopt, fd, level, name, value, len);
}

int ars__os_setsockopt(int fd, int level, int name, const void *value, uint32_t len)
{
    return (int)ARS__SYS(SYS_setsockopt, fd, level, name, value, len);
}

int ars__os_getsockname(int fd, struct sockaddr *addr, uint32_t *len)
{
    return (int)ARS__SYS(SYS_getsockname, fd, addr, len);
}

int ars__os_getpeername(int fd, struct sockaddr *addr, uint32_t *len)
{
    return (int)ARS__SYS(SYS_getpeername, fd, addr, len);
}
