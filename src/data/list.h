/* SPDX-License-Identifier: MIT */
#ifndef ARS_DATA_LIST_H
#define ARS_DATA_LIST_H

/*
 * A doubly linked list through a node in each member: no allocation, removal
 * in constant time without the list at hand.  An initialised head is an empty
 * list; an all-zero node is in no list.
 */

#include <stddef.h>

typedef struct ars__list {
    struct ars__list *prev, *next;
} ars__list;

#define ARS__MEMBER(node, type, field) ((type *)(void *)((char *)(node)-offsetof(type, field)))

static inline void ars__list_init(ars__list *head)
{
    head->prev = head->next = head;
}

static inline int ars__list_empty(const ars__list *head)
{
    return head->next == head;
}

static inline int ars__list_linked(const ars__list *node)
{
    return node->next != NULL;
}

static inline void ars__list_append(ars__list *head, ars__list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void ars__list_remove(ars__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

#endif
