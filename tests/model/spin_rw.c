/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/spin_rw.h>

static ars_spin_rw lock;
static uint64_t left, right, written;

static void setup(void)
{
    memset(&lock, 0, sizeof lock);
    left = right = written = 0;
    model_shared(&lock, sizeof lock);
    model_shared(&left, sizeof left);
    model_shared(&right, sizeof right);
    model_shared(&written, sizeof written);
}

static void write_both(void)
{
    uint64_t value = model_read(&left) + 1;
    model_write(&left, value);
    model_write(&right, value);
    written++;
    ars_spin_rw_write_unlock(&lock);
    model_result(value);
}

static void read_both(void)
{
    uint64_t value = model_read(&left);
    MODEL_CHECK(value == model_read(&right));
    ars_spin_rw_read_unlock(&lock);
    model_result(value);
}

static void writes(void)
{
    ars_spin_rw_write_lock(&lock);
    write_both();
}

static void reads(void)
{
    ars_spin_rw_read_lock(&lock);
    read_both();
}

static void writes_twice(void)
{
    writes();
    writes();
}

static void reads_twice(void)
{
    reads();
    reads();
}

static void tries_both(void)
{
    if (ars_spin_rw_write_try(&lock))
        write_both();
    else
        model_result(100);
    if (ars_spin_rw_read_try(&lock))
        read_both();
    else
        model_result(101);
}

static void all_written(void)
{
    MODEL_CHECK(left == written && right == written);
    MODEL_CHECK(ars_atomic_u32_load_relaxed(&lock.readers) == 0);
    MODEL_CHECK(ars_atomic_u32_load_relaxed(&lock.writer) == 0);
}

static const model_program programs[] = {
    {"two readers and a writer", setup, {reads, reads, writes}, all_written, 0},
    {"a reader and a writer, twice", setup, {reads_twice, writes_twice, NULL}, all_written, 0},
    {"two writers and a reader", setup, {writes, writes, reads}, all_written, 0},
    {"one that tries among them", setup, {reads, writes, tries_both}, all_written, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
