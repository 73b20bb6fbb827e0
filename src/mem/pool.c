/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/pool.h>.
 *
 * Chunk c holds first * 2^c objects, so the chunk of a number is found by the
 * highest bit of number / first + 1.  Objects are linked when they are put
 * back; those that were never taken lie behind each other, from 'fresh' on.
 */
#include <arsenal/alloc.h>
/* Here are the exported twins of its inline functions, too. */
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/pool.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/san.h"

enum { CHUNK_MIN = 4096, ALIGN_MAX = 4096, SIZE_MOST = 1 << 30 };

typedef ars__pool_slot slot;

/* ---- numbers ---- */

static unsigned chunk_of(const ars_pool *pool, uint32_t number)
{
    return (unsigned)(63 - __builtin_clzll((uint64_t)number / pool->ars__first + 1));
}

/* The number of the first object of chunk 'c', which is also how many lie before. */
static uint64_t begin_of(const ars_pool *pool, unsigned c)
{
    return (uint64_t)pool->ars__first * ((UINT64_C(1) << c) - 1);
}

/* Where an object lies in its chunk, whose first byte is aligned. */
static char *object_of(const ars_pool *pool, uint32_t number)
{
    unsigned c = chunk_of(pool, number);
    size_t lead = ars__align_up(sizeof(slot), pool->ars__align);
    return pool->ars__chunks[c] + lead + (size_t)(number - begin_of(pool, c)) * pool->ars__stride;
}

static slot *slot_of(const void *object)
{
    return (slot *)(uintptr_t)object - 1;
}

static size_t chunk_bytes(const ars_pool *pool, unsigned c)
{
    return ((size_t)pool->ars__first << c) * pool->ars__stride + pool->ars__align;
}

/* ---- beginning and end ---- */

int ars_pool_init(ars_pool *pool, const ars_alloc *alloc, size_t size, size_t align)
{
    *pool = (ars_pool){0};
    if (size == 0 || size > SIZE_MOST || !ars__is_pow2(align) || align > ALIGN_MAX)
        return ARS_EINVAL;
    if (align < _Alignof(slot *)) align = _Alignof(slot *);
    if (size < sizeof(slot *)) size = sizeof(slot *);
    pool->ars__alloc = alloc ? alloc : ars_alloc_default();
    pool->ars__size = size;
    pool->ars__align = align;
    pool->ars__stride = ars__align_up(size + sizeof(slot), align);
    pool->ars__first =
        pool->ars__stride < CHUNK_MIN / 4 ? (uint32_t)((CHUNK_MIN - align) / pool->ars__stride) : 4;
    if (pool->ars__first < 4) pool->ars__first = 4;
    pool->ars__checks = ARS__ASSERTS || ARS__ASAN;
    return 0;
}

void ars_pool_deinit(ars_pool *pool)
{
    const ars_alloc *alloc = pool->ars__alloc;
    for (unsigned c = 0; c < pool->ars__count; c++) {
        size_t bytes = chunk_bytes(pool, c);
        ars__san_unpoison(pool->ars__chunks[c], bytes);
        alloc->free(alloc->ctx, pool->ars__chunks[c], bytes, pool->ars__align);
    }
    *pool = (ars_pool){0};
}

/* ---- taking and putting back ---- */

static int grow(ars_pool *pool)
{
    unsigned c = pool->ars__count;
    const ars_alloc *alloc = pool->ars__alloc;
    if (c == ARS_POOL_CHUNKS || begin_of(pool, c + 1) >= UINT32_MAX) return ARS_ENOMEM;
    if (((uint64_t)pool->ars__first << c) > (SIZE_MAX / 2 - ALIGN_MAX) / pool->ars__stride)
        return ARS_ENOMEM;
    size_t bytes = chunk_bytes(pool, c);
    char *chunk = alloc->alloc(alloc->ctx, bytes, pool->ars__align);
    if (!chunk) return ARS_ENOMEM;
    ars__san_poison(chunk, bytes);
    pool->ars__chunks[c] = chunk;
    pool->ars__count++;
    return 0;
}

static void *take(ars_pool *pool, void *object)
{
    ars__san_unpoison(slot_of(object), sizeof(slot));
    ars__san_unpoison(object, pool->ars__size);
    pool->ars__live++;
    return object;
}

void *ars_pool_get_slow(ars_pool *pool)
{
    slot *s = pool->ars__free;
    if (s) {
        void *object = take(pool, s + 1);
        pool->ars__free = *(slot **)object;
        s->ars__turn++;
        return object;
    }
    if (!pool->ars__alloc) return NULL;
    if (pool->ars__fresh == begin_of(pool, pool->ars__count) && grow(pool) < 0) return NULL;
    uint32_t number = pool->ars__fresh++;
    void *object = take(pool, object_of(pool, number));
    *slot_of(object) = (slot){1, number};
    return object;
}

/* Whether an object of the pool begins there. */
static int is_ours(const ars_pool *pool, const char *p)
{
    for (unsigned c = 0; c < pool->ars__count; c++) {
        size_t lead = ars__align_up(sizeof(slot), pool->ars__align);
        const char *first = pool->ars__chunks[c] + lead;
        if (p < first || p >= pool->ars__chunks[c] + chunk_bytes(pool, c)) continue;
        size_t from = (size_t)(p - first);
        return from % pool->ars__stride == 0 &&
               begin_of(pool, c) + from / pool->ars__stride < pool->ars__fresh;
    }
    return 0;
}

void ars_pool_put_slow(ars_pool *pool, void *object)
{
    if (!object) return;
    ARS__ASSERT(is_ours(pool, object));
    slot *s = slot_of(object);
    int is_taken = s->ars__turn & 1;
    ARS__ASSERT(is_taken);
    (void)is_taken;
    *(slot **)object = pool->ars__free;
    pool->ars__free = s;
    pool->ars__live--;
    s->ars__turn++;
    ars__san_poison(object, pool->ars__size);
}

/* ---- finding ---- */

uint32_t ars_pool_number(const ars_pool *pool, const void *object)
{
    (void)pool;
    return slot_of(object)->ars__number;
}

void *ars_pool_at(const ars_pool *pool, uint32_t number)
{
    if (number >= pool->ars__fresh) return NULL;
    void *object = object_of(pool, number);
    return slot_of(object)->ars__turn & 1 ? object : NULL;
}

uint64_t ars_pool_handle(const ars_pool *pool, const void *object)
{
    const slot *s = slot_of(object);
    (void)pool;
    return (uint64_t)s->ars__turn << 32 | s->ars__number;
}

void *ars_pool_find(const ars_pool *pool, uint64_t handle)
{
    void *object = ars_pool_at(pool, (uint32_t)handle);
    return object && slot_of(object)->ars__turn == (uint32_t)(handle >> 32) ? object : NULL;
}

void *ars_pool_next(const ars_pool *pool, uint32_t *number)
{
    while (*number < pool->ars__fresh) {
        void *object = ars_pool_at(pool, (*number)++);
        if (object) return object;
    }
    return NULL;
}

ars_pool_stats ars_pool_count(const ars_pool *pool)
{
    ars_pool_stats stats = {pool->ars__live, 0, 0};
    for (unsigned c = 0; c < pool->ars__count; c++) stats.bytes += chunk_bytes(pool, c);
    if (pool->ars__count) stats.room = begin_of(pool, pool->ars__count);
    return stats;
}
