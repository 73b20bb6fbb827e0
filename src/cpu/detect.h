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

#endif
