/* SPDX-License-Identifier: MIT */
/*
 * Sources as cases of a select: ARS_READABLE() and ARS_ACCEPTABLE().
 *
 * The source's own request waits for the select, with the case's node in
 * 'user'.  Everything here happens on the worker that is the home of both the
 * source and the task; so there is no lock, and a node that is linked keeps its
 * source, because it counts as the reader.  A close takes the node out.  If the
 * select has been decided by then and does not know of the close, the case is
 * switched off, because the select may look at it once more.
 */
#include "io/backend.h"

static int is_awaited(const ars__source *source)
{
    return source->kind == ARS__LISTENER ? source->read.user != NULL : source->reader != NULL;
}

static void ready_done(ars__request *request, int32_t result)
{
    ars__node *node = request->user;
    request->user = NULL;
    node->who &= ~(uintptr_t)ARS__LINKED;
    ars__san_release(request->source);
    ars__task *task = ars__node_task(node);
    if (!ars__task_claim(task)) {
        if (result == ARS_EBADF) ars__node_case(node)->object = NULL;
        return;
    }
    if (result == ARS_EBADF || result == 0) result = ars__node_result(node, result ? ARS_EPIPE : 0);
    ars__wake(task, result, ARS__WAKE_TAIL);
}

static int try_ready(void *object, void *value)
{
    ars__source *source = object;
    ars__task *self = ars__task_self();
    (void)value;
    if (!self) return ARS_EINVAL;
    if (!ars__source_is_home(source, self)) return ARS__NOT_READY;
    if (is_awaited(source)) return ARS_EBUSY;
    return source->loop->backend->ready(source, 0) ? 0 : ARS__NOT_READY;
}

static int enqueue(void *object, ars__node *node)
{
    ars__source *source = object;
    ars__request *request = &source->read;
    /* Another worker has taken it since the select began: it is to be fetched again. */
    if (!ars__source_is_home(source, ars__node_task(node))) return 1;
    /* The same source again, in another case of the select: one of them is enough. */
    if (is_awaited(source)) return 0;
    request->kind = ARS__READY;
    request->task = ars__node_task(node);
    request->done = ready_done;
    request->user = node;
    int32_t rc = ars__submit(request, 1);
    if (rc != ARS__PENDING) {
        request->user = NULL;
        return rc < 0 ? rc : 1;
    }
    node->who |= ARS__LINKED;
    return 0;
}

static void dequeue(void *object, ars__node *node)
{
    ars__source *source = object;
    /* Without a link it may be gone. */
    if (!ars__node_linked(node)) return;
    node->who &= ~(uintptr_t)ARS__LINKED;
    ars__request_withdraw(&source->read);
    source->read.user = NULL;
}

/* ---- before the cases are tried ---- */

static int hold(void *object, const ars__task *self)
{
    ars__source *source = object;
    if (!ars__source_is_home(source, self) || source->closing) return 0;
    source->pins++;
    return 1;
}

static int let_go(void *object)
{
    ars__source *source = object;
    source->pins--;
    if (ARS__LIKELY(!source->closing)) return 0;
    ars__source_settle(source);
    return ARS_EPIPE;
}

static int fetch(void *object, ars__task *self, ars_time deadline)
{
    return ars__source_fetch(object, self, deadline);
}

static void ask(void *object)
{
    ars__source *source = object;
    if (!source->closing && !is_awaited(source)) source->loop->backend->ready(source, 1);
}

static const ars__movable_class movable = {hold, let_go, fetch, ask};

const ars__waitable_class ars__source_waitable = {.what = "readable",
                                                  .try = try_ready,
                                                  .enqueue = enqueue,
                                                  .dequeue = dequeue,
                                                  .movable = &movable};
