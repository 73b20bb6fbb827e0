/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_FRESH_H
#define ARS_RUN_FRESH_H

/*
 * New tasks between go and their first run, as far as the worker that started
 * them has them in its own deque; the rest is in steal.c.  Without thieves, in
 * a runtime of one worker, nothing here is atomic.
 */

#include "run/sched.h"

/* 0: the deque is full. */
static inline int ars__fresh_push(ars__worker *w, ars__task *task)
{
    return w->rt->n > 1 ? ars_deque_push_seq_cst(&w->deque, task) : ars_deque_push(&w->deque, task);
}

/* The newest, or NULL. */
static inline ars__task *ars__fresh_pop(ars__worker *w)
{
    ars_deque *deque = &w->deque;
    if (w->rt->n > 1) {
        void *task;
        return ars_deque_pop(deque, &task) ? task : NULL;
    }
    uint64_t bottom = ars_atomic_u64_load_relaxed(&deque->bottom);
    if (bottom == ars_atomic_u64_load_relaxed(&deque->top)) return NULL;
    ars_atomic_u64_store_relaxed(&deque->bottom, --bottom);
    return ars_atomic_ptr_load_relaxed(ars__deque_cell(deque, bottom));
}

/* Whether there are none; for the owner. */
static inline int ars__fresh_none(const ars__worker *w)
{
    return ars_atomic_u64_load_relaxed(&w->deque.bottom) ==
           ars_atomic_u64_load_relaxed(&w->deque.top);
}

/* Whether a task has not run and can begin without further ado. */
static inline int ars__fresh_plain(const ars__task *task)
{
    return (task->ctx.flags & ~(uint32_t)ARS__COPIED) == ARS__NEW;
}

/* The task begins on a stack, that of its header. */
static inline void ars__fresh_settle(ars__worker *w, ars__task *task, char *stack_top)
{
    ars__stack_header *header = (ars__stack_header *)(void *)stack_top;
    uint32_t flags = task->ctx.flags & ~(uint32_t)ARS__NEW;
    task->ctx.flags = flags;
    header->name = task->name;
    /* Not of one that may end on another worker, while this one looks. */
    header->owner = flags & ARS__MIGRATES ? NULL : task;
    task->worker = w;
    if (flags & ARS__COPIED)
        task->arg = stack_top; /* the arguments lie where 'stack_top' will be */
    else
        task->stack_top = stack_top;
}

#endif
