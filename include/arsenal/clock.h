/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_CLOCK_H
#define ARSENAL_CLOCK_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * ars_now() reads the monotonic clock: nanoseconds since some fixed point in
 * the past, never going back, not touched by changes of the wall clock.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_now(void);

/*
 * ars_after() is the deadline that lies 'span' nanoseconds ahead: ars_now()
 * plus 'span', saturated.  A span <= 0 gives a deadline that has passed, which
 * is not the same as 0: a call with it is still a cancellation point.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_after(ars_time span);

ARS_END_DECLS

#endif
