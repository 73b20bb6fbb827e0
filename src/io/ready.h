/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_READY_H
#define ARS_IO_READY_H

/*
 * Readiness turned into completion: what is the same for all backends whose
 * kernel only says that a call would not block.
 *
 * A request tries its system call first; when the kernel has nothing it waits
 * until the backend says that the source is ready, and then tries again.  What
 * was found last is kept in the source ('readable', 'writable'): not ready
 * means that the backend will say so when it becomes ready.
 *
 * A foreign descriptor is watched by its number, for the union of what those
 * who wait for it want, and once for each time that it becomes ready.
 */

#include <poll.h>

#include "io/backend.h"
#include "io/lend.h"

typedef struct ars__ready_loop ars__ready_loop;

enum { ARS__READY_BUCKETS = 1024, ARS__READY_OTHER = 1 };

struct ars__ready_loop {
    ars__loop base; /* first */
    int wake_fd;    /* an eventfd; for the backend to wait for */
    uint32_t watches;
    ars__lend lend;
    /*
     * Has the backend say once when one of 'events' holds for the foreign 'fd';
     * events 0: no more.  0; ARS__READY_OTHER: the same, and the number is not
     * the descriptor that was watched before; ARS_EBUSY: it is a source of this
     * loop; or another error.
     */
    int (*watch)(ars__ready_loop *loop, int fd, unsigned events);
    ars__request *polls[ARS__READY_BUCKETS]; /* by descriptor */
};

static inline ars__ready_loop *ars__ready_of(const ars__loop *base)
{
    return (ars__ready_loop *)(uintptr_t)base;
}

/* Makes the parts that are the same for all of a zeroed loop; 0 or an error. */
int ars__ready_open(ars__ready_loop *loop, const ars__backend *backend, const ars_alloc *alloc);
/* Ends all requests, closes all sources: the beginning of close(). */
void ars__ready_stop(ars__ready_loop *loop);
/* The end of close(), with the size of the whole. */
void ars__ready_close(ars__ready_loop *loop, size_t size);

/* The source may be ready, for POLLIN or POLLOUT; or hung up, for POLLHUP. */
void ars__ready_event(ars__source *source, unsigned events);

/* A watched descriptor is ready (events > 0), or cannot be waited for (an error). */
void ars__ready_polled(ars__ready_loop *loop, int fd, int32_t events);
/* Whether somebody waits for 'fd' by the watch number 'watch', the value of loop->watches when it was made. */
int ars__ready_is_watched(const ars__ready_loop *loop, int fd, uint32_t watch);

/* Members of the backend's tables that need nothing of the backend but watch(). */
int32_t ars__ready_submit(ars__request *request, int wait);
int ars__ready_look(ars__source *source, int ask);
void ars__ready_cancel(ars__request *request);
void ars__ready_loan_return(ars__loop *base, uint64_t loan);
void *ars__ready_loan_room(ars__loop *base, uint64_t loan);
void ars__ready_wake(ars__poller *poller);
uint64_t ars__ready_in_flight(const ars__poller *poller);

#endif
