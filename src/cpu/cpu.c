/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/cpu.h>. */
#include <arsenal/atomic.h>
#include <arsenal/cpu.h>

#include <string.h>

#include "base/bits.h"
#include "cpu/detect.h"
#include "os/os.h"

/* Beside the features, so that one load tells both: the CPU has been asked. */
#define ASKED (UINT64_C(1) << 63)

/*
 * No lock and no constructor: threads that come first at the same time all ask
 * and all store the same answer.  Nothing else is published by these words,
 * so relaxed order will do.
 */
static ars_atomic_u64 found;
static ars_atomic_u64 denied;

uint64_t ars_cpu_features(void)
{
    uint64_t features = ars_atomic_u64_load_relaxed(&found);
    if (!(features & ASKED)) {
        features = ars__cpu_detect() | ASKED;
        ars_atomic_u64_store_relaxed(&found, features);
    }
    return features & ~ASKED & ~ars_atomic_u64_load_relaxed(&denied);
}

uint64_t ars_cpu_mask(uint64_t allowed)
{
    return ~ars_atomic_u64_swap_seq_cst(&denied, ~allowed);
}

const char *ars_cpu_feature_name(uint64_t feature)
{
    static const char *const names[64] = {
        "sse2",        "sse3",        "ssse3",         "sse4.1",   "sse4.2",        "popcnt",
        "lzcnt",       "bmi1",        "bmi2",          "aes",      "pclmul",        "sha",
        "gfni",        "avx",         "f16c",          "fma",      "avx2",          "vaes",
        "avx512f",     "avx512bw",    "avx512dq",      "avx512vl", "avx512vbmi",    "avx512vnni",
        "avx512bf16",  "rdtscp",      "tsc_invariant", "vpclmul",  "avx512vpopcnt", "cx16",
        [32] = "neon", "arm_aes",     "arm_pmull",     "arm_sha1", "arm_sha2",      "arm_crc32",
        "arm_lse",     "arm_dotprod", "arm_i8mm",      "arm_bf16", "sve",           "sve2",
    };
    return ars__is_pow2(feature) ? names[ars__ctz64(feature)] : NULL;
}

int ars_cpu_format(uint64_t features, char *text, size_t size)
{
    char all[ARS_CPU_TEXT];
    size_t length = 0;
    for (; features; features &= features - 1) {
        const char *name = ars_cpu_feature_name(features & -features);
        if (!name) continue;
        if (length) all[length++] = ' ';
        size_t n = strlen(name);
        memcpy(all + length, name, n);
        length += n;
    }
    if (length >= size) return ARS_ENOSPC;
    memcpy(text, all, length);
    text[length] = '\0';
    return (int)length;
}

int ars_cpu_count(void)
{
    return ars__os_cpu_count();
}

void ars_cpu_count_all(ars_cpu_totals *out)
{
    ars__os_cpu_totals t;
    ars__os_cpu_totals_get(&t);
    *out = (ars_cpu_totals){
        .end = t.end,
        .online = t.online,
        .cores = t.cores,
        .packages = t.packages,
        .nodes = t.nodes,
        .quota = t.quota,
    };
}

int ars_cpu_locate(int cpu, ars_cpu_place *out)
{
    ars__os_cpu_place p;
    if (cpu < 0) return ARS_EINVAL;
    int rc = ars__os_cpu_place_get(cpu, &p);
    if (rc < 0) return rc;
    *out = (ars_cpu_place){
        .core = p.core,
        .package = p.package,
        .node = p.node,
        .allowed = p.allowed,
    };
    return 0;
}

int ars_cpu_read_cache(int cpu, int nth, ars_cpu_cache *out)
{
    ars__os_cpu_cache c;
    if (cpu < 0 || nth < 0) return ARS_EINVAL;
    int rc = ars__os_cpu_cache_get(cpu, nth, &c);
    if (rc < 0) return rc;
    *out = (ars_cpu_cache){
        .size = c.size,
        .level = c.level,
        .data = c.data,
        .code = c.code,
        .line = c.line,
        .ways = c.ways,
        .first = c.first,
        .sharers = c.sharers,
    };
    return 0;
}

size_t ars_cpu_page_size(void)
{
    return ars__os_page_size();
}

size_t ars_cpu_cache_line(void)
{
    size_t line = ars__cpu_line();
    return line ? line : 64;
}
