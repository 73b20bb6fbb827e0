/* SPDX-License-Identifier: MIT */
#ifndef ARS_NUM_RNG_FILL_H
#define ARS_NUM_RNG_FILL_H

/*
 * The kernels of ars_rng_fill().  Eight generators, xoshiro256++ all of them,
 * run side by side; a block is the next word of each, 64 bytes, the lowest byte
 * of a word first.
 *
 * The scalar kernel is the specification.  The others are one template,
 * rng_fill_lanes.h, for each set of vector instructions.
 */

#include <stddef.h>
#include <stdint.h>

enum { ARS__RNG_LANES = 8, ARS__RNG_BLOCK = 64 };

/* state[i][lane] is the word s[i] of that lane's generator. */
typedef uint64_t ars__rng_lanes[4][ARS__RNG_LANES];

/* Writes 'blocks' blocks to 'out', at any address, and leaves the lanes that many steps further. */
typedef void ars__rng_fill_fn(ars__rng_lanes state, unsigned char *out, size_t blocks);

typedef struct ars__rng_kernel {
    const char *name;
    uint64_t needs; /* ARS_CPU_... */
    ars__rng_fill_fn *fill;
} ars__rng_kernel;

/* The best first; the last one is scalar and needs nothing. */
extern const ars__rng_kernel ars__rng_kernels[];
extern const unsigned ars__rng_kernels_count;

#endif
