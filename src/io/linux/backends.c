/* SPDX-License-Identifier: MIT */
#include "io/linux/backends.h"

const ars__backend *const ars__backends[] = {&ars__uring_backend, &ars__epoll_backend,
                                             &ars__poll_backend, NULL};
