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

static const test_case cases[] = {
    {"inet", inet},
    {"inet_edges", inet_edges},
};
TEST_MAIN(cases)
