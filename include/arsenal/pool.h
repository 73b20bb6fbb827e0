/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_POOL_H
#define ARSENAL_POOL_H

#include <arsenal/alloc.h>

ARS_BEGIN_DECLS

/*
 * Objects of one size, taken and put back one at a time, the last one put back
 * first.  Memory comes from an allocator in chunks, each twice as large as the
 * one before, and goes back when the pool ends.
 *
 *     ars_pool pool;
 *     if (ars_pool_init(&pool, NULL, sizeof(struct item), _Alignof(struct item)) < 0) ...
 *     struct item *item = ars_pool_get(&pool);
 *     ...
 *     ars_pool_put(&pool, item);
 *     ars_pool_deinit(&pool);
 *
 * Every object has a number, counted from 0, which does not change: 32 bits
 * where a pointer would take 64.  With the number of times that the object was
 * taken it makes a handle, and a handle to an object that was put back, or
 * was taken by another one since, is known to be stale.
 *
 * An object costs one word beside its size.
 *
 * Debug builds (and those with ARSENAL_ASSERT) abort when an object is put back
 * twice or is not of this pool.  Under AddressSanitizer, with a library built
 * for it, free objects are poisoned.
 *
 * Thread rule: one user at a time.
 */

enum { ARS_POOL_CHUNKS = 32 };

typedef struct ars__pool_slot ars__pool_slot;

/* The fields are private.  All-zero has no objects, and gives none. */
typedef struct ars_pool {
    ars__pool_slot *ars__free; /* hottest first */
    uint64_t ars__live;
    char *ars__chunks[ARS_POOL_CHUNKS];
    const ars_alloc *ars__alloc;
    size_t ars__stride; /* from one object to the next */
    size_t ars__size, ars__align;
    uint32_t ars__first;  /* objects of the first chunk; each other one has twice as many */
    uint32_t ars__count;  /* chunks */
    uint32_t ars__fresh;  /* objects that were ever taken; the others are not linked */
    uint32_t ars__checks; /* all calls go to the library */
} ars_pool;

/* Before each object.  Odd: the object is live. */
struct ars__pool_slot {
    uint32_t ars__turn;
    uint32_t ars__number;
};

/*
 * ars_pool_init() makes an empty pool for objects of 'size' bytes aligned to
 * 'align', a power of two up to 4096, with memory from 'alloc' (NULL: the
 * default).
 *
 * Returns 0; ARS_EINVAL for size 0, a size over 2^30 or another alignment.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ARS_MUST_USE int ars_pool_init(ars_pool *pool, const ars_alloc *alloc, size_t size,
                                       size_t align);

/*
 * ars_pool_deinit() gives all memory back, with the objects that are still
 * taken; the pool is all-zero then.  A zeroed pool is allowed.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_pool_deinit(ars_pool *pool);

/* The ways of the two below that are not short. */
ARS_API void *ars_pool_get_slow(ars_pool *pool);
ARS_API void ars_pool_put_slow(ars_pool *pool, void *object);

/*
 * ars_pool_get() takes an object.  Its content is undefined.
 *
 * Returns NULL, nothing changed, without memory, and beyond 2^32 - 2 objects.
 *
 * Suspends: no.  Allocates: when it grows.  Callable from: anywhere.
 */
ARS_INLINE void *ars_pool_get(ars_pool *pool)
{
    ars__pool_slot *slot = pool->ars__free;
    if (!slot || pool->ars__checks) return ars_pool_get_slow(pool);
    void *object = slot + 1;
    pool->ars__free = *(ars__pool_slot **)object;
    pool->ars__live++;
    slot->ars__turn++;
    return object;
}

/*
 * ars_pool_put() puts an object back; NULL does nothing.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE void ars_pool_put(ars_pool *pool, void *object)
{
    ars__pool_slot *slot = (ars__pool_slot *)object - 1;
    if (!object || pool->ars__checks) {
        ars_pool_put_slow(pool, object);
        return;
    }
    *(ars__pool_slot **)object = pool->ars__free;
    pool->ars__free = slot;
    pool->ars__live--;
    slot->ars__turn++;
}

/*
 * ars_pool_number() gives the number of a live object, ars_pool_at() the live
 * object of a number: NULL when that is not taken now.
 *
 * ars_pool_handle() gives a live object's handle, never 0, and
 * ars_pool_find() its object: NULL when that one was put back since.  After
 * 2^31 turns of one object a handle may be taken for a new one.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API uint32_t ars_pool_number(const ars_pool *pool, const void *object);
ARS_API void *ars_pool_at(const ars_pool *pool, uint32_t number);
ARS_API uint64_t ars_pool_handle(const ars_pool *pool, const void *object);
ARS_API void *ars_pool_find(const ars_pool *pool, uint64_t handle);

/*
 * ars_pool_next() gives the live object with the smallest number from
 * '*number' on, and sets '*number' to one more than that: begin at 0.  Objects
 * may be taken and put back meanwhile.
 *
 *     uint32_t at = 0;
 *     for (struct item *item; (item = ars_pool_next(&pool, &at));) ...
 *
 * Returns NULL when there is none.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void *ars_pool_next(const ars_pool *pool, uint32_t *number);

/*
 * ars_pool_count() says how many objects are taken, for how many there is
 * memory, and how many bytes that is.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
typedef struct ars_pool_stats {
    uint64_t live;
    uint64_t room;
    uint64_t bytes;
} ars_pool_stats;

ARS_API ars_pool_stats ars_pool_count(const ars_pool *pool);

ARS_END_DECLS

#endif
