/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_ALLOC_H
#define ARSENAL_ALLOC_H

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/*
 * An allocator is three functions and their context.  Whoever creates an
 * object that allocates gives one at creation; NULL stands for the default,
 * which is the C library's.
 *
 * Alignments are powers of two, sizes are above 0: for others, as without memory,
 * a call returns NULL and has changed nothing.  A block that is freed is not NULL.
 * An allocator that is given to a runtime must be safe to call from several
 * threads; it must not suspend.
 */
typedef struct ars_alloc {
    /* 'size' bytes aligned to 'align', or NULL. */
    void *(*alloc)(void *ctx, size_t size, size_t align);
    /*
     * The block at 'p' of 'old' bytes and alignment 'align' with 'size' bytes
     * instead, moved if need be; NULL leaves it as it was.
     */
    void *(*resize)(void *ctx, void *p, size_t old, size_t size, size_t align);
    /* Gives back a block with the size and alignment it was asked for. */
    void (*free)(void *ctx, void *p, size_t size, size_t align);
    void *ctx;
} ars_alloc;

/*
 * ars_alloc_default() gives the allocator that NULL stands for: the C
 * library's malloc, with alignment.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API const ars_alloc *ars_alloc_default(void);

/*
 * The tracking allocator passes everything on to another one and counts: what
 * is in use, the most that ever was, and how often it was called.  It tells
 * whether a program gave back what it took.  Safe from several threads.
 *
 * All-zero is not valid; it must not be moved while it is in use.
 */
typedef struct ars_alloc_tracker {
    ars_alloc alloc; /* hand &tracker.alloc to whoever allocates */
    const ars_alloc *ars__base;
    ars_atomic_u64 ars__bytes, ars__peak, ars__blocks, ars__calls;
} ars_alloc_tracker;

/* What a tracker has counted: bytes and blocks in use, peak bytes, calls made. */
typedef struct ars_alloc_stats {
    uint64_t bytes;
    uint64_t blocks;
    uint64_t peak;
    uint64_t calls;
} ars_alloc_stats;

/*
 * ars_alloc_tracker_init() makes '*tracker' pass calls on to 'base' (NULL: the
 * default).  It needs no deinit: it owns nothing.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_alloc_tracker_init(ars_alloc_tracker *tracker, const ars_alloc *base);

/*
 * ars_alloc_tracker_stats() gives the counts so far.  While other threads
 * allocate, the counts need not belong to one instant.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_alloc_stats ars_alloc_tracker_stats(const ars_alloc_tracker *tracker);

/*
 * The failing allocator passes calls on to another one, except those that it
 * has been told to fail.  It is for tests: rerun a program with its 1st, 2nd,
 * ... n-th allocation failing and every error path has been taken.  Calls are
 * counted from 1 and only alloc, and resize to a larger size, count.  Safe
 * from several threads.
 */
typedef struct ars_alloc_failer {
    ars_alloc alloc; /* hand &failer.alloc to whoever allocates */
    const ars_alloc *ars__base;
    uint64_t ars__at;
    int ars__from_then_on;
    ars_atomic_u64 ars__calls, ars__failed;
} ars_alloc_failer;

/*
 * ars_alloc_failer_init() makes '*failer' fail call number 'at' (0: none) and,
 * with 'from_then_on', every later one too.  'base' NULL is the default.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_alloc_failer_init(ars_alloc_failer *failer, const ars_alloc *base, uint64_t at,
                                   int from_then_on);

/*
 * ars_alloc_failer_calls() gives how many calls were counted, failed ones
 * included, and ars_alloc_failer_failed() how many of them were made to fail.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API uint64_t ars_alloc_failer_calls(const ars_alloc_failer *failer);
ARS_API uint64_t ars_alloc_failer_failed(const ars_alloc_failer *failer);

ARS_END_DECLS

#endif
