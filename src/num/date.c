/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/date.h>.
 *
 * Days are counted in years that begin with March, so that the leap day is the
 * last of its year and the months before it have one pattern: 153 days for
 * each five.  400 years, an era, have 146,097 days.  (H. Hinnant,
 * "chrono-compatible low-level date algorithms".)
 */
#include <arsenal/date.h>

enum { DAY = 86400, ERA = 146097, MARCH_0000_TO_1970 = 719468, NANO = 1000000000, FAR = 24 * 60 };

typedef struct civil {
    int year, month, day;
} civil;

static int64_t days_from(civil date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - MARCH_0000_TO_1970;
}

/* The days are at most some thousands of years from 1970. */
static civil civil_from(int64_t days)
{
    days += MARCH_0000_TO_1970;
    int64_t era = (days >= 0 ? days : days - (ERA - 1)) / ERA, of_era = days - era * ERA;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);
    civil date = {(int)(year + era * 400), month < 10 ? month + 3 : month - 9,
                  (int)(of_year - (153 * month + 2) / 5 + 1)};
    date.year += date.month <= 2;
    return date;
}

static int month_length(int year, int month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Rounded down, also below 0. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Whether the last second of a month of UTC begins at 'seconds', so that a leap second may follow. */
static int ends_a_month(int64_t seconds)
{
    return floor_div(seconds + 1, DAY) * DAY == seconds + 1 &&
           civil_from((seconds + 1) / DAY).day == 1;
}

ars_date ars_date_from_real(ars_time real)
{
    int64_t seconds = floor_div(real, NANO);
    /* Not real - seconds * NANO, which passes INT64_MIN just before it fits. */
    int64_t rest = real % NANO;
    ars_date date = {seconds, (uint32_t)(rest < 0 ? rest + NANO : rest), 0};
    return date;
}

int ars_date_to_real(const ars_date *date, ars_time *real)
{
    int64_t seconds = date->seconds, nanoseconds = date->nanoseconds, ns;
    /* Of the same sign, so that what is within the range does not leave it on the way. */
    if (seconds < 0 && nanoseconds > 0) {
        seconds++;
        nanoseconds -= NANO;
    }
    if (__builtin_mul_overflow(seconds, (int64_t)NANO, &ns) ||
        __builtin_add_overflow(ns, nanoseconds, &ns))
        return ARS_ERANGE;
    *real = ns;
    return 0;
}

/* ---- writing ---- */

static char *put(char *at, unsigned value, int digits)
{
    for (int i = digits; i-- > 0; value /= 10) at[i] = (char)('0' + value % 10);
    return at + digits;
}

int ars_date_format(const ars_date *date, int digits, char *text, size_t size)
{
    static const uint32_t cut[10] = {NANO,  100000000, 10000000, 1000000, 100000,
                                     10000, 1000,      100,      10,      1};
    /* Beyond these no sum below overflows and every year is out of range. */
    const int64_t farthest = INT64_C(400000000000);
    int leap = date->nanoseconds >= NANO, offset = date->offset;
    if (digits < 0 || digits > 9 || offset <= -FAR || offset >= FAR ||
        date->nanoseconds >= 2u * NANO)
        return ARS_EINVAL;
    if (date->seconds > farthest || date->seconds < -farthest) return ARS_ERANGE;
    if (leap && !ends_a_month(date->seconds)) return ARS_EINVAL;
    int64_t local = date->seconds + offset * 60, days = floor_div(local, DAY);
    unsigned of_day = (unsigned)(local - days * DAY);
    civil day = civil_from(days);
    if (day.year < 0 || day.year > 9999) return ARS_ERANGE;
    int len = 19 + (digits ? 1 + digits : 0) + (offset ? 6 : 1);
    if (size <= (size_t)len) return ARS_ENOSPC;

    char *at = put(text, (unsigned)day.year, 4);
    *at++ = '-';
    at = put(at, (unsigned)day.month, 2);
    *at++ = '-';
    at = put(at, (unsigned)day.day, 2);
    *at++ = 'T';
    at = put(at, of_day / 3600, 2);
    *at++ = ':';
    at = put(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = put(at, of_day % 60 + (unsigned)leap, 2);
    if (digits) {
        *at++ = '.';
        at = put(at, date->nanoseconds % NANO / cut[digits], digits);
    }
    if (offset) {
        unsigned minutes = (unsigned)(offset < 0 ? -offset : offset);
        *at++ = offset < 0 ? '-' : '+';
        at = put(at, minutes / 60, 2);
        *at++ = ':';
        at = put(at, minutes % 60, 2);
    } else {
        *at++ = 'Z';
    }
    *at = 0;
    return len;
}

/* ---- reading: each part moves 'at', or says by 'ok' that it is not there ---- */

typedef struct reader {
    const char *at, *end;
    int ok;
} reader;

static int is_digit(const reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static int number(reader *r, int digits, int least, int most)
{
    int value = 0;
    for (; digits; digits--) {
        if (!is_digit(r)) return r->ok = 0;
        value = value * 10 + (*r->at++ - '0');
    }
    if (value < least || value > most) r->ok = 0;
    return value;
}

/* Takes one of the two characters; gives it, or 0. */
static char one_of(reader *r, char a, char b)
{
    if (r->at < r->end && (*r->at == a || *r->at == b)) return *r->at++;
    return 0;
}

static void literal(reader *r, char a, char b)
{
    if (!one_of(r, a, b)) r->ok = 0;
}

static uint32_t fraction(reader *r)
{
    uint32_t value = 0, unit = NANO;
    if (!one_of(r, '.', '.')) return 0;
    if (!is_digit(r)) r->ok = 0;
    for (; is_digit(r); r->at++) {
        unit /= 10;
        value += (uint32_t)(*r->at - '0') * unit;
    }
    return value;
}

static int offset_of(reader *r)
{
    char sign = one_of(r, '+', '-');
    if (!sign) {
        literal(r, 'Z', 'z');
        return 0;
    }
    int hours = number(r, 2, 0, 23);
    literal(r, ':', ':');
    int minutes = hours * 60 + number(r, 2, 0, 59);
    return sign == '-' ? -minutes : minutes;
}

int ars_date_parse(ars_date *date, const char *text, size_t len)
{
    reader r = {text, text + len, 1};
    civil day;
    day.year = number(&r, 4, 0, 9999);
    literal(&r, '-', '-');
    day.month = number(&r, 2, 1, 12);
    literal(&r, '-', '-');
    if (!r.ok) return ARS_EINVAL;
    day.day = number(&r, 2, 1, month_length(day.year, day.month));
    literal(&r, 'T', 't');
    int64_t of_day = number(&r, 2, 0, 23) * 3600;
    literal(&r, ':', ':');
    of_day += number(&r, 2, 0, 59) * 60;
    literal(&r, ':', ':');
    int second = number(&r, 2, 0, 60), leap = second == 60;
    uint32_t nanoseconds = fraction(&r);
    int offset = offset_of(&r);
    if (!r.ok || r.at != r.end) return ARS_EINVAL;
    int64_t seconds = days_from(day) * DAY + of_day + second - leap - offset * 60;
    if (leap && !ends_a_month(seconds)) return ARS_EINVAL;
    *date = (ars_date){seconds, nanoseconds + (leap ? NANO : 0u), offset};
    return 0;
}
