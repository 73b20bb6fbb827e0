/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_RING_H
#define ARSENAL_RING_H

/*
 * A bounded queue for one producer and one consumer.  Values of one size are
 * copied in and out, in the caller's memory; nothing here waits or allocates.
 *
 * There is no pointer in it, so a ring and its values may lie in memory that
 * two processes share, mapped at different addresses.  They then have to trust
 * each other.  If one is killed the ring still holds whole values only; the other
 * can empty it, but nobody can take the dead one's place.
 *
 * Invariant: tail - head values are in the ring, 0 to 'capacity' of them; both
 * only grow.  The producer alone writes 'tail', the consumer alone 'head'.
 * Each keeps the last value of the other's index that it has seen, and looks
 * anew only when by that one the ring is full or empty: so a line changes
 * hands once a round, not once a value.  Each also keeps where its next value
 * lies, so that any capacity will do.
 *
 * What the producer did before a push has happened for the consumer once it has
 * popped that value.
 */

#include <arsenal/atomic.h>

#include <string.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is a ring of capacity 0: always empty, always full. */
typedef struct ars_ring {
    ars_atomic_u64 tail; /* values pushed so far */
    uint64_t seen_head;  /* from here on the producer's */
    uint64_t push_at;    /* in bytes from the first value */
    char apart1[40];
    ars_atomic_u64 head; /* values popped so far */
    uint64_t seen_tail;  /* from here on the consumer's */
    uint64_t pop_at;
    char apart2[40];
    uint64_t capacity; /* constant from here on */
    uint64_t size;     /* of a value */
    uint64_t end;      /* capacity * size */
    int64_t values;    /* where the first one lies, in bytes from the ring */
    char apart3[32];
} ars_ring;

/*
 * ars_ring_init() makes '*ring' empty, with room for 'capacity' values of
 * 'size' bytes in 'values', capacity * size bytes that the caller provides for
 * as long as the ring is used.  In shared memory they lie in the same mapping
 * as the ring.
 *
 * Returns 0; ARS_EINVAL if 'capacity' or 'size' is 0 or 'values' is NULL;
 * ARS_EOVERFLOW if so many do not fit in memory.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, before others use it.
 */
ARS_INLINE int ars_ring_init(ars_ring *ring, void *values, size_t capacity, size_t size)
{
    if (!values || capacity == 0 || size == 0) return ARS_EINVAL;
    if (capacity > (SIZE_MAX >> 1) / size) return ARS_EOVERFLOW;
    ars_atomic_u64_store_relaxed(&ring->tail, 0);
    ars_atomic_u64_store_relaxed(&ring->head, 0);
    ring->seen_head = ring->seen_tail = 0;
    ring->push_at = ring->pop_at = 0;
    ring->capacity = capacity;
    ring->size = size;
    ring->end = (uint64_t)capacity * size;
    ring->values = (int64_t)((uintptr_t)values - (uintptr_t)ring);
    return 0;
}

ARS_INLINE char *ars__ring_value(const ars_ring *ring, uint64_t at)
{
    return (char *)((uintptr_t)ring + (uintptr_t)ring->values + (uintptr_t)at);
}

/* memcpy() with the commonest size known to the compiler. */
ARS_INLINE void ars__ring_copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else
        memcpy(to, from, size);
}

/* How many values there is room for, at least 'wanted' if there is so much; the producer's. */
ARS_INLINE uint64_t ars__ring_room(ars_ring *ring, uint64_t tail, uint64_t wanted)
{
    uint64_t room = ring->capacity - (tail - ring->seen_head);
    if (room >= wanted) return room;
    /* Acquire: pairs with the store in the pops; the consumer had read the old values. */
    ring->seen_head = ars_atomic_u64_load_acquire(&ring->head);
    return ring->capacity - (tail - ring->seen_head);
}

/* How many values there are, at least 'wanted' if there are so many; the consumer's. */
ARS_INLINE uint64_t ars__ring_there(ars_ring *ring, uint64_t head, uint64_t wanted)
{
    uint64_t there = ring->seen_tail - head;
    if (there >= wanted) return there;
    /* Acquire: pairs with the store in the pushes; the producer had written the values. */
    ring->seen_tail = ars_atomic_u64_load_acquire(&ring->tail);
    return ring->seen_tail - head;
}

/*
 * ars_ring_push() copies '*value' to the end of the ring.
 *
 * Returns 1; 0 if the ring is full, and nothing was added.
 *
 * Suspends: no.  Allocates: no.  Callable from: the producer.
 */
ARS_INLINE int ars_ring_push(ars_ring *ring, const void *value)
{
    uint64_t tail = ars_atomic_u64_load_relaxed(&ring->tail);
    if (ars__ring_room(ring, tail, 1) == 0) return 0;
    uint64_t at = ring->push_at, next = at + ring->size;
    ars__ring_copy(ars__ring_value(ring, at), value, ring->size);
    ring->push_at = next == ring->end ? 0 : next;
    /* Release: pairs with the load in ars__ring_there(). */
    ars_atomic_u64_store_release(&ring->tail, tail + 1);
    return 1;
}

/*
 * ars_ring_pop() moves the oldest value to '*value'.
 *
 * Returns 1; 0 if the ring is empty, and '*value' is untouched.
 *
 * Suspends: no.  Allocates: no.  Callable from: the consumer.
 */
ARS_INLINE int ars_ring_pop(ars_ring *ring, void *value)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&ring->head);
    if (ars__ring_there(ring, head, 1) == 0) return 0;
    uint64_t at = ring->pop_at, next = at + ring->size;
    ars__ring_copy(value, ars__ring_value(ring, at), ring->size);
    ring->pop_at = next == ring->end ? 0 : next;
    /* Release: pairs with the load in ars__ring_room(); the producer may then overwrite the value. */
    ars_atomic_u64_store_release(&ring->head, head + 1);
    return 1;
}

/*
 * ars_ring_push_many() copies the first of the 'n' values at 'values' to the
 * end of the ring, as many as there is room for, and shows them all at once.
 *
 * Returns how many it added.
 *
 * Suspends: no.  Allocates: no.  Callable from: the producer.
 */
ARS_INLINE size_t ars_ring_push_many(ars_ring *ring, const void *values, size_t n)
{
    uint64_t tail = ars_atomic_u64_load_relaxed(&ring->tail);
    uint64_t room = ars__ring_room(ring, tail, n);
    if (n > room) n = (size_t)room;
    if (n == 0) return 0;
    uint64_t bytes = (uint64_t)n * ring->size, at = ring->push_at, before_end = ring->end - at;
    uint64_t part = bytes < before_end ? bytes : before_end;
    memcpy(ars__ring_value(ring, at), values, (size_t)part);
    if (bytes > part)
        memcpy(ars__ring_value(ring, 0), (const char *)values + part, (size_t)(bytes - part));
    ring->push_at = bytes < before_end ? at + bytes : bytes - part;
    /* Release: as in ars_ring_push(). */
    ars_atomic_u64_store_release(&ring->tail, tail + n);
    return n;
}

/*
 * ars_ring_pop_many() moves the oldest values, at most 'n', to 'values'.
 *
 * Returns how many there were.
 *
 * Suspends: no.  Allocates: no.  Callable from: the consumer.
 */
ARS_INLINE size_t ars_ring_pop_many(ars_ring *ring, void *values, size_t n)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&ring->head);
    uint64_t there = ars__ring_there(ring, head, n);
    if (n > there) n = (size_t)there;
    if (n == 0) return 0;
    uint64_t bytes = (uint64_t)n * ring->size, at = ring->pop_at, before_end = ring->end - at;
    uint64_t part = bytes < before_end ? bytes : before_end;
    memcpy(values, ars__ring_value(ring, at), (size_t)part);
    if (bytes > part)
        memcpy((char *)values + part, ars__ring_value(ring, 0), (size_t)(bytes - part));
    ring->pop_at = bytes < before_end ? at + bytes : bytes - part;
    /* Release: as in ars_ring_pop(). */
    ars_atomic_u64_store_release(&ring->head, head + n);
    return n;
}

/* How many of 'n' values lie side by side from the byte 'at' on. */
ARS_INLINE size_t ars__ring_straight(const ars_ring *ring, uint64_t at, size_t n)
{
    uint64_t before_end = ring->end - at;
    return (uint64_t)n * ring->size <= before_end ? n : (size_t)(before_end / ring->size);
}

/*
 * ars_ring_reserve() gives the place of the next values, so that they can be
 * written where they will lie: '*place' has room for as many as it returns, at
 * most 'n', and less than there is where the ring's memory ends.  The consumer
 * sees none of them before ars_ring_commit() has added the first 'n', which is
 * no more than was reserved.  A reservation that is not committed is nothing.
 *
 * Returns how many there is room for; 0 if the ring is full.
 *
 * Suspends: no.  Allocates: no.  Callable from: the producer.
 */
ARS_INLINE size_t ars_ring_reserve(ars_ring *ring, size_t n, void **place)
{
    uint64_t room = ars__ring_room(ring, ars_atomic_u64_load_relaxed(&ring->tail), n);
    *place = ars__ring_value(ring, ring->push_at);
    return ars__ring_straight(ring, ring->push_at, n < room ? n : (size_t)room);
}
ARS_INLINE void ars_ring_commit(ars_ring *ring, size_t n)
{
    uint64_t next = ring->push_at + (uint64_t)n * ring->size;
    ring->push_at = next == ring->end ? 0 : next;
    /* Release: as in ars_ring_push(). */
    ars_atomic_u64_store_release(&ring->tail, ars_atomic_u64_load_relaxed(&ring->tail) + n);
}

/*
 * ars_ring_peek() shows the oldest values where they lie, from '*place' on, as
 * many as it returns: at most 'n', and less than there are where the ring's
 * memory ends.  They stay until ars_ring_drop() takes the first 'n' out.
 *
 * Returns how many there are; 0 if the ring is empty.
 *
 * Suspends: no.  Allocates: no.  Callable from: the consumer.
 */
ARS_INLINE size_t ars_ring_peek(ars_ring *ring, size_t n, void **place)
{
    uint64_t there = ars__ring_there(ring, ars_atomic_u64_load_relaxed(&ring->head), n);
    *place = ars__ring_value(ring, ring->pop_at);
    return ars__ring_straight(ring, ring->pop_at, n < there ? n : (size_t)there);
}
ARS_INLINE void ars_ring_drop(ars_ring *ring, size_t n)
{
    uint64_t next = ring->pop_at + (uint64_t)n * ring->size;
    ring->pop_at = next == ring->end ? 0 : next;
    /* Release: as in ars_ring_pop(). */
    ars_atomic_u64_store_release(&ring->head, ars_atomic_u64_load_relaxed(&ring->head) + n);
}

/*
 * ars_ring_size() says how many values the ring holds: exactly, or for the
 * producer at most, for the consumer at least that many; for others about.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE size_t ars_ring_size(const ars_ring *ring)
{
    uint64_t head = ars_atomic_u64_load_relaxed(&ring->head);
    uint64_t n = ars_atomic_u64_load_relaxed(&ring->tail) - head;
    return (size_t)(n < ring->capacity ? n : ring->capacity);
}

ARS_END_DECLS

#endif
