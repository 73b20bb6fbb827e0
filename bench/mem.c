/* SPDX-License-Identifier: MIT */
#include <arsenal/arena.h>
#include <arsenal/pool.h>

#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/*
 *   mem.bump   an allocation of 16 to 64 bytes from an arena: inlined, by a
 *              call, and the bare pointer that moves
 *
 *   mem.pool   a get and a put of an object of 64 bytes: hot, always the same
 *              one; live, the oldest of 4,096 put and another got instead;
 *              and the bare list of such objects
 *
 * The arena is rewound every 4,096 allocations, of which one in a few opens
 * the next block: the same for all.
 */

enum { LIVE = 4096, LARGEST = 64 };

static size_t size_of(uint64_t i)
{
    return 16 + (i & 3) * 16;
}

static char memory[LIVE * LARGEST] __attribute__((aligned(64)));

#define BUMP(NAME, ALLOC)                                                                          \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        ars_arena arena;                                                                           \
        uint64_t sum = 0;                                                                          \
        (void)arg;                                                                                 \
        ars_arena_init_buffer(&arena, memory, sizeof memory);                                      \
        ars_arena_mark start = ars_arena_here(&arena);                                             \
        double began = bench_now();                                                                \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            if (i % LIVE == 0) ars_arena_rewind(&arena, start);                                    \
            sum += (uintptr_t)ALLOC;                                                               \
        }                                                                                          \
        bench_use(sum);                                                                            \
        return bench_now() - began;                                                                \
    }

static void *(*volatile const called)(ars_arena *, size_t) = ars_arena_alloc;

BUMP(inlined, ars_arena_alloc(&arena, size_of(i)))
BUMP(by_call, called(&arena, size_of(i)))

static char *bare_at, *bare_end;

static inline void *bare_take(size_t size)
{
    char *at = bare_at;
    if (size > (size_t)(bare_end - at)) return NULL;
    bare_at = at + size;
    return at;
}

static __attribute__((noinline)) void *bare_take_called(size_t size)
{
    return bare_take(size);
}

#define BARE(NAME, TAKE)                                                                           \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        uint64_t sum = 0;                                                                          \
        (void)arg;                                                                                 \
        bare_end = memory + sizeof memory;                                                         \
        double began = bench_now();                                                                \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            if (i % LIVE == 0) bare_at = memory;                                                   \
            sum += (uintptr_t)TAKE(size_of(i));                                                    \
        }                                                                                          \
        bench_use(sum);                                                                            \
        return bench_now() - began;                                                                \
    }

BARE(bare_inlined, bare_take)
BARE(bare_called, bare_take_called)

/* ---- pools ---- */

enum { OBJECT = 64 };

static ars_pool pool;
static void *live[LIVE];

static void *bare_free;

static inline void *bare_get(void)
{
    void *p = bare_free;
    memcpy(&bare_free, p, sizeof p);
    return p;
}

static inline void bare_put(void *p)
{
    memcpy(p, &bare_free, sizeof p);
    bare_free = p;
}

static void *(*volatile const get_called)(ars_pool *) = ars_pool_get;
static void (*volatile const put_called)(ars_pool *, void *) = ars_pool_put;

/* One more than are live, each touched. */
static int fill(void)
{
    if (ars_pool_init(&pool, NULL, OBJECT, 0) < 0 || ars_pool_reserve(&pool, LIVE + 1) < 0)
        return -1;
    for (size_t i = 0; i < LIVE; i++) live[i] = ars_pool_get(&pool);
    ars_pool_put(&pool, ars_pool_get(&pool));
    return 0;
}

static int fill_bare(void)
{
    static char objects[LIVE + 1][OBJECT] __attribute__((aligned(64)));
    for (size_t i = 0; i < LIVE; i++) live[i] = objects[i];
    bare_free = NULL;
    bare_put(objects[LIVE]);
    return 0;
}

#define HOT(NAME, FILL, GET, PUT)                                                                  \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        (void)arg;                                                                                 \
        if (FILL < 0) return -1;                                                                   \
        double began = bench_now();                                                                \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            void *p = GET;                                                                         \
            __asm__ volatile("" : "+r"(p) : : "memory");                                           \
            PUT;                                                                                   \
        }                                                                                          \
        double took = bench_now() - began;                                                         \
        ars_pool_deinit(&pool);                                                                    \
        return took;                                                                               \
    }

#define OF_MANY(NAME, FILL, GET, PUT)                                                              \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        (void)arg;                                                                                 \
        if (FILL < 0) return -1;                                                                   \
        double began = bench_now();                                                                \
        for (uint64_t i = 0; i < n; i++) {                                                         \
            void *p = live[i % LIVE];                                                              \
            live[i % LIVE] = GET;                                                                  \
            PUT;                                                                                   \
        }                                                                                          \
        double took = bench_now() - began;                                                         \
        ars_pool_deinit(&pool);                                                                    \
        return took;                                                                               \
    }

HOT(hot, fill(), ars_pool_get(&pool), ars_pool_put(&pool, p))
HOT(hot_called, fill(), get_called(&pool), put_called(&pool, p))
HOT(hot_bare, fill_bare(), bare_get(), bare_put(p))
OF_MANY(of_many, fill(), ars_pool_get(&pool), ars_pool_put(&pool, p))
OF_MANY(of_many_bare, fill_bare(), bare_get(), bare_put(p))
HOT(hot_malloc, 0, malloc(OBJECT), free(p))

int main(int argc, char **argv)
{
    const char *v = ars_version();
    const struct bench table[] = {
        {"mem.bump", "limit:bare", v, "inlined", NULL, bare_inlined, NULL, 0, 0},
        {"mem.bump", "arsenal", v, "inlined", NULL, inlined, NULL, 0, 0},
        {"mem.bump", "limit:called", v, NULL, NULL, bare_called, NULL, 0, 0},
        {"mem.bump", "arsenal:called", v, NULL, NULL, by_call, NULL, 0, 0},
        {"mem.pool", "limit:bare", v, "hot", NULL, hot_bare, NULL, 0, 0},
        {"mem.pool", "arsenal", v, "hot", NULL, hot, NULL, 0, 0},
        {"mem.pool", "arsenal:called", v, "hot", NULL, hot_called, NULL, 0, 0},
        {"mem.pool", "limit:live", v, "4,096 live", NULL, of_many_bare, NULL, 0, 0},
        {"mem.pool", "arsenal:live", v, "4,096 live", NULL, of_many, NULL, 0, 0},
        {"mem.pool", "glibc", gnu_get_libc_version(), "malloc and free, hot", NULL, hot_malloc,
         NULL, 0, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
