/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/deque.h>

/* Four things whose content the owner writes before it pushes them. */
static ars_deque deque;
static ars_atomic_ptr cells[2];
static uint64_t things[4], taken[4];

static ars_atomic_u32 asleep;
static unsigned woken, slept;

static void setup(void)
{
    memset(&deque, 0, sizeof deque);
    memset(cells, 0, sizeof cells);
    memset(things, 0, sizeof things);
    memset(taken, 0, sizeof taken);
    memset(&asleep, 0, sizeof asleep);
    woken = slept = 0;
    if (ars_deque_init(&deque, cells, 2) != 0) model_fail("init", 0);
    model_shared(&deque, sizeof deque);
    model_shared(cells, sizeof cells);
    model_shared(things, sizeof things);
    model_shared(taken, sizeof taken);
}

/* Content i + 1 of thing i; taken twice is a race of these writes or a wrong content. */
static void consume(void *p)
{
    uint64_t *thing = p;
    MODEL_CHECK(thing >= things && thing < things + 4);
    MODEL_CHECK(model_read(thing) == (uint64_t)(thing - things) + 1);
    model_write(thing, 0);
    taken[thing - things]++;
}

static void push(unsigned i)
{
    model_write(&things[i], i + 1);
    int rc = ars_deque_push(&deque, &things[i]);
    if (!rc) model_write(&things[i], 0);
    model_result((uint64_t)rc);
}

static void pop(void)
{
    void *p;
    int rc = ars_deque_pop(&deque, &p);
    if (rc == 1) consume(p);
    model_result((uint64_t)rc);
}

static void steal(void)
{
    void *p;
    int rc = ars_deque_steal(&deque, &p);
    if (rc == 1) consume(p);
    model_result((uint64_t)(int64_t)rc);
}

static void steal_half(void)
{
    void *p[2];
    int rc = ars_deque_steal_half(&deque, p, 2);
    for (int i = 0; i < rc; i++) consume(p[i]);
    model_result((uint64_t)(int64_t)rc);
}

/* Whatever was not taken by the threads is still there. */
static void all_taken_once(void)
{
    void *p;
    while (ars_deque_pop(&deque, &p) == 1) consume(p);
    MODEL_CHECK(ars_deque_size(&deque) == 0);
    for (unsigned i = 0; i < 4; i++) MODEL_CHECK(things[i] == 0 && taken[i] <= 1);
}

static void owner_wraps(void)
{
    for (unsigned i = 0; i < 4; i++) push(i);
}

static void owner_push_pop(void)
{
    push(0);
    push(1);
    pop();
    pop();
}

static void owner_pop_push(void)
{
    push(0);
    pop();
    push(1);
    pop();
}

static void thief(void)
{
    steal();
    steal();
}

static void thief_of_three(void)
{
    thief();
    steal();
}

static void both_taken_once(void)
{
    all_taken_once();
    MODEL_CHECK(taken[0] == 1 && taken[1] == 1);
}

/* An owner that wakes who sleeps, and a thief that sleeps when it finds nothing. */
static void owner_wakes(void)
{
    push(0);
    model_write(&things[1], 2);
    ars_deque_push_seq_cst(&deque, &things[1]);
    woken = ars_atomic_u32_load_seq_cst(&asleep);
    model_result(woken);
}

static void thief_sleeps(void)
{
    ars_atomic_u32_swap_seq_cst(&asleep, 1);
    slept = ars_deque_size(&deque) == 0;
    model_result(slept);
}

static void somebody_saw(void)
{
    MODEL_CHECK(woken || !slept);
}

static const model_program programs[] = {
    {"two thieves, an owner that pushes and pops",
     setup,
     {owner_push_pop, thief, thief},
     both_taken_once,
     0},
    {"two thieves, an owner that pops in between",
     setup,
     {owner_pop_push, thief, steal},
     both_taken_once,
     0},
    {"two thieves, an owner that fills cells again",
     setup,
     {owner_wraps, thief, thief},
     all_taken_once,
     0},
    {"thieves of one and of half", setup, {owner_push_pop, thief, steal_half}, both_taken_once, 0},
    {"two thieves of three, an owner that fills cells again",
     setup,
     {owner_wraps, thief_of_three, thief_of_three},
     all_taken_once,
     1},
    {"an owner that wakes and a thief that sleeps",
     setup,
     {owner_wakes, thief_sleeps},
     somebody_saw,
     0},
};

#define ONE_ORDER                                                                                  \
    "the model's order of sequentially consistent accesses is that of execution; without this "    \
    "C11 would let the look at 'bottom' come before what made 'top' what was read"
static const model_survivor survivors[] = {
    {"ars_deque_steal load 1", "relaxed acquire", ONE_ORDER},
    {"ars_deque_size load 1", "relaxed acquire", ONE_ORDER},
    {"ars_deque_pop cas 1", "relaxed acquire release acq_rel", ONE_ORDER},
    {"ars_deque_pop cas 2", "relaxed acquire release acq_rel", ONE_ORDER},
    {"ars__deque_room load 1", "relaxed",
     "a thief would have to read a pointer that is stored later: the model has no such loads"},
};
MODEL_MAIN(programs, survivors)
