/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_LUCK_H
#define ARS_TEST_LUCK_H

/* Chance for tests of random operations, without the C library's shared state. */

#include <arsenal/clock.h>

typedef struct luck {
    uint64_t state;
} luck;

static inline uint32_t dice(luck *l, uint32_t sides)
{
    l->state = l->state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(l->state >> 33) % sides;
}

/* Never for ever, so that two who wait for each other go on. */
static inline ars_time some_deadline(luck *l)
{
    switch (dice(l, 4)) {
    case 0: return 0;
    case 1: return ars_after(dice(l, 20 * ARS_MICROSECOND));
    default: return ars_after(dice(l, 3 * ARS_MILLISECOND));
    }
}

#endif
