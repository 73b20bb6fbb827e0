/* SPDX-License-Identifier: MIT */
#ifndef ARS_SYNC_SPIN_H
#define ARS_SYNC_SPIN_H

/* <arsenal/spin.h> under the names that the library's own code uses. */

#include <arsenal/spin.h>

typedef ars_spin ars__spin;

#define ars__spin_try    ars_spin_try
#define ars__spin_lock   ars_spin_lock
#define ars__spin_unlock ars_spin_unlock

#endif
