/* SPDX-License-Identifier: MIT */
#include <arsenal/arena.h>

#include <string.h>

#include "bench.h"

/*
 *   mem.bump   an allocation of 16 to 64 bytes from an arena: inlined, by a
 *              call, and the bare pointer that moves
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

int main(int argc, char **argv)
{
    const char *v = ars_version();
    const struct bench table[] = {
        {"mem.bump", "limit:bare", v, "inlined", NULL, bare_inlined, NULL, 0, 0},
        {"mem.bump", "arsenal", v, "inlined", NULL, inlined, NULL, 0, 0},
        {"mem.bump", "limit:called", v, NULL, NULL, bare_called, NULL, 0, 0},
        {"mem.bump", "arsenal:called", v, NULL, NULL, by_call, NULL, 0, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
