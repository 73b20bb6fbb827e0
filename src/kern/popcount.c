/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/kern.h> and kern/kern.h. */
#include "kern/kern.h"

#include <arsenal/cpu.h>
#include <arsenal/kern.h>

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "cpu/kernel.h"

/* From here on a variant pays for being looked up. */
enum { MANY_BYTES = 64 };

/* Without the CPU's instruction, which gcc would replace by calls. */
static inline uint64_t bits_of(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return x * UINT64_C(0x0101010101010101) >> 56;
}

static inline uint64_t count_scalar(const unsigned char *at, size_t n)
{
    uint64_t bits = 0, word;
    for (; n >= sizeof word; n -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        bits += bits_of(word);
    }
    for (word = 0; n; n--) word = word << 8 | *at++;
    return bits + bits_of(word);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vpopcntdq"))) static uint64_t
count_avx512(const unsigned char *at, size_t n)
{
    __m512i sum = _mm512_setzero_si512();
    for (; n >= sizeof sum; n -= sizeof sum, at += sizeof sum)
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_loadu_si512(at)));
    uint64_t bits = (uint64_t)_mm512_reduce_add_epi64(sum);
    _mm256_zeroupper();
    return bits + count_scalar(at, n);
}

__attribute__((target("avx2"))) static uint64_t count_avx2(const unsigned char *at, size_t n)
{
    const __m256i of_nibble = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1,
                                               1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
    __m256i sum = zero;
    for (; n >= sizeof sum; n -= sizeof sum, at += sizeof sum) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)at);
        __m256i a = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(x, low));
        __m256i b = _mm256_shuffle_epi8(of_nibble, _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_add_epi8(a, b), zero));
    }
    uint64_t lanes[4];
    memcpy(lanes, &sum, sizeof lanes);
    _mm256_zeroupper();
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + count_scalar(at, n);
}

__attribute__((target("popcnt"))) static uint64_t count_popcnt(const unsigned char *at, size_t n)
{
    uint64_t a = 0, b = 0, x[2];
    for (; n >= sizeof x; n -= sizeof x, at += sizeof x) {
        memcpy(x, at, sizeof x);
        a += (uint64_t)__builtin_popcountll(x[0]);
        b += (uint64_t)__builtin_popcountll(x[1]);
    }
    return a + b + count_scalar(at, n);
}
#elif defined(__aarch64__)
static uint64_t count_neon(const unsigned char *at, size_t n)
{
    uint64x2_t sum = vdupq_n_u64(0);
    for (; n >= sizeof sum; n -= sizeof sum, at += sizeof sum)
        sum = vpadalq_u32(sum, vpaddlq_u16(vpaddlq_u8(vcntq_u8(vld1q_u8(at)))));
    return vaddvq_u64(sum) + count_scalar(at, n);
}
#endif

const ars__popcount_kernel ars__popcount_kernels[] = {
#if defined(__x86_64__)
    {"avx512vpopcntdq", ARS_CPU_AVX512F | ARS_CPU_AVX512VPOPCNT, count_avx512},
    {"avx2", ARS_CPU_AVX2, count_avx2},
    {"popcnt", ARS_CPU_POPCNT, count_popcnt},
#elif defined(__aarch64__)
    {"neon", ARS_CPU_NEON, count_neon},
#endif
    {"scalar", 0, count_scalar},
};
const unsigned ars__popcount_kernels_count =
    sizeof ars__popcount_kernels / sizeof *ars__popcount_kernels;

uint64_t ars_popcount(const void *buf, size_t n)
{
    if (n < MANY_BYTES) return count_scalar(buf, n);
    return ARS__KERNEL(ars__popcount_kernels)->count(buf, n);
}
