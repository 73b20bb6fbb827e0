/* SPDX-License-Identifier: MIT */
/* The exported twin of the inline function of <arsenal/typed.h>, and of nothing that it includes. */
#include <arsenal/chan.h>
#include <arsenal/group.h>
#include <arsenal/run.h>
#include <arsenal/select.h>

#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/typed.h>
