/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "base/bits.h"

/* The assertions' two forms, whatever this build has. */
#undef NDEBUG
#include "base/assert.h"

static void version(void)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", ARS_VERSION_MAJOR, ARS_VERSION_MINOR,
             ARS_VERSION_PATCH);
    CHECK_STR(ars_version(), text);
}

static void strerror_knows_every_code(void)
{
    CHECK_STR(ars_strerror(0), "success");
    CHECK_STR(ars_strerror(7), "success");
    CHECK_STR(ars_strerror(INT_MAX), "success");
    CHECK_STR(ars_strerror(ARS_ENOMEM), "out of memory");
    CHECK_STR(ars_strerror(ARS_ECANCELED), "cancelled");
    CHECK_STR(ars_strerror(-EHWPOISON), "memory page has a hardware error");
    const char *unknown = "unknown error";
    CHECK_STR(ars_strerror(-41), unknown);
    CHECK_STR(ars_strerror(-58), unknown);
    CHECK_STR(ars_strerror(-134), unknown);
    CHECK_STR(ars_strerror(-4096), unknown);
    CHECK_STR(ars_strerror(INT_MIN), unknown);
    for (int i = 1; i <= 133; i++) {
        if (i == 41 || i == 58) continue;
        const char *text = ars_strerror(-i);
        CHECK(text && *text && strcmp(text, unknown) != 0);
        CHECK(text[strlen(text) - 1] != '.');
        for (int j = 1; j < i; j++) {
            if (strcmp(text, ars_strerror(-j)) == 0 && j != 41 && j != 58)
                FAIL("%d and %d are both \"%s\"", i, j, text);
        }
    }
}

static void codes_are_those_of_linux(void)
{
    static const int pairs[][2] = {
        {ARS_EPERM, EPERM},
        {ARS_ENOENT, ENOENT},
        {ARS_EINTR, EINTR},
        {ARS_EIO, EIO},
        {ARS_EBADF, EBADF},
        {ARS_EAGAIN, EAGAIN},
        {ARS_ENOMEM, ENOMEM},
        {ARS_EACCES, EACCES},
        {ARS_EFAULT, EFAULT},
        {ARS_EBUSY, EBUSY},
        {ARS_EEXIST, EEXIST},
        {ARS_EINVAL, EINVAL},
        {ARS_ENFILE, ENFILE},
        {ARS_EMFILE, EMFILE},
        {ARS_ENOSPC, ENOSPC},
        {ARS_EPIPE, EPIPE},
        {ARS_ERANGE, ERANGE},
        {ARS_EDEADLK, EDEADLK},
        {ARS_ENAMETOOLONG, ENAMETOOLONG},
        {ARS_ENOSYS, ENOSYS},
        {ARS_ETIME, ETIME},
        {ARS_EOVERFLOW, EOVERFLOW},
        {ARS_EMSGSIZE, EMSGSIZE},
        {ARS_EOPNOTSUPP, EOPNOTSUPP},
        {ARS_EAFNOSUPPORT, EAFNOSUPPORT},
        {ARS_EADDRINUSE, EADDRINUSE},
        {ARS_EADDRNOTAVAIL, EADDRNOTAVAIL},
        {ARS_ENETUNREACH, ENETUNREACH},
        {ARS_ECONNABORTED, ECONNABORTED},
        {ARS_ECONNRESET, ECONNRESET},
        {ARS_ENOBUFS, ENOBUFS},
        {ARS_EISCONN, EISCONN},
        {ARS_ENOTCONN, ENOTCONN},
        {ARS_ETIMEDOUT, ETIMEDOUT},
        {ARS_ECONNREFUSED, ECONNREFUSED},
        {ARS_EHOSTUNREACH, EHOSTUNREACH},
        {ARS_EALREADY, EALREADY},
        {ARS_EINPROGRESS, EINPROGRESS},
        {ARS_ECANCELED, ECANCELED},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) CHECK_EQ(pairs[i][0], -pairs[i][1]);
}

static void time_add_saturates(void)
{
    static const struct {
        ars_time at, span, sum;
    } table[] = {
        {5, 7, 12},
        {5, -3, 2},
        {5, -5, 1},
        {5, -7, 1},
        {0, 0, 1},
        {1, 0, 1},
        {0, INT64_MIN, 1},
        {-1, INT64_MIN, 1},
        {1, INT64_MIN, 1},
        {INT64_MAX - 1, 1, ARS_FOREVER},
        {INT64_MAX - 1, 2, ARS_FOREVER},
        {1, INT64_MAX - 1, ARS_FOREVER},
        {1, INT64_MAX, ARS_FOREVER},
        {1, INT64_MAX - 2, INT64_MAX - 1},
        {ARS_FOREVER, 0, ARS_FOREVER},
        {ARS_FOREVER, -1, ARS_FOREVER},
        {ARS_FOREVER, INT64_MIN, ARS_FOREVER},
        {ARS_FOREVER, INT64_MAX, ARS_FOREVER},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        CHECK_EQ(ars_time_add(table[i].at, table[i].span), table[i].sum);
}

static void fails_an_assertion(void *arg)
{
    ARS__ASSERT(arg != NULL);
    ARS__ASSERT(arg == NULL);
}

static void asserts(void)
{
    int evaluated = 0;
    ARS__ASSERT(++evaluated == 1);
    CHECK_EQ(evaluated, 1);
    test_end end = test_child(fails_an_assertion, &evaluated);
    CHECK_EQ(end.signal, SIGABRT);
    CHECK(strstr(end.err, "base.c:"));
    CHECK(strstr(end.err, "assertion failed: arg == "));
}

static void bits(void)
{
    CHECK_EQ(ars__ctz64(0), 64);
    CHECK_EQ(ars__clz64(0), 64);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t bit = UINT64_C(1) << i;
        CHECK_EQ(ars__ctz64(bit), i);
        CHECK_EQ(ars__ctz64(~(bit - 1)), i);
        CHECK_EQ(ars__clz64(bit), 63 - i);
        CHECK(ars__is_pow2(bit));
        CHECK(ars__pow2_ceil(bit) == bit);
        if (i > 1) CHECK(!ars__is_pow2(bit - 1) && ars__pow2_ceil(bit - 1) == bit);
        if (i > 0) CHECK(ars__pow2_ceil(bit + 1) == (i == 63 ? 0 : bit << 1));
    }
    CHECK(!ars__is_pow2(0));
    CHECK_EQ(ars__pow2_ceil(0), 1);
    CHECK_EQ(ars__align_up(0, 64), 0);
    CHECK_EQ(ars__align_up(1, 64), 64);
    CHECK_EQ(ars__align_up(64, 64), 64);
    CHECK_EQ(ars__align_down(127, 64), 64);
}

static const test_case cases[] = {
    {"version", version},
    {"strerror_knows_every_code", strerror_knows_every_code},
    {"codes_are_those_of_linux", codes_are_those_of_linux},
    {"time_add_saturates", time_add_saturates},
    {"asserts", asserts},
    {"bits", bits},
};
TEST_MAIN(cases)
