/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/ring.h>

static ars_ring ring;
static uint64_t values[3];
static uint64_t pushed, popped;

static void setup(void)
{
    memset(&ring, 0, sizeof ring);
    memset(values, 0, sizeof values);
    pushed = popped = 0;
    if (ars_ring_init(&ring, values, 3, 8) != 0) model_fail("init", 0);
    model_shared(&ring, sizeof ring);
    model_shared(values, sizeof values);
    model_shared(&pushed, sizeof pushed);
    model_shared(&popped, sizeof popped);
}

static void push(void)
{
    uint64_t value = pushed + 1;
    int rc = ars_ring_push(&ring, &value);
    pushed += (unsigned)rc;
    model_result((uint64_t)rc);
}

static void push_many(void)
{
    uint64_t next[2] = {pushed + 1, pushed + 2};
    size_t n = ars_ring_push_many(&ring, next, 2);
    pushed += n;
    model_result(n);
}

static void expect(const uint64_t *value, size_t n)
{
    for (size_t i = 0; i < n; i++) MODEL_CHECK(value[i] == popped + i + 1);
    popped += n;
    model_result(n);
}

static void pop(void)
{
    uint64_t value;
    expect(&value, (size_t)ars_ring_pop(&ring, &value));
}

static void pop_many(void)
{
    uint64_t value[2];
    expect(value, ars_ring_pop_many(&ring, value, 2));
}

static void push_in_place(void)
{
    uint64_t next[2] = {pushed + 1, pushed + 2};
    void *place;
    size_t n = ars_ring_reserve(&ring, 2, &place);
    if (n > 0) {
        memcpy(place, next, n * sizeof *next);
        ars_ring_commit(&ring, n);
    }
    pushed += n;
    model_result(n);
}

static void pop_in_place(void)
{
    uint64_t value[2];
    void *place;
    size_t n = ars_ring_peek(&ring, 2, &place);
    if (n > 0) {
        memcpy(value, place, n * sizeof *value);
        ars_ring_drop(&ring, n);
    }
    expect(value, n);
}

static void producer_in_place(void)
{
    for (int i = 0; i < 4; i++) push_in_place();
}

static void consumer_in_place(void)
{
    for (int i = 0; i < 4; i++) pop_in_place();
}

static void producer(void)
{
    for (int i = 0; i < 6; i++) push();
}

static void consumer(void)
{
    for (int i = 0; i < 6; i++) pop();
}

static void producer_of_many(void)
{
    push_many();
    push();
    push_many();
    push_many();
}

static void consumer_of_many(void)
{
    pop_many();
    pop();
    pop_many();
    pop_many();
}

static void rest_is_there(void)
{
    uint64_t value;
    MODEL_CHECK(ars_ring_size(&ring) == pushed - popped);
    while (ars_ring_pop(&ring, &value)) MODEL_CHECK(value == ++popped);
    MODEL_CHECK(pushed == popped);
}

static const model_program programs[] = {
    {"six pushes, six pops", setup, {producer, consumer}, rest_is_there, 0},
    {"batches", setup, {producer_of_many, consumer_of_many}, rest_is_there, 0},
    {"batches against single pops", setup, {producer_of_many, consumer}, rest_is_there, 0},
    {"in place", setup, {producer_in_place, consumer_in_place}, rest_is_there, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
