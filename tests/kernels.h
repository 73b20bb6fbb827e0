/* SPDX-License-Identifier: MIT */
#ifndef TESTS_KERNELS_H
#define TESTS_KERNELS_H

/*
 * What tests of kernels (src/cpu/kernel.h) have in common: memory between
 * pages that fault, the state in which vector registers are left, and which
 * variants of a table can run here.
 */

#include "test.h"

#include <arsenal/cpu.h>
#include <arsenal/rng.h>

#include <sys/mman.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { ROOM = 64 * 1024 };

/* ROOM bytes between two pages that fault. */
static inline unsigned char *guarded(void)
{
    size_t page = ars_cpu_page_size();
    unsigned char *at = mmap(NULL, ROOM + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    CHECK_EQ(mprotect(at + page, ROOM, PROT_READ | PROT_WRITE), 0);
    return at + page;
}

static inline void unguard(unsigned char *at)
{
    size_t page = ars_cpu_page_size();
    CHECK_EQ(munmap(at - page, ROOM + 2 * page), 0);
}

/*
 * The parts of the upper halves of vector registers that are in use: bits 2
 * and 6.  0 where that cannot be told; an emulator may say so even of clean ones.
 */
static inline uint64_t upper_halves(void)
{
#if defined(__x86_64__)
    uint32_t a, b, c, d, clean;
    if (!(ars_cpu_features() & ARS_CPU_AVX) || !__get_cpuid_count(13, 1, &a, &b, &c, &d) ||
        !(a & 4))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
    __asm__ volatile("vzeroupper; xgetbv" : "=a"(clean), "=d"(d) : "c"(1));
    return clean & 0x44 ? 0 : a & 0x44;
#else
    return 0;
#endif
}

/* Whether the variant can run on this CPU; it is said if not. */
static inline int runs_here(const char *name, uint64_t needs)
{
    if (needs & ~ars_cpu_features()) {
        test_skipped("%s is not here", name);
        return 0;
    }
    printf("  %s\n", name);
    return 1;
}

/*
 * Calls 'same' with buffers of many lengths: at the end of the room, at its
 * beginning and at odd addresses, random bytes in them and 'kernel' passed on.
 */
static inline void each_buffer(void (*same)(const void *kernel, unsigned char *at, size_t n),
                               const void *kernel)
{
    unsigned char *room = guarded();
    ars_rng rng;
    ars_rng_seed(&rng, 1);
    for (size_t i = 0; i < ROOM; i++) room[i] = (unsigned char)ars_rng_next(&rng);
    for (size_t n = 0; n <= ROOM; n += n < 600 ? 1 : 1 + n / 7) {
        same(kernel, room + ROOM - n, n);
        same(kernel, room, n);
        for (size_t odd = 1; odd < 64 && odd + n <= ROOM; odd += 1 + odd / 3)
            same(kernel, room + odd, n);
    }
    same(kernel, room, ROOM);
    unguard(room);
}

#endif
