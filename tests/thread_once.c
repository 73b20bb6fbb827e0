/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/clock.h>
#include <arsenal/thread_once.h>

#include <pthread.h>

enum { THREADS = 8 };

static ars_thread_once once;
static pthread_barrier_t start;
static uint64_t runs, failures; /* plain: only one runs at a time */

static int counts(void *arg)
{
    (void)arg;
    runs++;
    return 5;
}

static int fails(void *arg)
{
    (void)arg;
    return ARS_ENOMEM;
}

static void is_done_once(void)
{
    ars_thread_once one = {{0}};
    runs = 0;
    CHECK_EQ(ars_thread_once_do(&one, NULL, NULL, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_thread_once_do(&one, fails, NULL, 0), ARS_ENOMEM);
    CHECK_EQ(ars_thread_once_do(&one, counts, NULL, 0), 0);
    CHECK_EQ(ars_thread_once_do(&one, counts, NULL, 0), 0);
    CHECK_EQ(ars_thread_once_do(&one, fails, NULL, 0), 0);
    CHECK_EQ(ars_thread_once_do(&one, NULL, NULL, 0), ARS_EINVAL);
    CHECK_EQ(runs, 1);
}

static int asks_in_vain(void *arg)
{
    ars_time until = ars_now() + 2 * ARS_MILLISECOND;
    CHECK_EQ(ars_thread_once_do(arg, counts, NULL, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_thread_once_do(arg, counts, NULL, until), ARS_ETIMEDOUT);
    CHECK(ars_now() >= until);
    return 0;
}

static void waits_no_longer(void)
{
    ars_thread_once one = {{0}};
    runs = 0;
    CHECK_EQ(ars_thread_once_do(&one, asks_in_vain, &one, ARS_FOREVER), 0);
    CHECK_EQ(ars_thread_once_do(&one, counts, NULL, 0), 0);
    CHECK_EQ(runs, 0);
}

/* The first two fail, slowly enough for the others to sleep. */
static int fails_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) ars_atomic_pause();
    if (failures < 2) {
        failures++;
        return ARS_EAGAIN;
    }
    runs++;
    return 0;
}

static void *asks(void *arg)
{
    pthread_barrier_wait(&start);
    int rc = ars_thread_once_do(&once, fails_twice, NULL, ARS_FOREVER);
    CHECK(rc == 0 || rc == ARS_EAGAIN);
    if (rc == 0) CHECK_EQ(runs, 1);
    *(int *)arg = rc;
    return NULL;
}

static void goes_to_the_next(void)
{
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (long round = test_times(200, 20); round > 0; round--) {
        pthread_t threads[THREADS];
        int results[THREADS], bad = 0;
        memset(&once, 0, sizeof once);
        runs = failures = 0;
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, asks, &results[i]) == 0);
        for (int i = 0; i < THREADS; i++) {
            CHECK(pthread_join(threads[i], NULL) == 0);
            bad += results[i] < 0;
        }
        CHECK_EQ(bad, 2);
        CHECK_EQ(runs, 1);
    }
    CHECK(pthread_barrier_destroy(&start) == 0);
}

static const test_case cases[] = {
    {"is_done_once", is_done_once},
    {"waits_no_longer", waits_no_longer},
    {"goes_to_the_next", goes_to_the_next},
};
TEST_MAIN(cases)
