/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LINUX_BACKENDS_H
#define ARS_IO_LINUX_BACKENDS_H

#include "io/backend.h"

extern const ars__backend ars__uring_backend;
extern const ars__backend ars__epoll_backend;
extern const ars__backend ars__poll_backend;

#endif
