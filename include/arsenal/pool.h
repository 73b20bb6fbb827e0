/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_POOL_H
#define ARSENAL_POOL_H

#include <arsenal/alloc.h>

ARS_BEGIN_DECLS

/*
 * Objects of one size, got and put back one by one: what there are many of,
 * and comes and goes.  A get takes what was put last, a put links it in.
 *
 *     ars_pool pool;
 *     int rc = ars_pool_init(&pool, NULL, sizeof(struct unit), 0);
 *     struct unit *unit = ars_pool_get(&pool);
 *     ars_pool_handle handle = ars_pool_handle_of(unit);
 *     ...
 *     ars_pool_put(&pool, unit);
 *     ars_pool_find(&pool, handle); (NULL now, whoever has the memory)
 *     ars_pool_deinit(&pool);
 *
 * A pool has its memory from an allocator in chunks, each as large as all
 * before it together, and keeps it until it is deinitialised: objects never
 * move.  An object costs ARS_POOL_HEAD bytes above its own, and what alignment
 * adds.
 *
 * An object that is put twice, and a pointer that is no object of the pool:
 * debug builds of the library, and those with ARS_ASSERT, stop with a message.
 * Others leave the pool as it is when an object is put twice in a row.
 *
 * Under AddressSanitizer, with a library built for it, an object that is not
 * handed out is poisoned, and so is a gap after each.  Valgrind sees the chunks
 * only.
 *
 * Thread rule: one user at a time.
 */

enum {
    ARS_POOL_ALIGN = 16, /* if nothing is said */
    ARS_POOL_HEAD = 16,
    ARS__POOL_CHUNKS = 32
};

/* Lies before each object. */
typedef struct ars__pool_head {
    void
        *ars__link; /* handed out: the pool (or one byte on, see pool.c); free: the next free one */
    uint32_t ars__generation;
    uint32_t ars__number; /* from 1 */
} ars__pool_head;

/* The fields are private.  All-zero is a pool that gives nothing.  It is not moved. */
typedef struct ars_pool {
    void *ars__free; /* the list that the inline functions use */
    void *ars__kept; /* the list of a library that checks; the other is empty then */
    const ars_alloc *ars__alloc;
    size_t ars__size;
    size_t ars__align;
    size_t ars__stride;
    uint32_t ars__shift;  /* the first chunk has 1 << shift objects */
    uint32_t ars__chunks; /* that there are */
    uint32_t ars__made;   /* objects that were ever handed out */
    uint32_t ars__room;   /* objects in all chunks */
    char *ars__chunk[ARS__POOL_CHUNKS];
} ars_pool;

/*
 * ars_pool_init() makes a pool of objects of 'size' bytes, aligned to 'align'
 * (0: ARS_POOL_ALIGN), with memory from 'alloc' (NULL: the default) when it is
 * needed.
 *
 * Returns 0; ARS_EINVAL, and '*pool' is as it was, for size 0, an alignment
 * that is no power of two, or when either is above SIZE_MAX / 8.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ARS_MUST_USE int ars_pool_init(ars_pool *pool, const ars_alloc *alloc, size_t size,
                                       size_t align);

/*
 * ars_pool_deinit() gives back all memory, and with it all objects; the pool is
 * all-zero then.  A zeroed pool is allowed.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_pool_deinit(ars_pool *pool);

/*
 * ars_pool_get() hands out an object, not initialised.  NULL, and nothing has
 * changed: there is no memory, or there are 2^31 of them.
 *
 * Suspends: no.  Allocates: a chunk, when none is free.  Callable from: anywhere.
 */
ARS_API void *ars_pool_get_slowly(ars_pool *pool);
ARS_INLINE void *ars_pool_get(ars_pool *pool)
{
    void *p = pool->ars__free;
    if (!p) return ars_pool_get_slowly(pool);
    ars__pool_head *head = (ars__pool_head *)p - 1;
    pool->ars__free = head->ars__link;
    head->ars__link = pool;
    return p;
}

/*
 * ars_pool_put() takes back the object at 'p', not NULL; its handles are stale
 * from now on.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_pool_put_slowly(ars_pool *pool, void *p);
ARS_INLINE void ars_pool_put(ars_pool *pool, void *p)
{
    ars__pool_head *head = (ars__pool_head *)p - 1;
    if (head->ars__link != pool) {
        ars_pool_put_slowly(pool, p);
        return;
    }
    head->ars__generation++;
    head->ars__link = pool->ars__free;
    pool->ars__free = p;
}

/*
 * A handle names an object that is handed out, and no later one in the same
 * place (before the place has been put 2^32 times).  It is never 0.
 *
 * ars_pool_handle_of() gives the handle of an object that is handed out,
 * ars_pool_find() the object of a handle, or NULL: it was put, or the handle is
 * 0 or none of this pool's.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
typedef uint64_t ars_pool_handle;

ARS_INLINE ars_pool_handle ars_pool_handle_of(const void *p)
{
    const ars__pool_head *head = (const ars__pool_head *)p - 1;
    return (uint64_t)head->ars__generation << 32 | head->ars__number;
}
ARS_API void *ars_pool_find(const ars_pool *pool, ars_pool_handle handle);

/*
 * ars_pool_next() gives the object that is handed out and comes after 'p' (NULL:
 * the first), NULL after the last.  'p' may have been put meanwhile; what is
 * got meanwhile may be met or not.
 *
 *     for (struct unit *unit = NULL; (unit = ars_pool_next(&pool, unit));) ...
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void *ars_pool_next(const ars_pool *pool, const void *p);

/*
 * ars_pool_reserve() has the memory for 'n' objects in all: as many can be got
 * without an allocation.
 *
 * Returns 0; ARS_ENOMEM, and nothing has changed.
 *
 * Suspends: no.  Allocates: chunks.  Callable from: anywhere.
 */
ARS_API ARS_MUST_USE int ars_pool_reserve(ars_pool *pool, size_t n);

/*
 * ars_pool_reset() puts back all objects and keeps the memory.  It takes time
 * by the most objects there were.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_pool_reset(ars_pool *pool);

/*
 * ars_pool_count() counts.  It goes through all objects, so that getting and
 * putting count nothing.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
typedef struct ars_pool_stats {
    size_t live;   /* objects handed out */
    size_t most;   /* that ever were at once */
    size_t room;   /* objects in all chunks */
    size_t held;   /* bytes of all chunks */
    size_t chunks; /* that there are */
} ars_pool_stats;

ARS_API ars_pool_stats ars_pool_count(const ars_pool *pool);

ARS_END_DECLS

#endif
