/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/pool.h>.
 *
 * Objects have numbers: the first chunk has the first 2^shift, each chunk after
 * it as many as all before, so that the number tells chunk and place.  An object
 * gets its head when it is handed out first; there are ever only as many as were
 * live at once.
 *
 * A free object's link is the next one.  A live one's is the pool, which is no
 * object's address: the inline put sees by it what is no live object.  A library
 * that checks, or poisons, must see every call, however the caller was compiled:
 * it marks live objects with the byte after instead, and its list is 'kept'.
 */
#include <arsenal/alloc.h>
/* Here are the exported twins of its inline functions, too. */
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/pool.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/san.h"

#define MOST ((size_t)1 << 31) /* objects */

enum { CHECKS = ARS__ASSERTS || ARS__ASAN, GAP = ARS__ASAN ? 16 : 0, FIRST = 4096 };

ARS__STATIC_ASSERT(sizeof(ars__pool_head) <= ARS_POOL_HEAD);

static const ars_alloc *alloc_of(const ars_pool *pool)
{
    return pool->ars__alloc ? pool->ars__alloc : ars_alloc_default();
}

static void **list_of(ars_pool *pool)
{
    return CHECKS ? &pool->ars__kept : &pool->ars__free;
}

/* Of a live object. */
static void *mark_of(const ars_pool *pool)
{
    return (char *)(uintptr_t)pool + CHECKS;
}

static ars__pool_head *head_of(const void *p)
{
    return (ars__pool_head *)(uintptr_t)p - 1;
}

static int is_live(const ars_pool *pool, const void *p)
{
    return head_of(p)->ars__link == mark_of(pool);
}

/* ---- chunks ---- */

/* Before the first object of a chunk. */
static size_t lead_of(const ars_pool *pool)
{
    return ars__align_up(ARS_POOL_HEAD, pool->ars__align);
}

/* The objects of the chunks before 'chunk'. */
static size_t before(const ars_pool *pool, uint32_t chunk)
{
    return chunk ? (size_t)1 << (pool->ars__shift + chunk - 1) : 0;
}

static size_t objects_of(const ars_pool *pool, uint32_t chunk)
{
    return chunk ? before(pool, chunk) : (size_t)1 << pool->ars__shift;
}

static size_t bytes_of(const ars_pool *pool, uint32_t chunk)
{
    return lead_of(pool) + objects_of(pool, chunk) * pool->ars__stride;
}

static void *object_at(const ars_pool *pool, uint32_t index)
{
    uint32_t high = index >> pool->ars__shift;
    uint32_t chunk = high ? 32 - (uint32_t)__builtin_clz(high) : 0;
    size_t place = index - before(pool, chunk);
    return pool->ars__chunk[chunk] + lead_of(pool) + place * pool->ars__stride;
}

static int grow(ars_pool *pool)
{
    uint32_t chunk = pool->ars__chunks;
    size_t objects, bytes;
    if (pool->ars__size == 0 || pool->ars__room == MOST) return ARS_ENOMEM;
    objects = objects_of(pool, chunk);
    if (__builtin_mul_overflow(objects, pool->ars__stride, &bytes) ||
        bytes > SIZE_MAX / 2 - lead_of(pool))
        return ARS_ENOMEM;
    const ars_alloc *alloc = alloc_of(pool);
    bytes = bytes_of(pool, chunk);
    char *memory = alloc->alloc(alloc->ctx, bytes, pool->ars__align);
    if (!memory) return ARS_ENOMEM;
    ars__san_poison(memory, bytes);
    pool->ars__chunk[chunk] = memory;
    pool->ars__chunks++;
    pool->ars__room += (uint32_t)objects;
    return 0;
}

static void shrink(ars_pool *pool, uint32_t chunks)
{
    const ars_alloc *alloc = alloc_of(pool);
    while (pool->ars__chunks > chunks) {
        uint32_t chunk = --pool->ars__chunks;
        char *memory = pool->ars__chunk[chunk];
        size_t bytes = bytes_of(pool, chunk);
        pool->ars__chunk[chunk] = NULL;
        pool->ars__room -= (uint32_t)objects_of(pool, chunk);
        ars__san_unpoison(memory, bytes);
        alloc->free(alloc->ctx, memory, bytes, pool->ars__align);
    }
}

int ars_pool_init(ars_pool *pool, const ars_alloc *alloc, size_t size, size_t align)
{
    if (align == 0) align = ARS_POOL_ALIGN;
    if (size == 0 || size > SIZE_MAX / 8 || !ars__is_pow2(align) || align > SIZE_MAX / 8)
        return ARS_EINVAL;
    if (align < ARS_POOL_ALIGN) align = ARS_POOL_ALIGN; /* of the heads */
    *pool = (ars_pool){.ars__alloc = alloc,
                       .ars__size = size,
                       .ars__align = align,
                       .ars__stride = ars__align_up(size + ARS_POOL_HEAD + GAP, align)};
    while (pool->ars__stride << (pool->ars__shift + 1) <= FIRST) pool->ars__shift++;
    return 0;
}

void ars_pool_deinit(ars_pool *pool)
{
    shrink(pool, 0);
    *pool = (ars_pool){0};
}

int ars_pool_reserve(ars_pool *pool, size_t n)
{
    uint32_t chunks = pool->ars__chunks;
    if (n > MOST) return ARS_ENOMEM;
    while (pool->ars__room < n) {
        int rc = grow(pool);
        if (rc < 0) {
            shrink(pool, chunks);
            return rc;
        }
    }
    return 0;
}

/* ---- get and put ---- */

/* Is 'p' where an object of the pool is that has a head?  For assertions. */
__attribute__((unused)) static int is_object(const ars_pool *pool, const void *p)
{
    for (uint32_t chunk = 0; chunk < pool->ars__chunks; chunk++) {
        size_t at = (uintptr_t)p - (uintptr_t)pool->ars__chunk[chunk] - lead_of(pool);
        if (at < objects_of(pool, chunk) * pool->ars__stride)
            return at % pool->ars__stride == 0 &&
                   before(pool, chunk) + at / pool->ars__stride < pool->ars__made;
    }
    return 0;
}

static void link_in(ars_pool *pool, void *p)
{
    void **list = list_of(pool);
    head_of(p)->ars__link = *list;
    *list = p;
    ars__san_poison(p, pool->ars__size);
}

void *ars_pool_get_slowly(ars_pool *pool)
{
    void **list = list_of(pool), *p = *list;
    if (p) {
        *list = head_of(p)->ars__link;
    } else {
        if (pool->ars__made == pool->ars__room && grow(pool) < 0) return NULL;
        p = object_at(pool, pool->ars__made++);
        ars__san_unpoison(head_of(p), sizeof(ars__pool_head));
        head_of(p)->ars__generation = 1;
        head_of(p)->ars__number = pool->ars__made;
    }
    head_of(p)->ars__link = mark_of(pool);
    ars__san_unpoison(p, pool->ars__size);
    return p;
}

void ars_pool_put_slowly(ars_pool *pool, void *p)
{
    ARS__ASSERT(is_object(pool, p)); /* a pointer that is no object of this pool */
    ARS__ASSERT(is_live(pool, p));   /* put twice, or its head is overwritten */
    if (!is_live(pool, p)) return;
    head_of(p)->ars__generation++;
    link_in(pool, p);
}

/* ---- all of them ---- */

void *ars_pool_find(const ars_pool *pool, ars_pool_handle handle)
{
    uint32_t number = (uint32_t)handle;
    if (number == 0 || number > pool->ars__made) return NULL;
    void *p = object_at(pool, number - 1);
    return is_live(pool, p) && ars_pool_handle_of(p) == handle ? p : NULL;
}

void *ars_pool_next(const ars_pool *pool, const void *p)
{
    ARS__ASSERT(!p || is_object(pool, p));
    for (uint32_t i = p ? head_of(p)->ars__number : 0; i < pool->ars__made; i++) {
        void *next = object_at(pool, i);
        if (is_live(pool, next)) return next;
    }
    return NULL;
}

void ars_pool_reset(ars_pool *pool)
{
    /* Backwards: the first are handed out first again. */
    *list_of(pool) = NULL;
    for (uint32_t i = pool->ars__made; i-- > 0;) {
        void *p = object_at(pool, i);
        if (is_live(pool, p)) head_of(p)->ars__generation++;
        link_in(pool, p);
    }
}

ars_pool_stats ars_pool_count(const ars_pool *pool)
{
    ars_pool_stats stats = {
        .most = pool->ars__made, .room = pool->ars__room, .chunks = pool->ars__chunks};
    for (uint32_t i = 0; i < pool->ars__made; i++) stats.live += is_live(pool, object_at(pool, i));
    for (uint32_t i = 0; i < pool->ars__chunks; i++) stats.held += bytes_of(pool, i);
    return stats;
}
