/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/waitgroup.h>.  The word counts; somebody may be queued while it is above 0. */
#include <arsenal/waitgroup.h>

#include "run/gate.h"

ARS__STATIC_ASSERT(sizeof(ars__gate) <= sizeof(ars_waitgroup));

enum { COUNT_MAX = UINT32_MAX / ARS__UNIT };

static ars__gate *of(ars_waitgroup *handle)
{
    return (ars__gate *)(void *)handle;
}

static const ars__wait_class wait_class = {"wait group", ars__gate_interrupt};

/* The last decrement, or any change while the queue is being changed. */
static ARS__NOINLINE int add_slow(ars__gate *group, int n)
{
    ars__wakes wakes;
    uint32_t word = ars__gate_lock(group);
    ars__wakes_init(&wakes);
    int64_t sum = (int64_t)(word / ARS__UNIT) + n;
    int rc = sum < 0 ? ARS_EINVAL : sum > COUNT_MAX ? ARS_EOVERFLOW : 0;
    if (rc == 0) {
        if (sum == 0) ars__gate_take(&group->queue, &wakes, UINT32_MAX);
        word = ars__gate_queued(group, (uint32_t)sum * ARS__UNIT);
    }
    ars__gate_unlock(group, word);
    ars__wakes_send(&wakes, 0, ARS__WAKE_TAIL);
    return rc;
}

int ars_waitgroup_add(ars_waitgroup *handle, int n)
{
    ars__gate *group = of(handle);
    if (n < 0) ars__san_release(group);
    uint32_t word = ars_atomic_u32_load_relaxed(&group->word);
    int64_t sum = (int64_t)(word / ARS__UNIT) + n;
    uint32_t next = (uint32_t)sum * ARS__UNIT | (word & ARS__QUEUED);
    if (ARS__LIKELY(!(word & ARS__BUSY) && sum >= 0 && sum <= COUNT_MAX && next != ARS__QUEUED &&
                    ars_atomic_u32_cas_acq_rel(&group->word, &word, next)))
        return 0;
    return add_slow(group, n);
}

int ars_waitgroup_done(ars_waitgroup *handle)
{
    return ars_waitgroup_add(handle, -1);
}

static inline int is_done(ars__gate *group)
{
    if (ars_atomic_u32_load_acquire(&group->word) >= ARS__UNIT) return 0;
    ars__san_acquire(group);
    return 1;
}

static ARS__NOINLINE int wait_slow(void *object, ars__task *self, ars_time deadline,
                                   const void *place)
{
    ars__gate *group = object;
    uint32_t word = ars__gate_lock(group);
    int rc = 0;
    if (word < ARS__UNIT) {
        ars__gate_unlock(group, word);
    } else if (deadline == 0) {
        ars__gate_unlock(group, word);
        return ARS_ETIMEDOUT;
    } else {
        rc = ars__gate_park(group, word, self, NULL, &wait_class, deadline, place);
    }
    ars__san_acquire(group);
    return rc;
}

static int look(void *object, void *value)
{
    (void)value;
    return is_done(object) ? 0 : ARS__NOT_READY;
}

static int enqueue(void *object, ars__node *node)
{
    ars__gate *group = object;
    uint32_t word = ars__gate_lock(group);
    if (word >= ARS__UNIT) {
        ars__gate_enqueue(group, word, node);
        return 0;
    }
    ars__gate_unlock(group, word);
    return 1;
}

const ars__waitable_class ars__waitgroup_waitable = {"wait group",      look, enqueue,
                                                     ars__gate_dequeue, NULL, NULL};

int ars_waitgroup_wait(ars_waitgroup *handle, ars_time deadline)
{
    ars__gate *group = of(handle);
    ARS__GATE_CALL(is_done(group), wait_slow, group, deadline);
}
