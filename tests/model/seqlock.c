/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/seqlock.h>

typedef struct value {
    uint64_t left, right;
} value;

static ars_seqlock lock;
static uint64_t words[ARS_SEQLOCK_WORDS(value)];

static uint64_t writers; /* plain: begin and end are a lock for writers */

static void setup(void)
{
    memset(&lock, 0, sizeof lock);
    memset(words, 0, sizeof words);
    model_shared(&lock, sizeof lock);
    writers = 0;
    model_shared(words, sizeof words);
    model_shared(&writers, sizeof writers);
}

static void store(uint64_t n)
{
    value v = {n, n};
    ars_seqlock_write_begin(&lock);
    model_write(&writers, model_read(&writers) + 1);
    ars_seqlock_put(words, &v, sizeof v);
    ars_seqlock_write_end(&lock);
    model_result(n);
}

static uint64_t load(void)
{
    value v;
    ars_seqlock_load(&lock, words, &v, sizeof v);
    MODEL_CHECK(v.left == v.right);
    model_result(v.left);
    return v.left;
}

static void stores_twice(void)
{
    store(1);
    store(2);
}

static void stores(void)
{
    store(3);
}

static void loads(void)
{
    load();
}

static void loads_twice(void)
{
    uint64_t first = load();
    MODEL_CHECK(load() >= first);
}

/* Who has stored reads what it stored, or what another has stored since. */
static void stores_and_loads(void)
{
    store(4);
    MODEL_CHECK(load() >= 3);
}

static void is_whole(void)
{
    value v;
    ars_seqlock_load(&lock, words, &v, sizeof v);
    MODEL_CHECK(v.left == v.right);
    MODEL_CHECK(ars_atomic_u32_load_relaxed(&lock.sequence) % 2 == 0);
}

static const model_program programs[] = {
    {"a writer and two readers", setup, {stores, loads, loads}, is_whole, 0},
    {"a writer and a reader, twice", setup, {stores_twice, loads_twice, NULL}, is_whole, 0},
    {"two writers and a reader", setup, {stores, stores, loads}, is_whole, 0},
    {"two writers, one reads", setup, {stores, stores_and_loads, NULL}, is_whole, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
