/* SPDX-License-Identifier: MIT */
#include "os/linux/sys.h"

#include <errno.h>
#include <unistd.h>

long ars__sys(long number, long a, long b, long c, long d, long e, long f)
{
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);
    if (result == -1) {
        result = -errno;
        errno = saved;
    }
    return result;
}
