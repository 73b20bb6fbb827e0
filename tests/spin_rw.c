/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/spin_rw.h>

#include <pthread.h>
#include <sched.h>

#include "base/san.h"

enum { THREADS = 8 };

static ars_spin_rw lock;
static pthread_barrier_t start;
static int rounds;
/* Two words that are always equal outside of the lock, and not atomic. */
static volatile uint64_t left, right;

static void tries(void)
{
    ars_spin_rw one = {{0}, {0}};
    CHECK(ars_spin_rw_read_try(&one));
    CHECK(ars_spin_rw_read_try(&one));
    CHECK(!ars_spin_rw_write_try(&one));
    ars_spin_rw_read_unlock(&one);
    CHECK(!ars_spin_rw_write_try(&one));
    ars_spin_rw_read_unlock(&one);
    CHECK(ars_spin_rw_write_try(&one));
    CHECK(!ars_spin_rw_write_try(&one));
    CHECK(!ars_spin_rw_read_try(&one));
    ars_spin_rw_write_unlock(&one);
    ars_spin_rw_read_lock(&one);
    CHECK(ars_spin_rw_read_try(&one));
    ars_spin_rw_read_unlock(&one);
    ars_spin_rw_read_unlock(&one);
    ars_spin_rw_write_lock(&one);
    CHECK(!ars_spin_rw_read_try(&one));
    ars_spin_rw_write_unlock(&one);
    CHECK(ars_spin_rw_read_try(&one));
    ars_spin_rw_read_unlock(&one);
}

static void *works(void *arg)
{
    unsigned kind = (unsigned)(uintptr_t)arg % 4;
    pthread_barrier_wait(&start);
    for (int i = 0; i < rounds; i++) {
        if (kind >= 2) {
            if (kind == 2)
                ars_spin_rw_read_lock(&lock);
            else
                while (!ars_spin_rw_read_try(&lock)) sched_yield();
            uint64_t seen = left;
            ars_atomic_pause();
            CHECK_EQ(seen, right);
            ars_spin_rw_read_unlock(&lock);
        } else {
            if (kind == 1)
                ars_spin_rw_write_lock(&lock);
            else
                while (!ars_spin_rw_write_try(&lock)) sched_yield();
            CHECK(left == right);
            left = left + 1;
            ars_atomic_pause();
            right = right + 1;
            ars_spin_rw_write_unlock(&lock);
        }
        /* Those who need it get it: writers who never cease would shut readers out. */
        if (i % 16 == 0) sched_yield();
    }
    return NULL;
}

static void excludes(void)
{
    pthread_t threads[THREADS];
    rounds = (int)test_times(20000, ARS__TSAN ? 300 : 3000);
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, works, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(left, THREADS / 2 * (uint64_t)rounds);
    CHECK_EQ(right, left);
}

/* ---- preference ---- */

static void *writes(void *arg)
{
    (void)arg;
    ars_spin_rw_write_lock(&lock);
    left = left + 1;
    ars_spin_rw_write_unlock(&lock);
    return NULL;
}

static void prefers_writers(void)
{
    pthread_t thread;
    left = 0;
    ars_spin_rw_read_lock(&lock);
    CHECK(pthread_create(&thread, NULL, writes, NULL) == 0);
    while (ars_spin_rw_read_try(&lock)) { /* the writer has not come yet */
        ars_spin_rw_read_unlock(&lock);
        sched_yield();
    }
    CHECK_EQ(left, 0);
    ars_spin_rw_read_unlock(&lock);
    ars_spin_rw_read_lock(&lock);
    CHECK_EQ(left, 1); /* it was first */
    ars_spin_rw_read_unlock(&lock);
    CHECK(pthread_join(thread, NULL) == 0);
}

static const test_case cases[] = {
    {"tries", tries},
    {"excludes", excludes},
    {"prefers_writers", prefers_writers},
};
TEST_MAIN(cases)
