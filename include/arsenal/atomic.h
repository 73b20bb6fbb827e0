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
 * A store-load edge is written as an exchange on the published word: compilers
 * turn a sequentially consistent fence into an instruction that costs up to
 * ten times as much.
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

#define ARS__ATOMIC_INTEGER(NAME, TYPE)                                                            \
    ARS__ATOMIC_CELL(NAME, TYPE)                                                                   \
    ARS_INLINE TYPE ars_atomic_##NAME##_add_relaxed(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_add(&a->ars__v, v, __ATOMIC_RELAXED);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_add_acquire(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_add(&a->ars__v, v, __ATOMIC_ACQUIRE);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_add_release(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_add(&a->ars__v, v, __ATOMIC_RELEASE);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_add_acq_rel(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_add(&a->ars__v, v, __ATOMIC_ACQ_REL);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_add_seq_cst(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_add(&a->ars__v, v, __ATOMIC_SEQ_CST);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_and_acq_rel(ars_atomic_##NAME *a, TYPE v)                  \
    {                                                                                              \
        return __atomic_fetch_and(&a->ars__v, v, __ATOMIC_ACQ_REL);                                \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_or_acq_rel(ars_atomic_##NAME *a, TYPE v)                   \
    {                                                                                              \
        return __atomic_fetch_or(&a->ars__v, v, __ATOMIC_ACQ_REL);                                 \
    }

/* load, store, exchange, compare-and-swap: each returns the value that was there. */
#define ARS__ATOMIC_CELL(NAME, TYPE)                                                               \
    ARS_INLINE TYPE ars_atomic_##NAME##_load_relaxed(const ars_atomic_##NAME *a)                   \
    {                                                                                              \
        return __atomic_load_n(&a->ars__v, __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_load_acquire(const ars_atomic_##NAME *a)                   \
    {                                                                                              \
        return __atomic_load_n(&a->ars__v, __ATOMIC_ACQUIRE);                                      \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_load_seq_cst(const ars_atomic_##NAME *a)                   \
    {                                                                                              \
        return __atomic_load_n(&a->ars__v, __ATOMIC_SEQ_CST);                                      \
    }                                                                                              \
    ARS_INLINE void ars_atomic_##NAME##_store_relaxed(ars_atomic_##NAME *a, TYPE v)                \
    {                                                                                              \
        __atomic_store_n(&a->ars__v, v, __ATOMIC_RELAXED);                                         \
    }                                                                                              \
    ARS_INLINE void ars_atomic_##NAME##_store_release(ars_atomic_##NAME *a, TYPE v)                \
    {                                                                                              \
        __atomic_store_n(&a->ars__v, v, __ATOMIC_RELEASE);                                         \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_swap_acquire(ars_atomic_##NAME *a, TYPE v)                 \
    {                                                                                              \
        return __atomic_exchange_n(&a->ars__v, v, __ATOMIC_ACQUIRE);                               \
    }                                                                                              \
    ARS_INLINE TYPE ars_atomic_##NAME##_swap_seq_cst(ars_atomic_##NAME *a, TYPE v)                 \
    {                                                                                              \
        return __atomic_exchange_n(&a->ars__v, v, __ATOMIC_SEQ_CST);                               \
    }                                                                                              \
    /* True if '*expected' was there and 'v' is now; else '*expected' is what was there. */        \
    ARS_INLINE int ars_atomic_##NAME##_cas_relaxed(ars_atomic_##NAME *a, TYPE *expected, TYPE v)   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->ars__v, expected, v, 0, __ATOMIC_RELAXED,           \
                                           __ATOMIC_RELAXED);                                      \
    }                                                                                              \
    ARS_INLINE int ars_atomic_##NAME##_cas_acq_rel(ars_atomic_##NAME *a, TYPE *expected, TYPE v)   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->ars__v, expected, v, 0, __ATOMIC_ACQ_REL,           \
                                           __ATOMIC_ACQUIRE);                                      \
    }                                                                                              \
    ARS_INLINE int ars_atomic_##NAME##_cas_seq_cst(ars_atomic_##NAME *a, TYPE *expected, TYPE v)   \
    {                                                                                              \
        return __atomic_compare_exchange_n(&a->ars__v, expected, v, 0, __ATOMIC_SEQ_CST,           \
                                           __ATOMIC_SEQ_CST);                                      \
    }

ARS__ATOMIC_INTEGER(u32, uint32_t)
ARS__ATOMIC_INTEGER(u64, uint64_t)
ARS__ATOMIC_INTEGER(i64, int64_t)
ARS__ATOMIC_CELL(ptr, void *)

#undef ARS__ATOMIC_INTEGER
#undef ARS__ATOMIC_CELL

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
