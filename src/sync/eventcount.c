/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/eventcount.h>; with the exported twins of its inline functions. */
#include <arsenal/atomic.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/eventcount.h>

#include "os/os.h"

int ars_eventcount_wait(ars_eventcount *ec, uint32_t key, ars_time deadline)
{
    int rc = 0;
    /* Acquire: what the notifier did before has happened, also if this never slept. */
    while (ars_atomic_u32_load_acquire(&ec->epoch) == key) {
        if (rc == ARS_ETIMEDOUT || deadline == 0) {
            ars_eventcount_cancel(ec);
            return ARS_ETIMEDOUT;
        }
        /* Interrupted, woken for an earlier key, or out of time: the epoch decides. */
        rc = ars__os_futex_wait(&ec->epoch.ars__v, key, deadline);
    }
    ars_eventcount_cancel(ec);
    return 0;
}

void ars_eventcount_wake(ars_eventcount *ec, unsigned n)
{
    ars__os_futex_wake(&ec->epoch.ars__v, n);
}
