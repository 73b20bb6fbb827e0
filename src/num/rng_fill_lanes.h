/* SPDX-License-Identifier: MIT */
/*
 * One kernel of rng_fill.h: included with FILL, its name; TARGET, the attribute
 * that allows its instructions; LANES, how many generators are in a vector;
 * LEAVE, what is to be done before returning.  For little-endian machines.
 */

TARGET static void FILL(ars__rng_lanes state, unsigned char *out, size_t blocks)
{
    enum { VECTORS = ARS__RNG_LANES / LANES };
    typedef uint64_t vector __attribute__((vector_size(LANES * sizeof(uint64_t))));
    vector s0[VECTORS], s1[VECTORS], s2[VECTORS], s3[VECTORS];

    memcpy(s0, state[0], sizeof s0);
    memcpy(s1, state[1], sizeof s1);
    memcpy(s2, state[2], sizeof s2);
    memcpy(s3, state[3], sizeof s3);
    for (; blocks; blocks--, out += ARS__RNG_BLOCK) {
        /* Unrolled, the arrays are registers, and the vectors need not wait for each other. */
        UNROLL
        for (int i = 0; i < VECTORS; i++) {
            vector sum = s0[i] + s3[i], t = s1[i] << 17;
            vector word = ((sum << 23) | (sum >> 41)) + s0[i];
            memcpy(out + i * sizeof word, &word, sizeof word);
            s2[i] ^= s0[i];
            s3[i] ^= s1[i];
            s1[i] ^= s2[i];
            s0[i] ^= s3[i];
            s2[i] ^= t;
            s3[i] = (s3[i] << 45) | (s3[i] >> 19);
        }
    }
    memcpy(state[0], s0, sizeof s0);
    memcpy(state[1], s1, sizeof s1);
    memcpy(state[2], s2, sizeof s2);
    memcpy(state[3], s3, sizeof s3);
    LEAVE;
}

#undef FILL
#undef TARGET
#undef LANES
#undef LEAVE
