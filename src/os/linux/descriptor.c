/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "os/linux/sys.h"

int ars__os_close(int fd)
{
    return (int)ARS__SYS(SYS_close, fd);
}

int64_t ars__os_read(int fd, void *buf, size_t n)
{
    return ars__moved(buf, n, ARS__SYS(SYS_read, fd, buf, n));
}

int64_t ars__os_write(int fd, const void *buf, size_t n)
{
    return ars__moved(buf, n, ARS__SYS(SYS_write, fd, buf, n));
}

int ars__os_set_nonblock(int fd, int on)
{
    long flags = ARS__SYS(SYS_fcntl, fd, F_GETFL);
    if (flags < 0) return (int)flags;
    int before = (flags & O_NONBLOCK) != 0;
    if (before == (on != 0)) return before;
    long rc = ARS__SYS(SYS_fcntl, fd, F_SETFL, flags ^ O_NONBLOCK);
    return rc < 0 ? (int)rc : before;
}

int ars__os_set_cloexec(int fd, int on)
{
    long flags = ARS__SYS(SYS_fcntl, fd, F_GETFD);
    if (flags < 0) return (int)flags;
    int before = (flags & FD_CLOEXEC) != 0;
    if (before == (on != 0)) return before;
    long rc = ARS__SYS(SYS_fcntl, fd, F_SETFD, flags ^ FD_CLOEXEC);
    return rc < 0 ? (int)rc : before;
}

int ars__os_pid(void)
{
    return (int)ARS__SYS(SYS_getpid);
}

int ars__os_pipe(int fds[2])
{
    return (int)ARS__SYS(SYS_pipe2, fds, O_CLOEXEC | O_NONBLOCK);
}

int ars__os_is_stream(int fd)
{
    struct stat st;
    long rc = ARS__SYS(SYS_fstat, fd, &st);
    return rc < 0 ? (int)rc : S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode);
}

int64_t ars__os_pread(int fd, void *buf, size_t n, int64_t offset, int cached)
{
    struct iovec iov = {buf, n};
    return ARS__SYS(SYS_preadv2, fd, &iov, 1, offset, 0, cached ? RWF_NOWAIT : 0);
}

int64_t ars__os_sendfile(int socket, int file, int64_t *offset, size_t n)
{
    return ARS__SYS(SYS_sendfile, socket, file, offset, n);
}

int64_t ars__os_splice(int from, int to, size_t n)
{
    return ARS__SYS(SYS_splice, from, 0, to, 0, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

int ars__os_eventfd(void)
{
    return (int)ARS__SYS(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
}
