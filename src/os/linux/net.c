/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "os/linux/sys.h"

int ars__os_poll(int fd, unsigned events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    ars__timespec none = {0, 0};
    /* poll(2) skips negative descriptors. */
    if (fd < 0) return ARS_EBADF;
    long n;
    /* It gives EINTR for a signal that comes meanwhile even if it does not wait. */
    do n = ARS__SYS(SYS_ppoll, &p, 1, &none, 0, 0);
    while (n == ARS_EINTR);
    if (n <= 0) return (int)n;
    if (p.revents & POLLNVAL) return ARS_EBADF;
    return p.revents;
}

int ars__os_unlink(const char *path)
{
    return (int)ARS__SYS(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ars__os_is_socket(const char *path)
{
    struct stat st;
    long rc = ARS__SYS(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW);
    return rc < 0 ? (int)rc : S_ISSOCK(st.st_mode);
}

static int interface(unsigned long request, struct ifreq *ifr)
{
    int fd = (int)ARS__SYS(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fd;
    int rc = (int)ARS__SYS(SYS_ioctl, fd, request, ifr);
    ARS__SYS(SYS_close, fd);
    return rc;
}

int ars__os_interface_index(const char *name)
{
    struct ifreq ifr;
    if (strlen(name) >= sizeof ifr.ifr_name) return ARS_EINVAL;
    memset(&ifr, 0, sizeof ifr);
    strcpy(ifr.ifr_name, name);
    int rc = interface(SIOCGIFINDEX, &ifr);
    return rc < 0 ? rc : ifr.ifr_ifindex;
}

int ars__os_interface_name(unsigned index, char name[ARS__OS_INTERFACE_NAME])
{
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    ifr.ifr_ifindex = (int)index;
    int rc = interface(SIOCGIFNAME, &ifr);
    if (rc < 0) return rc;
    memcpy(name, ifr.ifr_name, ARS__OS_INTERFACE_NAME);
    name[ARS__OS_INTERFACE_NAME - 1] = '\0';
    return 0;
}
