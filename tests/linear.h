/* SPDX-License-Identifier: MIT */
#ifndef ARS_LINEAR_H
#define ARS_LINEAR_H

/*
 * Is a history of up to twelve operations linearizable?  Each has a time at
 * which it was called and one at which it returned.  It is, if they can be put
 * in one order in which an operation that returned before another was called
 * comes first, and in which each one's result is what a dull sequential object
 * would have given.  All such orders are tried.
 *
 * Source: Wing and Gong, "Testing and verifying concurrent objects" (1993).
 */

#include <arsenal/atomic.h>

enum { LINEAR_OPS = 12, LINEAR_HELD = 16 };

typedef struct linear_op {
    int adds;       /* a push, else a pop */
    int result;     /* what the call returned */
    int excused;    /* it may have failed for no reason that the sequential object has */
    uint64_t value; /* pushed or popped */
    uint64_t called, returned;
} linear_op;

/* The sequential object: a stack or a queue, bounded or not. */
typedef struct linear_object {
    int lifo;
    unsigned capacity, count;
    uint64_t held[LINEAR_HELD];
} linear_object;

static inline int linear_step(linear_object *o, const linear_op *op)
{
    if (op->result <= 0) {
        if (op->excused) return 1;
        return op->result == 0 && o->count == (op->adds ? o->capacity : 0);
    }
    if (op->adds) {
        if (o->count == o->capacity) return 0;
        o->held[o->count++] = op->value;
        return 1;
    }
    if (o->count == 0) return 0;
    o->count--;
    if (o->lifo) return o->held[o->count] == op->value;
    if (o->held[0] != op->value) return 0;
    for (unsigned i = 0; i < o->count; i++) o->held[i] = o->held[i + 1];
    return 1;
}

/* Whether the operations that are not in 'done' can follow, from the state 'o' on. */
static inline int linear_from(const linear_op *op, unsigned n, unsigned done,
                              const linear_object *o)
{
    if (done == (1u << n) - 1) return 1;
    uint64_t first_return = UINT64_MAX;
    for (unsigned i = 0; i < n; i++)
        if (!(done >> i & 1) && op[i].returned < first_return) first_return = op[i].returned;
    for (unsigned i = 0; i < n; i++) {
        linear_object next = *o;
        if (done >> i & 1 || op[i].called > first_return) continue;
        if (linear_step(&next, &op[i]) && linear_from(op, n, done | 1u << i, &next)) return 1;
    }
    return 0;
}

/* For an object that may fail while a call of the other kind is under way, and only then. */
static inline void linear_excuse(linear_op *op, unsigned n, int result)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++)
            if (op[i].result == result && op[i].adds != op[j].adds &&
                op[i].called < op[j].returned && op[j].called < op[i].returned)
                op[i].excused = 1;
}

#endif
