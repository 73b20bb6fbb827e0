/* SPDX-License-Identifier: MIT */
#ifndef ARS_SYNC_INBOX_H
#define ARS_SYNC_INBOX_H

/*
 * An inbox: any number of threads push nodes, one owner takes all of them at
 * once, in the order in which they were pushed.  Intrusive: a node lies in the
 * caller's object and belongs to the inbox until it is taken.  All-zero is
 * empty.
 *
 * It is a stack whose whole content is exchanged for nothing, then reversed.
 * Nothing is ever popped singly, so there is no ABA: a push that finds the same
 * head again links to a node that is at the head, whatever happened in between.
 *
 * Invariant: from 'head' along 'next' lie the nodes pushed and not yet taken,
 * newest first.
 *
 * Order: everything a thread did before its push has happened for the owner
 * once the node is taken.  The release half of the exchange in push pairs with
 * the acquire half of the one in take; pushes in between are
 * read-modify-writes, so the older ones' releases reach the owner through them.
 *
 * Sleeping: both exchanges are sequentially consistent, so that they can be
 * one side of a "store, then look" pair.  An owner that first publishes that
 * it sleeps, by an exchange, and then finds the inbox empty, is seen asleep by
 * every later push's thread that looks after pushing.
 */

#include <arsenal/atomic.h>

typedef struct ars__inbox_node {
    struct ars__inbox_node *next;
} ars__inbox_node;

typedef struct ars__inbox {
    ars_atomic_ptr head;
} ars__inbox;

/* Any thread.  1 if the inbox was empty before: whoever gets that wakes the owner; else 0. */
static inline int ars__inbox_push(ars__inbox *inbox, ars__inbox_node *node)
{
    void *head = ars_atomic_ptr_load_relaxed(&inbox->head);
    do {
        node->next = (ars__inbox_node *)head;
    } while (!ars_atomic_ptr_cas_seq_cst(&inbox->head, &head, node));
    return head == NULL;
}

/* Whether there is nothing in it; at once out of date unless nobody pushes. */
static inline int ars__inbox_empty(const ars__inbox *inbox)
{
    return ars_atomic_ptr_load_seq_cst(&inbox->head) == NULL;
}

/* The owner: everything that is there, linked by 'next', oldest first; NULL if nothing. */
static inline ars__inbox_node *ars__inbox_take(ars__inbox *inbox)
{
    ars__inbox_node *list = NULL;
    /* Looked at first: an exchange would pull the line over for nothing. */
    if (!ars_atomic_ptr_load_relaxed(&inbox->head)) return NULL;
    ars__inbox_node *node = (ars__inbox_node *)ars_atomic_ptr_swap_seq_cst(&inbox->head, NULL);
    while (node) {
        ars__inbox_node *next = node->next;
        node->next = list;
        list = node;
        node = next;
    }
    return list;
}

#endif
