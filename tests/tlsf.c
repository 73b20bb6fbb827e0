/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/rng.h>
#include <arsenal/tlsf.h>

#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

enum { SIZE = 1 << 18, LIVE = 300 };

static ars_tlsf heap;
static _Alignas(64) unsigned char first[SIZE], second[SIZE];

static struct {
    unsigned char *p;
    size_t size;
} live[LIVE];

static void fill(int i, size_t from)
{
    for (size_t k = from; k < live[i].size; k++) live[i].p[k] = (unsigned char)(k * 7 + (size_t)i);
}

static void check_filled(int i, size_t size)
{
    for (size_t k = 0; k < size; k++) CHECK_EQ(live[i].p[k], (unsigned char)(k * 7 + (size_t)i));
}

/* Random calls beside an array of what is live: contents, alignments and counts are right throughout. */
static void as_the_model(void)
{
    ars_rng rng;
    size_t blocks = 0;
    ars_rng_seed(&rng, 1);
    memset(live, 0, sizeof live);
    ars_tlsf_init(&heap);
    CHECK_EQ(ars_tlsf_add(&heap, first + 1, SIZE - 1), 0);
    CHECK_EQ(ars_tlsf_add(&heap, second, SIZE), 0);
    CHECK_EQ(ars_tlsf_add(&heap, second + 100, 1000), ARS_EINVAL);
    for (long step = test_times(40000, 10000); step; step--) {
        const int i = (int)ars_rng_below(&rng, LIVE);
        const size_t size = 1 + (size_t)ars_rng_below(&rng, 1u << ars_rng_below(&rng, 14));
        const size_t align = (size_t)1 << ars_rng_below(&rng, 10);
        const size_t largest = ars_tlsf_get_stats(&heap).largest;
        if (!live[i].p) {
            live[i].p = ars_tlsf_alloc(&heap, size, align);
            if (align <= 2 * sizeof(size_t)) CHECK_EQ(!live[i].p, size > largest);
            if (!live[i].p) continue;
            CHECK((uintptr_t)live[i].p % align == 0 && ars_tlsf_usable(live[i].p) >= size);
            live[i].size = size;
            fill(i, 0);
            blocks++;
        } else if (ars_rng_below(&rng, 3) == 0) {
            unsigned char *q = ars_tlsf_resize(&heap, live[i].p, size, align);
            const size_t old = live[i].size;
            if (!q) {
                check_filled(i, old);
                continue;
            }
            CHECK((uintptr_t)q % align == 0);
            live[i].p = q;
            live[i].size = size;
            check_filled(i, old < size ? old : size);
            fill(i, 0);
        } else {
            check_filled(i, live[i].size);
            heap.alloc.free(&heap, live[i].p, live[i].size, 1);
            live[i].p = NULL;
            blocks--;
        }
        CHECK_EQ(ars_tlsf_get_stats(&heap).blocks, blocks);
        if (step % 64 == 0) CHECK_EQ(ars_tlsf_check(&heap), 0);
    }
    CHECK_EQ(ars_tlsf_remove(&heap, second), ARS_EBUSY);
    for (int i = 0; i < LIVE; i++) ars_tlsf_free(&heap, live[i].p);
    CHECK_EQ(ars_tlsf_check(&heap), 0);
    CHECK_EQ(ars_tlsf_get_stats(&heap).used, 0);
    CHECK_EQ(ars_tlsf_remove(&heap, first), ARS_EINVAL);
    CHECK_EQ(ars_tlsf_remove(&heap, second), 0);
    CHECK_EQ(ars_tlsf_remove(&heap, first + 1), 0);
    CHECK_EQ(ars_tlsf_get_stats(&heap).size, 0);
    CHECK(!ars_tlsf_alloc(&heap, 1, 1));
}

static void refuses_what_cannot_be(void)
{
    ars_tlsf_init(&heap);
    CHECK_EQ(ars_tlsf_add(&heap, NULL, SIZE), ARS_EINVAL);
    CHECK_EQ(ars_tlsf_add(&heap, first, 40), ARS_EINVAL);
    CHECK_EQ(ars_tlsf_add(&heap, first, SIZE_MAX), ARS_EINVAL);
    CHECK_EQ(ars_tlsf_add(&heap, first, SIZE), 0);
    void *p = ars_tlsf_alloc(&heap, 100, 8);
    const ars_tlsf_stats before = ars_tlsf_get_stats(&heap);
    CHECK(!ars_tlsf_alloc(&heap, 0, 8) && !ars_tlsf_alloc(&heap, 8, 0));
    CHECK(!ars_tlsf_alloc(&heap, 8, 24) && !ars_tlsf_alloc(&heap, SIZE_MAX, 8));
    CHECK(!ars_tlsf_alloc(&heap, 8, SIZE_MAX / 2 + 1) && !ars_tlsf_resize(&heap, p, 0, 8));
    CHECK(!ars_tlsf_resize(&heap, p, SIZE_MAX - 8, 8) && !ars_tlsf_resize(&heap, p, 8, 3));
    const ars_tlsf_stats after = ars_tlsf_get_stats(&heap);
    CHECK(!memcmp(&before, &after, sizeof before));
    ars_tlsf_free(&heap, p);
    CHECK_EQ(ars_tlsf_remove(&heap, first), 0);
}

/* ---- what debug builds find ---- */

static void free_twice(void)
{
    void *p = ars_tlsf_alloc(&heap, 100, 8);
    ars_tlsf_free(&heap, p);
    ars_tlsf_free(&heap, p);
}

static void free_foreign(void)
{
    static uint64_t words[100];
    ars_tlsf_free(&heap, &words[50]);
}

static void free_of_another_size(void)
{
    heap.alloc.free(&heap, ars_tlsf_alloc(&heap, 100, 8), 200, 8);
}

static void write_beyond(void)
{
    volatile char *p = ars_tlsf_alloc(&heap, 100, 8);
    p[100] = 1;
    ars_tlsf_free(&heap, (void *)(uintptr_t)p);
}

static void finds_misuse(void)
{
    static void (*const wrong[])(void) = {free_twice, free_foreign, free_of_another_size,
                                          write_beyond};
    if (!ARS__ASSERTS) {
        test_skipped("only debug builds look");
        return;
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int status;
        fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            close(2);
            ars_tlsf_init(&heap);
            if (ars_tlsf_add(&heap, first, SIZE) == 0) wrong[i]();
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) FAIL("misuse %zu was not found", i);
    }
}

static const test_case cases[] = {
    {"as_the_model", as_the_model},
    {"refuses_what_cannot_be", refuses_what_cannot_be},
    {"finds_misuse", finds_misuse},
};
TEST_MAIN(cases)
