/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_LISTENER_H
#define ARSENAL_LISTENER_H

#include <arsenal/conn.h>

ARS_BEGIN_DECLS

/*
 * A listener takes connections at an address.
 *
 *     while (ars_listener_accept(listener, &conn, ARS_FOREVER) == 0)
 *         ars_group_go(&group, serve, conn, NULL);
 *
 * The tasks of one worker at a time use it, any number of them; it goes along
 * when one of another worker does while nobody waits, as a connection does.  To
 * accept on several workers at once, open a listener with 'reuseport' on each.
 */
typedef struct ars_listener ars_listener;

/* How a listener is opened; all-zero is the default. */
typedef struct ars_listener_opt {
    int backlog;               /* connections the kernel keeps waiting; 0: as many as it allows */
    unsigned reuseport;        /* 1: several listeners share the address (SO_REUSEPORT) */
    unsigned v6only;           /* 1: an IPv6 listener takes no IPv4 connections */
    unsigned delay;            /* 1: accepted connections keep Nagle's algorithm */
    uint64_t ars__reserved[6]; /* zero */
} ars_listener_opt;

/*
 * ars_listener_open() listens at 'addr' (port 0: one that is free; see
 * ars_listener_addr()).  A unix socket's path that is left over from a process
 * that is gone is replaced; one in use is not.  'opt' may be NULL.
 *
 * Returns 0, or ARS_EADDRINUSE, ARS_EADDRNOTAVAIL, ARS_EACCES, ARS_EMFILE,
 * ARS_ENOMEM, ARS_EINVAL (no address; on a plain thread), or another error of
 * the operating system.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_listener_open(ars_listener **listener, const ars_addr *addr,
                              const ars_listener_opt *opt);

/*
 * ars_listener_accept() waits for a connection and gives it.
 *
 * Returns 0, or
 *   ARS_ETIMEDOUT, ARS_ECANCELED  as for ars_conn_read()
 *   ARS_EMFILE, ARS_ENFILE, ARS_ENOMEM, ARS_ENOBUFS
 *                  no room for it: the connection waits in the kernel and can
 *                  be accepted later
 *   ARS_EBUSY      a task of another worker waits on it
 *   ARS_EBADF      the listener was closed meanwhile
 *   ARS_EINVAL     called on a plain thread
 * Connections that were gone before they could be accepted are passed over.
 *
 * Suspends: yes.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_listener_accept(ars_listener *listener, ars_conn **conn,
                                             ars_time deadline);

/*
 * ARS_ACCEPTABLE() is the case of ars_select() that is chosen when an accept
 * would not wait; another task may still come first.  One select at a time
 * waits for a listener, a second gets ARS_EBUSY; tasks in accept do not count.
 * For the rest see ARS_READABLE().
 */
#define ARS_ACCEPTABLE(listener) ars_case_make(ARS__CASE_WAITABLE, (listener), 0)

/*
 * ars_listener_addr() gives the address that it listens at, with the port that
 * the system chose.  Returns 0 or an error of the operating system.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_listener_addr(const ars_listener *listener, ars_addr *addr);

/*
 * ars_listener_close() stops listening; NULL does nothing.  Tasks that wait in
 * accept get ARS_EBADF; connections that nobody accepted are closed; a unix
 * socket's path is removed.  The listener must not be used afterwards.  If it
 * is another worker's, that one closes it in its next turn, and until then the
 * address stays taken.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API void ars_listener_close(ars_listener *listener);

ARS_END_DECLS

#endif
