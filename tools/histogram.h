/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_HISTOGRAM_H
#define TOOLS_HISTOGRAM_H

/*
 * A histogram of durations in nanoseconds that takes 40 KiB however many are
 * recorded, and tells any quantile to within 1/128.
 *
 * Each power of two is cut into 128 equal buckets, as HdrHistogram does it;
 * below 256 ns each value has its own.
 */

#include <stdint.h>

enum { HISTOGRAM_BITS = 7, HISTOGRAM_BUCKETS = 40 << HISTOGRAM_BITS };

struct histogram {
    uint64_t total;
    uint64_t count[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *h, int64_t ns)
{
    uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
    unsigned shift =
        v >> (HISTOGRAM_BITS + 1) ? 63u - (unsigned)__builtin_clzll(v) - HISTOGRAM_BITS : 0;
    uint64_t bucket = ((uint64_t)shift << HISTOGRAM_BITS) + (v >> shift);

    h->count[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1]++;
    h->total++;
}

/* The duration that a share 'q' of all does not exceed, in ns; 0 when there are none. */
static inline double histogram_quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;

    if (!h->total) return 0;
    if (rank >= h->total) rank = h->total - 1;
    for (uint64_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += h->count[b];
        if (seen > rank) {
            uint64_t shift = b >> (HISTOGRAM_BITS + 1) ? (b >> HISTOGRAM_BITS) - 1 : 0;
            return (double)(((b - (shift << HISTOGRAM_BITS)) << shift) + ((1ull << shift) - 1));
        }
    }
    return 0;
}

#endif
