/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/clock.h>
#include <arsenal/date.h>
#include <arsenal/rng.h>

#include <stdlib.h>
#include <time.h>

#define EARLIEST INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LATEST   INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static const struct {
    const char *text;
    int digits;
    ars_date date;
} pairs[] = {
    {"1970-01-01T00:00:00Z", 0, {0, 0, 0}},
    {"1969-12-31T23:59:59.999999999Z", 9, {-1, 999999999, 0}},
    {"1985-04-12T23:20:50.52Z", 2, {482196050, 520000000, 0}},
    {"1996-12-19T16:39:57-08:00", 0, {851042397, 0, -480}},
    {"1990-12-31T23:59:60Z", 0, {662687999, 1000000000, 0}},
    {"1990-12-31T15:59:60-08:00", 0, {662687999, 1000000000, -480}},
    {"1991-01-01T05:29:60.5+05:30", 1, {662687999, 1500000000, 330}},
    {"1937-01-01T12:00:27.87+00:20", 2, {-1041337173, 870000000, 20}},
    {"2000-02-29T00:00:00Z", 0, {951782400, 0, 0}},
    {"2016-12-31T23:59:60.999999999Z", 9, {1483228799, 1999999999, 0}},
    {"2038-01-19T03:14:08Z", 0, {2147483648, 0, 0}},
    {"0000-01-01T00:00:00Z", 0, {EARLIEST, 0, 0}},
    {"9999-12-31T23:59:59.999999999Z", 9, {LATEST, 999999999, 0}},
    {"9999-12-31T23:59:60Z", 0, {LATEST, 1000000000, 0}},
    {"0000-01-01T00:00:00+23:59", 0, {EARLIEST - 1439 * 60, 0, 1439}},
    {"9999-12-31T23:59:59-23:59", 0, {LATEST + 1439 * 60, 0, -1439}},
};

static void same(const ars_date *a, const ars_date *b)
{
    CHECK_EQ(a->seconds, b->seconds);
    CHECK_EQ(a->nanoseconds, b->nanoseconds);
    CHECK_EQ(a->offset, b->offset);
}

static void known_dates(void)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[ARS_DATE_TEXT];
        ars_date date;
        test_context = pairs[i].text;
        CHECK_EQ(ars_date_format(&pairs[i].date, pairs[i].digits, text, sizeof text),
                 strlen(pairs[i].text));
        CHECK_STR(text, pairs[i].text);
        CHECK_EQ(ars_date_parse(&date, text, strlen(text)), 0);
        same(&date, &pairs[i].date);
    }
    test_context = NULL;
}

/* What is read but not written so. */
static void other_ways_to_write(void)
{
    static const struct {
        const char *text;
        ars_date date;
    } table[] = {
        {"1970-01-01t00:00:01z", {1, 0, 0}},
        {"1970-01-01T00:00:01+00:00", {1, 0, 0}},
        {"1970-01-01T00:00:01-00:00", {1, 0, 0}},
        {"1970-01-01T00:00:01.1234567899Z", {1, 123456789, 0}},
        {"1970-01-01T00:00:01.000000000000000000000000000001Z", {1, 0, 0}},
        {"1970-01-01T00:00:01.99999999999999999999999999999Z", {1, 999999999, 0}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ars_date date;
        test_context = table[i].text;
        CHECK_EQ(ars_date_parse(&date, table[i].text, strlen(table[i].text)), 0);
        same(&date, &table[i].date);
    }
    test_context = NULL;
}

static void bad_texts(void)
{
    static const char *const table[] = {
        "",
        " ",
        "Z",
        "T",
        "1970",
        "1970-01-01",
        "1970-01-01T",
        "1970-01-01Z",
        "00:00:00Z",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-01-01_00:00:00Z",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z ",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00Z+00:00",
        "70-01-01T00:00:00Z",
        "197-01-01T00:00:00Z",
        "01970-01-01T00:00:00Z",
        "+1970-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-01-1T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2000-02-30T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T23:60:00Z",
        "1970-01-01T23:59:61Z",
        "1970-01-01T-1:00:00Z",
        "1970-01-01T0:00:00Z",
        "1970-01-01T00:0:00Z",
        "1970-01-01T00:00:0Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.5",
        "1970-01-01T00:00:00.-5Z",
        "1970-01-01T00:00:00..5Z",
        "1970-01-01T00:00:00.5.5Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "1970-01-01T00:00:00+0000",
        "1970-01-01T00:00:00+00",
        "1970-01-01T00:00:00+00:0",
        "1970-01-01T00:00:00+0:00",
        "1970-01-01T00:00:00+00:00Z",
        "1970-01-01T00:00:00 +00:00",
        "1970-01-01T00:00:00UTC",
        "1970-01-01T000000Z",
        "19700101T00:00:00Z",
        "1970/01/01T00:00:00Z",
        "1970-W01-1T00:00:00Z",
        "1970-001T00:00:00Z",
        /* No leap second there: within a month, within a day, at the place's midnight. */
        "1990-12-30T23:59:60Z",
        "1990-12-31T22:59:60Z",
        "1990-12-31T23:58:60Z",
        "1990-12-31T23:59:60+01:00",
        "1991-01-01T00:00:60Z",
        "2000-02-28T23:59:60Z",
        "1990-12-31T23:59:60.Z",
        /* Digits, but not these. */
        "\xd9\xa1\xd9\xa9\xd9\xa7\xd9\xa0-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ars_date date = {7, 8, 9}, before = date;
        test_context = table[i];
        CHECK_EQ(ars_date_parse(&date, table[i], strlen(table[i])), ARS_EINVAL);
        same(&date, &before);
    }
    test_context = NULL;
    /* Cut anywhere, and with a NUL within. */
    const char *whole = "1996-12-19T16:39:57.25-08:00";
    for (size_t len = 0; len < strlen(whole); len++) {
        /* Exactly as long as it is: ASan sees a byte read beyond it. */
        char *cut = malloc(len ? len : 1);
        ars_date date;
        memcpy(cut, whole, len);
        CHECK_EQ(ars_date_parse(&date, cut, len), ARS_EINVAL);
        free(cut);
    }
    ars_date date;
    CHECK_EQ(ars_date_parse(&date, "1970-01-01T00:00:00Z", 21), ARS_EINVAL);
}

static void bad_fields(void)
{
    static const struct {
        ars_date date;
        int digits, error;
    } table[] = {
        {{0, 0, 0}, -1, ARS_EINVAL},           {{0, 0, 0}, 10, ARS_EINVAL},
        {{0, 2000000000, 0}, 0, ARS_EINVAL},   {{0, UINT32_MAX, 0}, 0, ARS_EINVAL},
        {{0, 1000000000, 0}, 0, ARS_EINVAL},   {{0, 0, 1440}, 0, ARS_EINVAL},
        {{0, 0, -1440}, 0, ARS_EINVAL},        {{0, 0, INT32_MIN}, 0, ARS_EINVAL},
        {{EARLIEST - 1, 0, 0}, 0, ARS_ERANGE}, {{EARLIEST, 0, -1}, 0, ARS_ERANGE},
        {{LATEST + 1, 0, 0}, 0, ARS_ERANGE},   {{LATEST, 0, 1}, 0, ARS_ERANGE},
        {{INT64_MAX, 0, 1439}, 0, ARS_ERANGE}, {{INT64_MIN, 1000000000, -1439}, 0, ARS_ERANGE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[ARS_DATE_TEXT] = "untouched";
        CHECK_EQ(ars_date_format(&table[i].date, table[i].digits, text, sizeof text),
                 table[i].error);
        CHECK_STR(text, "untouched");
    }
    ars_date date = {0, 0, 60};
    for (size_t size = 0; size < ARS_DATE_TEXT; size++) {
        char text[ARS_DATE_TEXT] = "untouched";
        CHECK_EQ(ars_date_format(&date, 9, text, size), ARS_ENOSPC);
        CHECK_STR(text, "untouched");
    }
    char text[ARS_DATE_TEXT];
    CHECK_EQ(ars_date_format(&date, 9, text, sizeof text), ARS_DATE_TEXT - 1);
}

/* Every day of the calendar, beside the C library's. */
static void calendar(void)
{
    long step = test_times(1, 17);
    for (int64_t day = EARLIEST / 86400; day <= LATEST / 86400; day += step) {
        char text[ARS_DATE_TEXT], expected[64];
        time_t t = (time_t)(day * 86400);
        ars_date date = {day * 86400, 0, 0}, back;
        struct tm tm;
        CHECK(gmtime_r(&t, &tm) != NULL);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00Z", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday);
        CHECK_EQ(ars_date_format(&date, 0, text, sizeof text), 20);
        CHECK_STR(text, expected);
        CHECK_EQ(ars_date_parse(&back, text, 20), 0);
        same(&back, &date);
    }
}

static void round_trips(void)
{
    ars_rng rng;
    ars_rng_seed(&rng, 3339);
    for (long i = test_times(300000, 30000); i; i--) {
        char text[ARS_DATE_TEXT];
        ars_date back, date = {ars_rng_between(&rng, EARLIEST + 86400, LATEST - 86400),
                               (uint32_t)ars_rng_below(&rng, 1000000000),
                               (int32_t)ars_rng_between(&rng, -1439, 1439)};
        int digits = (int)ars_rng_below(&rng, 10), len;
        CHECK((len = ars_date_format(&date, digits, text, sizeof text)) > 0);
        CHECK_EQ(ars_date_parse(&back, text, (size_t)len), 0);
        for (uint32_t unit = 1000000000, k = 0; k <= 9; k++, unit /= 10)
            if ((int)k == digits) date.nanoseconds -= date.nanoseconds % unit;
        same(&back, &date);
    }
}

/* A text with some bytes changed is refused, or is a date that is written so. */
static void random_texts(void)
{
    static const char bytes[] = "0123456789-+:.TtZz ,\0\xff";
    ars_rng rng;
    ars_rng_seed(&rng, 3340);
    for (long i = test_times(300000, 30000), good = 0; i; i--) {
        char text[] = "1996-12-31T23:59:57.25-08:00", again[ARS_DATE_TEXT];
        ars_date date, back;
        for (uint64_t n = 1 + ars_rng_below(&rng, 3); n; n--)
            text[ars_rng_below(&rng, sizeof text - 1)] = bytes[ars_rng_below(&rng, sizeof bytes)];
        if (ars_date_parse(&date, text, sizeof text - 1) < 0) continue;
        int len = ars_date_format(&date, 9, again, sizeof again);
        CHECK(len > 0);
        CHECK_EQ(ars_date_parse(&back, again, (size_t)len), 0);
        same(&back, &date);
        if (i == 1) CHECK(good > 0);
        good++;
    }
}

static void real_times(void)
{
    static const ars_time table[] = {
        0,           1,         -1,        999999999,     -1000000000,
        -1000000001, INT64_MAX, INT64_MIN, INT64_MIN + 1, 1700000000123456789};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ars_date date = ars_date_from_real(table[i]);
        ars_time back = 5;
        CHECK(date.nanoseconds < 1000000000);
        CHECK_EQ(ars_date_to_real(&date, &back), 0);
        CHECK_EQ(back, table[i]);
    }
    ars_date leap = {-1, 1000000000, 0}, far = ars_date_from_real(INT64_MAX);
    ars_time real = 5;
    CHECK_EQ(ars_date_to_real(&leap, &real), 0);
    CHECK_EQ(real, 0);
    far.nanoseconds++;
    CHECK_EQ(ars_date_to_real(&far, &real), ARS_ERANGE);
    far = ars_date_from_real(INT64_MIN);
    far.nanoseconds--;
    CHECK_EQ(ars_date_to_real(&far, &real), ARS_ERANGE);
    CHECK_EQ(ars_date_to_real(&(ars_date){INT64_MAX, 0, 0}, &real), ARS_ERANGE);
    CHECK_EQ(ars_date_to_real(&(ars_date){INT64_MIN, 0, 0}, &real), ARS_ERANGE);
    CHECK_EQ(real, 0);

    char text[ARS_DATE_TEXT];
    ars_date now = ars_date_from_real(ars_now_real());
    CHECK_EQ(ars_date_format(&now, 3, text, sizeof text), 24);
}

static const test_case cases[] = {
    {"known_dates", known_dates},   {"other_ways_to_write", other_ways_to_write},
    {"bad_texts", bad_texts},       {"bad_fields", bad_fields},
    {"calendar", calendar},         {"round_trips", round_trips},
    {"random_texts", random_texts}, {"real_times", real_times},
};
TEST_MAIN(cases)
