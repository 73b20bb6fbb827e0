/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/cond.h>. */
#include <arsenal/cond.h>

#include "run/gate.h"
#include "run/mutex.h"

ARS__STATIC_ASSERT(sizeof(ars__gate) <= sizeof(ars_cond));

static ars__gate *of(ars_cond *handle)
{
    return (ars__gate *)(void *)handle;
}

static const ars__wait_class wait_class = {"condition", ars__gate_interrupt};

/*
 * Queued before the mutex is unlocked: whoever changes the state under the
 * mutex and then signals finds the waiter.  The unlock may wake somebody but
 * does not switch.
 */
static int wait_locked(ars__gate *cond, ars_mutex *mutex, ars__task *self, ars_time deadline,
                       const void *place)
{
    uint32_t word = ars__gate_lock(cond);
    ars__waitq_append(&cond->queue, ars__task_node(self, NULL));
    ars__gate_unlock(cond, word | ARS__QUEUED);
    ars_mutex_unlock(mutex);
    int rc = ars__park_at(self, &wait_class, cond, deadline, place);
    ars__mutex_relock(mutex, self, place);
    return rc;
}

static ARS__NOINLINE int wait_on_thread(ars__gate *cond, ars_mutex *mutex, ars_time deadline,
                                        const void *place)
{
    if (deadline == 0) return ARS_ETIMEDOUT;
    ars__thread room;
    return wait_locked(cond, mutex, ars__thread_begin(&room), deadline, place);
}

int ars_cond_wait(ars_cond *handle, ars_mutex *mutex, ars_time deadline)
{
    ars__gate *cond = of(handle);
    const void *place = __builtin_return_address(0);
    int rc = ars__mutex_check_held(mutex);
    if (rc < 0) return rc;
    ars__task *self = ars__task_self();
    if (!self) return wait_on_thread(cond, mutex, deadline, place);
    rc = ars__wait_enter(self, deadline);
    if (rc < 0) return rc;
    if (deadline == 0) return ARS_ETIMEDOUT;
    return wait_locked(cond, mutex, self, deadline, place);
}

static ARS__NOINLINE void wake(ars__gate *cond, uint32_t n)
{
    ars__wakes wakes;
    uint32_t word = ars__gate_lock(cond);
    ars__wakes_init(&wakes);
    ars__gate_take(&cond->queue, &wakes, n);
    ars__gate_unlock(cond, ars__gate_queued(cond, word));
    /* They need the mutex, which the caller may hold: it is not for them to run at once. */
    ars__wakes_send(&wakes, 0, ARS__WAKE_TAIL);
}

/*
 * A waiter that the caller must not miss queued before it unlocked the mutex,
 * and the caller has locked that since: the load sees it.
 */
void ars_cond_signal(ars_cond *handle)
{
    ars__gate *cond = of(handle);
    if (ars_atomic_u32_load_acquire(&cond->word)) wake(cond, 1);
}

void ars_cond_broadcast(ars_cond *handle)
{
    ars__gate *cond = of(handle);
    if (ars_atomic_u32_load_acquire(&cond->word)) wake(cond, UINT32_MAX);
}
