/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_DGRAM_H
#define ARSENAL_DGRAM_H

#include <arsenal/addr.h>

ARS_BEGIN_DECLS

/*
 * A datagram socket sends and receives messages, each whole or not at all: over
 * UDP, which may lose them, or a unix socket, which does not.  With 'seqpacket'
 * a unix socket is a connection of messages.
 *
 *     char buf[1500];
 *     ars_addr from;
 *     int n;
 *     while ((n = ars_dgram_recv(dgram, buf, sizeof buf, &from, ARS_FOREVER)) >= 0)
 *         if ((size_t)n <= sizeof buf)
 *             if (ars_dgram_send(dgram, buf, (size_t)n, &from, ARS_FOREVER) < 0) break;
 *
 * The tasks of one worker at a time use it, one receiving and any number
 * sending; it goes along when a task of another worker does, as a connection
 * does (see <arsenal/conn.h>).  To receive on several workers at once, open one
 * with 'reuseport' on each.
 */
typedef struct ars_dgram ars_dgram;

/* How a socket is opened; all-zero is the default. */
typedef struct ars_dgram_opt {
    const ars_addr *local; /* address to dial from; NULL: the system chooses */
    unsigned reuseport;    /* 1: several sockets share the address, each gets some (SO_REUSEPORT) */
    unsigned reuseaddr;    /* 1: several receivers of a multicast group share the port */
    unsigned v6only;       /* 1: an IPv6 socket takes no IPv4 */
    unsigned seqpacket;    /* 1: a connection (SOCK_SEQPACKET), unix only; see ars_dgram_accept() */
    uint64_t ars__reserved[6]; /* zero */
} ars_dgram_opt;

/*
 * ars_dgram_open() makes a socket that receives at 'addr' (port 0: one that is
 * free; see ars_dgram_local()).  A unix socket's path that is left over from a
 * process that is gone is replaced; one in use is not.  'opt' may be NULL.
 *
 * Returns 0, or ARS_EADDRINUSE, ARS_EADDRNOTAVAIL, ARS_EACCES, ARS_EMFILE,
 * ARS_ENOMEM, ARS_EINVAL (no address; on a plain thread), or another error of
 * the operating system.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_dgram_open(ars_dgram **dgram, const ars_addr *addr, const ars_dgram_opt *opt);

/*
 * ars_dgram_dial() makes a socket with the peer 'addr': it sends there and
 * receives only from there.  'opt' may be NULL.  Nothing is sent by it; that
 * there is nobody a later call tells at best (ARS_ECONNREFUSED).
 *
 * Returns as ars_dgram_open() does, and for a unix socket ARS_ENOENT or
 * ARS_ECONNREFUSED.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_dgram_dial(ars_dgram **dgram, const ars_addr *addr, const ars_dgram_opt *opt);

/*
 * ars_dgram_accept() waits for one that dials 'listener', which was opened with
 * 'seqpacket', and gives the connection.  Messages of a connection are never
 * empty: sending one gives ARS_EINVAL, and receiving ARS_EPIPE at its end.
 *
 * Returns 0, or an error as ars_listener_accept() does.
 *
 * Suspends: yes.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_dgram_accept(ars_dgram *listener, ars_dgram **dgram,
                                          ars_time deadline);

/*
 * ars_dgram_pair() gives two unix sockets that are each other's peer; with
 * opt->seqpacket they are a connection.  'opt' may be NULL.
 *
 * Returns 0, ARS_EMFILE, ARS_ENFILE, ARS_ENOMEM, or ARS_EINVAL on a plain
 * thread.
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_dgram_pair(ars_dgram **one, ars_dgram **other, const ars_dgram_opt *opt);

/*
 * ars_dgram_recv() waits for a datagram and gives up to 'n' bytes of it, and
 * its sender in '*from' ('from' may be NULL; "no address" if it has none).
 *
 * Returns the datagram's length, >= 0: if that is more than 'n', the rest of it
 * is lost.  Or
 *   ARS_ETIMEDOUT     the deadline passed; nothing is lost
 *   ARS_ECANCELED     the task is cancelled; nothing is lost
 *   ARS_ECONNREFUSED  nobody was there for something that was sent to the peer
 *   ARS_EBUSY         another task is receiving, or one of another worker waits on it
 *   ARS_EBADF         the socket was closed meanwhile
 *   ARS_EINVAL        n > SSIZE_MAX, or called on a plain thread
 *   or another error of the operating system
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_dgram_recv(ars_dgram *dgram, void *buf, size_t n, ars_addr *from,
                                        ars_time deadline);

/*
 * ars_dgram_send() sends 'n' bytes as one datagram, to '*to' or, with NULL, to
 * the peer.  It waits only for room in the system's buffers.
 *
 * Returns 0, or
 *   ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBUSY, ARS_EBADF, ARS_EINVAL  as for receiving
 *   ARS_EMSGSIZE  longer than a datagram can be
 *   ARS_ENOTCONN or -89 (destination address required)  neither 'to' nor a peer
 *   ARS_EACCES    a broadcast address, and ARS_DGRAM_BROADCAST is off
 *   ARS_ECONNREFUSED, ARS_ENETUNREACH or another error of the operating system
 * and nothing was sent.  With deadline 0 it never waits.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_dgram_send(ars_dgram *dgram, const void *buf, size_t n,
                                        const ars_addr *to, ars_time deadline);

/* One of several datagrams. */
typedef struct ars_message {
    void *data;
    size_t size;   /* bytes to send; or the room there is to receive */
    size_t len;    /* received: the datagram's length; more than 'size': the rest of it is lost */
    ars_addr addr; /* of the sender, or of the receiver; no address: the peer */
    /*
     * 0; else 'data' is a series of datagrams of this size, the last one maybe
     * shorter: to send, the system cuts it so (at most 64 of them, 64 KiB in all);
     * received with ARS_DGRAM_GRO, the system has put them together.
     */
    uint32_t segment;
    uint32_t ars__pad;
} ars_message;

/*
 * ars_dgram_recv_many() receives up to 'n' datagrams at once: it waits for the
 * first only.  ars_dgram_send_many() sends up to 'n' and waits until the first
 * is sent only.
 *
 * Both return how many it were, >= 1 (0 for n = 0); or, when it was none, an
 * error as ars_dgram_recv() and ars_dgram_send() give.  After less than 'n' were
 * sent call it again with the rest: what is wrong with the next one, if anything,
 * is told then.  ARS_EOPNOTSUPP: the system cannot send segments.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_dgram_recv_many(ars_dgram *dgram, ars_message *messages, size_t n,
                                             ars_time deadline);
ARS_API ARS_MUST_USE int ars_dgram_send_many(ars_dgram *dgram, const ars_message *messages,
                                             size_t n, ars_time deadline);

/*
 * ars_dgram_join() receives also what is sent to the multicast group 'group', as
 * it comes in on the interface of index 'interface' (0: the system's choice, or
 * the one that an IPv6 address names).  ars_dgram_leave() ends that.
 *
 * Returns 0, ARS_EINVAL (no multicast address, or one of another family than the
 * socket's), ARS_EADDRINUSE (already joined), ARS_EADDRNOTAVAIL (not joined), -19
 * (no such interface), or another error of the operating system.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_dgram_join(ars_dgram *dgram, const ars_addr *group, unsigned interface);
ARS_API int ars_dgram_leave(ars_dgram *dgram, const ars_addr *group, unsigned interface);

/* Options of a datagram socket; values are ints. */
enum ars_dgram_option {
    ARS_DGRAM_BROADCAST = 1, /* 1: broadcast addresses may be sent to */
    ARS_DGRAM_RCVBUF = 2,    /* bytes of the system's receive buffer */
    ARS_DGRAM_SNDBUF = 3,    /* bytes of the system's send buffer */
    /* 1: datagrams of one sender may come put together; then use ars_dgram_recv_many() only */
    ARS_DGRAM_GRO = 4,
    ARS_DGRAM_TTL = 5,            /* routers to pass, 1 to 255; of IPv6 the hop limit */
    ARS_DGRAM_TOS = 6,            /* type of service, 0 to 255; of IPv6 the traffic class */
    ARS_DGRAM_MULTICAST_TTL = 7,  /* the same as TTL for multicast, 0 to 255 */
    ARS_DGRAM_MULTICAST_LOOP = 8, /* 0: what is sent to a group does not come back to this host */
    ARS_DGRAM_MULTICAST_IF = 9,   /* index of the interface to send to groups on; 0: any */
    ARS_DGRAM_CRED = 10 /* 1: the sender's process comes along; unix only (<arsenal/rights.h>) */
};

/*
 * ars_dgram_set() sets an option, ars_dgram_get() reads one.
 *
 * Returns 0, ARS_EINVAL (unknown option or bad value), ARS_EOPNOTSUPP (not for
 * this kind of socket, or not with this system), or another error of the
 * operating system.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_dgram_set(ars_dgram *dgram, int option, int value);
ARS_API int ars_dgram_get(const ars_dgram *dgram, int option, int *value);

/*
 * ars_dgram_local() and ars_dgram_peer() give the socket's two addresses;
 * ARS_ENOENT for a unix socket without one, ARS_ENOTCONN without a peer.
 *
 * Returns 0 or an error of the operating system.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_dgram_local(const ars_dgram *dgram, ars_addr *addr);
ARS_API int ars_dgram_peer(const ars_dgram *dgram, ars_addr *addr);

/*
 * ars_dgram_fd() is the descriptor, for options that have no name here.  It
 * stays the socket's: do not receive, send or close it.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_dgram_fd(const ars_dgram *dgram);

/*
 * ars_dgram_close() closes the socket, as ars_conn_close() does a connection;
 * NULL does nothing.  A unix socket's path is removed.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API void ars_dgram_close(ars_dgram *dgram);

ARS_END_DECLS

#endif
