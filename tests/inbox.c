/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "sync/inbox.h"

typedef struct message {
    ars__inbox_node node; /* first: a node's address is its message's */
    unsigned sender, number;
    unsigned content; /* not atomic: handed over by the push */
} message;

static ars__inbox inbox;

static void takes_in_order(void)
{
    message m[5] = {{.number = 0}};
    ars__inbox in = {0};
    CHECK(ars__inbox_empty(&in));
    CHECK(!ars__inbox_take(&in));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++) {
            CHECK_EQ(ars__inbox_push(&in, &m[i].node), i == 0);
            CHECK(!ars__inbox_empty(&in));
        }
        ars__inbox_node *node = ars__inbox_take(&in);
        CHECK(ars__inbox_empty(&in));
        for (int i = 0; i < 5; i++, node = node->next) CHECK(node == &m[i].node);
        CHECK(!node);
    }
}

/* ---- threads ---- */

enum { SENDERS = 3, MESSAGES = 50000 };

static message *sent[SENDERS];
static uint64_t wakes;
static pthread_barrier_t start;

static void *sends(void *arg)
{
    unsigned sender = (unsigned)(uintptr_t)arg;
    uint64_t first = 0;
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < MESSAGES; i++) {
        message *m = &sent[sender][i];
        m->sender = sender;
        m->number = i;
        m->content = i * 3 + sender;
        first += (unsigned)ars__inbox_push(&inbox, &m->node);
        if (i % 1000 == 0) sched_yield();
    }
    __atomic_fetch_add(&wakes, first, __ATOMIC_RELAXED);
    return NULL;
}

/* Each message arrives once, whole, in its sender's order; and each non-empty take had one waker. */
static void many_senders(void)
{
    pthread_t threads[SENDERS];
    unsigned next[SENDERS] = {0}, total = 0;
    uint64_t takes = 0;
    CHECK(pthread_barrier_init(&start, NULL, SENDERS + 1) == 0);
    for (uintptr_t i = 0; i < SENDERS; i++) {
        CHECK((sent[i] = calloc(MESSAGES, sizeof(message))));
        CHECK(pthread_create(&threads[i], NULL, sends, (void *)i) == 0);
    }
    pthread_barrier_wait(&start);
    while (total < SENDERS * MESSAGES) {
        ars__inbox_node *node = ars__inbox_take(&inbox);
        takes += node != NULL;
        while (node) {
            message *m = (message *)(void *)node;
            node = node->next;
            CHECK(m->sender < SENDERS);
            CHECK_EQ(m->number, next[m->sender]);
            CHECK_EQ(m->content, m->number * 3 + m->sender);
            next[m->sender]++;
            total++;
        }
    }
    for (int i = 0; i < SENDERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        free(sent[i]);
    }
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK(ars__inbox_empty(&inbox));
    CHECK_EQ(wakes, takes);
}

/* The owner sleeps only when it has seen nothing, a sender wakes only a sleeper: nothing is lost. */
static ars_atomic_u32 asleep;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int rung;

enum { LETTERS = 20000 };

static void *sends_and_wakes(void *arg)
{
    message *letters = arg;
    for (unsigned i = 0; i < LETTERS; i++) {
        ars__inbox_push(&inbox, &letters[i].node);
        if (ars_atomic_u32_swap_seq_cst(&asleep, 0)) {
            pthread_mutex_lock(&mutex);
            rung = 1;
            pthread_cond_signal(&cond);
            pthread_mutex_unlock(&mutex);
        }
    }
    return NULL;
}

static void no_wake_is_lost(void)
{
    pthread_t thread;
    unsigned total = 0;
    message *letters = calloc(LETTERS, sizeof *letters);
    CHECK(letters);
    CHECK(pthread_create(&thread, NULL, sends_and_wakes, letters) == 0);
    while (total < LETTERS) {
        for (ars__inbox_node *n = ars__inbox_take(&inbox); n; n = n->next) total++;
        if (total == LETTERS) break;
        ars_atomic_u32_swap_seq_cst(&asleep, 1);
        if (!ars__inbox_empty(&inbox)) {
            /* A sender that has taken the flag away meanwhile rings; that is waited out. */
            if (ars_atomic_u32_swap_seq_cst(&asleep, 0)) continue;
        }
        pthread_mutex_lock(&mutex);
        while (!rung) pthread_cond_wait(&cond, &mutex);
        rung = 0;
        pthread_mutex_unlock(&mutex);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    free(letters);
}

static const test_case cases[] = {
    {"takes_in_order", takes_in_order},
    {"many_senders", many_senders},
    {"no_wake_is_lost", no_wake_is_lost},
};
TEST_MAIN(cases)
