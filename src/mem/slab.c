/* SPDX-License-Identifier: MIT */
#include "mem/slab.h"

#include <string.h>

#include "base/bits.h"

struct ars__slab_chunk {
    ars__slab_chunk *next;
    size_t size;
};

enum {
    /* What allocators add to a block, so that a chunk with it still fits a power of two. */
    MARGIN = 128,
    /* Objects linked at once: those of about a page, the next of which is not touched before its time. */
    LINK_BYTES = 4096
};

void ars__slab_init(ars__slab *slab, const ars_alloc *alloc, size_t size, size_t align)
{
    ARS__ASSERT(ars__is_pow2(align) && align <= 4096);
    ARS__ASSERT(size >= ARS__SLAB_KEPT && size <= UINT32_MAX / 2);
    if (align < _Alignof(uint64_t)) align = _Alignof(uint64_t);
    memset(slab, 0, sizeof *slab);
    slab->alloc = alloc ? alloc : ars_alloc_default();
    slab->size = (uint32_t)ars__align_up(size, align);
    slab->align = (uint32_t)align;
    slab->next_chunk = ARS__SLAB_CHUNK_MIN;
    size_t bundle = 1 + (slab->size - sizeof(ars__slab_bundle)) / sizeof(void *);
    slab->bundle = bundle < ARS__SLAB_BATCH ? (uint32_t)bundle : ARS__SLAB_BATCH;
}

static size_t chunk_align(const ars__slab *slab)
{
    return slab->align > _Alignof(ars__slab_chunk) ? slab->align : _Alignof(ars__slab_chunk);
}

static void free_chunks(const ars__slab *slab, ars__slab_chunk *chunk)
{
    for (ars__slab_chunk *next; chunk; chunk = next) {
        next = chunk->next;
        ars__san_unpoison(chunk, chunk->size);
        slab->alloc->free(slab->alloc->ctx, chunk, chunk->size, chunk_align(slab));
    }
}

void ars__slab_deinit(ars__slab *slab)
{
    free_chunks(slab, slab->chunks);
    free_chunks(slab, slab->spare);
    memset(slab, 0, sizeof *slab);
}

/* A chunk that belongs to nobody yet; 'size' is what the slab would ask for next. */
static ars__slab_chunk *chunk_new(const ars__slab *slab, size_t size)
{
    size_t least = ars__align_up(sizeof(ars__slab_chunk), slab->align) + slab->size;
    size -= MARGIN;
    if (size < least) size = least;
    ars__slab_chunk *chunk = slab->alloc->alloc(slab->alloc->ctx, size, chunk_align(slab));
    if (!chunk) return NULL;
    chunk->size = size;
    return chunk;
}

/* Makes the chunk the one that objects are linked from.  The rest of the one before must be used up. */
static void chunk_add(ars__slab *slab, ars__slab_chunk *chunk)
{
    ARS__ASSERT(slab->fresh == slab->end);
    size_t head = ars__align_up(sizeof *chunk, slab->align);
    size_t count = (chunk->size - head) / slab->size;
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    slab->fresh = (char *)chunk + head;
    slab->end = slab->fresh + count * slab->size;
    if (slab->next_chunk < ARS__SLAB_CHUNK_MAX) slab->next_chunk *= 2;
    ars__san_poison(slab->fresh, count * slab->size);
}

/* Links some objects that were never used, in the order of their addresses. */
static void link_fresh(ars__slab *slab)
{
    size_t left = (size_t)(slab->end - slab->fresh) / slab->size;
    size_t count = slab->size < LINK_BYTES ? LINK_BYTES / slab->size : 1;
    if (count > left) count = left;
    ars__slab_object **at = &slab->free;
    ARS__ASSERT(!slab->free && count > 0);
    for (size_t i = 0; i < count; i++) {
        ars__slab_object *object = (ars__slab_object *)(void *)slab->fresh;
        ars__san_unpoison(object, ARS__SLAB_KEPT);
        /* ThreadSanitizer must not see it, as it does not see the lock: its memset would count. */
        ars__san_ignore_begin();
        memset(object, 0, ARS__SLAB_KEPT);
        ars__san_ignore_end();
        *at = object;
        at = &object->next;
        slab->fresh += slab->size;
    }
}

void *ars__slab_get_slow(ars__slab *slab)
{
    ARS__ASSERT(slab->free == NULL);
    if (slab->fresh == slab->end) {
        ars__slab_chunk *chunk = chunk_new(slab, slab->next_chunk);
        if (!chunk) return NULL;
        chunk_add(slab, chunk);
    }
    link_fresh(slab);
    return ars__slab_get(slab);
}

/* ---- shared ---- */

static int used_up(const ars__slab *slab)
{
    return !slab->free && !slab->bundles && slab->fresh == slab->end;
}

/* Takes a bundle apart: its objects go into 'out'. */
static void unbundle(ars__slab *slab, void **out)
{
    ars__slab_bundle *bundle = slab->bundles;
    slab->bundles = bundle->next;
    ars__san_unpoison(bundle, slab->size);
    ars__san_ignore_begin();
    out[0] = bundle;
    for (uint32_t i = 1; i < slab->bundle; i++) out[i] = bundle->rest[i - 1];
    ars__san_ignore_end();
    ars__san_poison((char *)bundle + ARS__SLAB_KEPT, slab->size - ARS__SLAB_KEPT);
}

/* There are bundles only: the objects of one are linked instead. */
static void link_bundle(ars__slab *slab)
{
    void *objects[ARS__SLAB_BATCH];
    unbundle(slab, objects);
    for (uint32_t i = 0; i < slab->bundle; i++) {
        ars__slab_object *object = objects[i];
        object->next = slab->free;
        slab->free = object;
    }
}

/*
 * Locks the slab with at least one free object linked; 0 without memory, and
 * not locked.  The lock is not held while the allocator runs, so several
 * threads may bring a chunk at once: those not needed yet are spare.
 */
static int lock_with_free(ars__slab *slab)
{
    ars_spin_lock(&slab->lock);
    while (used_up(slab)) {
        ars__slab_chunk *chunk = slab->spare;
        if (chunk) {
            slab->spare = chunk->next;
            chunk_add(slab, chunk);
            break;
        }
        size_t size = slab->next_chunk;
        ars_spin_unlock(&slab->lock);
        chunk = chunk_new(slab, size);
        ars_spin_lock(&slab->lock);
        if (chunk) {
            chunk->next = slab->spare;
            slab->spare = chunk;
        } else if (used_up(slab) && !slab->spare) {
            ars_spin_unlock(&slab->lock);
            return 0;
        }
    }
    if (!slab->free && !slab->bundles) link_fresh(slab);
    return 1;
}

void *ars__slab_get_shared(ars__slab *slab)
{
    if (!lock_with_free(slab)) return NULL;
    if (!slab->free) link_bundle(slab);
    void *object = ars__slab_get(slab);
    ars_spin_unlock(&slab->lock);
    return object;
}

void ars__slab_put_shared(ars__slab *slab, void *p)
{
    ars_spin_lock(&slab->lock);
    ars__slab_put(slab, p);
    ars_spin_unlock(&slab->lock);
}

/* ---- caches ---- */

/* The cache is empty: makes it hold something; 0 without memory. */
int ars__slab_cache_fill(ars__slab_cache *cache)
{
    ars__slab *slab = cache->slab;
    ARS__ASSERT(cache->count == 0);
    if (!lock_with_free(slab)) return 0;
    if (slab->bundles) {
        unbundle(slab, cache->kept);
        cache->count = slab->bundle;
    } else {
        /* The first of the list is to come out first. */
        ars__slab_object *taken[ARS__SLAB_BATCH];
        uint32_t n = 0;
        while (n < ARS__SLAB_BATCH && slab->free) {
            taken[n++] = slab->free;
            slab->free = slab->free->next;
        }
        while (n > 0) cache->kept[cache->count++] = taken[--n];
    }
    slab->live += cache->count;
    ars_spin_unlock(&slab->lock);
    return 1;
}

/* The coldest of the cache go back to the slab, as a bundle. */
void ars__slab_cache_spill(ars__slab_cache *cache)
{
    ars__slab *slab = cache->slab;
    ars__slab_bundle *bundle = cache->kept[0];
    uint32_t n = slab->bundle;
    ARS__ASSERT(cache->count >= n);
    ars__san_unpoison(bundle, slab->size);
    /* As in link_fresh(): the loops may become calls. */
    ars__san_ignore_begin();
    for (uint32_t i = 1; i < n; i++) bundle->rest[i - 1] = cache->kept[i];
    cache->count -= n;
    for (uint32_t i = 0; i < cache->count; i++) cache->kept[i] = cache->kept[i + n];
    ars__san_ignore_end();
    ars__san_poison((char *)bundle + ARS__SLAB_KEPT, slab->size - ARS__SLAB_KEPT);
    ars_spin_lock(&slab->lock);
    ARS__ASSERT(slab->live >= n);
    slab->live -= n;
    bundle->next = slab->bundles;
    slab->bundles = bundle;
    ars_spin_unlock(&slab->lock);
}

void ars__slab_cache_flush(ars__slab_cache *cache)
{
    while (cache->count >= cache->slab->bundle) ars__slab_cache_spill(cache);
    while (cache->count > 0) ars__slab_put_shared(cache->slab, cache->kept[--cache->count]);
}
