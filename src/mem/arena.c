/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/arena.h>.
 *
 * The blocks are in a list; those after the one in use are empty, kept by a
 * rewind.  A block that is full, or has no room for what is asked, stays behind
 * with what was used of it.
 *
 * With AddressSanitizer the fast way has no room ('end' is 'at'), so that every
 * allocation comes here and is unpoisoned, however the caller was compiled.
 */
#include <arsenal/alloc.h>
/* Here are the exported twins of its inline functions, too. */
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/arena.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/san.h"
#include "os/os.h"

enum { CHAIN, BUFFER, RANGE };
enum { BLOCK_MAX = 1 << 20, GAP = ARS__ASAN ? 16 : 0 };

struct ars__arena_block {
    ars__arena_block *next;
    char *used; /* of a block before the one in use: where it ended */
    char *limit;
    size_t size; /* with this header; 0: of a range, or the user's */
};

ARS__STATIC_ASSERT(sizeof(ars__arena_block) % ARS_ARENA_ALIGN == 0);

static char *start_of(ars__arena_block *block)
{
    return (char *)(block + 1);
}

static const ars_alloc *alloc_of(const ars_arena *arena)
{
    return arena->ars__alloc ? arena->ars__alloc : ars_alloc_default();
}

static void go_on_at(ars_arena *arena, char *at)
{
    arena->ars__at = at;
    arena->ars__end = ARS__ASAN ? at : arena->ars__limit;
}

static void enter(ars_arena *arena, ars__arena_block *block, char *at)
{
    arena->ars__block = block;
    arena->ars__limit = block->limit;
    go_on_at(arena, at);
}

/* ---- beginning and end ---- */

void ars_arena_init(ars_arena *arena, const ars_alloc *alloc, size_t block)
{
    *arena = (ars_arena){.ars__alloc = alloc, .ars__next = block};
}

/* The one block of an arena: of 'size' bytes at 'memory', aligned. */
static void only_block(ars_arena *arena, char *memory, size_t size, uint32_t kind)
{
    ars__arena_block *block = (ars__arena_block *)(void *)memory;
    *block = (ars__arena_block){.limit = memory + size};
    *arena = (ars_arena){.ars__first = block, .ars__kind = kind};
    enter(arena, block, start_of(block));
    ars__san_poison(start_of(block), size - sizeof *block);
}

void ars_arena_init_buffer(ars_arena *arena, void *buffer, size_t size)
{
    size_t skip = -(uintptr_t)buffer & (ARS_ARENA_ALIGN - 1);
    *arena = (ars_arena){.ars__kind = BUFFER};
    if (!buffer || size < skip) return;
    size = (size - skip) & ~(size_t)(ARS_ARENA_ALIGN - 1);
    if (size <= sizeof(ars__arena_block)) return;
    only_block(arena, (char *)buffer + skip, size, BUFFER);
}

int ars_arena_init_range(ars_arena *arena, size_t size)
{
    size_t page = ars__os_page_size();
    void *memory;
    if (size == 0) return ARS_EINVAL;
    if (size > SIZE_MAX / 2 - page) return ARS_ENOMEM;
    size = ars__align_up(size + sizeof(ars__arena_block), page);
    int rc = ars__os_reserve(&memory, size);
    if (rc < 0) return rc;
    only_block(arena, memory, size, RANGE);
    return 0;
}

static void free_blocks(const ars_arena *arena, ars__arena_block *block)
{
    const ars_alloc *alloc = alloc_of(arena);
    for (ars__arena_block *next; block; block = next) {
        next = block->next;
        ars__san_unpoison(block, block->size);
        alloc->free(alloc->ctx, block, block->size, ARS_ARENA_ALIGN);
    }
}

void ars_arena_deinit(ars_arena *arena)
{
    ars__arena_block *first = arena->ars__first;
    if (arena->ars__kind == CHAIN) {
        free_blocks(arena, first);
    } else if (first) {
        size_t size = (size_t)(first->limit - (char *)first);
        ars__san_unpoison(first, size);
        if (arena->ars__kind == RANGE) ars__os_release(first, size);
    }
    *arena = (ars_arena){0};
}

/* ---- allocating ---- */

/* Where 'size' bytes would begin in the room from 'at' to 'limit'; NULL: there is none. */
static char *place(char *at, const char *limit, size_t size, size_t align)
{
    if (!at) return NULL;
    size_t room = (size_t)(limit - at), skip = -(uintptr_t)at & (align - 1);
    return skip < room && size <= room - skip ? at + skip : NULL;
}

/* Another block that has room, and it is in use; NULL, nothing changed. */
static char *next_block(ars_arena *arena, size_t size, size_t align)
{
    ars__arena_block *last = arena->ars__block;
    ars__arena_block **link = last ? &last->next : &arena->ars__first;
    char *p = *link ? place(start_of(*link), (*link)->limit, size, align) : NULL;
    if (!p) {
        size_t spare = sizeof **link + align + ARS_ARENA_ALIGN;
        if (arena->ars__kind != CHAIN || size > SIZE_MAX / 2 - spare) return NULL;
        size_t next = arena->ars__next ? arena->ars__next : ARS_ARENA_BLOCK;
        size_t bytes = size + spare > next ? size + spare : next;
        if (bytes > SIZE_MAX / 2) return NULL;
        bytes = ars__align_up(bytes, ARS_ARENA_ALIGN);
        const ars_alloc *alloc = alloc_of(arena);
        ars__arena_block *block = alloc->alloc(alloc->ctx, bytes, ARS_ARENA_ALIGN);
        if (!block) return NULL;
        *block = (ars__arena_block){.next = *link, .limit = (char *)block + bytes, .size = bytes};
        *link = block;
        if (next < BLOCK_MAX) arena->ars__next = next * 2;
        ars__san_poison(start_of(block), bytes - sizeof *block);
        p = place(start_of(block), block->limit, size, align);
    }
    if (last) last->used = arena->ars__at;
    enter(arena, *link, p);
    return p;
}

void *ars_arena_alloc_aligned(ars_arena *arena, size_t size, size_t align)
{
    if (size == 0 || size > SIZE_MAX / 2 || !ars__is_pow2(align) || align > SIZE_MAX / 4)
        return NULL;
    if (align < ARS_ARENA_ALIGN) align = ARS_ARENA_ALIGN;
    size_t bytes = ars__align_up(size, ARS_ARENA_ALIGN) + GAP;
    char *p = place(arena->ars__at, arena->ars__limit, bytes, align);
    if (!p) p = next_block(arena, bytes, align);
    if (!p) return NULL;
    go_on_at(arena, p + bytes);
    ars__san_unpoison(p, size);
    return p;
}

void *ars_arena_array(ars_arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) return NULL;
    void *p = ars_arena_alloc(arena, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *ars_arena_zalloc(ars_arena *arena, size_t size)
{
    return ars_arena_array(arena, 1, size);
}

void *ars_arena_memdup(ars_arena *arena, const void *data, size_t size)
{
    void *p = ars_arena_alloc(arena, size);
    return p ? memcpy(p, data, size) : NULL;
}

char *ars_arena_strdup(ars_arena *arena, const char *string)
{
    return ars_arena_memdup(arena, string, strlen(string) + 1);
}

char *ars_arena_vprintf(ars_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *p = n < 0 ? NULL : ars_arena_alloc(arena, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}

char *ars_arena_printf(ars_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *p = ars_arena_vprintf(arena, format, args);
    va_end(args);
    return p;
}

/* ---- taking back ---- */

/* Nothing is handed out from 'at' on, in the block in use. */
static void take_back(ars_arena *arena, char *at)
{
    ars__san_poison(at, (size_t)(arena->ars__limit - at));
    go_on_at(arena, at);
}

static int is_last(const ars_arena *arena, const char *p, size_t size)
{
    return p + ars__align_up(size, ARS_ARENA_ALIGN) + GAP == arena->ars__at;
}

static void *resize(ars_arena *arena, void *p, size_t old, size_t size, size_t align)
{
    if (size == 0 || size > SIZE_MAX / 2 || !ars__is_pow2(align)) return NULL;
    if (!p) return ars_arena_alloc_aligned(arena, size, align);
    size_t bytes = ars__align_up(size, ARS_ARENA_ALIGN) + GAP;
    if (is_last(arena, p, old) && bytes <= (size_t)(arena->ars__limit - (char *)p)) {
        take_back(arena, (char *)p + bytes);
        ars__san_poison(p, bytes);
        ars__san_unpoison(p, size);
        return p;
    }
    if (size <= old) {
        ars__san_poison((char *)p + ars__align_up(size, 8),
                        ars__align_up(old, 8) - ars__align_up(size, 8));
        return p;
    }
    void *moved = ars_arena_alloc_aligned(arena, size, align);
    return moved ? memcpy(moved, p, old) : NULL;
}

void *ars_arena_resize(ars_arena *arena, void *p, size_t old, size_t size)
{
    return resize(arena, p, old, size, ARS_ARENA_ALIGN);
}

void ars_arena_rewind(ars_arena *arena, ars_arena_mark mark)
{
    if (!mark.ars__block) {
        ars_arena_reset(arena);
        return;
    }
    for (ars__arena_block *at = mark.ars__block; at != arena->ars__block;) {
        at = at->next;
        ARS__ASSERT(at); /* the mark is void */
        ars__san_poison(start_of(at), (size_t)(at->limit - start_of(at)));
    }
    arena->ars__block = mark.ars__block;
    arena->ars__limit = mark.ars__block->limit;
    take_back(arena, mark.ars__at);
}

void ars_arena_reset(ars_arena *arena)
{
    ars__arena_block *first = arena->ars__first;
    if (!first) return;
    ars_arena_mark start = {first, start_of(first)};
    ars_arena_rewind(arena, start);
}

void ars_arena_trim(ars_arena *arena)
{
    ars__arena_block *block = arena->ars__block;
    if (!block) return;
    if (arena->ars__kind == CHAIN) {
        if (block == arena->ars__first && arena->ars__at == start_of(block)) {
            free_blocks(arena, block);
            ars_arena_init(arena, arena->ars__alloc, arena->ars__next);
            return;
        }
        free_blocks(arena, block->next);
        block->next = NULL;
    } else if (arena->ars__kind == RANGE) {
        size_t page = ars__os_page_size();
        char *from = (char *)ars__align_up((uintptr_t)arena->ars__at, page);
        if (from < block->limit) ars__os_discard(from, (size_t)(block->limit - from));
    }
}

/* ---- as an allocator ---- */

static void *alloc_fn(void *ctx, size_t size, size_t align)
{
    return ars_arena_alloc_aligned(ctx, size, align);
}

static void *resize_fn(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    return resize(ctx, p, old, size, align);
}

static void free_fn(void *ctx, void *p, size_t size, size_t align)
{
    ars_arena *arena = ctx;
    (void)align;
    if (is_last(arena, p, size))
        take_back(arena, p);
    else
        ars__san_poison(p, size);
}

ars_alloc ars_arena_as_alloc(ars_arena *arena)
{
    return (ars_alloc){alloc_fn, resize_fn, free_fn, arena};
}

ars_arena_stats ars_arena_count(const ars_arena *arena)
{
    ars_arena_stats stats = {0, 0, 0};
    int in_use = arena->ars__block != NULL;
    for (ars__arena_block *at = arena->ars__first; at; at = at->next) {
        const char *used = at == arena->ars__block ? arena->ars__at : at->used;
        stats.blocks++;
        stats.held += (size_t)(at->limit - (char *)at);
        if (in_use) stats.used += (size_t)(used - start_of(at));
        if (at == arena->ars__block) in_use = 0;
    }
    return stats;
}

void ars_scratch_deinit(ars_scratch *scratch)
{
    ars_arena_deinit(&scratch->arena[0]);
    ars_arena_deinit(&scratch->arena[1]);
}
