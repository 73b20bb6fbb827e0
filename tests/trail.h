/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_TRAIL_H
#define ARS_TEST_TRAIL_H

/* What happened in which order, a letter each; on one worker. */

#include <string.h>

#include "test.h"

static char trail[64];

static inline void note(char c)
{
    size_t n = strlen(trail);
    CHECK(n + 1 < sizeof trail);
    trail[n] = c;
    trail[n + 1] = '\0';
}

#endif
