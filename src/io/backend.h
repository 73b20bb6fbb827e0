/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_BACKEND_H
#define ARS_IO_BACKEND_H

/*
 * The contract between Arsenal and a kernel's I/O interface; one page, three
 * backends so far (io_uring, epoll, poll).
 *
 * It is shaped by completion: submit a request, and its done() comes exactly
 * once, on the loop's thread, when nobody touches the request or its buffer
 * any more.  io_uring is made that way; epoll and poll wait for readiness and
 * make the system call themselves (ready.h).
 *
 * Every submit tries first.  What can be had at once is returned by submit()
 * and done() is not called; ARS__PENDING says that done() will come.
 *
 * An owned descriptor is a source: it is registered once, it has at most one
 * receive request (or any number of accept requests) and a queue of send
 * requests, of which the first is under way; and what the kernel brings before
 * anybody asks (a multishot receive's buffers, accepted descriptors) queues in
 * it.
 *
 *   request    result >= 0                          of
 *   RECV       bytes in buf, 0 = end of stream      stream
 *   LOAN       bytes at buf, lent under id loan     stream
 *   READY      0: a RECV (an ACCEPT) does not wait  stream, listener
 *   SEND       0: all of buf went                   stream
 *   SENDV      0: all of the ars__vec at buf went   stream
 *   TURN       0: see below                         stream, file
 *   POLL_IN    1: a receive may be tried again      stream, file
 *   POLL_OUT   1: a send may be tried again         stream, file
 *   CONNECT    0; buf is the address                stream
 *   ACCEPT     the new descriptor                   listener
 *   POLL       events that hold                     a foreign descriptor
 *   MOVE       0: it is at home with the caller     any source; never submitted
 *
 * READY consumes nothing; ends of streams and errors are for the RECV that
 * follows, and it fails only if it cannot go on waiting.  It counts as the
 * receive request.
 *
 * After a SEND or SENDV 'progress' is the count of bytes that went, whatever
 * the result.
 *
 * A file is any descriptor that is not a stream socket, or a stream socket of
 * which nothing may be received ahead.  It is non-blocking on every backend; the
 * layer above makes the calls of its own itself, and asks for POLL_IN or
 * POLL_OUT where one gave ARS_EAGAIN.  Streams too can be used so: POLL_IN
 * first ends a receive that the kernel still has, whose bytes are then unread.
 *
 * TURN queues with the writers, and whoever gets it is the writer that is under
 * way until ars__turn_end(): for sends that take several calls.  Meanwhile it is
 * submitted again as POLL_OUT to wait; that one's done() leaves it the turn.  If
 * the source is closed in the middle, 'why' says so.
 *
 * done() may make tasks ready and nothing else: no backend is prepared for
 * being called back from there.
 */

#include <arsenal/alloc.h>

#include "base/assert.h"
#include "base/san.h"
#include "data/list.h"
#include "mem/slab.h"
#include "run/waitable.h"
#include "sync/inbox.h"

typedef struct ars__loop ars__loop;
typedef struct ars__request ars__request;
typedef struct ars__source ars__source;
typedef struct ars__backend ars__backend;
typedef struct ars__hub ars__hub; /* home.h */

enum { ARS__PENDING = INT32_MIN, ARS__LOANS = 8192 /* ids of loans are below */ };

enum ars__request_kind {
    ARS__RECV,
    ARS__LOAN,
    ARS__READY,
    ARS__SEND,
    ARS__SENDV,
    ARS__TURN,
    ARS__POLL_IN,
    ARS__POLL_OUT,
    ARS__CONNECT,
    ARS__ACCEPT,
    ARS__POLL,
    ARS__MOVE
};

/* A request lives with whoever waits for it, until done() is called. */
struct ars__request {
    uint8_t kind;
    int32_t why;     /* the end was asked for, with this error; else 0 */
    ars__task *task; /* who waits; NULL: nobody but done() */
    void (*done)(ars__request *request, int32_t result);
    union {
        ars__source *source;
        ars__loop *loop; /* POLL */
    };
    void *buf;
    size_t len; /* POLL: the events, in the values of enum ars_fd_events */
    union {
        size_t progress; /* SEND, SENDV */
        uint64_t loan;   /* LOAN: what to give back */
        struct {         /* POLL */
            int fd;
            uint32_t watch; /* ready.h */
        };
    };
    void *user; /* done()'s own */
    ars__request *next;
};

enum ars__source_kind { ARS__STREAM, ARS__LISTENER, ARS__FILE };

/* Descriptors that were accepted and not asked for, and requests that wait for one. */
typedef struct ars__accepts {
    ars__request *first, *last;
    int *fds;
    uint32_t head, count, room; /* a ring; 'room' is a power of two */
} ars__accepts;

/* Bytes that a source brought along from the loop that was its home. */
typedef struct ars__carried {
    uint32_t len, at; /* how many there were, and the first not yet read */
    char data[];
} ars__carried;

/*
 * What is touched with every completion comes first.  A receive's request lies
 * in the source, so that a read can end in the call that parks it; those of
 * sends lie with who waits.
 */
struct ars__source {
    ars__hub *hub;
    /*
     * Its home; NULL: none.  Others than the home may only compare it.  The second
     * word, which a slab leaves as it is in a free object: see ARS__GONE.
     */
    ars__loop *loop;
    int32_t fd;
    uint16_t generation;
    uint8_t kind : 3; /* enum ars__source_kind */
    /* Of the source: */
    uint8_t closing : 1; /* ars__source_close() has been called */
    uint8_t moving : 1;  /* to be let go of when its receive has ended */
    uint8_t served : 1;  /* stays with its home; of a listener */
    /* Of io_uring: what is in flight. */
    uint8_t receiving : 1;      /* a receive, accept, or in its place a poll */
    uint8_t receive_ending : 1; /* its cancel is submitted */
    uint8_t polling : 1;        /* it is the poll, for want of buffers */
    uint8_t sending : 1;
    uint8_t cancel_owed : 1; /* a cancel could not be submitted yet */
    uint8_t eof : 1;
    uint8_t known : 1;  /* what follows has been found out */
    uint8_t single : 1; /* not TCP's: its receives bring one completion each */
    /* Of epoll and poll: what the kernel said last. */
    uint8_t readable : 1;
    uint8_t writable : 1;
    uint8_t hung_up : 1;
    uint8_t send_polled : 1; /* of io_uring: what is 'sending' is a poll */
    /* Of io_uring: a send that does not copy. */
    uint8_t bundled : 1; /* its receive may fill several buffers at once */
    uint8_t lent : 1; /* the send under way is one: its buffer is the kernel's until it says so */
    uint8_t held : 1; /* and that is all that is waited for */
    uint8_t zerocopy; /* sends of 2^zerocopy bytes and more do not copy; 0: all do */
    int16_t error;    /* to be given to the next receive or accept */
    uint32_t pins;    /* calls that have yet to find out whether it is closing */
    union {
        struct {
            uint16_t head, tail, count, offset; /* a chain of buffers; offset into the first */
        } unread;
        ars__accepts *accepts;
    };
    ars__carried *carried; /* to be read before all else */
    ars__request *reader;
    ars__request *writer; /* the first of those queued; it is under way */
    ars__request read;    /* for the only reader; of a listener: for the only select */
    ars__request *last_writer;
    ars__list node;
    void (*freed)(ars__source *source); /* the kernel is done with it and it is closed */
    /* Of home.c, for other workers too: */
    ars__inbox_node mail;
    ars_atomic_ptr wants; /* the loop that asked for it; 'movers' are its tasks */
    ars__request *movers;
    ars_atomic_u32 events;
    int32_t moved; /* what came of a move */
};

/* What lies in a buffer that another worker gives back. */
typedef struct ars__lent {
    ars__inbox_node node;
    uint64_t loan;
} ars__lent;

/* A worker's I/O: the poller that it sleeps in, and all its sources. */
struct ars__loop {
    ars__poller poller; /* first: the worker's poller is its loop */
    const ars__backend *backend;
    const ars_alloc *alloc;
    ars__hub *hub;
    ars__worker *worker;
    uint64_t in_flight; /* operations that the kernel has not completed; others read it */
    ars__task *linking; /* it is being made to wait for several things, and not to be woken yet */
    ars__list sources;
    uint16_t generation;
    size_t size; /* when it is closed */
    ars__loop *next_closed;
    ARS__ALIGNED(64) ars__inbox inbox; /* sources with events */
    ars__inbox loans;                  /* given back by other workers */
    uint8_t lent[ARS__LOANS];          /* by id: how often lent and given back; odd: it is out */
};

struct ars__backend {
    ars__poller_ops poller;
    unsigned id;  /* enum ars_backend */
    int nonblock; /* whether its descriptors must be non-blocking */

    /* Makes a loop with 'backend', 'alloc' and 'sources' set; 0 or an error. */
    int (*open)(ars__loop **loop, const ars_alloc *alloc);

    /* Registers source->fd; loop, kind and generation are set. */
    int (*source_open)(ars__source *source);

    /*
     * Ends what source_open() began, of a source that nobody waits for: 1; or 0,
     * and ars__source_left() is called when nothing is in flight any more; or an
     * error, and it stays.
     */
    int (*source_leave)(ars__source *source);

    /*
     * Tries; what it cannot have at once it starts and returns ARS__PENDING,
     * or, if not 'wait', leaves no request pending and returns ARS_EAGAIN.
     * READY, SEND, SENDV, CONNECT and the polls come only with 'wait', and what
     * sends only when no other is under way; TURN never comes.
     */
    int32_t (*submit)(ars__request *request, int wait);

    /*
     * Whether a RECV or an ACCEPT would not wait, as far as is known; or, with
     * 'ask', after the kernel was asked, in a turn if need be.
     */
    int (*ready)(ars__source *source, int ask);

    /*
     * Asks for the end of a SEND that is under way, a CONNECT or a poll, with
     * request->why as its result unless it completes.  done() may come before it returns, or later.
     */
    void (*cancel)(ars__request *request);

    /*
     * Lets go of a source that nobody waits for any more, save a send under
     * way that is being cancelled.  Calls ars__source_settle() once more
     * whenever something in flight has ended.
     */
    void (*source_close)(ars__source *source);

    void (*loan_return)(ars__loop *loop, uint64_t loan);
    /* The beginning of the buffer that is lent.  Any thread. */
    void *(*loan_room)(ars__loop *loop, uint64_t loan);
};

/* What this system has, best first; ends with NULL. */
extern const ars__backend *const ars__backends[];

/* ---- loops ---- */

/* The loop of the task's worker, made on the first call.  0 or an error. */
int ars__loop_get(ars__loop **loop, ars__task *self);

/* For backends: the parts of a loop that are the same for all. */
void ars__loop_init(ars__loop *loop, const ars__backend *backend, const ars_alloc *alloc);
/* The last of close(): frees the loop's 'size' bytes, now or with the last loop. */
void ars__loop_end(ars__loop *loop, size_t size);
/* Closes all sources, whoever uses them; they go when the kernel is done with them. */
void ars__loop_close_sources(ars__loop *loop);

/* For backends, first thing in a turn: mail of other workers; whether tasks may be ready now. */
int ars__loop_drain_mail(ars__loop *loop);
static inline int ars__loop_drain(ars__loop *loop)
{
    if (ARS__LIKELY(ars__inbox_empty(&loop->inbox) && ars__inbox_empty(&loop->loans))) return 0;
    return ars__loop_drain_mail(loop);
}

static inline void ars__loop_count(ars__loop *loop, int more)
{
    __atomic_store_n(&loop->in_flight, loop->in_flight + (uint64_t)(int64_t)more, __ATOMIC_RELAXED);
}

/*
 * Marks a backend's loan as being out and gives what to return it by; at home.
 * Gives a loan back, on whatever worker; one that is not out does nothing.
 */
static inline uint64_t ars__loan_out(ars__loop *loop, uint64_t loan)
{
    ARS__ASSERT(loan < ARS__LOANS);
    uint8_t times = (uint8_t)(__atomic_load_n(&loop->lent[loan], __ATOMIC_RELAXED) + 1);
    __atomic_store_n(&loop->lent[loan], times, __ATOMIC_RELAXED);
    return loan | (uint64_t)times << 32;
}
void ars__loan_return(ars__loop *loop, uint64_t loan);

/* ---- requests ---- */

/* Submits, or queues behind the writers that are there; ARS_EBUSY for a second reader.  As backend->submit(). */
int32_t ars__submit(ars__request *request, int wait);

/* Takes back a RECV, LOAN, READY or ACCEPT that is pending: done() does not come, nothing is lost. */
void ars__request_withdraw(ars__request *request);

/* The interrupt() of every wait class whose object is a request. */
void ars__request_interrupt(ars__task *task, int why);

/*
 * Parks until the request is done.  Other tasks' turns carry it out in between,
 * so ThreadSanitizer is told of the order: to them and back.
 */
__attribute__((always_inline)) static inline int
ars__request_park(ars__request *request, const ars__wait_class *wait, ars_time deadline)
{
    ars__san_release(request);
    int result = ars__park(request->task, wait, request, deadline);
    ars__san_acquire(request);
    return result;
}

/* The done() that does no more than wake the task. */
void ars__request_wake(ars__request *request, int32_t result);

/* By who has the turn: the next writer gets it.  Frees a source that was closed meanwhile. */
void ars__turn_end(ars__source *source);
/* For backends: a POLL_OUT has ended; it has the turn as before. */
void ars__turn_wake(ars__request *request, int32_t result);

/* For backends: one call that sends of what is left and does not wait: the bytes that went, or an error. */
int64_t ars__send_some(ars__request *request);

/* For backends: the first writer's request has ended; starts the next. */
void ars__send_done(ars__source *source, int32_t result);
/*
 * Errors of accept(2) that belong to a connection that is gone, not to the
 * listener: Linux passes on what the new socket has met.
 */
static inline int ars__accept_is_gone(int error)
{
    switch (error) {
    case ARS_ECONNABORTED:
    case ARS_EINTR:
    case -64:  /* ENONET */
    case -71:  /* EPROTO */
    case -92:  /* ENOPROTOOPT */
    case -100: /* ENETDOWN */
    case -112: /* EHOSTDOWN */
    case ARS_EHOSTUNREACH:
    case ARS_ENETUNREACH: return 1;
    default: return 0;
    }
}

/* For backends: hands an accepted descriptor to whoever waits, or keeps it. */
void ars__accept_done(ars__source *source, int fd);
/* For backends: hands an error to whoever waits for a connection; whether somebody still does. */
int ars__accept_failed(ars__source *source, int error);

/* ---- sources ---- */

/* A stream that is loose: the first loop that uses it takes it. */
void ars__source_init(ars__source *source, ars__hub *hub, int fd, int kind,
                      void (*freed)(ars__source *));
/* One that is at home with 'loop'.  On an error the descriptor is the caller's. */
int ars__source_open(ars__source *source, ars__loop *loop, int fd, int kind,
                     void (*freed)(ars__source *));
/* Makes a loose source one of 'loop': 0, also if it is already; ARS_EBUSY if it has another home; or an error. */
int ars__source_take(ars__source *source, ars__loop *loop);
/* For backends: what source_leave() waited for has happened. */
void ars__source_left(ars__source *source);
/* Room for 'more' bytes behind those that are carried already; NULL without memory. */
char *ars__source_carry(ars__source *source, uint32_t more);
/* The same in front of them, for bytes that were read and shall be read again. */
char *ars__source_put_back(ars__source *source, uint32_t more);
/* Reads up to 'n' of what is carried, which is something. */
size_t ars__source_carried(ars__source *source, char *buf, size_t n);
/* Whether a stream is not TCP's: then it may have more to receive, and tells less, than one would think. */
void ars__source_get_to_know(ars__source *source);
static inline int ars__source_is_single(ars__source *source)
{
    if (ARS__UNLIKELY(!source->known)) ars__source_get_to_know(source);
    return source->single;
}

/* From now on nothing is received ahead of it: a stream becomes a file.  0 or an error. */
int ars__source_to_file(ars__source *source);
/* Whether bytes of it are not in the kernel any more, or may be about to be: then they come first. */
static inline int ars__source_is_ahead(const ars__source *source)
{
    return source->carried || source->unread.count > 0 || source->eof || source->error ||
           (source->receiving && !source->polling);
}
/*
 * By its home, or where it is loose: everybody who waits gets ARS_EBADF;
 * freed() comes when the kernel is done with it, maybe at once.
 */
void ars__source_close(ars__source *source);
/* The same by a task of any worker. */
void ars__source_shut(ars__source *source);
/* Closes the descriptor and calls freed() if nothing holds the source any more. */
void ars__source_settle(ars__source *source);
/* What it is as a case of a select. */
extern const ars__waitable_class ars__source_waitable;
/*
 * The 'loop' of a connection that is freed, until its memory is another one's:
 * so a use after its end is found out by whoever finds it not to be at home.
 */
#define ARS__GONE ((ars__loop *)(uintptr_t)1)

/* In debug builds, says that a source is used after it was closed. */
void ars__source_misused(ars__task *self);
/* Makes the source one of the task's worker: 0, ARS_EBUSY if another one is using it, or an error. */
int ars__source_fetch(ars__source *source, ars__task *self, ars_time deadline);

/* Whether the source is at home with the worker of the running task: that can then only change in a turn. */
static inline int ars__source_is_home(const ars__source *source, const ars__task *self)
{
    const void *home = __atomic_load_n(&source->loop, __ATOMIC_RELAXED);
    ARS__STATIC_ASSERT(offsetof(ars__loop, poller) == 0);
    return home && home == ars__task_poller(self);
}

/*
 * The entry of every call on a source that may wait: ars__wait_enter(), and
 * ARS_EBADF if the source was closed while that let other tasks run.
 */
#define ars__source_enter(source, self, deadline)                                                  \
    ars__source_enter_at((source), (self), (deadline), __builtin_dwarf_cfa())
static inline int ars__source_enter_at(ars__source *source, ars__task *self, ars_time deadline,
                                       const void *frame)
{
    int rc;
    if (ARS__UNLIKELY(!ars__source_is_home(source, self))) {
        rc = ars__source_fetch(source, self, deadline);
        if (rc < 0) return rc;
    }
    if (ARS__ASSERTS && ARS__UNLIKELY(source->closing)) ars__source_misused(self);
    source->pins++;
    rc = ars__wait_enter_at(self, deadline, frame);
    source->pins--;
    if (ARS__UNLIKELY(source->closing)) {
        ars__source_settle(source);
        return ARS_EBADF;
    }
    return rc;
}

/* The same where there is nothing to look at but the budget: the running task; else NULL. */
static inline ars__task *ars__source_enter_fast(const ars__source *source)
{
    const ars__loop *home = __atomic_load_n(&source->loop, __ATOMIC_RELAXED);
    ars__task *self = ars__wait_enter_home((const ars__poller *)(const void *)home);
    return ARS__LIKELY(self && !source->closing) ? self : NULL;
}

/* ars__submit() of the commonest kinds: a RECV or LOAN of a source that nobody reads. */
static inline int32_t ars__submit_read(ars__source *source, ars__request *request, int wait)
{
    ARS__ASSERT(!source->reader);
    int32_t rc = source->loop->backend->submit(request, wait);
    if (rc == ARS__PENDING) source->reader = request;
    return rc;
}

/* And a SEND; the whole of it. */
static inline int32_t ars__submit_send(ars__source *source, ars__request *request, int wait)
{
    if (ARS__UNLIKELY(source->writer != NULL || !wait)) return ars__submit(request, wait);
    request->why = 0;
    int32_t rc = source->loop->backend->submit(request, 1);
    if (rc != ARS__PENDING) return rc;
    request->next = NULL;
    source->writer = source->last_writer = request;
    return rc;
}

#endif
