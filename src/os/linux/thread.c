/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>

#include "os/linux/sys.h"

/* The kernel's signal sets are one word; the C library's are larger. */
static const uint64_t sigpipe_set = UINT64_C(1) << (SIGPIPE - 1);

int ars__os_futex_wait(uint32_t *word, uint32_t expected, ars_time deadline)
{
    /* The bitset form takes an absolute time, on the monotonic clock. */
    ars__timespec ts = ars__timespec_of(deadline);
    return (int)ARS__SYS(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                         deadline == ARS_FOREVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

int ars__os_futex_wake(uint32_t *word, unsigned n)
{
    if (n > INT32_MAX) n = INT32_MAX;
    return (int)ARS__SYS(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n);
}

int ars__os_thread_start(uintptr_t *out, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    pthread_t thread;
    int keep = errno;
    /* Those that say that the thread itself has gone wrong stay. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGTRAP);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = keep;
    if (rc) return -rc;
    *out = (uintptr_t)thread;
    return 0;
}

int ars__os_thread_join(uintptr_t thread)
{
    return -pthread_join((pthread_t)thread, NULL);
}

int ars__os_thread_let_go(uintptr_t thread)
{
    return -pthread_detach((pthread_t)thread);
}

int ars__os_thread_yield(void)
{
    return (int)ARS__SYS(SYS_sched_yield);
}

int ars__os_barrier_init(void)
{
    return (int)ARS__SYS(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

int ars__os_barrier(void)
{
    return (int)ARS__SYS(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

int ars__os_sigpipe_block(void)
{
    uint64_t before = 0;
    long rc = ARS__SYS(SYS_rt_sigprocmask, SIG_BLOCK, &sigpipe_set, &before, sizeof before);
    if (rc < 0) return (int)rc;
    return (before & sigpipe_set) == 0;
}

int ars__os_sigpipe_restore(int was_unblocked)
{
    if (!was_unblocked) return 0;
    const ars__timespec no_wait = {0, 0};
    long rc;
    /* One may be pending for the thread and one for the process. */
    do {
        rc = ARS__SYS(SYS_rt_sigtimedwait, &sigpipe_set, NULL, &no_wait, sizeof sigpipe_set);
    } while (rc > 0 || rc == ARS_EINTR);
    return (int)ARS__SYS(SYS_rt_sigprocmask, SIG_UNBLOCK, &sigpipe_set, NULL, sizeof sigpipe_set);
}
