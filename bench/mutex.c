/* SPDX-License-Identifier: MIT */
#include <arsenal/mutex.h>
#include <arsenal/run.h>
#include <arsenal/thread_mutex.h>
#include <pthread.h>

#include "bench.h"

/*
 *   mutex.pair          lock and unlock, uncontended: ns a pair
 *   mutex.pair.thread   the same by a plain thread, also of the mutex that is for threads only
 */

/* ---- arsenal: in a task ---- */

struct job {
    int (*pairs)(uint64_t n);
    uint64_t n;
    double ns;
};

static int mutex_pairs(uint64_t n)
{
    ars_mutex mutex = {0};
    for (; n; n--) {
        int rc = ars_mutex_lock(&mutex, ARS_FOREVER);
        if (rc < 0) return rc;
        ars_mutex_unlock(&mutex);
    }
    return 0;
}

static int root(void *arg)
{
    struct job *job = arg;
    double began = bench_now();
    int rc = job->pairs(job->n);
    job->ns = bench_now() - began;
    return rc;
}

static double arsenal(uint64_t n, void *arg)
{
    int (**pairs)(uint64_t) = arg;
    struct job job = {*pairs, n, -1};
    ars_config config = {.workers = 1};
    return ars_run(root, &job, &config) < 0 ? -1 : job.ns;
}

static double arsenal_thread(uint64_t n, void *arg)
{
    int (**pairs)(uint64_t) = arg;
    double began = bench_now();
    return (*pairs)(n) < 0 ? -1 : bench_now() - began;
}

/* ---- pthread ---- */

/* A process that has never had a second thread is spared the locked instructions by the C library. */
static void *nothing(void *arg)
{
    return arg;
}

static double pthread_pairs(uint64_t n, void *arg)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    (void)arg;
    double began = bench_now();
    for (; n; n--) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
    return bench_now() - began;
}

/* ---- the mutex of threads ---- */

static double thread_mutex(uint64_t n, void *arg)
{
    static ars_thread_mutex mutex;
    (void)arg;
    double began = bench_now();
    for (; n; n--) {
        if (ars_thread_mutex_lock(&mutex, ARS_FOREVER) < 0) return -1;
        ars_thread_mutex_unlock(&mutex);
    }
    return bench_now() - began;
}

static double thread_mutex_called(uint64_t n, void *arg)
{
    static ars_thread_mutex mutex;
    int (*volatile const lock)(ars_thread_mutex *, ars_time) = ars_thread_mutex_lock;
    int (*volatile const unlock)(ars_thread_mutex *) = ars_thread_mutex_unlock;
    (void)arg;
    double began = bench_now();
    for (; n; n--) {
        if (lock(&mutex, ARS_FOREVER) < 0) return -1;
        unlock(&mutex);
    }
    return bench_now() - began;
}

/* ---- the limit: two locked instructions, nothing around them ---- */

static double limit_pairs(uint64_t n, void *arg)
{
    static uint32_t word;
    (void)arg;
    double began = bench_now();
    for (; n; n--) {
        uint32_t free = 0, held = 1;
        if (!__atomic_compare_exchange_n(&word, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return -1;
        if (!__atomic_compare_exchange_n(&word, &held, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return -1;
    }
    return bench_now() - began;
}

int main(int argc, char **argv)
{
    static int (*mutex)(uint64_t) = mutex_pairs;
    const char *v = ars_version();
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL)) return 1;
    const struct bench table[] = {
        {"mutex.pair", "arsenal", v, "task", NULL, arsenal, &mutex, 0, 0},
        {"mutex.pair", "limit:cas", NULL, "two compare-and-swaps", NULL, limit_pairs, NULL, 0, 0},
        {"mutex.pair", "pthread", NULL, NULL, NULL, pthread_pairs, NULL, 0, 0},
        {"mutex.pair.thread", "arsenal", v, "plain thread", NULL, arsenal_thread, &mutex, 0, 0},
        {"mutex.pair.thread", "pthread", NULL, NULL, NULL, pthread_pairs, NULL, 0, 0},
        {"mutex.pair.thread", "arsenal:thread_mutex", v, "inlined", NULL, thread_mutex, NULL, 0, 0},
        {"mutex.pair.thread", "arsenal:thread_mutex_called", v, NULL, NULL, thread_mutex_called,
         NULL, 0, 0},
        {"mutex.pair.thread", "limit:cas", NULL, "two compare-and-swaps", NULL, limit_pairs, NULL,
         0, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
