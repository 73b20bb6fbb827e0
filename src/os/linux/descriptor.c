/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "os/linux/sys.h"

int ars__os_close(int fd)
{
    return (int)ARS__SYS(SYS_close, fd);
}

int64_t ars__os_read(int fd, void *buf, size_t n)
{
    return ARS__SYS(SYS_read, fd, buf, n);
}

int64_t ars__os_write(int fd, const void *buf, size_t n)
{
    return ARS__SYS(SYS_write, fd, buf, n);
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

int ars__os_eventfd(void)
{
    return (int)ARS__SYS(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
}
