/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/eventcount.h>

#include "os/os.h"
#define ars__os_futex_wait model_futex_wait
#define ars__os_futex_wake model_futex_wake
#include "sync/eventcount.c"

/* Conditions that lock-free code makes true, with no more order than a release. */
static ars_eventcount ec;
static ars_atomic_u32 items;
static uint64_t content;

static void setup(void)
{
    memset(&ec, 0, sizeof ec);
    memset(&items, 0, sizeof items);
    content = 0;
    model_shared(&ec, sizeof ec);
    model_shared(&items, sizeof items);
    model_shared(&content, sizeof content);
}

static int take(void)
{
    uint32_t n = ars_atomic_u32_load_relaxed(&items);
    while (n > 0) {
        if (ars_atomic_u32_cas_relaxed(&items, &n, n - 1)) return 1;
    }
    return 0;
}

static void takes(void)
{
    while (!take()) {
        uint32_t key = ars_eventcount_prepare(&ec);
        if (take()) {
            ars_eventcount_cancel(&ec);
            break;
        }
        if (ars_eventcount_wait(&ec, key, ARS_FOREVER) != 0) model_fail("wait", __LINE__);
    }
    model_result(1);
}

static void gives(void)
{
    ars_atomic_u32_add_relaxed(&items, 1);
    ars_eventcount_notify(&ec, 1);
    model_result(1);
}

static void gives_two(void)
{
    gives();
    gives();
}

/* What was done before a notification has happened for who was woken by it. */
static void publishes(void)
{
    model_write(&content, 7);
    gives();
}

static void waits_for_content(void)
{
    uint32_t key = ars_eventcount_prepare(&ec);
    if (ars_atomic_u32_load_relaxed(&items) != 0) {
        ars_eventcount_cancel(&ec);
    } else {
        if (ars_eventcount_wait(&ec, key, ARS_FOREVER) != 0) model_fail("wait", __LINE__);
        MODEL_CHECK(model_read(&content) == 7);
        MODEL_CHECK(take());
    }
    model_result(1);
}

static void nobody_waits(void)
{
    MODEL_CHECK(ec.waiters.ars__v == 0 && items.ars__v == 0);
}

static const model_program programs[] = {
    {"one gives, one takes", setup, {gives, takes}, nobody_waits, 0},
    {"two give, one takes", setup, {gives, gives, takes}, NULL, 0},
    {"one gives two, two take", setup, {gives_two, takes, takes}, nobody_waits, 0},
    {"a notification hands over", setup, {publishes, waits_for_content}, NULL, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
