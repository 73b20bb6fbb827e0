/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/san.h"
#include "os/linux/sys.h"

enum { GUARD_BATCH = 64 };

size_t ars__os_page_size(void)
{
    return getauxval(AT_PAGESZ);
}

int ars__os_reserve(void **out, size_t size)
{
    long p = ars__sys_mmap(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    /* EAGAIN: over RLIMIT_MEMLOCK under mlockall().  To the caller that is no memory, too. */
    if (p == ARS_EAGAIN) return ARS_ENOMEM;
    if (p < 0 && p >= -4095) return (int)p;
    /* ThreadSanitizer has not seen who had these addresses before go. */
    ars__san_forget((void *)p, size);

    /* EINVAL: a kernel without huge pages. */
    long rc = ARS__SYS(SYS_madvise, p, size, MADV_NOHUGEPAGE);
    if (rc < 0 && rc != ARS_EINVAL) {
        ARS__SYS(SYS_munmap, p, size);
        return (int)rc;
    }
    *out = (void *)p;
    return 0;
}

int ars__os_release(void *p, size_t size)
{
    return (int)ARS__SYS(SYS_munmap, p, size);
}

int ars__os_discard(void *p, size_t size)
{
    return (int)ARS__SYS(SYS_madvise, p, size, MADV_DONTNEED);
}

/*
 * Guards as many ranges as one call takes and returns how many those were; 0
 * where the kernel cannot batch: before 6.14, which knows neither the
 * descriptor that stands for the caller itself nor this advice for it.
 */
static unsigned guard_batch(char *p, size_t size, size_t stride, unsigned n)
{
    struct iovec ranges[GUARD_BATCH];
    if (n > GUARD_BATCH) n = GUARD_BATCH;
    for (unsigned i = 0; i < n; i++) {
        ranges[i].iov_base = p + i * stride;
        ranges[i].iov_len = size;
    }
    long done = ARS__SYS(ARS__NR_PROCESS_MADVISE, ARS__PIDFD_SELF_THREAD, ranges, n,
                         ARS__MADV_GUARD_INSTALL, 0);
    return done < 0 ? 0 : (unsigned)((size_t)done / size);
}

int ars__os_guard_light(void *p, size_t size, size_t stride, unsigned n)
{
    char *at = p;
    while (n > 0) {
        unsigned done = n > 1 ? guard_batch(at, size, stride, n) : 0;
        if (done == 0) {
            long rc = ARS__SYS(SYS_madvise, at, size, ARS__MADV_GUARD_INSTALL);
            if (rc < 0) return (int)rc;
            done = 1;
        }
        at += done * stride;
        n -= done;
    }
    return 0;
}

int ars__os_guard_protect(void *p, size_t size)
{
    return (int)ARS__SYS(SYS_mprotect, p, size, PROT_NONE);
}

int ars__os_guard_probe(const void *p)
{
    /*
     * An event counter reads the eight bytes before it looks at them, and then
     * takes or refuses them without waiting.  Aligned down, they lie in p's page.
     */
    const void *word = (const void *)((uintptr_t)p & ~(uintptr_t)7);
    long fd = ARS__SYS(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return (int)fd;
    long rc = ARS__SYS(SYS_write, fd, word, 8);
    ARS__SYS(SYS_close, fd);
    if (rc == ARS_EFAULT) return 1;
    if (rc == 8 || rc == ARS_EINVAL || rc == ARS_EAGAIN) return 0;
    return rc < 0 ? (int)rc : ARS_EIO;
}
