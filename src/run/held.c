/* SPDX-License-Identifier: MIT */
/* Documented in held.h. */
#include "run/held.h"

#include <arsenal/spin.h>

#include "base/assert.h"

#if ARS__ASSERTS

enum { HELD_MAX = 512 };

typedef struct held {
    const void *lock;
    uintptr_t owner;
    const void *place;
    uint32_t rank;
} held;

static ars_spin guard;
static held table[HELD_MAX];
static unsigned used;

/* A task by its address, a thread by that of a word of its own, marked by the lowest bit. */
static uintptr_t me(void)
{
    static _Thread_local uint32_t word;
    const ars__task *self = ars__task_self();
    return self ? (uintptr_t)self : (uintptr_t)&word | 1;
}

static held *find(const void *lock)
{
    for (unsigned i = 0; i < used; i++)
        if (table[i].lock == lock) return &table[i];
    return NULL;
}

static void report_order(uint32_t rank, const void *place, held other)
{
    ars__task *self = ars__task_self();
    if (!self) return;
    const char *name = ars__task_name(self);
    ars__worker_report(ars__task_worker(self),
                       "task '%s' locks rank %u at %p while it holds rank %u, locked at %p",
                       name ? name : "unnamed", rank, place, other.rank, other.place);
}

int ars__held_check(const void *lock, uint32_t rank, const void *place)
{
    uintptr_t owner = me();
    held other = {0};
    int again = 0;
    ars_spin_lock(&guard);
    for (unsigned i = 0; i < used; i++) {
        if (table[i].owner != owner) continue;
        if (table[i].lock == lock) again = 1;
        if (rank && table[i].rank >= rank) other = table[i];
    }
    ars_spin_unlock(&guard);
    if (again) return ARS_EDEADLK;
    if (!other.lock) return 0;
    report_order(rank, place, other);
    return ARS_EDEADLK;
}

void ars__held_add(const void *lock, uint32_t rank, const void *place)
{
    held entry = {lock, me(), place, rank};
    ars_spin_lock(&guard);
    /* A lock whose memory went while it was held may have left its entry behind. */
    held *slot = find(lock);
    if (!slot && used < HELD_MAX) slot = &table[used++];
    if (slot) *slot = entry;
    ars_spin_unlock(&guard);
}

int ars__held_remove(const void *lock)
{
    uintptr_t owner = me();
    int rc = 0;
    ars_spin_lock(&guard);
    held *slot = find(lock);
    if (slot && slot->owner != owner)
        rc = ARS_EPERM;
    else if (slot)
        *slot = table[--used];
    ars_spin_unlock(&guard);
    return rc;
}

int ars__held_by_other(const void *lock)
{
    uintptr_t owner = me();
    ars_spin_lock(&guard);
    const held *slot = find(lock);
    int other = slot && slot->owner != owner;
    ars_spin_unlock(&guard);
    return other;
}

/* Whether an entry is the task's; or, with 'task' NULL, of a task of the runtime. */
static int belongs(const held *entry, const ars__task *task, const ars_runtime *rt)
{
    if (task) return entry->owner == (uintptr_t)task;
    /* No task goes while it has an entry. */
    return !(entry->owner & 1) && ars__task_home((const ars__task *)entry->owner)->rt == rt;
}

/* Takes such entries out and reports them. */
static void report_left(ars_runtime *rt, const ars__task *task)
{
    for (;;) {
        held left = {0};
        const char *name = NULL;
        ars_spin_lock(&guard);
        for (unsigned i = 0; i < used && !left.lock; i++) {
            if (!belongs(&table[i], task, rt)) continue;
            left = table[i];
            name = ars__task_name((const ars__task *)left.owner);
            table[i] = table[--used];
        }
        ars_spin_unlock(&guard);
        if (!left.lock) return;
        ars__report(rt, "task '%s' is gone and still holds the lock %p, locked at %p",
                    name ? name : "unnamed", left.lock, left.place);
    }
}

void ars__locks_task_ended(ars__task *task)
{
    report_left(ars__task_worker(task)->rt, task);
}

void ars__locks_abandoned(ars_runtime *rt)
{
    report_left(rt, NULL);
}

#endif
