/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/kern.h> and kern/kern.h. */
#include "kern/kern.h"

#include <arsenal/cpu.h>
#include <arsenal/kern.h>

#include <string.h>

#include "cpu/kernel.h"

/* From here on a variant pays for being looked up. */
enum { MANY_BYTES = 64 };

/* 2^16 is 1 in one's complement; what is not 0 does not become 0. */
static uint16_t fold(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)((sum & UINT16_MAX) + (sum >> 16));
}

static inline uint16_t sum_scalar(const unsigned char *at, size_t n)
{
    uint64_t sum = 0;
    for (; n >= sizeof(uint32_t); n -= sizeof(uint32_t), at += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, at, sizeof word);
        sum += word;
    }
    if (n) {
        unsigned char rest[sizeof(uint32_t)] = {0};
        uint32_t word;
        for (size_t i = 0; i < n; i++) rest[i] = at[i];
        memcpy(&word, rest, sizeof word);
        sum += word;
    }
    return fold(sum);
}

#if defined(__x86_64__)
#define SUM    sum_avx512
#define TARGET __attribute__((target("avx512f")))
#define LANES  8
#define LEAVE  __builtin_ia32_vzeroupper()
#include "kern/inet_lanes.h"
#define SUM    sum_avx2
#define TARGET __attribute__((target("avx2")))
#define LANES  4
#define LEAVE  __builtin_ia32_vzeroupper()
#include "kern/inet_lanes.h"
#define SUM    sum_sse2
#define TARGET __attribute__((target("sse2")))
#define LANES  2
#define LEAVE  (void)0
#include "kern/inet_lanes.h"
#elif defined(__aarch64__)
#define SUM sum_neon
#define TARGET
#define LANES 2
#define LEAVE (void)0
#include "kern/inet_lanes.h"
#endif

const ars__inet_kernel ars__inet_kernels[] = {
#if defined(__x86_64__)
    {"avx512f", ARS_CPU_AVX512F, sum_avx512},
    {"avx2", ARS_CPU_AVX2, sum_avx2},
    {"sse2", ARS_CPU_SSE2, sum_sse2},
#elif defined(__aarch64__)
    {"neon", ARS_CPU_NEON, sum_neon},
#endif
    {"scalar", 0, sum_scalar},
};
const unsigned ars__inet_kernels_count = sizeof ars__inet_kernels / sizeof *ars__inet_kernels;

static uint16_t network_order(uint16_t x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap16(x);
#endif
    return x;
}

uint16_t ars_inet_sum(uint16_t sum, const void *buf, size_t n)
{
    const unsigned char *at = buf;
    if (n < MANY_BYTES) return fold((uint64_t)sum + network_order(sum_scalar(at, n)));
    const ars__inet_kernel *kernel = ARS__KERNEL(ars__inet_kernels);
    for (size_t some; n; n -= some, at += some) {
        some = n < ARS__INET_MAX ? n : ARS__INET_MAX;
        sum = fold((uint64_t)sum + network_order(kernel->sum(at, some)));
    }
    return sum;
}

uint16_t ars_inet_checksum(uint16_t sum, const void *buf, size_t n)
{
    return (uint16_t)~ars_inet_sum(sum, buf, n);
}
