/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "coro/ctx.h"

/*
 * Itanium C++ ABI: the thread's stack of caught exceptions and its count of
 * uncaught ones, two words.  The ABI lets compilers treat the call as pure;
 * here it is an ordinary one, so that each asks for the thread it runs on.
 */
extern void *__cxa_get_globals(void) __attribute__((weak));

static void exchange(uint64_t keep[2], const uint64_t load[2])
{
    if (!__cxa_get_globals) return;
    void *globals = __cxa_get_globals();
    memcpy(keep, globals, 2 * sizeof keep[0]);
    memcpy(globals, load, 2 * sizeof load[0]);
}

void ars__ctx_enter_cxx(ars__ctx_extra *extra)
{
    memset(extra->mine, 0, sizeof extra->mine);
    exchange(extra->outer, extra->mine);
}

void ars__ctx_leave_cxx(ars__ctx_extra *extra)
{
    exchange(extra->mine, extra->outer);
}

void ars__ctx_back_cxx(ars__ctx_extra *extra)
{
    exchange(extra->outer, extra->mine);
}

int ars__ctx_switch_cxx(ars__ctx *from, ars__ctx *to, ars__ctx_extra *extra)
{
    ars__ctx_leave_cxx(extra);
    int result = ars__ctx_switch(from, to);
    ars__ctx_back_cxx(extra);
    return result;
}
