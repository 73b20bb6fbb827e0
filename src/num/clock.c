/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/clock.h>. */
#include <arsenal/clock.h>

#include "os/os.h"

ars_time ars_now(void)
{
    return ars__os_now();
}

ars_time ars_now_coarse(void)
{
    return ars__os_now_coarse();
}

ars_time ars_now_real(void)
{
    return ars__os_now_real();
}

ars_time ars_now_thread(void)
{
    return ars__os_now_thread();
}

ars_time ars_after(ars_time span)
{
    return ars_time_add(ars__os_now(), span);
}

ars_time ars_left(ars_time deadline)
{
    if (deadline == ARS_FOREVER) return ARS_FOREVER;
    if (deadline <= 0) return 0;
    /* Neither is below 0, so the difference cannot overflow. */
    ars_time left = deadline - ars__os_now();
    return left > 0 ? left : 0;
}

void ars_thread_sleep(ars_time deadline)
{
    uint32_t word = 0;
    while (deadline > ars__os_now()) ars__os_futex_wait(&word, 0, deadline);
}

/* ---- the stopwatch: 'since' is 0 while it stands ---- */

ars_time ars_stopwatch_read(const ars_stopwatch *watch)
{
    return watch->ars__total + (watch->ars__since ? ars__os_now() - watch->ars__since : 0);
}

void ars_stopwatch_start(ars_stopwatch *watch)
{
    if (!watch->ars__since) watch->ars__since = ars__os_now();
}

ars_time ars_stopwatch_stop(ars_stopwatch *watch)
{
    watch->ars__total = ars_stopwatch_read(watch);
    watch->ars__since = 0;
    return watch->ars__total;
}

ars_time ars_stopwatch_lap(ars_stopwatch *watch)
{
    ars_time now = ars_stopwatch_read(watch), lap = now - watch->ars__lap;
    watch->ars__lap = now;
    return lap;
}
