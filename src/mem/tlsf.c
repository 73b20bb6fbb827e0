/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/tlsf.h>.
 *
 * A region:   | region | block | block | ... | end |
 *
 * A block of S bytes begins with its word 'head' and ends where the head of the
 * next one lies; S is a multiple of two words.  In the structure below the word
 * before the head is the last one of the block before it, which has a use only
 * while that block is free: it then points to it.
 *
 *      | prev | head | next | before | ...                  | prev' | head' ...
 *      ^ block       ^ content, aligned to two words         ^ block + S
 *
 * Where assertions are on, the last word of a live block's content says what was asked for,
 * and the bytes between that and the word are a pattern.
 *
 * Nothing here needs an operating system, nor more than 32 bits.
 */
#include <arsenal/tlsf.h>

#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/san.h"

/* Heads and free blocks are poisoned to everybody else. */
#define RAW __attribute__((no_sanitize_address))

typedef struct ars__tlsf_block block;
typedef struct ars__tlsf_region region;

struct ars__tlsf_block {
    block *prev;
    size_t head; /* S, with flags in the bits that are 0 in it */
    block *next, *before;
};

struct ars__tlsf_region {
    region *next;
    void *memory; /* as it was added */
    block *first, *end;
};

enum {
    WORD = sizeof(size_t),
    GRAIN = 2 * WORD,
    GRAIN_BITS = WORD == 8 ? 4 : 3,
    COLUMN_BITS = WORD == 8 ? 5 : 4,
    SMALL = 1 << (GRAIN_BITS + COLUMN_BITS), /* below: a list for each size */
    CONTENT = 2 * WORD,                      /* where it begins in a block */
    LEAST = 4 * WORD,                        /* the smallest block */
    FREE = 1,
    PREV_FREE = 2,
    FLAGS = FREE | PREV_FREE,
    PATTERN = 0xb5,
    /* What is asked for is remembered. */
    CHECKED = ARS__ASSERTS || ARS__ASAN,
    NOTE = CHECKED ? WORD : 0,
    LIMIT_BITS = GRAIN_BITS + COLUMN_BITS + ARS__TLSF_ROWS - 1
};

#define LIMIT ((size_t)1 << LIMIT_BITS) /* of blocks, exclusive */
#define NOTED ((size_t)0x5bd1e995u)

ARS__STATIC_ASSERT(1 << COLUMN_BITS == ARS__TLSF_COLUMNS);
ARS__STATIC_ASSERT(sizeof(block) == LEAST);

/* ---- blocks ---- */

RAW static inline size_t size_of(const block *b)
{
    return b->head & ~(size_t)FLAGS;
}

static inline block *at(const block *b, size_t bytes)
{
    return (block *)(void *)((char *)(uintptr_t)b + bytes);
}

RAW static inline block *after(const block *b)
{
    return at(b, size_of(b));
}

static inline void *content(const block *b)
{
    return at(b, CONTENT);
}

static inline block *block_of(const void *p)
{
    return (block *)(void *)((char *)(uintptr_t)p - CONTENT);
}

/* The bytes that a block has for its content. */
RAW static inline size_t room(const block *b)
{
    return size_of(b) - WORD;
}

/* The size of a block for a request; 0 where there can be none. */
static inline size_t block_size(size_t size)
{
    if (size == 0 || size >= LIMIT - 2 * LEAST) return 0;
    size = ars__align_up(size + WORD + NOTE, GRAIN);
    return size < LEAST ? (size_t)LEAST : size;
}

/* ---- what was asked for ---- */

RAW static inline size_t *note_of(const block *b)
{
    return (size_t *)(void *)((char *)content(b) + room(b) - WORD);
}

RAW static inline size_t asked(const block *b)
{
    return CHECKED ? *note_of(b) ^ (uintptr_t)b ^ NOTED : room(b);
}

RAW static void note(block *b, size_t size)
{
    if (!CHECKED) return;
    char *p = content(b);
    *note_of(b) = size ^ (uintptr_t)b ^ NOTED;
    for (size_t i = size; i < room(b) - WORD; i++) p[i] = (char)PATTERN;
}

/* Whether nobody has written behind what was asked for. */
RAW static int note_is_right(const block *b)
{
    if (!CHECKED) return 1;
    const unsigned char *p = content(b);
    const size_t size = asked(b), last = room(b) - WORD;
    if (size == 0 || size > last) return 0;
    for (size_t i = size; i < last; i++)
        if (p[i] != PATTERN) return 0;
    return 1;
}

/* ---- lists ---- */

/* The list that blocks of 'size' bytes are in. */
static inline void list_of(size_t size, unsigned *row, unsigned *column)
{
    if (size < SMALL) {
        *row = 0;
        *column = (unsigned)(size >> GRAIN_BITS);
        return;
    }
    const unsigned bit = 63 - ars__clz64(size);
    *row = bit - (GRAIN_BITS + COLUMN_BITS) + 1;
    *column = (unsigned)(size >> (bit - COLUMN_BITS)) - ARS__TLSF_COLUMNS;
}

/* The size of the smallest block in a list. */
static inline size_t least_of(unsigned row, unsigned column)
{
    if (row == 0) return (size_t)column << GRAIN_BITS;
    return (size_t)(ARS__TLSF_COLUMNS + column) << (row - 1 + GRAIN_BITS);
}

RAW static void link(ars_tlsf *t, block *b)
{
    unsigned row, column;
    list_of(size_of(b), &row, &column);
    block *first = t->ars__free[row][column];
    b->next = first;
    b->before = NULL;
    if (first) first->before = b;
    t->ars__free[row][column] = b;
    t->ars__columns[row] |= (uint32_t)1 << column;
    t->ars__rows |= (uint32_t)1 << row;
}

RAW static void unlink(ars_tlsf *t, block *b)
{
    block *next = b->next, *before = b->before;
    if (next) next->before = before;
    if (before) {
        before->next = next;
        return;
    }
    unsigned row, column;
    list_of(size_of(b), &row, &column);
    ARS__ASSERT(t->ars__free[row][column] == b);
    t->ars__free[row][column] = next;
    if (next) return;
    t->ars__columns[row] &= ~((uint32_t)1 << column);
    if (!t->ars__columns[row]) t->ars__rows &= ~((uint32_t)1 << row);
}

/* Finds the smallest list all of whose blocks have 'size' bytes, and takes its first one out. */
RAW static block *take(ars_tlsf *t, size_t size)
{
    unsigned row, column;
    if (size >= SMALL) size += ((size_t)1 << (63 - ars__clz64(size) - COLUMN_BITS)) - 1;
    if (size >= LIMIT) return NULL;
    list_of(size, &row, &column);
    uint32_t columns = t->ars__columns[row] & ~(uint32_t)0 << column;
    if (!columns) {
        const uint32_t rows = t->ars__rows & (0 - ((uint32_t)2 << row));
        if (!rows) return NULL;
        row = ars__ctz64(rows);
        columns = t->ars__columns[row];
    }
    block *b = t->ars__free[row][ars__ctz64(columns)];
    unlink(t, b);
    return b;
}

/* ---- division and union ---- */

/* Makes the 'size' bytes at 'b', which are in no list and follow a block that is live, a free block. */
RAW static void release(ars_tlsf *t, block *b, size_t size)
{
    block *next = at(b, size);
    if (next->head & FREE) {
        unlink(t, next);
        size += size_of(next);
        next = at(b, size);
    }
    b->head = size | FREE;
    next->prev = b;
    next->head |= PREV_FREE;
    link(t, b);
    /* With the word 'prev' behind it, which is still the block's own. */
    ars__san_poison(content(b), size - WORD);
}

/* Takes from a live block what is beyond 'size' bytes, if that is enough for another one. */
RAW static void trim(ars_tlsf *t, block *b, size_t size)
{
    const size_t rest = size_of(b) - size;
    if (rest < LEAST) return;
    b->head -= rest;
    at(b, size)->head = rest;
    release(t, at(b, size), rest);
}

RAW static void count(ars_tlsf *t, size_t more, size_t less)
{
    t->ars__used += more - less;
    if (t->ars__used > t->ars__peak) t->ars__peak = t->ars__used;
}

/* ---- misuse ---- */

/* Whether 'p' can be the content of a block; steps in proportion to the regions. */
RAW static int is_ours(const ars_tlsf *t, const void *p)
{
    const block *b = block_of(p);
    if (((uintptr_t)p & (GRAIN - 1)) != 0) return 0;
    for (const region *r = t->ars__regions; r; r = r->next)
        if ((uintptr_t)b >= (uintptr_t)r->first && (uintptr_t)b < (uintptr_t)r->end)
            return size_of(b) >= LEAST && size_of(b) <= (uintptr_t)r->end - (uintptr_t)b;
    return 0;
}

#if ARS__ASSERTS
RAW static int was_freed(const block *b)
{
    return b->head & FREE || after(b)->head & PREV_FREE;
}

static void check_live(const ars_tlsf *t, const void *p)
{
    /* The abort tells by its text what is wrong with the block. */
    const int block_of_this_allocator = is_ours(t, p);
    ARS__ASSERT(block_of_this_allocator);
    const int block_is_live = !was_freed(block_of(p));
    ARS__ASSERT(block_is_live);
    const int nothing_written_behind_block = note_is_right(block_of(p));
    ARS__ASSERT(nothing_written_behind_block);
}
#else
static inline void check_live(const ars_tlsf *t, const void *p)
{
    (void)t, (void)p;
}
#endif

/* ---- allocating ---- */

/* A free block becomes one of 'size' bytes in it, whose content is aligned. */
RAW static block *take_aligned(ars_tlsf *t, size_t size, size_t align)
{
    if (align >= LIMIT) return NULL;
    block *b = take(t, size + align + LEAST);
    if (!b) return NULL;
    uintptr_t p = (uintptr_t)content(b);
    size_t gap = (0 - p) & (align - 1);
    /* What is left before it must be a block. */
    if (gap != 0 && gap < LEAST) gap += align > LEAST ? align : (size_t)LEAST;
    if (gap == 0) return b;
    block *moved = at(b, gap);
    moved->head = size_of(b) - gap;
    moved->prev = b;
    b->head = gap | FREE;
    /* The bytes before it stay free, those from here on do not. */
    moved->head |= PREV_FREE;
    link(t, b);
    return moved;
}

RAW void *ars_tlsf_alloc(ars_tlsf *t, size_t size, size_t align)
{
    const size_t whole = block_size(size);
    if (whole == 0 || !ars__is_pow2(align)) return NULL;
    block *b = align <= GRAIN ? take(t, whole) : take_aligned(t, whole, align);
    if (!b) return NULL;
    b->head &= ~(size_t)FREE;
    after(b)->head &= ~(size_t)PREV_FREE;
    trim(t, b, whole);
    count(t, size_of(b), 0);
    t->ars__blocks++;
    note(b, size);
    ars__san_unpoison(content(b), size);
    return content(b);
}

RAW void ars_tlsf_free(ars_tlsf *t, void *p)
{
    if (!p) return;
    check_live(t, p);
    block *b = block_of(p);
    size_t size = size_of(b);
    count(t, 0, size);
    t->ars__blocks--;
    if (b->head & PREV_FREE) {
        block *prev = b->prev;
        /* Whoever frees it again shall find it free. */
        b->head |= FREE;
        ars__san_poison(p, size - WORD);
        unlink(t, prev);
        size += size_of(prev);
        b = prev;
    }
    release(t, b, size);
}

/* Makes a live block larger or smaller where it is; 0 where it cannot be. */
RAW static int resize_in_place(ars_tlsf *t, block *b, size_t whole)
{
    const size_t had = size_of(b);
    if (whole > had) {
        block *next = after(b);
        if (!(next->head & FREE) || had + size_of(next) < whole) return 0;
        unlink(t, next);
        b->head += size_of(next);
        after(b)->head &= ~(size_t)PREV_FREE;
    }
    trim(t, b, whole);
    count(t, size_of(b), had);
    return 1;
}

RAW void *ars_tlsf_resize(ars_tlsf *t, void *p, size_t size, size_t align)
{
    const size_t whole = block_size(size);
    if (whole == 0 || !ars__is_pow2(align)) return NULL;
    check_live(t, p);
    block *b = block_of(p);
    const size_t kept = asked(b);
    if (((uintptr_t)p & (align - 1)) == 0 && resize_in_place(t, b, whole)) {
        note(b, size);
        ars__san_poison(p, room(b));
        ars__san_unpoison(p, size);
        return p;
    }
    void *q = ars_tlsf_alloc(t, size, align);
    if (!q) return NULL;
    memcpy(q, p, kept < size ? kept : size);
    ars_tlsf_free(t, p);
    return q;
}

size_t ars_tlsf_usable(const void *p)
{
    return asked(block_of(p));
}

/* ---- the allocator interface ---- */

static void *tlsf_alloc(void *ctx, size_t size, size_t align)
{
    return ars_tlsf_alloc(ctx, size, align);
}

static void *tlsf_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    ARS__ASSERT(!CHECKED || asked(block_of(p)) == old);
    (void)old;
    return ars_tlsf_resize(ctx, p, size, align);
}

static void tlsf_free(void *ctx, void *p, size_t size, size_t align)
{
    check_live(ctx, p);
    ARS__ASSERT(!CHECKED || asked(block_of(p)) == size);
    (void)size, (void)align;
    ars_tlsf_free(ctx, p);
}

void ars_tlsf_init(ars_tlsf *t)
{
    memset(t, 0, sizeof *t);
    t->alloc.alloc = tlsf_alloc;
    t->alloc.resize = tlsf_resize;
    t->alloc.free = tlsf_free;
    t->alloc.ctx = t;
}

/* ---- regions ---- */

RAW int ars_tlsf_add(ars_tlsf *t, void *memory, size_t size)
{
    const uintptr_t begin = (uintptr_t)memory, end = begin + size;
    if (!memory || end < begin || size < sizeof(region) + 2 * GRAIN + LEAST) return ARS_EINVAL;
    region *r = (region *)ars__align_up(begin, GRAIN);
    /* The first block's word 'prev' and the end's 'head' take a grain. */
    block *first = (block *)(void *)(r + 1), *last = (block *)ars__align_down(end - GRAIN, GRAIN);
    if ((uintptr_t)last < (uintptr_t)first + LEAST) return ARS_EINVAL;
    const size_t bytes = (uintptr_t)last - (uintptr_t)first;
    if (bytes >= LIMIT) return ARS_EINVAL;
    for (const region *other = t->ars__regions; other; other = other->next)
        if (begin < (uintptr_t)other->end + GRAIN && end > (uintptr_t)other->memory)
            return ARS_EINVAL;
    r->memory = memory;
    r->first = first;
    r->end = last;
    r->next = t->ars__regions;
    t->ars__regions = r;
    t->ars__size += bytes;
    last->head = 0;
    first->prev = NULL;
    release(t, first, bytes);
    ars__san_poison(r, (uintptr_t)first + CONTENT - (uintptr_t)r);
    ars__san_poison(last, GRAIN);
    return 0;
}

RAW int ars_tlsf_remove(ars_tlsf *t, void *memory)
{
    region **link_to = &t->ars__regions;
    while (*link_to && (*link_to)->memory != memory) link_to = &(*link_to)->next;
    region *r = *link_to;
    if (!r) return ARS_EINVAL;
    block *first = r->first;
    if (!(first->head & FREE) || after(first) != r->end) return ARS_EBUSY;
    unlink(t, first);
    t->ars__size -= size_of(first);
    *link_to = r->next;
    ars__san_unpoison(r, (uintptr_t)r->end + GRAIN - (uintptr_t)r);
    return 0;
}

/* ---- looking ---- */

RAW ars_tlsf_stats ars_tlsf_get_stats(const ars_tlsf *t)
{
    ars_tlsf_stats stats = {t->ars__size, t->ars__used, t->ars__peak, t->ars__blocks, 0};
    if (t->ars__rows) {
        const unsigned row = 63 - ars__clz64(t->ars__rows);
        stats.largest = least_of(row, 63 - ars__clz64(t->ars__columns[row])) - WORD - NOTE;
    }
    return stats;
}

RAW int ars_tlsf_walk(const ars_tlsf *t, ars_tlsf_visit *visit, void *arg)
{
    for (const region *r = t->ars__regions; r; r = r->next) {
        for (block *b = r->first; b != r->end; b = after(b)) {
            const int live = !(b->head & FREE);
            const int rc = visit(arg, content(b), live ? asked(b) : room(b), live);
            if (rc != 0) return rc;
        }
    }
    return 0;
}

typedef struct sums {
    size_t size, used, blocks, free;
} sums;

/* The blocks of one region, each by what its neighbours say; adds to the sums. */
RAW static int check_region(const region *r, sums *s)
{
    const block *prev = NULL;
    for (const block *b = r->first;; b = after(b)) {
        const int prev_free = prev && prev->head & FREE;
        if (!(b->head & PREV_FREE) != !prev_free || (prev_free && b->prev != prev)) return 0;
        if (b == r->end) return b->head <= PREV_FREE;
        const size_t size = size_of(b);
        if (size < LEAST || size % GRAIN != 0 || size > (uintptr_t)r->end - (uintptr_t)b) return 0;
        s->size += size;
        if (b->head & FREE) {
            if (prev_free) return 0;
            s->free++;
        } else {
            if (!note_is_right(b)) return 0;
            s->used += size;
            s->blocks++;
        }
        prev = b;
    }
}

/* One list; returns how many blocks are in it, or SIZE_MAX. */
RAW static size_t check_list(const ars_tlsf *t, unsigned row, unsigned column, size_t most)
{
    size_t n = 0;
    const block *before = NULL;
    for (const block *b = t->ars__free[row][column]; b; b = b->next) {
        unsigned its_row, its_column;
        if (n++ == most || !is_ours(t, content(b)) || !(b->head & FREE)) return SIZE_MAX;
        list_of(size_of(b), &its_row, &its_column);
        if (b->before != before || its_row != row || its_column != column) return SIZE_MAX;
        before = b;
    }
    return n;
}

RAW int ars_tlsf_check(const ars_tlsf *t)
{
    sums s = {0, 0, 0, 0};
    for (const region *r = t->ars__regions; r; r = r->next)
        if (!check_region(r, &s)) return ARS_EFAULT;
    if (s.size != t->ars__size || s.used != t->ars__used || s.blocks != t->ars__blocks)
        return ARS_EFAULT;
    for (unsigned row = 0; row < ARS__TLSF_ROWS; row++) {
        if (!t->ars__columns[row] != !(t->ars__rows >> row & 1)) return ARS_EFAULT;
        for (unsigned column = 0; column < ARS__TLSF_COLUMNS; column++) {
            const size_t n = check_list(t, row, column, s.free);
            if (n == SIZE_MAX || !n != !(t->ars__columns[row] >> column & 1)) return ARS_EFAULT;
            s.free -= n;
        }
    }
    return s.free == 0 ? 0 : ARS_EFAULT;
}
