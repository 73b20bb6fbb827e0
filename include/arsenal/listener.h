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
    int backlog;        /* connections the kernel keeps waiting; 0: as many as it allows */
    unsigned reuseport; /* 1: several listeners share the address (SO_REUSEPORT) */
    unsigned v6only;    /* 1: an IPv6 listener takes no IPv4 connections */
    unsigned delay;     /* 1: accepted connections keep Nagle's algorithm */
    unsigned fastopen; /* TCP fast open: as many that are not yet accepted may bring data; 0: off */
    unsigned ars__pad;
    uint64_t ars__reserved[5]; /* zero */
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
 * ars_listener_inherit() gives a listener that the process was started with, as
 * systemd does it (sd_listen_fds(3)): the first of the descriptors told of by the
 * environment variables LISTEN_PID and LISTEN_FDS that has not been taken yet;
 * with 'name' the first of that name in LISTEN_FDNAMES.  It is then the
 * listener's, and not inherited by children.  Of 'opt', which may be NULL, only
 * 'delay' counts; a unix socket's path stays when the listener is closed.
 *
 *     rc = ars_listener_inherit(&listener, NULL, NULL);
 *     if (rc == ARS_ENOENT) rc = ars_listener_open(&listener, &addr, NULL);
 *
 * A descriptor is taken if it is marked to be closed by exec.  Where several
 * tasks inherit at once, they must not do so at the same time.
 *
 * Returns 0, or
 *   ARS_ENOENT  there is none (left), or it was meant for another process
 *   ARS_EINVAL  the variables make no sense; what was found is not a stream socket that
 *               listens, and is left as it is; or called on a plain thread
 *   ARS_EBADF   what was to be found is not open
 *   ARS_ENOMEM, or another error of the operating system
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_listener_inherit(ars_listener **listener, const char *name,
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
#define ARS_ACCEPTABLE(listener) ars_case_make(ARS__CASE_SOURCE, (listener), 0)

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

/*
 * Serving without a task for each connection.
 *
 * ars_listener_serve() accepts connections and calls a function, the handler,
 * each time that one of them has something to read.  In between a connection
 * is idle, and costs no more than itself and its state: no stack, no buffer.
 * (Tasks that have just been needed are kept for a fraction of a second.)
 *
 *     static int echo(ars_conn *conn, void *state, void *arg)
 *     {
 *         char buf[1024];
 *         int n = ars_conn_read(conn, buf, sizeof buf, ars_after(ARS_SECOND));
 *         if (n <= 0) return n;
 *         int rc = ars_conn_write(conn, buf, (size_t)n, NULL, ars_after(ARS_SECOND));
 *         return rc < 0 ? rc : ARS_SERVE_KEEP;
 *     }
 *     ...
 *     rc = ars_listener_serve(listener, echo, NULL, NULL, ARS_FOREVER);
 *
 * A handler is straight-line code and runs in a task: it may wait, in the middle
 * of a request too, and other connections are served meanwhile.  It returns
 * ARS_SERVE_KEEP, or any other result > 0, when the request is done: the
 * connection goes back to being idle, and if there is more to read the handler
 * is called again.  After 0, which is what a read gives at the end of the
 * stream, and after an error the connection is closed.  A handler must not close
 * it, and not return while another task still uses it.
 *
 * Everything happens on the worker of the task that serves.  To serve on several,
 * open a listener with 'reuseport' on each.
 */
typedef int ars_serve_fn(ars_conn *conn, void *state, void *arg);

enum { ARS_SERVE_KEEP = 1 };

/* How connections are served; all-zero is the default. */
typedef struct ars_serve_opt {
    size_t state_size; /* bytes of 'state': each connection's own, zero at first, aligned to 16 */
    int64_t idle;      /* ns after which an idle connection is closed; 0: never */
    uint32_t connections; /* how many at a time; more wait to be accepted; 0: any number */
    uint32_t ars__pad;
    /* Called once for each connection before it is closed, to clean up 'state'; must not wait. */
    void (*closed)(ars_conn *conn, void *state, void *arg);
    uint64_t ars__reserved[4]; /* zero */
} ars_serve_opt;

/*
 * ars_listener_serve() serves until it is ended; 'opt' may be NULL.  However it
 * ends, no task and no connection of it is left when it returns.  What ends it
 * decides what becomes of connections: idle ones are closed at once; requests
 * that are in progress are finished first if it is drained, and cancelled
 * otherwise, so that their waits give ARS_ECANCELED.
 *
 * Where descriptors or memory run out, connections wait to be accepted, and
 * requests to be begun, until there are some again; nothing is lost.
 *
 * Returns 0 after ars_listener_drain(), or
 *   ARS_ETIMEDOUT  the deadline passed
 *   ARS_ECANCELED  the task is cancelled
 *   ARS_EBADF      the listener was closed meanwhile
 *   ARS_EBUSY      it is being served already, or a task of another worker waits on it
 *   ARS_EINVAL     no handler, 'state_size' above 64 KiB; on a plain thread, or by a
 *                  task that may move (ARS_TASK_MIGRATES); or called with deadline 0
 *   ARS_ENOMEM
 *
 * Suspends: yes.  Allocates: from the runtime.  Callable from: task.
 */
ARS_API int ars_listener_serve(ars_listener *listener, ars_serve_fn *handler, void *arg,
                               const ars_serve_opt *opt, ars_time deadline);

/* What became of what was there when a drain began. */
typedef struct ars_drain_report {
    uint64_t idle;      /* idle connections, closed */
    uint64_t finished;  /* requests that ended by themselves */
    uint64_t cancelled; /* requests that were cancelled */
} ars_drain_report;

/*
 * ars_listener_drain() ends ars_listener_serve() gracefully, for a shutdown:
 * nothing is accepted any more, idle connections are closed, requests in
 * progress are finished, and their connections closed then.  Those that are not
 * finished at the deadline are cancelled, and waited for; so they are when the
 * task that drains is cancelled.  Where nobody serves the listener there is
 * nothing to do; a serve that begins later returns at once.
 *
 * The listener stays open, and connections that came too late wait in it, until
 * it is closed.  '*report' may be NULL.
 *
 * Returns 0, or ARS_ETIMEDOUT or ARS_ECANCELED if requests had to be cancelled;
 * everything has ended, and '*report' is filled, in each case.  With deadline 0
 * the drain is only begun, and the result is ARS_ETIMEDOUT unless nothing is
 * being served; '*report' is not touched.  ARS_EINVAL on a plain thread.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, of any worker; not a handler.
 */
ARS_API int ars_listener_drain(ars_listener *listener, ars_time deadline, ars_drain_report *report);

ARS_END_DECLS

#endif
