/* SPDX-License-Identifier: MIT */
/* The exported twins of the inline functions of <arsenal/atomic.h>. */
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/atomic.h>
