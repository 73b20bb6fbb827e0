/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/clock.h>
#include <arsenal/thread_mutex.h>

#include <pthread.h>

#include "base/san.h"

enum { THREADS = 8 };

static ars_thread_mutex mutex;
static pthread_barrier_t start;
static int rounds;
/* Two words that are always equal outside of the lock, and not atomic. */
static volatile uint64_t left, right;

static void locks(void)
{
    ars_thread_mutex one = {{0}};
    CHECK_EQ(sizeof one, 4);
    CHECK_EQ(ars_thread_mutex_unlock(&one), ARS_EPERM);
    CHECK_EQ(ars_thread_mutex_lock(&one, 0), 0);
    CHECK_EQ(ars_thread_mutex_lock(&one, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_thread_mutex_unlock(&one), 0);
    CHECK_EQ(ars_thread_mutex_unlock(&one), ARS_EPERM);
    CHECK_EQ(ars_thread_mutex_lock(&one, ARS_FOREVER), 0);
    CHECK_EQ(ars_thread_mutex_unlock(&one), 0);
}

static void ends_in_time(void)
{
    CHECK_EQ(ars_thread_mutex_lock(&mutex, ARS_FOREVER), 0);
    ars_time until = ars_now() + 5 * ARS_MILLISECOND;
    CHECK_EQ(ars_thread_mutex_lock(&mutex, until), ARS_ETIMEDOUT);
    CHECK(ars_now() >= until);
    CHECK_EQ(ars_thread_mutex_lock(&mutex, 1), ARS_ETIMEDOUT); /* long ago */
    CHECK_EQ(ars_thread_mutex_unlock(&mutex), 0);
    CHECK_EQ(ars_thread_mutex_lock(&mutex, 0), 0);
    CHECK_EQ(ars_thread_mutex_unlock(&mutex), 0);
}

static void *counts(void *arg)
{
    ars_time brief = 20 * ARS_MICROSECOND;
    pthread_barrier_wait(&start);
    for (int i = 0; i < rounds; i++) {
        int rc;
        do {
            rc = ars_thread_mutex_lock(&mutex, arg ? ARS_FOREVER : ars_now() + brief);
            CHECK(rc == 0 || (!arg && rc == ARS_ETIMEDOUT));
        } while (rc < 0);
        CHECK(left == right);
        left = left + 1;
        /* Now and then for so long that the others sleep. */
        for (int pauses = i % 64 ? 1 : 2000; pauses > 0; pauses--) ars_atomic_pause();
        right = right + 1;
        CHECK_EQ(ars_thread_mutex_unlock(&mutex), 0);
    }
    return NULL;
}

static void excludes(void)
{
    pthread_t threads[THREADS];
    rounds = (int)test_times(20000, ARS__TSAN ? 500 : 3000);
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, counts, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(left, THREADS * (uint64_t)rounds);
    CHECK_EQ(right, THREADS * (uint64_t)rounds);
}

static void *waits(void *arg)
{
    (void)arg;
    CHECK_EQ(ars_thread_mutex_lock(&mutex, ARS_FOREVER), 0);
    left = left + 1; /* it has not gone the short way: also then it is ordered */
    CHECK_EQ(ars_thread_mutex_unlock(&mutex), 0);
    return NULL;
}

/* All of them sleep; one unlock by the holder wakes them all, one after the other. */
static void wakes_all(void)
{
    pthread_t threads[THREADS];
    CHECK_EQ(ars_thread_mutex_lock(&mutex, ARS_FOREVER), 0);
    left = 0;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, waits, NULL) == 0);
    while (ars_atomic_u32_load_relaxed(&mutex.word) != ARS__THREAD_MUTEX_SLEPT) ars_atomic_pause();
    CHECK_EQ(ars_thread_mutex_unlock(&mutex), 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(left, THREADS);
    CHECK_EQ(ars_thread_mutex_lock(&mutex, 0), 0);
    CHECK_EQ(ars_thread_mutex_unlock(&mutex), 0);
}

static const test_case cases[] = {
    {"locks", locks},
    {"ends_in_time", ends_in_time},
    {"excludes", excludes},
    {"wakes_all", wakes_all},
};
TEST_MAIN(cases)
