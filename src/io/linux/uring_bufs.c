/* SPDX-License-Identifier: MIT */
#include "io/linux/uring_bufs.h"

#include "os/os.h"

enum {
    RING_BYTES = ARS__BUFS_PLACES * sizeof(struct io_uring_buf),
    DATA_BYTES = ARS__BUFS_MAX * ARS__BUFS_STRIDE,
    CHAIN_BYTES = ARS__BUFS_MAX * 8,
    BYTES = RING_BYTES + DATA_BYTES + CHAIN_BYTES
};

static void add(ars__bufs *bufs, uint32_t n)
{
    while (n-- > 0) {
        bufs->made++;
        ars__bufs_give(bufs, bufs->made - 1);
    }
}

int ars__bufs_open(ars__bufs *bufs, int ring)
{
    void *p;
    int rc = ars__os_reserve(&p, BYTES);
    if (rc < 0) return rc;
    *bufs = (ars__bufs){.ring = p, .data = (char *)p + RING_BYTES};
    bufs->chain = (void *)(bufs->data + DATA_BYTES);
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)p,
                                   .ring_entries = ARS__BUFS_PLACES,
                                   .bgid = ARS__BUFS_GROUP};
    rc = ars__os_uring_register(ring, IORING_REGISTER_PBUF_RING, &reg, 1);
    if (rc < 0) {
        ars__os_release(p, BYTES);
        return rc;
    }
    ars__san_poison(bufs->data, DATA_BYTES);
    add(bufs, ARS__BUFS_START);
    return 0;
}

void ars__bufs_close(ars__bufs *bufs)
{
    ars__san_unpoison(bufs->data, DATA_BYTES);
    ars__os_release(bufs->ring, BYTES);
}

void ars__bufs_grow(ars__bufs *bufs)
{
    if (bufs->grown || bufs->made == ARS__BUFS_MAX) return;
    bufs->grown = 1;
    add(bufs, bufs->made);
}

void ars__bufs_shrink(ars__bufs *bufs)
{
    ARS__ASSERT(ars__bufs_surplus(bufs));
    size_t page = ars__os_page_size();
    size_t kept = (ARS__BUFS_KEPT * ARS__BUFS_STRIDE + page - 1) & ~(page - 1);
    /* All that is made lies between the kernel's head and our tail: from its head on, again. */
    bufs->tail = (uint16_t)(bufs->tail - bufs->made);
    bufs->made = bufs->free = bufs->used = 0;
    add(bufs, ARS__BUFS_START);
    ars__os_discard(bufs->data + kept, (DATA_BYTES - kept) & ~(page - 1));
}
