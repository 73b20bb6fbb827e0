/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

#include "mem/slab.h"

/* The library's copy is not instrumented: with one that is, TSan sees what the lock orders. */
#if ARS__TSAN
#include "mem/slab.c"
#endif

static ars_alloc_tracker tracker;

typedef struct object {
    void *link;
    uint64_t generation;
    uint64_t stamp;
    char rest[232];
} object;

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* What a slab must do, done by remembering every object: alignment, no overlap, kept generation. */
static void random_against_reference(void)
{
    enum { MOST = 3000 };
    const unsigned steps = (unsigned)test_times(100000, 20000);
    static object *live[MOST];
    static const struct {
        size_t size, align;
    } shapes[] = {{256, 64}, {16, 8}, {24, 1}, {100, 16}, {5000, 128}, {300000, 4096}};
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        size_t size = shapes[shape].size, align = shapes[shape].align;
        unsigned most = size > 1000 ? 40 : MOST, n = 0;
        ars__slab slab;
        ars_alloc_tracker_init(&tracker, NULL);
        ars__slab_init(&slab, &tracker.alloc, size, align);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
        for (unsigned step = 0; step < steps; step++) {
            int growing = (step / 10000) % 2 == 0;
            if (n < most && (n == 0 || next_random() % 8 < (growing ? 5 : 3))) {
                object *o = ars__slab_get(&slab);
                CHECK(o && (uintptr_t)o % align == 0);
                /* Every byte is stamped, so that an overlap shows when it is given back. */
                memset(o, (int)(n % 251), size);
                memcpy(o, &o, sizeof(void *));
                live[n++] = o;
            } else {
                unsigned i = (unsigned)(next_random() % n);
                object *o = live[i];
                CHECK(memcmp(o, &o, sizeof(void *)) == 0);
                unsigned char *p = (unsigned char *)o + sizeof(void *);
                CHECK(memcmp(p, p + 1, size - sizeof(void *) - 1) == 0);
                ars__slab_put(&slab, o);
                live[i] = live[--n];
            }
            CHECK_EQ(slab.live, n);
        }
        ars__slab_deinit(&slab);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).blocks, 0);
    }
}

static void last_in_first_out_and_generations(void)
{
    ars__slab slab;
    object *a, *b;
    ars__slab_init(&slab, NULL, sizeof(object), 64);
    CHECK((a = ars__slab_get(&slab)));
    CHECK((b = ars__slab_get(&slab)));
    CHECK_EQ(a->generation, 0);
    CHECK_EQ(b->generation, 0);
    a->generation = 7;
    b->generation = 8;
    ars__slab_put(&slab, a);
    ars__slab_put(&slab, b);
    /* Readable while free. */
    CHECK_EQ(a->generation, 7);
    CHECK_EQ(b->generation, 8);
    CHECK(ars__slab_get(&slab) == b);
    CHECK(ars__slab_get(&slab) == a);
    CHECK_EQ(a->generation, 7);
    ars__slab_deinit(&slab);

    ars__slab zero = {0};
    ars__slab_deinit(&zero);
}

static void chunks_double_up_to_the_limit(void)
{
    ars__slab slab;
    uint64_t before = 0, calls = 0;
    ars_alloc_tracker_init(&tracker, NULL);
    ars__slab_init(&slab, &tracker.alloc, 256, 64);
    for (int i = 0; i < 20000; i++) {
        CHECK(ars__slab_get(&slab));
        ars_alloc_stats stats = ars_alloc_tracker_stats(&tracker);
        if (stats.calls == calls) continue;
        uint64_t chunk = stats.bytes - before, expected = (uint64_t)ARS__SLAB_CHUNK_MIN << calls;
        if (expected > ARS__SLAB_CHUNK_MAX) expected = ARS__SLAB_CHUNK_MAX;
        CHECK(chunk <= expected && chunk > expected * 9 / 10);
        before = stats.bytes;
        calls = stats.calls;
    }
    CHECK(calls > 8 && calls < 40);
    ars__slab_deinit(&slab);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
}

/* The n-th allocation fails, once: one get gives NULL, changes nothing, and the next one works. */
static void every_allocation_fails_once(void)
{
    enum { OBJECTS = 3000 };
    uint64_t n = 0, failed;
    do {
        ars__slab slab;
        ars_alloc_failer failer;
        unsigned refused = 0;
        n++;
        ars_alloc_tracker_init(&tracker, NULL);
        ars_alloc_failer_init(&failer, &tracker.alloc, n, 0);
        ars__slab_init(&slab, &failer.alloc, 256, 64);
        for (unsigned i = 0; i < OBJECTS; i++) {
            uint64_t bytes = ars_alloc_tracker_stats(&tracker).bytes;
            void *p = ars__slab_get(&slab);
            if (!p) {
                refused++;
                CHECK_EQ(slab.live, i);
                CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, bytes);
                CHECK((p = i % 2 ? ars__slab_get(&slab) : ars__slab_get_shared(&slab)));
            }
        }
        CHECK_EQ(slab.live, OBJECTS);
        failed = ars_alloc_failer_failed(&failer);
        CHECK_EQ(refused, failed);
        ars__slab_deinit(&slab);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
    } while (failed > 0);
    CHECK(n > 5);
    printf("  %llu allocations\n", (unsigned long long)n - 1);
}

static void no_memory_at_all(void)
{
    ars__slab slab;
    ars__slab_cache cache;
    ars_alloc_failer failer;
    ars_alloc_failer_init(&failer, NULL, 1, 1);
    ars__slab_init(&slab, &failer.alloc, 64, 64);
    ars__slab_cache_init(&cache, &slab);
    CHECK(!ars__slab_get(&slab));
    CHECK(!ars__slab_get_shared(&slab));
    CHECK(!ars__slab_cache_get(&cache));
    CHECK_EQ(ars_alloc_failer_failed(&failer), 3);
    CHECK_EQ(slab.live, 0);
    /* The lock was left free. */
    CHECK(ars_spin_try(&slab.lock));
    ars__slab_deinit(&slab);
}

static void cache_keeps_and_flushes(void)
{
    enum { MANY = 1000 };
    static void *taken[MANY];
    ars__slab slab;
    ars__slab_cache cache;
    ars_alloc_tracker_init(&tracker, NULL);
    ars__slab_init(&slab, &tracker.alloc, 128, 64);
    ars__slab_cache_init(&cache, &slab);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            CHECK((taken[i] = ars__slab_cache_get(&cache)));
            memset(taken[i], round + 1, 128);
        }
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(((char *)taken[i])[127], round + 1);
            ars__slab_cache_put(&cache, taken[i]);
        }
        /* At most two batches stay behind. */
        CHECK(slab.live <= 2 * ARS__SLAB_BATCH);
        CHECK(slab.live > 0);
    }
    /* At the edge between full and empty the slab is left alone. */
    CHECK((taken[0] = ars__slab_cache_get(&cache)));
    uint64_t live = slab.live;
    for (int i = 0; i < 100; i++) {
        ars__slab_cache_put(&cache, taken[0]);
        CHECK((taken[0] = ars__slab_cache_get(&cache)));
        CHECK_EQ(slab.live, live);
    }
    ars__slab_cache_put(&cache, taken[0]);
    ars__slab_cache_flush(&cache);
    CHECK_EQ(slab.live, 0);
    ars__slab_deinit(&slab);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 200000, HELD = 100 };

static pthread_barrier_t start;

static ars__slab shared;

/* Two threads that have the same object at once see each other's stamps. */
static void *takes_and_gives(void *arg)
{
    object *held[HELD] = {0};
    ars__slab_cache cache;
    uint64_t id = (uint64_t)(uintptr_t)arg, random = id * 2654435761u + 1;
    ars__slab_cache_init(&cache, &shared);
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        object **slot = &held[(random >> 33) % HELD];
        int cached = (random >> 60) % 2 != 0;
        if (!*slot) {
            *slot = cached ? ars__slab_cache_get(&cache) : ars__slab_get_shared(&shared);
            CHECK(*slot);
            (*slot)->stamp = id;
        } else {
            CHECK_EQ((*slot)->stamp, id);
            (*slot)->stamp = 0;
            if (cached)
                ars__slab_cache_put(&cache, *slot);
            else
                ars__slab_put_shared(&shared, *slot);
            *slot = NULL;
        }
    }
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i]) ars__slab_cache_put(&cache, held[i]);
    }
    ars__slab_cache_flush(&cache);
    return NULL;
}

static void threads_share_it(void)
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    ars_alloc_tracker_init(&tracker, NULL);
    ars__slab_init(&shared, &tracker.alloc, sizeof(object), 64);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, takes_and_gives, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(shared.live, 0);
    ars__slab_deinit(&shared);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
}

#if ARS__ASAN
static void touches_a_free_object(void *arg)
{
    ((object *)arg)->stamp = 1;
}

static void poison(void)
{
    ars__slab slab;
    ars__slab_init(&slab, NULL, sizeof(object), 64);
    object *o = ars__slab_get(&slab);
    o->stamp = 1;
    ars__slab_put(&slab, o);
    test_end end = test_child(touches_a_free_object, o);
    CHECK(end.status != 0 || end.signal != 0);
    CHECK(strstr(end.err, "use-after-poison"));
    CHECK(ars__slab_get(&slab) == o);
    o->stamp = 2;
    ars__slab_deinit(&slab);
}
#endif

static const test_case cases[] = {
    {"random_against_reference", random_against_reference},
    {"last_in_first_out_and_generations", last_in_first_out_and_generations},
    {"chunks_double_up_to_the_limit", chunks_double_up_to_the_limit},
    {"every_allocation_fails_once", every_allocation_fails_once},
    {"no_memory_at_all", no_memory_at_all},
    {"cache_keeps_and_flushes", cache_keeps_and_flushes},
    {"threads_share_it", threads_share_it},
#if ARS__ASAN
    {"poison", poison},
#endif
};
TEST_MAIN(cases)
