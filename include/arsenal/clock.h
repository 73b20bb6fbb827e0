/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_CLOCK_H
#define ARSENAL_CLOCK_H

/*
 * The system's clocks, deadlines, and a stopwatch.
 *
 * Every deadline of Arsenal is a point on the clock that ars_now() reads.  The
 * other clocks are for other things: ars_now_coarse() for a time that may be
 * some milliseconds old and costs a quarter, ars_now_real() for dates,
 * ars_now_thread() for what a thread has used of a CPU.  For less than 20 ns a
 * reading there is <arsenal/ticks.h>; dates as text are in <arsenal/date.h>.
 */

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
 * ars_now_coarse() reads the same clock as of the system's last tick: never
 * ahead of ars_now(), behind it by 1 to 10 ms as a rule, and cheaper.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_now_coarse(void);

/*
 * ars_now_real() is the time of day: nanoseconds since 1970-01-01T00:00:00Z,
 * leap seconds not counted.  Whoever administers the machine may set it, so
 * that it jumps and goes back; it is no deadline.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_now_real(void);

/*
 * ars_now_thread() is the time that the calling thread has spent on a CPU.
 * A system call.  Of a task it says little, since others run on its thread.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_now_thread(void);

/*
 * ars_after() is the deadline that lies 'span' nanoseconds ahead: ars_now()
 * plus 'span', saturated.  A span <= 0 gives a deadline that has passed, which
 * is not the same as 0: a call with it is still a cancellation point.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_after(ars_time span);

/*
 * ars_left() is how far ahead 'deadline' lies: 0 if it has passed, ARS_FOREVER
 * for ARS_FOREVER.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_time ars_left(ars_time deadline);

/*
 * ars_thread_sleep() returns once 'deadline' has come, at once if it has
 * passed, never before; signals do not end it.  It stops the thread, with all
 * its tasks: a task calls ars_sleep() of <arsenal/task.h>.
 *
 * Suspends: no, it blocks.  Allocates: no.  Callable from: thread.
 */
ARS_API void ars_thread_sleep(ars_time deadline);

/*
 * A stopwatch adds up the time between its starts and stops.  All zero it
 * stands at 0.  It belongs to one task at a time.
 */
typedef struct ars_stopwatch {
    ars_time ars__since, ars__total, ars__lap;
} ars_stopwatch;

/*
 * ars_stopwatch_start() lets it run and ars_stopwatch_stop() stops it; neither
 * does anything to one that does so already.  ars_stopwatch_stop() and
 * ars_stopwatch_read() return the time it shows.
 *
 * ars_stopwatch_lap() returns how much it has advanced since the last lap, or
 * since it was at 0: the laps add up to what it shows.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_stopwatch_start(ars_stopwatch *watch);
ARS_API ars_time ars_stopwatch_stop(ars_stopwatch *watch);
ARS_API ars_time ars_stopwatch_read(const ars_stopwatch *watch);
ARS_API ars_time ars_stopwatch_lap(ars_stopwatch *watch);

ARS_END_DECLS

#endif
