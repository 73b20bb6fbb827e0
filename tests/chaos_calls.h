/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_CHAOS_CALLS_H
#define ARS_TEST_CHAOS_CALLS_H

/* Between fault.c, through which all calls of os.h pass, and chaos.c, which some go on to. */

#include "os/os.h"

#define CHAOS_CALL(type, name, parameters)                                                         \
    type __real_ars__os_##name parameters;                                                         \
    type chaos_##name parameters;

CHAOS_CALL(int, uring_setup, (unsigned entries, struct io_uring_params *p))
CHAOS_CALL(int, uring_enter,
           (int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg, size_t size))
CHAOS_CALL(int, uring_map, (void **out, int ring, size_t size, uint64_t offset))
CHAOS_CALL(int, uring_unmap, (void *p, size_t size))
CHAOS_CALL(int, epoll_wait, (int ep, struct epoll_event *evs, int n, ars_time deadline))
CHAOS_CALL(int, poll_wait, (struct pollfd * fds, unsigned n, ars_time deadline))

#endif
