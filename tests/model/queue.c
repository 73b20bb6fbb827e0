/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/queue.h>

static ars_queue queue;
static uint64_t cells[ARS_QUEUE_BYTES(2, 8) / 8];
/* What each thread popped, in its order; values are 10 * producer + number. */
static uint64_t popped[MODEL_THREADS][3];
static unsigned popped_count[MODEL_THREADS], pushed_count;

static void setup(void)
{
    memset(&queue, 0, sizeof queue);
    memset(cells, 0, sizeof cells);
    memset(popped, 0, sizeof popped);
    memset(popped_count, 0, sizeof popped_count);
    pushed_count = 0;
    if (ars_queue_init(&queue, cells, 2, 8) != 0) model_fail("init", 0);
    model_shared(&queue, sizeof queue);
    model_shared(cells, sizeof cells);
    model_shared(&pushed_count, sizeof pushed_count);
}

static void push(uint64_t value)
{
    int rc = ars_queue_push(&queue, &value);
    pushed_count += (unsigned)rc;
    model_result((uint64_t)rc);
}

static void pop(unsigned self)
{
    uint64_t value = 0;
    int rc = ars_queue_pop(&queue, &value);
    if (rc) {
        MODEL_CHECK(value >= 10 && value < 30);
        popped[self][popped_count[self]++] = value;
    }
    model_result((uint64_t)rc << 8 | value);
}

static void producer_0(void)
{
    push(10);
    push(11);
}

static void producer_1(void)
{
    push(20);
    push(21);
}

static void producer_3(void)
{
    push(10);
    push(11);
    push(12);
}

static void consumer_1(void)
{
    pop(1);
    pop(1);
}

static void consumer_2(void)
{
    pop(2);
    pop(2);
}

static void producer_of_three(void)
{
    producer_1();
    push(22);
}

static void consumer_of_three(void)
{
    consumer_2();
    pop(2);
}

static void both(void)
{
    push(20);
    pop(1);
}

/* Each value once, and for each consumer in its producer's order. */
static void once_and_in_order(void)
{
    uint64_t value;
    unsigned count[30] = {0}, total = 0;
    while (ars_queue_pop(&queue, &value)) {
        count[value]++;
        total++;
    }
    for (unsigned t = 0; t < MODEL_THREADS; t++) {
        uint64_t last[3] = {0};
        for (unsigned i = 0; i < popped_count[t]; i++, total++) {
            value = popped[t][i];
            count[value]++;
            MODEL_CHECK(value > last[value / 10]);
            last[value / 10] = value;
        }
    }
    for (unsigned i = 0; i < 30; i++) MODEL_CHECK(count[i] <= 1);
    MODEL_CHECK(total == pushed_count);
}

static const model_program programs[] = {
    {"two producers, one consumer",
     setup,
     {producer_0, producer_1, consumer_2},
     once_and_in_order,
     0},
    {"one producer, two consumers",
     setup,
     {producer_3, consumer_1, consumer_2},
     once_and_in_order,
     0},
    {"two producers and a consumer of three",
     setup,
     {producer_3, producer_of_three, consumer_of_three},
     once_and_in_order,
     1},
    {"a thread that is both", setup, {producer_0, both, consumer_2}, once_and_in_order, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
