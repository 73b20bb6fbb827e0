/* SPDX-License-Identifier: MIT */
#include "user_ticks.h"

#include "os/os.h"

/*
 * Counts what a program that links Arsenal spends outside of system calls: it
 * is linked with --wrap for each call of os.h that the kernel answers on the
 * way of a message, so that the product knows nothing of it.
 */

static struct user_ticks *page;

__attribute__((constructor)) static void begin(void)
{
    page = user_ticks_begin();
}

#define COUNTED(type, name, parameters, arguments)                                                 \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        user_ticks_stop(page);                                                                     \
        type result = __real_##name arguments;                                                     \
        user_ticks_start(page);                                                                    \
        return result;                                                                             \
    }

COUNTED(int, ars__os_uring_enter,
        (int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg, size_t size),
        (ring, submit, wait, flags, arg, size))
COUNTED(int, ars__os_epoll_wait, (int ep, struct epoll_event *evs, int n, ars_time deadline),
        (ep, evs, n, deadline))
COUNTED(int, ars__os_epoll_ctl, (int ep, int op, int fd, struct epoll_event *ev), (ep, op, fd, ev))
COUNTED(int, ars__os_accept, (int fd, struct sockaddr *addr, uint32_t *len, int nonblock),
        (fd, addr, len, nonblock))
COUNTED(int64_t, ars__os_recv, (int fd, void *buf, size_t n, int dontwait), (fd, buf, n, dontwait))
COUNTED(int64_t, ars__os_send, (int fd, const void *buf, size_t n, int dontwait),
        (fd, buf, n, dontwait))
