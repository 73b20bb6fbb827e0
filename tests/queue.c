/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/queue.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/san.h"

static void refuses(void)
{
    ars_queue queue = {0};
    uint64_t cells[ARS_QUEUE_BYTES(4, 8) / 8], value = 7;
    /* Zeroed it has no room and nothing in it. */
    CHECK(!ars_queue_push(&queue, &value));
    CHECK(!ars_queue_pop(&queue, &value));
    CHECK_EQ(ars_queue_size(&queue), 0);
    CHECK_EQ(ars_queue_init(&queue, NULL, 4, 8), ARS_EINVAL);
    CHECK_EQ(ars_queue_init(&queue, (char *)cells + 4, 2, 8), ARS_EINVAL);
    CHECK_EQ(ars_queue_init(&queue, cells, 0, 8), ARS_EINVAL);
    CHECK_EQ(ars_queue_init(&queue, cells, 1, 8), ARS_EINVAL);
    CHECK_EQ(ars_queue_init(&queue, cells, 3, 8), ARS_EINVAL);
    CHECK_EQ(ars_queue_init(&queue, cells, 4, 0), ARS_EINVAL);
    CHECK_EQ(ars_queue_init(&queue, cells, (SIZE_MAX >> 1) + 1, 8), ARS_EOVERFLOW);
    CHECK_EQ(ars_queue_init(&queue, cells, 4, SIZE_MAX), ARS_EOVERFLOW);
    CHECK_EQ(ars_queue_init(&queue, cells, 4, SIZE_MAX - 15), ARS_EOVERFLOW);
    CHECK_EQ(ars_queue_init(&queue, cells, 4, 8), 0);
    CHECK(!ars_queue_pop(&queue, &value));
    CHECK_EQ(value, 7);
}

/* Values of each size, with the bytes behind the cells and the variable left alone. */
static void sizes(void)
{
    for (size_t size = 1; size <= 40; size++) {
        ars_queue queue;
        size_t bytes = ARS_QUEUE_BYTES(4, size);
        unsigned char *cells = malloc(bytes + 1), value[41], out[41];
        CHECK(cells);
        cells[bytes] = 0xa5;
        CHECK_EQ(ars_queue_init(&queue, cells, 4, size), 0);
        for (unsigned round = 0; round < 11; round++) {
            for (unsigned i = 0; i < 4; i++) {
                CHECK_EQ(ars_queue_size(&queue), i);
                memset(value, (int)(round * 4 + i), size);
                CHECK(ars_queue_push(&queue, value));
            }
            CHECK(!ars_queue_push(&queue, value));
            for (unsigned i = 0; i < 4; i++) {
                memset(value, (int)(round * 4 + i), size);
                out[size] = 0x5a;
                CHECK(ars_queue_pop(&queue, out));
                CHECK(memcmp(out, value, size) == 0);
                CHECK_EQ(out[size], 0x5a);
            }
            CHECK(!ars_queue_pop(&queue, out));
            /* So that the rounds begin in different cells. */
            CHECK(ars_queue_push(&queue, value) && ars_queue_pop(&queue, out));
        }
        CHECK_EQ(cells[bytes], 0xa5);
        free(cells);
    }
}

/* ---- threads ---- */

enum { PRODUCERS = 8, CONSUMERS = 8, CAPACITY = 16 };

typedef struct letter {
    unsigned producer, number;
    uint64_t check[2];
} letter;

static ars_queue queue;
static uint64_t *cells;
static unsigned letters;
static ars_atomic_u64 received;
static pthread_barrier_t start;

static void *produces(void *arg)
{
    letter l = {(unsigned)(uintptr_t)arg, 0, {0, 0}};
    pthread_barrier_wait(&start);
    for (; l.number < letters; l.number++) {
        l.check[0] = (uint64_t)l.number * 31 + l.producer;
        l.check[1] = ~l.check[0];
        while (!ars_queue_push(&queue, &l)) sched_yield();
    }
    return NULL;
}

/* Sums what it got by producer; of each producer it gets later ones later. */
static void *consumes(void *arg)
{
    uint64_t *sum = arg;
    unsigned next[PRODUCERS] = {0};
    letter l;
    pthread_barrier_wait(&start);
    while (ars_atomic_u64_load_relaxed(&received) < (uint64_t)PRODUCERS * letters) {
        if (!ars_queue_pop(&queue, &l)) {
            sched_yield();
            continue;
        }
        ars_atomic_u64_add_relaxed(&received, 1);
        CHECK(l.producer < PRODUCERS && l.number < letters);
        CHECK(l.number >= next[l.producer]);
        CHECK(l.check[0] == (uint64_t)l.number * 31 + l.producer && l.check[1] == ~l.check[0]);
        next[l.producer] = l.number + 1;
        sum[l.producer] += l.number + 1;
    }
    return NULL;
}

static void many_to_many(void)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    static uint64_t sums[CONSUMERS][PRODUCERS];
    letters = (unsigned)(ARS__TSAN ? 125000 : test_times(1250000, 50000));
    /* How many in all, for a long run: ARS_TEST_VALUES=1000000000. */
    const char *wanted = getenv("ARS_TEST_VALUES");
    if (wanted) letters = (unsigned)(strtoul(wanted, NULL, 10) / PRODUCERS);
    CHECK((cells = malloc(ARS_QUEUE_BYTES(CAPACITY, sizeof(letter)))));
    CHECK_EQ(ars_queue_init(&queue, cells, CAPACITY, sizeof(letter)), 0);
    CHECK(pthread_barrier_init(&start, NULL, PRODUCERS + CONSUMERS) == 0);
    for (uintptr_t i = 0; i < PRODUCERS; i++)
        CHECK(pthread_create(&threads[i], NULL, produces, (void *)i) == 0);
    for (int i = 0; i < CONSUMERS; i++)
        CHECK(pthread_create(&threads[PRODUCERS + i], NULL, consumes, sums[i]) == 0);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    CHECK_EQ(received.ars__v, (uint64_t)PRODUCERS * letters);
    for (int p = 0; p < PRODUCERS; p++) {
        uint64_t sum = 0;
        for (int c = 0; c < CONSUMERS; c++) sum += sums[c][p];
        CHECK_EQ(sum, (uint64_t)letters * (letters + 1) / 2);
    }
    CHECK_EQ(ars_queue_size(&queue), 0);
    free(cells);
}

static const test_case cases[] = {
    {"refuses", refuses},
    {"sizes", sizes},
    {"many_to_many", many_to_many},
};
TEST_MAIN(cases)
