/* SPDX-License-Identifier: MIT */
#if !defined(__x86_64__) && !defined(__aarch64__)

/* A CPU that has no kernels of its own: everything takes the portable ones. */

#include "cpu/detect.h"

uint64_t ars__cpu_detect(void)
{
    return 0;
}

size_t ars__cpu_line(void)
{
    return 0;
}

#else
/* A file without a declaration is not C. */
typedef int ars__cpu_not_other;
#endif
