/* SPDX-License-Identifier: MIT */
#ifndef ARS_NUM_RNG_BYTES_H
#define ARS_NUM_RNG_BYTES_H

/* Words as 8 bytes, the lowest first, on every machine. */

#include <stdint.h>
#include <string.h>

static inline uint64_t ars__rng_little_endian(uint64_t x)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

static inline void ars__rng_put(unsigned char *to, uint64_t x)
{
    x = ars__rng_little_endian(x);
    memcpy(to, &x, sizeof x);
}

static inline uint64_t ars__rng_get(const unsigned char *from)
{
    uint64_t x;
    memcpy(&x, from, sizeof x);
    return ars__rng_little_endian(x);
}

#endif
