/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/atomic.h>

#include <pthread.h>

/* Each operation in each order does what it says; what the orders mean is for the models. */
#define SWAPS(NAME, TYPE, ONE, TWO, ORDER)                                                         \
    do {                                                                                           \
        ars_atomic_##NAME a = {0};                                                                 \
        TYPE was = (TYPE)(ONE);                                                                    \
        CHECK(ars_atomic_##NAME##_swap_##ORDER(&a, (TYPE)(TWO)) == (TYPE)0);                       \
        CHECK(!ars_atomic_##NAME##_cas_##ORDER(&a, &was, (TYPE)(ONE)));                            \
        CHECK(was == (TYPE)(TWO));                                                                 \
        CHECK(ars_atomic_##NAME##_cas_##ORDER(&a, &was, (TYPE)(ONE)));                             \
        CHECK(was == (TYPE)(TWO));                                                                 \
        CHECK(ars_atomic_##NAME##_load_relaxed(&a) == (TYPE)(ONE));                                \
    } while (0)
#define COMPUTES(NAME, ORDER)                                                                      \
    do {                                                                                           \
        ars_atomic_##NAME a = {5};                                                                 \
        CHECK_EQ(ars_atomic_##NAME##_add_##ORDER(&a, 7), 5);                                       \
        CHECK_EQ(ars_atomic_##NAME##_and_##ORDER(&a, 10), 12);                                     \
        CHECK_EQ(ars_atomic_##NAME##_or_##ORDER(&a, 3), 8);                                        \
        CHECK_EQ(ars_atomic_##NAME##_xor_##ORDER(&a, 9), 11);                                      \
        CHECK_EQ(ars_atomic_##NAME##_load_relaxed(&a), 2);                                         \
    } while (0)
#define CELL(NAME, TYPE, ONE, TWO)                                                                 \
    do {                                                                                           \
        ars_atomic_##NAME cell = {0};                                                              \
        SWAPS(NAME, TYPE, ONE, TWO, relaxed);                                                      \
        SWAPS(NAME, TYPE, ONE, TWO, acquire);                                                      \
        SWAPS(NAME, TYPE, ONE, TWO, release);                                                      \
        SWAPS(NAME, TYPE, ONE, TWO, acq_rel);                                                      \
        SWAPS(NAME, TYPE, ONE, TWO, seq_cst);                                                      \
        ars_atomic_##NAME##_store_relaxed(&cell, (TYPE)(ONE));                                     \
        CHECK(ars_atomic_##NAME##_load_acquire(&cell) == (TYPE)(ONE));                             \
        ars_atomic_##NAME##_store_release(&cell, (TYPE)(TWO));                                     \
        CHECK(ars_atomic_##NAME##_load_seq_cst(&cell) == (TYPE)(TWO));                             \
        ars_atomic_##NAME##_store_seq_cst(&cell, (TYPE)(ONE));                                     \
        CHECK(ars_atomic_##NAME##_load_relaxed(&cell) == (TYPE)(ONE));                             \
    } while (0)
#define INTEGER(NAME, TYPE, LARGE)                                                                 \
    do {                                                                                           \
        ars_atomic_##NAME number = {0};                                                            \
        CELL(NAME, TYPE, 1, LARGE);                                                                \
        COMPUTES(NAME, relaxed);                                                                   \
        COMPUTES(NAME, acquire);                                                                   \
        COMPUTES(NAME, release);                                                                   \
        COMPUTES(NAME, acq_rel);                                                                   \
        COMPUTES(NAME, seq_cst);                                                                   \
        ars_atomic_##NAME##_count_relaxed(&number, (TYPE)(LARGE));                                 \
        ars_atomic_##NAME##_count_relaxed(&number, (TYPE)-1);                                      \
        CHECK(ars_atomic_##NAME##_load_relaxed(&number) == (TYPE)((LARGE)-1));                     \
    } while (0)

static void u32(void)
{
    INTEGER(u32, uint32_t, UINT32_MAX);
}

static void u64(void)
{
    INTEGER(u64, uint64_t, UINT64_MAX);
}

static void i64(void)
{
    INTEGER(i64, int64_t, INT64_MIN + 1);
}

static void ptr(void)
{
    static int one, two;
    CELL(ptr, void *, &one, &two);
}

static void hints(void)
{
    ars_atomic_prefetch_read(NULL);
    ars_atomic_prefetch_write(NULL);
    ars_atomic_prefetch_write(hints);
    ars_atomic_pause();
    CHECK(ARS_CACHE_APART % ARS_CACHE_LINE == 0);
}

/* ---- eight threads ---- */

enum { THREADS = 8 };

static long rounds;
static ars_atomic_u64 counted, bits;

static void *counts(void *arg)
{
    uint64_t mine = UINT64_C(1) << (uintptr_t)arg;
    for (long i = 0; i < rounds; i++) {
        ars_atomic_u64_count_relaxed(&counted, 1);
        CHECK_EQ(ars_atomic_u64_xor_relaxed(&bits, mine) & mine, i % 2 ? mine : 0);
    }
    return NULL;
}

static void loses_nothing(void)
{
    pthread_t threads[THREADS];
    rounds = test_times(100000, 10000);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, counts, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(ars_atomic_u64_load_relaxed(&counted), THREADS * (uint64_t)rounds);
    CHECK_EQ(ars_atomic_u64_load_relaxed(&bits), 0);
}

static const test_case cases[] = {
    {"u32", u32}, {"u64", u64},     {"i64", i64},
    {"ptr", ptr}, {"hints", hints}, {"loses_nothing", loses_nothing},
};
TEST_MAIN(cases)
