/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/clock.h>. */
#include <arsenal/clock.h>

#include "os/os.h"

ars_time ars_now(void)
{
    return ars__os_now();
}

ars_time ars_after(ars_time span)
{
    return ars_time_add(ars__os_now(), span);
}
