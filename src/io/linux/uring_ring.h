/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LINUX_URING_RING_H
#define ARS_IO_LINUX_URING_RING_H

/*
 * The pair of rings shared with the kernel: entries are filled in one, results
 * come in the other, and one system call hands over and waits.
 *
 * Used by the thread that opened it only.
 */

#include <arsenal/base.h>

#include "io/linux/uring_abi.h"

typedef struct ars__ring {
    int fd;
    unsigned setup; /* the flags that the kernel accepted */
    unsigned features;
    struct io_uring_sqe *sqes;
    unsigned *sq_head, *sq_tail, *sq_flags; /* shared; the kernel moves the head */
    unsigned sq_filled;                     /* our tail: what is filled and maybe not yet shown */
    unsigned sq_mask;
    struct io_uring_cqe *cqes;
    unsigned *cq_head, *cq_tail; /* shared; the kernel moves the tail */
    unsigned cq_mask;
    void *rings_map, *sqes_map;
    size_t rings_size, sqes_size;
} ars__ring;

/*
 * Opens a ring with the best flags that the kernel takes, and smaller where it
 * has no memory.  On an error '*ring' is undefined; ARS_ENOSYS, ARS_EPERM,
 * ARS_EACCES and ARS_EINVAL mean that there is no (usable) io_uring here.
 */
int ars__ring_open(ars__ring *ring);
void ars__ring_close(ars__ring *ring);

/*
 * Hands over what is filled.  'wait': until a completion is there, or
 * 'deadline' has passed, or a signal came.  Runs deferred work of the kernel
 * in any case.  Errors need no handling: what was not taken is handed over the
 * next time.
 */
int ars__ring_enter(ars__ring *ring, int wait, ars_time deadline);

/* An entry to fill, all zero; NULL if the ring is full and the kernel does not take what is in it. */
struct io_uring_sqe *ars__ring_sqe(ars__ring *ring);

/* Whether entering without waiting would do anything. */
static inline int ars__ring_has_work(const ars__ring *ring)
{
    unsigned flags = __atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED);
    return ring->sq_filled != *ring->sq_head ||
           (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static inline int ars__ring_has_results(const ars__ring *ring)
{
    /* Acquire: pairs with the kernel's release of the tail, after it wrote the entries. */
    return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) != *ring->cq_head;
}

#endif
