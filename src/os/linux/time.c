/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <time.h>

ars_time ars__os_now(void)
{
    /* Through the C library, because that reads the clock without entering the kernel. */
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ars_time)ts.tv_sec * ARS_SECOND + ts.tv_nsec;
}
