/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/seqlock.h>
#include <arsenal/spin.h>
#include <arsenal/spin_rw.h>
#include <arsenal/ticket.h>

#include <pthread.h>
#include <unistd.h>

#include "fault.h"

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

/* ---- a holder that does not run ---- */

static ars_ticket tickets;
static ars_spin_rw rw;
static ars_seqlock seq;

static void *spins(void *arg)
{
    uint64_t word = 0;
    switch ((uintptr_t)arg) {
    case 0:
        ars_spin_lock(&lock);
        ars_spin_unlock(&lock);
        break;
    case 1:
        ars_ticket_lock(&tickets);
        ars_ticket_unlock(&tickets);
        break;
    case 2:
        ars_spin_rw_read_lock(&rw);
        ars_spin_rw_read_unlock(&rw);
        break;
    case 3:
        ars_spin_rw_write_lock(&rw);
        ars_spin_rw_write_unlock(&rw);
        break;
    case 4: ars_seqlock_load(&seq, &word, &word, 0); break;
    default: ars_seqlock_store(&seq, &word, &word, 0); break;
    }
    return NULL;
}

/* Each of the spinning headers ends in the same: who waits lets others run. */
static void gives_way(void)
{
    for (uintptr_t i = 0; i < 6; i++) {
        pthread_t thread;
        ars_spin_lock(&lock);
        ars_ticket_lock(&tickets);
        ars_spin_rw_write_lock(&rw);
        ars_seqlock_write_begin(&seq);
        uint64_t before = fault_counts("thread_yield");
        CHECK(pthread_create(&thread, NULL, spins, (void *)i) == 0);
        for (int ms = 0; ms < 20000 && fault_counts("thread_yield") == before; ms++) usleep(1000);
        CHECK(fault_counts("thread_yield") > before);
        ars_spin_unlock(&lock);
        ars_ticket_unlock(&tickets);
        ars_spin_rw_write_unlock(&rw);
        ars_seqlock_write_end(&seq);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static const test_case cases[] = {
    {"tries", tries},
    {"excludes", excludes},
    {"gives_way", gives_way},
};
TEST_MAIN(cases)
