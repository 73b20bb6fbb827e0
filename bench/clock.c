/* SPDX-License-Identifier: MIT */
#include <arsenal/ticks.h>

#include "bench.h"

/*
 *   clock.tsc      the CPU's counter: raw, in order, and as a clock; the instruction alone
 *   clock.mono     the monotonic clock, and the C library's call
 *   clock.coarse   the same, as of the last tick
 */

#define READ(NAME, VALUE)                                                                          \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        uint64_t sum = 0;                                                                          \
        ars_fastclock fast = {0};                                                                  \
        struct timespec ts;                                                                        \
        (void)arg, (void)fast, (void)ts;                                                           \
        double began = bench_now();                                                                \
        for (; n; n--) sum += (uint64_t)(VALUE);                                                   \
        bench_use(sum);                                                                            \
        return bench_now() - began;                                                                \
    }

READ(ticks, ars_ticks())
READ(ticks_ordered, ars_ticks_ordered())
READ(fastclock, ars_fastclock_now(&fast))
READ(mono, ars_now())
READ(mono_bare, (clock_gettime(CLOCK_MONOTONIC, &ts), ts.tv_nsec))
READ(coarse, ars_now_coarse())
READ(coarse_bare, (clock_gettime(CLOCK_MONOTONIC_COARSE, &ts), ts.tv_nsec))
#ifdef __x86_64__
READ(tsc_bare, __builtin_ia32_rdtsc())
#endif

#define ROW(ID, SYSTEM, REMARK, RUN)                                                               \
    {                                                                                              \
        "clock." ID, SYSTEM, v, REMARK, NULL, RUN, NULL, 0, 0                                      \
    }

int main(int argc, char **argv)
{
    const char *v = ars_version();
    struct bench table[] = {
        ROW("tsc", "arsenal", "a clock of ns", fastclock),
        ROW("tsc", "arsenal:ticks", "raw", ticks),
        ROW("tsc", "arsenal:ordered", "raw, fenced", ticks_ordered),
#ifdef __x86_64__
        ROW("tsc", "limit:rdtsc", "raw", tsc_bare),
#endif
        ROW("mono", "arsenal", NULL, mono),
        ROW("mono", "limit:clock_gettime", "tv_nsec only", mono_bare),
        ROW("coarse", "arsenal", NULL, coarse),
        ROW("coarse", "limit:clock_gettime", "tv_nsec only", coarse_bare),
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
