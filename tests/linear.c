/* SPDX-License-Identifier: MIT */
#include "linear.h"
#include "test.h"

#include <arsenal/lifo.h>
#include <arsenal/mpsc.h>
#include <arsenal/queue.h>
#include <arsenal/ring.h>

#include <pthread.h>
#include <sched.h>

#include "base/san.h"

/* ---- the checker itself ---- */

/* Pushes of 1 and 2 that overlap or not, then pops. */
static void judges(void)
{
    linear_object queue = {0, 2, 0, {0}}, stack = {1, 2, 0, {0}};
    linear_op op[4] = {
        {1, 1, 0, 1, 1, 2}, {1, 1, 0, 2, 3, 4}, {0, 1, 0, 1, 5, 6}, {0, 1, 0, 2, 7, 8}};
    CHECK(linear_from(op, 4, 0, &queue));
    CHECK(!linear_from(op, 4, 0, &stack));
    op[0].returned = 4; /* now the pushes overlap */
    op[1].returned = 3;
    op[1].called = 2;
    CHECK(linear_from(op, 4, 0, &queue) && linear_from(op, 4, 0, &stack));
    op[3].value = 1; /* twice */
    CHECK(!linear_from(op, 4, 0, &queue) && !linear_from(op, 4, 0, &stack));
    op[3].result = 0; /* "empty", and it was not */
    CHECK(!linear_from(op, 4, 0, &queue) && !linear_from(op, 4, 0, &stack));
    linear_excuse(op, 4, 0);
    CHECK(!linear_from(op, 4, 0, &queue));
    op[0].returned = 9; /* the first push is still under way */
    op[2].value = 2;
    linear_excuse(op, 4, 0);
    CHECK(linear_from(op, 4, 0, &queue));
}

/* ---- histories of the real ones ---- */

enum { THREADS = 3, EACH = 4, CAPACITY = 3 };

static ars_ring ring;
static ars_queue queue;
static ars_lifo lifo;
static ars_mpsc mpsc;
static uint64_t values[CAPACITY], cells[ARS_QUEUE_BYTES(4, 8) / 8];
static ars_atomic_u32 links[LINEAR_OPS];
static ars_atomic_u64 top, now; /* 'top': of the broken stack, which holds one value */
static struct letter {
    ars_mpsc_node node;
    uint64_t value;
} letters[LINEAR_OPS];

static int push_ring(uint64_t *v)
{
    return ars_ring_push(&ring, v);
}
static int pop_ring(uint64_t *v)
{
    return ars_ring_pop(&ring, v);
}
static int push_queue(uint64_t *v)
{
    return ars_queue_push(&queue, v);
}
static int pop_queue(uint64_t *v)
{
    return ars_queue_pop(&queue, v);
}
static int push_lifo(uint64_t *v)
{
    return ars_lifo_push(&lifo, (uint32_t)*v) == 0;
}
static int pop_lifo(uint64_t *v)
{
    uint32_t number;
    if (!ars_lifo_pop(&lifo, &number)) return 0;
    *v = number;
    return 1;
}
static int push_mpsc(uint64_t *v)
{
    letters[*v].value = *v;
    ars_mpsc_push(&mpsc, &letters[*v].node);
    return 1;
}
static int pop_mpsc(uint64_t *v)
{
    ars_mpsc_node *node;
    int rc = ars_mpsc_pop(&mpsc, &node);
    if (rc == 1) *v = ((struct letter *)(void *)node)->value;
    return rc;
}
/* Planted: looks and takes in two steps, so that two may take the same. */
static int push_broken(uint64_t *v)
{
    uint64_t none = 0;
    return ars_atomic_u64_cas_seq_cst(&top, &none, *v + 1);
}
static int pop_broken(uint64_t *v)
{
    uint64_t found = ars_atomic_u64_load_seq_cst(&top);
    if (found == 0) return 0;
    sched_yield();
    ars_atomic_u64_store_seq_cst(&top, 0);
    *v = found - 1;
    return 1;
}

typedef struct subject {
    int (*push)(uint64_t *), (*pop)(uint64_t *);
    linear_object object;
    unsigned producers, consumers; /* threads that may, as bits */
    int excuse;                    /* the result that needs no reason while another is at work */
} subject;

static const subject *subjects;
static linear_op history[LINEAR_OPS];
static pthread_barrier_t start, end;
static long rounds;

static void anew(void)
{
    CHECK_EQ(ars_ring_init(&ring, values, CAPACITY, 8), 0);
    CHECK_EQ(ars_queue_init(&queue, cells, 4, 8), 0);
    CHECK_EQ(ars_lifo_init(&lifo, links, LINEAR_OPS), 0);
    memset(&mpsc, 0, sizeof mpsc);
    ars_atomic_u64_store_seq_cst(&top, 0);
}

static void *acts(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    uint64_t random = self + 1;
    for (long round = 0; round < rounds; round++) {
        pthread_barrier_wait(&start);
        for (unsigned i = self * EACH; i < (self + 1) * EACH; i++) {
            linear_op *op = &history[i];
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            int may_push = subjects->producers >> self & 1,
                may_pop = subjects->consumers >> self & 1;
            *op = (linear_op){.adds = may_push && (!may_pop || random >> 40 & 1), .value = i};
            for (unsigned spin = random >> 50 & 31; spin; spin--) ars_atomic_pause();
            if (!may_push && !may_pop) op->excused = 1;
            op->called = ars_atomic_u64_add_seq_cst(&now, 1);
            if (!op->excused) op->result = (op->adds ? subjects->push : subjects->pop)(&op->value);
            op->returned = ars_atomic_u64_add_seq_cst(&now, 1);
        }
        pthread_barrier_wait(&end);
    }
    return NULL;
}

/* How many of the histories were not linearizable. */
static long violations(const subject *s, long n)
{
    pthread_t threads[THREADS];
    long bad = 0;
    subjects = s;
    rounds = n;
    CHECK(pthread_barrier_init(&start, NULL, THREADS + 1) == 0);
    CHECK(pthread_barrier_init(&end, NULL, THREADS + 1) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, acts, (void *)i) == 0);
    for (; n; n--) {
        anew();
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&end);
        if (s->excuse <= 0) linear_excuse(history, LINEAR_OPS, s->excuse);
        bad += !linear_from(history, LINEAR_OPS, 0, &s->object);
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0 && pthread_barrier_destroy(&end) == 0);
    return bad;
}

static long histories(void)
{
    return ARS__TSAN ? 2000 : test_times(100000, 3000);
}

static void of_ring(void)
{
    const subject s = {push_ring, pop_ring, {0, CAPACITY, 0, {0}}, 1, 2, 1};
    CHECK_EQ(violations(&s, histories()), 0);
}

static void of_queue(void)
{
    const subject s = {push_queue, pop_queue, {0, 4, 0, {0}}, 7, 7, 0};
    CHECK_EQ(violations(&s, histories()), 0);
}

static void of_lifo(void)
{
    const subject s = {push_lifo, pop_lifo, {1, LINEAR_OPS, 0, {0}}, 7, 7, 1};
    CHECK_EQ(violations(&s, histories()), 0);
}

static void of_mpsc(void)
{
    const subject s = {push_mpsc, pop_mpsc, {0, LINEAR_OPS, 0, {0}}, 3, 4, ARS_EAGAIN};
    CHECK_EQ(violations(&s, histories()), 0);
}

static void of_a_broken_one(void)
{
    const subject s = {push_broken, pop_broken, {1, 1, 0, {0}}, 7, 7, 1};
    CHECK(violations(&s, histories()) > 0);
}

static const test_case cases[] = {
    {"judges", judges},   {"of_ring", of_ring}, {"of_queue", of_queue},
    {"of_lifo", of_lifo}, {"of_mpsc", of_mpsc}, {"of_a_broken_one", of_a_broken_one},
};
TEST_MAIN(cases)
