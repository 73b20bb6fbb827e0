/* SPDX-License-Identifier: MIT */
/* The explorer itself: what C11 allows is found, what it forbids is not. */
#include "model.h"

#include <stdio.h>

#include "base/san.h"

static ars_atomic_u32 x, y;
static uint64_t data;
static uint32_t saw[4];
static unsigned found; /* bit a | b << 1 | c << 2: these were read, in this order */

static void setup(void)
{
    memset(&x, 0, sizeof x);
    memset(&y, 0, sizeof y);
    memset(saw, 0, sizeof saw);
    data = 0;
    model_shared(&data, sizeof data);
    model_shared(saw, sizeof saw);
}

static void finish(void)
{
    found |= 1U << (saw[0] | saw[1] << 1 | saw[2] << 2);
}

/* Store buffering. */
static void buffer_x(void)
{
    ars_atomic_u32_store_release(&x, 1);
    saw[0] = ars_atomic_u32_load_acquire(&y);
}

static void buffer_y(void)
{
    ars_atomic_u32_store_release(&y, 1);
    saw[1] = ars_atomic_u32_load_acquire(&x);
}

static void exchange_x(void)
{
    ars_atomic_u32_swap_seq_cst(&x, 1);
    saw[0] = ars_atomic_u32_load_seq_cst(&y);
}

static void exchange_y(void)
{
    ars_atomic_u32_swap_seq_cst(&y, 1);
    saw[1] = ars_atomic_u32_load_seq_cst(&x);
}

/* Message passing. */
static void pass_relaxed(void)
{
    ars_atomic_u32_store_relaxed(&x, 1);
    ars_atomic_u32_store_relaxed(&y, 1);
}

static void pass_release(void)
{
    ars_atomic_u32_store_relaxed(&x, 1);
    ars_atomic_u32_store_release(&y, 1);
}

static void get_relaxed(void)
{
    saw[0] = ars_atomic_u32_load_relaxed(&y);
    saw[1] = ars_atomic_u32_load_relaxed(&x);
}

static void get_acquire(void)
{
    saw[0] = ars_atomic_u32_load_acquire(&y);
    saw[1] = ars_atomic_u32_load_relaxed(&x);
}

/* One object: never an older store after a newer one. */
static void get_twice(void)
{
    saw[0] = ars_atomic_u32_load_relaxed(&x);
    saw[1] = ars_atomic_u32_load_relaxed(&x);
}

static void store_x(void)
{
    ars_atomic_u32_store_relaxed(&x, 1);
}

/* What the first has stored reaches the third through the second. */
static void relay_relaxed(void)
{
    saw[0] = ars_atomic_u32_load_relaxed(&x);
    ars_atomic_u32_store_relaxed(&y, saw[0]);
}

static void relay_release(void)
{
    saw[0] = ars_atomic_u32_load_acquire(&x);
    ars_atomic_u32_store_release(&y, saw[0]);
}

static void end_acquire(void)
{
    saw[1] = ars_atomic_u32_load_acquire(&y);
    saw[2] = ars_atomic_u32_load_relaxed(&x);
}

static void store_x_release(void)
{
    ars_atomic_u32_store_release(&x, 1);
}

/* A read-modify-write in between hands on what was released before it. */
static void write_and_release(void)
{
    model_write(&data, 7);
    ars_atomic_u32_store_release(&x, 1);
}

static void add_one(void)
{
    ars_atomic_u32_add_relaxed(&x, 1);
}

static void read_after_two(void)
{
    if (ars_atomic_u32_load_acquire(&x) == 2) MODEL_CHECK(model_read(&data) == 7);
}

static void store_over(void)
{
    if (ars_atomic_u32_load_relaxed(&x) == 1) ars_atomic_u32_store_relaxed(&x, 2);
}

/* Load buffering: not covered, see model.h. */
static void load_x(void)
{
    saw[0] = ars_atomic_u32_load_relaxed(&x);
    ars_atomic_u32_store_relaxed(&y, 1);
}

static void load_y(void)
{
    saw[1] = ars_atomic_u32_load_relaxed(&y);
    ars_atomic_u32_store_relaxed(&x, 1);
}

/* Waiting for what never comes. */
static void waits_for_x(void)
{
    while (ars_atomic_u32_load_relaxed(&x) == 0) ars_atomic_pause();
}

static const struct {
    model_program program;
    int passes;
    unsigned found;
} cases[] = {
    {{"store buffering", setup, {buffer_x, buffer_y}, finish, 0}, 1, 0xf},
    {{"store buffering, seq_cst", setup, {exchange_x, exchange_y}, finish, 0}, 1, 0xe},
    {{"message, relaxed", setup, {pass_relaxed, get_relaxed}, finish, 0}, 1, 0xf},
    {{"message, release only", setup, {pass_release, get_relaxed}, finish, 0}, 1, 0xf},
    {{"message, acquire only", setup, {pass_relaxed, get_acquire}, finish, 0}, 1, 0xf},
    {{"message, both", setup, {pass_release, get_acquire}, finish, 0}, 1, 0xd},
    {{"one object", setup, {store_x, get_twice}, finish, 0}, 1, 0xd},
    {{"relay, relaxed", setup, {store_x, relay_relaxed, end_acquire}, finish, 0}, 1, 0xbb},
    {{"relay, release", setup, {store_x_release, relay_release, end_acquire}, finish, 0}, 1, 0xb3},
    {{"through an addition", setup, {write_and_release, add_one, read_after_two}, NULL, 0}, 1, 0},
    {{"over a store", setup, {write_and_release, store_over, read_after_two}, NULL, 0}, 0, 0},
    {{"load buffering", setup, {load_x, load_y}, finish, 0}, 1, 0x7},
    {{"waits", setup, {waits_for_x, store_x}, NULL, 0}, 1, 0},
    {{"waits for nothing", setup, {waits_for_x}, NULL, 0}, 0, 0},
};

int main(void)
{
    int bad = 0;
    if (ARS__TSAN) return 77; /* one thread runs here */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        found = 0;
        int passes = model_explore(&cases[i].program);
        printf("%s: %s, outcomes %#x\n", cases[i].program.name, passes ? "passes" : "fails", found);
        if (passes == cases[i].passes && found == cases[i].found) continue;
        fprintf(stderr, "%s: should be %d, outcomes %#x\n", cases[i].program.name, cases[i].passes,
                cases[i].found);
        bad = 1;
    }
    return bad;
}
