/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_CPU_H
#define ARSENAL_CPU_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * What the CPU can do, and how many of them there are.
 *
 * A feature is told only if it can be used: the CPU has it, and the operating
 * system saves the registers it needs.  Features of all architectures have
 * bits of their own, so that code need not be conditional to ask for one.
 */

#define ARS_CPU_SSE2          (UINT64_C(1) << 0)
#define ARS_CPU_SSE3          (UINT64_C(1) << 1)
#define ARS_CPU_SSSE3         (UINT64_C(1) << 2)
#define ARS_CPU_SSE41         (UINT64_C(1) << 3)
#define ARS_CPU_SSE42         (UINT64_C(1) << 4)
#define ARS_CPU_POPCNT        (UINT64_C(1) << 5)
#define ARS_CPU_LZCNT         (UINT64_C(1) << 6)
#define ARS_CPU_BMI1          (UINT64_C(1) << 7)
#define ARS_CPU_BMI2          (UINT64_C(1) << 8)
#define ARS_CPU_AES           (UINT64_C(1) << 9)
#define ARS_CPU_PCLMUL        (UINT64_C(1) << 10)
#define ARS_CPU_SHA           (UINT64_C(1) << 11)
#define ARS_CPU_GFNI          (UINT64_C(1) << 12)
#define ARS_CPU_AVX           (UINT64_C(1) << 13)
#define ARS_CPU_F16C          (UINT64_C(1) << 14)
#define ARS_CPU_FMA           (UINT64_C(1) << 15)
#define ARS_CPU_AVX2          (UINT64_C(1) << 16)
#define ARS_CPU_VAES          (UINT64_C(1) << 17)
#define ARS_CPU_AVX512F       (UINT64_C(1) << 18)
#define ARS_CPU_AVX512BW      (UINT64_C(1) << 19)
#define ARS_CPU_AVX512DQ      (UINT64_C(1) << 20)
#define ARS_CPU_AVX512VL      (UINT64_C(1) << 21)
#define ARS_CPU_AVX512VBMI    (UINT64_C(1) << 22)
#define ARS_CPU_AVX512VNNI    (UINT64_C(1) << 23)
#define ARS_CPU_AVX512BF16    (UINT64_C(1) << 24)
#define ARS_CPU_RDTSCP        (UINT64_C(1) << 25)
#define ARS_CPU_TSC_INVARIANT (UINT64_C(1) << 26) /* the time stamp counter's rate never changes */
#define ARS_CPU_VPCLMUL       (UINT64_C(1) << 27)
#define ARS_CPU_AVX512VPOPCNT (UINT64_C(1) << 28) /* of words of 32 and 64 bits */
#define ARS_CPU_CX16          (UINT64_C(1) << 29) /* compare and swap of 16 bytes */

#define ARS_CPU_NEON        (UINT64_C(1) << 32)
#define ARS_CPU_ARM_AES     (UINT64_C(1) << 33)
#define ARS_CPU_ARM_PMULL   (UINT64_C(1) << 34)
#define ARS_CPU_ARM_SHA1    (UINT64_C(1) << 35)
#define ARS_CPU_ARM_SHA2    (UINT64_C(1) << 36)
#define ARS_CPU_ARM_CRC32   (UINT64_C(1) << 37)
#define ARS_CPU_ARM_LSE     (UINT64_C(1) << 38)
#define ARS_CPU_ARM_DOTPROD (UINT64_C(1) << 39)
#define ARS_CPU_ARM_I8MM    (UINT64_C(1) << 40)
#define ARS_CPU_ARM_BF16    (UINT64_C(1) << 41)
#define ARS_CPU_SVE         (UINT64_C(1) << 42)
#define ARS_CPU_SVE2        (UINT64_C(1) << 43)

/*
 * ars_cpu_features() gives the features that can be used, less those that
 * ars_cpu_mask() has taken away.  The CPU is asked once, later calls are a
 * load.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API uint64_t ars_cpu_features(void);

/*
 * ars_cpu_mask() makes ars_cpu_features() tell only features in 'allowed' from
 * now on, so that tests reach the code for lesser CPUs.  ~0 allows all.  It
 * never adds a feature that is not there, and takes away none but those that
 * are not in 'allowed': AVX2 stays if only AVX goes.
 *
 * Returns what was allowed before.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API uint64_t ars_cpu_mask(uint64_t allowed);

/*
 * ars_cpu_feature_name() is the name of one feature, such as "avx2", in static
 * storage; NULL if 'feature' is not exactly one of the bits above.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API const char *ars_cpu_feature_name(uint64_t feature);

/*
 * ars_cpu_format() writes the names of all 'features', lowest bit first and a
 * space between two, with a NUL, into 'size' bytes.  Bits without a name are
 * left out; none gives "".
 *
 * Returns the text's length, or ARS_ENOSPC (ARS_CPU_TEXT bytes always
 * suffice) with nothing written.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
#define ARS_CPU_TEXT 512
ARS_API int ars_cpu_format(uint64_t features, char *text, size_t size);

/*
 * ars_cpu_count() is the number of CPUs that this process may use, >= 1: those
 * it has affinity to, and no more than the CPU quota of its control group,
 * rounded up, amounts to.  It is looked up anew each time.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_cpu_count(void);

/*
 * What the machine is made of.  CPUs have the numbers that the system gives
 * them, of which some may be missing.  A core is what its CPUs (its hardware
 * threads) share, a package is what is plugged into a socket.
 */
typedef struct ars_cpu_totals {
    int end;      /* one more than the highest CPU that is on line */
    int online;   /* CPUs on line, whether this process may use them or not */
    int cores;    /* their cores */
    int packages; /* their packages */
    int nodes;    /* NUMA nodes that have CPUs */
    int reserved; /* 0 */
    int64_t
        quota; /* CPU time per time that the control groups grant, in thousandths; 0: no limit */
} ars_cpu_totals;

/* Where one CPU is. */
typedef struct ars_cpu_place {
    int core;    /* the lowest CPU of its core */
    int package; /* the lowest CPU of its package */
    int node;    /* its NUMA node, as the system numbers them */
    int allowed; /* 1 if the calling thread may run on it, else 0 */
} ars_cpu_place;

/* A cache that one CPU uses. */
typedef struct ars_cpu_cache {
    int64_t size; /* bytes; 0: not told, as below */
    int level;    /* 1 for the one next to the CPU */
    int data;     /* 1 if it holds data */
    int code;     /* 1 if it holds instructions; a unified one has both */
    int line;     /* bytes in a line, or 0 */
    int ways;     /* lines that one address can be in, or 0 */
    int first;    /* the lowest CPU that shares it: CPUs with the same one there share the cache */
    int sharers;  /* CPUs that share it, >= 1 */
    int reserved; /* 0 */
} ars_cpu_cache;

/*
 * ars_cpu_count_all() counts the parts of the machine.  It never fails: where
 * the system does not tell, each CPU is a core of its own and all are in one
 * package and one node.  It reads some files for each CPU each time.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread; not a signal handler.
 */
ARS_API void ars_cpu_count_all(ars_cpu_totals *out);

/*
 * ars_cpu_locate() tells where 'cpu' is.  Of all CPUs below 'end', those of
 * one core are those with the same 'core'; so too for packages and nodes.
 *
 * Returns 0; ARS_ENOENT if it is not on line, ARS_EINVAL if it is negative,
 * with '*out' as it was.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread; not a signal handler.
 */
ARS_API int ars_cpu_locate(int cpu, ars_cpu_place *out);

/*
 * ars_cpu_read_cache() tells of the 'nth' cache that 'cpu' uses; count up from
 * 0 until there is none.  The order is the system's.
 *
 * Returns 0; ARS_ENOENT if there is none, or the system does not tell (virtual
 * machines and containers may not), ARS_EINVAL if a number is negative, with
 * '*out' as it was.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread; not a signal handler.
 */
ARS_API int ars_cpu_read_cache(int cpu, int nth, ars_cpu_cache *out);

/*
 * ars_cpu_page_size() is the size of a page of memory, ars_cpu_cache_line()
 * that of a line of the data cache, in bytes.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API size_t ars_cpu_page_size(void);
ARS_API size_t ars_cpu_cache_line(void);

ARS_END_DECLS

#endif
