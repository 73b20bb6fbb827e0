/* SPDX-License-Identifier: MIT */
#include <arsenal/pool.h>

#include <arsenal/rng.h>
#include <string.h>

#include "base/assert.h"
#include "base/san.h"
#include "fault.h"
#include "test.h"

/* ---- a dull reference: every object remembered, with its handle and what it was filled with ---- */

enum { MOST = 500, DEAD = 200 };

typedef struct thing {
    unsigned char *p;
    ars_pool_handle handle;
    unsigned char fill;
    int met;
} thing;

static thing things[MOST];
static int count, most;
static ars_pool_handle dead[DEAD];
static uint64_t deaths;
static ars_rng rng;

static void die(int i)
{
    dead[deaths++ % DEAD] = things[i].handle;
    things[i] = things[--count];
}

static void check_thing(const ars_pool *pool, const thing *at, size_t size)
{
    for (size_t i = 0; i < size; i++) CHECK_EQ(at->p[i], at->fill);
    CHECK(ars_pool_handle_of(at->p) == at->handle);
    CHECK(ars_pool_find(pool, at->handle) == at->p);
}

static void check_all(ars_pool *pool, size_t size)
{
    int met = 0;
    for (int i = 0; i < count; i++) {
        check_thing(pool, &things[i], size);
        things[i].met = 0;
    }
    for (unsigned char *p = NULL; (p = ars_pool_next(pool, p)); met++) {
        int i = 0;
        while (i < count && things[i].p != p) i++;
        CHECK(i < count && !things[i].met);
        things[i].met = 1;
    }
    CHECK_EQ(met, count);
    for (uint64_t i = 0; i < deaths && i < DEAD; i++) CHECK(!ars_pool_find(pool, dead[i]));
    ars_pool_stats stats = ars_pool_count(pool);
    CHECK_EQ(stats.live, count);
    CHECK_EQ(stats.most, most);
    CHECK(stats.room >= stats.most && stats.held >= stats.room * (size + ARS_POOL_HEAD));
}

static void get(ars_pool *pool, size_t size, size_t align)
{
    if (count == MOST) return;
    thing *at = &things[count];
    at->p = ars_pool_get(pool);
    CHECK(at->p);
    CHECK_EQ((uintptr_t)at->p % align, 0);
    at->handle = ars_pool_handle_of(at->p);
    CHECK(at->handle != 0);
    at->fill = (unsigned char)ars_rng_below(&rng, 256);
    memset(at->p, at->fill, size);
    if (++count > most) most = count;
}

static void put(ars_pool *pool, size_t size)
{
    if (count == 0) return;
    int i = (int)ars_rng_below(&rng, (uint64_t)count);
    check_thing(pool, &things[i], size);
    ars_pool_put(pool, things[i].p);
    die(i);
}

/* What is met may be put on the way. */
static void put_some(ars_pool *pool)
{
    for (unsigned char *p = NULL; (p = ars_pool_next(pool, p));) {
        if (ars_rng_below(&rng, 3)) continue;
        int i = 0;
        while (things[i].p != p) i++;
        ars_pool_put(pool, p);
        die(i);
    }
}

static void play(ars_pool *pool, size_t size, size_t align)
{
    count = most = 0;
    deaths = 0;
    for (long i = test_times(10000, 1500); i; i--) {
        uint64_t what = ars_rng_below(&rng, 400);
        if (what < 2) {
            put_some(pool);
        } else if (what == 2 && ars_rng_below(&rng, 5) == 0) {
            ars_pool_reset(pool);
            while (count) die(0);
        } else if (what == 3) {
            check_all(pool, size);
        } else if (what & 64 ? what & 1 : what % 3) { /* it grows and shrinks */
            get(pool, size, align);
        } else {
            put(pool, size);
        }
    }
    check_all(pool, size);
}

static void against_reference(void)
{
    static const size_t sizes[] = {1, 8, 16, 24, 40, 100, 1000, 5000};
    ars_rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t align = (size_t)1 << ars_rng_below(&rng, 9);
        ars_alloc_tracker tracker;
        ars_pool pool;
        ars_alloc_tracker_init(&tracker, NULL);
        CHECK_EQ(ars_pool_init(&pool, &tracker.alloc, sizes[i], align), 0);
        play(&pool, sizes[i], align);
        ars_pool_stats stats = ars_pool_count(&pool);
        CHECK_EQ(stats.held, ars_alloc_tracker_stats(&tracker).bytes);
        CHECK_EQ(stats.chunks, ars_alloc_tracker_stats(&tracker).blocks);
        ars_pool_deinit(&pool);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
    }
}

/* ---- one by one ---- */

static void last_comes_first(void)
{
    ars_pool pool;
    CHECK_EQ(ars_pool_init(&pool, NULL, 64, 64), 0);
    char *a = ars_pool_get(&pool), *b = ars_pool_get(&pool);
    CHECK(b == a + 128 || ARS__ASAN); /* 64, a head, and what aligns the next */
    ars_pool_put(&pool, a);
    ars_pool_put(&pool, b);
    CHECK(ars_pool_get(&pool) == b);
    CHECK(ars_pool_get(&pool) == a);
    ars_pool_reset(&pool);
    CHECK(ars_pool_get(&pool) == a);
    CHECK(ars_pool_get(&pool) == b);
    ars_pool_deinit(&pool);
}

static void stale(void)
{
    ars_pool pool, other;
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, 0), 0);
    CHECK_EQ(ars_pool_init(&other, NULL, 8, 0), 0);
    void *p = ars_pool_get(&pool);
    ars_pool_handle handle = ars_pool_handle_of(p);
    CHECK(ars_pool_find(&pool, handle) == p);
    CHECK(!ars_pool_find(&other, handle));
    ars_pool_put(&pool, p);
    CHECK(!ars_pool_find(&pool, handle));
    CHECK(ars_pool_get(&pool) == p);
    CHECK(!ars_pool_find(&pool, handle));
    handle = ars_pool_handle_of(p);
    ars_pool_reset(&pool);
    CHECK(!ars_pool_find(&pool, handle));
    CHECK(ars_pool_get(&pool) == p && ars_pool_handle_of(p) != handle);
    CHECK(!ars_pool_find(&pool, 0));
    CHECK(!ars_pool_find(&pool, UINT64_MAX));
    CHECK(!ars_pool_find(&pool, (uint64_t)1 << 32));
    ars_pool_deinit(&pool);
    ars_pool_deinit(&other);
}

static void refused(void)
{
    ars_pool pool = {0}, none = {0};
    CHECK(!ars_pool_get(&pool)); /* all-zero */
    CHECK(!ars_pool_next(&pool, NULL));
    CHECK_EQ(ars_pool_reserve(&pool, 1), ARS_ENOMEM);
    ars_pool_reset(&pool);
    ars_pool_deinit(&pool);
    CHECK_EQ(ars_pool_init(&pool, NULL, 0, 8), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, 3), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, SIZE_MAX), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, SIZE_MAX / 2 + 1), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, SIZE_MAX, 8), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, SIZE_MAX / 8 + 1, 8), ARS_EINVAL);
    CHECK(memcmp(&pool, &none, sizeof pool) == 0);

    /* More than there is address space, in one chunk and in several. */
    for (size_t size = SIZE_MAX / 8; size > SIZE_MAX / 512; size /= 2) {
        CHECK_EQ(ars_pool_init(&pool, NULL, size, size / 16 + 1), 0);
        CHECK_EQ(ars_pool_reserve(&pool, 1000), ARS_ENOMEM);
        CHECK_EQ(ars_pool_count(&pool).chunks, 0);
        CHECK(!ars_pool_get(&pool));
        ars_pool_deinit(&pool);
    }
    CHECK_EQ(ars_pool_init(&pool, NULL, 4096, 0), 0);
    CHECK_EQ(ars_pool_reserve(&pool, 1), 0);
    size_t held = ars_pool_count(&pool).held;
    CHECK_EQ(ars_pool_reserve(&pool, SIZE_MAX), ARS_ENOMEM);
    CHECK_EQ(ars_pool_count(&pool).held, held);
    CHECK(ars_pool_get(&pool));
    ars_pool_deinit(&pool);
}

static void reserved(void)
{
    ars_alloc_tracker tracker;
    ars_pool pool;
    ars_alloc_tracker_init(&tracker, NULL);
    CHECK_EQ(ars_pool_init(&pool, &tracker.alloc, 48, 0), 0);
    CHECK_EQ(ars_pool_reserve(&pool, 1000), 0);
    uint64_t calls = ars_alloc_tracker_stats(&tracker).calls;
    CHECK(calls < 8);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) CHECK(ars_pool_get(&pool));
        CHECK_EQ(ars_pool_count(&pool).live, 1000);
        ars_pool_reset(&pool);
        CHECK_EQ(ars_pool_count(&pool).live, 0);
        CHECK_EQ(ars_pool_count(&pool).most, 1000);
    }
    CHECK_EQ(ars_pool_reserve(&pool, 1000), 0);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).calls, calls);
    ars_pool_deinit(&pool);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).blocks, 0);
}

static int survive(const ars_alloc *alloc)
{
    ars_pool pool;
    void *all[600];
    int n = 0, rc = ars_pool_init(&pool, alloc, 100, 32);
    if (rc == 0) rc = ars_pool_reserve(&pool, 100);
    if (rc < 0) CHECK_EQ(ars_pool_count(&pool).chunks, 0);
    while (rc == 0 && n < 600) {
        ars_pool_stats stats = ars_pool_count(&pool);
        CHECK_EQ(stats.live, n);
        if ((all[n] = ars_pool_get(&pool))) {
            memset(all[n], n, 100);
            n++;
            continue;
        }
        CHECK_EQ(stats.live, stats.room);
        CHECK_EQ(ars_pool_count(&pool).held, stats.held);
        rc = ARS_ENOMEM;
    }
    while (n > 0) ars_pool_put(&pool, all[--n]);
    CHECK_EQ(ars_pool_count(&pool).live, 0);
    ars_pool_deinit(&pool);
    return rc;
}

static void no_memory(void)
{
    CHECK(sweep_each(survive) > 3);
}

/* ---- misuse ---- */

static ars_pool checked;

static void put_twice(void *p)
{
    ars_pool_put(&checked, p);
    ars_pool_put(&checked, p);
}

static void put_within(void *p)
{
    ars_pool_put(&checked, (char *)p + 16);
}

static void put_foreign(void *p)
{
    static char memory[100] __attribute__((aligned(16)));
    (void)p;
    ars_pool_put(&checked, memory + 32);
}

static void put_of_another_pool(void *p)
{
    ars_pool other;
    (void)p;
    if (ars_pool_init(&other, NULL, 64, 0) == 0) ars_pool_put(&checked, ars_pool_get(&other));
}

static void overwritten(void *p)
{
    volatile char *at = p;
    for (int i = 1; i <= 16; i++) at[-i] = 1;
    ars_pool_put(&checked, p);
}

static void finds_misuse(void)
{
    static void (*const wrong[])(void *) = {put_twice, put_within, put_foreign, put_of_another_pool,
                                            overwritten};
    CHECK_EQ(ars_pool_init(&checked, NULL, 64, 0), 0);
    void *p = ars_pool_get(&checked), *q = ars_pool_get(&checked);
    if (ARS__ASSERTS) {
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            test_end end = test_child(wrong[i], p);
            if (end.signal == 0 && end.status == 0) FAIL("misuse %zu was not found", i);
        }
    } else {
        put_twice(p);
        CHECK_EQ(ars_pool_count(&checked).live, 1);
        CHECK(ars_pool_get(&checked) == p && ars_pool_get(&checked) != p);
    }
    ars_pool_put(&checked, q);
    ars_pool_deinit(&checked);
}

#if ARS__ASAN
static void poison(void)
{
    ars_pool pool;
    CHECK_EQ(ars_pool_init(&pool, NULL, 24, 0), 0);
    char *p = ars_pool_get(&pool);
    CHECK(!__asan_region_is_poisoned(p, 24));
    CHECK(__asan_region_is_poisoned(p + 24, 1) == p + 24);
    ars_pool_put(&pool, p);
    CHECK(__asan_region_is_poisoned(p, 1) == p);
    CHECK(ars_pool_get(&pool) == p);
    CHECK(!__asan_region_is_poisoned(p, 24));
    ars_pool_reset(&pool);
    CHECK(__asan_region_is_poisoned(p, 1) == p);
    ars_pool_deinit(&pool);
}
#endif

static const test_case cases[] = {
    {"against_reference", against_reference},
    {"last_comes_first", last_comes_first},
    {"stale", stale},
    {"refused", refused},
    {"reserved", reserved},
    {"no_memory", no_memory},
    {"finds_misuse", finds_misuse},
#if ARS__ASAN
    {"poison", poison},
#endif
};
TEST_MAIN(cases)
