/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_ADDR_H
#define ARSENAL_ADDR_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * Socket addresses: IPv4, IPv6 and unix, as text and as the system's sockaddr.
 *
 *     127.0.0.1:80     [::1]:80     [fe80::1%eth0]:80     unix:/run/app.sock     unix:@abstract
 *
 * Names are not looked up: an address is numeric.  '*' as host stands for any
 * IPv6 and IPv4 address when listening ("*:80").
 */

enum { ARS_ADDR_TEXT = 128 }; /* bytes that hold any address as text, with the NUL */

/* A value: copied freely, all-zero is "no address". */
typedef struct ars_addr {
    uint32_t ars__len; /* of the sockaddr; 0: no address */
    uint32_t ars__pad;
    uint64_t ars__sockaddr[15]; /* room for a sockaddr_un */
} ars_addr;

/*
 * ars_addr_parse() reads an address as text, in the forms above.
 *
 * Returns 0, or ARS_EINVAL (not an address, port missing or above 65535,
 * unknown interface) or ARS_ENAMETOOLONG (a unix path that the system cannot
 * hold); '*addr' is then untouched.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_addr_parse(ars_addr *addr, const char *text);

/*
 * ars_addr_format() writes the address as text, the form that
 * ars_addr_parse() reads, with its NUL, into 'size' bytes.
 *
 * Returns the text's length, or ARS_ENOSPC (ARS_ADDR_TEXT bytes always
 * suffice) or ARS_EINVAL (no address).
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_addr_format(const ars_addr *addr, char *text, size_t size);

/*
 * ars_addr_port() is the port of an IPv4 or IPv6 address; ARS_EINVAL for others.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_addr_port(const ars_addr *addr);

/*
 * ars_addr_from() copies a struct sockaddr of 'len' bytes.
 *
 * Returns 0, ARS_EAFNOSUPPORT for a family other than the three, or ARS_EINVAL
 * for a length that does not fit the family, or a unix path with a NUL inside.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_addr_from(ars_addr *addr, const void *sockaddr, size_t len);

/*
 * ars_addr_sockaddr() gives the struct sockaddr inside '*addr' and its length;
 * NULL and 0 for no address.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API const void *ars_addr_sockaddr(const ars_addr *addr, size_t *len);

ARS_END_DECLS

#endif
