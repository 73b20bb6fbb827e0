/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TICKS_H
#define ARSENAL_TICKS_H

/*
 * The CPU's own counter, raw and as a clock.
 *
 * Raw: a difference of two readings of ars_ticks() or ars_ticks_ordered() is
 * a span in ticks of some fixed length: on x86-64 the time stamp counter (not
 * the core's cycles, whose rate changes), on aarch64 CNTVCT_EL0, elsewhere
 * nanoseconds.
 *
 * As a clock: ars_fastclock_now() is ars_now() for half the time.  It counts
 * ticks onward from its last reading of the monotonic clock, and reads that
 * again every millisecond, so that it neither drifts nor has to be told how
 * long a tick is.  ars_fastclock_error() says how far off it may be.
 */

#include <arsenal/clock.h>

ARS_BEGIN_DECLS

/*
 * ars_ticks() reads the counter, somewhere among the instructions around it.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_INLINE uint64_t ars_ticks(void)
{
#if defined(__GNUC__) && defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
#elif defined(__GNUC__) && defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)ars_now();
#endif
}

/*
 * ars_ticks_ordered() reads the counter after all instructions before it have
 * been done (stores need not be visible to others), and before any behind it
 * begins: the start and the end of a measurement of a few instructions.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_INLINE uint64_t ars_ticks_ordered(void)
{
#if defined(__GNUC__) && defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
#elif defined(__GNUC__) && defined(__aarch64__)
    uint64_t ticks;
    /* The first barrier waits for loads, which an ISB alone does not. */
    __asm__ volatile("dsb ishld\n\tisb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks) : : "memory");
    return ticks;
#else
    return (uint64_t)ars_now();
#endif
}

/*
 * ars_ticks_steady() tells whether a tick has the same length at all times
 * and in all sleep states: 1, or 0 where the CPU does not promise it (x86-64
 * without "invariant TSC": there ticks measure no time) and where ticks are the
 * monotonic clock's nanoseconds.  A fast clock then reads that each time.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_ticks_steady(void);

/*
 * A fast clock: all zero at first.  It belongs to one task or thread at a
 * time, which may move between CPUs.
 */
typedef struct ars_fastclock {
    uint64_t ars__at;   /* the anchor in ticks, */
    uint64_t ars__hold; /* how many of them it is good for, 0: none, */
    uint64_t ars__rate; /* a tick in 2^-32 ns, */
    ars_time ars__base; /* and the anchor on the monotonic clock */
    ars_time ars__last; /* what was returned last */
    ars_time ars__error;
    uint64_t ars__from; /* where the measurement of the rate began; 0: not yet */
    ars_time ars__from_ns;
    ars_time ars__window; /* how long the rate in use was measured */
    uint64_t ars__width;  /* ticks that the reading there took */
    uint64_t ars__best;   /* the shortest reading so far */
    uint64_t ars__step;   /* ticks that the counter advances by at once; 0: not measured */
} ars_fastclock;

/*
 * ars_fastclock_anchor() reads the monotonic clock, counts from there onward,
 * and returns what ars_fastclock_now() does; that calls it when it must.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_time ars_fastclock_anchor(ars_fastclock *clock);

/*
 * ars_fastclock_now() is the monotonic clock's time, to within
 * ars_fastclock_error().  It never goes back; corrected, it may give the same
 * value several times.  The first calls read the monotonic clock.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE ars_time ars_fastclock_now(ars_fastclock *clock)
{
    uint64_t since = ars_ticks() - clock->ars__at;
    if (since >= clock->ars__hold) return ars_fastclock_anchor(clock);
    ars_time now = clock->ars__base + (ars_time)((since * clock->ars__rate) >> 32);
    if (now < clock->ars__last) now = clock->ars__last;
    clock->ars__last = now;
    return now;
}

/*
 * ars_fastclock_error() bounds how far the last value of ars_fastclock_now()
 * was from ars_now() at the same moment, in nanoseconds: half of what the reading
 * of the anchor took, preemption within it included; the counter's step; the error of the measured
 * rate, and 500 ppm for what a time daemon may change of it, until the next
 * anchor; and how far off the clock was found at this one.  Mostly that is
 * below a microsecond.  It does not cover a counter that changes its rate
 * between two anchors, as by a virtual machine's migration; the next anchor
 * finds that and measures anew.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_time ars_fastclock_error(const ars_fastclock *clock);

ARS_END_DECLS

#endif
