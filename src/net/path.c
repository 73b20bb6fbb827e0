/* SPDX-License-Identifier: MIT */
#include "net/path.h"

#include <stddef.h>

#include "os/os.h"

static const char *path_of(const struct sockaddr *sa)
{
    return ((const struct sockaddr_un *)(const void *)sa)->sun_path;
}

int ars__has_path(const struct sockaddr *sa, size_t len)
{
    return sa->sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path) &&
           path_of(sa)[0] != '\0';
}

static int is_stale(const struct sockaddr *sa, size_t len, int type)
{
    /* A file of another kind refuses connections too. */
    if (ars__os_is_socket(path_of(sa)) != 1) return 0;
    int fd = ars__os_socket(AF_UNIX, type, 0, 1);
    if (fd < 0) return 0;
    int rc = ars__os_connect(fd, sa, (uint32_t)len);
    ars__os_close(fd);
    return rc == ARS_ECONNREFUSED;
}

int ars__bind_replacing(int fd, const struct sockaddr *sa, size_t len, int type)
{
    int rc = ars__os_bind(fd, sa, (uint32_t)len);
    if (rc != ARS_EADDRINUSE || !ars__has_path(sa, len) || !is_stale(sa, len, type)) return rc;
    ars__os_unlink(path_of(sa));
    return ars__os_bind(fd, sa, (uint32_t)len);
}
