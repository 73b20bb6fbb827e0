/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/seqlock.h>

#include <pthread.h>
#include <sched.h>

#include "base/san.h"

enum { THREADS = 8, WRITERS = 2, LARGEST = 40 };

typedef struct numbers {
    uint64_t n[5]; /* n, n + 1, ... */
    uint32_t last; /* low bits of n: the value does not end on a word */
} numbers;

static ars_seqlock lock;
static uint64_t words[ARS_SEQLOCK_WORDS(numbers)];
static ars_atomic_u32 writing;
static pthread_barrier_t start;
static int rounds;
static uint64_t stores; /* plain: begin and end are a lock for writers */

static void keeps_every_size(void)
{
    ars_seqlock one = {{0}};
    uint64_t kept[LARGEST / 8 + 1];
    unsigned char in[LARGEST + 1], out[LARGEST + 1];
    for (size_t size = 0; size <= LARGEST; size++) {
        memset(kept, 0xee, sizeof kept);
        memset(out, 0xdd, sizeof out);
        for (size_t i = 0; i <= LARGEST; i++) in[i] = (unsigned char)(size + i);
        ars_seqlock_store(&one, kept, in, size);
        ars_seqlock_load(&one, kept, out, size);
        CHECK(memcmp(in, out, size) == 0);
        CHECK_EQ(out[size], 0xdd);
        CHECK_EQ(((unsigned char *)kept)[(size + 7) / 8 * 8], 0xee);
    }
    CHECK_EQ(ARS_SEQLOCK_WORDS(char), 1);
    CHECK_EQ(ARS_SEQLOCK_WORDS(uint64_t[2]), 2);
}

static void tells_of_writers(void)
{
    ars_seqlock one = {{UINT32_MAX - 1}}; /* the sequence wraps */
    uint64_t word = 0, value = 7;
    uint32_t first = ars_seqlock_read_begin(&one);
    CHECK(!ars_seqlock_read_again(&one, first));
    ars_seqlock_write_begin(&one);
    CHECK(ars_seqlock_read_again(&one, first));
    ars_seqlock_put(&word, &value, sizeof value);
    ars_seqlock_write_end(&one);
    CHECK(ars_seqlock_read_again(&one, first));
    first = ars_seqlock_read_begin(&one);
    CHECK_EQ(first, 0);
    value = 0;
    ars_seqlock_get(&word, &value, sizeof value);
    CHECK(!ars_seqlock_read_again(&one, first));
    CHECK_EQ(value, 7);
}

static void check(const numbers *v)
{
    for (uint64_t i = 1; i < 5; i++) CHECK_EQ(v->n[i], v->n[0] + i);
    CHECK_EQ(v->last, (uint32_t)v->n[0]);
}

static void *writes(void *arg)
{
    pthread_barrier_wait(&start);
    for (int i = 0; i < rounds; i++) {
        numbers v;
        memset(&v, 0, sizeof v);
        uint64_t base = (uint64_t)i << 8 | (uint64_t)(uintptr_t)arg;
        for (uint64_t k = 0; k < 5; k++) v.n[k] = base + k;
        v.last = (uint32_t)base;
        ars_seqlock_write_begin(&lock);
        stores++;
        ars_seqlock_put(words, &v, sizeof v);
        ars_seqlock_write_end(&lock);
        if (i % 16 == 0) sched_yield();
    }
    ars_atomic_u32_add_release(&writing, (uint32_t)-1);
    return NULL;
}

static void *reads(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&start);
    do {
        numbers v;
        ars_seqlock_load(&lock, words, &v, sizeof v);
        check(&v);
        sched_yield(); /* there are more threads than CPUs */
    } while (ars_atomic_u32_load_acquire(&writing) > 0);
    return NULL;
}

static void is_never_torn(void)
{
    pthread_t threads[THREADS];
    numbers v = {{0, 1, 2, 3, 4}, 0};
    rounds = (int)test_times(30000, ARS__TSAN ? 500 : 4000);
    ars_seqlock_store(&lock, words, &v, sizeof v);
    ars_atomic_u32_store_relaxed(&writing, WRITERS);
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, i < WRITERS ? writes : reads, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(stores, WRITERS * (uint64_t)rounds);
    ars_seqlock_load(&lock, words, &v, sizeof v);
    check(&v);
    CHECK_EQ(v.n[0] >> 8, rounds - 1);
}

static const test_case cases[] = {
    {"keeps_every_size", keeps_every_size},
    {"tells_of_writers", tells_of_writers},
    {"is_never_torn", is_never_torn},
};
TEST_MAIN(cases)
