/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/deque.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/san.h"

static void refuses(void)
{
    ars_deque deque = {0};
    ars_atomic_ptr cells[4];
    void *out = cells;
    /* Zeroed it has no room and nothing in it. */
    CHECK(!ars_deque_push(&deque, cells));
    CHECK(!ars_deque_push_seq_cst(&deque, cells));
    CHECK(!ars_deque_pop(&deque, &out));
    CHECK_EQ(ars_deque_steal(&deque, &out), 0);
    CHECK_EQ(ars_deque_steal_half(&deque, &out, 1), 0);
    CHECK_EQ(ars_deque_size(&deque), 0);
    CHECK(out == cells);
    CHECK_EQ(ars_deque_init(&deque, NULL, 4), ARS_EINVAL);
    CHECK_EQ(ars_deque_init(&deque, cells, 0), ARS_EINVAL);
    CHECK_EQ(ars_deque_init(&deque, cells, 3), ARS_EINVAL);
    CHECK_EQ(ars_deque_init(&deque, cells, 1), 0);
    CHECK(ars_deque_push(&deque, cells));
    CHECK(!ars_deque_push(&deque, cells));
}

/* Against an array, with every mix of calls that one thread can make. */
static void both_ends(void)
{
    ars_deque deque;
    ars_atomic_ptr cells[8];
    char things[1000];
    void *out = NULL, *many[8];
    size_t first = 0, last = 0, next = 0; /* things[first..last) by 'kept' */
    char *kept[1000];
    uint64_t random = 12345;
    CHECK_EQ(ars_deque_init(&deque, cells, 8), 0);
    while (next < 1000) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        switch (random >> 60) {
        case 0:
        case 1:
        case 2:
            CHECK_EQ(ars_deque_pop(&deque, &out), last > first);
            if (last > first) CHECK(out == kept[--last]);
            break;
        case 3:
        case 4:
            CHECK_EQ(ars_deque_steal(&deque, &out), last > first);
            if (last > first) CHECK(out == kept[first++]);
            break;
        case 5: {
            int n = ars_deque_steal_half(&deque, many, 3);
            size_t half = (last - first + 1) / 2;
            CHECK_EQ(n, half < 3 ? half : 3);
            for (int i = 0; i < n; i++) CHECK(many[i] == kept[first++]);
            break;
        }
        default: {
            int rc = random & 1 << 20 ? ars_deque_push(&deque, &things[next])
                                      : ars_deque_push_seq_cst(&deque, &things[next]);
            CHECK_EQ(rc, last - first < 8);
            if (rc) kept[last++] = &things[next++];
        }
        }
        CHECK_EQ(ars_deque_size(&deque), last - first);
    }
}

/* ---- threads: each owns a deque, and steals from the others when its own is empty ---- */

enum { WORKERS = 8, CAPACITY = 64 };

typedef struct item {
    unsigned owner, number, content; /* not atomic: handed over by the push */
    ars_atomic_u32 taken;
} item;

static ars_deque deques[WORKERS];
static ars_atomic_ptr cells[WORKERS][CAPACITY];
static item *items[WORKERS];
static unsigned per_worker;
static ars_atomic_u64 left;
static pthread_barrier_t start;

static void take(void *p)
{
    item *it = p;
    CHECK_EQ(it->content, it->owner * 7 + it->number);
    CHECK_EQ(ars_atomic_u32_add_relaxed(&it->taken, 1), 0);
    ars_atomic_u64_add_relaxed(&left, (uint64_t)-1);
}

/* The oldest go first, so what one thief gets from one owner is in the order of pushing. */
static void steal_from(unsigned victim, unsigned *newest)
{
    void *got[CAPACITY];
    int n = victim & 1 ? ars_deque_steal_half(&deques[victim], got, CAPACITY)
                       : ars_deque_steal(&deques[victim], got);
    CHECK(n >= 0 || n == ARS_EAGAIN);
    for (int i = 0; i < n; i++) {
        unsigned number = ((item *)got[i])->number + 1;
        CHECK_EQ(((item *)got[i])->owner, victim);
        CHECK(number > newest[victim]);
        newest[victim] = number;
        take(got[i]);
    }
}

static void *works(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg, next = 0, newest[WORKERS] = {0};
    uint64_t random = self + 1;
    void *p;
    pthread_barrier_wait(&start);
    while (ars_atomic_u64_load_relaxed(&left) > 0) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        for (unsigned burst = (unsigned)(random >> 59); burst > 0 && next < per_worker; burst--) {
            item *it = &items[self][next];
            it->owner = self;
            it->number = next;
            it->content = self * 7 + next;
            if (!ars_deque_push(&deques[self], it)) break;
            next++;
        }
        for (unsigned n = (unsigned)(random >> 40 & 31); n > 0; n--) {
            if (!ars_deque_pop(&deques[self], &p)) break;
            take(p);
        }
        for (unsigned i = 1; i < WORKERS; i++) steal_from((self + i) % WORKERS, newest);
        if (random >> 36 & 1) sched_yield();
    }
    return NULL;
}

static void each_is_taken_once(void)
{
    pthread_t threads[WORKERS];
    per_worker = (unsigned)(ARS__TSAN ? 40000 : test_times(400000, 20000));
    ars_atomic_u64_store_relaxed(&left, (uint64_t)WORKERS * per_worker);
    CHECK(pthread_barrier_init(&start, NULL, WORKERS) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        CHECK((items[i] = calloc(per_worker, sizeof(item))));
        CHECK_EQ(ars_deque_init(&deques[i], cells[i], CAPACITY), 0);
    }
    for (uintptr_t i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, works, (void *)i) == 0);
    for (int i = 0; i < WORKERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        for (unsigned k = 0; k < per_worker; k++) CHECK_EQ(items[i][k].taken.ars__v, 1);
        CHECK_EQ(ars_deque_size(&deques[i]), 0);
        free(items[i]);
    }
    CHECK(pthread_barrier_destroy(&start) == 0);
}

/* An owner that pops what it has just pushed, two at a time: every pop meets the thieves. */
static ars_deque few;
static ars_atomic_u32 over;
static ars_atomic_u64 stolen;

static void *robs(void *arg)
{
    void *p;
    (void)arg;
    pthread_barrier_wait(&start);
    while (!ars_atomic_u32_load_relaxed(&over)) {
        if (ars_deque_steal(&few, &p) == 1) {
            CHECK_EQ(++*(unsigned *)p, 1);
            ars_atomic_u64_add_relaxed(&stolen, 1);
        }
    }
    return NULL;
}

static void the_last_ones(void)
{
    ars_atomic_ptr cell[2];
    pthread_t threads[2];
    unsigned rounds = (unsigned)(ARS__TSAN ? 20000 : test_times(1000000, 100000));
    unsigned *things = calloc(rounds, sizeof *things);
    uint64_t popped = 0;
    void *p;
    CHECK(things);
    CHECK_EQ(ars_deque_init(&few, cell, 2), 0);
    CHECK(pthread_barrier_init(&start, NULL, 3) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, robs, NULL) == 0);
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds; i += 2) {
        CHECK(ars_deque_push(&few, &things[i]));
        CHECK(ars_deque_push(&few, &things[i + 1]));
        while (ars_deque_pop(&few, &p)) {
            CHECK(p == &things[i] || p == &things[i + 1]);
            CHECK_EQ(++*(unsigned *)p, 1);
            popped++;
        }
    }
    ars_atomic_u32_store_relaxed(&over, 1);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(popped + stolen.ars__v, rounds);
    for (unsigned i = 0; i < rounds; i++) CHECK_EQ(things[i], 1);
    free(things);
}

static const test_case cases[] = {
    {"refuses", refuses},
    {"both_ends", both_ends},
    {"each_is_taken_once", each_is_taken_once},
    {"the_last_ones", the_last_ones},
};
TEST_MAIN(cases)
