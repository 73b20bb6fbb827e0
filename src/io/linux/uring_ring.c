/* SPDX-License-Identifier: MIT */
#include "io/linux/uring_ring.h"

#include <string.h>

#include "base/assert.h"
#include "base/san.h"
#include "os/os.h"

enum { NEEDED = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG };

static int map(ars__ring *ring, const struct io_uring_params *p)
{
    size_t sq_end = (p->flags & IORING_SETUP_NO_SQARRAY)
                        ? 0
                        : p->sq_off.array + p->sq_entries * sizeof(unsigned);
    size_t cq_end = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = sq_end > cq_end ? sq_end : cq_end;
    ring->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
    int rc = ars__os_uring_map(&ring->rings_map, ring->fd, ring->rings_size, IORING_OFF_SQ_RING);
    if (rc < 0) return rc;
    rc = ars__os_uring_map(&ring->sqes_map, ring->fd, ring->sqes_size, IORING_OFF_SQES);
    if (rc < 0) {
        ars__os_uring_unmap(ring->rings_map, ring->rings_size);
        return rc;
    }
    char *base = ring->rings_map;
    ring->sqes = ring->sqes_map;
    ring->sq_head = (unsigned *)(void *)(base + p->sq_off.head);
    ring->sq_tail = (unsigned *)(void *)(base + p->sq_off.tail);
    ring->sq_flags = (unsigned *)(void *)(base + p->sq_off.flags);
    ring->sq_filled = *ring->sq_tail;
    ring->sq_mask = p->sq_entries - 1;
    ring->cqes = (struct io_uring_cqe *)(void *)(base + p->cq_off.cqes);
    ring->cq_head = (unsigned *)(void *)(base + p->cq_off.head);
    ring->cq_tail = (unsigned *)(void *)(base + p->cq_off.tail);
    ring->cq_mask = p->cq_entries - 1;
    if (!(p->flags & IORING_SETUP_NO_SQARRAY)) {
        /* Entries are handed over in the order of the ring, always. */
        unsigned *array = (unsigned *)(void *)(base + p->sq_off.array);
        for (unsigned i = 0; i < p->sq_entries; i++) array[i] = i;
    }
    return 0;
}

/* 0 with the ring's descriptor and parameters, or the last error. */
static int setup(ars__ring *ring, struct io_uring_params *p)
{
    /* Best first: 6.6, 6.1, 5.19, any. */
    static const unsigned ladder[] = {
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_NO_SQARRAY,
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    /* 10,000 connections may all have something to say at once. */
    static const struct {
        unsigned sq, cq;
    } sizes[] = {{1024, 16384}, {128, 2048}};
    int rc = ARS_ENOSYS;
    for (unsigned size = 0; size < sizeof sizes / sizeof *sizes; size++) {
        for (unsigned step = 0; step < sizeof ladder / sizeof *ladder; step++) {
            memset(p, 0, sizeof *p);
            p->flags = ladder[step] | IORING_SETUP_CQSIZE;
            p->cq_entries = sizes[size].cq;
            rc = ars__os_uring_setup(sizes[size].sq, p);
            if (rc >= 0) {
                ring->fd = rc;
                ring->setup = p->flags;
                ring->features = p->features;
                return 0;
            }
            if (rc != ARS_EINVAL) break;
        }
        if (rc != ARS_ENOMEM) break;
    }
    return rc;
}

int ars__ring_open(ars__ring *ring)
{
    struct io_uring_params p;
    int rc = setup(ring, &p);
    if (rc < 0) return rc;
    rc = (p.features & NEEDED) == NEEDED ? map(ring, &p) : ARS_ENOSYS;
    if (rc < 0) ars__os_close(ring->fd);
    return rc;
}

void ars__ring_close(ars__ring *ring)
{
    ars__os_uring_unmap(ring->sqes_map, ring->sqes_size);
    ars__os_uring_unmap(ring->rings_map, ring->rings_size);
    ars__os_close(ring->fd);
}

int ars__ring_enter(ars__ring *ring, int wait, ars_time deadline)
{
    struct __kernel_timespec span;
    struct io_uring_getevents_arg arg = {.sigmask_sz = 8};
    unsigned flags = IORING_ENTER_GETEVENTS;
    size_t size = 0;
    if (wait && deadline != ARS_FOREVER) {
        ars_time left = deadline - ars__os_now();
        if (left <= 0) {
            wait = 0;
        } else {
            span.tv_sec = left / ARS_SECOND;
            span.tv_nsec = left % ARS_SECOND;
            arg.ts = (uint64_t)(uintptr_t)&span;
            flags |= IORING_ENTER_EXT_ARG;
            size = sizeof arg;
        }
    }
    /* Release: the kernel sees the entries before the tail that covers them. */
    __atomic_store_n(ring->sq_tail, ring->sq_filled, __ATOMIC_RELEASE);
    unsigned filled = ring->sq_filled - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
    return ars__os_uring_enter(ring->fd, filled, (unsigned)wait, flags, size ? &arg : NULL, size);
}

static int make_room(ars__ring *ring)
{
    for (int attempt = 0; attempt < 4; attempt++) {
        __atomic_store_n(ring->sq_tail, ring->sq_filled, __ATOMIC_RELEASE);
        ars__os_uring_enter(ring->fd, ring->sq_mask + 1, 0, 0, NULL, 0);
        if (ring->sq_filled - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) <= ring->sq_mask)
            return 1;
    }
    return 0;
}

struct io_uring_sqe *ars__ring_sqe(ars__ring *ring)
{
    /* Acquire: the kernel is done with the entries below the head. */
    unsigned head = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
    if (ARS__UNLIKELY(ring->sq_filled - head > ring->sq_mask) && !make_room(ring)) return NULL;
    struct io_uring_sqe *sqe = &ring->sqes[ring->sq_filled++ & ring->sq_mask];
    ars__san_ignore_begin(); /* all tasks of the worker use it */
    memset(sqe, 0, sizeof *sqe);
    ars__san_ignore_end();
    return sqe;
}
