/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <arsenal/histogram.h>
#include <arsenal/rng.h>

#include <stdlib.h>

static ars_histogram h, other, both;

static void clear(void)
{
    memset(&h, 0, sizeof h);
    memset(&other, 0, sizeof other);
    memset(&both, 0, sizeof both);
}

static void empty_says_nothing(void)
{
    clear();
    CHECK_EQ(ars_histogram_count(&h), 0);
    CHECK_EQ(ars_histogram_min(&h), 0);
    CHECK_EQ(ars_histogram_max(&h), 0);
    CHECK_EQ(ars_histogram_at(&h, 50), 0);
    CHECK(ars_histogram_mean(&h) == 0);
    ars_histogram_record_n(&h, 5, 0);
    CHECK(memcmp(&h, &other, sizeof h) == 0);
    ars_histogram_merge(&h, &other);
    CHECK(memcmp(&h, &other, sizeof h) == 0);
}

/* Each bucket begins where the last one ended, and takes what it says it takes. */
static void buckets_have_no_gap(void)
{
    int64_t next = 0, least, greatest, at = 0;
    for (unsigned i = 0; i < ARS_HISTOGRAM_BUCKETS; i++) {
        clear();
        CHECK_EQ(ars_histogram_bucket(&h, i, &least, &greatest), 0);
        CHECK_EQ(least, next);
        if (i == ARS_HISTOGRAM_BUCKETS - 1) break;
        CHECK(greatest >= least && greatest - least <= (i < 256 ? 0 : least / 128));
        next = greatest + 1;
        ars_histogram_record(&h, least);
        ars_histogram_record(&h, greatest);
        CHECK_EQ(ars_histogram_bucket(&h, i, &least, &greatest), 2);
        CHECK_EQ(ars_histogram_min(&h), least);
        CHECK_EQ(ars_histogram_max(&h), greatest);
    }
    CHECK_EQ(greatest, INT64_MAX);
    CHECK_EQ(ars_histogram_bucket(&h, ARS_HISTOGRAM_BUCKETS, &at, &at), 0);
    CHECK_EQ(at, 0);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

enum { MOST = 3000 };
static int64_t values[MOST];

/* Values of all magnitudes, the small ones as often as the great. */
static int64_t draw(ars_rng *rng)
{
    return (int64_t)(ars_rng_next(rng) >> ars_rng_between(rng, 18, 63));
}

static void percentiles_as_if_sorted(void)
{
    static const double percents[] = {0,  1e-9, .1, 1,    10,    25,  33.3, 50,
                                      75, 90,   99, 99.9, 99.99, 100, 101,  -3};
    ars_rng rng;
    ars_rng_seed(&rng, 11);
    for (long round = test_times(200, 30); round; round--) {
        size_t n = (size_t)ars_rng_between(&rng, 1, MOST);
        double sum = 0;
        clear();
        for (size_t i = 0; i < n; i++) {
            values[i] = draw(&rng);
            sum += (double)values[i];
            ars_histogram_record(&h, values[i]);
        }
        qsort(values, n, sizeof *values, by_value);
        CHECK_EQ(ars_histogram_count(&h), n);
        CHECK_EQ(ars_histogram_min(&h), values[0]);
        CHECK_EQ(ars_histogram_max(&h), values[n - 1]);
        CHECK_EQ(ars_histogram_at(&h, 0), values[0]);
        CHECK_EQ(ars_histogram_at(&h, 100), values[n - 1]);
        double mean = ars_histogram_mean(&h), off = mean - sum / (double)n;
        CHECK(off <= sum / (double)n / 256 + .001 && -off <= sum / (double)n / 256 + .001);
        for (size_t p = 0; p < sizeof percents / sizeof *percents; p++) {
            double percent = percents[p] < 0 ? 0 : percents[p] > 100 ? 100 : percents[p];
            size_t rank = (size_t)(percent * (double)n / 100 + .999999);
            int64_t is = values[rank ? rank - 1 : 0], said = ars_histogram_at(&h, percents[p]);
            CHECK(said >= is && said - is <= is / 128);
        }
    }
}

/* The nearest rank, where rounding would tempt to the next one. */
static void ranks_are_exact(void)
{
    clear();
    for (int i = 1; i <= 200; i++) ars_histogram_record(&h, i);
    for (int i = 1; i <= 200; i++) CHECK_EQ(ars_histogram_at(&h, i / 2.), i);
    CHECK_EQ(ars_histogram_at(&h, 50.1), 101);
    clear();
    for (int i = 1; i <= 10; i++) ars_histogram_record_n(&h, i, 100);
    for (int i = 1; i <= 1000; i++) CHECK_EQ(ars_histogram_at(&h, i / 10.), (i + 99) / 100);
    /* The i-th of n is at i/n, however that is rounded. */
    clear();
    for (int n = 1; n < 256; n++) {
        ars_histogram_record(&h, n);
        for (int i = 1; i <= n; i++) CHECK_EQ(ars_histogram_at(&h, 100. * i / n), i);
    }
    clear();
    ars_histogram_record(&h, 1);
    CHECK_EQ(ars_histogram_at(&h, 0. / ars_histogram_mean(&other)), 1);
}

static void merged_is_recorded_together(void)
{
    ars_rng rng;
    ars_rng_seed(&rng, 12);
    for (long round = test_times(300, 50); round; round--) {
        clear();
        for (int n = (int)ars_rng_between(&rng, 0, 500); n; n--) {
            int64_t v = (int64_t)(ars_rng_next(&rng) >> ars_rng_between(&rng, 0, 63));
            uint64_t times = ars_rng_below(&rng, 9);
            ars_histogram_record_n(ars_rng_below(&rng, 2) ? &h : &other, v, times);
            for (; times; times--) ars_histogram_record(&both, v);
        }
        ars_histogram_merge(&h, &other);
        CHECK(memcmp(&h, &both, sizeof h) == 0);
    }
}

static void saturates(void)
{
    int64_t limit = INT64_C(1) << 46, least, greatest;
    clear();
    ars_histogram_record(&h, -1);
    ars_histogram_record(&h, INT64_MIN);
    CHECK_EQ(ars_histogram_max(&h), 0);
    ars_histogram_record(&h, limit - 1);
    CHECK_EQ(ars_histogram_saturated(&h), 0);
    CHECK_EQ(ars_histogram_at(&h, 99), limit - 1);
    ars_histogram_record(&h, limit);
    ars_histogram_record(&h, INT64_MAX);
    CHECK_EQ(ars_histogram_saturated(&h), 2);
    CHECK_EQ(ars_histogram_bucket(&h, ARS_HISTOGRAM_BUCKETS - 1, &least, &greatest), 3);
    CHECK_EQ(ars_histogram_at(&h, 80), INT64_MAX);
    CHECK_EQ(ars_histogram_at(&h, 40), 0);
    /* Counts too. */
    ars_histogram_record_n(&h, 7, UINT64_MAX);
    ars_histogram_record_n(&h, 7, UINT64_MAX - 1);
    ars_histogram_merge(&h, &h);
    CHECK(ars_histogram_count(&h) == UINT64_MAX);
    CHECK(ars_histogram_bucket(&h, 7, &least, &greatest) == UINT64_MAX);
    CHECK_EQ(ars_histogram_at(&h, 99.999999999999986), 7);
    CHECK_EQ(ars_histogram_at(&h, 50), 7);
    CHECK_EQ(ars_histogram_min(&h), 0);
}

static const test_case cases[] = {
    {"empty_says_nothing", empty_says_nothing},
    {"buckets_have_no_gap", buckets_have_no_gap},
    {"percentiles_as_if_sorted", percentiles_as_if_sorted},
    {"ranks_are_exact", ranks_are_exact},
    {"merged_is_recorded_together", merged_is_recorded_together},
    {"saturates", saturates},
};
TEST_MAIN(cases)
