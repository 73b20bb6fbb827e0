/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/atomic128.h>

#include <pthread.h>

#include "base/san.h"

#if ARS_HAVE_ATOMIC128

enum { THREADS = 8, CELLS = 4 };

static int rounds;
static pthread_barrier_t start;

static void together(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    rounds = (int)test_times(100000, ARS__TSAN ? 2000 : 10000);
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
}

/* ---- one thread ---- */

static void swaps(void)
{
    ars_atomic_u128 a = {{0}, {0}};
    ars_u128 was = {1, 0}, now = {3, 4}, other = {5, 6};
    CHECK(ars_atomic_u128_usable());
    CHECK_EQ((uintptr_t)&a % 16, 0);
    CHECK(!ars_atomic_u128_cas_acq_rel(&a, &was, now));
    CHECK(was.lo == 0 && was.hi == 0);
    CHECK(ars_atomic_u128_cas_relaxed(&a, &was, now));
    was.lo = 3;
    was.hi = 5;
    CHECK(!ars_atomic_u128_cas_acquire(&a, &was, other)); /* half of it is right */
    CHECK(was.lo == 3 && was.hi == 4);
    was.lo = 4;
    CHECK(!ars_atomic_u128_cas_release(&a, &was, other)); /* the other half */
    CHECK(was.lo == 3 && was.hi == 4);
    CHECK(ars_atomic_u128_cas_seq_cst(&a, &was, other));
    was = ars_atomic_u128_peek(&a);
    CHECK(was.lo == 5 && was.hi == 6);
    was = ars_atomic_u128_swap_seq_cst(&a, now);
    CHECK(was.lo == 5 && was.hi == 6);
    was = ars_atomic_u128_load_seq_cst(&a);
    CHECK(was.lo == 3 && was.hi == 4);
    was.lo = was.hi = 0;
    ars_atomic_u128_store_seq_cst(&a, was);
    was = ars_atomic_u128_load_seq_cst(&a);
    CHECK(was.lo == 0 && was.hi == 0);
}

static void counts_tags(void)
{
    ars_atomic_tagged a = {{{0}, {0}}};
    int x, y;
    ars_tagged was = ars_atomic_tagged_peek(&a), old = was;
    CHECK(was.ptr == NULL && was.tag == 0);
    CHECK(ars_atomic_tagged_cas_acq_rel(&a, &was, &x));
    was = ars_atomic_tagged_peek(&a);
    CHECK(was.ptr == &x && was.tag == 1);
    CHECK(ars_atomic_tagged_cas_release(&a, &was, NULL));
    /* NULL again, but not the same one. */
    CHECK(!ars_atomic_tagged_cas_acquire(&a, &old, &y));
    CHECK(old.ptr == NULL && old.tag == 2);
    old.tag = UINT64_MAX;
    CHECK(!ars_atomic_tagged_cas_relaxed(&a, &old, &y));
    CHECK(ars_atomic_tagged_cas_seq_cst(&a, &old, &y));
    CHECK_EQ(ars_atomic_tagged_peek(&a).tag, 3);
}

/* ---- both words at one time ---- */

static ars_atomic_u128 pair;

/* The high word is always the low one turned round: a torn read or write shows. */
static void *counts(void *arg)
{
    int reads = (uintptr_t)arg % 4 == 3;
    pthread_barrier_wait(&start);
    for (int i = 0; i < rounds; i++) {
        ars_u128 was = ars_atomic_u128_load_seq_cst(&pair), next;
        CHECK_EQ(was.hi, ~was.lo);
        if (reads) continue;
        do {
            CHECK_EQ(was.hi, ~was.lo);
            next.lo = was.lo + 1;
            next.hi = ~next.lo;
        } while (!ars_atomic_u128_cas_acq_rel(&pair, &was, next));
    }
    return NULL;
}

static void is_one(void)
{
    ars_u128 v = {0, UINT64_MAX};
    ars_atomic_u128_store_seq_cst(&pair, v);
    together(counts);
    v = ars_atomic_u128_load_seq_cst(&pair);
    CHECK_EQ(v.lo, THREADS / 4 * 3 * (uint64_t)rounds);
}

/* ---- a list whose elements come back ---- */

static struct cell {
    ars_atomic_ptr next; /* read by who is about to lose the race, too */
    uint64_t data;       /* not atomic: who has taken the cell owns it */
} cells[CELLS];
static ars_atomic_tagged top;

static void put(struct cell *cell)
{
    ars_tagged was = ars_atomic_tagged_peek(&top);
    do ars_atomic_ptr_store_relaxed(&cell->next, was.ptr);
    while (!ars_atomic_tagged_cas_release(&top, &was, cell));
}

static struct cell *take(void)
{
    ars_tagged was = ars_atomic_tagged_peek(&top);
    void *next;
    do {
        if (!was.ptr) return NULL;
        next = ars_atomic_ptr_load_relaxed(&((struct cell *)was.ptr)->next);
    } while (!ars_atomic_tagged_cas_acq_rel(&top, &was, next));
    return was.ptr;
}

static void *takes_and_puts(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&start);
    for (int i = 0; i < rounds; i++) {
        struct cell *cell = take(), *second = i % 3 ? NULL : take();
        if (cell) cell->data++;
        if (second) second->data++;
        if (cell) put(cell);
        if (second) put(second);
    }
    return NULL;
}

static void has_no_aba(void)
{
    int n = 0;
    memset(cells, 0, sizeof cells);
    for (int i = 0; i < CELLS; i++) put(&cells[i]);
    together(takes_and_puts);
    while (take()) n++;
    CHECK_EQ(n, CELLS);
}

static const test_case cases[] = {
    {"swaps", swaps},
    {"counts_tags", counts_tags},
    {"is_one", is_one},
    {"has_no_aba", has_no_aba},
};
TEST_MAIN(cases)

#else

int main(void)
{
    return 77;
}

#endif
