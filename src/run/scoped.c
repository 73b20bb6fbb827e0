/* SPDX-License-Identifier: MIT */
/* The exported twins of the inline functions of <arsenal/scoped.h>, and of nothing that it includes. */
#include <arsenal/chan.h>
#include <arsenal/group.h>
#include <arsenal/mutex.h>

#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/scoped.h>
