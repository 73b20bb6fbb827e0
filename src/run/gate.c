/* SPDX-License-Identifier: MIT */
/* Documented in gate.h. */
#include "run/gate.h"

#include "os/os.h"

enum {
    SPINS =
        200 /* before another thread of this CPU, perhaps the one that has BUSY, gets its turn */
};

uint32_t ars__gate_lock(ars__gate *gate)
{
    for (unsigned spins = 1;; spins++) {
        uint32_t word = ars_atomic_u32_load_relaxed(&gate->word);
        if (!(word & ARS__BUSY) && ars_atomic_u32_cas_acq_rel(&gate->word, &word, word | ARS__BUSY))
            return word;
        if (spins % SPINS == 0)
            ars__os_thread_yield();
        else
            ars_atomic_pause();
    }
}

ARS__NOINLINE int ars__gate_call(ars__gate_slow *slow, void *object, ars_time deadline,
                                 const void *frame, const void *place)
{
    ars__task *self = ars__task_self();
    if (self) {
        int rc = ars__wait_enter_at(self, deadline, frame);
        return rc < 0 ? rc : slow(object, self, deadline, place);
    }
    ars__thread room;
    return slow(object, ars__thread_begin(&room), deadline, place);
}

void ars__gate_interrupt(ars__task *task, int why)
{
    ars__gate *gate = task->object;
    uint32_t word = ars__gate_lock(gate);
    int waits = ars__node_linked(&task->node);
    if (waits) ars__waitq_remove(&gate->queue, &task->node);
    ars__gate_unlock(gate, ars__gate_queued(gate, word));
    if (waits) ars__ready(task, why);
}

uint32_t ars__gate_take(ars__waitq *queue, ars__wakes *wakes, uint32_t n)
{
    uint32_t taken = 0;
    ars__node *node;
    while (taken < n && (node = ars__waitq_take(queue)) != NULL) {
        ars__wakes_add(wakes, node);
        taken++;
    }
    return taken;
}

void ars__gate_enqueue(ars__gate *gate, uint32_t word, ars__node *node)
{
    ars__waitq_append(&gate->queue, node);
    ars__gate_unlock(gate, word | ARS__QUEUED);
}

void ars__gate_dequeue(void *object, ars__node *node)
{
    ars__gate *gate = object;
    uint32_t word = ars__gate_lock(gate);
    if (ars__node_linked(node)) ars__waitq_remove(&gate->queue, node);
    ars__gate_unlock(gate, ars__gate_queued(gate, word));
}
