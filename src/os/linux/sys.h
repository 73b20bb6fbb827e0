/* SPDX-License-Identifier: MIT */
#ifndef ARS_OS_LINUX_SYS_H
#define ARS_OS_LINUX_SYS_H

/*
 * The one way into the kernel for everything in this folder.
 *
 * ars__sys() makes a system call and returns what the kernel returned: >= 0 or
 * -errno.  The C library's errno is as it was before.  It lies in a file of
 * its own, so that no compiler can keep the address of errno beyond it: after
 * a context switch that would be another thread's.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/san.h"

long ars__sys(long number, long a, long b, long c, long d, long e, long f);

#define ARS__SYS_N(n, a, b, c, d, e, f, ...)                                                       \
    ars__sys((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define ARS__SYS(...) ARS__SYS_N(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Readable and writable.  On s390x the call takes its arguments in memory. */
static inline long ars__sys_mmap(size_t size, int flags, int fd, uint64_t offset)
{
#if defined(__s390x__)
    const unsigned long in[] = {
        0, size, PROT_READ | PROT_WRITE, (unsigned long)flags, (unsigned long)fd, offset};
    return ARS__SYS(SYS_mmap, in);
#else
    return ARS__SYS(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, flags, fd, offset);
#endif
}

/* What kernels know that Debian's headers (6.1) do not; numbers are the same on all CPUs. */
enum {
    ARS__NR_EPOLL_PWAIT2 = 441,    /* 5.11 */
    ARS__NR_PROCESS_MADVISE = 440, /* 5.10 */
    ARS__NR_URING_SETUP = 425,     /* 5.1 */
    ARS__NR_URING_ENTER = 426,
    ARS__NR_URING_REGISTER = 427,
    ARS__MADV_GUARD_INSTALL = 102,   /* 6.13 */
    ARS__PIDFD_SELF_THREAD = -10000, /* 6.14 */
};

/* The kernel's timespec on 64-bit systems. */
typedef struct ars__timespec {
    int64_t seconds;
    int64_t nanoseconds;
} ars__timespec;

/* Times before 0 count as 0: the kernel refuses them. */
static inline ars__timespec ars__timespec_of(int64_t time)
{
    ars__timespec ts = {0, 0};
    if (time > 0) {
        ts.seconds = time / 1000000000;
        ts.nanoseconds = time % 1000000000;
    }
    return ts;
}

/* The result of a call that has moved that many bytes from or to a buffer of 'size', if not fewer. */
static inline int64_t ars__moved(const void *buf, size_t size, int64_t n)
{
    if (n > 0) ars__san_check(buf, (size_t)n < size ? (size_t)n : size);
    return n;
}

#endif
