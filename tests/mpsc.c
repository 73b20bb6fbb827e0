/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/mpsc.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/san.h"

typedef struct message {
    ars_mpsc_node node; /* first: a node's address is its message's */
    unsigned sender, number;
    unsigned content; /* not atomic: handed over by the push */
} message;

static void in_order(void)
{
    ars_mpsc queue = {0};
    message m[5];
    ars_mpsc_node *node = NULL;
    CHECK(ars_mpsc_empty(&queue));
    CHECK_EQ(ars_mpsc_pop(&queue, &node), 0);
    CHECK(!node);
    for (int held = 1; held <= 5; held++) {
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < held; i++) {
                ars_mpsc_push(&queue, &m[i].node);
                CHECK(!ars_mpsc_empty(&queue));
            }
            for (int i = 0; i < held; i++) {
                CHECK_EQ(ars_mpsc_pop(&queue, &node), 1);
                CHECK(node == &m[i].node);
                /* It is the caller's again. */
                memset(&m[i], 0xff, sizeof m[i]);
            }
            CHECK(ars_mpsc_empty(&queue));
            CHECK_EQ(ars_mpsc_pop(&queue, &node), 0);
        }
    }
}

/* A push that stands between its exchange and its link, made by hand. */
static ars_mpsc_node *exchange(ars_mpsc *queue, ars_mpsc_node *node)
{
    node->next.ars__v = NULL;
    ars_mpsc_node *before = ars_atomic_ptr_swap_seq_cst(&queue->last, node);
    return before ? before : &queue->stub;
}

static void expect(ars_mpsc *queue, ars_mpsc_node *expected)
{
    ars_mpsc_node *node = NULL;
    CHECK_EQ(ars_mpsc_pop(queue, &node), expected != NULL);
    CHECK(node == expected);
}

static void half_a_push(void)
{
    ars_mpsc queue = {0};
    ars_mpsc_node a, b, c, *node, *before;
    for (int round = 0; round < 2; round++) {
        /* Behind the stub. */
        before = exchange(&queue, &a);
        for (int i = 0; i < 3; i++) CHECK_EQ(ars_mpsc_pop(&queue, &node), ARS_EAGAIN);
        CHECK(!ars_mpsc_empty(&queue));
        ars_mpsc_push(&queue, &b);
        CHECK_EQ(ars_mpsc_pop(&queue, &node), ARS_EAGAIN);
        ars_atomic_ptr_store_release(&before->next, &a);
        expect(&queue, &a);
        /* Behind a node. */
        before = exchange(&queue, &c);
        CHECK(before == &b);
        for (int i = 0; i < 3; i++) CHECK_EQ(ars_mpsc_pop(&queue, &node), ARS_EAGAIN);
        ars_atomic_ptr_store_release(&before->next, &c);
        expect(&queue, &b);
        expect(&queue, &c);
        expect(&queue, NULL);
        CHECK(ars_mpsc_empty(&queue));
    }
}

/* ---- threads ---- */

enum { SENDERS = 8 };

static ars_mpsc queue;
static unsigned messages;
static pthread_barrier_t start;

static void *sends(void *arg)
{
    unsigned sender = (unsigned)(uintptr_t)arg;
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < messages; i++) {
        message *m = malloc(sizeof *m);
        CHECK(m);
        m->sender = sender;
        m->number = i;
        m->content = i * 3 + sender;
        ars_mpsc_push(&queue, &m->node);
        if (i % 1000 == 0) sched_yield();
    }
    return NULL;
}

/* Each message arrives once, whole, in its sender's order, and may be freed at once. */
static void many_senders(void)
{
    pthread_t threads[SENDERS];
    unsigned next[SENDERS] = {0}, total = 0;
    messages = (unsigned)(ARS__TSAN ? 50000 : test_times(1000000, 50000));
    CHECK(pthread_barrier_init(&start, NULL, SENDERS + 1) == 0);
    for (uintptr_t i = 0; i < SENDERS; i++)
        CHECK(pthread_create(&threads[i], NULL, sends, (void *)i) == 0);
    pthread_barrier_wait(&start);
    while (total < SENDERS * messages) {
        ars_mpsc_node *node;
        int rc = ars_mpsc_pop(&queue, &node);
        if (rc != 1) {
            CHECK(rc == 0 || rc == ARS_EAGAIN);
            sched_yield();
            continue;
        }
        message *m = (message *)(void *)node;
        CHECK(m->sender < SENDERS);
        CHECK_EQ(m->number, next[m->sender]);
        CHECK_EQ(m->content, m->number * 3 + m->sender);
        next[m->sender]++;
        total++;
        free(m);
    }
    for (int i = 0; i < SENDERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK(ars_mpsc_empty(&queue));
}

static const test_case cases[] = {
    {"in_order", in_order},
    {"half_a_push", half_a_push},
    {"many_senders", many_senders},
};
TEST_MAIN(cases)
