/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/thread_mutex.h>

#include "os/os.h"
#define ars__os_futex_wait model_futex_wait
#define ars__os_futex_wake model_futex_wake
#define SPINS              1
#include "sync/thread_mutex.c"

static void take(ars_thread_mutex *mutex)
{
    if (ars_thread_mutex_lock(mutex, ARS_FOREVER) != 0) model_fail("lock", __LINE__);
}

static int try_to(ars_thread_mutex *mutex)
{
    return ars_thread_mutex_lock(mutex, 0) == 0;
}

#define TYPE   ars_thread_mutex
#define LOCK   take
#define TRY    try_to
#define UNLOCK ars_thread_mutex_unlock
#include "lock.h"
