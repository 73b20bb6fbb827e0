/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_MUTEX_H
#define ARS_RUN_MUTEX_H

/* What a condition needs of a mutex. */

#include <arsenal/mutex.h>

#include "run/sched.h"

/* Locks it, whatever the deadlines and the cancellation of 'self'. */
void ars__mutex_relock(ars_mutex *mutex, ars__task *self, const void *place);
/* 0 if the caller may be the one who holds it, else ARS_EPERM. */
int ars__mutex_check_held(const ars_mutex *mutex);

#endif
