/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_WAITABLE_H
#define ARS_RUN_WAITABLE_H

/*
 * What an object does to be a case of a select.  Private to run/ and to the
 * layers above it whose objects are waited for.
 *
 * A select goes over its cases twice.  First it tries each, in random order.
 * If none could be done it links a node in the queue of each object, one
 * object's lock at a time; an object that says that it is ready meanwhile sends
 * it back to the first pass, with all nodes taken out.  Then it parks.
 *
 * Who wakes waiters of the object takes their nodes with ars__waitq_take(),
 * which claims a select, and wakes with ars__node_result(node, rc): the number
 * of the case for a select, 'rc' for a plain waiter.  A select goes to the tail
 * (ARS__WAKE_TAIL).  Read the result before the wake and the node's fields
 * before the unlock or at least before the wake: the node's owner may run as
 * soon as it is woken.
 */

#include <arsenal/select.h>

#include "run/waitq.h"

enum {
    /* What try returns when the case cannot be done. */
    ARS__NOT_READY = 1,
    /* What who waits for a channel of a declared shape is woken with: nothing is done, try again. */
    ARS__RETRY = 2,
    /* The same as the result of a select, with the index of the case. */
    ARS__RETRY_SELECT = 0x40000
};

/*
 * An object that has a worker, whose tasks alone may use it, and that any of
 * these may close while the select lets others run.
 */
typedef struct ars__movable_class {
    /* If it is the task's worker's: keeps its memory until let_go(), and returns 1; else 0. */
    int (*hold)(void *object, const ars__task *self);
    /* 0, or ARS_EPIPE: it was closed meanwhile, and must not be touched any more. */
    int (*let_go)(void *object);
    /* Makes it the task's worker's: 0, ARS_EBUSY ...; may wait.  Only where hold() says 0. */
    int (*fetch)(void *object, ars__task *self, ars_time deadline);
    /* For a select that does not wait: finds out what try() only knows once a turn has told it. */
    void (*ask)(void *object);
} ars__movable_class;

typedef struct ars__waitable_class {
    const char *what; /* for reports: "receive" ... */
    /*
     * Does what the case is for, if that is possible at once.  'value' is the
     * case's.  0: done.  ARS_EPIPE or ARS_EOVERFLOW: ready, but closed, or with
     * values lost: the case is chosen as ARS_CLOSED() or ARS_LAGGED().
     * ARS__NOT_READY.  Any other error ends the select with it.
     */
    int (*try)(void *object, void *value);
    /*
     * Links 'node' (its 'who' and 'value' are set) so that whoever makes the
     * object ready finds it, and returns 0; or links nothing and returns 1,
     * because it is ready now; or an error that the select ends with.  Other
     * nodes of the same task do not make it ready.
     */
    int (*enqueue)(void *object, ars__node *node);
    /* Takes 'node' out if it is still linked: it locks the object to look. */
    void (*dequeue)(void *object, ars__node *node);
    /*
     * For an object that becomes ready by itself at some time, and only so:
     * that time, ARS_FOREVER for never; nothing is linked then, and enqueue and
     * dequeue are NULL.  NULL for every other object.
     */
    ars_time (*due)(const void *object);
    const ars__movable_class *movable; /* or NULL; only for cases of kind ARS__CASE_SOURCE */
} ars__waitable_class;

extern const ars__waitable_class ars__recv_waitable, ars__send_waitable, ars__tick_waitable;
/* Owned by group.c, event.c, sem.c and waitgroup.c. */
extern const ars__waitable_class ars__group_waitable, ars__event_waitable, ars__sem_waitable,
    ars__waitgroup_waitable;
/* Of the layer above: descriptors. */
extern const ars__waitable_class ars__fd_waitable;

enum { ARS__CASE_NODE = 16 };
ARS__STATIC_ASSERT(offsetof(ars_case, ars__links) == ARS__CASE_NODE);
ARS__STATIC_ASSERT(sizeof(ars_case) == ARS__CASE_NODE + sizeof(ars__node));
ARS__STATIC_ASSERT(offsetof(ars_case, ars__who) == ARS__CASE_NODE + offsetof(ars__node, who));
ARS__STATIC_ASSERT(offsetof(ars_case, ars__value) == ARS__CASE_NODE + offsetof(ars__node, value));

static inline ars__node *ars__case_node(ars_case *c)
{
    return (ars__node *)(void *)((char *)c + ARS__CASE_NODE);
}

static inline ars_case *ars__node_case(ars__node *node)
{
    return (ars_case *)(void *)((char *)node - ARS__CASE_NODE);
}

static inline int ars__node_is_select(const ars__node *node)
{
    return (node->who & ARS__OF_SELECT) != 0;
}

/* What a waiter is to be woken with, for whom 'rc' (0, ARS_EPIPE, ARS_EOVERFLOW, ARS__RETRY) is the outcome. */
static inline int ars__node_result(const ars__node *node, int rc)
{
    if (ARS__LIKELY(!ars__node_is_select(node))) return rc;
    const ars_case *c = (const ars_case *)(const void *)((const char *)node - ARS__CASE_NODE);
    switch (rc) {
    case 0: return c->ars__index;
    case ARS_EPIPE: return ARS_CLOSED(c->ars__index);
    case ARS__RETRY: return ARS__RETRY_SELECT + c->ars__index;
    default: return ARS_LAGGED(c->ars__index);
    }
}

/* Wakes the owner of a node that has been taken out; 'how' is for plain waiters. */
static inline void ars__node_wake(ars__node *node, int rc, enum ars__how how)
{
    ars__wake(ars__node_task(node), ars__node_result(node, rc),
              ars__node_is_select(node) ? ARS__WAKE_TAIL : how);
}

/*
 * Nodes that have been taken out and are to be woken after the unlock.  They
 * are linked by 'next', which is nobody else's until their owner is woken.
 */
typedef struct ars__wakes {
    ars__node *first, **last;
} ars__wakes;

static inline void ars__wakes_init(ars__wakes *wakes)
{
    wakes->first = NULL;
    wakes->last = &wakes->first;
}

static inline void ars__wakes_add(ars__wakes *wakes, ars__node *node)
{
    node->next = NULL;
    *wakes->last = node;
    wakes->last = &node->next;
}

static inline void ars__wakes_take_all(ars__wakes *wakes, ars__waitq *queue)
{
    ars__node *node;
    while ((node = ars__waitq_take(queue)) != NULL) ars__wakes_add(wakes, node);
}

static inline void ars__wakes_send(ars__wakes *wakes, int rc, enum ars__how how)
{
    for (ars__node *node = wakes->first, *next; node; node = next) {
        next = node->next;
        ars__node_wake(node, rc, how);
    }
}

/* Whether somebody other than 'self' waits in the queue. */
static inline int ars__waitq_others(const ars__waitq *queue, const ars__task *self)
{
    const ars__node *node = queue->first;
    while (node && ars__node_task(node) == self) node = node->next;
    return node != NULL;
}

#endif
