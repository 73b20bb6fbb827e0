/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_ATOMIC128_H
#define ARSENAL_ATOMIC128_H

/*
 * Two words that are compared and swapped as one, and a pointer with a tag
 * beside it, which is what they are mostly used for.
 *
 * A structure that takes the first element of a list by compare-and-swap must
 * not mistake an element that was taken and put back for one that never left
 * (the ABA problem).  With a tag that each change counts up, it is another value.
 *
 *     ars_tagged was = ars_atomic_tagged_peek(&top);
 *     do {
 *         if (!was.ptr) return NULL;
 *         next = ...;
 *     } while (!ars_atomic_tagged_cas_acq_rel(&top, &was, next));
 *
 * ARS_HAVE_ATOMIC128 is 1 where the instruction exists: on x86-64 (cmpxchg16b),
 * aarch64 (casp, or ldxp and stxp where the target has none), s390x (cdsg).
 * Elsewhere it is 0, and this header declares nothing more.  The first x86-64
 * CPUs, of 2003 to 2005, do not have it: ars_atomic_u128_usable() asks.
 *
 * No library is called: the compiler's own builtins may take a lock for 16 bytes.
 */

#include <arsenal/atomic.h>

#if defined(__x86_64__) || defined(__aarch64__) || defined(__s390x__)
#define ARS_HAVE_ATOMIC128 1
#else
#define ARS_HAVE_ATOMIC128 0
#endif

#if ARS_HAVE_ATOMIC128

/* The instruction is not seen by ThreadSanitizer; what it orders has to be told. */
#if defined(__SANITIZE_THREAD__)
#define ARS__ATOMIC128_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ARS__ATOMIC128_TSAN 1
#endif
#endif
#ifndef ARS__ATOMIC128_TSAN
#define ARS__ATOMIC128_TSAN 0
#endif

ARS_BEGIN_DECLS

typedef struct ars_u128 {
    uint64_t lo, hi;
} ars_u128;

/* The fields are private.  All-zero is valid.  Aligned to 16 bytes: memory of malloc() is. */
typedef struct ars_atomic_u128 {
    ars_atomic_u64 ars__lo, ars__hi;
} __attribute__((aligned(16))) ars_atomic_u128;

#if ARS__ATOMIC128_TSAN
void __tsan_acquire(void *p);
void __tsan_release(void *p);
#endif

/*
 * ars_atomic_u128_usable() tells whether this CPU has the instruction: to be
 * asked once, where the oldest x86-64 matter.  Without it, the calls that swap
 * end in an illegal instruction.
 *
 * Returns 1 or 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_atomic_u128_usable(void)
{
#if defined(__x86_64__)
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (int)(c >> 13 & 1);
#else
    return 1;
#endif
}

/*
 * ars_atomic_u128_cas_ORDER() puts 'v' there if '*expected' is there.  ORDER is
 * relaxed, acquire, release, acq_rel or seq_cst: what the caller needs; the
 * instructions give the strongest at one price.
 *
 * Returns 1, or 0 with what is there in '*expected'.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_atomic_u128_cas_seq_cst(ars_atomic_u128 *a, ars_u128 *expected, ars_u128 v)
{
#if ARS__ATOMIC128_TSAN
    __tsan_release(a);
#endif
#if defined(__x86_64__)
    unsigned char equal;
    __asm__ volatile("lock cmpxchg16b %[a]\n\tsete %[equal]"
                     : [a] "+m"(*a), "+a"(expected->lo), "+d"(expected->hi), [equal] "=q"(equal)
                     : "b"(v.lo), "c"(v.hi)
                     : "cc", "memory");
    int done = equal;
#elif defined(__ARM_FEATURE_ATOMICS)
    register uint64_t lo __asm__("x0") = expected->lo;
    register uint64_t hi __asm__("x1") = expected->hi;
    register uint64_t new_lo __asm__("x2") = v.lo;
    register uint64_t new_hi __asm__("x3") = v.hi;
    __asm__ volatile("caspal %[lo], %[hi], %[new_lo], %[new_hi], %[a]"
                     : [lo] "+r"(lo), [hi] "+r"(hi), [a] "+Q"(*a)
                     : [new_lo] "r"(new_lo), [new_hi] "r"(new_hi)
                     : "memory");
    int done = lo == expected->lo && hi == expected->hi;
    expected->lo = lo;
    expected->hi = hi;
#elif defined(__aarch64__)
    /* What was read is written back when it differs: only then were both words read at one time. */
    uint64_t lo, hi, put_lo, put_hi;
    uint32_t failed;
    __asm__ volatile("1: ldaxp %[lo], %[hi], %[a]\n\t"
                     "cmp %[lo], %[old_lo]\n\t"
                     "ccmp %[hi], %[old_hi], #0, eq\n\t"
                     "csel %[put_lo], %[new_lo], %[lo], eq\n\t"
                     "csel %[put_hi], %[new_hi], %[hi], eq\n\t"
                     "stlxp %w[failed], %[put_lo], %[put_hi], %[a]\n\t"
                     "cbnz %w[failed], 1b"
                     : [lo] "=&r"(lo), [hi] "=&r"(hi), [put_lo] "=&r"(put_lo),
                       [put_hi] "=&r"(put_hi), [failed] "=&r"(failed), [a] "+Q"(*a)
                     : [old_lo] "r"(expected->lo), [old_hi] "r"(expected->hi), [new_lo] "r"(v.lo),
                       [new_hi] "r"(v.hi)
                     : "cc", "memory");
    int done = lo == expected->lo && hi == expected->hi;
    expected->lo = lo;
    expected->hi = hi;
#else
    __extension__ typedef unsigned __int128 both;
    both old, found, put;
    __builtin_memcpy(&old, expected, sizeof old);
    __builtin_memcpy(&put, &v, sizeof put);
    found = old;
    __asm__ volatile("cdsg %[found], %[put], %[a]"
                     : [found] "+d"(found), [a] "+QS"(*a)
                     : [put] "d"(put)
                     : "cc", "memory");
    __builtin_memcpy(expected, &found, sizeof found);
    int done = found == old;
#endif
#if ARS__ATOMIC128_TSAN
    __tsan_acquire(a);
#endif
    return done;
}

#define ARS__ATOMIC128_CAS(ORDER)                                                                  \
    ARS_INLINE int ars_atomic_u128_cas_##ORDER(ars_atomic_u128 *a, ars_u128 *expected, ars_u128 v) \
    {                                                                                              \
        return ars_atomic_u128_cas_seq_cst(a, expected, v);                                        \
    }
ARS__ATOMIC128_CAS(relaxed)
ARS__ATOMIC128_CAS(acquire)
ARS__ATOMIC128_CAS(release)
ARS__ATOMIC128_CAS(acq_rel)
#undef ARS__ATOMIC128_CAS

/*
 * ars_atomic_u128_peek() reads one word, then the other: a pair that may never
 * have been there, good as what a compare-and-swap expects at first.  The low
 * word is read last, and acquires.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE ars_u128 ars_atomic_u128_peek(const ars_atomic_u128 *a)
{
    ars_u128 v;
    v.hi = ars_atomic_u64_load_acquire(&a->ars__hi);
    v.lo = ars_atomic_u64_load_acquire(&a->ars__lo);
    return v;
}

/*
 * ars_atomic_u128_load_seq_cst() reads both words at one time, by a
 * compare-and-swap: the memory must be writable, and its line is written.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE ars_u128 ars_atomic_u128_load_seq_cst(ars_atomic_u128 *a)
{
    ars_u128 v = {0, 0};
    (void)ars_atomic_u128_cas_seq_cst(a, &v, v);
    return v;
}

/*
 * ars_atomic_u128_swap_seq_cst() puts 'v' there and returns what was there;
 * ars_atomic_u128_store_seq_cst() is the same without a result.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE ars_u128 ars_atomic_u128_swap_seq_cst(ars_atomic_u128 *a, ars_u128 v)
{
    ars_u128 was = ars_atomic_u128_peek(a);
    while (!ars_atomic_u128_cas_seq_cst(a, &was, v)) {}
    return was;
}

ARS_INLINE void ars_atomic_u128_store_seq_cst(ars_atomic_u128 *a, ars_u128 v)
{
    (void)ars_atomic_u128_swap_seq_cst(a, v);
}

/* ---- a pointer and its tag ---- */

typedef struct ars_tagged {
    void *ptr;
    uint64_t tag;
} ars_tagged;

/* The field is private.  All-zero is NULL with tag 0. */
typedef struct ars_atomic_tagged {
    ars_atomic_u128 ars__pair;
} ars_atomic_tagged;

/*
 * ars_atomic_tagged_peek() reads the tag, then, acquiring, the pointer: good as
 * what a compare-and-swap expects, which fails if they were not there together.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE ars_tagged ars_atomic_tagged_peek(const ars_atomic_tagged *a)
{
    ars_u128 v = ars_atomic_u128_peek(&a->ars__pair);
    ars_tagged found;
    found.ptr = (void *)(uintptr_t)v.lo;
    found.tag = v.hi;
    return found;
}

/*
 * ars_atomic_tagged_cas_ORDER() puts 'ptr' there with the tag after that of
 * '*expected', if '*expected' is there.
 *
 * Returns 1, or 0 with what is there in '*expected'.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
#define ARS__ATOMIC128_CAS(ORDER)                                                                  \
    ARS_INLINE int ars_atomic_tagged_cas_##ORDER(ars_atomic_tagged *a, ars_tagged *expected,       \
                                                 void *ptr)                                        \
    {                                                                                              \
        ars_u128 was, v;                                                                           \
        was.lo = (uint64_t)(uintptr_t)expected->ptr;                                               \
        was.hi = expected->tag;                                                                    \
        v.lo = (uint64_t)(uintptr_t)ptr;                                                           \
        v.hi = expected->tag + 1;                                                                  \
        int done = ars_atomic_u128_cas_##ORDER(&a->ars__pair, &was, v);                            \
        expected->ptr = (void *)(uintptr_t)was.lo;                                                 \
        expected->tag = was.hi;                                                                    \
        return done;                                                                               \
    }
ARS__ATOMIC128_CAS(relaxed)
ARS__ATOMIC128_CAS(acquire)
ARS__ATOMIC128_CAS(release)
ARS__ATOMIC128_CAS(acq_rel)
ARS__ATOMIC128_CAS(seq_cst)
#undef ARS__ATOMIC128_CAS

ARS_END_DECLS

#endif

#endif
