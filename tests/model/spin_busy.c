/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/spin.h>

#define TYPE   ars_spin
#define LOCK   ars_spin_lock_busy
#define TRY    ars_spin_try
#define UNLOCK ars_spin_unlock
#include "lock.h"
