/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/base.h>. */
#include <arsenal/base.h>

#define TEXT_OF(x)                  #x
#define DOTTED(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *ars_version(void)
{
    return DOTTED(ARS_VERSION_MAJOR, ARS_VERSION_MINOR, ARS_VERSION_PATCH);
}

ars_time ars_time_add(ars_time at, ars_time span)
{
    ars_time sum;
    if (at == ARS_FOREVER) return ARS_FOREVER;
    if (__builtin_add_overflow(at, span, &sum)) return span > 0 ? ARS_FOREVER : 1;
    return sum > 0 ? sum : 1;
}
