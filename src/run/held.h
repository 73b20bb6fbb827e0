/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_HELD_H
#define ARS_RUN_HELD_H

/*
 * Who holds which lock: a table beside the locks, in debug builds only, for
 * locks that one task or thread at a time holds.  It refers to locks by address
 * and never reads them, so that a lock whose memory is gone does no harm.  It
 * has room for some hundred locks held at once; those beyond are not checked.
 */

#include "run/sched.h"

#if ARS__ASSERTS

/*
 * To be called before the caller tries to lock: ARS_EDEADLK if it holds the
 * lock already, or one of an equal or higher rank (0: no rank); else 0.
 */
int ars__held_check(const void *lock, uint32_t rank, const void *place);
/* The caller has locked it, at 'place'. */
void ars__held_add(const void *lock, uint32_t rank, const void *place);
/* The caller unlocks it: 0, or ARS_EPERM if somebody else is known to hold it. */
int ars__held_remove(const void *lock);
/* Whether the lock is known to be held by somebody else. */
int ars__held_by_other(const void *lock);
/* The task has ended: reports the locks it holds and forgets them. */
void ars__locks_task_ended(ars__task *task);
/* The tasks of the runtime are abandoned, parked or not: the same for all of them. */
void ars__locks_abandoned(ars_runtime *rt);

#else

static inline int ars__held_check(const void *lock, uint32_t rank, const void *place)
{
    (void)lock, (void)rank, (void)place;
    return 0;
}

static inline void ars__held_add(const void *lock, uint32_t rank, const void *place)
{
    (void)lock, (void)rank, (void)place;
}

static inline int ars__held_remove(const void *lock)
{
    (void)lock;
    return 0;
}

static inline int ars__held_by_other(const void *lock)
{
    (void)lock;
    return 0;
}

static inline void ars__locks_task_ended(ars__task *task)
{
    (void)task;
}

static inline void ars__locks_abandoned(ars_runtime *rt)
{
    (void)rt;
}

#endif

#endif
