/* SPDX-License-Identifier: MIT */
#ifndef ARS_MEM_SLAB_H
#define ARS_MEM_SLAB_H

/*
 * A slab hands out objects of one size, the one given back last first.
 *
 * It takes chunks from an allocator, the first small, each next twice the one
 * before up to 256 KiB, and keeps them until it is deinitialised: the memory
 * of an object that was given back stays readable until then.
 *
 * While an object is free its first word is the slab's link.  Its second word
 * keeps what the last user left there and may be read by anyone: that is where
 * a generation number belongs.  A fresh object's second word is 0.  The rest
 * of a free object is poisoned under AddressSanitizer.
 *
 * A slab is used in one of two ways, not both at once:
 *
 *   by one user at a time     ars__slab_get, ars__slab_put
 *   by several threads        ars__slab_get_shared, ars__slab_put_shared, which
 *                             take a lock; and for a thread that often comes,
 *                             a cache of its own, which takes the lock once for
 *                             about 32 objects
 */

#include <arsenal/alloc.h>
#include <arsenal/spin.h>

#include "base/assert.h"
#include "base/san.h"

enum {
    ARS__SLAB_CHUNK_MIN = 4096,
    ARS__SLAB_CHUNK_MAX = 256 * 1024,
    ARS__SLAB_KEPT = 16, /* bytes of a free object that are not poisoned */
    ARS__SLAB_BATCH = 32 /* objects that a cache takes and returns at once, at most */
};

typedef struct ars__slab_object {
    struct ars__slab_object *next;
} ars__slab_object;

/*
 * Objects that a cache has given back together: the first of them, which holds
 * the addresses of the others.  So they change hands without a look at each,
 * which in another core's cache would cost a miss after the other.
 */
typedef struct ars__slab_bundle {
    struct ars__slab_bundle *next;
    uint64_t users; /* the object's second word */
    void *rest[];
} ars__slab_bundle;

typedef struct ars__slab_chunk ars__slab_chunk;

typedef struct ars__slab {
    ars__slab_object *free;          /* linked; hottest first */
    ars__slab_bundle *bundles;       /* others that are free */
    uint64_t live;                   /* objects handed out, those in caches included */
    char *fresh, *end;               /* of the newest chunk: what was never linked */
    ars__slab_chunk *chunks, *spare; /* spare: nothing of it was linked yet */
    const ars_alloc *alloc;
    size_t next_chunk; /* bytes to ask for */
    uint32_t size, align;
    uint32_t bundle; /* objects in each */
    ars_spin lock;   /* only the shared calls take it; held over no allocation */
} ars__slab;

/*
 * Objects of 'size' bytes, at least ARS__SLAB_KEPT, aligned to 'align', a
 * power of two up to the size of a page; 'alloc' NULL: the default.  Allocates nothing yet.
 */
void ars__slab_init(ars__slab *slab, const ars_alloc *alloc, size_t size, size_t align);

/* Frees all memory, objects still handed out included.  A zeroed slab is allowed. */
void ars__slab_deinit(ars__slab *slab);

/* Links more free objects and takes one; NULL without memory. */
void *ars__slab_get_slow(ars__slab *slab);

/* An object, its content undefined but for the second word; NULL without memory, nothing changed. */
static inline void *ars__slab_get(ars__slab *slab)
{
    ars__slab_object *object = slab->free;
    if (ARS__UNLIKELY(!object)) return ars__slab_get_slow(slab);
    slab->free = object->next;
    slab->live++;
    ars__san_unpoison(object, slab->size);
    return object;
}

static inline void ars__slab_put(ars__slab *slab, void *p)
{
    ars__slab_object *object = p;
    ARS__ASSERT(slab->live > 0);
    ARS__ASSERT(((uintptr_t)p & (slab->align - 1)) == 0);
    object->next = slab->free;
    slab->free = object;
    slab->live--;
    ars__san_poison((char *)p + ARS__SLAB_KEPT, slab->size - ARS__SLAB_KEPT);
}

void *ars__slab_get_shared(ars__slab *slab);
void ars__slab_put_shared(ars__slab *slab, void *p);

/*
 * A cache: up to twice as many objects as it takes and returns at once, so that
 * a user at the edge between full and empty does not go to the slab on every
 * other call.  All-zero but for 'slab' is an empty one.
 */
typedef struct ars__slab_cache {
    ars__slab *slab;
    uint32_t count;
    void *kept[2 * ARS__SLAB_BATCH]; /* the hottest last */
} ars__slab_cache;

static inline void ars__slab_cache_init(ars__slab_cache *cache, ars__slab *slab)
{
    cache->slab = slab;
    cache->count = 0;
}

/* Gives everything in the cache back to the slab; the cache stays usable. */
void ars__slab_cache_flush(ars__slab_cache *cache);

int ars__slab_cache_fill(ars__slab_cache *cache);
void ars__slab_cache_spill(ars__slab_cache *cache);

/* As ars__slab_cache_get(), but NULL too where the cache has nothing at hand. */
static inline void *ars__slab_cache_hot(ars__slab_cache *cache)
{
    enum { AHEAD = 4 };
    uint32_t count = cache->count;
    if (ARS__UNLIKELY(count == 0)) return NULL;
    cache->count = --count;
    /* Others may have used them last. */
    if (count >= AHEAD) __builtin_prefetch(cache->kept[count - AHEAD], 1);
    void *object = cache->kept[count];
    ars__san_unpoison(object, cache->slab->size);
    return object;
}

/* As ars__slab_get(), by the cache's owner. */
static inline void *ars__slab_cache_get(ars__slab_cache *cache)
{
    if (ARS__UNLIKELY(cache->count == 0) && !ars__slab_cache_fill(cache)) return NULL;
    return ars__slab_cache_hot(cache);
}

/* As ars__slab_put(), by the cache's owner, whoever took the object. */
static inline void ars__slab_cache_put(ars__slab_cache *cache, void *p)
{
    ARS__ASSERT(((uintptr_t)p & (cache->slab->align - 1)) == 0);
    if (ARS__UNLIKELY(cache->count == 2 * ARS__SLAB_BATCH)) ars__slab_cache_spill(cache);
    cache->kept[cache->count++] = p;
    ars__san_poison((char *)p + ARS__SLAB_KEPT, cache->slab->size - ARS__SLAB_KEPT);
}

#endif
