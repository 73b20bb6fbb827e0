/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/ticks.h>; the exported twins of its inline functions too.
 *
 * An anchor is one reading of the monotonic clock between two of the counter.
 * The rate is measured from one anchor to later ones, and taken from the
 * longest stretch so far, up to WINDOW; so its error falls as the clock is
 * used.  No anchor holds for longer than the rate was measured: what is
 * counted onward is never more wrong than the two readings were.
 */
#include <arsenal/base.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/ticks.h>

#include <arsenal/cpu.h>

#include "os/os.h"

enum { TRIES = 4 };
#define HOLD        ARS_MILLISECOND
#define SHORTEST    (20 * ARS_MICROSECOND) /* no rate is measured over less */
#define WINDOW      ARS_SECOND
#define SLEW        500e-6 /* what the kernel's clock may be turned by */
#define SCALE       4294967296.0
#define IMPLAUSIBLE (2 * SLEW)

typedef struct anchor {
    uint64_t at, width;
    ars_time ns;
} anchor;

int ars_ticks_steady(void)
{
#ifdef __x86_64__
    return (ars_cpu_features() & ARS_CPU_TSC_INVARIANT) != 0;
#elif defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

/*
 * By how much the counter goes on at least, as far as one can see: some advance
 * by many ticks at a time.  Where it stands still, or goes back, it is none.
 */
static uint64_t find_step(void)
{
    uint64_t step = UINT64_MAX, last = ars_ticks_ordered();
    for (int i = 0, steps = 0; i < 10000 && steps < 8; i++) {
        uint64_t now = ars_ticks_ordered();
        if (now == last) continue;
        if (now - last < step) step = now - last;
        last = now;
        steps++;
    }
    return step;
}

/*
 * A reading that was interrupted took long, and only the middle of a short one
 * is worth something.  The best of a few; good enough is twice the best ever.
 */
static anchor read_anchor(ars_fastclock *clock)
{
    anchor best = {0, UINT64_MAX, 0};
    if (clock->ars__step == 0) clock->ars__step = find_step();
    if (clock->ars__step > INT64_MAX) return best;
    for (int i = 0; i < TRIES && best.width / 2 >= clock->ars__best; i++) {
        uint64_t before = ars_ticks_ordered();
        ars_time ns = ars__os_now();
        /* What readings leave out of the present step, and what the middle is cut down by. */
        uint64_t width = ars_ticks_ordered() - before + clock->ars__step + 1;
        /* Below 0 on the way to a CPU whose counter is behind: that is no reading. */
        if ((int64_t)width > 0 && width < best.width)
            best = (anchor){before + (width - 1) / 2, width, ns};
    }
    if (clock->ars__best == 0 || best.width < clock->ars__best) clock->ars__best = best.width;
    return best;
}

/* The monotonic clock's own reading, as long as nothing better is known. */
static ars_time plain(ars_fastclock *clock, ars_time ns)
{
    clock->ars__hold = 0;
    if (ns > clock->ars__last) clock->ars__last = ns;
    clock->ars__error = clock->ars__last - ns;
    return clock->ars__last;
}

static void measure_from(ars_fastclock *clock, const anchor *now)
{
    clock->ars__from = now->at;
    clock->ars__from_ns = now->ns;
    clock->ars__width = now->width;
}

/* How far off the clock was at 'now', in ns; 0 while it has no anchor. */
static double off_by(const ars_fastclock *clock, const anchor *now)
{
    if (clock->ars__hold == 0) return 0;
    double since = (double)(int64_t)(now->at - clock->ars__at);
    double ahead = since * (double)clock->ars__rate / SCALE - (double)(now->ns - clock->ars__base);
    return ahead < 0 ? -ahead : ahead;
}

/* How much of that can be if the counter is still the one that was measured. */
static double plausible(const ars_fastclock *clock, const anchor *now)
{
    double readings = (double)(now->width + clock->ars__width) * (double)clock->ars__rate / SCALE;
    double since = (double)(now->ns - clock->ars__base);
    return IMPLAUSIBLE * since + 2 * readings * (1 + since / (double)clock->ars__window);
}

/* Takes 'now' as the anchor; 'off' is how far off the clock was there, 'since' the last one. */
static ars_time hold_from(ars_fastclock *clock, const anchor *now, double off, ars_time since)
{
    double tick = (double)clock->ars__rate / SCALE, window = (double)clock->ars__window;
    double hold = clock->ars__window < HOLD ? window : (double)HOLD;
    double readings = (double)(now->width + clock->ars__width) / 2 * tick;
    double step = (double)clock->ars__step * tick;
    double drift = readings * hold / window + SLEW * hold;
    if ((double)since > hold) off *= hold / (double)since;
    clock->ars__at = now->at;
    clock->ars__base = now->ns;
    clock->ars__hold = (uint64_t)(hold / tick);
    if (now->ns > clock->ars__last) clock->ars__last = now->ns;
    /* The clock stands still if it was ahead; 2 ns are what arithmetic cuts off. */
    ars_time still = clock->ars__last - now->ns;
    clock->ars__error = (ars_time)((double)now->width / 2 * tick + drift + off + step) + still + 2;
    return clock->ars__last;
}

ars_time ars_fastclock_anchor(ars_fastclock *clock)
{
    if (!ars_ticks_steady()) return plain(clock, ars__os_now());
    anchor now = read_anchor(clock);
    if (now.width == UINT64_MAX) return plain(clock, ars__os_now());
    ars_time window = now.ns - clock->ars__from_ns, since = now.ns - clock->ars__base;
    double off = off_by(clock, &now);
    int moved = clock->ars__hold && off > plausible(clock, &now);
    if (!clock->ars__from || moved || now.at <= clock->ars__from) {
        clock->ars__window = 0;
        measure_from(clock, &now);
        return plain(clock, now.ns);
    }
    if (window >= clock->ars__window) {
        if (window < SHORTEST) return plain(clock, now.ns);
        double tick = (double)window / (double)(now.at - clock->ars__from);
        clock->ars__rate = (uint64_t)(tick * SCALE);
        clock->ars__window = window;
    }
    if (window >= WINDOW) {
        measure_from(clock, &now);
        clock->ars__window = WINDOW / 2;
    }
    return hold_from(clock, &now, off, since);
}

ars_time ars_fastclock_error(const ars_fastclock *clock)
{
    return clock->ars__error;
}
