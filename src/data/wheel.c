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
    for (int s = 0; s < ARS__WHEEL_SLOTS; s++) slot_init(&wheel->late[s]);
}

/* Behind 'before'. */
static void insert(ars__timer *before, ars__timer *timer)
{
    timer->prev = before;
    timer->next = before->next;
    before->next->prev = timer;
    before->next = timer;
}

/* 'timer->tick' is ahead of the hand, or the hand stands on it while a slot moves down. */
static void place(ars__wheel *wheel, ars__timer *timer)
{
    uint64_t differ = timer->tick ^ wheel->hand;
    int level = differ ? (63 - __builtin_clzll(differ)) / DIGIT : 0;
    if (level > TOP) level = TOP;
    unsigned s = (unsigned)(timer->tick >> (DIGIT * level)) & MASK;
    insert(wheel->slot[level][s].prev, timer);
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

/* Those kept apart go behind the others of their slot, one level below 'level'. */
static void append_late(ars__wheel *wheel, int level, unsigned s)
{
    ars__timer *late = &wheel->late[s], *head = &wheel->slot[level - 1][s];
    late->next->prev = head->prev;
    head->prev->next = late->next;
    late->prev->next = head;
    head->prev = late->prev;
    wheel->used[level - 1] |= (uint64_t)1 << s;
    slot_init(late);
}

static void place_each(ars__wheel *wheel, ars__timer *head)
{
    ars__timer *timer = head->next, *next;
    head->prev->next = NULL;
    slot_init(head);
    for (; timer; timer = next) {
        next = timer->next;
        place(wheel, timer);
    }
}

/*
 * The hand has entered the slot of 'level' that starts at it: its timers belong
 * further down.  Each of a million lies in another cache line, so the list is
 * walked from both ends: two misses at a time.  Those from the back are kept
 * apart by slot, and so come behind the others in the order they had.
 */
static void cascade(ars__wheel *wheel, int level)
{
    unsigned s = (unsigned)(wheel->hand >> (DIGIT * level)) & MASK;
    ars__timer *head = &wheel->slot[level][s], *front = head->next, *back = head->prev;
    uint64_t late = 0;
    if (front == head) return;
    wheel->used[level] &= ~((uint64_t)1 << s);
    if (level == TOP) { /* some may stay */
        place_each(wheel, head);
        return;
    }
    slot_init(head);
    for (int more = 1; more;) {
        ars__timer *next = front->next, *prev = back->prev;
        more = front != back && next != back;
        if (front != back) {
            s = (unsigned)(back->tick >> (DIGIT * (level - 1))) & MASK;
            insert(&wheel->late[s], back);
            late |= (uint64_t)1 << s;
        }
        place(wheel, front);
        front = next;
        back = prev;
    }
    /* Those of the first slot belong lower still. */
    if (level > 1 && late & 1) {
        place_each(wheel, &wheel->late[0]);
        late &= ~UINT64_C(1);
    }
    for (; late; late &= late - 1) append_late(wheel, level, (unsigned)__builtin_ctzll(late));
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
