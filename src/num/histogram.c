/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/histogram.h>.
 *
 * A value v keeps its ARS_HISTOGRAM_BITS + 1 highest bits: shifted right by s
 * it lies in [128, 256), and its bucket is 128 s + (v >> s).  For v < 256 the
 * shift is 0, so the buckets of s = 0 are twice as many and the numbers go on
 * without a gap.
 */
#include <arsenal/histogram.h>

enum { BITS = ARS_HISTOGRAM_BITS, LAST = ARS_HISTOGRAM_BUCKETS - 1 };
/* The first value that no bucket of its own has. */
#define LIMIT (UINT64_C(1) << (ARS_HISTOGRAM_BUCKETS / (1 << BITS) + BITS - 1))

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static unsigned bucket_of(uint64_t v)
{
    if (v >= LIMIT) return LAST;
    unsigned shift = v >> (BITS + 1) ? 63u - (unsigned)__builtin_clzll(v) - BITS : 0;
    return (shift << BITS) + (unsigned)(v >> shift);
}

static uint64_t least_of(unsigned bucket)
{
    unsigned shift = bucket >> (BITS + 1) ? (bucket >> BITS) - 1 : 0;
    return (uint64_t)(bucket - (shift << BITS)) << shift;
}

static uint64_t greatest_of(unsigned bucket)
{
    return bucket == LAST ? (uint64_t)INT64_MAX : least_of(bucket + 1) - 1;
}

void ars_histogram_record(ars_histogram *h, int64_t value)
{
    ars_histogram_record_n(h, value, 1);
}

void ars_histogram_record_n(ars_histogram *h, int64_t value, uint64_t n)
{
    uint64_t v = value < 0 ? 0 : (uint64_t)value;
    if (n == 0) return;
    uint64_t *count = &h->ars__counts[bucket_of(v)];
    *count = sum(*count, n);
    h->ars__total = sum(h->ars__total, n);
    if (v >= LIMIT) h->ars__over = sum(h->ars__over, n);
    if (~v > h->ars__complement) h->ars__complement = ~v;
    if (v > h->ars__greatest) h->ars__greatest = v;
}

void ars_histogram_merge(ars_histogram *into, const ars_histogram *from)
{
    for (unsigned i = 0; i <= LAST; i++)
        into->ars__counts[i] = sum(into->ars__counts[i], from->ars__counts[i]);
    into->ars__total = sum(into->ars__total, from->ars__total);
    into->ars__over = sum(into->ars__over, from->ars__over);
    if (from->ars__complement > into->ars__complement)
        into->ars__complement = from->ars__complement;
    if (from->ars__greatest > into->ars__greatest) into->ars__greatest = from->ars__greatest;
}

/* How many values 'percent' of all are, at least one. */
static uint64_t rank_of(uint64_t total, double percent)
{
    double exact = percent * (double)total / 100;
    if (exact >= (double)total) return total;
    uint64_t rank = (uint64_t)exact;
    /* Rounded up, unless it is the product's own rounding that makes it more. */
    if (exact - (double)rank > exact * 1e-15) rank++;
    return rank ? rank : 1;
}

int64_t ars_histogram_at(const ars_histogram *h, double percent)
{
    if (h->ars__total == 0) return 0;
    if (!(percent > 0)) return ars_histogram_min(h);
    if (percent >= 100) return ars_histogram_max(h);
    uint64_t rank = rank_of(h->ars__total, percent), seen = 0;
    for (unsigned i = 0; i < LAST; i++) {
        seen = sum(seen, h->ars__counts[i]);
        if (seen < rank) continue;
        uint64_t v = greatest_of(i);
        return (int64_t)(v < h->ars__greatest ? v : h->ars__greatest);
    }
    return (int64_t)h->ars__greatest;
}

uint64_t ars_histogram_count(const ars_histogram *h)
{
    return h->ars__total;
}

uint64_t ars_histogram_saturated(const ars_histogram *h)
{
    return h->ars__over;
}

int64_t ars_histogram_min(const ars_histogram *h)
{
    return h->ars__total ? (int64_t)~h->ars__complement : 0;
}

int64_t ars_histogram_max(const ars_histogram *h)
{
    return (int64_t)h->ars__greatest;
}

double ars_histogram_mean(const ars_histogram *h)
{
    double all = 0;
    if (h->ars__total == 0) return 0;
    for (unsigned i = 0; i <= LAST; i++) {
        double low = (double)least_of(i), high = (double)greatest_of(i);
        /* What lies in the last bucket may be far from its middle. */
        if (i == LAST) high = (double)h->ars__greatest;
        if (h->ars__counts[i]) all += (low + high) / 2 * (double)h->ars__counts[i];
    }
    return all / (double)h->ars__total;
}

uint64_t ars_histogram_bucket(const ars_histogram *h, unsigned i, int64_t *least, int64_t *greatest)
{
    if (i > LAST) return 0;
    *least = (int64_t)least_of(i);
    *greatest = (int64_t)greatest_of(i);
    return h->ars__counts[i];
}
