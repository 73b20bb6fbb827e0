/* SPDX-License-Identifier: MIT */
/*
 * What orders one task before another, and what does not.
 *
 * The clean programs share plain memory, ordered by nothing but what the
 * library promises; ThreadSanitizer must be silent about them, and without it
 * the values must be right.  The racy ones run in child processes, where it
 * must speak up: under race_strict even on one worker, without it only between
 * threads.
 */
#include <arsenal/atomic.h>

#include <pthread.h>

#include "base/san.h"
#include "world.h"

static void run(ars_fn *fn, unsigned strict, int threads)
{
    static world w;
    world_begin(&w);
    w.config.race_strict = strict;
    CHECK_EQ(ars_run(fn, NULL, &w.config), 0);
    test_gate_end(&w.gate, 4 * threads);
    CHECK_STR(w.reports, "");
}

static void begin(ars_group *group)
{
    CHECK_EQ(ars_group_init(group, NULL, ARS_FAIL_FAST), 0);
}

static void go(ars_group *group, ars_fn *fn, void *arg)
{
    CHECK_EQ(ars_group_go(group, fn, arg, NULL), 0);
}

static void wait_for(ars_group *group)
{
    CHECK_EQ(ars_group_wait(group, ARS_FOREVER), 0);
}

/* ---- clean ---- */

enum { TASKS = 64 };

static long board[TASKS];

static int adds_one(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static int adds_one_between_waits(void *arg)
{
    long *cell = arg, before = *cell;
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(*cell, before);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 4)), 0);
    *cell = before + 1;
    return 0;
}

static long sum(void)
{
    long all = 0;
    for (int i = 0; i < TASKS; i++) all += board[i];
    return all;
}

static int sums(void *arg)
{
    *(long *)arg = sum();
    return 0;
}

static void fill(ars_group *group, ars_fn *fn)
{
    for (int i = 0; i < TASKS; i++) go(group, fn, &board[i]);
}

/* Who starts a task is before it, and a child before whoever has waited for its group. */
static int start_and_end(void *arg)
{
    (void)arg;
    ars_group group;
    long found[TASKS] = {0};
    for (int i = 0; i < TASKS; i++) board[i] = i;
    begin(&group);
    fill(&group, adds_one);
    wait_for(&group);
    begin(&group);
    fill(&group, adds_one_between_waits);
    wait_for(&group);
    begin(&group);
    for (int i = 0; i < TASKS; i++) go(&group, sums, &found[i]);
    wait_for(&group);
    for (int i = 0; i < TASKS; i++) CHECK_EQ(found[i], TASKS * (TASKS - 1) / 2 + 2 * TASKS);
    for (int i = 0; i < TASKS; i++) board[i] = 0;
    return 0;
}

typedef struct tree {
    ars_group *group;
    long *cells;
    int n;
} tree;

static int grows(void *arg)
{
    tree *at = arg;
    if (at->n == 1) {
        at->cells[0]++;
        return 0;
    }
    ars_group group;
    tree halves[2] = {{&group, at->cells, at->n / 2},
                      {&group, at->cells + at->n / 2, at->n - at->n / 2}};
    begin(&group);
    for (int i = 0; i < 2; i++) go(&group, grows, &halves[i]);
    wait_for(&group);
    for (int i = 0; i < at->n; i++) at->cells[i]++;
    return 0;
}

/* The same through several generations, each writing what the one below has written. */
static int generations(void *arg)
{
    (void)arg;
    for (int i = 0; i < TASKS; i++) board[i] = 0;
    tree whole = {NULL, board, TASKS};
    CHECK_EQ(grows(&whole), 0);
    for (int i = 0; i < TASKS; i++) CHECK_EQ(board[i], 7); /* log2(TASKS) + 1 */
    return 0;
}

static int starts_a_sibling(void *arg)
{
    tree *at = arg;
    at->cells[0]++;
    if (--at->n > 0) go(at->group, starts_a_sibling, at);
    return 0;
}

/* A child that starts the next one hands over to it. */
static int relay(void *arg)
{
    (void)arg;
    ars_group group;
    long count = 0;
    tree baton = {&group, &count, TASKS};
    begin(&group);
    go(&group, starts_a_sibling, &baton);
    wait_for(&group);
    CHECK_EQ(count, TASKS);
    CHECK_EQ(baton.n, 0);
    return 0;
}

typedef struct mailbox {
    ars_atomic_u32 full;
    long value, seen;
} mailbox;

static int puts_values(void *arg)
{
    mailbox *box = arg;
    for (long i = 1; i <= TASKS; i++) {
        while (ars_atomic_u32_load_acquire(&box->full)) CHECK_EQ(ars_yield(), 0);
        box->value = i;
        ars_atomic_u32_store_release(&box->full, 1);
    }
    return 0;
}

static int takes_values(void *arg)
{
    mailbox *box = arg;
    for (long i = 1; i <= TASKS; i++) {
        while (!ars_atomic_u32_load_acquire(&box->full)) CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(box->value, i);
        box->seen++;
        ars_atomic_u32_store_release(&box->full, 0);
    }
    return 0;
}

/* Tasks that interleave, ordered by their own atomics. */
static int own_atomics(void *arg)
{
    (void)arg;
    ars_group group;
    mailbox box = {0};
    begin(&group);
    go(&group, takes_values, &box);
    go(&group, puts_values, &box);
    wait_for(&group);
    CHECK_EQ(box.seen, TASKS);
    return 0;
}

/* The outcome is written before the group learns of the end. */
static int outcomes(void *arg)
{
    (void)arg;
    ars_group group;
    int result[TASKS];
    begin(&group);
    for (int i = 0; i < TASKS; i++) {
        ars_task_opt opt = {.result = &result[i]};
        result[i] = -1;
        board[i] = i;
        CHECK_EQ(ars_group_go(&group, adds_one, &board[i], &opt), 0);
    }
    wait_for(&group);
    for (int i = 0; i < TASKS; i++) CHECK_EQ(result[i], 0);
    return 0;
}

static int uses_its_stack(void *arg)
{
    volatile char room[8192];
    for (size_t i = 0; i < sizeof room; i++) room[i] = (char)i;
    if (arg) CHECK_EQ(ars_yield(), 0);
    for (size_t i = 0; i < sizeof room; i++) CHECK_EQ(room[i], (char)i);
    return 0;
}

/* Stacks are used again by tasks that nothing orders: that is no business of theirs. */
static int stacks_again(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group);
    for (int i = 0; i < 4 * TASKS; i++) {
        go(&group, uses_its_stack, i % 2 ? &group : NULL);
        if (i % 8 == 0) CHECK_EQ(ars_yield(), 0);
    }
    wait_for(&group);
    return 0;
}

typedef struct outsider {
    ars_runtime *rt;
    ars_group *group;
    long posted, counted;
} outsider;

static int ends_the_wait(void *arg)
{
    outsider *o = arg;
    CHECK_EQ(o->posted, 5);
    o->posted = 6;
    ars_group_cancel(o->group, ARS_EIO);
    return 0;
}

/* A thread is before what it posts, and what it starts in its group before its wait's return. */
static void *from_a_thread(void *arg)
{
    outsider *o = arg;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, o->rt, ARS_COLLECT), 0);
    for (int i = 0; i < TASKS; i++) {
        board[i] = i;
        go(&group, i % 2 ? adds_one : adds_one_between_waits, &board[i]);
    }
    wait_for(&group);
    o->counted = sum();
    o->posted = 5;
    CHECK_EQ(ars_post(o->rt, ends_the_wait, o), 0);
    return NULL;
}

static int waits_for_ever(void *arg)
{
    (void)arg;
    return ars_sleep(ARS_FOREVER);
}

static int outside(void *arg)
{
    (void)arg;
    ars_group group;
    outsider o = {ars_runtime_self(), &group, 0, 0};
    pthread_t thread;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    go(&group, waits_for_ever, NULL);
    CHECK_EQ(pthread_create(&thread, NULL, from_a_thread, &o), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(o.counted, TASKS * (TASKS - 1) / 2 + TASKS);
    for (int i = 0; i < TASKS; i++) CHECK_EQ(board[i], i + 1);
    return 0;
}

static const struct {
    const char *name;
    ars_fn *fn;
    int threads;
} clean[] = {
    {"start and end", start_and_end, 0},
    {"generations", generations, 0},
    {"relay", relay, 0},
    {"own atomics", own_atomics, 0},
    {"outcomes", outcomes, 0},
    {"stacks again", stacks_again, 0},
    {"outside", outside, 1},
};

static void run_clean(unsigned strict)
{
    for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) {
        test_context = clean[i].name;
        run(clean[i].fn, strict, clean[i].threads);
    }
    test_context = NULL;
}

static void clean_strict(void)
{
    run_clean(1);
}

static void clean_lenient(void)
{
    run_clean(0);
}

/* ---- racy ---- */

static long shared;

/* Siblings that run one after the other. */
static int siblings(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group);
    for (int i = 0; i < 2; i++) go(&group, adds_one, &shared);
    wait_for(&group);
    return 0;
}

static int adds_and_yields(void *arg)
{
    for (int i = 0; i < 3; i++) {
        ++*(long *)arg;
        CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

static int interleaved(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group);
    for (int i = 0; i < 2; i++) go(&group, adds_and_yields, &shared);
    wait_for(&group);
    return 0;
}

static int adds_later(void *arg)
{
    CHECK_EQ(ars_sleep(ars_after(2 * ARS_MILLISECOND)), 0);
    ++*(long *)arg;
    return 0;
}

/* That the other has slept long enough is a hope, not an order. */
static int sleeps(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group);
    go(&group, adds_later, &shared);
    go(&group, adds_one, &shared);
    wait_for(&group);
    return 0;
}

/* The parent goes on while its child lives. */
static int parent(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group);
    go(&group, adds_one, &shared);
    CHECK_EQ(ars_yield(), 0);
    shared++;
    wait_for(&group);
    return 0;
}

/* The wait for one group says nothing of another. */
static int another_group(void *arg)
{
    (void)arg;
    ars_group group, other;
    begin(&group);
    begin(&other);
    go(&other, adds_one, &shared);
    go(&group, adds_one, &board[0]);
    wait_for(&group);
    shared++;
    wait_for(&other);
    return 0;
}

static const struct {
    const char *name;
    ars_fn *fn;
    long value;
} racy[] = {
    {"siblings", siblings, 2}, {"interleaved", interleaved, 6},     {"sleeps", sleeps, 2},
    {"parent", parent, 2},     {"another group", another_group, 2},
};

typedef struct racer {
    ars_fn *fn;
    unsigned strict;
    long value;
} racer;

static void run_racer(void *arg)
{
    const racer *r = arg;
    ars_config config = {.race_strict = r->strict, .workers = 1};
    shared = 0;
    CHECK_EQ(ars_run(r->fn, NULL, &config), 0);
    CHECK_EQ(shared, r->value);
}

static void run_racy(unsigned strict)
{
    int reported = ARS__TSAN && strict;
    for (size_t i = 0; i < sizeof racy / sizeof *racy; i++) {
        racer r = {racy[i].fn, strict, racy[i].value};
        test_end end = test_child(run_racer, &r);
        test_context = racy[i].name;
        if (end.signal || strstr(end.err, "failed:")) FAIL("%s", end.err);
        CHECK_EQ(strstr(end.err, "data race") != NULL, reported);
        CHECK_EQ(end.status != 0, reported);
    }
    test_context = NULL;
}

static void racy_strict(void)
{
    run_racy(1);
}

static void racy_lenient(void)
{
    run_racy(0);
}

static const test_case cases[] = {
    {"clean, strict", clean_strict},
    {"clean, lenient", clean_lenient},
    {"racy, strict", racy_strict},
    {"racy, lenient", racy_lenient},
};
TEST_MAIN(cases)
