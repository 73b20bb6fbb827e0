/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_ATOMIC_H
#define ARSENAL_ATOMIC_H

/*
 * Atomic integers and pointers that compile as C11 and as C++17, with the
 * memory order in the name of each operation.
 *
 * The types are plain integers under the compiler's __atomic builtins, because
 * C++17 knows neither _Atomic nor <stdatomic.h>.  Use them through these calls
 * only.  All-zero is a valid initial value.
 *
 * A call is ars_atomic_TYPE_OPERATION_ORDER(): TYPE is u32, u64, i64 or ptr; a
 * load has the orders relaxed, acquire and seq_cst, a store relaxed, release and
 * seq_cst, everything else all five.  A compare-and-swap that fails has the
 * order that a load may have, and never fails while the value is there.  Two
 * words at once: <arsenal/atomic128.h>.
 *
 * There are no fences: ThreadSanitizer does not know them, and an order at the
 * access says whom it is for.  A store-load edge is written as an exchange on
 * the published word: compilers turn a sequentially consistent fence into an
 * instruction that costs up to ten times as much.
 *
 * No call suspends or allocates; all may be made anywhere.
 */

#include <arsenal/base.h>

ARS_BEGIN_DECLS

typedef struct ars_atomic_u32 {
    uint32_t ars__v;
} ars_atomic_u32;
typedef struct ars_atomic_u64 {
    uint64_t ars__v;
} ars_atomic_u64;
typedef struct ars_atomic_i64 {
    int64_t ars__v;
} ars_atomic_i64;
typedef struct ars_atomic_ptr {
    void *ars__v;
} ars_atomic_ptr;

/*
 * What was there is returned by load, swap, and the calls that compute: add
 * (to subtract, add the negative: unsigned ones wrap), and, or, xor.
 */
#define ARS__ATOMIC_LOAD(NAME, TYPE, NAMED, ORDER)                                                 \
    ARS_INLINE TYPE ars_atomic_##NAME##_load_##NAMED(const ars_atomic_##NAME *a)                   \
    {                                                                                              \
        return __atomic_load_n(&a->ars__v, __ATOMIC_##ORDER);                                      \
    }
#define ARS__ATOMIC_STORE(NAME, TYPE, NAMED, ORDER)                                                \
    ARS_INLINE void ars_atomic_##NAME##_store_##NAMED(ars_atomic_##NAME *a, TYPE v)                \
    {                                                                                              \
        __atomic_store_n(&a->ars__v, v, __ATOMIC_##ORDER);                                         \
    }
/* cas: 1 if '*expected' was there and 'v' is now; else 0, and '*expected' is what was there. */
#define ARS__ATOMIC_SWAP(NAME, TYPE, NAMED, ORDER, FAILED)                                         \
    ARS_INLINE TYPE ars_atomic_##NAME##_swap_##NAMED(ars_atomic_##NAME *a, TYPE v)                 \
    {                                                                                              \
        return __atomic_exchange_n(&a->ars__v, v, __ATOMIC_##ORDER);                               \
    }                                                                                              \
    ARS_INLINE int ars_atomic_##NAME##_cas_##NAMED(ars_atomic_##NAME *a, TYPE *expected, TYPE v)   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->ars__v, expected, v, 0, __ATOMIC_##ORDER,           \
                                           __ATOMIC_##FAILED);                                     \
    }
#define ARS__ATOMIC_COMPUTE(NAME, TYPE, NAMED, ORDER)                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_add_##NAMED(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_add(&a->ars__v, v, __ATOMIC_##ORDER);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_and_##NAMED(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_and(&a->ars__v, v, __ATOMIC_##ORDER);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_or_##NAMED(ars_atomic_##NAME *a, TYPE v)                   \
    {                                                                                              \
        return __atomic_fetch_or(&a->ars__v, v, __ATOMIC_##ORDER);                                 \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_xor_##NAMED(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_xor(&a->ars__v, v, __ATOMIC_##ORDER);                                \
    }
#define ARS__ATOMIC_CELL(NAME, TYPE)                                                               \
    ARS__ATOMIC_LOAD(NAME, TYPE, relaxed, RELAXED)                                                 \
    ARS__ATOMIC_LOAD(NAME, TYPE, acquire, ACQUIRE)                                                 \
    ARS__ATOMIC_LOAD(NAME, TYPE, seq_cst, SEQ_CST)                                                 \
    ARS__ATOMIC_STORE(NAME, TYPE, relaxed, RELAXED)                                                \
    ARS__ATOMIC_STORE(NAME, TYPE, release, RELEASE)                                                \
    ARS__ATOMIC_STORE(NAME, TYPE, seq_cst, SEQ_CST)                                                \
    ARS__ATOMIC_SWAP(NAME, TYPE, relaxed, RELAXED, RELAXED)                                        \
    ARS__ATOMIC_SWAP(NAME, TYPE, acquire, ACQUIRE, ACQUIRE)                                        \
    ARS__ATOMIC_SWAP(NAME, TYPE, release, RELEASE, RELAXED)                                        \
    ARS__ATOMIC_SWAP(NAME, TYPE, acq_rel, ACQ_REL, ACQUIRE)                                        \
    ARS__ATOMIC_SWAP(NAME, TYPE, seq_cst, SEQ_CST, SEQ_CST)
/* count: an addition without a result. */
#define ARS__ATOMIC_INTEGER(NAME, TYPE)                                                            \
    ARS__ATOMIC_CELL(NAME, TYPE)                                                                   \
    ARS__ATOMIC_COMPUTE(NAME, TYPE, relaxed, RELAXED)                                              \
    ARS__ATOMIC_COMPUTE(NAME, TYPE, acquire, ACQUIRE)                                              \
    ARS__ATOMIC_COMPUTE(NAME, TYPE, release, RELEASE)                                              \
    ARS__ATOMIC_COMPUTE(NAME, TYPE, acq_rel, ACQ_REL)                                              \
    ARS__ATOMIC_COMPUTE(NAME, TYPE, seq_cst, SEQ_CST)                                              \
    ARS_INLINE void ars_atomic_##NAME##_count_relaxed(ars_atomic_##NAME *a, TYPE v)                \
    {                                                                                              \
        (void)__atomic_fetch_add(&a->ars__v, v, __ATOMIC_RELAXED);                                 \
    }

ARS__ATOMIC_INTEGER(u32, uint32_t)
ARS__ATOMIC_INTEGER(u64, uint64_t)
ARS__ATOMIC_INTEGER(i64, int64_t)
ARS__ATOMIC_CELL(ptr, void *)

#undef ARS__ATOMIC_INTEGER
#undef ARS__ATOMIC_CELL
#undef ARS__ATOMIC_COMPUTE
#undef ARS__ATOMIC_SWAP
#undef ARS__ATOMIC_STORE
#undef ARS__ATOMIC_LOAD

/*
 * Bytes that the CPU moves together (ARS_CACHE_LINE), and the distance at which
 * two words that different threads write do not disturb each other: x86-64
 * fetches lines in pairs.  These are for the layout of structs; what this very
 * CPU has is in <arsenal/cpu.h>.
 */
#if defined(__s390x__)
#define ARS_CACHE_LINE  256
#define ARS_CACHE_APART 256
#else
#define ARS_CACHE_LINE  64
#define ARS_CACHE_APART 128
#endif

/* Ask for the line of 'p', to read it or to write it; any address is allowed. */
ARS_INLINE void ars_atomic_prefetch_read(const void *p)
{
    __builtin_prefetch(p, 0);
}

ARS_INLINE void ars_atomic_prefetch_write(const void *p)
{
    __builtin_prefetch(p, 1);
}

/* Tells the CPU that this is a spin loop. */
ARS_INLINE void ars_atomic_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

ARS_END_DECLS

#endif
