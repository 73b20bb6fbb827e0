/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_BACKEND_H
#define ARS_IO_BACKEND_H

/*
 * The contract between Arsenal and a kernel's I/O interface; one page, two
 * backends so far (io_uring, epoll).
 *
 * It is shaped by completion: submit a request, and its done() comes exactly
 * once, on the loop's thread, when nobody touches the request or its buffer
 * any more.  io_uring is made that way; epoll waits for readiness and makes
 * the system call itself.
 *
 * Every submit tries first.  What can be had at once is returned by submit()
 * and done() is not called; ARS__PENDING says that done() will come.
 *
 * An owned descriptor is a source: it is registered once, it has at most one
 * receive request (or any number of accept requests) and one send request
 * pending, and what the kernel brings before anybody asks (a multishot
 * receive's buffers, accepted descriptors) queues in it.
 *
 *   request    result >= 0                        source
 *   RECV       bytes in buf, 0 = end of stream    stream
 *   LOAN       bytes in the lent buffer           stream
 *   SEND       n: all of buf went                 stream
 *   ACCEPT     the new descriptor                 listener
 *   CONNECT    0                                  none yet: fd
 *   POLL       events that hold                   none: a foreign fd
 *
 * cancel() asks for the end of a pending request.  For RECV, LOAN and ACCEPT
 * done() has run when it returns: nothing of the kernel's points at the
 * request.  For the others done() may come later, with ARS_ECANCELED or with
 * what was reached; 'progress' is then exact.
 */

#include <arsenal/alloc.h>

#include "run/park.h"

typedef struct ars__loop ars__loop;
typedef struct ars__request ars__request;
typedef struct ars__source ars__source;

enum { ARS__PENDING = INT32_MIN };

enum ars__request_kind {
    ARS__RECV,
    ARS__LOAN,
    ARS__SEND,
    ARS__ACCEPT,
    ARS__CONNECT,
    ARS__POLL
};

#endif
