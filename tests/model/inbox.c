/* SPDX-License-Identifier: MIT */
#include "model.h"

#include "sync/inbox.h"

typedef struct message {
    ars__inbox_node node; /* first: a node's address is its message's */
    uint64_t content;
} message;

static ars__inbox inbox;
static message messages[3]; /* 0 and 1 are the first sender's */
static unsigned taken[3];
static ars_atomic_u32 asleep;
static unsigned woken, slept, first, takes;

static void setup(void)
{
    memset(&inbox, 0, sizeof inbox);
    memset(messages, 0, sizeof messages);
    memset(taken, 0, sizeof taken);
    memset(&asleep, 0, sizeof asleep);
    woken = slept = first = takes = 0;
    model_shared(&inbox, sizeof inbox);
    model_shared(messages, sizeof messages);
    model_shared(taken, sizeof taken);
    model_shared(&first, sizeof first);
    model_shared(&takes, sizeof takes);
}

static void push(unsigned i)
{
    model_write(&messages[i].content, i + 1);
    int was_empty = ars__inbox_push(&inbox, &messages[i].node);
    first += (unsigned)was_empty;
    model_result((uint64_t)was_empty);
}

static unsigned take(void)
{
    unsigned n = 0;
    for (ars__inbox_node *node = ars__inbox_take(&inbox); node; node = node->next, n++) {
        message *m = (message *)(void *)node;
        unsigned i = (unsigned)(m - messages);
        MODEL_CHECK(i < 3 && !taken[i] && model_read(&m->content) == i + 1);
        MODEL_CHECK(i != 1 || taken[0]);
        taken[i] = 1;
        model_write(&m->content, 0);
    }
    takes += n > 0;
    return n;
}

static void takes_once(void)
{
    model_result(take());
}

static void sender_of_two(void)
{
    push(0);
    push(1);
}

static void sender_of_one(void)
{
    push(2);
}

static void owner(void)
{
    takes_once();
    takes_once();
}

/* As many pushes found it empty as takes found something. */
static void all_taken(void)
{
    take();
    for (unsigned i = 0; i < 3; i++) MODEL_CHECK(taken[i]);
    MODEL_CHECK(first == takes);
}

static void sender_wakes(void)
{
    push(0);
    woken = ars_atomic_u32_load_seq_cst(&asleep);
    model_result(woken);
}

static void owner_sleeps(void)
{
    takes_once();
    ars_atomic_u32_swap_seq_cst(&asleep, 1);
    slept = !taken[0] && ars__inbox_empty(&inbox);
    model_result(slept);
}

static void somebody_saw(void)
{
    MODEL_CHECK(woken || !slept);
}

static const model_program programs[] = {
    {"two senders, two takes", setup, {sender_of_two, sender_of_one, owner}, all_taken, 0},
    {"a sender that wakes and an owner that sleeps",
     setup,
     {sender_wakes, owner_sleeps},
     somebody_saw,
     0},
};
static const model_survivor survivors[] = {
    {"ars__inbox_take swap 1", "acquire acq_rel",
     "an owner that sleeps looks again by ars__inbox_empty(), not by taking"},
};
MODEL_MAIN(programs, survivors)
