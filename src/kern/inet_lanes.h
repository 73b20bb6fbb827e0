/* SPDX-License-Identifier: MIT */
/*
 * One variant of the Internet checksum: included with SUM, its name; TARGET,
 * the attribute that allows its instructions; LANES, how many words of 64 bits
 * are in a vector; LEAVE, what is to be done before returning.
 */

TARGET static uint16_t SUM(const unsigned char *at, size_t n)
{
    typedef uint64_t vector __attribute__((vector_size(LANES * sizeof(uint64_t))));
    vector a = {0}, b = {0}, x, y;
    uint64_t sum = 0;

    /* Two sums, so that one addition need not wait for the last. */
    for (; n >= 2 * sizeof x; n -= 2 * sizeof x, at += 2 * sizeof x) {
        memcpy(&x, at, sizeof x);
        memcpy(&y, at + sizeof x, sizeof y);
        a += (x & UINT32_MAX) + (x >> 32);
        b += (y & UINT32_MAX) + (y >> 32);
    }
    a += b;
    for (int i = 0; i < LANES; i++) sum += a[i];
    LEAVE;
    return fold(sum + sum_scalar(at, n));
}

#undef SUM
#undef TARGET
#undef LANES
#undef LEAVE
