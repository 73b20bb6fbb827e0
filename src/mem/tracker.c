/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/alloc.h>. */
#include <arsenal/alloc.h>
#include <arsenal/atomic.h>

#include "base/assert.h"

static void count(ars_alloc_tracker *tracker, uint64_t bytes, uint64_t blocks)
{
    /* Differences wrap, so a decrease is the addition of a number near 2^64. */
    uint64_t now = ars_atomic_u64_add_relaxed(&tracker->ars__bytes, bytes) + bytes;
    ars_atomic_u64_add_relaxed(&tracker->ars__blocks, blocks);
    ars_atomic_u64_add_relaxed(&tracker->ars__calls, 1);
    uint64_t peak = ars_atomic_u64_load_relaxed(&tracker->ars__peak);
    while (now > peak && (int64_t)now > 0) {
        if (ars_atomic_u64_cas_acq_rel(&tracker->ars__peak, &peak, now)) break;
    }
}

static void *tracker_alloc(void *ctx, size_t size, size_t align)
{
    ars_alloc_tracker *tracker = ctx;
    const ars_alloc *base = tracker->ars__base;
    void *p = base->alloc(base->ctx, size, align);
    count(tracker, p ? size : 0, p ? 1 : 0);
    return p;
}

static void *tracker_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    ars_alloc_tracker *tracker = ctx;
    const ars_alloc *base = tracker->ars__base;
    void *q = base->resize(base->ctx, p, old, size, align);
    count(tracker, q ? (uint64_t)size - old : 0, 0);
    return q;
}

static void tracker_free(void *ctx, void *p, size_t size, size_t align)
{
    ars_alloc_tracker *tracker = ctx;
    const ars_alloc *base = tracker->ars__base;
    ARS__ASSERT(ars_atomic_u64_load_relaxed(&tracker->ars__blocks) > 0);
    base->free(base->ctx, p, size, align);
    count(tracker, 0 - (uint64_t)size, (uint64_t)-1);
}

void ars_alloc_tracker_init(ars_alloc_tracker *tracker, const ars_alloc *base)
{
    *tracker = (ars_alloc_tracker){
        .alloc = {tracker_alloc, tracker_resize, tracker_free, tracker},
        .ars__base = base ? base : ars_alloc_default(),
    };
}

ars_alloc_stats ars_alloc_tracker_stats(const ars_alloc_tracker *tracker)
{
    return (ars_alloc_stats){
        .bytes = ars_atomic_u64_load_relaxed(&tracker->ars__bytes),
        .blocks = ars_atomic_u64_load_relaxed(&tracker->ars__blocks),
        .peak = ars_atomic_u64_load_relaxed(&tracker->ars__peak),
        .calls = ars_atomic_u64_load_relaxed(&tracker->ars__calls),
    };
}
