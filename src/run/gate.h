/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_GATE_H
#define ARS_RUN_GATE_H

/*
 * What locks and their kin have in common: a word with the object's state, and
 * a queue of those who wait.  Private to run/.
 *
 * The two lowest bits of the word guard the queue; the rest is the object's.
 * Whoever has set BUSY is the only one to write the word and the queue, until
 * one store takes BUSY away and puts the new state in place.  Fast paths are a
 * compare-and-swap that expects BUSY to be clear.
 *
 * So each call's last access to the object is the write that shows its effect:
 * a separate lock beside the state would be released after the state is seen,
 * when the object may have been freed.  Waking comes after that write, from a
 * list of nodes that are the waker's own.
 */

#include <arsenal/atomic.h>

#include "base/san.h"
#include "run/sched.h"
#include "run/waitable.h"

enum {
    ARS__BUSY = 1,   /* the queue is being changed */
    ARS__QUEUED = 2, /* the queue is not empty */
    ARS__UNIT = 4    /* what a counter in the word counts in */
};

typedef struct ars__gate {
    uint32_t option; /* the object's, constant */
    ars_atomic_u32 word;
    ars__waitq queue;
} ars__gate;

/* Sets BUSY; the word as it was before, without it. */
uint32_t ars__gate_lock(ars__gate *gate);

/* Puts the new state, without BUSY, in place; pairs with the acquire in ars__gate_lock() and in fast paths. */
static inline void ars__gate_unlock(ars__gate *gate, uint32_t word)
{
    ARS__ASSERT(!(word & ARS__BUSY));
    ars_atomic_u32_store_release(&gate->word, word);
}

/* 'word' with QUEUED as the queue is. */
static inline uint32_t ars__gate_queued(const ars__gate *gate, uint32_t word)
{
    return gate->queue.first ? word | ARS__QUEUED : word & ~(uint32_t)ARS__QUEUED;
}

/* With BUSY set: queues the task, unlocks, parks. */
static inline int ars__gate_park(ars__gate *gate, uint32_t word, ars__task *self, void *value,
                                 const ars__wait_class *wait, ars_time deadline, const void *place)
{
    ars__waitq_append(&gate->queue, ars__task_node(self, value));
    ars__gate_unlock(gate, word | ARS__QUEUED);
    return ars__park_at(self, wait, gate, deadline, place);
}

/*
 * The slow half of a call that may wait: tries again with BUSY set, and parks.
 * 'self' is a task, or a thread as one.
 */
typedef int ars__gate_slow(void *object, ars__task *self, ars_time deadline, const void *place);

/* Such a call where its fast path does not do: after the checks at entry, or on a thread. */
int ars__gate_call(ars__gate_slow *slow, void *object, ars_time deadline, const void *frame,
                   const void *place);

/*
 * The body of a call that may wait: TRY is evaluated where nothing is in its
 * way, and is true if the call is done, with 0.  To be used in the public
 * function itself, whose caller is the place that reports show.
 */
#define ARS__GATE_CALL(TRY, slow, object, deadline)                                                \
    do {                                                                                           \
        ars__worker *worker_ = ars__worker_here();                                                 \
        if (ARS__LIKELY(!worker_ || ars__wait_enter_fast(worker_, worker_->current))) {            \
            if (ARS__LIKELY(TRY)) return 0;                                                        \
            if (worker_)                                                                           \
                return slow((object), worker_->current, (deadline), __builtin_return_address(0));  \
        }                                                                                          \
        return ars__gate_call(slow, (object), (deadline), __builtin_dwarf_cfa(),                   \
                              __builtin_return_address(0));                                        \
    } while (0)

/* An interrupt() for objects with nothing to take back but the place in the queue. */
void ars__gate_interrupt(ars__task *task, int why);

/* With BUSY set: takes up to 'n' waiters out, in order, to be woken after the unlock; returns how many. */
uint32_t ars__gate_take(ars__waitq *queue, ars__wakes *wakes, uint32_t n);

/* With BUSY set: links the node of a select's case and unlocks. */
void ars__gate_enqueue(ars__gate *gate, uint32_t word, ars__node *node);
/* A dequeue() for such cases. */
void ars__gate_dequeue(void *object, ars__node *node);

#endif
