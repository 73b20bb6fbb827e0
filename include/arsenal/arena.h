/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_ARENA_H
#define ARSENAL_ARENA_H

#include <arsenal/alloc.h>
#include <stdarg.h>

ARS_BEGIN_DECLS

/*
 * Memory that is given back all at once: an allocation moves a pointer, and
 * nothing is freed by itself.  What belongs to a request, a frame, a parse.
 *
 *     ars_arena arena;
 *     ars_arena_init(&arena, NULL, 0);
 *     for (each request) {
 *         struct header *h = ars_arena_array(&arena, n, sizeof *h);
 *         char *path = ars_arena_printf(&arena, "/%s", name);
 *         ...
 *         ars_arena_reset(&arena);
 *     }
 *     ars_arena_deinit(&arena);
 *
 * An arena has its memory from an allocator, block by block, each twice as
 * large as the one before; or it has one block: the user's buffer, or a range
 * of address space that takes memory as it is touched.
 *
 * All that gives memory returns it aligned to ARS_ARENA_ALIGN and not
 * initialised, unless it says otherwise; or NULL, and nothing has changed:
 * without memory, when the one block is full, for size 0, and where n * size
 * overflows.
 *
 * Under AddressSanitizer, with a library built for it, what is not handed out
 * is poisoned, and between two allocations lies a poisoned gap.  Valgrind sees
 * the blocks only.
 *
 * Thread rule: one user at a time.
 */

enum {
    ARS_ARENA_ALIGN = 16,
    ARS_ARENA_BLOCK = 4096 /* bytes of the first block, if nothing is said */
};

typedef struct ars__arena_block ars__arena_block;

/* The fields are private.  All-zero is an arena of the default allocator. */
typedef struct ars_arena {
    char *ars__at;                /* the next allocation; aligned, as 'ars__end' is */
    char *ars__end;               /* how far ars_arena_alloc() may go without a call */
    char *ars__limit;             /* of the block */
    ars__arena_block *ars__block; /* the one in use; those before it are full */
    ars__arena_block *ars__first;
    const ars_alloc *ars__alloc; /* NULL: the default */
    size_t ars__next;            /* bytes of the next block; 0: the first is to come */
    uint32_t ars__kind;
    uint32_t ars__pad;
} ars_arena;

/*
 * ars_arena_init() makes an arena of blocks from 'alloc' (NULL: the default),
 * the first of 'block' bytes (0: ARS_ARENA_BLOCK) when it is needed.  A child
 * of another arena is one with that one's ars_arena_as_alloc(): it ends, at
 * the latest, when its parent is reset or rewound.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_arena_init(ars_arena *arena, const ars_alloc *alloc, size_t block);

/*
 * ars_arena_init_buffer() makes an arena of the 'size' bytes at 'buffer', and
 * no more.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_arena_init_buffer(ars_arena *arena, void *buffer, size_t size);

/*
 * ars_arena_init_range() reserves address space for 'size' bytes, which take
 * memory when they are first touched: allocations never move to another block,
 * and those that follow each other lie side by side.
 *
 * Returns 0; ARS_EINVAL for size 0; ARS_ENOMEM.
 *
 * Suspends: no.  Allocates: from the system.  Callable from: anywhere.
 */
ARS_API ARS_MUST_USE int ars_arena_init_range(ars_arena *arena, size_t size);

/*
 * ars_arena_deinit() gives back all blocks, and with them all allocations; the
 * arena is all-zero then.  A zeroed arena is allowed.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_arena_deinit(ars_arena *arena);

/*
 * ars_arena_alloc() gives 'size' bytes, ars_arena_alloc_aligned() such that are
 * aligned to 'align', a power of two (NULL for another one).
 *
 * Suspends: no.  Allocates: as the arena does.  Callable from: anywhere.
 */
ARS_API void *ars_arena_alloc_aligned(ars_arena *arena, size_t size, size_t align);
ARS_INLINE void *ars_arena_alloc(ars_arena *arena, size_t size)
{
    char *at = arena->ars__at;
    /* The room is a multiple of the alignment: what fits, fits rounded up.  Size 0 is the largest here. */
    if (size - 1 >= (size_t)(arena->ars__end - at))
        return ars_arena_alloc_aligned(arena, size, ARS_ARENA_ALIGN);
    arena->ars__at = at + ((size + ARS_ARENA_ALIGN - 1) & ~(size_t)(ARS_ARENA_ALIGN - 1));
    return at;
}

/*
 * ars_arena_zalloc() gives 'size' zero bytes, ars_arena_array() 'n' zeroed
 * elements of 'size' bytes.
 *
 * Suspends: no.  Allocates: as the arena does.  Callable from: anywhere.
 */
ARS_API void *ars_arena_zalloc(ars_arena *arena, size_t size);
ARS_API void *ars_arena_array(ars_arena *arena, size_t n, size_t size);

/*
 * ars_arena_memdup() gives a copy of the 'size' bytes at 'data',
 * ars_arena_strdup() one of a string, ars_arena_printf() the string that
 * printf() would print (NULL also when the format is none).
 *
 * Suspends: no.  Allocates: as the arena does.  Callable from: anywhere.
 */
ARS_API void *ars_arena_memdup(ars_arena *arena, const void *data, size_t size);
ARS_API char *ars_arena_strdup(ars_arena *arena, const char *string);
ARS_API char *ars_arena_printf(ars_arena *arena, const char *format, ...) ARS_PRINTF(2, 3);
ARS_API char *ars_arena_vprintf(ars_arena *arena, const char *format, va_list args)
    ARS_PRINTF(2, 0);

/*
 * ars_arena_resize() gives the allocation at 'p', of 'old' bytes, 'size' bytes
 * instead: the last one stays in its place while its block has room, others
 * are copied.  NULL leaves it as it was.  'p' NULL with 'old' 0 is a new one.
 *
 * Suspends: no.  Allocates: as the arena does.  Callable from: anywhere.
 */
ARS_API void *ars_arena_resize(ars_arena *arena, void *p, size_t old, size_t size);

/*
 * A mark is how far an arena has come.  ars_arena_rewind() takes back all that
 * came after it, and keeps the blocks for what follows.  Marks that are later
 * than the one rewound to, or older than a reset, are void.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
typedef struct ars_arena_mark {
    ars__arena_block *ars__block;
    char *ars__at;
} ars_arena_mark;

ARS_INLINE ars_arena_mark ars_arena_here(const ars_arena *arena)
{
    ars_arena_mark mark = {arena->ars__block, arena->ars__at};
    return mark;
}
ARS_API void ars_arena_rewind(ars_arena *arena, ars_arena_mark mark);

/*
 * ars_arena_reset() takes everything back and keeps the blocks.
 * ars_arena_trim() gives back the memory that is held beyond what is in use:
 * blocks to the allocator, pages of a range to the system.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_arena_reset(ars_arena *arena);
ARS_API void ars_arena_trim(ars_arena *arena);

/*
 * ars_arena_as_alloc() gives an allocator that takes from the arena: for a
 * structure that allocates, and ends with the arena.  A free takes back the
 * last allocation and is nothing for others.  It is valid as long as the arena
 * lies where it is.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_alloc ars_arena_as_alloc(ars_arena *arena);

/* Bytes handed out, with what alignment cost; bytes of all blocks; blocks.  Of a range: of address space. */
typedef struct ars_arena_stats {
    size_t used;
    size_t held;
    size_t blocks;
} ars_arena_stats;

ARS_API ars_arena_stats ars_arena_count(const ars_arena *arena);

/*
 * A pair of arenas for what is needed within a function: one for its result,
 * which the caller has taken from one of the two, the other for what is on the
 * way to it.  Each thread, or each task, has a pair of its own.
 *
 *     char *join(ars_scratch *scratch, ars_arena *into, ...)
 *     {
 *         ars_arena *temporary = ars_scratch_other(scratch, into);
 *         ars_arena_mark mark = ars_arena_here(temporary);
 *         ...
 *         ars_arena_rewind(temporary, mark);
 *         return ars_arena_strdup(into, ...);
 *     }
 *
 * All-zero is valid.  ars_scratch_other() gives the one of the pair that
 * 'taken' is not ('taken' may be any other arena, or NULL).
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
typedef struct ars_scratch {
    ars_arena arena[2];
} ars_scratch;

ARS_INLINE ars_arena *ars_scratch_other(ars_scratch *scratch, const ars_arena *taken)
{
    return &scratch->arena[taken == &scratch->arena[0]];
}
ARS_API void ars_scratch_deinit(ars_scratch *scratch);

ARS_END_DECLS

#endif
