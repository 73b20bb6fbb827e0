/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_RIGHTS_H
#define ARSENAL_RIGHTS_H

#include <arsenal/conn.h>
#include <arsenal/dgram.h>

ARS_BEGIN_DECLS

/*
 * What unix sockets carry beside bytes: open descriptors, and who is at the
 * other end.
 *
 *     int fds[4];
 *     ars_rights rights = {fds, 4, 0, {0, 0, 0}};
 *     n = ars_conn_recv_rights(conn, buf, sizeof buf, &rights, ARS_FOREVER);
 *     for (size_t i = 0; i < rights.count; i++) use_and_close(fds[i]);
 */

/* A process, as the system knows it. */
typedef struct ars_cred {
    int32_t pid; /* 0: unknown */
    uint32_t uid, gid;
} ars_cred;

enum { ARS_RIGHTS_MAX = 253 }; /* descriptors that go with one piece */

typedef struct ars_rights {
    int *fds;
    size_t room;   /* how many there may be at 'fds' */
    size_t count;  /* how many came */
    ars_cred cred; /* the sender, of a datagram, if ARS_DGRAM_CRED is on */
} ars_rights;

/*
 * ars_conn_send_rights() writes 'n' > 0 bytes as ars_conn_write() does, and with
 * the first of them duplicates of 'count' descriptors; they arrive together.
 *
 * Returns as ars_conn_write() does; the descriptors went if and only if '*sent' is
 * more than 0.  ARS_EINVAL for n = 0, more than ARS_RIGHTS_MAX, or a connection
 * that is no unix socket; ARS_EBADF for a descriptor that is none; -109 (too many
 * references) if there are too many under way.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_send_rights(ars_conn *conn, const void *buf, size_t n,
                                              const int *fds, size_t count, size_t *sent,
                                              ars_time deadline);

/*
 * ars_conn_recv_rights() reads up to 'n' > 0 bytes as ars_conn_read() does, and
 * takes the descriptors that came with them; they are the caller's, and
 * close-on-exec.  Where descriptors may come, read with this from the beginning:
 * other calls close them.
 *
 * Returns as ars_conn_read() does; 'rights->count' is then set.  ARS_EMSGSIZE if
 * more came than there is room for, or than the process may have open: all of
 * them are closed, and the bytes can be read (ARS_ENOMEM: there was no memory to
 * keep them).
 *
 * Suspends: yes.  Allocates: from the runtime, after too many.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_recv_rights(ars_conn *conn, void *buf, size_t n,
                                              ars_rights *rights, ars_time deadline);

/*
 * ars_dgram_send_rights() sends a datagram with duplicates of 'count'
 * descriptors, ars_dgram_recv_rights() receives one with what comes with it.
 *
 * Return as ars_dgram_send() and ars_dgram_recv() do, and the errors above; after
 * ARS_EMSGSIZE the datagram is lost.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_dgram_send_rights(ars_dgram *dgram, const void *buf, size_t n,
                                               const ars_addr *to, const int *fds, size_t count,
                                               ars_time deadline);
ARS_API ARS_MUST_USE int ars_dgram_recv_rights(ars_dgram *dgram, void *buf, size_t n,
                                               ars_addr *from, ars_rights *rights,
                                               ars_time deadline);

/*
 * ars_conn_cred() and ars_dgram_cred() give who connected, or who listened or
 * made the pair, at the time of that.
 *
 * Returns 0, ARS_EINVAL for what is no unix socket, ARS_ENOTCONN without a peer.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_conn_cred(const ars_conn *conn, ars_cred *cred);
ARS_API int ars_dgram_cred(const ars_dgram *dgram, ars_cred *cred);

ARS_END_DECLS

#endif
