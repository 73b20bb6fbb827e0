/* SPDX-License-Identifier: MIT */
/*
 * Semaphores.  Documented in <arsenal/sem.h>.
 *
 * The word counts units; while anybody is queued there are none.
 */
#include <arsenal/sem.h>

#include "run/gate.h"

ARS__STATIC_ASSERT(sizeof(ars__gate) <= sizeof(ars_sem));
ARS__STATIC_ASSERT(ARS_SEM_MAX == UINT32_MAX / ARS__UNIT);

static ars__gate *of(ars_sem *handle)
{
    return (ars__gate *)(void *)handle;
}

static const ars__wait_class acquire_class = {"semaphore", ars__gate_interrupt};

static inline int try_acquire(ars__gate *sem)
{
    uint32_t word = ars_atomic_u32_load_relaxed(&sem->word);
    if (word < ARS__UNIT || word & ARS__BUSY ||
        !ars_atomic_u32_cas_acq_rel(&sem->word, &word, word - ARS__UNIT))
        return 0;
    ars__san_acquire(sem);
    return 1;
}

static ARS__NOINLINE int acquire_slow(void *object, ars__task *self, ars_time deadline,
                                      const void *place)
{
    ars__gate *sem = object;
    uint32_t word = ars__gate_lock(sem);
    int rc = 0;
    if (word >= ARS__UNIT) {
        ars__gate_unlock(sem, word - ARS__UNIT);
    } else if (deadline == 0) {
        ars__gate_unlock(sem, word);
        return ARS_ETIMEDOUT;
    } else {
        rc = ars__gate_park(sem, word, self, NULL, &acquire_class, deadline, place);
    }
    ars__san_acquire(sem);
    return rc;
}

/* Neither BUSY nor somebody else's exchange makes it say no. */
static int take(void *object, void *value)
{
    ars__gate *sem = object;
    (void)value;
    if (try_acquire(sem)) return 0;
    uint32_t word = ars__gate_lock(sem);
    int ready = word >= ARS__UNIT;
    ars__gate_unlock(sem, ready ? word - ARS__UNIT : word);
    ars__san_acquire(sem);
    return ready ? 0 : ARS__NOT_READY;
}

static int enqueue(void *object, ars__node *node)
{
    ars__gate *sem = object;
    uint32_t word = ars__gate_lock(sem);
    if (word < ARS__UNIT) {
        ars__gate_enqueue(sem, word, node);
        return 0;
    }
    ars__gate_unlock(sem, word);
    return 1;
}

const ars__waitable_class ars__sem_waitable = {"semaphore",       take, enqueue,
                                               ars__gate_dequeue, NULL, NULL};

int ars_sem_acquire(ars_sem *handle, ars_time deadline)
{
    ars__gate *sem = of(handle);
    ARS__GATE_CALL(try_acquire(sem), acquire_slow, sem, deadline);
}

static ARS__NOINLINE int release_slow(ars__gate *sem, uint32_t n)
{
    ars__wakes wakes;
    uint32_t word = ars__gate_lock(sem);
    ars__wakes_init(&wakes);
    if (n > ARS_SEM_MAX - word / ARS__UNIT) {
        ars__gate_unlock(sem, word);
        return ARS_EOVERFLOW;
    }
    uint32_t handed = ars__gate_take(&sem->queue, &wakes, n);
    ars__gate_unlock(sem, ars__gate_queued(sem, word + (n - handed) * ARS__UNIT));
    ars__wakes_send(&wakes, 0, n == 1 ? ARS__WAKE_NEXT : ARS__WAKE_TAIL);
    return 0;
}

int ars_sem_release(ars_sem *handle, uint32_t n)
{
    ars__gate *sem = of(handle);
    ars__san_release(sem);
    uint32_t word = ars_atomic_u32_load_relaxed(&sem->word);
    if (ARS__LIKELY(!(word & (ARS__BUSY | ARS__QUEUED)) && n <= ARS_SEM_MAX - word / ARS__UNIT &&
                    ars_atomic_u32_cas_acq_rel(&sem->word, &word, word + n * ARS__UNIT)))
        return 0;
    return release_slow(sem, n);
}
