/* SPDX-License-Identifier: MIT */
/* stream NAME: writes what a generator gives to its output, until nobody reads it any more. */
#include <arsenal/rng.h>

#include <stdio.h>
#include <string.h>

enum { WORDS = 8192 };

static uint64_t words[WORDS];

#define STREAM(NAME, NEXT)                                                                         \
    if (strcmp(name, NAME) == 0) {                                                                 \
        do {                                                                                       \
            for (int i = 0; i < WORDS; i++) words[i] = NEXT;                                       \
        } while (fwrite(words, sizeof words, 1, stdout) == 1);                                     \
        return 0;                                                                                  \
    }

static uint64_t two_of(ars_pcg32 *g)
{
    uint64_t first = ars_pcg32_next(g);
    return (uint64_t)ars_pcg32_next(g) << 32 | first;
}

static uint64_t half_of_block(uint64_t n)
{
    static uint32_t out[4];
    static const uint32_t key[2] = {2024, 0};
    uint32_t counter[4] = {(uint32_t)(n / 2), (uint32_t)(n / 2 >> 32), 0, 0};
    if (n % 2 == 0) ars_philox4x32(out, counter, key);
    return (uint64_t)out[n % 2 * 2 + 1] << 32 | out[n % 2 * 2];
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : "";
    ars_splitmix64 splitmix64 = {2024};
    ars_wyrand wyrand = {2024};
    ars_pcg32 pcg32;
    ars_pcg64 pcg64;
    ars_rng rng;
    uint64_t n = 0;

    ars_pcg32_seed(&pcg32, 2024, 1);
    ars_pcg64_seed(&pcg64, 0, 2024, 0, 1);
    ars_rng_seed(&rng, 2024);
    STREAM("splitmix64", ars_splitmix64_next(&splitmix64))
    STREAM("wyrand", ars_wyrand_next(&wyrand))
    STREAM("pcg32", two_of(&pcg32))
    STREAM("pcg64", ars_pcg64_next(&pcg64))
    STREAM("xoshiro256p", ars_xoshiro256_plus(&rng))
    STREAM("xoshiro256pp", ars_xoshiro256_plusplus(&rng))
    STREAM("xoshiro256ss", ars_xoshiro256_starstar(&rng))
    STREAM("philox", half_of_block(n++))
    if (strcmp(name, "fill") == 0) {
        do ars_rng_fill(&rng, words, sizeof words);
        while (fwrite(words, sizeof words, 1, stdout) == 1);
        return 0;
    }
    fprintf(stderr, "stream: there is no generator '%s'\n", name);
    return 2;
}
