/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/thread_mutex.h>; with the exported twins of its inline functions. */
#include <arsenal/atomic.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/thread_mutex.h>

#include "base/san.h"
#include "os/os.h"

/* 1 to 2 us: less than a sleep and a wake-up cost. */
#ifndef SPINS
#define SPINS 40
#endif

enum {
    FREE = ARS__THREAD_MUTEX_FREE,
    HELD = ARS__THREAD_MUTEX_HELD,
    SLEPT = ARS__THREAD_MUTEX_SLEPT
};

/* The inlined unlock is instrumented, and so is its release at the word; this here is not. */
static int taken(ars_thread_mutex *mutex)
{
    ars__san_acquire(&mutex->word);
    return 0;
}

int ars_thread_mutex_lock_slow(ars_thread_mutex *mutex, ars_time deadline)
{
    int rc = 0;
    if (deadline == 0) return ARS_ETIMEDOUT;
    for (int i = 0; i < SPINS; i++) {
        if (i > 0) ars_atomic_pause();
        uint32_t word = ars_atomic_u32_load_relaxed(&mutex->word);
        /* Acquire: pairs with the release of the unlock before. */
        if (word == FREE && ars_atomic_u32_cas_acquire(&mutex->word, &word, HELD))
            return taken(mutex);
        /* Others sleep already: its holders need long. */
        if (word == SLEPT) break;
    }
    /* Acquire: as above. */
    while (ars_atomic_u32_swap_acquire(&mutex->word, SLEPT) != FREE) {
        if (rc == ARS_ETIMEDOUT) return rc;
        /* Interrupted, woken while another was faster, or out of time: the word decides. */
        rc = ars__os_futex_wait(&mutex->word.ars__v, SLEPT, deadline);
    }
    return taken(mutex);
}

int ars_thread_mutex_unlock_slow(ars_thread_mutex *mutex, uint32_t was)
{
    if (was == FREE) return ARS_EPERM;
    /* The address only: whoever has it now may have freed the memory. */
    ars__os_futex_wake(&mutex->word.ars__v, 1);
    return 0;
}
