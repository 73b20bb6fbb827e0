/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/kern.h> and kern/kern.h. */
#include <arsenal/cpu.h>
#include <arsenal/kern.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "cpu/kernel.h"
#include "kern/kern.h"

/* From here on a variant pays for being looked up. */
enum { MANY_BYTES = 64 };

static inline int has(const unsigned char *bits, unsigned char c)
{
    return bits[c % 16 + 16 * (c >> 7)] >> (c >> 4) % 8 & 1;
}

static inline size_t find_scalar(const unsigned char *bits, const unsigned char *at, size_t n)
{
    size_t i = 0;
    while (i < n && !has(bits, at[i])) i++;
    return i;
}

/*
 * The halves of the set are the tables of a shuffle, which gives 0 for an index
 * of 128 and more: one takes the bytes below that, the other one the rest.
 */
#if defined(__x86_64__)
#define BIT_OF_HIGH 1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128

__attribute__((target("avx2"))) static size_t find_avx2(const unsigned char *bits,
                                                        const unsigned char *at, size_t n)
{
    const __m256i below = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)bits));
    const __m256i above = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(bits + 16)));
    const __m256i bit_of = _mm256_setr_epi8(BIT_OF_HIGH, BIT_OF_HIGH);
    const __m256i top = _mm256_set1_epi8(-128), low = _mm256_set1_epi8(15);
    size_t i = 0;
    uint32_t in = 0;
    for (; n - i >= sizeof top; i += sizeof top) {
        __m256i x = _mm256_loadu_si256((const void *)(at + i));
        __m256i row = _mm256_or_si256(_mm256_shuffle_epi8(below, x),
                                      _mm256_shuffle_epi8(above, _mm256_xor_si256(x, top)));
        __m256i bit = _mm256_shuffle_epi8(bit_of, _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
        __m256i out = _mm256_cmpeq_epi8(_mm256_and_si256(row, bit), _mm256_setzero_si256());
        in = ~(uint32_t)_mm256_movemask_epi8(out);
        if (in) break;
    }
    _mm256_zeroupper();
    return in ? i + (size_t)__builtin_ctz(in) : i + find_scalar(bits, at + i, n - i);
}

__attribute__((target("ssse3"))) static size_t find_ssse3(const unsigned char *bits,
                                                          const unsigned char *at, size_t n)
{
    const __m128i below = _mm_loadu_si128((const void *)bits);
    const __m128i above = _mm_loadu_si128((const void *)(bits + 16));
    const __m128i bit_of = _mm_setr_epi8(BIT_OF_HIGH);
    const __m128i top = _mm_set1_epi8(-128), low = _mm_set1_epi8(15);
    size_t i = 0;
    for (; n - i >= sizeof top; i += sizeof top) {
        __m128i x = _mm_loadu_si128((const void *)(at + i));
        __m128i row = _mm_or_si128(_mm_shuffle_epi8(below, x),
                                   _mm_shuffle_epi8(above, _mm_xor_si128(x, top)));
        __m128i bit = _mm_shuffle_epi8(bit_of, _mm_and_si128(_mm_srli_epi16(x, 4), low));
        __m128i out = _mm_cmpeq_epi8(_mm_and_si128(row, bit), _mm_setzero_si128());
        uint32_t in = 0xffff & ~(uint32_t)_mm_movemask_epi8(out);
        if (in) return i + (size_t)__builtin_ctz(in);
    }
    return i + find_scalar(bits, at + i, n - i);
}
#elif defined(__aarch64__)
static size_t find_neon(const unsigned char *bits, const unsigned char *at, size_t n)
{
    static const unsigned char bit_of_high[] = {1, 2, 4, 8, 16, 32, 64, 128,
                                                1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t below = vld1q_u8(bits), above = vld1q_u8(bits + 16);
    const uint8x16_t bit_of = vld1q_u8(bit_of_high), low = vdupq_n_u8(0x8f), top = vdupq_n_u8(128);
    size_t i = 0;
    for (; n - i >= sizeof low; i += sizeof low) {
        uint8x16_t x = vld1q_u8(at + i), y = vandq_u8(x, low);
        uint8x16_t row = vorrq_u8(vqtbl1q_u8(below, y), vqtbl1q_u8(above, veorq_u8(y, top)));
        uint8x16_t in = vtstq_u8(row, vqtbl1q_u8(bit_of, vshrq_n_u8(x, 4)));
        if (vmaxvq_u8(in)) break;
    }
    return i + find_scalar(bits, at + i, n - i);
}
#endif

const ars__find_kernel ars__find_kernels[] = {
#if defined(__x86_64__)
    {"avx2", ARS_CPU_AVX2, find_avx2},
    {"ssse3", ARS_CPU_SSSE3, find_ssse3},
#elif defined(__aarch64__)
    {"neon", ARS_CPU_NEON, find_neon},
#endif
    {"scalar", 0, find_scalar},
};
const unsigned ars__find_kernels_count = sizeof ars__find_kernels / sizeof *ars__find_kernels;

void ars_byteset_add(ars_byteset *set, unsigned char byte)
{
    set->bits[byte % 16 + 16 * (byte >> 7)] |= (unsigned char)(1 << (byte >> 4) % 8);
}

int ars_byteset_has(const ars_byteset *set, unsigned char byte)
{
    return has(set->bits, byte);
}

void ars_byteset_invert(ars_byteset *set)
{
    for (size_t i = 0; i < sizeof set->bits; i++) set->bits[i] = (unsigned char)~set->bits[i];
}

size_t ars_byteset_find(const ars_byteset *set, const void *buf, size_t n)
{
    if (n < MANY_BYTES) return find_scalar(set->bits, buf, n);
    return ARS__KERNEL(ars__find_kernels)->find(set->bits, buf, n);
}
