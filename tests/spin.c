/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/spin.h>

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 300000 };

static pthread_barrier_t start;

static ars_spin lock;
/* Two words that are always equal outside of the lock, and not atomic. */
static volatile uint64_t left, right;

static void tries(void)
{
    ars_spin spin = {0};
    CHECK(ars_spin_try(&spin));
    CHECK(!ars_spin_try(&spin));
    ars_spin_unlock(&spin);
    ars_spin_lock(&spin);
    CHECK(!ars_spin_try(&spin));
    ars_spin_unlock(&spin);
    CHECK(ars_spin_try(&spin));
}

static void *counts(void *arg)
{
    int by_trying = arg != NULL;
    pthread_barrier_wait(&start);
    for (int i = 0; i < ROUNDS; i++) {
        if (by_trying) {
            while (!ars_spin_try(&lock)) ars_atomic_pause();
        } else {
            ars_spin_lock(&lock);
        }
        CHECK(left == right);
        left = left + 1;
        /* Wide enough for somebody who does not respect the lock to get in. */
        ars_atomic_pause();
        right = right + 1;
        ars_spin_unlock(&lock);
    }
    return NULL;
}

static void excludes(void)
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, counts, i == 0 ? threads : NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(left, THREADS * ROUNDS);
    CHECK_EQ(right, THREADS * ROUNDS);
}

static const test_case cases[] = {
    {"tries", tries},
    {"excludes", excludes},
};
TEST_MAIN(cases)
