/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LINUX_BACKENDS_H
#define ARS_IO_LINUX_BACKENDS_H

#include "io/backend.h"

extern const ars__backend ars__uring_backend;
extern const ars__backend ars__epoll_backend;

/*
 * Errors of accept(2) that belong to a connection that is gone, not to the
 * listener: Linux passes on what the new socket has met.
 */
static inline int ars__accept_is_gone(int error)
{
    switch (error) {
    case ARS_ECONNABORTED:
    case ARS_EINTR:
    case -64:  /* ENONET */
    case -71:  /* EPROTO */
    case -92:  /* ENOPROTOOPT */
    case -100: /* ENETDOWN */
    case -112: /* EHOSTDOWN */
    case ARS_EHOSTUNREACH:
    case ARS_ENETUNREACH: return 1;
    default: return 0;
    }
}

#endif
