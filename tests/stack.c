/* SPDX-License-Identifier: MIT */
/* The pool of stacks: guards of each kind, and what happens when there is no room. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "coro/stack.h"
#include "fault.h"
#include "os/os.h"
#include "test.h"

static ars__stack get(ars__stack_pool *pool)
{
    ars__stack s;
    CHECK_EQ(ars__stack_get(pool, &s), 0);
    return s;
}

static ars__stack_pool *new_pool(void)
{
    ars__stack_pool *pool;
    CHECK_EQ(ars__stack_pool_new(&pool, NULL, ARS__STACK_SIZE), 0);
    return pool;
}

static void hands_out_the_hottest_first(void)
{
    ars__stack_pool *pool = new_pool();
    ars__stack a = get(pool), b = get(pool), c = get(pool);
    CHECK(a.low != b.low && b.low != c.low && a.low != c.low);
    ars__stack_put(pool, b);
    ars__stack_put(pool, a);
    CHECK(get(pool).low == a.low);
    ars__stack again = get(pool);
    CHECK(again.low == b.low && again.top == b.top);
    CHECK_EQ(ars__stack_pool_stats(pool).in_use, 3);
    ars__stack_pool_free(pool);
}

static void stacks_are_apart_and_staggered(void)
{
    enum { N = 200 };
    ars__stack_pool *pool = new_pool();
    ars__stack s[N];
    unsigned offsets[64] = {0};
    size_t page = ars__os_page_size();
    for (int i = 0; i < N; i++) {
        s[i] = get(pool);
        CHECK((uintptr_t)s[i].top % 16 == 0);
        CHECK(s[i].top - s[i].low >= 60 * 1024);
        memset(s[i].low, i + 1, (size_t)(s[i].top - s[i].low));
        offsets[(uintptr_t)s[i].top % 4096 / 64]++;
    }
    for (int i = 0; i < N; i++) {
        CHECK_EQ(s[i].low[0], (char)(i + 1));
        CHECK_EQ(s[i].top[-1], (char)(i + 1));
        if (i > 0) CHECK((uintptr_t)(s[i].low - s[i - 1].low) / page % 2 == 1);
    }
    int different = 0;
    for (int i = 0; i < 64; i++) different += offsets[i] > 0;
    CHECK_EQ(different, 16);
    ars__stack_pool_free(pool);
}

/* Every stack in use faults below its lowest byte, unless it is counted as having a canary. */
static void check_guards(ars__stack_pool *pool, const ars__stack *s, long n)
{
    uint64_t faulting = 0;
    for (long i = 0; i < n; i++) {
        faulting += ars__os_guard_probe(s[i].low - 1) == 1;
        CHECK_EQ(ars__os_guard_probe(s[i].low), 0);
    }
    ars__stack_stats t = ars__stack_pool_stats(pool);
    CHECK_EQ(t.in_use, n);
    CHECK_EQ(t.guard_light + t.guard_protect + t.guard_canary, t.carved);
    CHECK(t.carved >= t.in_use && t.carved <= t.reserved);
    CHECK(faulting >= t.in_use - (t.guard_canary < t.in_use ? t.guard_canary : t.in_use));
    CHECK(faulting <= t.guard_light + t.guard_protect);
}

static ars__stack *get_many(ars__stack_pool *pool, long n)
{
    ars__stack *s = malloc((size_t)n * sizeof *s);
    CHECK(s != NULL);
    for (long i = 0; i < n; i++) s[i] = get(pool);
    return s;
}

static void each_stack_is_guarded(void)
{
    const long n = 1000;
    /* What the system really does, found out without the pool. */
    void *p;
    size_t page = ars__os_page_size();
    CHECK_EQ(ars__os_reserve(&p, page), 0);
    int light = ars__os_guard_light(p, page, page, 1) == 0 && ars__os_guard_probe(p) == 1;
    ars__os_release(p, page);

    ars__stack_pool *pool = new_pool();
    long before = test_count_mappings();
    ars__stack *s = get_many(pool, n);
    check_guards(pool, s, n);
    ars__stack_stats t = ars__stack_pool_stats(pool);
    CHECK_EQ(t.guard_canary, 0);
    if (light) {
        CHECK_EQ(t.guard_protect, 0);
        CHECK(test_count_mappings() - before <= 8);
    } else {
        CHECK_EQ(t.guard_light, 0);
        printf("  no guard markers here: page protection\n");
    }
    ars__stack_pool_free(pool);
    free(s);
}

static void advice_that_does_nothing_is_found_out(void)
{
    ars__stack_pool *pool = new_pool();
    fault_at("guard_light", 1, 0, -1);
    ars__stack *s = get_many(pool, 100);
    fault_reset();
    ars__stack_stats t = ars__stack_pool_stats(pool);
    CHECK_EQ(t.guard_light, 0);
    CHECK_EQ(t.guard_protect, t.carved);
    check_guards(pool, s, 100);
    ars__stack_pool_free(pool);
    free(s);
}

static void protection_is_the_second_choice(void)
{
    ars__stack_pool *pool = new_pool();
    fault_at("guard_light", 1, ARS_EINVAL, -1);
    ars__stack *s = get_many(pool, 100);
    CHECK_EQ(ars__stack_pool_stats(pool).guard_protect, ars__stack_pool_stats(pool).carved);
    check_guards(pool, s, 100);
    fault_reset();
    ars__stack_pool_free(pool);
    free(s);
}

static void markers_that_fail_later_are_replaced(void)
{
    ars__stack_pool *pool = new_pool();
    free(get_many(pool, 40));
    uint64_t light = ars__stack_pool_stats(pool).guard_light;
    fault_at("guard_light", 1, ARS_EINVAL, -1);
    ars__stack *s = get_many(pool, 200);
    fault_reset();
    CHECK_EQ(ars__stack_pool_stats(pool).guard_light, light);
    CHECK(ars__stack_pool_stats(pool).guard_protect >= 150);
    for (int i = 0; i < 200; i++) CHECK_EQ(ars__os_guard_probe(s[i].low - 1), 1);
    ars__stack_pool_free(pool);
    free(s);
}

static void canaries_are_the_last_choice(void)
{
    const long n = 200, protect = 100;
    ars__stack_pool *pool = new_pool();
    fault_at("guard_light", 1, ARS_EINVAL, -1);
    fault_at("guard_protect", (unsigned)protect + 1, ARS_ENOMEM, -1);
    ars__stack *s = get_many(pool, n);
    fault_reset();
    ars__stack_stats t = ars__stack_pool_stats(pool);
    CHECK_EQ(t.guard_protect, protect);
    CHECK_EQ(t.guard_canary, t.carved - (uint64_t)protect);

    s[n - 1].low[-1] ^= 1;
    CHECK_EQ(ars__stack_put(pool, s[n - 1]), 1);
    CHECK_EQ(ars__stack_put(pool, s[n - 2]), 0);
    CHECK_EQ(ars__stack_put(pool, s[0]), 0); /* it has a guard, nothing to look at */
    CHECK_EQ(ars__stack_pool_stats(pool).smashed, 1);
    CHECK(get(pool).low == s[0].low);
    CHECK(get(pool).low == s[n - 2].low);
    ars__stack again = get(pool); /* alive again */
    CHECK(again.low == s[n - 1].low);
    CHECK_EQ(ars__stack_put(pool, again), 0);
    ars__stack_pool_free(pool);
    free(s);
}

/* Page protection ends at the kernel's limit of mappings, 65,530 by default. */
static void the_limit_of_mappings_is_survived(void)
{
    const long n = test_times(40000, 34000);
    ars__stack_pool *pool = new_pool();
    fault_at("guard_light", 1, ARS_ENOSYS, -1);
    ars__stack *s = get_many(pool, n);
    fault_reset();
    ars__stack_stats t = ars__stack_pool_stats(pool);
    printf("  %llu by protection, %llu by canary\n", (unsigned long long)t.guard_protect,
           (unsigned long long)t.guard_canary);
    CHECK(t.guard_protect >= 1000);
    CHECK_EQ(t.guard_protect + t.guard_canary, t.carved);
    for (long i = 0; i < n; i++) CHECK_EQ(ars__stack_put(pool, s[i]), 0);
    ars__stack_pool_free(pool);
    free(s);
}

static void with_locked_memory(void *arg)
{
    (void)arg;
    /* Without privilege a reservation can be more than the limit of locked memory. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || mlockall(MCL_FUTURE | MCL_ONFAULT) != 0 ||
        (geteuid() != 0 && limit.rlim_cur != RLIM_INFINITY)) {
        test_skipped("memory cannot be locked here");
        return;
    }
    ars__stack_pool *pool = new_pool();
    ars__stack *s = get_many(pool, 100);
    check_guards(pool, s, 100);
    CHECK_EQ(ars__stack_pool_stats(pool).guard_canary, 0);
    ars__stack_pool_free(pool);
    free(s);
}

static void locked_memory_is_guarded(void)
{
    test_end end = test_child(with_locked_memory, NULL);
    if (end.status || end.signal) FAIL("status %d, signal %d: %s", end.status, end.signal, end.err);
}

static void finds_whose_guard_was_hit(void)
{
    ars__stack_pool *other = new_pool(), *pool = new_pool();
    ars__stack *s = get_many(pool, 300);
    get(other);
    size_t page = ars__os_page_size();
    const ars__stack_header *header;
    for (int i = 0; i < 300; i++) ars__stack_header_of(s[i])->owner = &s[i];
    for (int i = 0; i < 300; i++) {
        header = NULL;
        CHECK(ars__stack_find_guard(s[i].low - 1, &header));
        CHECK(header->owner == &s[i]);
        CHECK(ars__stack_find_guard(s[i].low - page, &header));
        CHECK(header->owner == &s[i]);
        CHECK(!ars__stack_find_guard(s[i].low, &header));
        CHECK(!ars__stack_find_guard(s[i].top, &header));
    }
    CHECK(!ars__stack_find_guard(s, &header));
    CHECK(!ars__stack_find_guard(NULL, &header));
    ars__stack_pool_free(pool);
    CHECK(!ars__stack_find_guard(s[5].low - 1, &header));
    ars__stack_pool_free(other);
    free(s);
}

static void little_address_space_is_used_up(void)
{
    test_gate gate;
    test_gate_begin(&gate, NULL);
    ars__stack_pool *pool = new_pool();
    ars__stack s;

    fault_at("reserve", 1, ARS_ENOMEM, -1);
    CHECK_EQ(ars__stack_get(pool, &s), ARS_ENOMEM);
    CHECK_EQ(ars__stack_pool_stats(pool).reserved, 0);
    CHECK_EQ(ars__stack_pool_stats(pool).in_use, 0);
    CHECK(fault_hits("reserve") > 4 && fault_hits("reserve") < 20);

    /* 4,096 are too many, so are 2,048. */
    fault_reset();
    fault_at("reserve", 1, ARS_ENOMEM, 2);
    CHECK_EQ(ars__stack_get(pool, &s), 0);
    CHECK_EQ(ars__stack_pool_stats(pool).reserved, 1024);

    /* No more: exactly those can be had. */
    fault_reset();
    fault_at("reserve", 1, ARS_ENOMEM, -1);
    for (int i = 1; i < 1024; i++) get(pool);
    CHECK_EQ(ars__stack_get(pool, &s), ARS_ENOMEM);
    fault_reset();
    ars__stack_pool_free(pool);
    test_gate_end(&gate, 0);
}

static void what_is_reserved_can_be_had(void)
{
    ars__stack_pool *pool = new_pool();
    CHECK_EQ(ars__stack_pool_reserve(pool, 10000), 0);
    CHECK(ars__stack_pool_stats(pool).reserved >= 10000);
    CHECK_EQ(ars__stack_pool_stats(pool).carved, 0);
    fault_at("reserve", 1, ARS_ENOMEM, -1);
    free(get_many(pool, 10000));
    uint64_t reserved = ars__stack_pool_stats(pool).reserved;

    CHECK_EQ(ars__stack_pool_reserve(pool, reserved), 0);
    CHECK_EQ(ars__stack_pool_reserve(pool, reserved + 1), ARS_ENOMEM);
    CHECK_EQ(ars__stack_pool_stats(pool).reserved, reserved);
    fault_reset();

    /* A part could be had, not all: it is given back. */
    long before = test_count_mappings();
    fault_at("reserve", 2, ARS_ENOMEM, -1);
    CHECK_EQ(ars__stack_pool_reserve(pool, reserved + (3u << 20)), ARS_ENOMEM);
    fault_reset();
    CHECK_EQ(ars__stack_pool_stats(pool).reserved, reserved);
    CHECK_EQ(test_count_mappings(), before);
    ars__stack_pool_free(pool);
}

static void one_pool(const ars_alloc *alloc)
{
    ars__stack_pool *pool;
    int rc = ars__stack_pool_new(&pool, alloc, ARS__STACK_SIZE);
    if (rc < 0) {
        CHECK_EQ(rc, ARS_ENOMEM);
        return;
    }
    ars__stack s;
    if (ars__stack_get(pool, &s) == 0) ars__stack_put(pool, s);
    ars__stack_pool_free(pool);
}

static void every_failure_is_clean(void)
{
    sweep_alloc("pool", one_pool);
    sweep_os("pool", one_pool);
    ars__stack_pool_free(NULL);
}

static int with_pages(const ars__stack *s, int n)
{
    int count = 0;
    size_t page = ars__os_page_size();
    for (int i = 0; i < n; i++) {
        unsigned char resident;
        CHECK_EQ(mincore((char *)((uintptr_t)s[i].top & ~(page - 1)), page, &resident), 0);
        count += resident & 1;
    }
    return count;
}

/* Free stacks beyond those that may keep their pages give them back, and serve again. */
static void surplus_gives_pages_back(void)
{
    enum { N = 300, KEPT = 10 };
    ars_alloc_tracker tracker;
    ars__stack_pool *pool;
    ars__stack s[N];
    ars_alloc_tracker_init(&tracker, NULL);
    CHECK_EQ(ars__stack_pool_new(&pool, &tracker.alloc, ARS__STACK_SIZE), 0);
    ars__stack_pool_keep(pool, KEPT * ARS__STACK_SIZE);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            CHECK_EQ(ars__stack_get(pool, &s[i]), 0);
            memset(s[i].low, 0x5a, (size_t)(s[i].top - s[i].low));
        }
        CHECK_EQ(ars__stack_pool_stats(pool).carved >= N, 1);
        for (int i = 0; i < N; i++) ars__stack_put(pool, s[i]);
        while (ars__stack_pool_trim(pool)) {}
        CHECK_EQ(with_pages(s, N), KEPT);
    }
    CHECK_EQ(ars__stack_pool_stats(pool).in_use, 0);
    ars__stack_pool_free(pool);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
}

static int trimmed(ars__stack_pool *pool)
{
    while (ars__stack_pool_trim(pool)) {}
    return ars__stack_pool_surplus(pool);
}

/* Where stacks age, those in use since the call before last are spared. */
static void what_comes_in_waves_stays(void)
{
    enum { N = 300, KEPT = 10, WAVE = 100, HIGH = 200 };
    ars__stack_pool *pool = new_pool();
    ars__stack s[N], all[N];
    ars__stack_pool_keep(pool, KEPT * ARS__STACK_SIZE);
    for (int i = 0; i < N; i++) all[i] = s[i] = get(pool);
    ars__stack_pool_age(pool);
    for (int i = 0; i < N; i++) ars__stack_put(pool, s[i]);
    ars__stack_pool_age(pool); /* all were in use since the last time */
    CHECK(trimmed(pool));
    CHECK_EQ(with_pages(s, N), N);
    for (int i = 0; i < WAVE; i++) s[i] = get(pool);
    for (int i = 0; i < WAVE; i++) ars__stack_put(pool, s[i]);
    ars__stack_pool_age(pool);
    CHECK(trimmed(pool));
    CHECK_EQ(ars__stack_pool_stats(pool).in_use, 0);
    CHECK_EQ(with_pages(all, N), WAVE + KEPT);
    for (int i = 0; i < HIGH; i++) s[i] = get(pool); /* some without pages */
    for (int i = 0; i < HIGH; i++) ars__stack_put(pool, s[i]);
    ars__stack_pool_age(pool);
    CHECK(trimmed(pool));
    CHECK_EQ(with_pages(all, N), HIGH);
    ars__stack_pool_age(pool); /* nobody has needed any */
    CHECK(!trimmed(pool));
    CHECK_EQ(with_pages(all, N), KEPT);
    ars__stack_pool_free(pool);
}

/* ---- other sizes ---- */

static void each_size_has_its_rules(void)
{
    static const size_t sizes[] = {16 << 10, ARS__STACK_SIZE, 256 << 10, 1 << 20, 8 << 20};
    enum { N = 40 };
    size_t page = ars__os_page_size();
    ars__stack s[N];
    for (int k = 0; k < 5; k++) {
        ars__stack_pool *pool;
        CHECK_EQ(ars__stack_pool_new(&pool, NULL, sizes[k]), 0);
        for (int i = 0; i < N; i++) {
            s[i] = get(pool);
            size_t size = (size_t)(s[i].top - s[i].low);
            CHECK(size <= sizes[k] && size >= sizes[k] - ARS__STACK_TAKEN);
            CHECK(ars__stack_home(s[i]) == pool);
            s[i].low[0] = s[i].top[-1] = 1;
            if (i > 0) CHECK((size_t)(s[i].low - s[i - 1].low) / page % 2 == 1);
        }
        check_guards(pool, s, N);
        CHECK_EQ(ars__stack_pool_stats(pool).guard_canary, 0);
        uint64_t reserved = ars__stack_pool_stats(pool).reserved;
        CHECK(reserved * sizes[k] >= (64 << 20) && reserved * sizes[k] <= (1 << 30));
        /* What may keep its pages is said in bytes. */
        ars__stack_pool_keep(pool, 3 * sizes[k] + 1);
        for (int i = 0; i < N; i++) ars__stack_put(pool, s[i]);
        while (ars__stack_pool_trim(pool)) {}
        int kept = 0;
        for (int i = 0; i < N; i++) {
            unsigned char resident;
            CHECK_EQ(mincore(s[i].low, page, &resident), 0);
            kept += resident & 1;
        }
        CHECK_EQ(kept, 3);
        ars__stack_pool_free(pool);

        fault_at("guard_light", 1, ARS_EINVAL, -1);
        fault_at("guard_protect", 1, ARS_ENOMEM, -1);
        CHECK_EQ(ars__stack_pool_new(&pool, NULL, sizes[k]), 0);
        s[0] = get(pool);
        s[1] = get(pool);
        fault_reset();
        s[1].low[-1] = 0;
        CHECK_EQ(ars__stack_put(pool, s[0]), 0);
        CHECK_EQ(ars__stack_put(pool, s[1]), 1);
        ars__stack_pool_free(pool);
    }
}

/* ---- given back by others ---- */

enum { RETURNERS = 4, EACH = 500 };

static void *returns(void *arg)
{
    ars__stack *s = arg;
    for (int i = 0; i < EACH; i++) ars__stack_return(s[i]);
    return NULL;
}

static void anyone_may_return(void)
{
    static ars__stack s[RETURNERS * EACH];
    pthread_t threads[RETURNERS];
    ars__stack_pool *pool = new_pool();
    fault_at("guard_light", 1, ARS_EINVAL, -1);
    fault_at("guard_protect", 1, ARS_ENOMEM, -1);
    for (long round = 0; round < test_times(100, 10); round++) {
        uint64_t carved = ars__stack_pool_stats(pool).carved;
        for (int i = 0; i < RETURNERS * EACH; i++) s[i] = get(pool);
        if (round > 0) CHECK_EQ(ars__stack_pool_stats(pool).carved, carved);
        s[7].low[-1] = 0;
        for (int i = 0; i < RETURNERS; i++)
            CHECK_EQ(pthread_create(&threads[i], NULL, returns, &s[i * EACH]), 0);
        /* The owner goes on meanwhile. */
        for (int i = 0; i < 1000; i++) ars__stack_put(pool, get(pool));
        for (int i = 0; i < RETURNERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        ars__stack_pool_trim(pool);
        CHECK_EQ(ars__stack_pool_stats(pool).in_use, 0);
        CHECK_EQ(ars__stack_pool_stats(pool).smashed, round + 1);
    }
    fault_reset();
    ars__stack_pool_free(pool);
}

/* ---- depth ---- */

static void depth_is_seen(void)
{
    for (int canary = 0; canary < 2; canary++) {
        ars__stack_pool *pool = new_pool();
        if (canary) {
            fault_at("guard_light", 1, ARS_EINVAL, -1);
            fault_at("guard_protect", 1, ARS_ENOMEM, -1);
        }
        ars__stack s = get(pool);
        fault_reset();
        size_t room = (size_t)(s.top - s.low);
        for (int round = 0; round < 2; round++) {
            /* Nothing can be discarded from locked memory. */
            if (round) fault_at("discard", 1, ARS_EINVAL, -1);
            memset(s.low, 0x5a, room);
            CHECK_EQ(ars__stack_depth(s), room);
            ars__stack_wipe(s);
            fault_reset();
            CHECK_EQ(ars__stack_depth(s), 0);
            for (size_t at = 1; at < room; at = at * 3 + 1) {
                s.top[-(ptrdiff_t)at] = 1;
                CHECK_EQ(ars__stack_depth(s), (at + 7) & ~(size_t)7);
            }
            s.low[0] = 1;
            CHECK_EQ(ars__stack_depth(s), room);
        }
        CHECK_EQ(ars__stack_put(pool, s), 0);
        ars__stack_pool_free(pool);
    }
}

static const test_case cases[] = {
    {"each size has its rules", each_size_has_its_rules},
    {"anyone may return", anyone_may_return},
    {"depth is seen", depth_is_seen},
    {"surplus gives pages back", surplus_gives_pages_back},
    {"what comes in waves stays", what_comes_in_waves_stays},
    {"hands out the hottest first", hands_out_the_hottest_first},
    {"stacks are apart and staggered", stacks_are_apart_and_staggered},
    {"each stack is guarded", each_stack_is_guarded},
    {"advice that does nothing is found out", advice_that_does_nothing_is_found_out},
    {"protection is the second choice", protection_is_the_second_choice},
    {"markers that fail later are replaced", markers_that_fail_later_are_replaced},
    {"canaries are the last choice", canaries_are_the_last_choice},
    {"the limit of mappings is survived", the_limit_of_mappings_is_survived},
    {"locked memory is guarded", locked_memory_is_guarded},
    {"finds whose guard was hit", finds_whose_guard_was_hit},
    {"little address space is used up", little_address_space_is_used_up},
    {"what is reserved can be had", what_is_reserved_can_be_had},
    {"every failure is clean", every_failure_is_clean},
};
TEST_MAIN(cases)
