/* SPDX-License-Identifier: MIT */
#if defined(__x86_64__)

#include <arsenal/cpu.h>

#include <cpuid.h>

#include "cpu/detect.h"

/* Intel SDM volume 2A, CPUID, and AMD APM volume 3, appendix E. */

typedef struct leaf {
    uint32_t a, b, c, d;
} leaf;

/* All zero if the CPU has no such leaf: beyond the highest one CPUID returns another leaf's data. */
static leaf ask(const ars__x86 *cpu, uint32_t number, uint32_t sub)
{
    uint32_t r[4], first = number & 0x80000000u;
    cpu->cpuid(first, 0, r);
    if (r[0] < number) return (leaf){0, 0, 0, 0};
    cpu->cpuid(number, sub, r);
    return (leaf){r[0], r[1], r[2], r[3]};
}

static void real_cpuid(uint32_t number, uint32_t sub, uint32_t abcd[4])
{
    __cpuid_count(number, sub, abcd[0], abcd[1], abcd[2], abcd[3]);
}

/* The register states that the operating system saves. */
static uint64_t real_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static const ars__x86 real = {real_cpuid, real_xcr0};

static uint64_t when(unsigned reg, unsigned bit, uint64_t feature)
{
    return reg >> bit & 1 ? feature : 0;
}

uint64_t ars__x86_features(const ars__x86 *cpu)
{
    enum { XMM_YMM = 0x06, MASKS_ZMM = 0xe0 };
    const leaf one = ask(cpu, 1, 0), seven = ask(cpu, 7, 0), extended = ask(cpu, 0x80000001u, 0);
    /* Leaf 7 tells its own highest sub-leaf. */
    const leaf seven_one = seven.a >= 1 ? ask(cpu, 7, 1) : (leaf){0, 0, 0, 0};

    uint64_t f = when(one.d, 26, ARS_CPU_SSE2) | when(one.c, 0, ARS_CPU_SSE3) |
                 when(one.c, 9, ARS_CPU_SSSE3) | when(one.c, 19, ARS_CPU_SSE41) |
                 when(one.c, 20, ARS_CPU_SSE42) | when(one.c, 23, ARS_CPU_POPCNT) |
                 when(one.c, 25, ARS_CPU_AES) | when(one.c, 1, ARS_CPU_PCLMUL) |
                 when(one.c, 13, ARS_CPU_CX16) | when(seven.b, 3, ARS_CPU_BMI1) |
                 when(seven.b, 8, ARS_CPU_BMI2) | when(seven.b, 29, ARS_CPU_SHA) |
                 when(seven.c, 8, ARS_CPU_GFNI) | when(extended.c, 5, ARS_CPU_LZCNT) |
                 when(extended.d, 27, ARS_CPU_RDTSCP) |
                 when(ask(cpu, 0x80000007u, 0).d, 8, ARS_CPU_TSC_INVARIANT);

    uint64_t saved = one.c >> 27 & 1 ? cpu->xcr0() : 0;
    if ((saved & XMM_YMM) != XMM_YMM || !(one.c >> 28 & 1)) return f;
    f |= ARS_CPU_AVX | when(one.c, 29, ARS_CPU_F16C) | when(one.c, 12, ARS_CPU_FMA) |
         when(seven.b, 5, ARS_CPU_AVX2) | when(seven.c, 9, ARS_CPU_VAES) |
         when(seven.c, 10, ARS_CPU_VPCLMUL);

    if ((saved & MASKS_ZMM) != MASKS_ZMM || !(seven.b >> 16 & 1)) return f;
    return f | ARS_CPU_AVX512F | when(seven.b, 30, ARS_CPU_AVX512BW) |
           when(seven.b, 17, ARS_CPU_AVX512DQ) | when(seven.b, 31, ARS_CPU_AVX512VL) |
           when(seven.c, 1, ARS_CPU_AVX512VBMI) | when(seven.c, 11, ARS_CPU_AVX512VNNI) |
           when(seven.c, 14, ARS_CPU_AVX512VPOPCNT) | when(seven_one.a, 5, ARS_CPU_AVX512BF16);
}

uint64_t ars__cpu_detect(void)
{
    return ars__x86_features(&real);
}

size_t ars__cpu_line(void)
{
    return (ask(&real, 1, 0).b >> 8 & 0xff) * 8;
}

#else
/* A file without a declaration is not C. */
typedef int ars__cpu_not_x86;
#endif
