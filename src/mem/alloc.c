/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/alloc.h>. */
#include <arsenal/alloc.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/san.h"

/* malloc() aligns to this by itself. */
enum { NATURAL = _Alignof(max_align_t) };

/*
 * The C library sets errno when it has no memory; nothing of ours does.
 * Volatile, because compilers believe that posix_memalign() leaves it alone.
 */
static void restore_errno(int saved)
{
    *(volatile int *)&errno = saved;
}

static void *default_alloc(void *ctx, size_t size, size_t align)
{
    const int saved = *(volatile int *)&errno;
    void *p;
    (void)ctx;
    if (size == 0 || !ars__is_pow2(align)) return NULL;
    if (align <= NATURAL) {
        p = malloc(size);
    } else if (posix_memalign(&p, align, size) != 0) {
        p = NULL;
    }
    if (!p) restore_errno(saved);
    return p;
}

static void *default_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    const int saved = *(volatile int *)&errno;
    void *q;
    /* realloc() would free it for size 0. */
    if (size == 0 || !ars__is_pow2(align)) return NULL;
    if (align <= NATURAL) {
        q = realloc(p, size);
        if (!q) restore_errno(saved);
        return q;
    }
    /* realloc() forgets the alignment. */
    q = default_alloc(ctx, size, align);
    if (!q) return NULL;
    memcpy(q, p, old < size ? old : size);
    free(p);
    return q;
}

static void default_free(void *ctx, void *p, size_t size, size_t align)
{
    (void)ctx, (void)size, (void)align;
    /* The library hands its memory from thread to thread by locks that ThreadSanitizer is not shown. */
    ars__san_ignore_begin();
    free(p);
    ars__san_ignore_end();
}

const ars_alloc *ars_alloc_default(void)
{
    static const ars_alloc alloc = {default_alloc, default_resize, default_free, NULL};
    return &alloc;
}
