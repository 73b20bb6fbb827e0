/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/rng.h> and num/rng_fill.h. */
#include "num/rng_fill.h"

#include <arsenal/cpu.h>
#include <arsenal/rng.h>

#include "cpu/kernel.h"
#include "num/rng_bytes.h"

/* From here on the eight generators pay for their states. */
enum { MANY_BYTES = 1024 };

/* The scalar lanes take turns over so much, which stays in the first cache. */
enum { SOME_BLOCKS = 64 };

static void fill_scalar(ars__rng_lanes state, unsigned char *out, size_t blocks)
{
    for (size_t some; blocks; blocks -= some, out += some * ARS__RNG_BLOCK) {
        some = blocks < SOME_BLOCKS ? blocks : SOME_BLOCKS;
        for (unsigned lane = 0; lane < ARS__RNG_LANES; lane++) {
            unsigned char *to = out + lane * sizeof(uint64_t);
            ars_xoshiro256 g;
            for (int i = 0; i < 4; i++) g.s[i] = state[i][lane];
            for (size_t i = 0; i < some; i++, to += ARS__RNG_BLOCK)
                ars__rng_put(to, ars_xoshiro256_plusplus(&g));
            for (int i = 0; i < 4; i++) state[i][lane] = g.s[i];
        }
    }
}

/* gcc does so at -O3 only. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

#if defined(__x86_64__)
#define FILL   fill_avx512
#define TARGET __attribute__((target("avx512f")))
#define LANES  8
#define LEAVE  __builtin_ia32_vzeroupper()
#include "num/rng_fill_lanes.h"
#define FILL   fill_avx2
#define TARGET __attribute__((target("avx2")))
#define LANES  4
#define LEAVE  __builtin_ia32_vzeroupper()
#include "num/rng_fill_lanes.h"
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FILL fill_neon
#define TARGET
#define LANES 2
#define LEAVE (void)0
#include "num/rng_fill_lanes.h"
#endif

const ars__rng_kernel ars__rng_kernels[] = {
#if defined(__x86_64__)
    {"avx512f", ARS_CPU_AVX512F, fill_avx512},
    {"avx2", ARS_CPU_AVX2, fill_avx2},
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    {"neon", ARS_CPU_NEON, fill_neon},
#endif
    {"scalar", 0, fill_scalar},
};
const unsigned ars__rng_kernels_count = sizeof ars__rng_kernels / sizeof *ars__rng_kernels;

void ars_rng_fill(ars_rng *rng, void *buf, size_t n)
{
    unsigned char *to = buf, last[ARS__RNG_BLOCK];

    if (n < MANY_BYTES) {
        for (; n >= sizeof(uint64_t); n -= sizeof(uint64_t), to += sizeof(uint64_t))
            ars__rng_put(to, ars_rng_next(rng));
        if (n) ars__rng_put(last, ars_rng_next(rng));
        if (n) memcpy(to, last, n);
        return;
    }
    /* Through SplitMix64, so that no lane's state stands in a linear relation to the generator's. */
    ars__rng_lanes state;
    for (unsigned lane = 0; lane < ARS__RNG_LANES; lane++)
        for (int i = 0; i < 4; i++) {
            ars_splitmix64 mix = {ars_rng_next(rng)};
            state[i][lane] = ars_splitmix64_next(&mix);
        }
    ars__rng_fill_fn *fill = ARS__KERNEL(ars__rng_kernels)->fill;
    size_t blocks = n / ARS__RNG_BLOCK, rest = n % ARS__RNG_BLOCK;
    fill(state, to, blocks);
    if (rest) {
        fill(state, last, 1);
        memcpy(to + blocks * ARS__RNG_BLOCK, last, rest);
    }
}
