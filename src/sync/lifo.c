/* SPDX-License-Identifier: MIT */
/* The exported twins of the inline functions of <arsenal/lifo.h>. */
#include <arsenal/atomic.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/lifo.h>
