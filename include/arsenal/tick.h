/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TICK_H
#define ARSENAL_TICK_H

#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * A tick is due at a point in time, and again after each period: the beat of
 * something periodic, or, without a period, a timer.
 *
 *     ars_tick beat, limit;
 *     ars_tick_start(&beat, ars_after(ARS_SECOND), ARS_SECOND);
 *     ars_tick_start(&limit, ars_after(ARS_SECOND * 60), 0);
 *     ars_case cases[] = {ARS_RECV(jobs, &job), ARS_TICK(&beat, &beats), ARS_TICK(&limit, NULL)};
 *
 * Points in time are multiples of the period from the first, however late they
 * are seen: nothing drifts.  Ticks that nobody waited for do not pile up; they
 * are one, with a count.
 *
 * A tick is a value of its user's; nothing runs behind it.  One task or thread
 * at a time may use it.  All-zero is stopped: it is never due.
 */
typedef struct ars_tick {
    ars_time ars__next;   /* private: when it is due; 0: stopped */
    ars_time ars__period; /* private */
} ars_tick;

/*
 * ars_tick_start() makes the tick due at 'first', a point in time, and then
 * every 'period' nanoseconds; with a period of 0 only once.  It may have been
 * started before.
 *
 * Returns 0, or ARS_EINVAL if 'period' is below 0 or 'first' is below 1.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_tick_start(ars_tick *tick, ars_time first, ars_time period);

/*
 * ars_tick_stop() makes it never due again, until it is started.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_tick_stop(ars_tick *tick);

/*
 * ars_tick_wait() waits until the tick is due.
 *
 * Returns how many points in time have passed since it was last seen, >= 1 (at
 * most INT32_MAX), or
 *   ARS_ETIMEDOUT  the deadline passed (with deadline 0: it is not due)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with deadline 0
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_tick_wait(ars_tick *tick, ars_time deadline);

/*
 * The case of a select that is chosen when the tick is due.  '*count', an int,
 * becomes what ars_tick_wait() would have returned; NULL drops it.
 */
#define ARS_TICK(tick, count) ars_case_make(ARS__CASE_TICK, (tick), ars_tick_count(count))

/* Checks the type of ARS_TICK()'s count. */
ARS_INLINE void *ars_tick_count(int *count)
{
    return count;
}

ARS_END_DECLS

#endif
