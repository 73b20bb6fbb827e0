/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TLSF_H
#define ARSENAL_TLSF_H

/*
 * An allocator with a bounded number of steps, over memory that the caller
 * gives it: for devices without an operating system, and wherever the longest
 * call matters more than the usual one.
 *
 * It is the two-level segregated fit of Masmano, Ripoll, Crespo and Real
 * (ECRTS 2004).  Free blocks are kept in lists by size: a row for each power
 * of two, divided into 32 columns (16 where size_t has 32 bits), with a bitmap
 * that tells which lists have any.  The first list all of whose blocks are
 * large enough is found by two bit scans, its first block is taken, what is
 * too much of it is given back.  A freed block is united with free neighbours,
 * which it finds by its size and by a word before it.  So allocating and freeing
 * take the same few instructions however many blocks there are.
 *
 * Every block costs one word beside its content; the smallest content is three
 * words, sizes grow by two.  A request may fail although one block of its own
 * list, so up to 1/32 (1/16) larger than the request, would have been enough:
 * looking for that one would not be bounded.
 *
 * The memory may come in several regions, added and removed at any time; no
 * block spans two of them.
 *
 * One thread at a time: whoever shares one among threads puts a lock around it.
 *
 * Debug builds (and those with ARSENAL_ASSERT) remember what was asked for,
 * with a word more for each block.  They abort where a block is freed twice, is not
 * of this allocator, has another size than its owner says, or was written
 * beyond its end.  Under AddressSanitizer all bytes are poisoned but those that
 * were asked for.
 */

#include <arsenal/alloc.h>

ARS_BEGIN_DECLS

#if SIZE_MAX > UINT32_MAX
#define ARS__TLSF_ROWS    32 /* blocks below 1 TiB */
#define ARS__TLSF_COLUMNS 32
#else
#define ARS__TLSF_ROWS    24 /* blocks below 1 GiB */
#define ARS__TLSF_COLUMNS 16
#endif

/*
 * An allocator: 8.5 KiB, or 1.7 KiB where size_t has 32 bits.  Fields are
 * private but for 'alloc'.  All-zero is one without memory and without 'alloc';
 * it must not be moved while it is in use.
 */
typedef struct ars_tlsf {
    ars_alloc alloc; /* hand &tlsf.alloc to whoever allocates */
    struct ars__tlsf_region *ars__regions;
    size_t ars__size, ars__used, ars__peak, ars__blocks;
    uint32_t ars__rows;
    uint32_t ars__columns[ARS__TLSF_ROWS];
    struct ars__tlsf_block *ars__free[ARS__TLSF_ROWS][ARS__TLSF_COLUMNS];
} ars_tlsf;

typedef struct ars_tlsf_stats {
    size_t size;    /* bytes of all regions, as far as blocks can lie there */
    size_t used;    /* of them, what live blocks take, each with its word */
    size_t peak;    /* the most that ever was used */
    size_t blocks;  /* live ones */
    size_t largest; /* the largest request of natural alignment that would succeed now */
} ars_tlsf_stats;

/*
 * ars_tlsf_init() makes '*tlsf' an allocator without memory.  There is no
 * deinit: it owns nothing, and the regions are the caller's again when he
 * stops using it.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_tlsf_init(ars_tlsf *tlsf);

/*
 * ars_tlsf_add() gives the allocator the 'size' bytes at 'memory', of any
 * alignment, to allocate from.  They are its own until it gives them back.
 * Takes steps in proportion to the number of regions.
 *
 * Returns 0, or ARS_EINVAL, nothing changed: 'memory' is NULL, too small for a
 * block, so large that a block of it could not be kept (1 TiB, or 1 GiB where
 * size_t has 32 bits), or it overlaps a region that was added before.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_tlsf_add(ars_tlsf *tlsf, void *memory, size_t size);

/*
 * ars_tlsf_remove() takes back the region that was added at 'memory'.
 *
 * Returns 0, or, nothing changed: ARS_EBUSY while a block of it is live,
 * ARS_EINVAL when there is no such region.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_tlsf_remove(ars_tlsf *tlsf, void *memory);

/*
 * ars_tlsf_alloc() gives 'size' bytes aligned to 'align'; two words (16 bytes,
 * or 8) is the alignment that costs nothing.  The content is undefined.
 *
 * Returns NULL, nothing changed, without a block that is large enough, for a
 * size of 0, and for an alignment that is not a power of two.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void *ars_tlsf_alloc(ars_tlsf *tlsf, size_t size, size_t align);

/*
 * ars_tlsf_resize() gives the block at 'p' 'size' bytes instead.  It stays
 * where it is if it shrinks, or grows over free memory behind it, and lies as
 * 'align' says: then the steps are bounded.  Otherwise it is copied elsewhere.
 *
 * Returns where it is now; the content is kept up to the smaller size.
 * Returns NULL where ars_tlsf_alloc() would; the block is then as it was.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void *ars_tlsf_resize(ars_tlsf *tlsf, void *p, size_t size, size_t align);

/*
 * ars_tlsf_free() gives a block back; NULL is allowed.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_tlsf_free(ars_tlsf *tlsf, void *p);

/*
 * ars_tlsf_usable() gives how many bytes at 'p' its owner may use: at least
 * what was asked for; in debug builds just that.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API size_t ars_tlsf_usable(const void *p);

/*
 * ars_tlsf_get_stats() gives the sizes above; they are kept exactly, not
 * estimated.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_tlsf_stats ars_tlsf_get_stats(const ars_tlsf *tlsf);

/*
 * ars_tlsf_walk() calls 'visit' for each block, live or not, region by region
 * in the order of addresses, with the address and number of its usable bytes.
 * 'visit' must not use the allocator; other than 0 it ends the walk.
 *
 * Returns 0 or what 'visit' returned.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
typedef int ars_tlsf_visit(void *arg, void *p, size_t size, int live);
ARS_API int ars_tlsf_walk(const ars_tlsf *tlsf, ars_tlsf_visit *visit, void *arg);

/*
 * ars_tlsf_check() looks at every block, list and count.
 *
 * Returns 0, or ARS_EFAULT: something has written where it should not have.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_tlsf_check(const ars_tlsf *tlsf);

ARS_END_DECLS

#endif
