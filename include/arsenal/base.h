/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_BASE_H
#define ARSENAL_BASE_H

/*
 * What every other header stands on: how functions are exported, what errors
 * look like, and how time is written.
 *
 * Errors are values.  A call that can fail returns a number >= 0, or a
 * negative ARS_E... code; errno is neither read nor set.  The codes have
 * Linux's errno values on every system, negated.
 *
 * Time is an ars_time: nanoseconds on the monotonic clock.  A deadline is a
 * point in time, not a duration, and is the last parameter of every call that
 * may wait.  A deadline of 0 never waits; ARS_FOREVER always does.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ARS_BEGIN_DECLS extern "C" {
#define ARS_END_DECLS   }
#else
#define ARS_BEGIN_DECLS
#define ARS_END_DECLS
#endif

#if defined(__GNUC__)
#define ARS_API               __attribute__((visibility("default")))
#define ARS_MUST_USE          __attribute__((warn_unused_result))
#define ARS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ARS_API
#define ARS_MUST_USE
#define ARS_PRINTF(fmt, args)
#endif

/*
 * How inline functions are declared.  Each has an exported twin of the same
 * name in the library, for languages that cannot read C.
 */
#ifndef ARS_INLINE
#if defined(__GNUC__)
#define ARS_INLINE inline __attribute__((always_inline))
#else
#define ARS_INLINE inline
#endif
#endif

#define ARS_VERSION_MAJOR 0
#define ARS_VERSION_MINOR 1
#define ARS_VERSION_PATCH 0

ARS_BEGIN_DECLS

/*
 * The codes that Arsenal itself makes.  Codes of the operating system that
 * are not listed pass through unchanged and ars_strerror() knows them too.
 */
enum ars_error {
    ARS_EPERM = -1,
    ARS_ENOENT = -2,
    ARS_EINTR = -4,
    ARS_EIO = -5,
    ARS_EBADF = -9,
    ARS_EAGAIN = -11,
    ARS_ENOMEM = -12,
    ARS_EACCES = -13,
    ARS_EFAULT = -14,
    ARS_EBUSY = -16,
    ARS_EEXIST = -17,
    ARS_EINVAL = -22,
    ARS_ENFILE = -23,
    ARS_EMFILE = -24,
    ARS_ENOSPC = -28,
    ARS_EPIPE = -32,
    ARS_ERANGE = -34,
    ARS_EDEADLK = -35,
    ARS_ENAMETOOLONG = -36,
    ARS_ENOSYS = -38,
    ARS_ETIME = -62,
    ARS_EOVERFLOW = -75,
    ARS_EMSGSIZE = -90,
    ARS_EOPNOTSUPP = -95,
    ARS_EAFNOSUPPORT = -97,
    ARS_EADDRINUSE = -98,
    ARS_EADDRNOTAVAIL = -99,
    ARS_ENETUNREACH = -101,
    ARS_ECONNABORTED = -103,
    ARS_ECONNRESET = -104,
    ARS_ENOBUFS = -105,
    ARS_EISCONN = -106,
    ARS_ENOTCONN = -107,
    ARS_ETIMEDOUT = -110,
    ARS_ECONNREFUSED = -111,
    ARS_EHOSTUNREACH = -113,
    ARS_EALREADY = -114,
    ARS_EINPROGRESS = -115,
    ARS_ECANCELED = -125
};

/*
 * ars_strerror() names an error: a short English text for a code returned by
 * any Arsenal function, in static storage, never NULL.  For values >= 0 it is
 * "success", for unknown ones "unknown error".
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API const char *ars_strerror(int error);

/*
 * ars_version() gives the version of the library that is linked, as
 * "MAJOR.MINOR.PATCH".
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API const char *ars_version(void);

/* A point on the monotonic clock, or a span of it, in nanoseconds. */
typedef int64_t ars_time;

#define ARS_FOREVER     INT64_MAX
#define ARS_MICROSECOND ((ars_time)1000)
#define ARS_MILLISECOND ((ars_time)1000000)
#define ARS_SECOND      ((ars_time)1000000000)

/*
 * ars_time_add() adds a span to a point in time and saturates: beyond
 * INT64_MAX it is ARS_FOREVER, and ARS_FOREVER plus anything is ARS_FOREVER.
 * Below 0 it is 1, the earliest point that is not "never wait".  So an
 * addition never turns a distant deadline into a past one, nor into 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_time ars_time_add(ars_time at, ars_time span);

ARS_END_DECLS

#endif
