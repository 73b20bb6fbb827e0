/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/wait.h>. */
#include <arsenal/wait.h>

#include "base/assert.h"
#include "io/backend.h"
#include "os/os.h"
#include "run/waitable.h"

static const ars__wait_class waiting = {"descriptor", ars__request_interrupt};

static int are_events(unsigned events)
{
    return events != 0 && (events & ~(unsigned)(ARS_FD_IN | ARS_FD_OUT)) == 0;
}

int ars_wait_fd(int fd, unsigned events, ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (!self || !are_events(events)) return ARS_EINVAL;
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

/* ---- as a case of a select ---- */

ars_case ars_case_ready(int fd, unsigned events)
{
    return ars_case_make(ARS__CASE_FD, (void *)((uintptr_t)fd + 1), (void *)(uintptr_t)events);
}

/*
 * What waits for a case.  With io_uring it may have to outlive the select, so
 * it does not lie with the case, whose node leads to it by 'next'.
 */
typedef struct watcher {
    ars__request request;
    ars__node *node; /* NULL: the select is over */
} watcher;

static int fd_of(const void *object)
{
    return (int)((uintptr_t)object - 1);
}

static void watcher_free(watcher *w)
{
    const ars_alloc *alloc = w->request.loop->alloc;
    alloc->free(alloc->ctx, w, sizeof *w, 8);
}

static void watcher_done(ars__request *request, int32_t result)
{
    watcher *w = ARS__MEMBER(request, watcher, request);
    ars__node *node = w->node;
    ars__loop *loop = request->loop;
    watcher_free(w);
    if (!node) return;
    ars__task *task = ars__node_task(node);
    node->who &= ~(uintptr_t)ARS__LINKED;
    /*
     * A select that is still at its later cases may find out here that the
     * descriptor of this one was closed under it; it goes on without.  (The
     * running task says nothing: who parked last is that until another runs.)
     */
    if (task == loop->linking || !ars__task_claim(task)) return;
    ars__wake(task, result < 0 ? result : ars__node_result(node, 0), ARS__WAKE_TAIL);
}

static int try_fd(void *object, void *value)
{
    unsigned events = (unsigned)(uintptr_t)value;
    if (!ars__task_self() || !are_events(events)) return ARS_EINVAL;
    int rc = ars__os_poll(fd_of(object), events);
    return rc > 0 ? 0 : rc == 0 ? ARS__NOT_READY : rc;
}

static int enqueue_fd(void *object, ars__node *node)
{
    ars__loop *loop;
    int rc = ars__loop_get(&loop, ars__node_task(node));
    if (rc < 0) return rc;
    watcher *w = loop->alloc->alloc(loop->alloc->ctx, sizeof *w, 8);
    if (!w) return ARS_ENOMEM;
    *w = (watcher){.request = {.kind = ARS__POLL,
                               .done = watcher_done,
                               .loop = loop,
                               .len = (size_t)(uintptr_t)node->value,
                               .fd = fd_of(object)},
                   .node = node};
    loop->linking = ars__node_task(node);
    rc = loop->backend->submit(&w->request, 1);
    loop->linking = NULL;
    if (rc != ARS__PENDING) {
        watcher_free(w);
        return rc < 0 ? rc : 1;
    }
    node->who |= ARS__LINKED;
    node->next = (void *)w;
    return 0;
}

static void dequeue_fd(void *object, ars__node *node)
{
    (void)object;
    if (!ars__node_linked(node)) return;
    watcher *w = (void *)node->next;
    node->who &= ~(uintptr_t)ARS__LINKED;
    w->node = NULL;
    w->request.why = ARS_ECANCELED;
    w->request.loop->backend->cancel(&w->request);
}

const ars__waitable_class ars__fd_waitable = {
    .what = "descriptor", .try = try_fd, .enqueue = enqueue_fd, .dequeue = dequeue_fd};
