/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arsenal/cpu.h>

#include <gnu/libc-version.h>
#include <sched.h>

#include "bench.h"

/*
 *   cpu.features   asking which features there are, as a dispatcher may at each call;
 *                  beside the compiler's own question for one feature
 *   cpu.count      CPUs to use: affinity, and the quotas from the control groups' files;
 *                  glibc's is the affinity alone
 *   cpu.count_all  the whole machine, from sysfs
 */

static double features(uint64_t n, void *arg)
{
    double began = bench_now();
    (void)arg;
    for (; n; n--) bench_use(ars_cpu_features());
    return bench_now() - began;
}

/* A flag that somebody has set. */
static double flag(uint64_t n, void *arg)
{
    static volatile uint64_t word;
    double began = bench_now();
    (void)arg;
    for (; n; n--) bench_use(word);
    return bench_now() - began;
}

#if defined(__x86_64__)
static double builtin(uint64_t n, void *arg)
{
    double began = bench_now();
    (void)arg;
    __builtin_cpu_init();
    for (; n; n--) bench_use(!!__builtin_cpu_supports("avx2"));
    return bench_now() - began;
}
#endif

static double count(uint64_t n, void *arg)
{
    double began = bench_now();
    (void)arg;
    for (; n; n--) bench_use(ars_cpu_count());
    return bench_now() - began;
}

static double affinity(uint64_t n, void *arg)
{
    cpu_set_t set;
    double began = bench_now();
    (void)arg;
    for (; n; n--) {
        if (sched_getaffinity(0, sizeof set, &set)) return -1;
        bench_use(CPU_COUNT(&set));
    }
    return bench_now() - began;
}

static double count_all(uint64_t n, void *arg)
{
    ars_cpu_totals totals;
    double began = bench_now();
    (void)arg;
    for (; n; n--) {
        ars_cpu_count_all(&totals);
        bench_use(totals.cores);
    }
    return bench_now() - began;
}

#define ROW(ID, SYSTEM, VERSION, CONFIG, FN)                                                       \
    {                                                                                              \
        .id = "cpu." ID, .system = SYSTEM, .version = VERSION, .config = CONFIG, .run = FN         \
    }

int main(int argc, char **argv)
{
    const char *v = ars_version();
    const struct bench table[] = {
        ROW("features", "arsenal", v, "called", features),
        ROW("features", "limit:flag", NULL, "a load", flag),
#if defined(__x86_64__)
        ROW("features", "compiler", __VERSION__, "one feature", builtin),
#endif
        ROW("count", "arsenal", v, "affinity and quotas", count),
        ROW("count", "glibc", gnu_get_libc_version(), "affinity", affinity),
        ROW("count_all", "arsenal", v, "sysfs", count_all),
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
