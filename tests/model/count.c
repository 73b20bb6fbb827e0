/* SPDX-License-Identifier: MIT */
/*
 * How a group counts its children, documented in run/sched.h: without atomics
 * at home, with them elsewhere, and the two brought together before the home
 * turns to anything else.
 *
 * The functions named ars_ repeat, access by access, what run/group.c and
 * run/sched.h do: all_ended, ars__group_count, take_out, ars__groups_share with
 * merge, and the end of a child at home.  What a child writes must have
 * happened for whoever concludes; and exactly one does.
 */
#include "model.h"

#include <arsenal/atomic.h>

#define BIAS ((int64_t)1 << 40)

static ars_atomic_i64 pending;
static int64_t local; /* the home's */
static ars_atomic_u32 offered;
static uint64_t left[3], concluded; /* what the children have written */
static uint64_t children;
static uint64_t over; /* for the home */

static void set(uint64_t n, int64_t at_home)
{
    memset(&pending, 0, sizeof pending);
    memset(&offered, 0, sizeof offered);
    memset(left, 0, sizeof left);
    concluded = 0;
    over = 0;
    children = n;
    local = at_home;
    pending.ars__v = BIAS;
    model_shared(&pending, sizeof pending);
    model_shared(&local, sizeof local);
    model_shared(&offered, sizeof offered);
    model_shared(left, sizeof left);
    model_shared(&concluded, sizeof concluded);
    model_shared(&over, sizeof over);
}

static void two_children(void)
{
    set(2, 2);
}

static void three_children(void)
{
    set(3, 2);
}

static void conclude(void)
{
    for (uint64_t i = 0; i < children; i++) MODEL_CHECK(model_read(&left[i]) == 1);
    model_write(&concluded, model_read(&concluded) + 1);
}

static int ars_all_ended(void)
{
    return local + ars_atomic_i64_load_acquire(&pending) == BIAS;
}

static void ars_take_out(int64_t n)
{
    int64_t before = ars_atomic_i64_add_acq_rel(&pending, -n);
    MODEL_CHECK(before >= n);
    if (before == n) conclude();
    model_result((uint64_t)before);
}

static void ars_count_elsewhere(void)
{
    ars_atomic_i64_add_acq_rel(&pending, 1);
    model_result(0);
}

static void ars_share(void)
{
    int64_t change = local - BIAS;
    local = 0;
    if (ars_atomic_i64_add_acq_rel(&pending, change) + change == 0) conclude();
    model_result(0);
}

/* While somebody waits. */
static void ends_at_home(unsigned child)
{
    model_write(&left[child], 1);
    local--;
    over = (uint64_t)ars_all_ended();
    if (over) conclude();
    model_result(over);
}

static void home(void)
{
    ends_at_home(0);
    if (!over) ars_share();
}

/* It has lost a child, which ends before it looks or at any time later. */
static void elsewhere(void)
{
    model_write(&left[1], 1);
    ars_take_out(1);
}

static int take_offered(void)
{
    int got = ars_atomic_u32_swap_acquire(&offered, 0) != 0;
    model_result((uint64_t)got);
    return got;
}

/* The child that was lost starts another, which the home may take. */
static void elsewhere_one_more(void)
{
    ars_count_elsewhere();
    ars_atomic_u32_store_release(&offered, 1);
    model_result(0);
    model_write(&left[1], 1);
    if (take_offered()) {
        /* It has the next child already: both ends at once. */
        model_write(&left[2], 1);
        ars_take_out(2);
    } else {
        ars_take_out(1);
    }
}

static void home_of_more(void)
{
    ends_at_home(0);
    if (!over && take_offered()) ends_at_home(2);
    if (!over) ars_share();
}

static void concluded_once(void)
{
    MODEL_CHECK(concluded == 1);
}

static const model_program programs[] = {
    {"a child at home and one elsewhere", two_children, {home, elsewhere}, concluded_once, 0},
    {"a child elsewhere starts one that anybody may run",
     three_children,
     {home_of_more, elsewhere_one_more},
     concluded_once,
     0},
};
static const model_survivor survivors[] = {
    {"ars_count_elsewhere add 1", "relaxed acquire release",
     "whoever sees the end of the child has seen its start, by what handed it over"},
};
MODEL_MAIN(programs, survivors)
