/* SPDX-License-Identifier: MIT */
#ifndef ARS_BASE_ASSERT_H
#define ARS_BASE_ASSERT_H

/*
 * ARS__ASSERT(x) states what must be true if this library is right.  It never
 * checks what a user, the system or the network can cause: that is an error
 * code.  It is on in debug builds (no NDEBUG) and where ARS_ASSERT is 1;
 * elsewhere it compiles to nothing, does not evaluate 'x', and still has it
 * checked by the compiler.
 *
 * A failed assertion writes one line to stderr and aborts.  This is the only
 * abort in the library: its state is then known to be wrong, and whatever it
 * did next would be done to the user's data.
 */

#define ARS__LIKELY(x)        __builtin_expect(!!(x), 1)
#define ARS__UNLIKELY(x)      __builtin_expect(!!(x), 0)
#define ARS__NOINLINE         __attribute__((noinline))
#define ARS__ALIGNED(n)       __attribute__((aligned(n)))
#define ARS__STATIC_ASSERT(x) _Static_assert(x, #x)

_Noreturn void ars__assert_failed(const char *file, int line, const char *what)
    __attribute__((cold));

#if !defined(NDEBUG) || (defined(ARS_ASSERT) && ARS_ASSERT)
#define ARS__ASSERTS   1
#define ARS__ASSERT(x) (ARS__LIKELY(x) ? (void)0 : ars__assert_failed(__FILE__, __LINE__, #x))
#else
#define ARS__ASSERTS   0
#define ARS__ASSERT(x) ((void)sizeof((x) ? 1 : 0))
#endif

#endif
