/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_QUEUE_H
#define ARSENAL_QUEUE_H

/*
 * A bounded queue for any number of producers and consumers.  Values of one
 * size are copied in and out, in the caller's memory; nothing here waits or
 * allocates.
 *
 * Source: Vyukov, "Bounded MPMC queue" (1024cores.net).
 *
 * Whoever moves 'tail' from p to p + 1 has place p to write to, whoever moves
 * 'head' so has it to read from; place p lies in cell p mod capacity.  The
 * cell's turn says what it waits for.
 *
 * Invariant: turn == p      free for the value of place p
 *            turn == p + 1  holds the value of place p
 *            then turn == p + capacity, free for the place that comes there next.
 *
 * Values leave in the order of their places; those of one producer in the
 * order in which it pushed them.  What a producer did before a push has
 * happened for whoever pops that value.
 *
 * Not lock-free in the strict sense: while a push or a pop stands still between
 * moving an index and writing the turn, the queue may look empty or full to
 * others, once they come to that cell.
 */

#include <arsenal/atomic.h>

#include <string.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is a queue of capacity 0: always empty, always full. */
typedef struct ars_queue {
    ars_atomic_u64 tail; /* the next place to write to */
    char apart1[56];
    ars_atomic_u64 head; /* the next place to read from */
    char apart2[56];
    void *cells;
    uint64_t capacity;
    uint64_t size;   /* of a value */
    uint64_t stride; /* from one cell to the next */
    char apart3[32];
} ars_queue;

/* The bytes that 'capacity' cells for values of 'size' bytes take. */
#define ARS_QUEUE_BYTES(capacity, size)                                                            \
    ((size_t)(capacity) * (8 + (((size_t)(size) + 7) & ~(size_t)7)))

/* The turn of place 'p's cell; the value is right behind it. */
ARS_INLINE ars_atomic_u64 *ars__queue_turn(const ars_queue *queue, uint64_t p)
{
    return (ars_atomic_u64 *)(void *)((char *)queue->cells +
                                      (p & (queue->capacity - 1)) * queue->stride);
}

/*
 * ars_queue_init() makes '*queue' empty, with room for 'capacity' values of
 * 'size' bytes in 'cells': ARS_QUEUE_BYTES(capacity, size) bytes, aligned to 8,
 * which the caller provides for as long as the queue is used.
 *
 * Returns 0; ARS_EINVAL if 'capacity' is not a power of two >= 2, 'size' is 0,
 * or 'cells' is NULL or not aligned; ARS_EOVERFLOW if so many do not fit in
 * memory.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, before others use it.
 */
ARS_INLINE int ars_queue_init(ars_queue *queue, void *cells, size_t capacity, size_t size)
{
    /* With one cell "holds place p" and "free for place p + 1" would be the same turn. */
    if (!cells || (uintptr_t)cells % 8 != 0 || size == 0 || capacity < 2 ||
        (capacity & (capacity - 1)) != 0)
        return ARS_EINVAL;
    if (size > SIZE_MAX - 15 || capacity > SIZE_MAX / ARS_QUEUE_BYTES(1, size))
        return ARS_EOVERFLOW;
    ars_atomic_u64_store_relaxed(&queue->tail, 0);
    ars_atomic_u64_store_relaxed(&queue->head, 0);
    queue->cells = cells;
    queue->capacity = capacity;
    queue->size = size;
    queue->stride = ARS_QUEUE_BYTES(1, size);
    for (size_t i = 0; i < capacity; i++)
        ars_atomic_u64_store_relaxed(ars__queue_turn(queue, i), i);
    return 0;
}

/* memcpy() with the commonest size known to the compiler. */
ARS_INLINE void ars__queue_copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else
        memcpy(to, from, size);
}

/*
 * ars_queue_push() copies '*value' to the end of the queue.
 *
 * Returns 1; 0 if the queue is full, and nothing was added.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_queue_push(ars_queue *queue, const void *value)
{
    if (queue->capacity == 0) return 0;
    uint64_t p = ars_atomic_u64_load_relaxed(&queue->tail);
    for (;;) {
        ars_atomic_u64 *turn = ars__queue_turn(queue, p);
        /* Acquire: pairs with the store in ars_queue_pop(), which had read the old value. */
        int64_t ahead = (int64_t)(ars_atomic_u64_load_acquire(turn) - p);
        if (ahead == 0) {
            /* Relaxed: it only tells producers apart; the turns order the values. */
            if (ars_atomic_u64_cas_relaxed(&queue->tail, &p, p + 1)) {
                ars__queue_copy(turn + 1, value, queue->size);
                /* Release: pairs with the load in ars_queue_pop(). */
                ars_atomic_u64_store_release(turn, p + 1);
                return 1;
            }
        } else if (ahead < 0) {
            return 0;
        } else {
            p = ars_atomic_u64_load_relaxed(&queue->tail);
        }
    }
}

/*
 * ars_queue_pop() moves the oldest value to '*value'.
 *
 * Returns 1; 0 if the queue is empty, and '*value' is untouched.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_queue_pop(ars_queue *queue, void *value)
{
    if (queue->capacity == 0) return 0;
    uint64_t p = ars_atomic_u64_load_relaxed(&queue->head);
    for (;;) {
        ars_atomic_u64 *turn = ars__queue_turn(queue, p);
        /* Acquire: pairs with the store in ars_queue_push(). */
        int64_t ahead = (int64_t)(ars_atomic_u64_load_acquire(turn) - (p + 1));
        if (ahead == 0) {
            if (ars_atomic_u64_cas_relaxed(&queue->head, &p, p + 1)) {
                ars__queue_copy(value, turn + 1, queue->size);
                /* Release: pairs with the load in ars_queue_push(), which may then overwrite the value. */
                ars_atomic_u64_store_release(turn, p + queue->capacity);
                return 1;
            }
        } else if (ahead < 0) {
            return 0;
        } else {
            p = ars_atomic_u64_load_relaxed(&queue->head);
        }
    }
}

/*
 * ars_queue_size() says about how many values the queue holds, those being
 * pushed included and those being popped not.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE size_t ars_queue_size(const ars_queue *queue)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&queue->head);
    int64_t n = (int64_t)(ars_atomic_u64_load_relaxed(&queue->tail) - head);
    if (n < 0) return 0;
    return (uint64_t)n < queue->capacity ? (size_t)n : (size_t)queue->capacity;
}

ARS_END_DECLS

#endif
