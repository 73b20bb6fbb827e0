/* SPDX-License-Identifier: MIT */
#include <arsenal/cpu.h>
#include <arsenal/rng.h>

#include "bench.h"
#include "num/rng_fill.h"

/*
 *   rng.GENERATOR   a number: inlined, by a call of the exported function, and
 *                   the bare recurrence in local variables
 *   rng.below       a number below 1,000,003, beside the remainder, which is biased
 *   rng.normal      and rng.exponential: a number, called
 *   rng.fill        GB/s over 64 KiB, by each kernel and by ars_rng_next()
 */

/* ---- a number at a time ---- */

#define INLINED(NAME, TYPE, NEXT)                                                                  \
    static double inlined_##NAME(uint64_t n, void *arg)                                            \
    {                                                                                              \
        TYPE g = from_##TYPE;                                                                      \
        uint64_t sum = 0;                                                                          \
        (void)arg;                                                                                 \
        double began = bench_now();                                                                \
        for (; n; n--) sum += (uint64_t)NEXT;                                                      \
        bench_use(sum);                                                                            \
        return bench_now() - began;                                                                \
    }
#define CALLED(NAME, TYPE, RESULT, FUNCTION)                                                       \
    static double called_##NAME(uint64_t n, void *arg)                                             \
    {                                                                                              \
        RESULT (*volatile const next)(TYPE *) = FUNCTION;                                          \
        TYPE g = from_##TYPE;                                                                      \
        uint64_t sum = 0;                                                                          \
        (void)arg;                                                                                 \
        double began = bench_now();                                                                \
        for (; n; n--) sum += (uint64_t)next(&g);                                                  \
        bench_use(sum);                                                                            \
        return bench_now() - began;                                                                \
    }
#define BOTH(NAME, TYPE, RESULT, FUNCTION)                                                         \
    INLINED(NAME, TYPE, FUNCTION(&g))                                                              \
    CALLED(NAME, TYPE, RESULT, FUNCTION)

static const ars_splitmix64 from_ars_splitmix64 = {1};
static const ars_wyrand from_ars_wyrand = {1};
static const ars_pcg32 from_ars_pcg32 = {1, 3};
static const ars_pcg64 from_ars_pcg64 = {1, 2, 0, 3};
static const ars_xoshiro256 from_ars_xoshiro256 = {{1, 2, 3, 4}};

BOTH(splitmix64, ars_splitmix64, uint64_t, ars_splitmix64_next)
BOTH(wyrand, ars_wyrand, uint64_t, ars_wyrand_next)
BOTH(pcg32, ars_pcg32, uint32_t, ars_pcg32_next)
BOTH(pcg64, ars_pcg64, uint64_t, ars_pcg64_next)
BOTH(xoshiro256p, ars_xoshiro256, uint64_t, ars_xoshiro256_plus)
BOTH(xoshiro256pp, ars_xoshiro256, uint64_t, ars_xoshiro256_plusplus)
BOTH(xoshiro256ss, ars_xoshiro256, uint64_t, ars_xoshiro256_starstar)
INLINED(below, ars_xoshiro256, ars_rng_below(&g, 1000003))
CALLED(normal, ars_xoshiro256, double, ars_rng_normal)
CALLED(exponential, ars_xoshiro256, double, ars_rng_exponential)

/* ---- the limits: the recurrences, by hand ---- */

#define BARE(NAME, STATE, STEP)                                                                    \
    static double bare_##NAME(uint64_t n, void *arg)                                               \
    {                                                                                              \
        uint64_t sum = 0;                                                                          \
        (void)arg;                                                                                 \
        STATE;                                                                                     \
        double began = bench_now();                                                                \
        for (; n; n--) {                                                                           \
            STEP                                                                                   \
        }                                                                                          \
        bench_use(sum);                                                                            \
        return bench_now() - began;                                                                \
    }

BARE(splitmix64, uint64_t x = 1, {
    uint64_t z = x += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    sum += z ^ (z >> 31);
})
BARE(wyrand, uint64_t x = 1, {
    x += UINT64_C(0x2d358dccaa6c78a5);
    unsigned __int128 z = (unsigned __int128)x * (x ^ UINT64_C(0x8bb84b93962eacc9));
    sum += (uint64_t)(z >> 64) ^ (uint64_t)z;
})
BARE(pcg32, uint64_t x = 1, {
    uint32_t z = (uint32_t)(((x >> 18) ^ x) >> 27);
    uint32_t rot = (uint32_t)(x >> 59);
    x = x * UINT64_C(6364136223846793005) + 3;
    sum += z >> rot | z << (-rot & 31);
})
BARE(xoshiro256p, uint64_t a = 1; uint64_t b = 2; uint64_t c = 3; uint64_t d = 4, {
    sum += a + d;
    uint64_t t = b << 17;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = d << 45 | d >> 19;
})
BARE(remainder, ars_rng g = from_ars_xoshiro256, { sum += ars_rng_next(&g) % 1000003; })

/* ---- many bytes ---- */

enum { FILL = 64 * 1024, FILLS = 400 };

static unsigned char bytes[FILL];

/* GB/s; 'arg' is what ars_cpu_mask() is to allow. */
static double fill(uint64_t n, void *arg)
{
    const uint64_t *allowed = arg;
    ars_rng rng = from_ars_xoshiro256;
    (void)n;
    uint64_t before = ars_cpu_mask(*allowed);
    ars_rng_fill(&rng, bytes, FILL);
    double began = bench_now();
    for (int i = 0; i < FILLS; i++) {
        ars_rng_fill(&rng, bytes, FILL);
        bench_use(bytes);
    }
    double ns = bench_now() - began;
    ars_cpu_mask(before);
    return (double)FILL * FILLS / ns;
}

static double fill_words(uint64_t n, void *arg)
{
    ars_rng rng = from_ars_xoshiro256;
    (void)n, (void)arg;
    double began = bench_now();
    for (int i = 0; i < FILLS; i++) {
        for (size_t at = 0; at < FILL; at += 8) {
            uint64_t word = ars_rng_next(&rng);
            memcpy(bytes + at, &word, sizeof word);
        }
        bench_use(bytes);
    }
    return (double)FILL * FILLS / (bench_now() - began);
}

/* The bytes do not change: how fast they can be stored. */
static double fill_memset(uint64_t n, void *arg)
{
    (void)n, (void)arg;
    double began = bench_now();
    for (int i = 0; i < FILLS; i++) {
        memset(bytes, i, FILL);
        bench_use(bytes);
    }
    return (double)FILL * FILLS / (bench_now() - began);
}

#define ROW(ID, SYSTEM, REMARK, RUN)                                                               \
    {                                                                                              \
        "rng." ID, SYSTEM, v, REMARK, NULL, RUN, NULL, 0, 0                                        \
    }
#define PAIR(NAME)                                                                                 \
    ROW(#NAME, "arsenal", "inlined", inlined_##NAME),                                              \
        ROW(#NAME, "arsenal:called", NULL, called_##NAME)
#define FILL_ROW(SYSTEM, RUN, ARG)                                                                 \
    {                                                                                              \
        "rng.fill", SYSTEM, v, "64 KiB", "GB/s", RUN, ARG, 1, 1                                    \
    }

int main(int argc, char **argv)
{
    enum { ROWS = 24, KERNELS_MAX = 4 };
    const char *v = ars_version();
    static char names[KERNELS_MAX][32];
    static uint64_t masks[KERNELS_MAX];
    struct bench table[ROWS + KERNELS_MAX + 2] = {
        PAIR(splitmix64),
        ROW("splitmix64", "limit:bare", "in registers", bare_splitmix64),
        PAIR(pcg32),
        ROW("pcg32", "limit:bare", "in registers", bare_pcg32),
        PAIR(xoshiro256p),
        ROW("xoshiro256p", "limit:bare", "in registers", bare_xoshiro256p),
        PAIR(wyrand),
        ROW("wyrand", "limit:bare", "in registers", bare_wyrand),
        PAIR(xoshiro256pp),
        PAIR(xoshiro256ss),
        PAIR(pcg64),
        ROW("below", "arsenal", "inlined", inlined_below),
        ROW("below", "limit:remainder", "biased", bare_remainder),
        ROW("normal", "arsenal", "called", called_normal),
        ROW("exponential", "arsenal", "called", called_exponential),
    };
    size_t n = 0;
    while (table[n].id) n++;
    for (unsigned i = 0; i < ars__rng_kernels_count && i < KERNELS_MAX; i++) {
        const ars__rng_kernel *kernel = &ars__rng_kernels[i];
        if (kernel->needs & ~ars_cpu_features()) continue;
        masks[i] = kernel->needs;
        snprintf(names[i], sizeof names[i], "arsenal:%s", kernel->name);
        table[n++] = (struct bench)FILL_ROW(names[i], fill, &masks[i]);
    }
    table[n++] = (struct bench)FILL_ROW("arsenal:next", fill_words, NULL);
    table[n++] = (struct bench)FILL_ROW("limit:memset", fill_memset, NULL);
    return bench_main(argc, argv, table, n);
}
