/* SPDX-License-Identifier: MIT */
/* ars_rng_normal() and ars_rng_exponential() of <arsenal/rng.h>. */

/*
 * The area under the density's right half is cut into 256 layers of the same
 * area, each as wide as the curve is at its bottom: layer i reaches from 0 to
 * x[i], its bottom is at the height y[i] = f(x[i]), its top at y[i + 1].  The
 * lowest layer is the rectangle below y[1] and the tail beyond r = x[1]; its
 * x[0] is the width that a rectangle of that area would have.
 *
 * A point is drawn in a layer that is drawn.  Left of x[i + 1] it is under the
 * curve, and nearly always is: that costs one word and one multiplication.
 * Otherwise its height is drawn too, and compared.  (G. Marsaglia, W. W. Tsang,
 * 2000; layer, sign and place are of different bits, as J. Doornik showed to be
 * needed, 2005.)
 *
 * The logarithm is ours, and this file is compiled without contraction of
 * a * b + c: so the numbers are the same on all machines, and no mathematical
 * library is needed.
 */
#include <arsenal/rng.h>

#include <string.h>

#include "num/ziggurat_table.h"

/* ln(x) for a normal x in (0, 1], to the last bit or two. */
static double ln(double x)
{
    const double ln2 = 0.6931471805599453, sqrt2 = 1.4142135623730951;
    uint64_t bits;
    double m;

    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & (UINT64_MAX >> 12)) | UINT64_C(1023) << 52;
    memcpy(&m, &bits, sizeof m);
    if (m > sqrt2) {
        m /= 2;
        exponent++;
    }
    /* ln(m) = 2 artanh(s), and s is in [-0.172, 0.172]. */
    double s = (m - 1) / (m + 1), z = s * s, sum = 0;
    for (int k = 21; k >= 3; k -= 2) sum = (sum + 1.0 / k) * z;
    return exponent * ln2 + 2 * (s + s * sum);
}

/* A place in a layer from the bits that have not chosen the layer. */
static inline double place(uint64_t bits, double width)
{
    return (double)(int64_t)(bits >> 11) * (1.0 / 9007199254740992.0) * width;
}

/* -x if bit 8 of 'bits' is set; without a branch, which could not be foretold. */
static inline double with_sign(double x, uint64_t bits)
{
    uint64_t of_x;
    memcpy(&of_x, &x, sizeof of_x);
    of_x |= bits << 55 & UINT64_C(1) << 63;
    memcpy(&x, &of_x, sizeof x);
    return x;
}

/* What is at the edges of the layers is rare: out of the way, and drawn anew if it is not under the curve. */
__attribute__((noinline)) static double normal_edge(ars_rng *rng, uint64_t bits, double x)
{
    unsigned layer = bits & (LAYERS - 1);
    if (layer == 0) {
        const double r = normal_x[1];
        double a, b;
        do {
            a = -ln(ars_rng_double_above(rng)) / r;
            b = -ln(ars_rng_double_above(rng));
        } while (2 * b < a * a);
        return with_sign(r + a, bits);
    }
    double low = normal_y[layer], high = normal_y[layer + 1];
    double y = low + ars_rng_double(rng) * (high - low);
    return 2 * ln(y) < -(x * x) ? with_sign(x, bits) : ars_rng_normal(rng);
}

double ars_rng_normal(ars_rng *rng)
{
    uint64_t bits = ars_rng_next(rng);
    unsigned layer = bits & (LAYERS - 1);
    double x = place(bits, normal_x[layer]);
    return x < normal_x[layer + 1] ? with_sign(x, bits) : normal_edge(rng, bits, x);
}

__attribute__((noinline)) static double exponential_edge(ars_rng *rng, unsigned layer, double x)
{
    if (layer == 0) return exponential_x[1] - ln(ars_rng_double_above(rng));
    double low = exponential_y[layer], high = exponential_y[layer + 1];
    double y = low + ars_rng_double(rng) * (high - low);
    return ln(y) < -x ? x : ars_rng_exponential(rng);
}

double ars_rng_exponential(ars_rng *rng)
{
    uint64_t bits = ars_rng_next(rng);
    unsigned layer = bits & (LAYERS - 1);
    double x = place(bits, exponential_x[layer]);
    return x < exponential_x[layer + 1] ? x : exponential_edge(rng, layer, x);
}
