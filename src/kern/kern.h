/* SPDX-License-Identifier: MIT */
#ifndef ARS_KERN_KERN_H
#define ARS_KERN_KERN_H

/* The variants of <arsenal/kern.h>: tables as cpu/kernel.h has them. */

#include <stddef.h>
#include <stdint.h>

/* So much at most may be asked of a variant at once: its sums then cannot overflow. */
enum { ARS__INET_MAX = 1 << 30 };

/* The sum of the words as this machine reads them; only a last odd byte is padded. */
typedef struct ars__inet_kernel {
    const char *name;
    uint64_t needs; /* ARS_CPU_... */
    uint16_t (*sum)(const unsigned char *at, size_t n);
} ars__inet_kernel;

/* The best first; the last one is scalar and needs nothing. */
extern const ars__inet_kernel ars__inet_kernels[];
extern const unsigned ars__inet_kernels_count;

/* The bits that are 1. */
typedef struct ars__popcount_kernel {
    const char *name;
    uint64_t needs;
    uint64_t (*count)(const unsigned char *at, size_t n);
} ars__popcount_kernel;

extern const ars__popcount_kernel ars__popcount_kernels[];
extern const unsigned ars__popcount_kernels_count;

/* The offset of the first byte that is in the set, or n. */
typedef struct ars__find_kernel {
    const char *name;
    uint64_t needs;
    size_t (*find)(const unsigned char *bits, const unsigned char *at, size_t n);
} ars__find_kernel;

extern const ars__find_kernel ars__find_kernels[];
extern const unsigned ars__find_kernels_count;

#endif
