/* SPDX-License-Identifier: MIT */
/* Clean-up at the end of a block. */
#include <arsenal/scoped.h>
#include <arsenal/short.h>

#include "world.h"

static char order[16];

static void note(void *arg)
{
    size_t used = strlen(order);
    order[used] = *(char *)arg;
    order[used + 1] = 0;
}

static char a = 'a', b = 'b', c = 'c';

static int leaves(int how)
{
    defer(note, &a);
    for (int i = 0; i < 2; i++) {
        defer(note, &b);
        if (how == 1) return (int)strlen(order); /* evaluated before anything is done */
        if (how == 2) break;
        if (how == 3) continue;
        note(&c);
    }
    return (int)strlen(order);
}

static void blocks(void)
{
    static const char *const orders[] = {"cbcba", "ba", "ba", "bba"};
    static const int results[] = {4, 0, 1, 2};
    for (int how = 0; how < 4; how++) {
        order[0] = 0;
        CHECK_EQ(leaves(how), results[how]);
        CHECK_STR(order, orders[how]);
    }
}

static ars_mutex mutex;

ARS_TASK(looks, int *rc;)
{
    *self->rc = mutex_lock(&mutex, 0);
    return 0;
}

/* What somebody else gets who tries to lock it meanwhile. */
static int tried(void)
{
    ars_group group;
    int rc = 0;
    CHECK_EQ(group_init(&group, ARS_FAIL_FAST), 0);
    CHECK_EQ(go(&group, looks, &rc), 0);
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 0);
    return rc;
}

static int with_lock(void)
{
    int rc = mutex_lock(&mutex, 0);
    if (rc < 0) return rc;
    defer_unlock(&mutex);
    return tried();
}

static int lock(void *arg)
{
    (void)arg;
    CHECK_EQ(with_lock(), ARS_ETIMEDOUT);
    CHECK_EQ(mutex_lock(&mutex, 0), 0);
    CHECK_EQ(mutex_unlock(&mutex), 0);
    return 0;
}

typedef ARS_CHAN_OF(int) ints;

static int closes(void *arg)
{
    (void)arg;
    ints numbers;
    int n;
    CHECK_EQ(chan_make(&numbers, 1), 0);
    {
        defer_close(numbers);
        CHECK_EQ(chan_put(numbers, 3), 0);
    }
    CHECK_EQ(chan_recv(numbers, &n, 0), 0);
    CHECK_EQ(chan_recv(numbers, &n, 0), ARS_EPIPE);
    chan_free(numbers);
    return 0;
}

/* Lives on until it is cancelled, and writes to its starter's stack then. */
ARS_TASK(lingers, int *ended;)
{
    int rc = sleep_until(ARS_FOREVER);
    *self->ended += 1;
    return rc;
}

static int fails_early(int *ended)
{
    scoped_group(group);
    CHECK_EQ(group_init(&group, ARS_FAIL_FAST), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(go(&group, lingers, ended), 0);
        CHECK_EQ(group_wait(&group, 0), ARS_ETIMEDOUT);
    }
    return ARS_EIO;
}

static int groups(void *arg)
{
    (void)arg;
    int ended = 0;
    {
        scoped_group(never_initialised);
        (void)never_initialised;
    }
    {
        scoped_group(waited);
        CHECK_EQ(group_init(&waited, ARS_RACE), 0);
        CHECK_EQ(group_wait(&waited, ARS_FOREVER), 0);
    }
    CHECK_EQ(fails_early(&ended), ARS_EIO);
    CHECK_EQ(ended, 3);
    return 0;
}

static void run_lock(void)
{
    world_run(lock, 0);
}

static void run_closes(void)
{
    world_run(closes, 0);
}

static void run_groups(void)
{
    world_run(groups, 0);
}

static const test_case cases[] = {
    {"blocks", blocks},
    {"lock", run_lock},
    {"close", run_closes},
    {"group", run_groups},
};
TEST_MAIN(cases)
