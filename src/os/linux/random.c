/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/linux/sys.h"
#include "os/os.h"

int64_t ars__os_random(void *buf, size_t n)
{
    return ars__moved(buf, n, ARS__SYS(SYS_getrandom, buf, n, 0));
}
