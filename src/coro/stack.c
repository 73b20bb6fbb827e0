/* SPDX-License-Identifier: MIT */
/* Documented in stack.h. */
#include "coro/stack.h"

#include <arsenal/atomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/san.h"
#include "os/os.h"

enum {
    LINE = 64,
    /* Of stacks of the usual size; of others, what takes as many bytes. */
    FIRST = 4096,      /* stacks in the first reservation; each further one has twice as many */
    LARGEST = 1 << 20, /* ... up to this */
    SMALLEST = 16,     /* where address space is short, halved down to this */
    TRIMMED = 64,      /* stacks that give their pages back at once */
    SEGMENTS = 64,
    BATCH = 64, /* most guards made at once */
    CANARY_WORDS = 8
};
static const uint64_t canary = 0x5afe57ac6dead11fu;

enum kind { LIGHT, PROTECT, CANARY };

typedef struct segment {
    char *base;     /* the first stack's guard */
    uint64_t first; /* the first stack's number; they count through all segments */
    uint64_t count;
} segment;

struct ars_stack_pool {
    const ars_alloc *alloc;
    ars__stack_pool *next;
    ars__stack_header *free;
    size_t page, size, stride;
    enum kind kind;             /* of the guards to come */
    int probed;                 /* a guard of this kind was seen to fault */
    unsigned batch;             /* guards to make next time */
    uint64_t fresh;             /* the first stack that was never handed out */
    uint64_t canary_from;       /* the first stack with a canary */
    uint64_t grow;              /* stacks in the next segment */
    uint64_t warm;              /* stacks in 'free': they keep their pages */
    uint64_t keep;              /* as many may */
    uint64_t lowest;            /* the least that 'warm' was since ars__stack_pool_age() */
    uint64_t idle;              /* of those beyond 'keep', as many give them back */
    uint64_t largest, smallest; /* numbers of stacks in a segment */
    uint32_t *cold;             /* numbers of free stacks whose pages were given back */
    size_t cold_count, cold_room;
    ars__stack_stats stats;
    ars_atomic_ptr returned; /* headers of stacks that others have given back */
    ars_atomic_u32 segments; /* stored with release after the new segment was filled in */
    segment segment[SEGMENTS];
};
ARS__STATIC_ASSERT(sizeof(ars__stack_header) + 15 * LINE <= ARS__STACK_TAKEN);

/*
 * All pools, so that a fault address finds its stack.  The lock is held for a
 * few instructions; a signal handler that cannot get it soon gives up, because
 * it may have interrupted the holder.
 */
static ars__stack_pool *pools;
static ars_atomic_u32 pools_lock;
enum { LOCK_PATIENCE = 1 << 20 };

static int lock_pools(unsigned patience)
{
    while (ars_atomic_u32_swap_acquire(&pools_lock, 1)) {
        if (patience && --patience == 0) return 0;
        ars_atomic_pause();
    }
    return 1;
}

static void unlock_pools(void)
{
    ars_atomic_u32_store_release(&pools_lock, 0);
}

/* As many stacks of the pool's size as take the bytes of 'n' usual ones. */
static uint64_t scaled(const ars__stack_pool *pool, uint64_t n)
{
    n = n * ARS__STACK_SIZE / pool->size;
    return n ? n : 1;
}

int ars__stack_pool_new(ars__stack_pool **out, const ars_alloc *alloc, size_t size)
{
    if (!alloc) alloc = ars_alloc_default();
    ars__stack_pool *pool = alloc->alloc(alloc->ctx, sizeof *pool, _Alignof(ars__stack_pool));
    if (!pool) return ARS_ENOMEM;

    size_t page = ars__os_page_size();
    size_t pages = (size + page - 1) / page + 1;
    *pool = (ars__stack_pool){.alloc = alloc,
                              .page = page,
                              .size = size,
                              .stride = (pages | 1) * page,
                              .batch = 1,
                              .canary_from = UINT64_MAX,
                              .keep = UINT64_MAX,
                              .idle = UINT64_MAX};
    pool->grow = scaled(pool, FIRST);
    pool->largest = scaled(pool, LARGEST);
    pool->smallest = scaled(pool, SMALLEST);
    lock_pools(0);
    pool->next = pools;
    pools = pool;
    unlock_pools();
    *out = pool;
    return 0;
}

/* Reserves one more segment, of 'want' stacks or what the address space still has. */
static int add_segment(ars__stack_pool *pool, uint64_t want)
{
    unsigned n = ars_atomic_u32_load_relaxed(&pool->segments);
    if (n == SEGMENTS) return ARS_ENOMEM;

    void *base;
    int rc;
    while ((rc = ars__os_reserve(&base, want * pool->stride)) < 0) {
        if (rc != ARS_ENOMEM || want <= pool->smallest) return rc;
        want = want / 2 > pool->smallest ? want / 2 : pool->smallest;
    }
    pool->segment[n] = (segment){base, pool->stats.reserved, want};
    pool->stats.reserved += want;
    pool->grow = want * 2 < pool->largest ? want * 2 : pool->largest;
    ars_atomic_u32_store_release(&pool->segments, n + 1);
    return 0;
}

int ars__stack_pool_reserve(ars__stack_pool *pool, uint64_t n)
{
    unsigned before = ars_atomic_u32_load_relaxed(&pool->segments);
    while (pool->stats.reserved < n) {
        uint64_t missing = n - pool->stats.reserved;
        uint64_t want = missing > pool->grow ? missing : pool->grow;
        int rc = add_segment(pool, want < pool->largest ? want : pool->largest);
        if (rc == 0) continue;

        unsigned now = ars_atomic_u32_load_relaxed(&pool->segments);
        while (now > before) {
            segment *last = &pool->segment[--now];
            ars_atomic_u32_store_release(&pool->segments, now);
            pool->stats.reserved -= last->count;
            ars__os_release(last->base, last->count * pool->stride);
        }
        return rc;
    }
    return 0;
}

static const segment *segment_of(const ars__stack_pool *pool, uint64_t number)
{
    const segment *s = pool->segment;
    while (number - s->first >= s->count) s++;
    return s;
}

/* The number of the stack whose guard or usable part 'p' lies in; UINT64_MAX: not one of the pool's. */
static uint64_t number_of(const ars__stack_pool *pool, const void *p)
{
    unsigned n = ars_atomic_u32_load_acquire(&pool->segments);
    for (unsigned i = 0; i < n; i++) {
        uint64_t offset = (uintptr_t)p - (uintptr_t)pool->segment[i].base;
        if (offset < pool->segment[i].count * pool->stride)
            return pool->segment[i].first + offset / pool->stride;
    }
    return UINT64_MAX;
}

static char *guard_of(const ars__stack_pool *pool, uint64_t number)
{
    const segment *s = segment_of(pool, number);
    return s->base + (number - s->first) * pool->stride;
}

void ars__stack_pool_free(ars__stack_pool *pool)
{
    if (!pool) return;
    lock_pools(0);
    ars__stack_pool **link = &pools;
    while (*link != pool) link = &(*link)->next;
    *link = pool->next;
    unlock_pools();

    if (ARS__ASAN) {
        for (uint64_t i = 0; i < pool->fresh; i++)
            ars__san_unpoison(guard_of(pool, i), pool->stride);
    }
    unsigned n = ars_atomic_u32_load_relaxed(&pool->segments);
    for (unsigned i = 0; i < n; i++)
        ars__os_release(pool->segment[i].base, pool->segment[i].count * pool->stride);
    if (pool->cold)
        pool->alloc->free(pool->alloc->ctx, pool->cold, pool->cold_room * sizeof *pool->cold,
                          sizeof *pool->cold);
    pool->alloc->free(pool->alloc->ctx, pool, sizeof *pool, _Alignof(ars__stack_pool));
}

static ars__stack_header *header_at(const ars__stack_pool *pool, uint64_t number)
{
    char *end = guard_of(pool, number) + pool->stride - ((number * 5) & 15) * LINE;
    return (ars__stack_header *)(void *)(end - sizeof(ars__stack_header));
}

/* Guards 'n' stacks from 'number' on, which lie in one segment, with the best kind that works. */
static void make_guards(ars__stack_pool *pool, uint64_t number, unsigned n)
{
    char *at = guard_of(pool, number);
    unsigned done = 0;
    if (pool->kind == LIGHT) {
        /* Success is not enough: emulators take any advice and do nothing. */
        int rc = ars__os_guard_light(at, pool->page, pool->stride, n);
        if (rc == 0 && (pool->probed || ars__os_guard_probe(at) == 1)) {
            pool->probed = 1;
            pool->stats.guard_light += n;
            done = n;
        } else {
            pool->kind = PROTECT;
            pool->probed = 0;
        }
    }
    for (; pool->kind == PROTECT && done < n; done++) {
        char *guard = at + done * pool->stride;
        if (ars__os_guard_protect(guard, pool->page) < 0 ||
            (!pool->probed && ars__os_guard_probe(guard) == 0)) {
            pool->kind = CANARY;
            pool->canary_from = number + done;
            break;
        }
        pool->probed = 1;
        pool->stats.guard_protect++;
    }
    pool->stats.guard_canary += n - done;
}

/* In the lowest bytes: the page below may have become a guard before its kind was given up. */
static uint64_t *canary_of(const ars__stack_pool *pool, uint64_t number)
{
    return (uint64_t *)(void *)(guard_of(pool, number) + pool->page);
}

static void set_canary(uint64_t *word)
{
    for (int i = 0; i < CANARY_WORDS; i++) word[i] = canary;
}

/* Makes the next stacks ready: more at a time the more there are. */
static int carve(ars__stack_pool *pool)
{
    uint64_t number = pool->stats.carved;
    int rc = ars__stack_pool_reserve(pool, number + 1);
    if (rc < 0) return rc;

    const segment *s = segment_of(pool, number);
    uint64_t left = s->first + s->count - number;
    unsigned n = left < pool->batch ? (unsigned)left : pool->batch;
    make_guards(pool, number, n);
    pool->stats.carved += n;
    if (pool->batch < BATCH) pool->batch *= 2;
    return 0;
}

/* The canary ends where the stack begins. */
static uint64_t *canary_below(ars__stack stack)
{
    return (uint64_t *)(void *)stack.low - CANARY_WORDS;
}

int ars__stack_revive(ars__stack stack)
{
    if (!(ars__stack_header_of(stack)->home & 1)) return 0;
    uint64_t *word = canary_below(stack);
    int dead = 0;
    for (int i = 0; i < CANARY_WORDS; i++) dead |= word[i] != canary;
    if (ARS__UNLIKELY(dead)) set_canary(word);
    return dead;
}

int ars__stack_put(ars__stack_pool *pool, ars__stack stack)
{
    ars__stack_header *h = ars__stack_header_of(stack);
    int dead = ars__stack_revive(stack);
    if (ARS__UNLIKELY(dead)) pool->stats.smashed++;
    h->name = NULL;
    h->ars__low = stack.low;
    h->ars__next = pool->free;
    /* The one to be handed out second after it, which may be far from any cache then. */
    h->what = pool->free ? (const char *)pool->free->ars__next : NULL;
    pool->free = h;
    pool->warm++;
    pool->stats.in_use--;
    return dead;
}

void ars__stack_return(ars__stack stack)
{
    ars__stack_pool *pool = ars__stack_home(stack);
    ars__stack_header *h = ars__stack_header_of(stack);
    h->name = NULL;
    void *first = ars_atomic_ptr_load_relaxed(&pool->returned);
    /* Release: pairs with the acquire in collect(), after which somebody else has the stack. */
    do h->ars__next = first;
    while (!ars_atomic_ptr_cas_acq_rel(&pool->returned, &first, h));
}

static void collect(ars__stack_pool *pool)
{
    if (ARS__LIKELY(!ars_atomic_ptr_load_relaxed(&pool->returned))) return;
    ars__stack_header *h = ars_atomic_ptr_swap_acquire(&pool->returned, NULL);
    while (h) {
        ars__stack_header *next = h->ars__next;
        ars__stack_put(pool, (ars__stack){h->ars__low, (char *)h});
        h = next;
    }
}

/* No free stack is at hand: one that somebody has returned, or without pages, or never used. */
static ARS__NOINLINE int find_another(ars__stack_pool *pool, ars__stack_header **out)
{
    collect(pool);
    ars__stack_header *h = pool->free;
    if (h) {
        pool->free = h->ars__next;
        pool->warm--;
        pool->lowest = 0;
        *out = h;
        return 0;
    }
    if (pool->cold_count == 0 && pool->fresh == pool->stats.carved) {
        int rc = carve(pool);
        if (rc < 0) return rc;
    }
    uint64_t number = pool->cold_count > 0 ? pool->cold[--pool->cold_count] : pool->fresh++;
    h = header_at(pool, number);
    h->home = (uintptr_t)pool;
    h->ars__low = guard_of(pool, number) + pool->page;
    if (number >= pool->canary_from) {
        h->home |= 1;
        set_canary(canary_of(pool, number));
        h->ars__low += CANARY_WORDS * sizeof canary;
    }
    *out = h;
    return 0;
}

int ars__stack_get(ars__stack_pool *pool, ars__stack *out)
{
    ars__stack_header *h = pool->free;
    if (ARS__LIKELY(h)) {
        pool->free = h->ars__next;
        __builtin_prefetch(h->what, 1); /* see ars__stack_put() */
        if (--pool->warm < pool->lowest) pool->lowest = pool->warm;
    } else {
        int rc = find_another(pool, &h);
        if (rc < 0) return rc;
    }
    h->name = NULL;
    h->what = NULL;
    h->owner = NULL;
    pool->stats.in_use++;
    *out = (ars__stack){h->ars__low, (char *)h};
    /* Frames that were abandoned have left their red zones behind. */
    ars__san_unpoison(out->low, (size_t)(out->top - out->low));
    return 0;
}

void ars__stack_pool_keep(ars__stack_pool *pool, uint64_t bytes)
{
    pool->keep = bytes == UINT64_MAX ? bytes : bytes / pool->size;
}

static int cold_grow(ars__stack_pool *pool)
{
    const ars_alloc *a = pool->alloc;
    size_t room = pool->cold_room ? pool->cold_room * 2 : 256;
    uint32_t *cold = a->alloc(a->ctx, room * sizeof *cold, sizeof *cold);
    if (!cold) return ARS_ENOMEM;
    if (pool->cold) {
        memcpy(cold, pool->cold, pool->cold_count * sizeof *cold);
        a->free(a->ctx, pool->cold, pool->cold_room * sizeof *cold, sizeof *cold);
    }
    pool->cold = cold;
    pool->cold_room = room;
    return 0;
}

void ars__stack_pool_age(ars__stack_pool *pool)
{
    pool->idle = pool->lowest > pool->keep ? pool->lowest - pool->keep : 0;
    pool->lowest = pool->warm;
}

int ars__stack_pool_surplus(const ars__stack_pool *pool)
{
    return pool->warm > pool->keep;
}

int ars__stack_pool_trim(ars__stack_pool *pool)
{
    collect(pool);
    uint64_t surplus = pool->warm > pool->keep ? pool->warm - pool->keep : 0;
    if (pool->idle < surplus) surplus = pool->idle;
    uint64_t n = scaled(pool, TRIMMED);
    if (n > surplus) n = surplus;
    for (uint64_t left = n; left > 0; left--) {
        ars__stack_header *h = pool->free;
        uint64_t number = number_of(pool, h->ars__low);
        if (number > UINT32_MAX) return 0;
        if (pool->cold_count == pool->cold_room && cold_grow(pool) < 0) return 0;
        pool->free = h->ars__next;
        pool->warm--;
        pool->cold[pool->cold_count++] = (uint32_t)number;
        char *low = guard_of(pool, number) + pool->page;
        ars__san_unpoison(low, pool->stride - pool->page);
        ars__os_discard(low, pool->stride - pool->page);
        if (pool->idle != UINT64_MAX) pool->idle--;
    }
    return surplus > n;
}

int ars__stack_pool_at(const ars__stack_pool *pool, uint64_t i, ars__stack *out)
{
    if (i >= pool->fresh) return 0;
    ars__stack_header *h = header_at(pool, i);
    *out = (ars__stack){h->ars__low, (char *)h};
    return 1;
}

ars__stack_stats ars__stack_pool_stats(const ars__stack_pool *pool)
{
    return pool->stats;
}

int ars__stack_find_guard(const void *fault, const ars__stack_header **header)
{
    if (!lock_pools(LOCK_PATIENCE)) return 0;
    int found = 0;
    for (const ars__stack_pool *pool = pools; pool && !found; pool = pool->next) {
        uint64_t number = number_of(pool, fault);
        /* A stack that was never handed out has a header of zeros. */
        if (number >= pool->stats.carved) continue;
        size_t offset = (size_t)((const char *)fault - guard_of(pool, number));
        if (offset < pool->page) {
            *header = header_at(pool, number);
            found = 1;
        }
    }
    unlock_pools();
    return found;
}
