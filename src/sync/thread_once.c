/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/thread_once.h>; with the exported twins of its inline functions. */
#include <arsenal/atomic.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/thread_once.h>

#include <limits.h>

#include "base/san.h"
#include "os/os.h"

enum {
    NEW = ARS__THREAD_ONCE_NEW,
    RUNNING = ARS__THREAD_ONCE_RUNNING,
    SLEPT = ARS__THREAD_ONCE_SLEPT,
    DONE = ARS__THREAD_ONCE_DONE
};

int ars_thread_once_slow(ars_thread_once *once, int (*fn)(void *arg), void *arg, ars_time deadline)
{
    int rc = 0;
    if (!fn) return ARS_EINVAL;
    for (;;) {
        /* Acquire: pairs with the release of who has done it, or tried. */
        uint32_t word = ars_atomic_u32_load_acquire(&once->word);
        if (word == DONE) {
            ars__san_acquire(&once->word); /* this is not instrumented */
            return 0;
        }
        if (word == NEW) {
            /* Acquire: what one that failed has left. */
            if (!ars_atomic_u32_cas_acquire(&once->word, &word, RUNNING)) continue;
            break;
        }
        if (deadline == 0 || rc == ARS_ETIMEDOUT) return ARS_ETIMEDOUT;
        if (word == RUNNING && !ars_atomic_u32_cas_relaxed(&once->word, &word, SLEPT)) continue;
        /* Interrupted, woken, or out of time: the word decides. */
        rc = ars__os_futex_wait(&once->word.ars__v, SLEPT, deadline);
    }
    ars__san_acquire(&once->word);
    rc = fn(arg);
    ars__san_release(&once->word);
    /* Release: what was done, for whoever finds that it was. */
    if (ars_atomic_u32_swap_release(&once->word, rc < 0 ? NEW : DONE) == SLEPT)
        ars__os_futex_wake(&once->word.ars__v, INT_MAX);
    return rc < 0 ? rc : 0;
}
