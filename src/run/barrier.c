/* SPDX-License-Identifier: MIT */
/*
 * Barriers.  Documented in <arsenal/barrier.h>.
 *
 * The gate's option is the number of parties, its word counts those who wait.
 */
#include <arsenal/barrier.h>

#include "run/gate.h"

ARS__STATIC_ASSERT(sizeof(ars__gate) <= sizeof(ars_barrier));

/* Who gives up has not come. */
static void interrupt(ars__task *task, int why)
{
    ars__gate *barrier = task->object;
    uint32_t word = ars__gate_lock(barrier);
    int waits = ars__node_linked(&task->node);
    if (waits) {
        ars__waitq_remove(&barrier->queue, &task->node);
        word -= ARS__UNIT;
    }
    ars__gate_unlock(barrier, ars__gate_queued(barrier, word));
    if (waits) ars__ready(task, why);
}

static const ars__wait_class wait_class = {"barrier", interrupt};

static int come(void *object, ars__task *self, ars_time deadline, const void *place)
{
    ars__gate *barrier = object;
    int rc;
    ars__san_release(barrier);
    uint32_t word = ars__gate_lock(barrier);
    if (word / ARS__UNIT + 1 == barrier->option) {
        ars__wakes wakes;
        ars__wakes_init(&wakes);
        ars__gate_take(&barrier->queue, &wakes, UINT32_MAX);
        ars__gate_unlock(barrier, 0);
        ars__san_acquire(barrier);
        ars__wakes_send(&wakes, 0, ARS__WAKE_TAIL);
        return 1;
    }
    if (deadline == 0) {
        ars__gate_unlock(barrier, word);
        return ARS_ETIMEDOUT;
    }
    rc = ars__gate_park(barrier, word + ARS__UNIT, self, NULL, &wait_class, deadline, place);
    ars__san_acquire(barrier);
    return rc;
}

int ars_barrier_wait(ars_barrier *handle, ars_time deadline)
{
    ars__gate *barrier = (ars__gate *)(void *)handle;
    if (barrier->option - 1 >= UINT32_MAX / ARS__UNIT) return ARS_EINVAL;
    return ars__gate_call(come, barrier, deadline, __builtin_dwarf_cfa(),
                          __builtin_return_address(0));
}
