/* SPDX-License-Identifier: MIT */
/* Documented in bias.h. */
#include "run/bias.h"

#include "os/os.h"

enum {
    SPINS = 200, /* before another thread of this CPU, perhaps the owner, gets its turn */
    TRIES = 100,
    NAP = 20 * 1000 * 1000 /* ns */
};

ars_atomic_u32 ars__bias_usable;

void ars__bias_init(void)
{
    if (ars_atomic_u32_load_relaxed(&ars__bias_usable)) return;
    if (ars__os_barrier_init() == 0) ars_atomic_u32_store_relaxed(&ars__bias_usable, 1);
}

/*
 * Once it has worked it goes on to, unless the program has forbidden itself the
 * call since, or memory is short.  Then it is waited until every CPU has had
 * its timer's interrupt, which is such a barrier.
 */
static void barrier(void)
{
    static uint32_t word;
    for (int i = 0; i < TRIES; i++) {
        if (ars__os_barrier() == 0) return;
        ars__os_thread_yield();
    }
    ars_time until = ars_time_add(ars__os_now(), NAP);
    while (ars__os_futex_wait(&word, 0, until) != ARS_ETIMEDOUT && ars__os_now() < until) {}
}

ARS__NOINLINE void ars__bias_end(ars__bias *bias)
{
    uintptr_t claim = bias->claim & ~(uintptr_t)ARS__BIAS_MASK;
    int biased = (bias->claim & ARS__BIASED) != 0;
    if (biased && (claim & ARS__BIAS_LOW) < ARS__BIAS_LOW - ARS__BIAS_MASK)
        claim += ARS__BIAS_TAKEN;
    bias->claim = claim;
    if (!biased) return;
    ars_atomic_ptr_store_relaxed(&bias->owner, NULL);
    barrier();
    /* Acquire: pairs with the release of who leaves the section. */
    for (unsigned spins = 1; ars_atomic_u32_load_acquire(&bias->busy); spins++) {
        if (spins % SPINS == 0)
            ars__os_thread_yield();
        else
            ars_atomic_pause();
    }
}
