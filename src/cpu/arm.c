/* SPDX-License-Identifier: MIT */
#if defined(__aarch64__)

#include <arsenal/cpu.h>

#include <sys/auxv.h>

#include "cpu/detect.h"

/* Linux, Documentation/arch/arm64/elf_hwcaps.rst; older headers lack the newer names. */

static uint64_t when(unsigned long caps, unsigned bit, uint64_t feature)
{
    return caps >> bit & 1 ? feature : 0;
}

uint64_t ars__cpu_detect(void)
{
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    return when(one, 1, ARS_CPU_NEON) | when(one, 3, ARS_CPU_ARM_AES) |
           when(one, 4, ARS_CPU_ARM_PMULL) | when(one, 5, ARS_CPU_ARM_SHA1) |
           when(one, 6, ARS_CPU_ARM_SHA2) | when(one, 7, ARS_CPU_ARM_CRC32) |
           when(one, 8, ARS_CPU_ARM_LSE) | when(one, 20, ARS_CPU_ARM_DOTPROD) |
           when(one, 22, ARS_CPU_SVE) | when(two, 1, ARS_CPU_SVE2) |
           when(two, 13, ARS_CPU_ARM_I8MM) | when(two, 14, ARS_CPU_ARM_BF16);
}

size_t ars__cpu_line(void)
{
    /* DminLine: the logarithm of the line's size in words.  Linux lets programs read it. */
    uint64_t ctr;
    __asm__("mrs %0, ctr_el0" : "=r"(ctr));
    return (size_t)4 << (ctr >> 16 & 0xf);
}

#else
/* A file without a declaration is not C. */
typedef int ars__cpu_not_arm;
#endif
