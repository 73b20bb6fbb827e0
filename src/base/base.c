/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/base.h>. */
#include <arsenal/base.h>

const char *ars_version(void)
{
    return "0.1.0";
}

ars_time ars_time_add(ars_time at, ars_time span)
{
    ars_time sum;
    if (at == ARS_FOREVER) return ARS_FOREVER;
    if (__builtin_add_overflow(at, span, &sum)) return span > 0 ? ARS_FOREVER : 1;
    return sum > 0 ? sum : 1;
}
