/* SPDX-License-Identifier: MIT */
/*
 * Events.  Documented in <arsenal/event.h>.
 *
 * The gate's option has the flags.  While anybody is queued the event is not
 * set.
 */
#include <arsenal/event.h>

#include "run/gate.h"

enum { SET = ARS__UNIT };

ARS__STATIC_ASSERT(sizeof(ars__gate) <= sizeof(ars_event));

static ars__gate *of(ars_event *handle)
{
    return (ars__gate *)(void *)handle;
}

static const ars__wait_class wait_class = {"event", ars__gate_interrupt};

static ARS__NOINLINE void set_slow(ars__gate *event)
{
    ars__wakes wakes;
    int one = event->option & ARS_EVENT_AUTO;
    ars__wakes_init(&wakes);
    uint32_t word = ars__gate_lock(event);
    uint32_t taken = ars__gate_take(&event->queue, &wakes, one ? 1 : UINT32_MAX);
    if (!one || taken == 0) word |= SET;
    ars__gate_unlock(event, ars__gate_queued(event, word));
    ars__wakes_send(&wakes, 0, one ? ARS__WAKE_NEXT : ARS__WAKE_TAIL);
}

/* An event that is set already is written too: what came before this set happens before the wait as well. */
void ars_event_set(ars_event *handle)
{
    ars__gate *event = of(handle);
    ars__san_release(event);
    uint32_t word = ars_atomic_u32_load_relaxed(&event->word);
    if (ARS__LIKELY(!(word & (ARS__BUSY | ARS__QUEUED)) &&
                    ars_atomic_u32_cas_acq_rel(&event->word, &word, SET)))
        return;
    set_slow(event);
}

void ars_event_reset(ars_event *handle)
{
    ars__gate *event = of(handle);
    uint32_t word = SET;
    if (ars_atomic_u32_cas_acq_rel(&event->word, &word, 0) || !(word & ARS__BUSY)) return;
    word = ars__gate_lock(event);
    ars__gate_unlock(event, word & ~(uint32_t)SET);
}

static inline int try_wait(ars__gate *event)
{
    uint32_t word = ars_atomic_u32_load_acquire(&event->word);
    if (word != SET) return 0;
    if (event->option & ARS_EVENT_AUTO && !ars_atomic_u32_cas_acq_rel(&event->word, &word, 0))
        return 0;
    ars__san_acquire(event);
    return 1;
}

static ARS__NOINLINE int wait_slow(void *object, ars__task *self, ars_time deadline,
                                   const void *place)
{
    ars__gate *event = object;
    uint32_t word = ars__gate_lock(event);
    int rc = 0;
    if (word & SET) {
        ars__gate_unlock(event, event->option & ARS_EVENT_AUTO ? word & ~(uint32_t)SET : word);
    } else if (deadline == 0) {
        ars__gate_unlock(event, word);
        return ARS_ETIMEDOUT;
    } else {
        rc = ars__gate_park(event, word, self, NULL, &wait_class, deadline, place);
    }
    ars__san_acquire(event);
    return rc;
}

/* Neither BUSY nor somebody else's exchange makes it say no. */
static int take(void *object, void *value)
{
    ars__gate *event = object;
    (void)value;
    if (try_wait(event)) return 0;
    uint32_t word = ars__gate_lock(event);
    int ready = (word & SET) != 0;
    ars__gate_unlock(event, event->option & ARS_EVENT_AUTO ? word & ~(uint32_t)SET : word);
    ars__san_acquire(event);
    return ready ? 0 : ARS__NOT_READY;
}

static int enqueue(void *object, ars__node *node)
{
    ars__gate *event = object;
    uint32_t word = ars__gate_lock(event);
    if (!(word & SET)) {
        ars__gate_enqueue(event, word, node);
        return 0;
    }
    ars__gate_unlock(event, word);
    return 1;
}

const ars__waitable_class ars__event_waitable = {"event",           take, enqueue,
                                                 ars__gate_dequeue, NULL, NULL};

int ars_event_wait(ars_event *handle, ars_time deadline)
{
    ars__gate *event = of(handle);
    ARS__GATE_CALL(try_wait(event), wait_slow, event, deadline);
}
