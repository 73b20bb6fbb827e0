/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <sys/mman.h>

#include "os/linux/sys.h"

int ars__os_uring_setup(unsigned entries, struct io_uring_params *p)
{
    return (int)ARS__SYS(ARS__NR_URING_SETUP, entries, p);
}

int ars__os_uring_enter(int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg,
                        size_t size)
{
    return (int)ARS__SYS(ARS__NR_URING_ENTER, ring, submit, wait, flags, arg, size);
}

int ars__os_uring_register(int ring, unsigned op, void *arg, unsigned n)
{
    return (int)ARS__SYS(ARS__NR_URING_REGISTER, ring, op, arg, n);
}

int ars__os_uring_map(void **out, int ring, size_t size, uint64_t offset)
{
    long p = ars__sys_mmap(size, MAP_SHARED | MAP_POPULATE, ring, offset);
    if (p < 0 && p >= -4095) return (int)p;
    *out = (void *)p;
    return 0;
}

int ars__os_uring_unmap(void *p, size_t size)
{
    return (int)ARS__SYS(SYS_munmap, p, size);
}
