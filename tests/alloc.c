/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/alloc.h>
#include <arsenal/arena.h>
#include <arsenal/rng.h>
#include <arsenal/tlsf.h>

#include <errno.h>
#include <pthread.h>

/* Fills with a pattern that depends on the place, and checks it. */
static void fill(unsigned char *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) p[i] = (unsigned char)(i * 7 + 1);
}

static void check_filled(const unsigned char *p, size_t size)
{
    for (size_t i = 0; i < size; i++) CHECK_EQ(p[i], (unsigned char)(i * 7 + 1));
}

static void aligns_and_resizes(void)
{
    const ars_alloc *a = ars_alloc_default();
    static const size_t sizes[] = {1, 5, 16, 64, 100, 4096, 5000, 300000};
    enum { N = sizeof sizes / sizeof *sizes };
    CHECK(a && a == ars_alloc_default());
    for (size_t align = 1; align <= 65536; align *= 2) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                size_t old = sizes[i], size = sizes[j], kept = old < size ? old : size;
                unsigned char *p = a->alloc(a->ctx, old, align);
                CHECK(p && (uintptr_t)p % align == 0);
                fill(p, 0, old);
                p = a->resize(a->ctx, p, old, size, align);
                CHECK(p && (uintptr_t)p % align == 0);
                check_filled(p, kept);
                fill(p, kept, size);
                check_filled(p, size);
                a->free(a->ctx, p, size, align);
            }
        }
    }
}

/* ---- all of them, by the interface ---- */

/* Random calls beside an array of what is live. */
static void play(const ars_alloc *a, ars_rng *rng)
{
    enum { LIVE = 100 };
    static struct {
        unsigned char *p;
        size_t size, align;
    } live[LIVE];
    for (long step = test_times(20000, 4000); step; step--) {
        size_t i = (size_t)ars_rng_below(rng, LIVE), size = 1 + (size_t)ars_rng_below(rng, 2000);
        size_t align = (size_t)1 << ars_rng_below(rng, 8), old = live[i].size;
        unsigned char *p = live[i].p;
        if (!p) {
            p = a->alloc(a->ctx, size, align);
            if (!p) continue;
            live[i].align = align;
        } else if (ars_rng_below(rng, 2)) {
            check_filled(p, old);
            CHECK(!a->resize(a->ctx, p, old, 0, live[i].align));
            CHECK(!a->resize(a->ctx, p, old, size, 3));
            unsigned char *q = a->resize(a->ctx, p, old, size, live[i].align);
            check_filled(q ? q : p, q && size < old ? size : old);
            if (!q) continue;
            p = q;
        } else {
            check_filled(p, old);
            a->free(a->ctx, p, old, live[i].align);
            live[i].p = NULL;
            continue;
        }
        CHECK((uintptr_t)p % live[i].align == 0);
        fill(p, 0, size);
        live[i].p = p;
        live[i].size = size;
    }
    for (size_t i = 0; i < LIVE; i++) {
        if (!live[i].p) continue;
        check_filled(live[i].p, live[i].size);
        a->free(a->ctx, live[i].p, live[i].size, live[i].align);
        live[i].p = NULL;
    }
    CHECK(!a->alloc(a->ctx, 0, 8));
    CHECK(!a->alloc(a->ctx, 8, 0));
    CHECK(!a->alloc(a->ctx, 8, 24));
}

static void each_keeps_the_contract(void)
{
    static ars_tlsf tlsf;
    static char memory[1 << 20];
    ars_alloc_tracker tracker;
    ars_alloc_failer failer;
    ars_arena arena;
    ars_rng rng;
    ars_rng_seed(&rng, 1);
    play(ars_alloc_default(), &rng);
    ars_alloc_tracker_init(&tracker, NULL);
    play(&tracker.alloc, &rng);
    ars_alloc_failer_init(&failer, &tracker.alloc, 1000, 0);
    play(&failer.alloc, &rng);
    CHECK_EQ(ars_alloc_failer_failed(&failer), 1);
    ars_arena_init(&arena, &tracker.alloc, 0);
    ars_alloc of_arena = ars_arena_as_alloc(&arena);
    play(&of_arena, &rng);
    ars_arena_deinit(&arena);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).blocks, 0);
    ars_tlsf_init(&tlsf);
    CHECK_EQ(ars_tlsf_add(&tlsf, memory, sizeof memory), 0);
    play(&tlsf.alloc, &rng);
    CHECK_EQ(ars_tlsf_check(&tlsf), 0);
    CHECK_EQ(ars_tlsf_get_stats(&tlsf).blocks, 0);
}

static void impossible_sizes_give_null(void)
{
    const ars_alloc *a = ars_alloc_default();
    /* Read from memory, so that the compiler does not object. */
    volatile size_t huge = SIZE_MAX / 2 + 1;
    volatile size_t all = SIZE_MAX;
    errno = 4711;
    CHECK(!a->alloc(a->ctx, huge, 8));
    CHECK(!a->alloc(a->ctx, all, 8));
    CHECK(!a->alloc(a->ctx, huge, 4096));
    CHECK(!a->alloc(a->ctx, all - 100, 4096));
    for (size_t align = 8; align <= 4096; align *= 512) {
        unsigned char *p = a->alloc(a->ctx, 100, align);
        CHECK(p);
        fill(p, 0, 100);
        CHECK(!a->resize(a->ctx, p, 100, huge, align));
        check_filled(p, 100);
        a->free(a->ctx, p, 100, align);
    }
    CHECK_EQ(errno, 4711);
}

static void check_stats(const ars_alloc_tracker *t, uint64_t bytes, uint64_t blocks, uint64_t peak,
                        uint64_t calls)
{
    ars_alloc_stats s = ars_alloc_tracker_stats(t);
    CHECK_EQ(s.bytes, bytes);
    CHECK_EQ(s.blocks, blocks);
    CHECK_EQ(s.peak, peak);
    CHECK_EQ(s.calls, calls);
}

static void tracker_counts(void)
{
    ars_alloc_tracker t;
    ars_alloc_failer f;
    ars_alloc_failer_init(&f, NULL, 4, 0);
    ars_alloc_tracker_init(&t, &f.alloc);
    const ars_alloc *a = &t.alloc;
    check_stats(&t, 0, 0, 0, 0);
    void *p = a->alloc(a->ctx, 100, 8);
    check_stats(&t, 100, 1, 100, 1);
    void *q = a->alloc(a->ctx, 50, 64);
    check_stats(&t, 150, 2, 150, 2);
    p = a->resize(a->ctx, p, 100, 30, 8);
    check_stats(&t, 80, 2, 150, 3);
    p = a->resize(a->ctx, p, 30, 40, 8);
    check_stats(&t, 90, 2, 150, 4);
    /* Failed calls are counted, and nothing else of them. */
    CHECK(!a->alloc(a->ctx, 1000, 8));
    check_stats(&t, 90, 2, 150, 5);
    a->free(a->ctx, p, 40, 8);
    a->free(a->ctx, q, 50, 64);
    check_stats(&t, 0, 0, 150, 7);
}

static void failer_fails_where_told(void)
{
    for (int from_then_on = 0; from_then_on <= 1; from_then_on++) {
        for (uint64_t at = 0; at <= 6; at++) {
            ars_alloc_failer f;
            ars_alloc_failer_init(&f, NULL, at, from_then_on);
            const ars_alloc *a = &f.alloc;
            unsigned failed = 0;
            for (uint64_t call = 1; call <= 5; call++) {
                void *p = a->alloc(a->ctx, 10, 8);
                CHECK_EQ(!p, at != 0 && (call == at || (from_then_on && call > at)));
                failed += !p;
                if (p) a->free(a->ctx, p, 10, 8);
            }
            CHECK_EQ(ars_alloc_failer_calls(&f), 5);
            CHECK_EQ(ars_alloc_failer_failed(&f), failed);
        }
    }
    /* A resize counts only if it grows, and leaves the block when it fails. */
    ars_alloc_failer f;
    ars_alloc_failer_init(&f, NULL, 2, 1);
    const ars_alloc *a = &f.alloc;
    unsigned char *p = a->alloc(a->ctx, 100, 8);
    CHECK(p);
    fill(p, 0, 100);
    CHECK(!a->resize(a->ctx, p, 100, 101, 8));
    check_filled(p, 100);
    CHECK_EQ(ars_alloc_failer_calls(&f), 2);
    CHECK((p = a->resize(a->ctx, p, 100, 50, 8)));
    CHECK((p = a->resize(a->ctx, p, 50, 50, 8)));
    check_filled(p, 50);
    CHECK_EQ(ars_alloc_failer_calls(&f), 2);
    a->free(a->ctx, p, 50, 8);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000 };

static ars_alloc_tracker shared;
static ars_alloc_failer every;

static void *allocates(void *arg)
{
    const ars_alloc *a = &every.alloc;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = (size_t)(i % 100) + 1;
        void *p = a->alloc(a->ctx, size, 16);
        CHECK(p);
        a->free(a->ctx, p, size, 16);
    }
    return NULL;
}

static void threads_are_counted_exactly(void)
{
    pthread_t threads[THREADS];
    ars_alloc_tracker_init(&shared, NULL);
    ars_alloc_failer_init(&every, &shared.alloc, 0, 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocates, NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    ars_alloc_stats s = ars_alloc_tracker_stats(&shared);
    CHECK_EQ(s.bytes, 0);
    CHECK_EQ(s.blocks, 0);
    CHECK_EQ(s.calls, 2 * THREADS * ROUNDS);
    CHECK(s.peak >= 100 && s.peak <= THREADS * 100);
    CHECK_EQ(ars_alloc_failer_calls(&every), THREADS * ROUNDS);
}

static const test_case cases[] = {
    {"each_keeps_the_contract", each_keeps_the_contract},
    {"aligns_and_resizes", aligns_and_resizes},
    {"impossible_sizes_give_null", impossible_sizes_give_null},
    {"tracker_counts", tracker_counts},
    {"failer_fails_where_told", failer_fails_where_told},
    {"threads_are_counted_exactly", threads_are_counted_exactly},
};
TEST_MAIN(cases)
