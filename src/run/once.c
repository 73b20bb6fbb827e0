/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/once.h>. */
#include <arsenal/once.h>

#include "run/gate.h"

enum {
    DONE = ARS__UNIT,
    RUNNING = ARS__UNIT << 1,
    TURN = 1 /* what a waiter's parked call returns when it is to run its function; 0: done */
};

typedef struct ars__once {
    ars__gate gate;
    uintptr_t runner; /* who runs the function; changed with BUSY set; 0: not known yet */
} ars__once;

ARS__STATIC_ASSERT(sizeof(ars__once) <= sizeof(ars_once));

static const ars__wait_class wait_class = {"once", ars__gate_interrupt};

/* A task by its address, a thread by that of a word of its own, marked by the lowest bit. */
static ARS__NOINLINE uintptr_t me(void)
{
    static _Thread_local uint32_t word;
    const ars__task *self = ars__task_self();
    return self ? (uintptr_t)self : (uintptr_t)&word | 1;
}

/* 0: done; TURN: the caller is to run its function; or an error. */
static ARS__NOINLINE int wait_turn(void *object, ars__task *self, ars_time deadline,
                                   const void *place)
{
    ars__once *once = object;
    uint32_t word = ars__gate_lock(&once->gate);
    int rc = 0;
    if (word & RUNNING) {
        if (once->runner == me())
            rc = ARS_EDEADLK;
        else if (deadline == 0)
            rc = ARS_ETIMEDOUT;
        if (rc == 0)
            rc = ars__gate_park(&once->gate, word, self, NULL, &wait_class, deadline, place);
        else
            ars__gate_unlock(&once->gate, word);
        if (rc != TURN) return rc;
        word = ars__gate_lock(&once->gate);
    }
    if (!(word & DONE)) {
        once->runner = me();
        word |= RUNNING;
        rc = TURN;
    }
    ars__gate_unlock(&once->gate, word);
    return rc;
}

static int run(ars__once *once, ars_fn *fn, void *arg)
{
    ars__wakes wakes;
    /* After a function that failed: what it did happens before the next attempt. */
    ars__san_acquire(once);
    int result = fn(arg);
    ars__san_release(once);
    uint32_t word = ars__gate_lock(&once->gate);
    once->runner = 0;
    ars__wakes_init(&wakes);
    if (result >= 0) {
        ars__gate_take(&once->gate.queue, &wakes, UINT32_MAX);
        ars__gate_unlock(&once->gate, DONE);
        ars__wakes_send(&wakes, 0, ARS__WAKE_TAIL);
        return 0;
    }
    ars__gate_take(&once->gate.queue, &wakes, 1);
    if (!wakes.first) word &= ~(uint32_t)RUNNING;
    ars__gate_unlock(&once->gate, ars__gate_queued(&once->gate, word));
    if (wakes.first) ars__wake(ars__node_task(wakes.first), TURN, ARS__WAKE_NEXT);
    return result;
}

static ARS__NOINLINE int do_slow(ars__once *once, ars_fn *fn, void *arg, ars_time deadline,
                                 const void *frame, const void *place)
{
    if (!fn) return ARS_EINVAL;
    int rc = ars__gate_call(wait_turn, once, deadline, frame, place);
    if (rc == TURN) return run(once, fn, arg);
    ars__san_acquire(once);
    return rc;
}

int ars_once_do(ars_once *handle, ars_fn *fn, void *arg, ars_time deadline)
{
    ars__once *once = (ars__once *)(void *)handle;
    if (ARS__UNLIKELY(!(ars_atomic_u32_load_acquire(&once->gate.word) & DONE)))
        return do_slow(once, fn, arg, deadline, __builtin_dwarf_cfa(), __builtin_return_address(0));
    ars__san_acquire(once);
    return 0;
}
