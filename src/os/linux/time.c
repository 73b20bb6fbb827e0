/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <time.h>

/* Through the C library, because that reads most clocks without entering the kernel. */
static inline ars_time read_clock(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (ars_time)ts.tv_sec * ARS_SECOND + ts.tv_nsec;
}

ars_time ars__os_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

ars_time ars__os_now_coarse(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

ars_time ars__os_now_real(void)
{
    return read_clock(CLOCK_REALTIME);
}

ars_time ars__os_now_thread(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
