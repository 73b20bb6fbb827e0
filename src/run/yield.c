/* SPDX-License-Identifier: MIT */
/*
 * ars_yield(), of <arsenal/task.h>.  What it costs is what a round through many
 * ready tasks costs: so it touches one line of each, the top of its stack, and
 * a slot of the ready ring, all of them fetched ahead of their turn.
 */
#include "os/os.h"
#include "run/fresh.h"

/* Looks afterwards whether the task is cancelled, and whether the next yield must do so. */
static ARS__NOINLINE int yield_checked(ars__worker *worker, const void *frame)
{
    if (!worker) {
        ars__os_thread_yield();
        return 0;
    }
    ars__task *self = worker->current;
    /* What it has done itself is known without mail.  In tail position: it goes on where it was called. */
    if (self->ctx.flags & ARS__CAREFREE && ars_atomic_u32_load_relaxed(&self->group->reason) == 0)
        return ars__sched_yield(worker, self);
    if (!self->linked) ars__group_link_task(self->group, self);
    ars__sched_yield(worker, self);
    int rc = ars__wait_enter_at(self, ARS_FOREVER, frame);
    if (rc == 0 && !self->outermost && self->scope_limit == ARS_FOREVER &&
        self->linked == ARS__IN_GROUP)
        self->ctx.flags |= ARS__CAREFREE;
    return rc;
}

int ars_yield(void)
{
    ars__worker *w = ars__worker_here();
    if (ARS__UNLIKELY(!w)) return yield_checked(NULL, NULL);
    ars__task *self = w->current;
    uint32_t head = w->head, tail = w->tail, mask = w->mask;
    /* When the mail is due, a cancel by the task itself may be in it. */
    if (ARS__SAN_FIBERS || ARS__UNLIKELY(head == tail || w->tick <= 1 || w->next ||
                                         w->spill_first || !ars__fresh_none(w)))
        return yield_checked(w, __builtin_dwarf_cfa());
    ars__task *next = w->ready[head & mask];
    if (ARS__UNLIKELY(((self->ctx.flags ^ ARS__CAREFREE) & ~(uint32_t)ARS__COPIED) |
                      (next->ctx.flags & ~ARS__PLAIN)))
        return yield_checked(w, __builtin_dwarf_cfa());
    w->ready[tail & mask] = self; /* there is room: that of 'next' if need be */
    w->head = head + 1;
    w->tail = tail + 1;
    ars__ready_ahead(w, head + 1, tail + 1);
    w->tick--;
    w->budget = ARS__BUDGET;
    w->switches++;
    w->current = next;
    self->ctx.result = 0;
    return ars__ctx_switch(&self->ctx, &next->ctx);
}
