/* SPDX-License-Identifier: MIT */
/* The exported twins of the inline functions of <arsenal/select.h> and <arsenal/tick.h>. */
#include <arsenal/chan.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/tick.h>
