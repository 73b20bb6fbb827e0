/* SPDX-License-Identifier: MIT */
/*
 * One kernel of rng_fill.h: included with FILL, its name; TARGET, the attribute
 * that allows its instructions; LANES, how many generators are in a vector;
 * LEAVE, what is to be done before returning.  For little-endian machines.
 */

TARGET static void FILL(ars__rng_lanes state, unsigned char *out, size_t blocks)
{
    typedef uint64_t lanes __attribute__((vector_size(LANES * sizeof(uint64_t))));

    for (size_t some; blocks; blocks -= some, out += some * ARS__RNG_BLOCK) {
        some = blocks < SOME_BLOCKS ? blocks : SOME_BLOCKS;
        for (unsigned lane = 0; lane < ARS__RNG_LANES; lane += LANES) {
            unsigned char *to = out + lane * sizeof(uint64_t);
            lanes s0, s1, s2, s3;
            memcpy(&s0, &state[0][lane], sizeof s0);
            memcpy(&s1, &state[1][lane], sizeof s1);
            memcpy(&s2, &state[2][lane], sizeof s2);
            memcpy(&s3, &state[3][lane], sizeof s3);
            for (size_t i = 0; i < some; i++, to += ARS__RNG_BLOCK) {
                lanes sum = s0 + s3, t = s1 << 17;
                lanes word = ((sum << 23) | (sum >> 41)) + s0;
                memcpy(to, &word, sizeof word);
                s2 ^= s0;
                s3 ^= s1;
                s1 ^= s2;
                s0 ^= s3;
                s2 ^= t;
                s3 = (s3 << 45) | (s3 >> 19);
            }
            memcpy(&state[0][lane], &s0, sizeof s0);
            memcpy(&state[1][lane], &s1, sizeof s1);
            memcpy(&state[2][lane], &s2, sizeof s2);
            memcpy(&state[3][lane], &s3, sizeof s3);
        }
    }
    LEAVE;
}

#undef FILL
#undef TARGET
#undef LANES
#undef LEAVE
