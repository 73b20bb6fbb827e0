/* SPDX-License-Identifier: MIT */
#ifndef ARS_DATA_WHEEL_H
#define ARS_DATA_WHEEL_H

/*
 * A hierarchical timing wheel: timers are armed and disarmed in constant time,
 * most of them never to fire (Varghese and Lauck, 1987).
 *
 * Time is counted in ticks of 2^16 ns (65.5 us).  There are six levels of 64
 * slots; a slot of level L is 64^L ticks wide.  A timer lies in the level of
 * the highest six-bit digit in which its tick differs from the wheel's, so
 * within a level it is always ahead of the hand.  When the hand enters a slot
 * of a level above 0, the slot's timers move down.  Ticks further away than
 * the six levels reach (52 days) lie in the top level and go round again.
 *
 * A bitmap a level says which slots are in use, so that empty time is jumped
 * over and the next thing to do is found without walking.
 *
 * A timer never fires early; it fires up to one tick late.
 */

#include <arsenal/base.h>

enum { ARS__WHEEL_LEVELS = 6, ARS__WHEEL_SLOTS = 64, ARS__WHEEL_TICK_BITS = 16 };

/* All-zero is a timer that is not armed. */
typedef struct ars__timer {
    struct ars__timer *prev, *next;
    uint64_t tick;
} ars__timer;

typedef struct ars__wheel {
    uint64_t hand;                    /* the tick up to which timers have been taken out */
    uint64_t used[ARS__WHEEL_LEVELS]; /* bit s: slot s holds timers */
    ars__timer slot[ARS__WHEEL_LEVELS][ARS__WHEEL_SLOTS];
    ars__timer late[ARS__WHEEL_SLOTS]; /* lists that are empty but while timers move down */
} ars__wheel;

void ars__wheel_init(ars__wheel *wheel, ars_time now);

static inline int ars__timer_armed(const ars__timer *timer)
{
    return timer->next != NULL;
}

/* Whether any timer is armed. */
static inline int ars__wheel_in_use(const ars__wheel *wheel)
{
    uint64_t used = 0;
    for (int l = 0; l < ARS__WHEEL_LEVELS; l++) used |= wheel->used[l];
    return used != 0;
}

/* The first tick at which 'when' has been reached. */
static inline uint64_t ars__wheel_tick(ars_time when)
{
    uint64_t ns = when > 0 ? (uint64_t)when : 0;
    return (ns >> ARS__WHEEL_TICK_BITS) + ((ns & ((1u << ARS__WHEEL_TICK_BITS) - 1)) != 0);
}

/* Arms a timer that is not armed; one whose time has passed fires at the next tick. */
void ars__wheel_add(ars__wheel *wheel, ars__timer *timer, ars_time when);

/* Disarms a timer; one that is not armed stays so. */
void ars__wheel_remove(ars__wheel *wheel, ars__timer *timer);

/*
 * Takes out one timer whose time has come by 'now', or NULL when there is none
 * left.  Timers may be added and removed between calls.
 */
ars__timer *ars__wheel_take(ars__wheel *wheel, ars_time now);

/*
 * When ars__wheel_take() has something to do next: ARS_FOREVER if no timer is
 * armed.  It may be earlier than the first timer, never later.
 */
ars_time ars__wheel_next(const ars__wheel *wheel);

#endif
