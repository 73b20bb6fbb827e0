/* SPDX-License-Identifier: MIT */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/point.h"

#if ARS__ASSERTS
int (*ars__point_hook)(const char *name);
#endif

_Noreturn void ars__assert_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
