/* SPDX-License-Identifier: MIT */
#ifndef ARS_CPU_DETECT_H
#define ARS_CPU_DETECT_H

/* What each architecture's file provides. */

#include <stddef.h>
#include <stdint.h>

/* Asks the CPU: the ARS_CPU_... bits that can be used. */
uint64_t ars__cpu_detect(void);
/* Bytes in a line of the data cache; 0 if that cannot be told. */
size_t ars__cpu_line(void);

/*
 * How x86.c asks.  A test gives one of its own, and with it CPUs and operating
 * systems that are not at hand.
 */
typedef struct ars__x86 {
    void (*cpuid)(uint32_t leaf, uint32_t sub, uint32_t abcd[4]);
    uint64_t (*xcr0)(void); /* faults unless the operating system has set OSXSAVE */
} ars__x86;

uint64_t ars__x86_features(const ars__x86 *cpu);

#endif
