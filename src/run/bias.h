/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_BIAS_H
#define ARS_RUN_BIAS_H

/*
 * A section of code that one worker enters without a read-modify-write, for as
 * long as nobody else has a claim to what it guards.  Private to run/.
 *
 * 'owner' is changed under a lock of the object's only.  The worker that it
 * names, and no other ever, may be granted the section; it then shows by
 * 'busy' that it is inside:
 *
 *   owner:  busy = 1                      another:  with the lock held
 *           owner is still me, BIASED?              owner = not BIASED
 *           then it is inside                       barrier on all threads
 *           busy = 0 (release)                      busy is 0? (acquire)
 *
 * The barrier makes each other thread of the process pass a full fence at some
 * point of its program.  If that lies behind the owner's look at 'owner', its
 * 'busy' is seen, and waited for; if before, the owner sees that it has lost
 * the section.  So with the lock held, and the owner kept out, whatever only
 * the section and the lock touch is the locker's.  The price of 'busy', a plain
 * store, is that it is written by one thread in all its life: so the owner
 * stays the same even when it has lost the section.
 *
 * The barrier costs microseconds: so the section is granted only after a
 * streak of uses with nobody else around, which makes it cheap on average; and
 * what is taken away again and again takes twice as long a streak each time.
 */

#include <arsenal/atomic.h>

#include "base/assert.h"

enum {
    ARS__BIASED = 1,
    ARS__ALONE = 2, /* nobody else has had the lock since the owner set it */
    ARS__BIAS_MASK = 3,
    ARS__BIAS_TAKEN = 4, /* what is above the mask counts how often it was taken away, up to 15 */
    ARS__BIAS_LOW = 63,  /* of a worker's address */
    ARS__STREAK = 1024   /* uses, about, before the section is granted for the first time */
};

/*
 * All-zero belongs to nobody yet.  'claim' may lie in a line that all who lock
 * write; 'owner' should not: it is looked at before the lock is taken.
 */
typedef struct ars__bias {
    uintptr_t claim; /* the only one who can be owner, with ARS__BIASED or ARS__ALONE; locked */
    ars_atomic_ptr owner; /* NULL, or who has the section; written with the lock held */
    ars_atomic_u32 busy;
    uint32_t streak; /* locked */
} ars__bias;

extern ars_atomic_u32 ars__bias_usable; /* 1: the system can do it */
/* To be called once, before there are threads if possible: then it is quick. */
void ars__bias_init(void);
/* Takes away from the owner what it has; the lock is held. */
void ars__bias_end(ars__bias *bias);

/* What the owner has is given up by the owner itself; the lock is held. */
static inline void ars__bias_drop(ars__bias *bias)
{
    bias->claim &= ~(uintptr_t)ARS__BIAS_MASK;
    ars_atomic_ptr_store_relaxed(&bias->owner, NULL);
}

/* How often it was taken away. */
static inline unsigned ars__bias_taken(const ars__bias *bias)
{
    return (unsigned)(bias->claim & ARS__BIAS_LOW) / ARS__BIAS_TAKEN;
}

/* 1: the caller is inside. */
static inline int ars__bias_enter(ars__bias *bias, const void *me)
{
    if (ars_atomic_ptr_load_relaxed(&bias->owner) != me || !me) return 0;
    ars_atomic_u32_store_relaxed(&bias->busy, 1);
    /* For the compiler only; the CPU's part is the barrier of ars__bias_end(). */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ARS__LIKELY(ars_atomic_ptr_load_relaxed(&bias->owner) == me)) return 1;
    ars_atomic_u32_store_relaxed(&bias->busy, 0);
    return 0;
}

/* Not beyond this: what is read next is read after what was written inside. */
static inline void ars__bias_leave(ars__bias *bias)
{
    /* Release: pairs with the acquire in ars__bias_end(). */
    ars_atomic_u32_store_release(&bias->busy, 0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Whether 'me', which has the lock, has to end what another has. */
static inline int ars__bias_is_foreign(const ars__bias *bias, const void *me)
{
    return ARS__UNLIKELY((bias->claim & ARS__BIAS_MASK) &&
                         (bias->claim & ~(uintptr_t)ARS__BIAS_LOW) != (uintptr_t)me);
}

/* Worker 'me', which has the lock, may have the section if it is the only one that ever could. */
static inline void ars__bias_grant(ars__bias *bias, void *me)
{
    uintptr_t claim = bias->claim & ~(uintptr_t)ARS__BIAS_MASK;
    if (!ars_atomic_u32_load_relaxed(&ars__bias_usable)) return;
    if (!claim) claim = (uintptr_t)me;
    if ((claim & ~(uintptr_t)ARS__BIAS_LOW) != (uintptr_t)me) return;
    bias->claim = claim | ARS__BIASED;
    ars_atomic_ptr_store_relaxed(&bias->owner, me);
}

/* Worker 'me', which has the lock, has used it so often since it last said so. */
static inline void ars__bias_use(ars__bias *bias, void *me, uint32_t uses)
{
    uintptr_t claim = bias->claim, low = claim & ARS__BIAS_LOW;
    if (claim && claim - low != (uintptr_t)me) return;
    if (low & ARS__ALONE) {
        bias->streak += uses < ARS__STREAK ? uses : ARS__STREAK;
        if (bias->streak >> ars__bias_taken(bias) >= ARS__STREAK) ars__bias_grant(bias, me);
    } else if (!(low & ARS__BIASED)) {
        bias->streak = 0;
        bias->claim = (uintptr_t)me | low | ARS__ALONE;
    }
}

#endif
