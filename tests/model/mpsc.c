/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/mpsc.h>

typedef struct message {
    ars_mpsc_node node; /* first: a node's address is its message's */
    uint64_t content;
} message;

static ars_mpsc queue;
static message messages[4]; /* 0 and 1 are the first producer's, 2 and 3 the second's */
static unsigned taken[4];
static ars_atomic_u32 asleep;
static unsigned woken, slept;

static void setup(void)
{
    memset(&queue, 0, sizeof queue);
    memset(messages, 0, sizeof messages);
    /* What an earlier life left in a node: nobody may see it once the node is pushed. */
    for (unsigned i = 0; i < 4; i++)
        ars_atomic_ptr_store_relaxed(&messages[i].node.next, &messages[3].node);
    memset(taken, 0, sizeof taken);
    memset(&asleep, 0, sizeof asleep);
    woken = slept = 0;
    model_shared(&queue, sizeof queue);
    model_shared(messages, sizeof messages);
    model_shared(taken, sizeof taken);
}

static void push(unsigned i)
{
    model_write(&messages[i].content, i + 1);
    ars_mpsc_push(&queue, &messages[i].node);
    model_result(0);
}

static int pop(void)
{
    ars_mpsc_node *node;
    int rc = ars_mpsc_pop(&queue, &node);
    if (rc == 1) {
        message *m = (message *)(void *)node;
        unsigned i = (unsigned)(m - messages);
        MODEL_CHECK(i < 4 && !taken[i] && model_read(&m->content) == i + 1);
        /* A producer's second comes after its first. */
        MODEL_CHECK(i % 2 == 0 || taken[i - 1]);
        taken[i] = 1;
        /* It is the consumer's: nobody may touch it any more. */
        model_write(&m->content, 0);
        model_write((uint64_t *)(void *)&m->node, 0);
    }
    return rc;
}

static void pops(void)
{
    model_result((uint64_t)(int64_t)pop());
}

static void producer_0(void)
{
    push(0);
    push(1);
}

static void producer_1(void)
{
    push(2);
}

static void producer_again(void)
{
    push(2);
    push(3);
}

static void consumer(void)
{
    pops();
    pops();
    pops();
}

static void rest_is_there(void)
{
    while (pop() == 1) {}
    MODEL_CHECK(ars_mpsc_empty(&queue));
    for (unsigned i = 0; i < 4; i++) MODEL_CHECK(messages[i].content == 0);
}

/* A producer that wakes who sleeps, and a consumer that sleeps when there is nothing. */
static void producer_wakes(void)
{
    push(0);
    woken = ars_atomic_u32_load_seq_cst(&asleep);
    model_result(woken);
}

static void consumer_sleeps(void)
{
    pops();
    ars_atomic_u32_swap_seq_cst(&asleep, 1);
    slept = !taken[0] && ars_mpsc_empty(&queue);
    model_result(slept);
}

static void somebody_saw(void)
{
    MODEL_CHECK(woken || !slept);
}

static const model_program programs[] = {
    {"two producers, three pops", setup, {producer_0, producer_1, consumer}, rest_is_there, 0},
    {"two producers of two, three pops",
     setup,
     {producer_0, producer_again, consumer},
     rest_is_there,
     0},
    {"a producer that wakes and a consumer that sleeps",
     setup,
     {producer_wakes, consumer_sleeps},
     somebody_saw,
     0},
};
static const model_survivor survivors[] = {
    {"ars_mpsc_pop load 5", "relaxed", "what it orders is giving the node's memory back"},
};
MODEL_MAIN(programs, survivors)
