/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/rng.h>; the exported twins of its inline functions too. */
#include <arsenal/base.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/rng.h>

#include "num/rng_bytes.h"
#include "os/os.h"

void ars_pcg32_seed(ars_pcg32 *g, uint64_t seed, uint64_t stream)
{
    g->increment = stream << 1 | 1;
    g->state = g->increment + seed;
    ars_pcg32_next(g);
}

/*
 * A step is x -> a x + c.  Doing it 2^i times is one of the same form, and
 * squaring gives that for i + 1; those of the bits of 'steps' are composed.
 * (F. Brown, "Random number generation with arbitrary stride", 1994.)
 */
void ars_pcg32_advance(ars_pcg32 *g, uint64_t steps)
{
    uint64_t a = UINT64_C(6364136223846793005), c = g->increment;
    for (; steps; steps >>= 1) {
        if (steps & 1) g->state = a * g->state + c;
        c *= a + 1;
        a *= a;
    }
}

/* Numbers of 128 bits, for compilers that have none. */
typedef struct wide {
    uint64_t high, low;
} wide;

static wide add(wide a, wide b)
{
    wide sum = {a.high + b.high, a.low + b.low};
    sum.high += sum.low < a.low;
    return sum;
}

static wide multiply(wide a, wide b)
{
    wide product;
    product.high = ars__rng_multiply(a.low, b.low, &product.low);
    product.high += a.high * b.low + a.low * b.high;
    return product;
}

void ars_pcg64_seed(ars_pcg64 *g, uint64_t seed_high, uint64_t seed_low, uint64_t stream_high,
                    uint64_t stream_low)
{
    g->increment_high = stream_high << 1 | stream_low >> 63;
    g->increment_low = stream_low << 1 | 1;
    wide state = add((wide){g->increment_high, g->increment_low}, (wide){seed_high, seed_low});
    g->high = state.high;
    g->low = state.low;
    ars_pcg64_next(g);
}

void ars_pcg64_advance(ars_pcg64 *g, uint64_t steps_high, uint64_t steps_low)
{
    wide a = {0, UINT64_C(0xda942042e4dd58b5)}, c = {g->increment_high, g->increment_low};
    wide state = {g->high, g->low};
    while (steps_high | steps_low) {
        if (steps_low & 1) state = add(multiply(a, state), c);
        c = multiply(c, add(a, (wide){0, 1}));
        a = multiply(a, a);
        steps_low = steps_low >> 1 | steps_high << 63;
        steps_high >>= 1;
    }
    g->high = state.high;
    g->low = state.low;
}

void ars_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53 * x0, p1 = (uint64_t)0xcd9e8d57 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

/*
 * The step is linear over GF(2), so a power of it is a polynomial in it (that
 * power modulo the step's characteristic polynomial), and the state after so
 * many steps the sum of the states after 0 to 255 steps with its coefficients.
 */
static void jump(ars_xoshiro256 *g, const uint64_t polynomial[4])
{
    ars_xoshiro256 sum = {{0, 0, 0, 0}};
    for (int bit = 0; bit < 256; bit++) {
        if (polynomial[bit / 64] >> bit % 64 & 1)
            for (int i = 0; i < 4; i++) sum.s[i] ^= g->s[i];
        ars__xoshiro256_step(g);
    }
    *g = sum;
}

void ars_xoshiro256_jump(ars_xoshiro256 *g)
{
    static const uint64_t by_2_128[4] = {UINT64_C(0x180ec6d33cfd0aba), UINT64_C(0xd5a61266f0c9392c),
                                         UINT64_C(0xa9582618e03fc9aa),
                                         UINT64_C(0x39abdc4529b1661c)};
    jump(g, by_2_128);
}

void ars_xoshiro256_long_jump(ars_xoshiro256 *g)
{
    static const uint64_t by_2_192[4] = {UINT64_C(0x76e15d3efefdcbbf), UINT64_C(0xc5004e441c522fb3),
                                         UINT64_C(0x77710069854ee241),
                                         UINT64_C(0x39109bb02acbe635)};
    jump(g, by_2_192);
}

int ars_entropy(void *buf, size_t n)
{
    unsigned char *to = buf;
    while (n > 0) {
        int64_t got = ars__os_random(to, n);
        if (got == ARS_EINTR) continue;
        if (got < 0) return (int)got;
        if (got == 0) return ARS_EIO;
        to += got;
        n -= (size_t)got;
    }
    return 0;
}

void ars_rng_seed(ars_rng *rng, uint64_t seed)
{
    ars_splitmix64 words = {seed};
    for (int i = 0; i < 4; i++) rng->s[i] = ars_splitmix64_next(&words);
}

int ars_rng_seed_os(ars_rng *rng)
{
    ars_rng fresh;
    int rc = ars_entropy(&fresh, sizeof fresh);
    if (rc < 0) return rc;
    /* No state is all zero; from the system it comes once in 2^256 times. */
    if (!(fresh.s[0] | fresh.s[1] | fresh.s[2] | fresh.s[3])) fresh.s[0] = 1;
    *rng = fresh;
    return 0;
}

void ars_rng_save(const ars_rng *rng, unsigned char out[32])
{
    for (int i = 0; i < 4; i++) ars__rng_put(out + 8 * i, rng->s[i]);
}

int ars_rng_restore(ars_rng *rng, const unsigned char in[32])
{
    ars_rng saved;
    for (int i = 0; i < 4; i++) saved.s[i] = ars__rng_get(in + 8 * i);
    if (!(saved.s[0] | saved.s[1] | saved.s[2] | saved.s[3])) return ARS_EINVAL;
    *rng = saved;
    return 0;
}
