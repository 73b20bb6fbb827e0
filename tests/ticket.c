/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/ticket.h>

#include <pthread.h>
#include <sched.h>

#include "base/san.h"

static void tries(void)
{
    ars_ticket lock = {0};
    for (int i = 0; i < 3; i++) {
        CHECK(ars_ticket_try(&lock));
        CHECK(!ars_ticket_try(&lock));
        ars_ticket_unlock(&lock);
        ars_ticket_lock(&lock);
        CHECK(!ars_ticket_try(&lock));
        ars_ticket_unlock(&lock);
    }
    /* Tickets wrap. */
    lock.next.ars__v = lock.serving.ars__v = UINT32_MAX;
    CHECK(ars_ticket_try(&lock));
    ars_ticket_unlock(&lock);
    ars_ticket_lock(&lock);
    CHECK(!ars_ticket_try(&lock));
    ars_ticket_unlock(&lock);
    CHECK_EQ(lock.serving.ars__v, 1);
}

/* ---- exclusion ---- */

enum { THREADS = 4 };

static ars_ticket lock;
static pthread_barrier_t start;
static unsigned rounds;
/* Two words that are always equal outside of the lock, and not atomic. */
static volatile uint64_t left, right;

static void *counts(void *arg)
{
    int by_trying = arg != NULL;
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds; i++) {
        if (by_trying) {
            while (!ars_ticket_try(&lock)) sched_yield();
        } else {
            ars_ticket_lock(&lock);
        }
        CHECK(left == right);
        left = left + 1;
        ars_atomic_pause();
        right = right + 1;
        ars_ticket_unlock(&lock);
        /* With more threads than CPUs, spinning for one that does not run would take whole time slices. */
        sched_yield();
    }
    return NULL;
}

static void excludes(void)
{
    pthread_t threads[THREADS];
    rounds = (unsigned)(ARS__TSAN ? 300 : test_times(3000, 500));
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, counts, i == 0 ? threads : NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(left, THREADS * rounds);
    CHECK_EQ(right, THREADS * rounds);
}

/* ---- order ---- */

static unsigned order[THREADS], served;

static void *queues(void *arg)
{
    ars_ticket_lock(&lock);
    order[served++] = (unsigned)(uintptr_t)arg;
    ars_ticket_unlock(&lock);
    return NULL;
}

static void first_come_first_served(void)
{
    pthread_t threads[THREADS];
    ars_ticket_lock(&lock);
    uint32_t drawn = ars_atomic_u32_load_relaxed(&lock.next);
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, queues, (void *)i) == 0);
        /* The next one comes only after this one has drawn its ticket. */
        while (ars_atomic_u32_load_relaxed(&lock.next) != drawn + i + 1) sched_yield();
    }
    ars_ticket_unlock(&lock);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(order[i], i);
}

static const test_case cases[] = {
    {"tries", tries},
    {"excludes", excludes},
    {"first_come_first_served", first_come_first_served},
};
TEST_MAIN(cases)
