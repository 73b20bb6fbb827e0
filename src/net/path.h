/* SPDX-License-Identifier: MIT */
#ifndef ARS_NET_PATH_H
#define ARS_NET_PATH_H

/* Unix sockets whose address is a path in the file system. */

#include <arsenal/base.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Whether the address is a path. */
int ars__has_path(const struct sockaddr *sa, size_t len);

/* Binds; a path that is left over, whose socket of this 'type' nobody has open any more, is replaced. */
int ars__bind_replacing(int fd, const struct sockaddr *sa, size_t len, int type);

#endif
