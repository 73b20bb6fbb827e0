/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_MPSC_H
#define ARSENAL_MPSC_H

/*
 * A queue of nodes for any number of producers and one consumer, without a
 * limit: the nodes lie in the caller's objects, so pushing cannot fail.
 *
 * Source: Vyukov, "Intrusive MPSC node-based queue" (1024cores.net).
 *
 * A push is two steps: it puts its node into 'last' by an exchange, which
 * gives the order, and then links it behind the node that was there.
 *
 * Invariant: from 'first' along 'next' lie nodes in the order of their
 * exchanges; the chain ends at 'last', or, while a push stands between its two
 * steps, at the node that this push is about to link to.  All that was pushed
 * after that one is then out of the consumer's sight: ars_mpsc_pop() says
 * ARS_EAGAIN, which is neither empty nor a node.  The stub is part of the
 * chain whenever there is no other node, so that there is always one to link
 * to.
 *
 * Nodes leave in the order of the exchanges, so those of one producer in the
 * order in which it pushed them.  What a producer did before a push has
 * happened for the consumer that has the node.
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/* The field is private.  A node is the queue's from its push until it is popped. */
typedef struct ars_mpsc_node {
    ars_atomic_ptr next;
} ars_mpsc_node;

/* Fields are private.  All-zero is empty. */
typedef struct ars_mpsc {
    ars_atomic_ptr last; /* NULL: the stub, before the first push */
    char apart[56];
    ars_mpsc_node *first; /* the consumer's; NULL: the stub */
    ars_mpsc_node stub;
} ars_mpsc;

/*
 * ars_mpsc_push() adds 'node' at the end.
 *
 * The exchange in it is sequentially consistent: a consumer that publishes that
 * it will sleep, by an exchange, and then finds ars_mpsc_empty(), is seen
 * asleep by every later push's thread that looks after pushing.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_mpsc_push(ars_mpsc *queue, ars_mpsc_node *node)
{
    ars_atomic_ptr_store_relaxed(&node->next, NULL);
    /*
     * Release and acquire: pairs with the exchange of the push that comes next,
     * so that its link is written over the NULL above, not under it.
     */
    ars_mpsc_node *before = (ars_mpsc_node *)ars_atomic_ptr_swap_seq_cst(&queue->last, node);
    if (!before) before = &queue->stub;
    /* Release: pairs with the loads of 'next' in ars_mpsc_pop(). */
    ars_atomic_ptr_store_release(&before->next, node);
}

/*
 * ars_mpsc_pop() takes the oldest node.  It is the caller's again at once:
 * nobody touches it any more.
 *
 * Returns 1 and the node in '*out'; 0 if the queue is empty; ARS_EAGAIN if a
 * push has begun and not yet linked its node: its thread needs to run.
 *
 * Suspends: no.  Allocates: no.  Callable from: the consumer.
 */
ARS_INLINE int ars_mpsc_pop(ars_mpsc *queue, ars_mpsc_node **out)
{
    ars_mpsc_node *stub = &queue->stub;
    ars_mpsc_node *node = queue->first ? queue->first : stub;
    /* Acquire, also for the second: pairs with the link in ars_mpsc_push(). */
    ars_mpsc_node *next = (ars_mpsc_node *)ars_atomic_ptr_load_acquire(&node->next);
    if (node == stub) {
        if (!next) {
            void *last = ars_atomic_ptr_load_relaxed(&queue->last);
            return last == NULL || last == stub ? 0 : ARS_EAGAIN;
        }
        queue->first = node = next;
        next = (ars_mpsc_node *)ars_atomic_ptr_load_acquire(&node->next);
    }
    if (!next) {
        if (ars_atomic_ptr_load_relaxed(&queue->last) != node) return ARS_EAGAIN;
        /* It is the last one, and something has to stay to link to. */
        ars_mpsc_push(queue, stub);
        /* Acquire: if it was another push that linked to the node, that is over when the node is free. */
        next = (ars_mpsc_node *)ars_atomic_ptr_load_acquire(&node->next);
        if (!next) return ARS_EAGAIN; /* another push came in between */
    }
    queue->first = next;
    *out = node;
    return 1;
}

/*
 * ars_mpsc_empty() says whether no push has begun whose node was not popped.
 *
 * Suspends: no.  Allocates: no.  Callable from: the consumer.
 */
ARS_INLINE int ars_mpsc_empty(const ars_mpsc *queue)
{
    if (queue->first && queue->first != &queue->stub) return 0;
    const void *last = ars_atomic_ptr_load_seq_cst(&queue->last);
    return last == NULL || last == &queue->stub;
}

ARS_END_DECLS

#endif
