/* SPDX-License-Identifier: MIT */
/* ars_rng_shuffle() and ars_rng_sample() of <arsenal/rng.h>. */
#include <arsenal/rng.h>

#include <string.h>

static void swap(unsigned char *a, unsigned char *b, size_t size)
{
    unsigned char kept[64];
    for (size_t some; size; size -= some, a += some, b += some) {
        some = size < sizeof kept ? size : sizeof kept;
        memcpy(kept, a, some);
        memmove(a, b, some); /* the two may be one */
        memcpy(b, kept, some);
    }
}

/* Swaps of the commonest sizes are two loads and two stores. */
#define SHUFFLE_WORDS(TYPE)                                                                        \
    for (; n > 1; n--) {                                                                           \
        unsigned char *a = at + (n - 1) * sizeof(TYPE);                                            \
        unsigned char *b = at + ars_rng_below(rng, n) * sizeof(TYPE);                              \
        TYPE x, y;                                                                                 \
        memcpy(&x, a, sizeof x);                                                                   \
        memcpy(&y, b, sizeof y);                                                                   \
        memcpy(a, &y, sizeof y);                                                                   \
        memcpy(b, &x, sizeof x);                                                                   \
    }

void ars_rng_shuffle(ars_rng *rng, void *values, size_t n, size_t size)
{
    unsigned char *at = values;
    if (size == sizeof(uint32_t)) {
        SHUFFLE_WORDS(uint32_t)
    } else if (size == sizeof(uint64_t)) {
        SHUFFLE_WORDS(uint64_t)
    } else if (size > 0) {
        for (; n > 1; n--) swap(at + (n - 1) * size, at + ars_rng_below(rng, n) * size, size);
    }
}

/* Heapsort: in place, and never slower than n log n. */
static void sink(uint64_t *heap, size_t n, size_t at)
{
    uint64_t value = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= value) break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

static void sort(uint64_t *values, size_t n)
{
    for (size_t at = n / 2; at-- > 0;) sink(values, n, at);
    while (n-- > 1) {
        uint64_t most = values[0];
        values[0] = values[n];
        values[n] = most;
        sink(values, n, 0);
    }
}

static size_t drop_repeated(uint64_t *sorted, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || sorted[i] != sorted[i - 1]) sorted[kept++] = sorted[i];
    return kept;
}

int ars_rng_sample(ars_rng *rng, uint64_t *out, size_t k, uint64_t n)
{
    if (k > n) return ARS_EINVAL;
    if (n / 4 <= k) {
        /* Each number in turn, with the chance that is left to it (Knuth's algorithm S). */
        for (uint64_t i = 0; k > 0; i++)
            if (ars_rng_below(rng, n - i) < k) {
                *out++ = i;
                k--;
            }
        return 0;
    }
    /*
     * The first k different ones of a sequence of draws are any set with the
     * same chance.  No draw too many is made: there is room for k only, and
     * what is repeated makes room for others.
     */
    for (size_t have = 0; have < k;) {
        while (have < k) out[have++] = ars_rng_below(rng, n);
        sort(out, k);
        have = drop_repeated(out, k);
    }
    return 0;
}
