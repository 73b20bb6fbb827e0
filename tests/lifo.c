/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/lifo.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/san.h"

enum { CAPACITY = 5 };

static void refuses(void)
{
    ars_lifo stack = {0};
    ars_atomic_u32 links[4];
    uint32_t number = 7;
    CHECK(!ars_lifo_pop(&stack, &number));
    CHECK_EQ(ars_lifo_push(&stack, 0), ARS_EINVAL);
    CHECK(ars_lifo_empty(&stack));
    CHECK_EQ(ars_lifo_init(&stack, NULL, 4), ARS_EINVAL);
    CHECK_EQ(ars_lifo_init(&stack, links, 0), ARS_EINVAL);
#if SIZE_MAX > UINT32_MAX
    CHECK_EQ(ars_lifo_init(&stack, links, (size_t)UINT32_MAX + 1), ARS_EOVERFLOW);
#endif
    CHECK_EQ(ars_lifo_init(&stack, links, 4), 0);
    CHECK_EQ(ars_lifo_push(&stack, 4), ARS_EINVAL);
    CHECK(!ars_lifo_pop(&stack, &number));
    CHECK_EQ(number, 7);
}

/* All capacities around powers of two: the last one in is the first one out. */
static void order(void)
{
    for (uint32_t capacity = 1; capacity <= 40; capacity++) {
        ars_lifo stack;
        ars_atomic_u32 *links = malloc(capacity * sizeof *links);
        uint32_t number;
        CHECK(links);
        CHECK_EQ(ars_lifo_init(&stack, links, capacity), 0);
        for (int round = 0; round < 9; round++) {
            for (uint32_t i = 0; i < capacity; i++) CHECK_EQ(ars_lifo_push(&stack, i), 0);
            CHECK(!ars_lifo_empty(&stack));
            for (uint32_t i = capacity; i-- > 0;)
                CHECK(ars_lifo_pop(&stack, &number) && number == i);
            CHECK(!ars_lifo_pop(&stack, &number) && ars_lifo_empty(&stack));
        }
        free(links);
    }
}

/* ---- threads; each number has one owner at a time ---- */

enum { THREADS = 16 };

typedef struct shared {
    ars_lifo stack;
    ars_atomic_u32 links[CAPACITY];
    uint64_t content[CAPACITY]; /* plain: its owner's */
} shared;

static long times;

static uint64_t borrow(shared *s, long n)
{
    uint64_t done = 0;
    for (uint32_t number, other; n > 0; n--) {
        if (!ars_lifo_pop(&s->stack, &number)) {
            sched_yield();
            continue;
        }
        int two = n % 3 == 0 && ars_lifo_pop(&s->stack, &other);
        s->content[number]++;
        done++;
        if (two) {
            s->content[other]++;
            done++;
        }
        CHECK_EQ(ars_lifo_push(&s->stack, number), 0);
        if (two) CHECK_EQ(ars_lifo_push(&s->stack, other), 0);
    }
    return done;
}

static void fill(shared *s)
{
    memset(s, 0, sizeof *s);
    CHECK_EQ(ars_lifo_init(&s->stack, s->links, CAPACITY), 0);
    for (uint32_t i = 0; i < CAPACITY; i++) CHECK_EQ(ars_lifo_push(&s->stack, i), 0);
}

static ars_atomic_u64 total;

static void *borrows(void *s)
{
    ars_atomic_u64_add_relaxed(&total, borrow(s, times));
    return NULL;
}

static void many_threads(void)
{
    static shared s;
    pthread_t threads[THREADS];
    uint64_t sum = 0;
    unsigned seen = 0;
    uint32_t number;
    /* How many in all, for a long run: ARS_TEST_VALUES=1000000000. */
    const char *wanted = getenv("ARS_TEST_VALUES");
    times = (wanted      ? strtol(wanted, NULL, 10)
             : ARS__TSAN ? 1000000
                         : test_times(10000000, 2000000)) /
            THREADS;
    fill(&s);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, borrows, &s) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (; ars_lifo_pop(&s.stack, &number); seen |= 1u << number) CHECK(!(seen >> number & 1));
    CHECK_EQ(seen, (1u << CAPACITY) - 1);
    for (int i = 0; i < CAPACITY; i++) sum += s.content[i];
    CHECK_EQ(sum, ars_atomic_u64_load_relaxed(&total));
}

/* A process that is killed takes at most what it held; the stack stays whole. */
static void killed(void)
{
    for (long round = test_times(100, 20); round; round--) {
        shared *s =
            mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned seen = 0, left = 0;
        uint32_t number;
        CHECK(s != MAP_FAILED);
        fill(s);
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            for (;;) (void)borrow(s, 1000);
        }
        (void)borrow(s, round * 50);
        kill(pid, SIGKILL);
        CHECK(waitpid(pid, NULL, 0) == pid);
        (void)borrow(s, 50);
        for (; ars_lifo_pop(&s->stack, &number); left++) {
            CHECK(number < CAPACITY && !(seen >> number & 1));
            seen |= 1u << number;
        }
        CHECK(left + 2 >= CAPACITY);
        munmap(s, sizeof *s);
    }
}

static const test_case cases[] = {
    {"refuses", refuses},
    {"order", order},
    {"many_threads", many_threads},
    {"killed", killed},
};
TEST_MAIN(cases)
