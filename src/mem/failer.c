/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/alloc.h>. */
#include <arsenal/alloc.h>
#include <arsenal/atomic.h>

/* Counts one call and tells whether it is to fail. */
static int fails(ars_alloc_failer *failer)
{
    uint64_t at = failer->ars__at;
    uint64_t call = ars_atomic_u64_add_relaxed(&failer->ars__calls, 1) + 1;
    if (at == 0 || call < at || (call > at && !failer->ars__from_then_on)) return 0;
    ars_atomic_u64_add_relaxed(&failer->ars__failed, 1);
    return 1;
}

static void *failer_alloc(void *ctx, size_t size, size_t align)
{
    ars_alloc_failer *failer = ctx;
    const ars_alloc *base = failer->ars__base;
    return fails(failer) ? NULL : base->alloc(base->ctx, size, align);
}

static void *failer_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    ars_alloc_failer *failer = ctx;
    const ars_alloc *base = failer->ars__base;
    if (size > old && fails(failer)) return NULL;
    return base->resize(base->ctx, p, old, size, align);
}

static void failer_free(void *ctx, void *p, size_t size, size_t align)
{
    ars_alloc_failer *failer = ctx;
    const ars_alloc *base = failer->ars__base;
    base->free(base->ctx, p, size, align);
}

void ars_alloc_failer_init(ars_alloc_failer *failer, const ars_alloc *base, uint64_t at,
                           int from_then_on)
{
    *failer = (ars_alloc_failer){
        .alloc = {failer_alloc, failer_resize, failer_free, failer},
        .ars__base = base ? base : ars_alloc_default(),
        .ars__at = at,
        .ars__from_then_on = from_then_on,
    };
}

uint64_t ars_alloc_failer_calls(const ars_alloc_failer *failer)
{
    return ars_atomic_u64_load_relaxed(&failer->ars__calls);
}

uint64_t ars_alloc_failer_failed(const ars_alloc_failer *failer)
{
    return ars_atomic_u64_load_relaxed(&failer->ars__failed);
}
