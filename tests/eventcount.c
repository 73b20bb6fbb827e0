/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/clock.h>
#include <arsenal/eventcount.h>
#include <arsenal/queue.h>

#include <pthread.h>

#include "base/san.h"

static void alone(void)
{
    ars_eventcount ec = {0};
    /* Nobody waits: nothing changes. */
    CHECK(!ars_eventcount_announce(&ec));
    ars_eventcount_notify(&ec, 1);
    CHECK_EQ(ec.epoch.ars__v, 0);
    uint32_t key = ars_eventcount_prepare(&ec);
    CHECK(ars_eventcount_announce(&ec));
    /* Notified between prepare and wait: does not sleep. */
    CHECK_EQ(ars_eventcount_wait(&ec, key, ARS_FOREVER), 0);
    CHECK(!ars_eventcount_announce(&ec));
    key = ars_eventcount_prepare(&ec);
    ars_eventcount_notify(&ec, 1);
    CHECK_EQ(ars_eventcount_wait(&ec, key, 0), 0);
    ars_eventcount_prepare(&ec);
    ars_eventcount_cancel(&ec);
    CHECK(!ars_eventcount_announce(&ec));
}

static void times_out(void)
{
    ars_eventcount ec = {0};
    uint32_t key = ars_eventcount_prepare(&ec);
    CHECK_EQ(ars_eventcount_wait(&ec, key, 0), ARS_ETIMEDOUT);
    ars_time deadline = ars_time_add(ars_now(), 2 * ARS_MILLISECOND);
    key = ars_eventcount_prepare(&ec);
    CHECK_EQ(ars_eventcount_wait(&ec, key, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    /* The preparation has ended. */
    CHECK(!ars_eventcount_announce(&ec));
}

/* ---- producers and consumers that sleep: no wake is lost, or this does not end ---- */

enum { PRODUCERS = 8, CONSUMERS = 8, CAPACITY = 4 };

static ars_queue queue;
static uint64_t cells[ARS_QUEUE_BYTES(CAPACITY, 8) / 8];
static ars_eventcount not_full, not_empty;
static unsigned values;
static pthread_barrier_t start;

static void push(uint64_t value)
{
    while (!ars_queue_push(&queue, &value)) {
        uint32_t key = ars_eventcount_prepare(&not_full);
        if (ars_queue_push(&queue, &value)) {
            ars_eventcount_cancel(&not_full);
            break;
        }
        CHECK_EQ(ars_eventcount_wait(&not_full, key, ARS_FOREVER), 0);
    }
    ars_eventcount_notify(&not_empty, 1);
}

static uint64_t pop(void)
{
    uint64_t value;
    while (!ars_queue_pop(&queue, &value)) {
        uint32_t key = ars_eventcount_prepare(&not_empty);
        if (ars_queue_pop(&queue, &value)) {
            ars_eventcount_cancel(&not_empty);
            break;
        }
        CHECK_EQ(ars_eventcount_wait(&not_empty, key, ARS_FOREVER), 0);
    }
    ars_eventcount_notify(&not_full, 1);
    return value;
}

static void *produces(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&start);
    for (uint64_t i = 1; i <= values; i++) push(i);
    return NULL;
}

static void *consumes(void *sum)
{
    pthread_barrier_wait(&start);
    for (;;) {
        uint64_t value = pop();
        if (value == 0) return NULL;
        *(uint64_t *)sum += value;
    }
}

static void many_to_many(void)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    uint64_t sums[CONSUMERS] = {0}, sum = 0;
    values = (unsigned)(ARS__TSAN ? 10000 : test_times(100000, 10000));
    CHECK_EQ(ars_queue_init(&queue, cells, CAPACITY, 8), 0);
    CHECK(pthread_barrier_init(&start, NULL, PRODUCERS + CONSUMERS) == 0);
    for (int i = 0; i < CONSUMERS; i++)
        CHECK(pthread_create(&threads[i], NULL, consumes, &sums[i]) == 0);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(pthread_create(&threads[CONSUMERS + i], NULL, produces, NULL) == 0);
    for (int i = 0; i < PRODUCERS; i++) CHECK(pthread_join(threads[CONSUMERS + i], NULL) == 0);
    for (int i = 0; i < CONSUMERS; i++) push(0);
    for (int i = 0; i < CONSUMERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    for (int i = 0; i < CONSUMERS; i++) sum += sums[i];
    CHECK_EQ(sum, (uint64_t)PRODUCERS * values * (values + 1) / 2);
}

static const test_case cases[] = {
    {"alone", alone},
    {"times_out", times_out},
    {"many_to_many", many_to_many},
};
TEST_MAIN(cases)
