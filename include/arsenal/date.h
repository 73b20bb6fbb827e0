/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_DATE_H
#define ARSENAL_DATE_H

/*
 * Dates as RFC 3339 writes them: 2026-11-25T08:30:00.123456789Z.
 *
 * The years are 0000 to 9999, by the Gregorian calendar throughout.  No locale, no
 * time zone other than the offset that a text has, no allocation.
 */

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/* What suffices for any date, with its NUL: 2026-11-25T08:30:00.123456789+01:00 */
#define ARS_DATE_TEXT 36

/*
 * A moment, and how far the place's clock was ahead of UTC.
 *
 * Leap seconds are not counted in 'seconds'.  While one lasts, as 23:59:60 at
 * the end of a month of UTC, 'seconds' stays at that of 23:59:59 and
 * 'nanoseconds' goes on from 1,000,000,000 to 1,999,999,999.
 */
typedef struct ars_date {
    int64_t seconds;      /* since 1970-01-01T00:00:00Z */
    uint32_t nanoseconds; /* 0 to 999,999,999 as a rule */
    int32_t offset;       /* minutes east of UTC, -1439 to 1439 */
} ars_date;

/*
 * ars_date_from_real() makes a date, with offset 0, of a time that
 * ars_now_real() gave.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ars_date ars_date_from_real(ars_time real);

/*
 * ars_date_to_real() is the opposite: nanoseconds since 1970.  A moment within a
 * leap second becomes the one a second later, as in POSIX.
 *
 * Returns 0; ARS_ERANGE if they do not fit (before 1677-09-21 or after
 * 2262-04-11), and then '*real' is untouched.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ARS_MUST_USE int ars_date_to_real(const ars_date *date, ars_time *real);

/*
 * ars_date_format() writes the date with 'digits' (0 to 9) digits behind the
 * seconds, the rest cut off, and its NUL, into 'size' bytes.  An offset of 0
 * is written as Z.
 *
 * Returns the text's length.  After an error '*text' is untouched:
 *
 *   ARS_EINVAL   a field or 'digits' is out of its range, or a leap second is
 *                not at the end of a month
 *   ARS_ERANGE   the year, at the place, is not 0 to 9999
 *   ARS_ENOSPC   'size' is too small (ARS_DATE_TEXT bytes always suffice)
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API int ars_date_format(const ars_date *date, int digits, char *text, size_t size);

/*
 * ars_date_parse() reads the 'len' bytes of 'text', which must be one date of
 * RFC 3339's grammar and nothing else: T and Z in either case, no blank in
 * place of T, an offset always there.  It takes any number of digits behind the
 * seconds and drops what is below a nanosecond.  The second 60 is one only at
 * the end of a month of UTC.  -00:00 is read as offset 0.
 *
 * Returns 0; ARS_EINVAL if it is not such a text, or no such day or time
 * exists: '*date' is then untouched.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API ARS_MUST_USE int ars_date_parse(ars_date *date, const char *text, size_t len);

ARS_END_DECLS

#endif
