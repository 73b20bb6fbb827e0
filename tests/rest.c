/* SPDX-License-Identifier: MIT */
/* What a task once used of its stack goes back to the kernel when it has been parked long. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <arsenal/event.h>
#include <arsenal/group.h>

#include "run/sched.h"
#include "world.h"

enum { TASKS = 300, DEEP = 32 * 1024, REST = 20, KEPT = 3000, LEFT = 6 /* pages */ };

static ars_event go_on;

/* Uses DEEP bytes of the stack and returns. */
ARS__NOINLINE static uint32_t use_deeply(uint32_t seed)
{
    volatile uint32_t room[DEEP / sizeof(uint32_t)];
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) room[i] = seed + (uint32_t)i;
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) sum += room[i];
    return sum;
}

typedef struct waiter {
    char *low, *top; /* of its stack */
    int ended;
} waiter;

static waiter waiters[TASKS];

/* What lies in its frame is as it was, and so is the depth below it that it uses again. */
static int wait_deep(void *arg)
{
    waiter *w = arg;
    uint32_t seed = (uint32_t)(w - waiters), kept[KEPT];
    char *top = ars__task_stack_top(ars__task_self());
    ars__stack stack = ars__stack_at(top);
    w->low = stack.low;
    w->top = stack.top;
    for (uint32_t i = 0; i < KEPT; i++) kept[i] = seed * KEPT + i;
    __asm__ volatile("" : : "r"(kept) : "memory");
    uint32_t before = use_deeply(seed);
    CHECK_EQ(ars_event_wait(&go_on, ARS_FOREVER), 0);
    __asm__ volatile("" : : "r"(kept) : "memory");
    for (uint32_t i = 0; i < KEPT; i++) CHECK_EQ(kept[i], seed * KEPT + i);
    CHECK_EQ(use_deeply(seed), before);
    w->ended = 1;
    return 0;
}

static size_t resident(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 0;
    unsigned char in[64];
    for (int i = 0; i < TASKS; i++) {
        char *from = (char *)((uintptr_t)waiters[i].low & ~(page - 1));
        size_t n = (size_t)(waiters[i].top - from + (ptrdiff_t)page - 1) / page;
        CHECK(n <= sizeof in);
        CHECK_EQ(mincore(from, n * page, in), 0);
        for (size_t k = 0; k < n; k++) pages += in[k] & 1;
    }
    return pages;
}

static void start_waiters(ars_group *group)
{
    ars_event_reset(&go_on);
    CHECK_EQ(ars_group_init(group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < TASKS; i++) CHECK_EQ(ars_group_go(group, wait_deep, &waiters[i], NULL), 0);
    CHECK_EQ(ars_yield(), 0);
}

static void end_waiters(ars_group *group)
{
    ars_event_set(&go_on);
    CHECK_EQ(ars_group_wait(group, ars_after(10 * ARS_SECOND)), 0);
}

static int gives_back(void *arg)
{
    (void)arg;
    ars_group group;
    ars__worker *worker = ars__worker_self();
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = DEEP / page;
    worker->tuning.rest = REST * ARS_MILLISECOND;
    start_waiters(&group);
    size_t before = resident();
    CHECK(before >= TASKS * used);
    size_t after = before;
    for (int i = 0; i < 500 && after > TASKS * LEFT; i++) {
        CHECK_EQ(ars_sleep(ars_after(REST * ARS_MILLISECOND / 2)), 0);
        after = resident();
    }
    printf("  %zu pages of %d tasks, then %zu\n", before, TASKS, after);
    CHECK(after <= TASKS * LEFT);
    end_waiters(&group);
    return 0;
}

static void parked_long(void)
{
    world_run(gives_back, 0);
}

/* A worker left to itself comes to rest, and sleeps. */
static int comes_to_rest(void *arg)
{
    (void)arg;
    ars_group group;
    ars__worker *worker = ars__worker_self();
    worker->tuning.rest = ARS_MILLISECOND;
    start_waiters(&group);
    for (int i = 0; i < 500 && worker->rest.left + worker->rest.busy > 1; i++)
        CHECK_EQ(ars_sleep(ars_after(10 * ARS_MILLISECOND)), 0);
    /* Only the sleep itself is new since the last round began. */
    CHECK(worker->rest.left + worker->rest.busy <= 1);
    end_waiters(&group);
    return 0;
}

static void at_rest(void)
{
    world_run(comes_to_rest, 0);
}

/* Where a strategy keeps everything. */
static int keeps(void *arg)
{
    (void)arg;
    ars_group group;
    ars__worker *worker = ars__worker_self();
    worker->tuning.rest = 0;
    start_waiters(&group);
    size_t before = resident();
    CHECK_EQ(ars_sleep(ars_after(30 * ARS_MILLISECOND)), 0);
    CHECK(resident() >= before);
    end_waiters(&group);
    return 0;
}

static void kept(void)
{
    world_run(keeps, 0);
}

static const test_case cases[] = {
    {"parked long", parked_long}, {"at rest", at_rest}, {"kept", kept}};
TEST_MAIN(cases)
