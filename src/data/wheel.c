/* SPDX-License-Identifier: MIT */
/* Documented in wheel.h. */
#include "data/wheel.h"

enum { DIGIT = 6, MASK = ARS__WHEEL_SLOTS - 1, TOP = ARS__WHEEL_LEVELS - 1 };

static void slot_init(ars__timer *head)
{
    head->prev = head->next = head;
}

void ars__wheel_init(ars__wheel *wheel, ars_time now)
{
    wheel->hand = now > 0 ? (uint64_t)now >> ARS__WHEEL_TICK_BITS : 0;
    for (int l = 0; l < ARS__WHEEL_LEVELS; l++) {
        wheel->used[l] = 0;
        for (int s = 0; s < ARS__WHEEL_SLOTS; s++) slot_init(&wheel->slot[l][s]);
    }
}

/* 'timer->tick' is ahead of the hand, or the hand stands on it while a slot moves down. */
static void place(ars__wheel *wheel, ars__timer *timer)
{
    uint64_t differ = timer->tick ^ wheel->hand;
    int level = differ ? (63 - __builtin_clzll(differ)) / DIGIT : 0;
    if (level > TOP) level = TOP;
    unsigned s = (unsigned)(timer->tick >> (DIGIT * level)) & MASK;
    ars__timer *head = &wheel->slot[level][s];
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
    wheel->used[level] |= (uint64_t)1 << s;
}

void ars__wheel_add(ars__wheel *wheel, ars__timer *timer, ars_time when)
{
    uint64_t tick = ars__wheel_tick(when);
    timer->tick = tick > wheel->hand ? tick : wheel->hand + 1;
    place(wheel, timer);
}

static void detach(ars__wheel *wheel, ars__timer *timer)
{
    ars__timer *next = timer->next;
    timer->prev->next = next;
    next->prev = timer->prev;
    timer->prev = timer->next = NULL;
    /* Only a slot's head can be its own neighbour: the slot is empty now. */
    if (next->next == next) {
        size_t at = (size_t)(next - &wheel->slot[0][0]);
        wheel->used[at / ARS__WHEEL_SLOTS] &= ~((uint64_t)1 << (at % ARS__WHEEL_SLOTS));
    }
}

void ars__wheel_remove(ars__wheel *wheel, ars__timer *timer)
{
    if (ars__timer_armed(timer)) detach(wheel, timer);
}

/* The start of the first slot in use ahead of the hand, over all levels; UINT64_MAX if there is none. */
static uint64_t next_tick(const ars__wheel *wheel)
{
    uint64_t best = UINT64_MAX;
    for (int l = 0; l < ARS__WHEEL_LEVELS; l++) {
        uint64_t used = wheel->used[l];
        if (!used) continue;
        uint64_t at = wheel->hand >> (DIGIT * l);
        unsigned first = (unsigned)(at + 1) & MASK;
        uint64_t turned = first ? used >> first | used << (ARS__WHEEL_SLOTS - first) : used;
        uint64_t tick = (at + 1 + (uint64_t)__builtin_ctzll(turned)) << (DIGIT * l);
        if (tick < best) best = tick;
    }
    return best;
}

/* The hand has entered the slot of 'level' that starts at it: its timers belong further down. */
static void cascade(ars__wheel *wheel, int level)
{
    unsigned s = (unsigned)(wheel->hand >> (DIGIT * level)) & MASK;
    ars__timer *head = &wheel->slot[level][s], *timer = head->next;
    if (timer == head) return;
    head->prev->next = NULL;
    slot_init(head);
    wheel->used[level] &= ~((uint64_t)1 << s);
    while (timer) {
        ars__timer *next = timer->next;
        place(wheel, timer);
        timer = next;
    }
}

ars__timer *ars__wheel_take(ars__wheel *wheel, ars_time now)
{
    uint64_t target = now > 0 ? (uint64_t)now >> ARS__WHEEL_TICK_BITS : 0;
    for (;;) {
        ars__timer *head = &wheel->slot[0][wheel->hand & MASK], *timer = head->next;
        if (timer != head && timer->tick <= wheel->hand) {
            detach(wheel, timer);
            return timer;
        }
        uint64_t tick = next_tick(wheel);
        if (tick > target) {
            if (target > wheel->hand) wheel->hand = target;
            return NULL;
        }
        wheel->hand = tick;
        for (int l = TOP; l > 0; l--)
            if (!(tick & (((uint64_t)1 << (DIGIT * l)) - 1))) cascade(wheel, l);
    }
}

ars_time ars__wheel_next(const ars__wheel *wheel)
{
    const ars__timer *head = &wheel->slot[0][wheel->hand & MASK];
    if (head->next != head && head->next->tick <= wheel->hand) return 1;
    uint64_t tick = next_tick(wheel);
    if (tick > (uint64_t)INT64_MAX >> ARS__WHEEL_TICK_BITS) return ARS_FOREVER;
    return (ars_time)(tick << ARS__WHEEL_TICK_BITS);
}
