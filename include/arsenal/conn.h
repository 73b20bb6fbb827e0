/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_CONN_H
#define ARSENAL_CONN_H

#include <arsenal/addr.h>
#include <arsenal/buf.h>
#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * A connection is a stream of bytes to a peer: over TCP, a unix socket, a pipe,
 * or whatever descriptor ars_conn_from_fd() is given.
 * Reading and writing look blocking and suspend only the calling task.
 *
 *     char buf[1024];
 *     int n;
 *     while ((n = ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER)) > 0)
 *         if (ars_conn_write(conn, buf, (size_t)n, NULL, ARS_FOREVER) < 0) break;
 *     ars_conn_close(conn);
 *
 * The tasks of one worker at a time use a connection, one reading and any
 * number writing.  It goes along when a task of another worker uses it, as long
 * as nobody waits on it; an accepted connection belongs to no worker until it
 * is used, so that
 *
 *     ars_group_go(&group, serve, conn, NULL);
 *
 * costs nothing more when another worker takes the task.  A later move waits
 * for a turn of the worker that it leaves.  Handing over is the program's part:
 * what orders the tasks (a start, a channel) orders their use of the connection.
 * While a task of another worker waits on it, or is in a call on it, it cannot
 * be had: ARS_EBUSY, and in debug builds a report.  With deadline 0 the move is
 * asked for and the call gives ARS_ETIMEDOUT until it has happened.
 */
typedef struct ars_conn ars_conn;

/* How a connection is made; all-zero is the default. */
typedef struct ars_conn_opt {
    const ars_addr *local; /* address to dial from; NULL: the system chooses */
    unsigned delay;        /* 1: leave Nagle's algorithm on; it is off by default */
    /*
     * 1: TCP fast open, where the system and the peer can: dialling returns at once
     * and the first write goes along with the request to connect.  Write first; an
     * error of connecting shows there.
     */
    unsigned fastopen;
    uint64_t ars__reserved[6]; /* zero */
} ars_conn_opt;

/*
 * ars_conn_dial() connects to 'addr' and gives the connection.  'opt' may be
 * NULL.
 *
 * Returns 0, or ARS_ECONNREFUSED, ARS_ENETUNREACH, ARS_EHOSTUNREACH,
 * ARS_ENOENT (no such unix socket) or another error of connecting;
 * ARS_ETIMEDOUT, ARS_ECANCELED; ARS_EMFILE, ARS_ENOMEM; ARS_EINVAL for no
 * address or on a plain thread.  With deadline 0 it gives ARS_ETIMEDOUT unless
 * the connection can be made without waiting.
 *
 * Suspends: yes.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_dial(ars_conn **conn, const ars_addr *addr,
                                       const ars_conn_opt *opt, ars_time deadline);

/*
 * ars_conn_from_fd() makes a connection of a descriptor that the program has: a
 * stream socket, a pipe's end, a terminal or another character device that can
 * be waited for.  From then on 'fd' belongs to the connection.  Unless it is a
 * socket, reading and writing on it no longer block for anybody who shares it.
 *
 * Returns 0; after an error 'fd' is still the caller's: ARS_EBADF; ARS_EINVAL
 * for a file, a directory, a socket of another type, or on a plain thread;
 * ARS_ENOMEM.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_conn_from_fd(ars_conn **conn, int fd);

/*
 * ars_conn_pair() gives two connections that are each other's peer (a pair of
 * unix sockets), ars_conn_pipe() one to read and one to write what is read
 * there.
 *
 * Returns 0, ARS_EMFILE, ARS_ENFILE, ARS_ENOMEM, or ARS_EINVAL on a plain
 * thread.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_conn_pair(ars_conn **one, ars_conn **other);
ARS_API int ars_conn_pipe(ars_conn **reader, ars_conn **writer);

/*
 * ars_conn_read() reads up to 'n' bytes, as soon as there are any.
 *
 * Returns the number of bytes, > 0; 0 at the end of the stream, and for n = 0;
 * or, with the connection still usable where the cause lets it be,
 *   ARS_ETIMEDOUT   the deadline passed; nothing is lost
 *   ARS_ECANCELED   the task is cancelled; nothing is lost
 *   ARS_ECONNRESET  the peer reset the connection
 *   ARS_EBUSY       another task is reading, or one of another worker waits on it
 *   ARS_EBADF       the connection was closed meanwhile
 *   ARS_EINVAL      called on a plain thread, or n > SSIZE_MAX
 *   ARS_ENOMEM or another error of the operating system
 * More than INT32_MAX bytes are never read at once.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_read(ars_conn *conn, void *buf, size_t n, ars_time deadline);

/*
 * ars_conn_read_full() reads exactly 'n' bytes, ars_conn_readv() as many as the
 * 'count' buffers hold, one buffer after the other.
 *
 * Returns 0 when all of them are there, ARS_EPIPE when the stream ends before,
 * or another error of ars_conn_read().  '*got' ('got' may be NULL) is how many
 * bytes were read, in any case: after ARS_ETIMEDOUT or ARS_ECANCELED go on from
 * there.  With deadline 0 they take what is there and give ARS_ETIMEDOUT if that
 * is not all.  ARS_EINVAL if the lengths add up to more than SSIZE_MAX.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_read_full(ars_conn *conn, void *buf, size_t n, size_t *got,
                                            ars_time deadline);
ARS_API ARS_MUST_USE int ars_conn_readv(ars_conn *conn, const ars_buf *bufs, size_t count,
                                        size_t *got, ars_time deadline);

/* Bytes lent by ars_conn_read_loan(). */
typedef struct ars_loan {
    const void *data;
    size_t len;
    uint64_t ars__state[2]; /* private */
} ars_loan;

/*
 * ars_conn_read_loan() reads without copying: it lends the buffer that the
 * bytes arrived in.  Give it back with ars_conn_read_return() soon: other
 * connections of the worker receive into the same buffers.
 *
 * Returns as ars_conn_read() does, and ARS_ENOBUFS when thousands of loans are
 * out; a loan is out if and only if the result is > 0, and outlives the
 * connection.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_read_loan(ars_conn *conn, ars_loan *loan, ars_time deadline);

/*
 * ARS_READABLE() is the case of ars_select() that is chosen when a read of
 * 'conn' would not wait: there are bytes, the end of the stream, or an error.
 * It reads nothing, so that what comes is not lost where another case is done:
 *
 *     ars_case cases[] = {ARS_READABLE(conn), ARS_RECV(messages, &message)};
 *     switch (ars_select(cases, 2, deadline)) {
 *     case 0: n = ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER); ...
 *     case 1: ...
 *
 * While it waits the select counts as the one task that reads: a read, or
 * another select, of the same connection gives ARS_EBUSY, and so does this
 * select if somebody is reading.  If the connection is closed meanwhile, the
 * case is chosen, and the result is ARS_CLOSED(i); the same goes for what is
 * closed while the select waits until another of its connections has come over
 * from another worker, as a read has to.  If it was closed before the select
 * began the result is ARS_EBADF, and ARS_EINVAL on a plain thread.
 */
#define ARS_READABLE(conn) ars_case_make(ARS__CASE_SOURCE, (conn), 0)

/*
 * ars_conn_read_return() gives a loan back and zeroes '*loan'; a zeroed loan
 * is nothing to give back, nor is a copy of one that was given back already
 * (in debug builds that is reported).
 *
 * Suspends: no.  Allocates: no.  Callable from: task, of any worker.
 */
ARS_API void ars_conn_read_return(ars_loan *loan);

/*
 * ars_conn_write() writes all 'n' bytes.  Concurrent writes queue and do not
 * mix.
 *
 * Returns 0 when the kernel has taken all of them, else an error; '*sent'
 * ('sent' may be NULL) is how many it took, in any case.  The connection stays
 * usable where the cause lets it be:
 *   ARS_ETIMEDOUT, ARS_ECANCELED   as for ars_conn_read()
 *   ARS_EPIPE, ARS_ECONNRESET      the peer is gone, or the side is shut down
 *   ARS_EBUSY                      a task of another worker waits on it
 *   ARS_EBADF                      the connection was closed meanwhile
 *   ARS_EINVAL                     called on a plain thread, or n > SSIZE_MAX
 *   ARS_ENOMEM or another error of the operating system
 * With deadline 0 it hands over what the kernel takes at once and gives
 * ARS_ETIMEDOUT for a rest, and when other writes are queued.
 *
 * The bytes are not touched by anybody once it has returned, also after an error.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_write(ars_conn *conn, const void *buf, size_t n, size_t *sent,
                                        ars_time deadline);

/*
 * ars_conn_writev() writes the bytes of 'count' buffers, one after the other and
 * together: as ars_conn_write() would if they lay in one.  There may be any
 * number of them; ARS_EINVAL if their lengths add up to more than SSIZE_MAX.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_conn_writev(ars_conn *conn, const ars_buf *bufs, size_t count,
                                         size_t *sent, ars_time deadline);

/* Which side ars_conn_shutdown() ends. */
enum ars_side { ARS_READ_SIDE = 0, ARS_WRITE_SIDE = 1, ARS_BOTH_SIDES = 2 };

/*
 * ars_conn_shutdown() ends one side or both: after ARS_WRITE_SIDE the peer
 * reads the end of the stream and can still send.
 *
 * Returns 0, ARS_ENOTCONN, ARS_EINVAL for another 'side', or an error of the
 * operating system where the connection is no socket.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_conn_shutdown(ars_conn *conn, int side);

/*
 * ars_conn_close() closes the connection; NULL does nothing.  Tasks that wait
 * on it get ARS_EBADF.  What was written before still goes out.  The
 * connection must not be used afterwards; its memory goes when the kernel is
 * done with it.  A task of any worker may close it; if it is another worker's,
 * that one does so in its next turn.  It must not be closed while a task that
 * migrates, or tasks of two other workers, are in calls that bring it over.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API void ars_conn_close(ars_conn *conn);

/*
 * ars_conn_local() and ars_conn_peer() give the two addresses of a connection.
 * The peer of a unix socket is often "no address": ARS_ENOENT then.
 *
 * Returns 0 or an error of the operating system.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_conn_local(const ars_conn *conn, ars_addr *addr);
ARS_API int ars_conn_peer(const ars_conn *conn, ars_addr *addr);

/* Options of a connection; values are ints. */
enum ars_conn_option {
    ARS_CONN_NODELAY = 1,   /* 1: send small writes at once (default), TCP only */
    ARS_CONN_KEEPALIVE = 2, /* 1: probe a silent peer */
    /* 0: a close resets the connection; -1: what was written goes out first (default) */
    ARS_CONN_LINGER = 3,
    ARS_CONN_RCVBUF = 4, /* bytes of the kernel's receive buffer */
    ARS_CONN_SNDBUF = 5, /* bytes of the kernel's send buffer */
    /*
     * Writes of this many bytes and more (rounded up to a power of two) do not
     * copy, with io_uring over TCP; 0: all do (default).  Such a write returns
     * when the peer has acknowledged everything; if its deadline passes or it
     * is cancelled before, the connection is reset.  Off again, 0, as soon as
     * the kernel says that it cannot or that it had to copy all the same, as
     * it always has to on this machine's own addresses: there it was slower at
     * every size, 10 times at 4 KiB and by a quarter at 1 MiB.
     */
    ARS_CONN_ZEROCOPY = 6,
    /* Of TCP, with ARS_CONN_KEEPALIVE: seconds of silence, 1 to 32767, and between probes; probes, 1 to 127 */
    ARS_CONN_KEEPALIVE_IDLE = 7,
    ARS_CONN_KEEPALIVE_INTERVAL = 8,
    ARS_CONN_KEEPALIVE_COUNT = 9,
    ARS_CONN_USER_TIMEOUT = 10, /* ms that sent data may be unacknowledged; 0: the system's limit */
    ARS_CONN_CORK = 11,         /* 1: hold back what does not fill a segment, until it is 0 again */
    ARS_CONN_QUICKACK = 12,     /* 1: acknowledge at once for now; 0: delay acknowledgements */
    ARS_CONN_TOS = 13           /* type of service, 0 to 255; of IPv6 the traffic class */
};

/*
 * ars_conn_set() sets an option, ars_conn_get() reads one.
 *
 * Returns 0, ARS_EINVAL (unknown option or bad value), ARS_EOPNOTSUPP (not for
 * this kind of socket), or another error of the operating system.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_conn_set(ars_conn *conn, int option, int value);
ARS_API int ars_conn_get(const ars_conn *conn, int option, int *value);

/*
 * ars_conn_fd() is the descriptor, for options that have no name here.  It
 * stays the connection's: do not read, write or close it.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_conn_fd(const ars_conn *conn);

ARS_END_DECLS

#endif
