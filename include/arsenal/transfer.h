/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TRANSFER_H
#define ARSENAL_TRANSFER_H

#include <arsenal/conn.h>

ARS_BEGIN_DECLS

/*
 * Bytes that the program need not see: from one connection to another, and from
 * a file to a connection.  Where the system can move them without copying, it
 * does.
 */

#define ARS_TO_THE_END UINT64_MAX

/*
 * ars_conn_copy() reads from 'from' and writes to 'to', up to 'limit' bytes or
 * to the end of the stream (ARS_TO_THE_END).  Both may be any connections, also
 * one and the same; while it runs nobody else reads from 'from', and bytes that
 * others write to 'to' may come between.  A proxy is two tasks of one worker
 * (started with 'home'):
 *
 *     static int forward(void *arg)
 *     {
 *         struct way *w = arg;
 *         int rc = ars_conn_copy(w->from, w->to, ARS_TO_THE_END, NULL, ARS_FOREVER);
 *         ars_conn_shutdown(w->to, ARS_WRITE_SIDE);
 *         return rc;
 *     }
 *
 * While it waits for bytes of 'from' it does not find out that 'to' was closed,
 * or that the peer of 'to' is gone, and neither does it the other way round:
 * with the next bytes it does.  In a proxy the task of the other direction knows
 * at once, because it reads from that peer: it ends with ARS_ECONNRESET, or
 * ARS_EBADF after a close here.  Have the two in a group with ARS_FAIL_FAST, and
 * the one that still waits is cancelled.  A peer that closes in good order looks
 * like one that has only ended its sending: that is the end of one direction,
 * and the other finds out with the next bytes.
 *
 * Returns 0 after 'limit' bytes or at the end of the stream; else an error of
 * ars_conn_read() or ars_conn_write().  '*copied' ('copied' may be NULL) is how
 * many bytes 'to' took, in any case.  Bytes that were read and could not be
 * written are read from 'from' again by the next call, unless there is no
 * memory for them (ARS_ENOMEM).
 *
 * Suspends: yes.  Allocates: from the runtime, if it cannot write all that it has read.
 * Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_copy(ars_conn *from, ars_conn *to, uint64_t limit,
                                       uint64_t *copied, ars_time deadline);

/*
 * ars_conn_sendfile() writes up to 'n' bytes of the file 'fd', from 'offset' on
 * or less if the file ends before, together as ars_conn_write() does.  The
 * descriptor's own offset is neither used nor moved.
 *
 * Parts of the file that are not in memory are read on a thread of
 * ars_block()'s, so that other tasks do not wait for the disk.
 *
 * Returns 0 when the kernel has taken all of them, also if the file ended
 * before: '*sent' ('sent' may be NULL) is how many it took, in any case.  Or an
 * error of ars_conn_write(); ARS_EBADF if 'fd' cannot be read; ARS_EINVAL if it
 * is no file, for n > SSIZE_MAX or an offset < 0; ARS_EIO.  With deadline 0 it
 * sends what is in memory and what the connection takes at once, and gives
 * ARS_ETIMEDOUT for a rest.
 *
 * Suspends: yes.  Allocates: once a runtime (see ars_block()).  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_sendfile(ars_conn *conn, int fd, int64_t offset, size_t n,
                                           size_t *sent, ars_time deadline);

ARS_END_DECLS

#endif
