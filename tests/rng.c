/* SPDX-License-Identifier: MIT */
/* The generators of <arsenal/rng.h> give their published numbers; seeds, jumps, entropy. */
#include "test.h"

/*
 * The inline functions multiply here as they do for compilers without integers
 * of 128 bits.  Their exported twins, which are compared with them below, do not.
 */
#undef __SIZEOF_INT128__
#include <arsenal/rng.h>

#include <errno.h>
#include <sys/syscall.h>

#include "fault.h"
#include "os/os.h"

#define CHECK_U64(a, b) CHECK((uint64_t)(a) == (uint64_t)(b))

static void splitmix64(void)
{
    /* rand_xoshiro's test vector, made with the reference splitmix64.c. */
    static const uint64_t expected[] = {
        UINT64_C(1985237415132408290),  UINT64_C(2979275885539914483),
        UINT64_C(13511426838097143398), UINT64_C(8488337342461049707),
        UINT64_C(15141737807933549159), UINT64_C(17093170987380407015),
    };
    ars_splitmix64 g = {UINT64_C(1477776061723855037)};
    for (int i = 0; i < 6; i++) CHECK_U64(ars_splitmix64_next(&g), expected[i]);
}

static void wyrand(void)
{
    /* By exact integers from the definition in wyhash.h, final version 4. */
    static const struct {
        uint64_t seed, expected[3];
    } runs[] = {
        {0,
         {UINT64_C(0x9a45cd888d59f0d6), UINT64_C(0x01445b6a189663f5),
          UINT64_C(0x1842218b97e7a496)}},
        {42,
         {UINT64_C(0xca71d87c76983989), UINT64_C(0x7e5ba61552085fc6),
          UINT64_C(0xcdf101e3bab88b9f)}},
    };
    for (int run = 0; run < 2; run++) {
        ars_wyrand g = {runs[run].seed};
        for (int i = 0; i < 3; i++) CHECK_U64(ars_wyrand_next(&g), runs[run].expected[i]);
    }
}

static void pcg32(void)
{
    /* The first round of pcg32-demo. */
    static const uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330,
                                        0x83d2f293, 0xbfa4784b, 0xcbed606e};
    ars_pcg32 g, other;
    ars_pcg32_seed(&g, 42, 54);
    for (int i = 0; i < 6; i++) CHECK_EQ(ars_pcg32_next(&g), expected[i]);
    /* Streams differ. */
    ars_pcg32_seed(&g, 42, 54);
    ars_pcg32_seed(&other, 42, 55);
    CHECK(ars_pcg32_next(&g) != ars_pcg32_next(&other));
}

static void pcg64(void)
{
    /* rand_pcg's test vector, made with pcg_engines::cm_setseq_dxsm_128_64. */
    static const uint64_t expected[] = {
        UINT64_C(17331114245835578256), UINT64_C(10267467544499227306),
        UINT64_C(9726600296081716989),  UINT64_C(10165951391103677450),
        UINT64_C(12131334649314727261), UINT64_C(10134094537930450875),
    };
    ars_pcg64 g;
    ars_pcg64_seed(&g, 0, 42, 0, 54);
    for (int i = 0; i < 6; i++) CHECK_U64(ars_pcg64_next(&g), expected[i]);
    /* The stream is shifted into the high half. */
    ars_pcg64_seed(&g, 0, 0, 1, UINT64_C(1) << 63);
    CHECK_U64(g.increment_high, 3);
    CHECK_U64(g.increment_low, 1);
}

static void pcg_advance(void)
{
    ars_pcg32 a, b;
    ars_pcg64 c, d;
    for (unsigned steps = 0; steps < 1000; steps += 1 + steps / 3) {
        ars_pcg32_seed(&a, 1, 2);
        ars_pcg64_seed(&c, 1, 2, 3, 4);
        b = a;
        d = c;
        for (unsigned i = 0; i < steps; i++) ars_pcg32_next(&a), ars_pcg64_next(&c);
        ars_pcg32_advance(&b, steps);
        ars_pcg64_advance(&d, 0, steps);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        CHECK(memcmp(&c, &d, sizeof c) == 0);
        ars_pcg32_advance(&a, -(uint64_t)steps);
        ars_pcg32_seed(&b, 1, 2);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        ars_pcg64_advance(&c, steps ? UINT64_MAX : 0, -(uint64_t)steps);
        ars_pcg64_seed(&d, 1, 2, 3, 4);
        CHECK(memcmp(&c, &d, sizeof c) == 0);
    }
    /* The high half of the steps counts: 2^64 steps twice are 2^65. */
    ars_pcg64_advance(&c, 1, 0);
    CHECK(memcmp(&c, &d, sizeof c) != 0);
    ars_pcg64_advance(&c, 1, 0);
    ars_pcg64_advance(&d, 2, 0);
    CHECK(memcmp(&c, &d, sizeof c) == 0);
}

static void philox(void)
{
    /* kat_vectors of Random123: philox4x32, 10 rounds. */
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } runs[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int run = 0; run < 3; run++) {
        uint32_t out[4], same[4];
        ars_philox4x32(out, runs[run].counter, runs[run].key);
        CHECK(memcmp(out, runs[run].expected, sizeof out) == 0);
        memcpy(same, runs[run].counter, sizeof same);
        ars_philox4x32(same, same, runs[run].key);
        CHECK(memcmp(out, same, sizeof out) == 0);
    }
}

static void xoshiro256(void)
{
    /* rand_xoshiro's test vectors from the state {1, 2, 3, 4}, made with the reference implementations. */
    static const uint64_t expected[3][10] = {
        {5, UINT64_C(211106232532999), UINT64_C(211106635186183), UINT64_C(9223759065350669058),
         UINT64_C(9250833439874351877), UINT64_C(13862484359527728515),
         UINT64_C(2346507365006083650), UINT64_C(1168864526675804870), UINT64_C(34095955243042024),
         UINT64_C(3466914240207415127)},
        {41943041, 58720359, UINT64_C(3588806011781223), UINT64_C(3591011842654386),
         UINT64_C(9228616714210784205), UINT64_C(9973669472204895162),
         UINT64_C(14011001112246962877), UINT64_C(12406186145184390807),
         UINT64_C(15849039046786891736), UINT64_C(10450023813501588000)},
        {11520, 0, 1509978240, UINT64_C(1215971899390074240), UINT64_C(1216172134540287360),
         UINT64_C(607988272756665600), UINT64_C(16172922978634559625),
         UINT64_C(8476171486693032832), UINT64_C(10595114339597558777),
         UINT64_C(2904607092377533576)},
    };
    ars_xoshiro256 plus = {{1, 2, 3, 4}}, plusplus = plus, starstar = plus;
    ars_rng rng = plus;
    for (int i = 0; i < 10; i++) {
        CHECK_U64(ars_xoshiro256_plus(&plus), expected[0][i]);
        CHECK_U64(ars_xoshiro256_plusplus(&plusplus), expected[1][i]);
        CHECK_U64(ars_xoshiro256_starstar(&starstar), expected[2][i]);
        CHECK_U64(ars_rng_next(&rng), expected[1][i]);
    }
}

static void jumps(void)
{
    /* States after a jump from {0, 0, 0, 1}, of xoshiro-fortran's tests against the reference. */
    static const ars_xoshiro256 jumped = {
        {UINT64_C(0x934D05E8B2076310), UINT64_C(0xEABDD0BF76A1BE51), UINT64_C(0x75DD6A992ACCB1E8),
         UINT64_C(0xC660C602A7330187)}};
    static const ars_xoshiro256 long_jumped = {
        {UINT64_C(0x4AA11F0B3241CDBF), UINT64_C(0xB6A17239B35B197F), UINT64_C(0x504952572E3F844B),
         UINT64_C(0x2628DF68616FD3A0)}};
    ars_xoshiro256 g = {{0, 0, 0, 1}};
    ars_xoshiro256_jump(&g);
    CHECK(memcmp(&g, &jumped, sizeof g) == 0);
    g = (ars_xoshiro256){{0, 0, 0, 1}};
    ars_xoshiro256_long_jump(&g);
    CHECK(memcmp(&g, &long_jumped, sizeof g) == 0);
    /* PHP's test of Random\Engine\Xoshiro256StarStar: seed, 10,000 steps, both jumps. */
    ars_rng_seed(&g, 1234);
    for (int i = 0; i < 10000; i++) ars_xoshiro256_starstar(&g);
    ars_xoshiro256_jump(&g);
    ars_xoshiro256_long_jump(&g);
    CHECK_U64(ars_xoshiro256_starstar(&g), UINT64_C(0x239196a79c7e191f));
}

static void save_and_restore(void)
{
    ars_rng a, b = {{1, 2, 3, 4}};
    unsigned char bytes[32], zero[32] = {0};
    ars_rng_seed(&a, 7);
    a.s[0] = UINT64_C(0x0102030405060708);
    ars_rng_save(&a, bytes);
    CHECK_EQ(bytes[0], 8);
    CHECK_EQ(bytes[7], 1);
    CHECK_EQ(ars_rng_restore(&b, bytes), 0);
    for (int i = 0; i < 100; i++) CHECK_U64(ars_rng_next(&a), ars_rng_next(&b));
    ars_rng before = b;
    CHECK_EQ(ars_rng_restore(&b, zero), ARS_EINVAL);
    CHECK(memcmp(&b, &before, sizeof b) == 0);
}

static void refused(void *arg)
{
    ars_rng rng = {{1, 2, 3, 4}};
    (void)arg;
    if (!test_refuse(SYS_getrandom, ENOSYS)) return;
    CHECK_EQ(ars_rng_seed_os(&rng), ARS_ENOSYS);
    CHECK(rng.s[0] == 1 && rng.s[3] == 4);
}

static void entropy(void)
{
    unsigned char a[700] = {0}, b[700] = {0};
    ars_rng rng, other;

    CHECK_EQ(ars_entropy(NULL, 0), 0);
    CHECK_EQ(ars_entropy(a, sizeof a), 0);
    /* Interrupted, and a little at a time: all the same. */
    fault_at("random", 1, ARS_EINTR, 3);
    CHECK_EQ(ars_entropy(b, sizeof b), 0);
    CHECK_EQ(fault_hits("random"), 3);
    CHECK(memcmp(a, b, sizeof a) != 0);
    fault_reset();
    memset(b, 0, sizeof b);
    fault_short("random", 1, 100);
    CHECK_EQ(ars_entropy(b, sizeof b), 0);
    CHECK(fault_counts("random") > 1);
    unsigned zeros = 0;
    for (unsigned i = 0; i < 32; i++) zeros += b[sizeof b - 1 - i] == 0;
    CHECK(zeros < 20);
    fault_reset();
    /* Errors, and a source that gives nothing, leave the generator alone. */
    ars_rng_seed(&rng, 3);
    other = rng;
    fault_at("random", 1, ARS_ENOSYS, -1);
    CHECK_EQ(ars_rng_seed_os(&rng), ARS_ENOSYS);
    fault_reset();
    fault_at("random", 1, 0, -1);
    CHECK_EQ(ars_rng_seed_os(&rng), ARS_EIO);
    fault_reset();
    CHECK(memcmp(&rng, &other, sizeof rng) == 0);
    CHECK_EQ(ars_rng_seed_os(&rng), 0);
    CHECK_EQ(ars_rng_seed_os(&other), 0);
    CHECK(ars_rng_next(&rng) != ars_rng_next(&other));
    test_end end = test_child(refused, NULL);
    CHECK(end.signal == 0 && end.status == 0);
}

static void seeds_or_fails(const ars_alloc *alloc)
{
    ars_rng rng = {{0, 0, 0, 0}};
    (void)alloc;
    int rc = ars_rng_seed_os(&rng);
    CHECK((rc == 0) == ((rng.s[0] | rng.s[1] | rng.s[2] | rng.s[3]) != 0));
}

static void faults(void)
{
    CHECK(sweep_os("ars_rng_seed_os", seeds_or_fails) > 0);
}

/* The exported twins, reached as another language would. */
static void twins(void)
{
    uint64_t (*volatile below)(ars_rng *, uint64_t) = ars_rng_below;
    int64_t (*volatile between)(ars_rng *, int64_t, int64_t) = ars_rng_between;
    uint64_t (*volatile wyrand_next)(ars_wyrand *) = ars_wyrand_next;
    uint64_t (*volatile pcg64_next)(ars_pcg64 *) = ars_pcg64_next;
    ars_rng a, b;
    ars_wyrand c = {1}, d = {1};
    ars_pcg64 e, f;
    ars_rng_seed(&a, 1);
    b = a;
    ars_pcg64_seed(&e, 1, 2, 3, 4);
    f = e;
    for (int i = 0; i < 10000; i++) {
        CHECK_U64(pcg64_next(&e), ars_pcg64_next(&f));
        CHECK_U64(below(&a, UINT64_MAX / 3 * 2), ars_rng_below(&b, UINT64_MAX / 3 * 2));
        CHECK_U64(below(&a, 1000), ars_rng_below(&b, 1000));
        CHECK_EQ(between(&a, -5, 5), ars_rng_between(&b, -5, 5));
        CHECK_U64(wyrand_next(&c), ars_wyrand_next(&d));
    }
}

static const test_case cases[] = {
    {"splitmix64", splitmix64},
    {"wyrand", wyrand},
    {"pcg32", pcg32},
    {"pcg64", pcg64},
    {"pcg_advance", pcg_advance},
    {"philox", philox},
    {"xoshiro256", xoshiro256},
    {"jumps", jumps},
    {"save_and_restore", save_and_restore},
    {"entropy", entropy},
    {"faults", faults},
    {"twins", twins},
};
TEST_MAIN(cases)
