/* SPDX-License-Identifier: MIT */
#include "io/lend.h"

#include "base/assert.h"
#include "base/san.h"
#include "os/os.h"

enum {
    DATA_BYTES = ARS__LEND_SIZE * ARS__LEND_COUNT,
    FREE_BYTES = ARS__LEND_COUNT * sizeof(uint16_t),
    BYTES = DATA_BYTES + FREE_BYTES
};

int ars__lend_take(ars__lend *lend)
{
    if (ARS__UNLIKELY(!lend->data)) {
        void *p;
        int rc = ars__os_reserve(&p, BYTES);
        if (rc < 0) return rc;
        lend->data = p;
        lend->free = (uint16_t *)(void *)(lend->data + DATA_BYTES);
        ars__san_poison(lend->data, DATA_BYTES);
    }
    unsigned id;
    if (lend->free_count > 0)
        id = lend->free[--lend->free_count];
    else if (lend->made < ARS__LEND_COUNT)
        id = lend->made++;
    else
        return ARS_ENOBUFS;
    ars__san_unpoison(ars__lend_at(lend, id), ARS__LEND_SIZE);
    ars__san_acquire(ars__lend_at(lend, id)); /* from who had it before */
    return (int)id;
}

void ars__lend_give(ars__lend *lend, unsigned id)
{
    ARS__ASSERT(id < lend->made && lend->free_count < lend->made);
    ars__san_release(ars__lend_at(lend, id));
    ars__san_poison(ars__lend_at(lend, id), ARS__LEND_SIZE);
    lend->free[lend->free_count++] = (uint16_t)id;
}

void ars__lend_deinit(ars__lend *lend)
{
    if (!lend->data) return;
    ars__san_unpoison(lend->data, DATA_BYTES);
    ars__os_release(lend->data, BYTES);
    *lend = (ars__lend){0};
}
