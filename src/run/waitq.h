/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_WAITQ_H
#define ARS_RUN_WAITQ_H

/*
 * Queues of those who wait for an object, and the protocol of waking them.
 * Private to run/; the objects are channels, locks, events, groups.
 *
 * Who waits is an ars__task: a task, or a plain thread that has lent its stack
 * for one (ars__thread_begin()).  It waits with a node: its own (plain waits),
 * or one of an array, a node a case (select).  A node belongs to the object
 * while it is linked, and is touched under the object's lock only.
 *
 * To wait: lock the object, try, link the node, unlock, park.  Nothing that
 * may switch comes between the entry check and the park.
 *
 * To wake: lock the object, take a node out with ars__waitq_take(), read and
 * write through it what is to be handed over, unlock, ars__wake().  Nobody
 * else wakes that waiter, because
 *
 *   - a plain waiter is woken by whoever took its node out of its only queue;
 *   - a select's nodes are in several queues: whoever first sets the task's
 *     CLAIMED bit has it; ars__waitq_take() does that, and drops nodes that
 *     somebody else has claimed.
 *
 * To give up (deadline, cancel: interrupt() on the task's own worker): lock the
 * object; if the node is no longer linked somebody has woken the task, leave
 * it; else unlink it, unlock, ars__ready().  A completed operation beats both.
 *
 * A woken select leaves nodes behind in the other queues.  They are taken out
 * by the worker that it has waited on, before it runs again: see
 * ars__select_clean().
 *
 * The waiter may return, and the object be freed, as soon as it is woken: so
 * ars__wake() comes after the unlock, and nothing of the object after it.
 */

#include "base/assert.h"
#include "run/park.h"

typedef struct ars__node {
    struct ars__node *prev, *next; /* prev NULL and not first: not linked; see 'linked' bit */
    uintptr_t who;                 /* the ars__task, | ARS__OF_SELECT */
    void *value;                   /* where a value goes or comes from */
} ars__node;

enum { ARS__OF_SELECT = 1, ARS__LINKED = 2, ARS__WHO_MASK = 3 };

/* All-zero is empty. */
typedef struct ars__waitq {
    ars__node *first, *last;
} ars__waitq;

static inline ars__task *ars__node_task(const ars__node *node)
{
    return (ars__task *)(node->who & ~(uintptr_t)ARS__WHO_MASK);
}

static inline int ars__node_linked(const ars__node *node)
{
    return (node->who & ARS__LINKED) != 0;
}

static inline void ars__waitq_append(ars__waitq *queue, ars__node *node)
{
    node->who |= ARS__LINKED;
    node->next = NULL;
    node->prev = queue->last;
    if (queue->last)
        queue->last->next = node;
    else
        queue->first = node;
    queue->last = node;
}

/* Takes a linked node out. */
static inline void ars__waitq_remove(ars__waitq *queue, ars__node *node)
{
    ARS__ASSERT(ars__node_linked(node));
    if (node->prev)
        node->prev->next = node->next;
    else
        queue->first = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        queue->last = node->prev;
    node->who &= ~(uintptr_t)ARS__LINKED;
}

/* Sets the CLAIMED bit of a select's task: 1 for the first to do so, else 0. */
int ars__task_claim(ars__task *task);
/* By the task itself, before it links nodes for a select, and when it has taken them all out again. */
void ars__task_unclaim(ars__task *task);
/* By the task itself, before it parks: ars__select_clean() is called when it has been woken. */
void ars__task_selects(ars__task *task);

/* The first waiter, taken out, and the caller's to wake; NULL if there is none. */
static inline ars__node *ars__waitq_take(ars__waitq *queue)
{
    ars__node *node;
    while ((node = queue->first) != NULL) {
        ars__waitq_remove(queue, node);
        if (ARS__LIKELY(!(node->who & ARS__OF_SELECT)) || ars__task_claim(ars__node_task(node)))
            break;
    }
    return node;
}

/* What a plain wait waits with, made ready to be appended. */
ars__node *ars__task_node(ars__task *task, void *value);

/*
 * A plain thread as a waiter: 'room' is on its stack, and needs no clean-up.
 * ars__wait_enter(), ars__park() and ars__wake() work on it as on a task: it is
 * never cancelled, and blocks.
 */
typedef struct ars__thread {
    uint64_t ars__room[40];
} ars__thread;

ars__task *ars__thread_begin(ars__thread *room);

#endif
