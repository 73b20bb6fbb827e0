/* SPDX-License-Identifier: MIT */
#ifndef ARS_BASE_BITS_H
#define ARS_BASE_BITS_H

/* Bits of 64-bit words.  What the builtins leave undefined for 0 is defined here. */

#include <stddef.h>
#include <stdint.h>

/* Index of the lowest bit that is set; 64 for 0. */
static inline unsigned ars__ctz64(uint64_t x)
{
    return x ? (unsigned)__builtin_ctzll(x) : 64;
}

/* Zeros above the highest bit that is set; 64 for 0. */
static inline unsigned ars__clz64(uint64_t x)
{
    return x ? (unsigned)__builtin_clzll(x) : 64;
}

static inline int ars__is_pow2(uint64_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

/* The smallest power of two >= x; 1 for 0; 0 when it would not fit. */
static inline uint64_t ars__pow2_ceil(uint64_t x)
{
    if (x <= 1) return 1;
    unsigned bits = 64 - ars__clz64(x - 1);
    return bits == 64 ? 0 : UINT64_C(1) << bits;
}

/* 'x' rounded to a multiple of 'align', a power of two; up must not overflow. */
static inline size_t ars__align_up(size_t x, size_t align)
{
    return (x + align - 1) & ~(align - 1);
}

static inline size_t ars__align_down(size_t x, size_t align)
{
    return x & ~(align - 1);
}

#endif
