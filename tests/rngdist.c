/* SPDX-License-Identifier: MIT */
/*
 * What is drawn from an ars_rng has the distribution that it should have.  The
 * seeds are fixed, so that a test passes always or never; a bound is passed by
 * chance with less than 1 in 10,000.
 */
#include "test.h"

#include <arsenal/rng.h>

#include <math.h>
#include <stdlib.h>

#include "num/ziggurat_table.h"

/* Whether 'counts' of 'n' equally likely outcomes are as uneven as chance would have it. */
static void check_even(const uint64_t *counts, int n)
{
    double total = 0, chi2 = 0;
    for (int i = 0; i < n; i++) total += (double)counts[i];
    for (int i = 0; i < n; i++) {
        double off = (double)counts[i] - total / n;
        chi2 += off * off / (total / n);
    }
    /* Wilson and Hilferty: the cube root is nearly normal. */
    double k = n - 1, z = (cbrt(chi2 / k) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k));
    if (fabs(z) > 4) FAIL("chi-square %g of %d outcomes", chi2, n);
}

/* Whether the mean of 'n' values of that variance is as near 'expected' as it should be. */
static void check_mean(double sum, double n, double expected, double variance)
{
    double z = (sum / n - expected) / sqrt(variance / n);
    if (fabs(z) > 4) FAIL("mean %g instead of %g", sum / n, expected);
}

static void bounded(void)
{
    ars_rng rng;
    long n = test_times(2000000, 200000);
    ars_rng_seed(&rng, 1);
    CHECK_EQ(ars_rng_below(&rng, 0), 0);
    CHECK_EQ(ars_rng_below(&rng, 1), 0);
    for (uint64_t bound = 2; bound < 40; bound += 7) {
        uint64_t counts[40] = {0};
        for (long i = 0; i < n / 8; i++) {
            uint64_t x = ars_rng_below(&rng, bound);
            CHECK(x < bound);
            counts[x]++;
        }
        check_even(counts, (int)bound);
    }
    /*
     * Of 3/4 of all words a remainder would give the lowest third twice as
     * often, and a product every third value.
     */
    uint64_t thirds[3] = {0}, rests[3] = {0};
    for (long i = 0; i < n; i++) {
        uint64_t x = ars_rng_below(&rng, UINT64_C(3) << 62);
        thirds[x >> 62]++;
        rests[x % 3]++;
    }
    check_even(thirds, 3);
    check_even(rests, 3);
}

static void between(void)
{
    ars_rng rng;
    uint64_t counts[11] = {0}, negative[2] = {0};
    ars_rng_seed(&rng, 2);
    for (int i = 0; i < 100000; i++) {
        int64_t x = ars_rng_between(&rng, -5, 5);
        CHECK(x >= -5 && x <= 5);
        counts[x + 5]++;
        negative[ars_rng_between(&rng, INT64_MIN, INT64_MAX) < 0]++;
        CHECK(ars_rng_between(&rng, INT64_MIN, -1) < 0);
    }
    check_even(counts, 11);
    check_even(negative, 2);
    CHECK_EQ(ars_rng_between(&rng, 7, 7), 7);
    CHECK_EQ(ars_rng_between(&rng, 7, 3), 7);
    CHECK(ars_rng_between(&rng, INT64_MIN, INT64_MIN) == INT64_MIN);
}

static void doubles(void)
{
    ars_rng rng, ones = {{0, 0, 0, UINT64_MAX}}, zeros = {{0, 1, 0, 0}}, copy;
    uint64_t counts[64] = {0};
    double sum = 0, n = 1000000;
    copy = ones;
    CHECK(ars_rng_double(&copy) == 1 - 0x1p-53);
    copy = ones;
    CHECK(ars_rng_double_above(&copy) == 1);
    copy = zeros;
    CHECK(ars_rng_double(&copy) == 0);
    copy = zeros;
    CHECK(ars_rng_double_above(&copy) == 0x1p-53);
    ars_rng_seed(&rng, 3);
    for (long i = 0; i < (long)n; i++) {
        double x = ars_rng_double(&rng);
        CHECK(x >= 0 && x < 1);
        counts[(int)(x * 64)]++;
        sum += x;
    }
    check_even(counts, 64);
    check_mean(sum, n, 0.5, 1.0 / 12);
}

/* The layers have the same area each, the lowest one with its tail too. */
static void tables(void)
{
    double r = normal_x[1], area = normal_x[0] * normal_y[1];
    CHECK(fabs(r * exp(-r * r / 2) + sqrt(acos(-1) / 2) * erfc(r / sqrt(2)) - area) < 1e-15);
    for (int i = 1; i < LAYERS; i++)
        CHECK(fabs(normal_x[i] * (normal_y[i + 1] - normal_y[i]) - area) < 1e-14);
    r = exponential_x[1], area = exponential_x[0] * exponential_y[1];
    CHECK(fabs(r * exp(-r) + exp(-r) - area) < 1e-15);
    for (int i = 1; i < LAYERS; i++)
        CHECK(fabs(exponential_x[i] * (exponential_y[i + 1] - exponential_y[i]) - area) < 1e-14);
    for (int i = 0; i <= LAYERS; i++) {
        CHECK(fabs(normal_y[i] - exp(-normal_x[i] * normal_x[i] / 2)) < 1e-15);
        CHECK(fabs(exponential_y[i] - exp(-exponential_x[i])) < 1e-15);
    }
    CHECK(normal_x[LAYERS] == 0 && normal_y[LAYERS] == 1);
    CHECK(exponential_x[LAYERS] == 0 && exponential_y[LAYERS] == 1);
}

static double normal_below(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

static double exponential_below(double x)
{
    return -expm1(-x);
}

/* Draws 'n' numbers; the places that their distribution function gives them must be even. */
static void check_shape(double (*draw)(ars_rng *), double (*below)(double), const double moments[5],
                        uint64_t seed, long n)
{
    enum { PLACES = 1000 };
    static uint64_t counts[PLACES];
    double sums[5] = {0};
    ars_rng rng;
    memset(counts, 0, sizeof counts);
    ars_rng_seed(&rng, seed);
    for (long i = 0; i < n; i++) {
        double x = draw(&rng), power = 1;
        int place = (int)(below(x) * PLACES);
        CHECK(place >= 0 && place <= PLACES);
        counts[place < PLACES ? place : PLACES - 1]++;
        for (int k = 1; k <= 4; k++) sums[k] += power *= x;
    }
    check_even(counts, PLACES);
    /* The variance of x^k is E x^2k - (E x^k)^2; with twice the moments at hand for k = 1, 2. */
    for (int k = 1; k <= 2; k++)
        check_mean(sums[k], (double)n, moments[k], moments[2 * k] - moments[k] * moments[k]);
    for (int k = 3; k <= 4; k++)
        CHECK(fabs(sums[k] / (double)n - moments[k]) < 40 * moments[4] / sqrt((double)n));
}

static void normal(void)
{
    static const double moments[5] = {1, 0, 1, 0, 3};
    check_shape(ars_rng_normal, normal_below, moments, 4, test_times(20000000, 1000000));
}

static void exponential(void)
{
    static const double moments[5] = {1, 1, 2, 6, 24};
    check_shape(ars_rng_exponential, exponential_below, moments, 5, test_times(20000000, 1000000));
}

/* Beyond the lowest layer's edge: how many, on which side, and how far. */
static void tails(void)
{
    double r = normal_x[1], q = exponential_x[1], excess = 0, far = 0;
    long n = test_times(40000000, 4000000), beyond = 0, farther = 0;
    uint64_t sides[2] = {0}, halves[2] = {0};
    ars_rng rng;
    ars_rng_seed(&rng, 6);
    for (long i = 0; i < n; i++) {
        double x = ars_rng_normal(&rng);
        if (fabs(x) > r) {
            sides[x > 0]++;
            /* As many beyond the tail's median as before it. */
            halves[erfc(fabs(x) / sqrt(2)) * 2 < erfc(r / sqrt(2))]++;
            excess += fabs(x) - r;
            beyond++;
        }
        x = ars_rng_exponential(&rng);
        if (x > q) far += x - q, farther++;
    }
    double p = erfc(r / sqrt(2)), e = exp(-q);
    /* The mean of what is beyond r, and its variance, are known from the density there. */
    double fall = exp(-r * r / 2) / (sqrt(acos(-1) / 2) * p);
    check_mean(excess, (double)beyond, fall - r, 1 + r * fall - fall * fall);
    check_even(sides, 2);
    check_even(halves, 2);
    CHECK(fabs((double)beyond - (double)n * p) < 4 * sqrt((double)n * p));
    CHECK(fabs((double)farther - (double)n * e) < 4 * sqrt((double)n * e));
    check_mean(far, (double)farther, 1, 1);
}

/* The same numbers on every machine: a sum that was taken on one. */
static void golden(void)
{
    ars_rng rng;
    uint64_t sum = 0, bits;
    ars_rng_seed(&rng, 2024);
    for (int i = 0; i < 100000; i++) {
        double x = ars_rng_normal(&rng), y = ars_rng_exponential(&rng);
        memcpy(&bits, &x, sizeof bits);
        sum = sum * 31 + bits;
        memcpy(&bits, &y, sizeof bits);
        sum = sum * 31 + bits;
    }
    if (sum != UINT64_C(0xe37f28821da412ce)) FAIL("the sum is %#llx", (unsigned long long)sum);
}

/* Every order of four values is as likely as the others. */
static void shuffles_evenly(size_t size, long n)
{
    unsigned char values[4 * 150];
    uint64_t counts[24] = {0};
    ars_rng rng;
    ars_rng_seed(&rng, size);
    for (long i = 0; i < n; i++) {
        int order[4];
        for (unsigned v = 0; v < 4; v++) memset(values + v * size, (int)v, size);
        ars_rng_shuffle(&rng, values, 4, size);
        for (unsigned v = 0; v < 4; v++) {
            order[v] = values[v * size];
            for (size_t j = 0; j < size; j++) CHECK(values[v * size + j] == order[v]);
        }
        /* The number of the order among the 24. */
        int rank = 0;
        for (int v = 0; v < 4; v++) {
            int less = 0;
            for (int w = v + 1; w < 4; w++) less += order[w] < order[v];
            rank = rank * (4 - v) + less;
        }
        counts[rank]++;
    }
    check_even(counts, 24);
}

static void shuffle(void)
{
    static const size_t sizes[] = {1, 3, 4, 8, 64, 150};
    for (int i = 0; i < 6; i++) shuffles_evenly(sizes[i], test_times(240000, 24000));
    ars_rng rng;
    uint64_t one = 7;
    ars_rng_seed(&rng, 1);
    ars_rng_shuffle(&rng, &one, 1, sizeof one);
    ars_rng_shuffle(&rng, NULL, 0, sizeof one);
    ars_rng_shuffle(&rng, &one, 8, 0);
    CHECK_EQ(one, 7);
}

/* Every set of k = 2 below n is as likely as the others, by both ways of choosing. */
static void samples_evenly(uint64_t n)
{
    uint64_t counts[400] = {0}, out[2];
    ars_rng rng;
    ars_rng_seed(&rng, n);
    for (long i = 0; i < test_times(1000000, 100000); i++) {
        CHECK_EQ(ars_rng_sample(&rng, out, 2, n), 0);
        CHECK(out[0] < out[1] && out[1] < n);
        counts[out[1] * (out[1] - 1) / 2 + out[0]]++;
    }
    check_even(counts, (int)(n * (n - 1) / 2));
}

static void sample(void)
{
    enum { MANY = 5000 };
    static uint64_t out[MANY];
    ars_rng rng;
    ars_rng_seed(&rng, 9);
    samples_evenly(6);
    samples_evenly(13);
    out[0] = 99;
    CHECK_EQ(ars_rng_sample(&rng, out, 3, 2), ARS_EINVAL);
    CHECK_EQ(out[0], 99);
    CHECK_EQ(ars_rng_sample(&rng, out, 0, 0), 0);
    CHECK_EQ(ars_rng_sample(&rng, out, 0, UINT64_MAX), 0);
    CHECK_EQ(out[0], 99);
    CHECK_EQ(ars_rng_sample(&rng, out, 3, 3), 0);
    for (uint64_t i = 0; i < 3; i++) CHECK_EQ(out[i], i);
    static const uint64_t below[] = {MANY, 3 * MANY, 4 * MANY + 4, 10 * MANY, UINT64_MAX};
    for (int run = 0; run < 5; run++) {
        CHECK_EQ(ars_rng_sample(&rng, out, MANY, below[run]), 0);
        for (int i = 1; i < MANY; i++) CHECK(out[i - 1] < out[i]);
        CHECK(out[MANY - 1] < below[run]);
    }
}

static void reservoir(void)
{
    uint64_t counts[20] = {0}, places[3] = {0};
    ars_rng rng;
    ars_rng_seed(&rng, 10);
    for (long i = 0; i < test_times(400000, 40000); i++) {
        int kept[3] = {0};
        for (int seen = 0; seen < 20; seen++) {
            size_t at = ars_rng_reservoir(&rng, 3, (uint64_t)seen);
            CHECK(at <= 3);
            if (at < 3) kept[at] = seen;
            if (at < 3 && seen == 19) places[at]++;
        }
        for (int j = 0; j < 3; j++) counts[kept[j]]++;
    }
    check_even(counts, 20);
    check_even(places, 3);
    CHECK_EQ(ars_rng_reservoir(&rng, 0, 0), 0);
}

static const test_case cases[] = {
    {"bounded", bounded}, {"between", between},     {"doubles", doubles},
    {"tables", tables},   {"normal", normal},       {"exponential", exponential},
    {"tails", tails},     {"golden", golden},       {"shuffle", shuffle},
    {"sample", sample},   {"reservoir", reservoir},
};
TEST_MAIN(cases)
