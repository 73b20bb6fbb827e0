/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/spin.h>; with the exported twins of its inline functions. */
#include <arsenal/atomic.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/spin.h>

#include "os/os.h"

void ars_spin_yield(void)
{
    (void)ars__os_thread_yield();
}
