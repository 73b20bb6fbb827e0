/* SPDX-License-Identifier: MIT */
/* The exported twins of the inline functions of <arsenal/spin_rw.h>. */
#include <arsenal/spin.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/spin_rw.h>
