/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_POINTS_H
#define ARS_TEST_POINTS_H

/*
 * Chance at every ARS_POINT: threads lose their CPU there or dawdle a little,
 * tasks yield on their way into calls that may wait, and those that may move
 * are mostly taken by another worker than the one that they parked on.
 */

#include <sched.h>

#include <arsenal/atomic.h>

#include "base/point.h"
#include "test.h"

#if ARS__ASSERTS

/* Shared, and relaxed: it orders nothing, so that it hides no race from ThreadSanitizer. */
static ars_atomic_u64 points_state;

static uint64_t points_roll(void)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = ars_atomic_u64_add_relaxed(&points_state, step) + step;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int points_chance(const char *name)
{
    uint64_t dice = points_roll();
    if (strcmp(name, "take") == 0) {
        if (dice % 16 == 0) return 0;
        if (dice % 16 == 1) sched_yield(); /* to those who may take it */
        return 1;
    }
    if (strcmp(name, "enter") == 0) return dice % 4 == 0;
    if (dice % 256 == 0) sched_yield(); /* dear where others want the CPU too */
    if (dice % 16 == 1)
        for (uint64_t i = dice >> 32 & 255; i > 0; i--) ars_atomic_pause();
    return 0;
}

/* Between runtimes; 0 where there are no points. */
static inline int points_begin(uint64_t seed)
{
    ars_atomic_u64_store_relaxed(&points_state, seed);
    ars__point_hook = points_chance;
    return 1;
}

static inline void points_end(void)
{
    ars__point_hook = NULL;
}

#else

static inline int points_begin(uint64_t seed)
{
    (void)seed;
    test_skipped("not a debug build");
    return 0;
}

static inline void points_end(void) {}

#endif

#endif
