/* SPDX-License-Identifier: MIT */
#include <arsenal/arena.h>

#include <arsenal/rng.h>
#include <stdlib.h>
#include <string.h>

#include "base/san.h"
#include "fault.h"
#include "test.h"

/* ---- a dull reference: every allocation remembered, with what it was filled with ---- */

enum { MOST = 400, BUFFER = 100000 };

typedef struct piece {
    unsigned char *p;
    size_t size;
    unsigned char fill;
} piece;

static piece pieces[MOST];
static int count;
static ars_rng rng;

static void remember(void *p, size_t size)
{
    CHECK_EQ((uintptr_t)p % ARS_ARENA_ALIGN, 0);
    pieces[count] = (piece){p, size, (unsigned char)ars_rng_below(&rng, 256)};
    memset(p, pieces[count].fill, size);
    count++;
}

static void check(const piece *at)
{
    for (size_t i = 0; i < at->size; i++) CHECK_EQ(at->p[i], at->fill);
}

static void check_all(const ars_arena *arena)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        check(&pieces[i]);
        sum += pieces[i].size;
    }
    ars_arena_stats stats = ars_arena_count(arena);
    CHECK(stats.used >= sum && stats.held >= stats.used);
}

static size_t any_size(void)
{
    return ars_rng_below(&rng, 20) == 0 ? 1 + (size_t)ars_rng_below(&rng, 9000)
                                        : 1 + (size_t)ars_rng_below(&rng, 100);
}

static void *any_alloc(ars_arena *arena, size_t size)
{
    switch (ars_rng_below(&rng, 4)) {
    case 0: {
        size_t align = (size_t)1 << ars_rng_below(&rng, 10);
        unsigned char *p = ars_arena_alloc_aligned(arena, size, align);
        CHECK_EQ((uintptr_t)p % align, 0);
        return p;
    }
    case 1: {
        unsigned char *p = ars_arena_array(arena, size, 1);
        for (size_t i = 0; p && i < size; i++) CHECK_EQ(p[i], 0);
        return p;
    }
    default: return ars_arena_alloc(arena, size);
    }
}

static void step(ars_arena *arena, ars_arena_mark *mark, int *marked)
{
    size_t size = any_size();
    switch (ars_rng_below(&rng, 40)) {
    case 0:
        *mark = ars_arena_here(arena);
        *marked = count;
        return;
    case 1:
        if (*marked < 0) return;
        ars_arena_rewind(arena, *mark);
        count = *marked;
        return;
    case 2: ars_arena_trim(arena); return;
    case 3:
    case 4:
    case 5: {
        if (count == 0 || *marked >= count) return;
        piece *last = &pieces[count - 1];
        unsigned char *p = ars_arena_resize(arena, last->p, last->size, size);
        if (!p) return;
        size_t kept = size < last->size ? size : last->size;
        for (size_t i = 0; i < kept; i++) CHECK_EQ(p[i], last->fill);
        count--;
        remember(p, size);
        return;
    }
    default: {
        if (count == MOST) return;
        void *p = any_alloc(arena, size);
        if (p) remember(p, size);
    }
    }
}

static void play(ars_arena *arena)
{
    for (int round = 0; round < 10; round++) {
        ars_arena_mark mark;
        int marked = -1;
        count = 0;
        for (long i = test_times(2000, 500); i; i--) step(arena, &mark, &marked);
        check_all(arena);
        ars_arena_reset(arena);
        CHECK_EQ(ars_arena_count(arena).used, 0);
        if (round % 3 == 0) ars_arena_trim(arena);
    }
}

static void against_reference(void)
{
    static char buffer[BUFFER];
    ars_alloc_tracker tracker;
    ars_arena arena = {0};
    ars_rng_seed(&rng, 1);
    play(&arena);
    ars_arena_deinit(&arena);

    ars_alloc_tracker_init(&tracker, NULL);
    ars_arena_init(&arena, &tracker.alloc, 64);
    play(&arena);
    CHECK_EQ(ars_arena_count(&arena).held, ars_alloc_tracker_stats(&tracker).bytes);
    CHECK_EQ(ars_arena_count(&arena).blocks, ars_alloc_tracker_stats(&tracker).blocks);

    /* A child takes from it, and goes with it. */
    ars_alloc parent = ars_arena_as_alloc(&arena);
    ars_arena child;
    ars_arena_init(&child, &parent, 0);
    play(&child);
    ars_arena_deinit(&child);
    ars_arena_deinit(&arena);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);

    for (size_t skip = 0; skip < 20; skip++) {
        ars_arena_init_buffer(&arena, buffer + skip, BUFFER - 2 * skip);
        play(&arena);
        ars_arena_deinit(&arena);
    }
    CHECK_EQ(ars_arena_init_range(&arena, (size_t)1 << 30), 0);
    play(&arena);
    ars_arena_deinit(&arena);
}

/* ---- one by one ---- */

static void strings(void)
{
    ars_arena arena = {0};
    CHECK_STR(ars_arena_strdup(&arena, "word"), "word");
    CHECK_STR(ars_arena_strdup(&arena, ""), "");
    CHECK_STR(ars_arena_printf(&arena, "%s %d", "page", 7), "page 7");
    char *large = ars_arena_printf(&arena, "%5000d", 1);
    CHECK_EQ(strlen(large), 5000);
    CHECK(memcmp(ars_arena_memdup(&arena, "a\0b", 3), "a\0b", 3) == 0);
    ars_arena_deinit(&arena);
}

static void blocks_stay(void)
{
    ars_alloc_tracker tracker;
    ars_arena arena;
    ars_alloc_tracker_init(&tracker, NULL);
    ars_arena_init(&arena, &tracker.alloc, 1024);
    uint64_t calls = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 1000; i++) CHECK(ars_arena_alloc(&arena, 100));
        if (round == 0) calls = ars_alloc_tracker_stats(&tracker).calls;
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).calls, calls);
        ars_arena_reset(&arena);
    }
    CHECK(calls < 12); /* they double */
    ars_arena_trim(&arena);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
    CHECK(ars_arena_alloc(&arena, 1));
    ars_arena_deinit(&arena);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).blocks, 0);
}

static void last_grows_in_place(void)
{
    ars_arena arena;
    ars_arena_init(&arena, NULL, 65536);
    char *p = ars_arena_alloc(&arena, 10), *moved;
    memset(p, 'x', 10);
    CHECK(ars_arena_resize(&arena, p, 10, 10000) == p);
    CHECK(ars_arena_resize(&arena, p, 10000, 20) == p);
    char *next = ars_arena_alloc(&arena, 1);
    CHECK(next > p && next < p + 100); /* what it gave back is taken again */
    CHECK((moved = ars_arena_resize(&arena, p, 20, 40)) != p);
    CHECK(memcmp(moved, "xxxxxxxxxx", 10) == 0);
    CHECK(ars_arena_resize(&arena, moved, 40, 0) == NULL);
    CHECK(ars_arena_resize(&arena, NULL, 0, 5) != NULL);
    ars_alloc as = ars_arena_as_alloc(&arena);
    size_t used = ars_arena_count(&arena).used;
    p = as.alloc(as.ctx, 300, 8);
    as.free(as.ctx, p, 300, 8);
    CHECK_EQ(ars_arena_count(&arena).used, used);
    ars_arena_deinit(&arena);
}

static void refused(void)
{
    static char buffer[1000];
    ars_arena arena;
    ars_arena_init(&arena, NULL, 0);
    ars_arena_stats before = ars_arena_count(&arena);
    CHECK(!ars_arena_alloc(&arena, 0));
    CHECK(!ars_arena_alloc(&arena, SIZE_MAX));
    CHECK(!ars_arena_alloc(&arena, SIZE_MAX / 2));
    CHECK(!ars_arena_alloc_aligned(&arena, 8, 3));
    CHECK(!ars_arena_alloc_aligned(&arena, 8, 0));
    CHECK(!ars_arena_alloc_aligned(&arena, 8, SIZE_MAX / 2 + 1));
    CHECK(!ars_arena_array(&arena, SIZE_MAX / 2, 3));
    CHECK(!ars_arena_array(&arena, 0, 8));
    CHECK(!ars_arena_memdup(&arena, "", 0));
    CHECK_EQ(ars_arena_count(&arena).blocks, before.blocks);
    ars_arena_deinit(&arena);

    ars_arena_init(&arena, NULL, SIZE_MAX);
    CHECK(!ars_arena_alloc(&arena, 8));
    CHECK_EQ(ars_arena_count(&arena).blocks, 0);
    ars_arena_deinit(&arena);

    ars_arena_init_buffer(&arena, buffer, sizeof buffer);
    size_t n = 0;
    while (ars_arena_alloc(&arena, 16)) n++;
    CHECK(n >= 25 && n < 63);
    size_t used = ars_arena_count(&arena).used;
    CHECK(!ars_arena_alloc(&arena, 100));
    CHECK_EQ(ars_arena_count(&arena).used, used);
    ars_arena_reset(&arena);
    CHECK(ars_arena_alloc(&arena, 100));
    ars_arena_deinit(&arena);
    /* To the end, and not beyond it. */
    for (size_t size = 1; size < 300; size++) {
        char *p;
        ars_arena_init_buffer(&arena, buffer, sizeof buffer);
        while ((p = ars_arena_alloc_aligned(&arena, size, 64)))
            CHECK(p >= buffer && p + size <= buffer + sizeof buffer);
        ars_arena_deinit(&arena);
    }
    for (size_t size = 0; size < 48; size++) {
        ars_arena_init_buffer(&arena, buffer + 1, size);
        CHECK(!ars_arena_alloc(&arena, 16));
        ars_arena_reset(&arena);
        ars_arena_trim(&arena);
        ars_arena_deinit(&arena);
    }
    ars_arena_init_buffer(&arena, NULL, 100);
    CHECK(!ars_arena_alloc(&arena, 1));

    CHECK_EQ(ars_arena_init_range(&arena, 0), ARS_EINVAL);
    CHECK_EQ(ars_arena_init_range(&arena, SIZE_MAX), ARS_ENOMEM);
    CHECK_EQ(ars_arena_init_range(&arena, SIZE_MAX / 4), ARS_ENOMEM);
    CHECK_EQ(ars_arena_init_range(&arena, 1), 0);
    CHECK(ars_arena_alloc(&arena, 1));
    CHECK(!ars_arena_alloc(&arena, 1 << 20));
    ars_arena_deinit(&arena);
}

static void scratch(void)
{
    ars_scratch pair = {0};
    ars_arena *one = ars_scratch_other(&pair, NULL), *two = ars_scratch_other(&pair, one);
    CHECK(one != two);
    CHECK(ars_scratch_other(&pair, two) == one);
    ars_arena_mark mark = ars_arena_here(two);
    char *kept = ars_arena_strdup(one, "kept");
    CHECK(ars_arena_strdup(two, "gone"));
    ars_arena_rewind(two, mark);
    CHECK_EQ(ars_arena_count(two).used, 0);
    CHECK_STR(kept, "kept");
    ars_scratch_deinit(&pair);
}

static int survive(const ars_alloc *alloc)
{
    ars_arena arena;
    int rc = 0;
    ars_arena_init(&arena, alloc, 64);
    for (size_t size = 10; size < 5000 && rc == 0; size = size * 3 / 2) {
        size_t used = ars_arena_count(&arena).used;
        char *p = ars_arena_alloc(&arena, size);
        if (p)
            memset(p, 1, size);
        else
            CHECK_EQ(ars_arena_count(&arena).used, used);
        rc = p ? 0 : ARS_ENOMEM;
    }
    if (rc < 0) CHECK(ars_arena_alloc(&arena, 1) || !arena.ars__first);
    ars_arena_deinit(&arena);
    return rc;
}

static void no_memory(void)
{
    CHECK(sweep_each(survive) > 3);
}

#if ARS__ASAN
static void poison(void)
{
    ars_arena arena = {0};
    char *p = ars_arena_alloc(&arena, 24);
    CHECK(!__asan_region_is_poisoned(p, 24));
    CHECK(__asan_region_is_poisoned(p + 24, 1) == p + 24);
    ars_arena_reset(&arena);
    CHECK(__asan_region_is_poisoned(p, 1) == p);
    CHECK(ars_arena_alloc(&arena, 8) == p);
    CHECK(!__asan_region_is_poisoned(p, 8));
    CHECK(__asan_region_is_poisoned(p + 8, 1) == p + 8);
    ars_arena_deinit(&arena);
}
#endif

static const test_case cases[] = {
    {"against_reference", against_reference},
    {"strings", strings},
    {"blocks_stay", blocks_stay},
    {"last_grows_in_place", last_grows_in_place},
    {"refused", refused},
    {"scratch", scratch},
    {"no_memory", no_memory},
#if ARS__ASAN
    {"poison", poison},
#endif
};
TEST_MAIN(cases)
