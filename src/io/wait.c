/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/wait.h>. */
#include <arsenal/wait.h>

#include "io/backend.h"
#include "os/os.h"

static const ars__wait_class waiting = {"descriptor", ars__request_interrupt};

int ars_wait_fd(int fd, unsigned events, ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (!self || events == 0 || (events & ~(unsigned)(ARS_FD_IN | ARS_FD_OUT))) return ARS_EINVAL;
    int rc = ars__wait_enter(self, deadline);
    if (rc < 0) return rc;
    ars__loop *loop;
    rc = ars__loop_get(&loop, self);
    if (rc < 0) return rc;
    rc = ars__os_poll(fd, events);
    if (rc != 0) return rc;
    if (deadline == 0) return ARS_ETIMEDOUT;
    ars__request request = {.kind = ARS__POLL,
                            .task = self,
                            .done = ars__request_wake,
                            .loop = loop,
                            .len = events,
                            .fd = fd};
    rc = loop->backend->submit(&request, 1);
    if (rc != ARS__PENDING) return rc;
    return ars__request_park(&request, &waiting, deadline);
}
