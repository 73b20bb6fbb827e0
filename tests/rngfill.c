/* SPDX-License-Identifier: MIT */
/* ars_rng_fill(): every kernel gives what the scalar one gives, and touches nothing else. */
#include "kernels.h"

#include "num/rng_fill.h"

static void set_lanes(ars__rng_lanes lanes, uint64_t seed)
{
    ars_splitmix64 words = {seed};
    for (int i = 0; i < 4; i++)
        for (int lane = 0; lane < ARS__RNG_LANES; lane++)
            lanes[i][lane] = ars_splitmix64_next(&words);
}

static void run(const ars__rng_kernel *kernel, const ars__rng_kernel *scalar, unsigned char *a,
                unsigned char *b)
{
    ars__rng_lanes x, y;
    /* At the end of the room, then at its beginning and at odd addresses. */
    for (size_t blocks = 0; blocks <= ROOM / ARS__RNG_BLOCK; blocks += 1 + blocks / 5) {
        size_t n = blocks * ARS__RNG_BLOCK, odd = blocks % 7 * (n < ROOM - 7);
        set_lanes(x, blocks);
        set_lanes(y, blocks);
        memset(b, 0x5a, ROOM);
        scalar->fill(x, a, blocks);
        kernel->fill(y, b + ROOM - n, blocks);
        CHECK_EQ(upper_halves(), 0);
        CHECK(memcmp(a, b + ROOM - n, n) == 0);
        CHECK(memcmp(x, y, sizeof x) == 0);
        for (size_t i = 0; i < ROOM - n; i++) CHECK(b[i] == 0x5a);
        set_lanes(y, blocks);
        memset(b, 0x5a, ROOM);
        kernel->fill(y, b + odd, blocks);
        CHECK(memcmp(a, b + odd, n) == 0);
        for (size_t i = 0; i < odd; i++) CHECK(b[i] == 0x5a);
        for (size_t i = odd + n; i < ROOM; i++) CHECK(b[i] == 0x5a);
    }
}

static void kernels(void)
{
    unsigned char *a = guarded(), *b = guarded();
    const ars__rng_kernel *scalar = &ars__rng_kernels[ars__rng_kernels_count - 1];
    CHECK_EQ(scalar->needs, 0);
    for (unsigned i = 0; i < ars__rng_kernels_count; i++) {
        const ars__rng_kernel *kernel = &ars__rng_kernels[i];
        if (runs_here(kernel->name, kernel->needs)) run(kernel, scalar, a, b);
    }
    unguard(a);
    unguard(b);
}

/* As the header says it. */
static void specified(ars_rng *rng, unsigned char *out, size_t n)
{
    ars_xoshiro256 lanes[8];
    if (n >= 1024)
        for (int lane = 0; lane < 8; lane++)
            for (int i = 0; i < 4; i++) {
                ars_splitmix64 mix = {ars_rng_next(rng)};
                lanes[lane].s[i] = ars_splitmix64_next(&mix);
            }
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            word = n < 1024 ? ars_rng_next(rng) : ars_xoshiro256_plusplus(&lanes[i / 8 % 8]);
        out[i] = (unsigned char)(word >> i % 8 * 8);
    }
}

static void fills(uint64_t allowed)
{
    unsigned char *a = guarded(), *b = guarded();
    uint64_t before = ars_cpu_mask(allowed);
    for (size_t n = 0; n <= ROOM; n += n < 1000 ? 1 + n / 64 : n < 1100 ? 1 : 1 + n / 9) {
        ars_rng x, y;
        ars_rng_seed(&x, n);
        y = x;
        memset(b, 0x5a, ROOM);
        specified(&x, a, n);
        ars_rng_fill(&y, b + ROOM - n, n);
        CHECK(memcmp(a, b + ROOM - n, n) == 0);
        for (size_t i = 0; i < ROOM - n; i++) CHECK(b[i] == 0x5a);
        CHECK(memcmp(&x, &y, sizeof x) == 0);
        ars_rng_seed(&y, n);
        ars_rng_fill(&y, b, n);
        CHECK(memcmp(a, b, n) == 0);
    }
    ars_cpu_mask(before);
    unguard(a);
    unguard(b);
}

static void as_specified(void)
{
    fills(UINT64_MAX);
    fills(~(uint64_t)ARS_CPU_AVX512F);
    fills(0);
}

/* The same numbers on every machine: a sum that was taken on one. */
static void golden(void)
{
    static unsigned char bytes[5003];
    ars_rng rng;
    uint64_t sum = UINT64_C(14695981039346656037);
    ars_rng_seed(&rng, 2024);
    ars_rng_fill(&rng, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    if (sum != UINT64_C(0x70ea88263bfba801)) FAIL("the sum is %#llx", (unsigned long long)sum);
}

static const test_case cases[] = {
    {"kernels", kernels},
    {"as_specified", as_specified},
    {"golden", golden},
};
TEST_MAIN(cases)
