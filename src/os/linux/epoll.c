/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <arsenal/atomic.h>

#include <poll.h>
#include <sys/epoll.h>

#include "os/linux/sys.h"

/* Set once the kernel (before 5.11) or a sandbox has refused epoll_pwait2. */
static ars_atomic_u32 milliseconds_only;

int ars__os_epoll_create(void)
{
    return (int)ARS__SYS(SYS_epoll_create1, EPOLL_CLOEXEC);
}

int ars__os_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    return (int)ARS__SYS(SYS_epoll_ctl, ep, op, fd, ev);
}

/* The deadline as a span from now on, never below 0. */
static ars_time span_until(ars_time deadline)
{
    if (deadline <= 0) return 0;
    ars_time span = deadline - ars__os_now();
    return span > 0 ? span : 0;
}

static int wait_milliseconds(int ep, struct epoll_event *evs, int n, ars_time deadline)
{
    int timeout = -1;
    if (deadline != ARS_FOREVER) {
        /* Rounded up, so as never to wake early and spin through the last millisecond. */
        ars_time span = span_until(deadline);
        ars_time rounded = span / ARS_MILLISECOND + (span % ARS_MILLISECOND != 0);
        timeout = rounded > INT32_MAX ? INT32_MAX : (int)rounded;
    }
    /* Not epoll_wait, which newer architectures lack. */
    return (int)ARS__SYS(SYS_epoll_pwait, ep, evs, n, timeout, NULL, 8);
}

int ars__os_epoll_wait(int ep, struct epoll_event *evs, int n, ars_time deadline)
{
    if (ars_atomic_u32_load_relaxed(&milliseconds_only))
        return wait_milliseconds(ep, evs, n, deadline);

    ars__timespec ts = {0, 0};
    if (deadline != ARS_FOREVER) ts = ars__timespec_of(span_until(deadline));
    long rc =
        ARS__SYS(ARS__NR_EPOLL_PWAIT2, ep, evs, n, deadline == ARS_FOREVER ? NULL : &ts, NULL, 8);
    /* EPERM is what sandboxes answer that do not know the call. */
    if (rc != ARS_ENOSYS && rc != ARS_EPERM) return (int)rc;
    ars_atomic_u32_store_relaxed(&milliseconds_only, 1);
    return wait_milliseconds(ep, evs, n, deadline);
}

int ars__os_poll_wait(struct pollfd *fds, unsigned n, ars_time deadline)
{
    ars__timespec ts = {0, 0};
    if (deadline != ARS_FOREVER) ts = ars__timespec_of(span_until(deadline));
    return (int)ARS__SYS(SYS_ppoll, fds, n, deadline == ARS_FOREVER ? NULL : &ts, NULL, 8);
}
