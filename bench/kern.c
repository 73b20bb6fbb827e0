/* SPDX-License-Identifier: MIT */
#include <arsenal/cpu.h>
#include <arsenal/kern.h>

#include "bench.h"
#include "kern/kern.h"

/*
 *   kern.checksum   GB/s over 64 KiB, by each variant
 *   kern.find       the same, of a set that no byte is in
 *   kern.popcount   the same
 */

enum { BYTES = 64 * 1024, TIMES = 200, ROWS_MAX = 16 };

static unsigned char bytes[BYTES];

#define OVER(NAME, KERNEL, RESULT)                                                                 \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        const KERNEL *k = arg;                                                                     \
        (void)n;                                                                                   \
        double began = bench_now();                                                                \
        for (int i = 0; i < TIMES; i++) {                                                          \
            bench_use(bytes);                                                                      \
            bench_use(RESULT);                                                                     \
        }                                                                                          \
        return (double)BYTES * TIMES / (bench_now() - began);                                      \
    }

static const ars_byteset empty;
OVER(checksum, ars__inet_kernel, k->sum(bytes, BYTES))
OVER(find, ars__find_kernel, k->find(empty.bits, bytes, BYTES))
OVER(popcount, ars__popcount_kernel, k->count(bytes, BYTES))

static struct bench table[ROWS_MAX];
static char names[ROWS_MAX][32];
static size_t rows;

static void row(const char *id, const char *name, uint64_t needs, const void *kernel,
                double (*run)(uint64_t n, void *arg))
{
    if (needs & ~ars_cpu_features() || rows == ROWS_MAX) return;
    snprintf(names[rows], sizeof names[rows], "arsenal:%s", name);
    table[rows] =
        (struct bench){id, names[rows], ars_version(), "64 KiB", "GB/s", run, (void *)kernel, 1, 1};
    rows++;
}

#define EACH(ID, KERNELS, RUN)                                                                     \
    for (unsigned i = 0; i < KERNELS##_count; i++)                                                 \
    row(ID, KERNELS[i].name, KERNELS[i].needs, &KERNELS[i], RUN)

int main(int argc, char **argv)
{
    for (size_t i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * i >> 5);
    EACH("kern.checksum", ars__inet_kernels, checksum);
    EACH("kern.find", ars__find_kernels, find);
    EACH("kern.popcount", ars__popcount_kernels, popcount);
    return bench_main(argc, argv, table, rows);
}
