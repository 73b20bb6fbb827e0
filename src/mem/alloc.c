/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/alloc.h>. */
#include <arsenal/alloc.h>

#include <stdlib.h>
#include <string.h>

/* malloc() aligns to this by itself. */
enum { NATURAL = _Alignof(max_align_t) };

static void *default_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    if (align <= NATURAL) return malloc(size);
    void *p;
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static void *default_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    if (align <= NATURAL) return realloc(p, size);
    /* realloc() forgets the alignment. */
    void *q = default_alloc(ctx, size, align);
    if (!q) return NULL;
    memcpy(q, p, old < size ? old : size);
    free(p);
    return q;
}

static void default_free(void *ctx, void *p, size_t size, size_t align)
{
    (void)ctx, (void)size, (void)align;
    free(p);
}

const ars_alloc *ars_alloc_default(void)
{
    static const ars_alloc alloc = {default_alloc, default_resize, default_free, NULL};
    return &alloc;
}
