/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LINUX_URING_BUFS_H
#define ARS_IO_LINUX_URING_BUFS_H

/*
 * The buffers that the kernel receives into before anybody asks.  They lie in
 * a ring that the kernel takes from; what it took comes back by completion, is
 * queued in a source or lent to a user, and is given to the ring again.
 *
 * There is address space for ARS__BUFS_MAX of them, but the ring starts small
 * and doubles when the kernel finds it empty, so that a server with few busy
 * connections touches few of them.  When nothing has come for a while it is
 * made small again and the memory given back.
 */

#include <arsenal/base.h>

#include "base/assert.h"
#include "base/san.h"
#include "io/linux/uring_abi.h"

enum {
    ARS__BUFS_SIZE = 2048,
    ARS__BUFS_STRIDE =
        ARS__BUFS_SIZE + 64, /* odd in lines: at a power of two all begin in few cache sets */
    ARS__BUFS_START = 256,
    ARS__BUFS_KEPT = 64, /* that keep their memory when nothing has come for a while */
    ARS__BUFS_MAX = 4096,
    /* Places in the ring: an entry is needed until its completion is seen, and nobody promises an order of those. */
    ARS__BUFS_PLACES = 2 * ARS__BUFS_MAX,
    ARS__BUFS_GROUP = 0
};

typedef struct ars__bufs {
    struct io_uring_buf_ring *ring;
    char *data;
    struct {
        uint16_t next, len; /* of a buffer that is queued in a source */
        uint16_t place;     /* in the ring, when it was given last */
    } * chain;
    uint32_t made; /* buffers in use so far: in the ring, queued, or lent */
    uint32_t free; /* of these in the ring, as far as completions told */
    uint16_t tail;
    uint8_t grown; /* in this turn */
    /* Not beside 'free': both change together, and 'free' once more by itself, which would stall them. */
    uint32_t used; /* buffers that came since memory was given back */
} ars__bufs;

/* Registers the ring of buffers with the io_uring 'ring'. */
int ars__bufs_open(ars__bufs *bufs, int ring);
/* When the io_uring is closed, or nothing receives any more. */
void ars__bufs_close(ars__bufs *bufs);
/* The ring was found empty: doubles it, once in a turn, up to the most. */
void ars__bufs_grow(ars__bufs *bufs);

/* Whether there is memory to give back, and every buffer lies in the ring. */
static inline int ars__bufs_surplus(const ars__bufs *bufs)
{
    return bufs->used > ARS__BUFS_KEPT && bufs->free == bufs->made;
}

/*
 * Makes a ring with a surplus small again.  The kernel must not be taking
 * buffers meanwhile: every completion has been looked at, and its work waits
 * for this thread (IORING_SETUP_DEFER_TASKRUN).
 */
void ars__bufs_shrink(ars__bufs *bufs);

static inline char *ars__bufs_at(const ars__bufs *bufs, unsigned id)
{
    return bufs->data + (size_t)id * ARS__BUFS_STRIDE;
}

/*
 * How much of the buffer the kernel could fill.  Where a shot has less left than
 * a buffer it makes the entry's length so small, and leaves it so if nothing
 * came: then the buffer is short for whoever gets it (Linux 6.18).
 */
static inline uint32_t ars__bufs_room(const ars__bufs *bufs, unsigned id)
{
    return bufs->ring->bufs[bufs->chain[id].place & (ARS__BUFS_PLACES - 1)].len;
}

/* The buffer that the kernel took after that one, in the same bundle. */
static inline unsigned ars__bufs_following(const ars__bufs *bufs, unsigned id)
{
    return bufs->ring->bufs[(bufs->chain[id].place + 1) & (ARS__BUFS_PLACES - 1)].bid;
}

/* A completion brought the buffer. */
static inline char *ars__bufs_take(ars__bufs *bufs, unsigned id)
{
    ARS__ASSERT(id < bufs->made && bufs->free > 0);
    char *p = ars__bufs_at(bufs, id);
    bufs->free--;
    bufs->used++;
    ars__san_unpoison(p, ARS__BUFS_SIZE);
    return p;
}

static inline void ars__bufs_give(ars__bufs *bufs, unsigned id)
{
    ARS__ASSERT(id < bufs->made && bufs->free < bufs->made);
    struct io_uring_buf *entry = &bufs->ring->bufs[bufs->tail & (ARS__BUFS_PLACES - 1)];
    char *p = ars__bufs_at(bufs, id);
    ars__san_poison(p, ARS__BUFS_SIZE);
    /* Not entry->resv: in the first entry that is the ring's tail. */
    entry->addr = (uint64_t)(uintptr_t)p;
    entry->len = ARS__BUFS_SIZE;
    entry->bid = (uint16_t)id;
    bufs->chain[id].place = bufs->tail;
    bufs->free++;
    /* Release: the kernel sees the entry before the tail that covers it. */
    __atomic_store_n(&bufs->ring->tail, ++bufs->tail, __ATOMIC_RELEASE);
}

#endif
