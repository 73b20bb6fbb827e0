/* SPDX-License-Identifier: MIT */
/* <arsenal/kern.h>: every variant gives what the scalar one gives, and that is what the header says. */
#include "kernels.h"

#include <arsenal/kern.h>

#include "kern/kern.h"

/* As RFC 1071 says it, a word at a time. */
static uint16_t words(uint16_t sum, const unsigned char *at, size_t n)
{
    uint32_t s = sum;
    for (size_t i = 0; i < n; i += 2) {
        s += (uint32_t)at[i] << 8 | (i + 1 < n ? at[i + 1] : 0);
        s = (s & 0xffff) + (s >> 16);
    }
    return (uint16_t)s;
}

static void inet_same(const void *kernel, unsigned char *at, size_t n)
{
    const ars__inet_kernel *k = kernel;
    uint16_t got = k->sum(at, n);
    CHECK_EQ(upper_halves(), 0);
    CHECK_EQ(got, ars__inet_kernels[ars__inet_kernels_count - 1].sum(at, n));
}

static void inet_public(const void *start, unsigned char *at, size_t n)
{
    uint16_t sum = *(const uint16_t *)start;
    CHECK_EQ(ars_inet_sum(sum, at, n), words(sum, at, n));
}

static void inet(void)
{
    static const uint16_t starts[] = {0, 1, 0xfffe, 0xffff};
    CHECK_EQ(ars__inet_kernels[ars__inet_kernels_count - 1].needs, 0);
    for (unsigned i = 0; i < ars__inet_kernels_count; i++) {
        const ars__inet_kernel *k = &ars__inet_kernels[i];
        if (!runs_here(k->name, k->needs)) continue;
        each_buffer(inet_same, k);
        uint64_t before = ars_cpu_mask(k->needs);
        each_buffer(inet_public, &starts[i % 4]);
        ars_cpu_mask(before);
    }
    for (unsigned i = 0; i < 4; i++) each_buffer(inet_public, &starts[i]);
}

/* The greatest sums, none at all, parts, and the example of RFC 1071 (section 3). */
static void inet_edges(void)
{
    static const unsigned char example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    unsigned char *room = guarded();
    CHECK_EQ(ars_inet_sum(0, example, sizeof example), 0xddf2);
    CHECK_EQ(ars_inet_checksum(0, example, sizeof example), 0x220d);
    CHECK_EQ(ars_inet_sum(7, NULL, 0), 7);
    memset(room, 0, ROOM);
    CHECK_EQ(ars_inet_sum(0, room, ROOM), 0);
    CHECK_EQ(ars_inet_sum(0xffff, room, ROOM), 0xffff);
    memset(room, 0xff, ROOM);
    CHECK_EQ(ars_inet_sum(0, room, ROOM), 0xffff);
    CHECK_EQ(ars_inet_sum(0, room, 65), words(0, room, 65));
    for (size_t i = 0; i < ROOM; i++) room[i] = (unsigned char)(i * i >> 3);
    for (size_t cut = 0; cut <= 1001; cut += 2)
        CHECK_EQ(ars_inet_sum(ars_inet_sum(0, room, cut), room + cut, 1001 - cut),
                 ars_inet_sum(0, room, 1001));
    uint16_t sum = ars_inet_checksum(0, room, 1000);
    room[1000] = (unsigned char)(sum >> 8);
    room[1001] = (unsigned char)sum;
    CHECK_EQ(ars_inet_checksum(0, room, 1002), 0);
    unguard(room);
}

static void popcount_same(const void *kernel, unsigned char *at, size_t n)
{
    const ars__popcount_kernel *k = kernel;
    uint64_t got = k->count(at, n), bits = 0;
    CHECK_EQ(upper_halves(), 0);
    for (size_t i = 0; i < n; i++)
        for (int c = at[i]; c; c &= c - 1) bits++;
    CHECK_EQ(got, bits);
}

static void popcount_public(const void *none, unsigned char *at, size_t n)
{
    (void)none;
    CHECK_EQ(ars_popcount(at, n),
             ars__popcount_kernels[ars__popcount_kernels_count - 1].count(at, n));
}

static void popcount(void)
{
    CHECK_EQ(ars__popcount_kernels[ars__popcount_kernels_count - 1].needs, 0);
    for (unsigned i = 0; i < ars__popcount_kernels_count; i++) {
        const ars__popcount_kernel *k = &ars__popcount_kernels[i];
        if (!runs_here(k->name, k->needs)) continue;
        each_buffer(popcount_same, k);
        uint64_t before = ars_cpu_mask(k->needs);
        each_buffer(popcount_public, NULL);
        ars_cpu_mask(before);
    }
    unsigned char *room = guarded();
    memset(room, 0xff, ROOM);
    CHECK_EQ(ars_popcount(room, ROOM), 8 * ROOM);
    CHECK_EQ(ars_popcount(NULL, 0), 0);
    unguard(room);
}

/* One byte of the set anywhere, several, none. */
static ars_byteset sought;

static void find_same(const void *kernel, unsigned char *at, size_t n)
{
    const ars__find_kernel *k = kernel, *scalar = &ars__find_kernels[ars__find_kernels_count - 1];
    size_t from = 0, step = 1 + n / 6;
    do {
        size_t got = k->find(sought.bits, at + from, n - from);
        CHECK_EQ(upper_halves(), 0);
        CHECK_EQ(got, scalar->find(sought.bits, at + from, n - from));
        CHECK_EQ(ars_byteset_find(&sought, at + from, n - from), got);
        from += step;
    } while (from <= n);
}

static void find(void)
{
    ars_rng rng;
    ars_rng_seed(&rng, 3);
    CHECK_EQ(ars__find_kernels[ars__find_kernels_count - 1].needs, 0);
    for (unsigned i = 0; i < ars__find_kernels_count; i++) {
        const ars__find_kernel *k = &ars__find_kernels[i];
        if (!runs_here(k->name, k->needs)) continue;
        uint64_t before = ars_cpu_mask(k->needs);
        for (int members = 0; members <= 4; members += 2) {
            sought = (ars_byteset){{0}};
            for (int m = 0; m < members; m++)
                ars_byteset_add(&sought, (unsigned char)ars_rng_next(&rng));
            each_buffer(find_same, k);
        }
        ars_cpu_mask(before);
    }
}

/* Each byte alone, at each place of a block, among all the others. */
static void find_each(void)
{
    unsigned char *room = guarded();
    for (unsigned i = 0; i < ars__find_kernels_count; i++) {
        const ars__find_kernel *k = &ars__find_kernels[i];
        if (k->needs & ~ars_cpu_features()) continue;
        for (int c = 0; c < 256; c++) {
            ars_byteset set = {{0}};
            ars_byteset_add(&set, (unsigned char)c);
            for (int d = 0; d < 256; d++) CHECK_EQ(ars_byteset_has(&set, (unsigned char)d), c == d);
            unsigned char *at = room + ROOM - 1024;
            for (int d = 0; d < 1024; d++) at[d] = (unsigned char)(d % 256 == c ? c + 1 : d);
            CHECK_EQ(k->find(set.bits, at, 1024), 1024);
            at[512 + c] = (unsigned char)c;
            CHECK_EQ(k->find(set.bits, at, 1024), 512 + c);
            ars_byteset_invert(&set);
            CHECK_EQ(k->find(set.bits, at, 1024), 0);
            CHECK_EQ(ars_byteset_has(&set, (unsigned char)c), 0);
            memset(at, c, 1024);
            CHECK_EQ(k->find(set.bits, at, 1024), 1024);
            at[700 + c] ^= 0x80;
            CHECK_EQ(k->find(set.bits, at, 1024), 700 + c);
        }
    }
    unguard(room);
}

static const test_case cases[] = {
    {"inet", inet}, {"inet_edges", inet_edges}, {"popcount", popcount},
    {"find", find}, {"find_each", find_each},
};
TEST_MAIN(cases)
