/* SPDX-License-Identifier: MIT */
/* Ticks.  Documented in <arsenal/tick.h>. */
#include <arsenal/tick.h>

#include "os/os.h"
#include "run/sched.h"
#include "run/waitable.h"

int ars_tick_start(ars_tick *tick, ars_time first, ars_time period)
{
    if (period < 0 || first < 1) return ARS_EINVAL;
    tick->ars__next = first;
    tick->ars__period = period;
    return 0;
}

void ars_tick_stop(ars_tick *tick)
{
    tick->ars__next = tick->ars__period = 0;
}

static ars_time tick_due(const void *object)
{
    const ars_tick *tick = object;
    return tick->ars__next ? tick->ars__next : ARS_FOREVER;
}

/* How many points in time have passed; they are then behind. 0: not due. */
static int pass(ars_tick *tick)
{
    ars_time now = ars__os_now(), next = tick->ars__next, period = tick->ars__period;
    if (next == 0 || now < next) return 0;
    if (period == 0) {
        ars_tick_stop(tick);
        return 1;
    }
    ars_time passed = (now - next) / period + 1;
    /* Up to 'now' there is no overflow; the one behind it saturates. */
    tick->ars__next = ars_time_add(next + (passed - 1) * period, period);
    return passed > INT32_MAX ? INT32_MAX : (int)passed;
}

static int try_tick(void *object, void *value)
{
    int passed = pass(object);
    if (!passed) return ARS__NOT_READY;
    if (value) *(int *)value = passed;
    return 0;
}

const ars__waitable_class ars__tick_waitable = {"tick", try_tick, NULL, NULL, tick_due, NULL};

static void tick_interrupt(ars__task *task, int why)
{
    int passed = why == ARS_ETIMEDOUT ? pass(ars__task_object(task)) : 0;
    ars__ready(task, passed ? passed : why);
}

static const ars__wait_class tick_class = {"tick", tick_interrupt};

static ARS__NOINLINE int tick_thread(ars_tick *tick, ars_time until)
{
    ars__thread room;
    return ars__park(ars__thread_begin(&room), &tick_class, tick, until);
}

int ars_tick_wait(ars_tick *tick, ars_time deadline)
{
    ars__task *self = ars__task_self();
    int rc = self ? ars__wait_enter(self, deadline) : 0;
    if (rc < 0) return rc;
    rc = pass(tick);
    if (rc) return rc;
    if (deadline == 0) return ARS_ETIMEDOUT;
    ars_time due = tick_due(tick), until = due < deadline ? due : deadline;
    if (!self) return tick_thread(tick, until);
    return ars__park(self, &tick_class, tick, until);
}
