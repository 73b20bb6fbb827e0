/* SPDX-License-Identifier: MIT */
#ifndef ARS_NET_CONTROL_H
#define ARS_NET_CONTROL_H

/* Descriptors and credentials as they lie beside a message. */

#include <arsenal/rights.h>
#include <sys/socket.h>

/* Room for the most that can come. */
typedef union ars__control {
    struct cmsghdr header;
    char room[CMSG_SPACE(ARS_RIGHTS_MAX * sizeof(int)) + CMSG_SPACE(3 * sizeof(int)) + 64];
} ars__control;

/* Has '*msg' carry the descriptors; it points to 'control'. */
void ars__control_put(struct msghdr *msg, ars__control *control, const int *fds, size_t count);

/* Has '*msg' receive them. */
void ars__control_expect(struct msghdr *msg, ars__control *control);

/* What came: 0, or ARS_EMSGSIZE and none of it is left open. */
int ars__control_take(struct msghdr *msg, ars_rights *rights);

#endif
