/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_KERN_H
#define ARSENAL_KERN_H

/*
 * Loops over bytes, each with the instructions of the CPU that it runs on
 * (see ars_cpu_features()).  The results are the same on every machine.
 * Buffers may begin at any address; nothing outside of them is read.
 */

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * ars_inet_sum() adds the 'n' bytes at 'buf' to 'sum' as RFC 1071 does: words
 * of 16 bits, the high byte first, in one's complement.  Begin with 0.  All
 * parts but the last must have an even length; a last odd byte is the high one
 * of a word.  0 is given only if all words and 'sum' are 0.
 *
 * ars_inet_checksum() is the complement of that sum: what the checksum field
 * of an IP, TCP, UDP or ICMP header gets, the high byte first, if the field
 * was 0 when it was summed; and 0 if a correct checksum was summed as well.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API uint16_t ars_inet_sum(uint16_t sum, const void *buf, size_t n);
ARS_API uint16_t ars_inet_checksum(uint16_t sum, const void *buf, size_t n);

/*
 * A set of bytes; all zero, it is empty.  Byte c is bit (c >> 4) % 8 of
 * bits[c % 16 + 16 * (c >> 7)].
 */
typedef struct ars_byteset {
    unsigned char bits[32];
} ars_byteset;

/*
 * ars_byteset_add() puts a byte into the set, ars_byteset_has() tells whether
 * one is in it, 1 or 0, and ars_byteset_invert() puts in what is not in and
 * takes out what is.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API void ars_byteset_add(ars_byteset *set, unsigned char byte);
ARS_API int ars_byteset_has(const ars_byteset *set, unsigned char byte);
ARS_API void ars_byteset_invert(ars_byteset *set);

/*
 * ars_byteset_find() gives the offset of the first of the 'n' bytes at 'buf'
 * that is in the set; 'n' if none is.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API size_t ars_byteset_find(const ars_byteset *set, const void *buf, size_t n);

/*
 * ars_popcount() counts the bits that are 1 in the 'n' bytes at 'buf'.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, signal handlers too.
 */
ARS_API uint64_t ars_popcount(const void *buf, size_t n);

ARS_END_DECLS

#endif
