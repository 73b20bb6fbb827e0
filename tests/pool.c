/* SPDX-License-Identifier: MIT */
#include <arsenal/pool.h>

#include <arsenal/rng.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/san.h"
#include "fault.h"
#include "test.h"

enum { MOST = 3000 };

typedef struct taken {
    unsigned char *p;
    uint64_t handle;
    uint32_t number;
    unsigned char fill;
} taken;

static taken live[MOST];
static ars_rng rng;

static void check_filled(const taken *t, size_t size)
{
    for (size_t i = 0; i < size; i++) CHECK_EQ(t->p[i], t->fill);
}

static void take(ars_pool *pool, size_t n, size_t size, size_t align)
{
    taken *t = &live[n];
    t->p = ars_pool_get(pool);
    CHECK(t->p && (uintptr_t)t->p % align == 0);
    t->fill = (unsigned char)ars_rng_below(&rng, 256);
    memset(t->p, t->fill, size);
    t->handle = ars_pool_handle(pool, t->p);
    t->number = ars_pool_number(pool, t->p);
    CHECK(t->handle != 0);
    CHECK(ars_pool_find(pool, t->handle) == t->p);
    CHECK(ars_pool_at(pool, t->number) == t->p);
}

static void put(ars_pool *pool, size_t i, size_t n, size_t size)
{
    taken gone = live[i];
    check_filled(&gone, size);
    ars_pool_put(pool, gone.p);
    CHECK(!ars_pool_find(pool, gone.handle));
    CHECK(!ars_pool_at(pool, gone.number));
    live[i] = live[n - 1];
}

/* Each live object comes once, with the smallest number first. */
static void check_walk(const ars_pool *pool, size_t n)
{
    uint32_t at = 0, last = 0;
    size_t seen = 0;
    for (void *p; (p = ars_pool_next(pool, &at)); seen++) {
        uint32_t number = ars_pool_number(pool, p);
        CHECK(number + 1 == at && (seen == 0 || number > last));
        last = number;
    }
    CHECK_EQ(seen, n);
    CHECK_EQ(ars_pool_count(pool).live, n);
}

static void against_reference(void)
{
    static const struct {
        size_t size, align;
    } shapes[] = {{1, 1}, {8, 8}, {24, 16}, {64, 64}, {100, 4}, {5000, 128}, {70000, 4096}};
    ars_rng_seed(&rng, 1);
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        size_t size = shapes[shape].size, align = shapes[shape].align, n = 0;
        size_t most = size > 1000 ? 50 : MOST;
        ars_alloc_tracker tracker;
        ars_pool pool;
        ars_alloc_tracker_init(&tracker, NULL);
        CHECK_EQ(ars_pool_init(&pool, &tracker.alloc, size, align), 0);
        for (long step = test_times(40000, 8000); step; step--) {
            int growing = step / 4000 % 2;
            if (n < most && (n == 0 || ars_rng_below(&rng, 8) < (growing ? 5u : 3u))) {
                take(&pool, n++, size, align);
            } else {
                put(&pool, (size_t)ars_rng_below(&rng, n), n, size);
                n--;
            }
            if (step % 1000 == 0) check_walk(&pool, n);
        }
        for (size_t i = 0; i < n; i++) check_filled(&live[i], size);
        ars_pool_stats stats = ars_pool_count(&pool);
        CHECK_EQ(stats.bytes, ars_alloc_tracker_stats(&tracker).bytes);
        CHECK(stats.room >= stats.live && stats.room * size <= stats.bytes);
        ars_pool_deinit(&pool);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
    }
}

static void last_in_first_out(void)
{
    ars_pool pool;
    CHECK_EQ(ars_pool_init(&pool, NULL, 32, 8), 0);
    void *a = ars_pool_get(&pool), *b = ars_pool_get(&pool);
    uint64_t was = ars_pool_handle(&pool, a);
    ars_pool_put(&pool, b);
    ars_pool_put(&pool, a);
    CHECK(ars_pool_get(&pool) == a);
    CHECK(ars_pool_handle(&pool, a) != was && !ars_pool_find(&pool, was));
    CHECK(ars_pool_get(&pool) == b);
    CHECK_EQ(ars_pool_number(&pool, a), 0);
    CHECK_EQ(ars_pool_number(&pool, b), 1);
    ars_pool_deinit(&pool);
}

static void refused(void)
{
    ars_pool pool;
    uint32_t at = 0;
    CHECK_EQ(ars_pool_init(&pool, NULL, 0, 8), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, SIZE_MAX, 8), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, 0), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, 24), ARS_EINVAL);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, 8192), ARS_EINVAL);
    memset(&pool, 0, sizeof pool);
    CHECK(!ars_pool_get(&pool));
    CHECK(!ars_pool_find(&pool, 1));
    CHECK(!ars_pool_next(&pool, &at));
    ars_pool_put(&pool, NULL);
    ars_pool_deinit(&pool);
    CHECK_EQ(ars_pool_init(&pool, NULL, 8, 8), 0);
    CHECK(!ars_pool_find(&pool, 0) && !ars_pool_find(&pool, UINT64_MAX));
    CHECK(!ars_pool_at(&pool, 0) && !ars_pool_at(&pool, UINT32_MAX));
    ars_pool_deinit(&pool);
}

static void no_memory(void)
{
    for (uint64_t at = 1; at <= 6; at++) {
        ars_alloc_tracker tracker;
        ars_alloc_failer failer;
        ars_pool pool;
        uint64_t n = 0;
        ars_alloc_tracker_init(&tracker, NULL);
        ars_alloc_failer_init(&failer, &tracker.alloc, at, 0);
        CHECK_EQ(ars_pool_init(&pool, &failer.alloc, 100, 8), 0);
        while (ars_pool_get(&pool)) n++;
        CHECK_EQ(ars_alloc_failer_failed(&failer), 1);
        CHECK_EQ(ars_pool_count(&pool).live, n);
        CHECK_EQ(ars_pool_count(&pool).room, n);
        CHECK(ars_pool_get(&pool)); /* there is some again */
        CHECK_EQ(ars_pool_count(&pool).live, n + 1);
        ars_pool_deinit(&pool);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
    }
}

/* ---- what debug builds find ---- */

static void put_twice(ars_pool *pool, char *object)
{
    ars_pool_put(pool, object);
    ars_pool_put(pool, object);
}

static void put_foreign(ars_pool *pool, char *object)
{
    static uint64_t words[16];
    (void)object;
    ars_pool_put(pool, &words[8]);
}

static void put_inside(ars_pool *pool, char *object)
{
    ars_pool_put(pool, object + 16);
}

static void finds_misuse(void)
{
    static void (*const wrong[])(ars_pool *, char *) = {put_twice, put_foreign, put_inside};
    if (!ARS__ASSERTS) {
        test_skipped("only debug builds look");
        return;
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int status;
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            ars_pool pool;
            close(2);
            if (ars_pool_init(&pool, NULL, 64, 8) == 0) wrong[i](&pool, ars_pool_get(&pool));
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) FAIL("misuse %zu was not found", i);
    }
}

#if ARS__ASAN
static void poison(void)
{
    ars_pool pool;
    CHECK_EQ(ars_pool_init(&pool, NULL, 40, 8), 0);
    char *p = ars_pool_get(&pool);
    CHECK(!__asan_region_is_poisoned(p, 40));
    CHECK(__asan_region_is_poisoned(p + 40, 8) != NULL);
    ars_pool_put(&pool, p);
    CHECK(__asan_region_is_poisoned(p + 8, 1) == p + 8);
    CHECK(ars_pool_get(&pool) == p);
    CHECK(!__asan_region_is_poisoned(p, 40));
    ars_pool_deinit(&pool);
}
#endif

static const test_case cases[] = {
    {"against_reference", against_reference},
    {"last_in_first_out", last_in_first_out},
    {"refused", refused},
    {"no_memory", no_memory},
    {"finds_misuse", finds_misuse},
#if ARS__ASAN
    {"poison", poison},
#endif
};
TEST_MAIN(cases)
