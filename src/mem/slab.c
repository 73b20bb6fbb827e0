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
    return !slab->free && slab->fresh == slab->end;
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
    if (!slab->free) link_fresh(slab);
    return 1;
}

void *ars__slab_get_shared(ars__slab *slab)
{
    if (!lock_with_free(slab)) return NULL;
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

/* Gives objects 'first' to 'last', linked, back. */
static void give_back(ars__slab *slab, ars__slab_object *first, ars__slab_object *last,
                      uint32_t count)
{
    ars_spin_lock(&slab->lock);
    ARS__ASSERT(slab->live >= count);
    last->next = slab->free;
    slab->free = first;
    slab->live -= count;
    ars_spin_unlock(&slab->lock);
}

/* The hot list is empty: makes it hold something. */
int ars__slab_cache_fill(ars__slab_cache *cache)
{
    ARS__ASSERT(cache->hot_count == 0);
    if (cache->cold) {
        cache->hot = cache->cold;
        cache->hot_last = cache->cold_last;
        cache->hot_count = cache->cold_count;
        cache->cold = NULL;
        cache->cold_count = 0;
        return 1;
    }
    ars__slab *slab = cache->slab;
    if (!lock_with_free(slab)) return 0;
    ars__slab_object *last = slab->free;
    uint32_t count = 1;
    while (count < ARS__SLAB_BATCH && last->next) {
        last = last->next;
        count++;
    }
    cache->hot = slab->free;
    cache->hot_last = last;
    cache->hot_count = count;
    slab->free = last->next;
    slab->live += count;
    ars_spin_unlock(&slab->lock);
    last->next = NULL;
    return 1;
}

/* The hot list is full: makes room in it. */
void ars__slab_cache_spill(ars__slab_cache *cache)
{
    if (cache->cold) give_back(cache->slab, cache->cold, cache->cold_last, cache->cold_count);
    cache->cold = cache->hot;
    cache->cold_last = cache->hot_last;
    cache->cold_count = cache->hot_count;
    cache->hot = NULL;
    cache->hot_count = 0;
}

void ars__slab_cache_flush(ars__slab_cache *cache)
{
    if (cache->hot) give_back(cache->slab, cache->hot, cache->hot_last, cache->hot_count);
    if (cache->cold) give_back(cache->slab, cache->cold, cache->cold_last, cache->cold_count);
    ars__slab_cache_init(cache, cache->slab);
}
