/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_POLLER_H
#define ARS_RUN_POLLER_H

/*
 * What a worker sleeps in once it does I/O.  The scheduler knows no more of
 * I/O than this; the layer above installs one on a worker's first I/O call.
 * Before that an idle worker sleeps on a futex.
 */

#include <arsenal/base.h>

typedef struct ars__poller ars__poller;

typedef struct ars__poller_ops {
    const char *name;
    /*
     * Hands what is queued to the kernel, waits until something completes or
     * 'deadline' passes (0: does not wait), and makes the tasks ready whose
     * operations completed.  May return early.  Called by the worker only, on
     * whatever stack is at hand: it must be frugal, and must not suspend.
     */
    void (*turn)(ars__poller *poller, ars_time deadline);
    /* Ends a wait in turn(), now or the next one.  Any thread. */
    void (*wake)(ars__poller *poller);
    /* Operations in flight. */
    uint64_t (*in_flight)(const ars__poller *poller);
    /* Waits out what is in flight, closes everything, frees the poller.  By the worker, at the end. */
    void (*close)(ars__poller *poller);
} ars__poller_ops;

struct ars__poller {
    const ars__poller_ops *ops;
};

#endif
