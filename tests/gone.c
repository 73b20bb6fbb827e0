/* SPDX-License-Identifier: MIT */
/*
 * Free after return: whatever a task or thread has waited for may go as soon as
 * the call returns, though whoever ended the wait may still be in its own call.
 *
 * Each object lies on the stack of who waits, and is waited for once; then its
 * memory is overwritten and, under AddressSanitizer, forbidden, until the next.
 * The wait is ended by a task on another worker, by a thread, and, for a thread
 * that waits, by a task.
 *
 * ARS_TEST_GONE=1000000 says how often for each kind of object.
 */
#include <arsenal/barrier.h>
#include <arsenal/block.h>
#include <arsenal/chan.h>
#include <arsenal/cond.h>
#include <arsenal/event.h>
#include <arsenal/mutex.h>
#include <arsenal/once.h>
#include <arsenal/rwlock.h>
#include <arsenal/select.h>
#include <arsenal/sem.h>
#include <arsenal/tick.h>
#include <arsenal/waitgroup.h>

#include "base/san.h"
#include "crew.h"
#include "run/park.h"

static long times(void)
{
    const char *given = getenv("ARS_TEST_GONE");
    return (given ? strtol(given, NULL, 10) : test_times(6000, 600)) / 3;
}

enum { WORKERS = 2 };

/* All kinds: whoever waits sets up what it needs and waits for it; the server ends that. */
typedef struct thing {
    ars_mutex mutex;
    ars_rwlock rwlock;
    ars_cond cond;
    ars_sem sem;
    ars_once once;
    ars_barrier barrier;
    ars_waitgroup waitgroup;
    ars_event event;
    ars_tick tick;
    ars_group group;
    ars_case cases[3];
    ars_chan *chan;
    int ready;       /* guarded by the mutex */
    ars_event begun; /* the server has */
    ars_event *over; /* outlives the rest: the server has returned too */
    ars_atomic_u32 ran;
} thing;

typedef struct kind {
    const char *name;
    int (*wait)(thing *t);
    void (*serve)(void *thing);
} kind;

static void until(ars_event *set)
{
    CHECK_EQ(ars_event_wait(set, ARS_FOREVER), 0);
}

/* ---- each kind ---- */

static void holds_mutex(void *arg)
{
    thing *t = arg;
    CHECK_EQ(ars_mutex_lock(&t->mutex, ARS_FOREVER), 0);
    ars_event_set(&t->begun);
    CHECK_EQ(ars_mutex_unlock(&t->mutex), 0);
}

static int wants_mutex(thing *t)
{
    until(&t->begun);
    CHECK_EQ(ars_mutex_lock(&t->mutex, ARS_FOREVER), 0);
    return ars_mutex_unlock(&t->mutex);
}

static void holds_rwlock(void *arg)
{
    thing *t = arg;
    CHECK_EQ(ars_rwlock_write_lock(&t->rwlock, ARS_FOREVER), 0);
    ars_event_set(&t->begun);
    CHECK_EQ(ars_rwlock_write_unlock(&t->rwlock), 0);
}

static int wants_to_read(thing *t)
{
    until(&t->begun);
    CHECK_EQ(ars_rwlock_read_lock(&t->rwlock, ARS_FOREVER), 0);
    return ars_rwlock_read_unlock(&t->rwlock);
}

static void reads(void *arg)
{
    thing *t = arg;
    CHECK_EQ(ars_rwlock_read_lock(&t->rwlock, ARS_FOREVER), 0);
    ars_event_set(&t->begun);
    CHECK_EQ(ars_rwlock_read_unlock(&t->rwlock), 0);
}

static int wants_to_write(thing *t)
{
    until(&t->begun);
    CHECK_EQ(ars_rwlock_write_lock(&t->rwlock, ARS_FOREVER), 0);
    return ars_rwlock_write_unlock(&t->rwlock);
}

static void signals(void *arg)
{
    thing *t = arg;
    CHECK_EQ(ars_mutex_lock(&t->mutex, ARS_FOREVER), 0);
    t->ready = 1;
    ars_cond_signal(&t->cond);
    CHECK_EQ(ars_mutex_unlock(&t->mutex), 0);
}

static int waits_for_cond(thing *t)
{
    CHECK_EQ(ars_mutex_lock(&t->mutex, ARS_FOREVER), 0);
    while (!t->ready) CHECK_EQ(ars_cond_wait(&t->cond, &t->mutex, ARS_FOREVER), 0);
    return ars_mutex_unlock(&t->mutex);
}

static void releases(void *arg)
{
    CHECK_EQ(ars_sem_release(&((thing *)arg)->sem, 1), 0);
}

static int acquires(thing *t)
{
    return ars_sem_acquire(&t->sem, ARS_FOREVER);
}

static int first(void *arg)
{
    thing *t = arg;
    ars_event_set(&t->begun);
    return 0;
}

static void does_first(void *arg)
{
    thing *t = arg;
    CHECK_EQ(ars_once_do(&t->once, first, t, ARS_FOREVER), 0);
}

static int does_again(thing *t)
{
    until(&t->begun);
    return ars_once_do(&t->once, first, t, ARS_FOREVER);
}

/* A barrier may go when all waits have returned. */
static void meets(void *arg)
{
    thing *t = arg;
    ars_event *over = t->over;
    CHECK(ars_barrier_wait(&t->barrier, ARS_FOREVER) >= 0);
    ars_event_set(over);
}

static int is_met(thing *t)
{
    CHECK(ars_barrier_wait(&t->barrier, ARS_FOREVER) >= 0);
    until(t->over);
    return 0;
}

static void finishes(void *arg)
{
    CHECK_EQ(ars_waitgroup_done(&((thing *)arg)->waitgroup), 0);
}

static int awaits_all(thing *t)
{
    return ars_waitgroup_wait(&t->waitgroup, ARS_FOREVER);
}

static void sets(void *arg)
{
    ars_event_set(&((thing *)arg)->event);
}

static int awaits_event(thing *t)
{
    return ars_event_wait(&t->event, ARS_FOREVER);
}

static int selects(thing *t)
{
    t->cases[0] = (ars_case)ARS_EVENT(&t->event);
    t->cases[1] = (ars_case)ARS_SEM(&t->sem);
    t->cases[2] = (ars_case)ARS_WAITGROUP(&t->waitgroup);
    return ars_select(t->cases, 3, ARS_FOREVER);
}

static void sends(void *arg)
{
    long value = 7;
    CHECK_EQ(ars_chan_send(((thing *)arg)->chan, &value, ARS_FOREVER), 0);
}

static int receives(thing *t)
{
    long value = 0;
    int rc = ars_chan_recv(t->chan, &value, ARS_FOREVER);
    CHECK_EQ(value, 7);
    return rc;
}

static int selects_value(thing *t)
{
    long value = 0;
    t->cases[0] = (ars_case)ARS_EVENT(&t->event);
    t->cases[1] = (ars_case)ARS_RECV(t->chan, &value);
    int rc = ars_select(t->cases, 2, ARS_FOREVER);
    CHECK_EQ(value, 7);
    return rc - 1;
}

static void takes(void *arg)
{
    long value = 0;
    CHECK_EQ(ars_chan_recv(((thing *)arg)->chan, &value, ARS_FOREVER), 0);
    CHECK_EQ(value, 7);
}

static int offers(thing *t)
{
    long value = 7;
    return ars_chan_send(t->chan, &value, ARS_FOREVER);
}

/* Those without a server: children on each worker, a thread of the pool, time. */
static ars_runtime *rt;

static int child(void *arg)
{
    ars_atomic_u32_add_relaxed(arg, 1);
    return 0;
}

static int awaits_group(thing *t)
{
    CHECK_EQ(ars_group_init(&t->group, rt, ARS_FAIL_FAST), 0);
    for (unsigned i = 1; i <= WORKERS; i++) {
        ars_task_opt opt = {.home = i};
        CHECK_EQ(ars_group_go(&t->group, child, &t->ran, &opt), 0);
    }
    int rc = ars_group_wait(&t->group, ARS_FOREVER);
    CHECK_EQ(ars_atomic_u32_load_relaxed(&t->ran), WORKERS);
    return rc;
}

static int selects_group(thing *t)
{
    if (!ars__task_self()) return 0;
    ars_task_opt opt = {.home = 2};
    CHECK_EQ(ars_group_init(&t->group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&t->group, child, &t->ran, &opt), 0);
    t->cases[0] = (ars_case)ARS_GROUP_DONE(&t->group);
    t->cases[1] = (ars_case)ARS_EVENT(&t->event);
    CHECK_EQ(ars_select(t->cases, 2, ARS_FOREVER), 0);
    return ars_group_wait(&t->group, ARS_FOREVER);
}

static void blocks(void *arg)
{
    ars_atomic_u32_store_relaxed(&((thing *)arg)->ran, 1);
}

static int awaits_block(thing *t)
{
    int rc = ars_block(blocks, t, NULL, ARS_FOREVER);
    CHECK_EQ(ars_atomic_u32_load_relaxed(&t->ran), 1);
    return rc;
}

static int awaits_tick(thing *t)
{
    CHECK_EQ(ars_tick_start(&t->tick, ars_now() + ARS_MICROSECOND, 0), 0);
    return ars_tick_wait(&t->tick, ARS_FOREVER) - 1;
}

static const kind kinds[] = {
    {"mutex", wants_mutex, holds_mutex},
    {"rwlock, to read", wants_to_read, holds_rwlock},
    {"rwlock, to write", wants_to_write, reads},
    {"cond", waits_for_cond, signals},
    {"sem", acquires, releases},
    {"once", does_again, does_first},
    {"barrier", is_met, meets},
    {"waitgroup", awaits_all, finishes},
    {"event", awaits_event, sets},
    {"select", selects, sets},
    {"receive", receives, sends},
    {"send", offers, takes},
    {"select of a channel", selects_value, sends},
    {"group", awaits_group, NULL},
    {"select of a group", selects_group, NULL},
    {"block", awaits_block, NULL},
    {"tick", awaits_tick, NULL},
};

/* ---- waited for once, and gone ---- */

enum { THINGS = 8 }; /* in turn: one that is gone stays so for a while */

static const kind *now;

static int serves(void *arg)
{
    ars_chan *work = arg;
    thing *t;
    while (ars_chan_recv(work, &t, ARS_FOREVER) == 0) now->serve(t);
    return 0;
}

static int waits(void *arg)
{
    ars_chan *work = arg;
    thing things[THINGS], gone;
    ars_event over[THINGS];
    memset(&gone, 0x5a, sizeof gone);
    memset(things, 0x5a, sizeof things);
    for (long i = 0, n = times(); i < n; i++) {
        thing *t = &things[i % THINGS];
        ars__san_unpoison(t, sizeof *t);
        CHECK(memcmp(t, &gone, sizeof gone) == 0);
        over[i % THINGS] = (ars_event){0};
        *t = (thing){.barrier = ARS_BARRIER_INIT(2), .over = &over[i % THINGS]};
        CHECK_EQ(ars_waitgroup_add(&t->waitgroup, 1), 0);
        int sent = now->serve == takes; /* what has room is sent at once, and not taken yet */
        CHECK_EQ(ars_chan_new(&t->chan, sizeof(long), sent ? 0 : (size_t)i % 2, NULL), 0);
        if (now->serve) CHECK_EQ(ars_chan_send(work, &t, ARS_FOREVER), 0);
        CHECK_EQ(now->wait(t), 0);
        ars_chan_free(t->chan);
        memset(t, 0x5a, sizeof *t);
        ars__san_poison(t, sizeof *t);
    }
    for (int i = 0; i < THINGS; i++) ars__san_unpoison(&things[i], sizeof things[i]);
    return ars_chan_close(work);
}

static void start(crew *c, int on_thread, ars_fn *fn, ars_chan *work, unsigned home)
{
    ars_task_opt opt = {.home = home};
    if (on_thread)
        crew_thread(c, fn, work);
    else
        CHECK_EQ(ars_group_go(&c->group, fn, work, &opt), 0);
}

static int each(void *arg)
{
    (void)arg;
    rt = ars_runtime_self();
    for (int how = 0; how < 3; how++) {
        ars_chan *work;
        crew c;
        CHECK_EQ(ars_chan_new(&work, sizeof(thing *), 1, NULL), 0);
        crew_begin(&c);
        start(&c, how == 1, serves, work, 1);
        start(&c, how == 2, waits, work, 2);
        crew_end(&c);
        ars_chan_free(work);
    }
    return 0;
}

static void all_kinds(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        now = &kinds[i];
        test_context = now->name;
        ars_time begin = ars_now();
        crew_run(each, WORKERS, 4);
        if (getenv("ARS_TEST_GONE"))
            printf("  %s: 3 x %ld in %lld ms\n", now->name, times(),
                   (long long)((ars_now() - begin) / ARS_MILLISECOND));
    }
    test_context = NULL;
}

static const test_case cases[] = {{"all kinds", all_kinds}};
TEST_MAIN(cases)
