/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LEND_H
#define ARS_IO_LEND_H

/*
 * Buffers to lend that the kernel knows nothing of: taken when there is
 * something to read into them, so that an idle connection holds none, and the
 * one given back last is taken first, so that few of them are ever touched.
 *
 * All-zero is an empty pool; the memory is reserved at the first take.
 */

#include <arsenal/base.h>

enum { ARS__LEND_SIZE = 2048, ARS__LEND_COUNT = 4096 };

typedef struct ars__lend {
    char *data;
    uint16_t *free; /* a stack of the ids that were given back */
    uint32_t free_count;
    uint32_t made; /* ids from here on were never taken */
} ars__lend;

/* An id below ARS__LEND_COUNT; ARS_ENOBUFS when all are out; ARS_ENOMEM. */
int ars__lend_take(ars__lend *lend);
void ars__lend_give(ars__lend *lend, unsigned id);
void ars__lend_deinit(ars__lend *lend);

static inline char *ars__lend_at(const ars__lend *lend, unsigned id)
{
    return lend->data + (size_t)id * ARS__LEND_SIZE;
}

#endif
