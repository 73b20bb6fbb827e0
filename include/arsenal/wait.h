/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_WAIT_H
#define ARSENAL_WAIT_H

#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * Waiting for descriptors that Arsenal did not open: a signalfd, a timerfd, a
 * pipe, the socket of another library.
 */

enum ars_fd_events {
    ARS_FD_IN = 1,  /* a read would not block; also at the end of the stream */
    ARS_FD_OUT = 4, /* a write would not block */
    ARS_FD_ERR = 8, /* reported, never asked for: an error is pending */
    ARS_FD_HUP = 16 /* reported, never asked for: the other side is gone */
};

/*
 * ars_wait_fd() waits until 'fd' is ready for at least one of 'events'
 * (ARS_FD_IN, ARS_FD_OUT, or both), has an error or is hung up.  Any number of
 * tasks may wait for the same one.  A regular file is always ready.
 *
 * The descriptor may be closed at any time when nobody waits for it.  Who waits
 * for one that is closed learns of it with ARS_EBADF, or of nothing until the
 * deadline or a cancel; and of nothing that happens to the next descriptor with
 * its number, except that the backend "poll" knows descriptors by number only,
 * and "io_uring" until the worker's next turn.
 *
 * Returns the events that hold, > 0, or
 *   ARS_ETIMEDOUT  the deadline passed (with deadline 0: not ready now)
 *   ARS_ECANCELED  the task is cancelled; never with deadline 0
 *   ARS_EBADF      'fd' is not an open descriptor
 *   ARS_EBUSY      'fd' belongs to a connection or listener (with "epoll" only)
 *   ARS_EINVAL     no or unknown events, or called on a plain thread
 *   ARS_ENOMEM     no memory; or another error of the operating system
 *
 * Suspends: yes.  Allocates: once a worker.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_wait_fd(int fd, unsigned events, ars_time deadline);

/*
 * ARS_READY() is the case of ars_select() that is chosen when 'fd' is ready for
 * one of 'events', as above.  It is a hint: somebody else may have read in the
 * meantime, so calls on the descriptor should not block.  With 'fd' -1 it is
 * switched off.
 *
 *     ars_case cases[] = {ARS_READY(pipe, ARS_FD_IN), ARS_RECV(jobs, &job)};
 *
 * An error of those above ends the select with it.  While the select waits each
 * such case takes about 100 bytes from the runtime's allocator.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
#define ARS_READY(fd, events) ars_case_ready((fd), (events))
ARS_API ars_case ars_case_ready(int fd, unsigned events);

ARS_END_DECLS

#endif
