/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_RNG_H
#define ARSENAL_RNG_H

/*
 * Random numbers: one generator to take without thinking, with everything
 * that is drawn from it, and the well-known others bare.
 *
 *     ars_rng rng;
 *     ars_rng_seed(&rng, 42);           // the same numbers each time; or
 *     ars_rng_seed_os(&rng);            // others each time; check the result
 *     uint64_t die = 1 + ars_rng_below(&rng, 6);
 *     double height = 178 + 7 * ars_rng_normal(&rng);
 *
 * An ars_rng is xoshiro256++.  The same seed gives the same numbers on every
 * machine.  None of these generators is for secrets: from a few outputs the
 * others can be told.  For keys there is ars_entropy().
 *
 * A generator is a small struct that the caller owns and may copy; it belongs
 * to one task at a time.  There is no global one.  Several that do not overlap
 * come from one by ars_xoshiro256_jump(), or from one key by ars_philox4x32().
 *
 * Each is equal, bit for bit, to its author's code: SplitMix64, xoshiro256 and
 * its jumps to the C of prng.di.unimi.it; PCG32 to pcg_basic's pcg32, PCG64 to
 * pcg-cpp's cm_setseq_dxsm_128_64 (numpy's PCG64DXSM); wyrand to that of
 * wyhash's final version 4; Philox to Random123's philox4x32 of 10 rounds.
 */

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/* The high half of a * b, and the low one. */
ARS_INLINE uint64_t ars__rng_multiply(uint64_t a, uint64_t b, uint64_t *low)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)middle;
    *low = a * b;
    return a1 * b1 + (middle >> 32) + (other >> 32);
#endif
}

/* 'left' is 1 to 63. */
ARS_INLINE uint64_t ars__rng_rotate(uint64_t x, int left)
{
    return (x << left) | (x >> (64 - left));
}

/* ---- SplitMix64: one word; any seed will do, so it seeds others ---- */

typedef struct ars_splitmix64 {
    uint64_t state; /* the seed */
} ars_splitmix64;

/*
 * ars_splitmix64_next() gives the next 64 bits; each value comes once in 2^64.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint64_t ars_splitmix64_next(ars_splitmix64 *g)
{
    uint64_t x = g->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* ---- wyrand: one word and one multiplication ---- */

typedef struct ars_wyrand {
    uint64_t state; /* the seed */
} ars_wyrand;

/*
 * ars_wyrand_next() gives the next 64 bits.  The period is 2^64; not all values
 * come.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint64_t ars_wyrand_next(ars_wyrand *g)
{
    uint64_t low;
    uint64_t x = g->state += UINT64_C(0x2d358dccaa6c78a5);
    uint64_t high = ars__rng_multiply(x, x ^ UINT64_C(0x8bb84b93962eacc9), &low);
    return high ^ low;
}

/* ---- PCG32: XSH-RR over 64 bits; 2^63 streams ---- */

typedef struct ars_pcg32 {
    uint64_t state;
    uint64_t increment; /* odd; tells the stream */
} ars_pcg32;

/*
 * ars_pcg32_next() gives the next 32 bits.  The period is 2^64.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint32_t ars_pcg32_next(ars_pcg32 *g)
{
    uint64_t old = g->state;
    uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), right = (uint32_t)(old >> 59);
    g->state = old * UINT64_C(6364136223846793005) + g->increment;
    return (x >> right) | (x << (-right & 31));
}

/*
 * ars_pcg32_seed() begins at 'seed' in one of 2^63 streams, the low 63 bits of
 * 'stream'.  ars_pcg32_advance() does what 'steps' calls of next would do, in
 * 64 steps at most; -n, as an unsigned number, goes back by n.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_pcg32_seed(ars_pcg32 *g, uint64_t seed, uint64_t stream);
ARS_API void ars_pcg32_advance(ars_pcg32 *g, uint64_t steps);

/* ---- PCG64-DXSM: 128 bits of state; 2^127 streams ---- */

typedef struct ars_pcg64 {
    uint64_t high, low;
    uint64_t increment_high, increment_low; /* odd; tells the stream */
} ars_pcg64;

/*
 * ars_pcg64_next() gives the next 64 bits.  The period is 2^128.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint64_t ars_pcg64_next(ars_pcg64 *g)
{
    const uint64_t multiplier = UINT64_C(0xda942042e4dd58b5);
    uint64_t out = g->high, old = g->low, low;
    uint64_t high = ars__rng_multiply(old, multiplier, &low) + out * multiplier;
    g->low = low + g->increment_low;
    g->high = high + g->increment_high + (g->low < low);
    out = (out ^ (out >> 32)) * multiplier;
    return (out ^ (out >> 48)) * (old | 1);
}

/*
 * ars_pcg64_seed() and ars_pcg64_advance() are as those of PCG32; numbers of
 * 128 bits are given as their high and low halves, the stream's highest bit is
 * ignored.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_pcg64_seed(ars_pcg64 *g, uint64_t seed_high, uint64_t seed_low,
                            uint64_t stream_high, uint64_t stream_low);
ARS_API void ars_pcg64_advance(ars_pcg64 *g, uint64_t steps_high, uint64_t steps_low);

/* ---- Philox4x32-10: no state; number n of stream k in constant time ---- */

/*
 * ars_philox4x32() gives the 128 random bits that belong to 'counter' under
 * 'key'.  Different counters or keys give independent numbers, so that tasks
 * share a stream by dividing the counters among them.  'out' may be 'counter'.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* ---- xoshiro256: four words; must not be all zero ---- */

typedef struct ars_xoshiro256 {
    uint64_t s[4];
} ars_xoshiro256;

ARS_INLINE void ars__xoshiro256_step(ars_xoshiro256 *g)
{
    uint64_t t = g->s[1] << 17;
    g->s[2] ^= g->s[0];
    g->s[3] ^= g->s[1];
    g->s[1] ^= g->s[2];
    g->s[0] ^= g->s[3];
    g->s[2] ^= t;
    g->s[3] = ars__rng_rotate(g->s[3], 45);
}

/*
 * They give the next 64 bits, each by its own output function.  ++ and ** are
 * good in all bits; + is a little faster, but its lowest bits are weak: take it
 * for floating-point numbers.  The period is 2^256 - 1.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint64_t ars_xoshiro256_plus(ars_xoshiro256 *g)
{
    uint64_t out = g->s[0] + g->s[3];
    ars__xoshiro256_step(g);
    return out;
}

ARS_INLINE uint64_t ars_xoshiro256_plusplus(ars_xoshiro256 *g)
{
    uint64_t out = ars__rng_rotate(g->s[0] + g->s[3], 23) + g->s[0];
    ars__xoshiro256_step(g);
    return out;
}

ARS_INLINE uint64_t ars_xoshiro256_starstar(ars_xoshiro256 *g)
{
    uint64_t out = ars__rng_rotate(g->s[1] * 5, 7) * 9;
    ars__xoshiro256_step(g);
    return out;
}

/*
 * ars_xoshiro256_jump() goes on by 2^128 steps, ars_xoshiro256_long_jump() by
 * 2^192.  A copy taken before each jump is a generator of its own: the former
 * gives 2^128 of these, the latter 2^64 whose copies can jump themselves.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_xoshiro256_jump(ars_xoshiro256 *g);
ARS_API void ars_xoshiro256_long_jump(ars_xoshiro256 *g);

/* ---- the default generator ---- */

typedef ars_xoshiro256 ars_rng;

/*
 * ars_entropy() fills 'n' bytes at 'buf' with the operating system's random
 * numbers, which are good for secrets.  It may wait soon after the machine's
 * start, until there are such.
 *
 * Returns 0; ARS_ENOSYS, or another error of the system, and then 'buf' must
 * not be used.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ARS_MUST_USE int ars_entropy(void *buf, size_t n);

/*
 * ars_rng_seed() sets the whole state by SplitMix64 from 'seed', any number.
 * ars_rng_seed_os() sets it by ars_entropy().
 *
 * The latter returns 0, or the error of ars_entropy(), and then '*rng' is as it
 * was.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_rng_seed(ars_rng *rng, uint64_t seed);
ARS_API ARS_MUST_USE int ars_rng_seed_os(ars_rng *rng);

/*
 * ars_rng_save() writes the state as 32 bytes that are the same on every
 * machine, and ars_rng_restore() takes it from there.
 *
 * The latter returns 0; ARS_EINVAL if the bytes are all zero, which is no
 * state, and then '*rng' is as it was.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_rng_save(const ars_rng *rng, unsigned char out[32]);
ARS_API ARS_MUST_USE int ars_rng_restore(ars_rng *rng, const unsigned char in[32]);

/*
 * ars_rng_next() gives 64 random bits.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint64_t ars_rng_next(ars_rng *rng)
{
    return ars_xoshiro256_plusplus(rng);
}

/*
 * ars_rng_below() gives one of 0 to bound - 1, each as likely as the others
 * (Lemire's method: no division mostly); 0 if 'bound' is 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE uint64_t ars_rng_below(ars_rng *rng, uint64_t bound)
{
    uint64_t low, high = ars__rng_multiply(ars_rng_next(rng), bound, &low);
    if (low < bound) {
        /* Of the 2^64 words those are refused that would make some values likelier. */
        uint64_t least = (UINT64_C(0) - bound) % bound;
        while (low < least) high = ars__rng_multiply(ars_rng_next(rng), bound, &low);
    }
    return high;
}

/*
 * ars_rng_between() gives one of 'least' to 'most', both among them, each as
 * likely as the others; 'least' if 'most' is not greater.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int64_t ars_rng_between(ars_rng *rng, int64_t least, int64_t most)
{
    uint64_t span = (uint64_t)most - (uint64_t)least;
    if (most <= least) return least;
    if (span == UINT64_MAX) return (int64_t)ars_rng_next(rng);
    return (int64_t)((uint64_t)least + ars_rng_below(rng, span + 1));
}

/*
 * ars_rng_double() gives one of the 2^53 multiples of 2^-53 in [0, 1), each as
 * likely as the others; ars_rng_double_above() one in (0, 1], for logarithms
 * and divisors.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE double ars_rng_double(ars_rng *rng)
{
    return (double)(int64_t)(ars_rng_next(rng) >> 11) * (1.0 / 9007199254740992.0);
}

ARS_INLINE double ars_rng_double_above(ars_rng *rng)
{
    return (double)(int64_t)((ars_rng_next(rng) >> 11) + 1) * (1.0 / 9007199254740992.0);
}

/*
 * ars_rng_normal() gives a number of the normal distribution with mean 0 and
 * standard deviation 1, ars_rng_exponential() one of the exponential
 * distribution with mean 1, by the ziggurat method.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API double ars_rng_normal(ars_rng *rng);
ARS_API double ars_rng_exponential(ars_rng *rng);

/*
 * ars_rng_fill() writes 'n' random bytes to 'buf', many at a time with the
 * vector instructions that the CPU has.  Fewer than 1024 are those of
 * ars_rng_next(), the lowest first.  More are those of eight generators whose
 * states '*rng' draws, word by word in turn.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_rng_fill(ars_rng *rng, void *buf, size_t n);

/*
 * ars_rng_shuffle() puts the 'n' values of 'size' bytes at 'values' in an order
 * that is as likely as any other.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_rng_shuffle(ars_rng *rng, void *values, size_t n, size_t size);

/*
 * ars_rng_sample() chooses 'k' different numbers below 'n', every set as likely
 * as any other, and stores them in 'out' in ascending order, in a time of about
 * k log k.
 *
 * Returns 0; ARS_EINVAL if k > n, and then 'out' is as it was.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_rng_sample(ars_rng *rng, uint64_t *out, size_t k, uint64_t n);

/*
 * ars_rng_reservoir() chooses 'k' values of a sequence whose length is not
 * known: called for each with the number 'seen' of those that came before, it
 * gives the place in the k kept ones where this one goes, or 'k' if it is not
 * kept.  At any time each value that came has been kept with the same chance.
 *
 *     size_t at = ars_rng_reservoir(&rng, 10, seen++);
 *     if (at < 10) kept[at] = value;
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE size_t ars_rng_reservoir(ars_rng *rng, size_t k, uint64_t seen)
{
    uint64_t at = seen < k ? seen : ars_rng_below(rng, seen + 1);
    return at < k ? (size_t)at : k;
}

ARS_END_DECLS

#endif
