/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/lifo.h>

static ars_lifo stack;
static ars_atomic_u32 links[4];
/* What each number stands for: plain data of whoever has it. */
static uint64_t content[3];
/* Which numbers each thread has. */
static unsigned held[2];

static void setup(void)
{
    memset(&stack, 0, sizeof stack);
    memset(links, 0, sizeof links);
    memset(content, 0, sizeof content);
    memset(held, 0, sizeof held);
    if (ars_lifo_init(&stack, links, 3) != 0) model_fail("init", 0);
    for (uint32_t i = 0; i < 3; i++)
        if (ars_lifo_push(&stack, i) != 0) model_fail("push", 0);
    model_shared(&stack, sizeof stack);
    model_shared(links, sizeof links);
    model_shared(content, sizeof content);
}

static uint32_t pop(unsigned self)
{
    uint32_t number = 9;
    if (ars_lifo_pop(&stack, &number)) {
        MODEL_CHECK(number < 3);
        model_write(&content[number], model_read(&content[number]) + 1);
        held[self] |= 1u << number;
    }
    model_result(number);
    return number;
}

static void push(unsigned self, uint32_t number)
{
    if (number < 3) {
        held[self] &= ~(1u << number);
        (void)ars_lifo_push(&stack, number);
    }
    model_result(0);
}

/* Takes two, and puts back the one that was on top: where ABA would strike. */
static void turns(void)
{
    uint32_t first = pop(0);
    pop(0);
    push(0, first);
}

static void takes(void)
{
    pop(1);
}

static void borrows(void)
{
    push(1, pop(1));
}

static void borrows_too(void)
{
    push(0, pop(0));
}

/* Each number is in one place: a thread's hands or the stack. */
static void each_once(void)
{
    uint32_t number = 0;
    unsigned seen = held[0], left = 4; /* a broken stack may be a circle */
    MODEL_CHECK((held[0] & held[1]) == 0);
    seen |= held[1];
    while (left-- > 0 && ars_lifo_pop(&stack, &number)) {
        MODEL_CHECK(number < 3 && !(seen >> number & 1));
        seen |= 1u << (number & 3);
    }
    MODEL_CHECK(ars_lifo_empty(&stack));
    MODEL_CHECK(seen == 7);
}

static const model_program programs[] = {
    {"a pop while the top goes and returns", setup, {turns, takes}, each_once, 0},
    {"two borrow", setup, {borrows_too, borrows}, each_once, 0},
    {"a borrower and a turner", setup, {turns, borrows}, each_once, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
