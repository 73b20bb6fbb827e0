/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_HISTOGRAM_H
#define ARSENAL_HISTOGRAM_H

/*
 * A histogram of values that takes the same 40 KiB however many are recorded,
 * and tells any percentile to within 1/128 of its value.
 *
 *     static ars_histogram latency;         // all zero: empty
 *     ars_histogram_record(&latency, ars_now() - began);
 *     ars_time p99 = ars_histogram_at(&latency, 99);
 *
 * It is made like HdrHistogram: each power of two is cut into 128 equal
 * buckets, and below 256 each value has its own.  The least and the greatest
 * value are kept exactly.  Values of 2^46 and more (in nanoseconds: 19 hours)
 * share the last bucket: they are counted, ars_histogram_saturated() says how
 * many there are, and a percentile that falls among them is the greatest value.
 * A count that would pass 2^64 - 1 stays there.
 *
 * The struct is the caller's, may be copied, and belongs to one task at a time:
 * several have one each, and ars_histogram_merge() adds them up.
 */

#include <arsenal/base.h>

ARS_BEGIN_DECLS

#define ARS_HISTOGRAM_BITS    7
#define ARS_HISTOGRAM_BUCKETS (40 << ARS_HISTOGRAM_BITS)

typedef struct ars_histogram {
    uint64_t ars__total;
    uint64_t ars__over;       /* of the total: beyond the last bucket but one */
    uint64_t ars__complement; /* of the least value, so that 0 means "none yet" */
    uint64_t ars__greatest;
    uint64_t ars__counts[ARS_HISTOGRAM_BUCKETS];
} ars_histogram;

/*
 * ars_histogram_record() counts 'value'; one below 0 counts as 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too
 * if nobody else uses the histogram meanwhile.
 */
ARS_API void ars_histogram_record(ars_histogram *histogram, int64_t value);

/*
 * ars_histogram_record_n() counts 'value' n times.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_histogram_record_n(ars_histogram *histogram, int64_t value, uint64_t n);

/*
 * ars_histogram_merge() adds all that 'from' has counted to 'into', as if it
 * had been recorded there.  'from' stays as it is.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API void ars_histogram_merge(ars_histogram *into, const ars_histogram *from);

/*
 * ars_histogram_at() gives the value that 'percent' of all do not exceed: the
 * greatest of its bucket, so up to 1/128 more than the true one and never
 * less, but never more than the greatest value recorded.  0 percent (or less,
 * or not a number) gives the least value, 100 (or more) the greatest, both
 * exactly.  0 when there are none.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int64_t ars_histogram_at(const ars_histogram *histogram, double percent);

/*
 * ars_histogram_count() is how many values there are, ars_histogram_saturated()
 * how many of them are 2^46 or more.  ars_histogram_min() and _max() are the least
 * and the greatest, exactly; 0 when there are none.  ars_histogram_mean() is
 * their mean to within 1/256 while none is saturated, each counted as the
 * middle of its bucket.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API uint64_t ars_histogram_count(const ars_histogram *histogram);
ARS_API uint64_t ars_histogram_saturated(const ars_histogram *histogram);
ARS_API int64_t ars_histogram_min(const ars_histogram *histogram);
ARS_API int64_t ars_histogram_max(const ars_histogram *histogram);
ARS_API double ars_histogram_mean(const ars_histogram *histogram);

/*
 * ars_histogram_bucket() gives how many values fell into bucket 'i', and which
 * it takes: '*least' to '*greatest', both among them.  Buckets are in the order of
 * their values, 0 to ARS_HISTOGRAM_BUCKETS - 1; the last goes on to INT64_MAX.
 * 0 beyond that, and then nothing is written.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API uint64_t ars_histogram_bucket(const ars_histogram *histogram, unsigned i, int64_t *least,
                                      int64_t *greatest);

ARS_END_DECLS

#endif
