/* SPDX-License-Identifier: MIT */
#ifndef ARS_CPU_KERNEL_H
#define ARS_CPU_KERNEL_H

/*
 * How a function has variants for different CPUs.
 *
 * The scalar variant is the specification.  The others are one template,
 * STEM_*.h, included once for each set of instructions, with the attribute
 * that allows these.  All are in one constant table, the best first and scalar
 * last; a row is a struct that has 'name', 'needs', a mask of ARS_CPU_...
 * bits, 0 for scalar, and the function.  Tests and benchmarks go through the
 * table.
 *
 * Nothing is remembered, so nothing is initialised and nothing races: a call
 * with enough work to pay for a variant looks its row up, a few loads, and
 * ars_cpu_mask() tells from the next call on.
 *
 * A variant that uses the upper halves of x86's vector registers leaves them
 * clean (vzeroupper): with them dirty, SSE code is slow afterwards.
 */

#include <arsenal/cpu.h>

/* The first row of 'table' that this CPU can run. */
#define ARS__KERNEL(table)                                                                         \
    __extension__({                                                                                \
        const uint64_t can_ = ars_cpu_features();                                                  \
        __typeof__(&(table)[0]) row_ = (table);                                                    \
        while (row_->needs & ~can_) row_++;                                                        \
        row_;                                                                                      \
    })

#endif
