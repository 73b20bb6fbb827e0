/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LINUX_URING_H
#define ARS_IO_LINUX_URING_H

/*
 * The io_uring backend, in three files: uring.c opens, turns and closes the
 * loop; uring_recv.c is what the kernel brings (receive, accept); uring_send.c
 * is what it is asked for once (send, connect, poll) and all cancelling.
 *
 * A completion says whom it is for in its user_data: the address of a source
 * (48 bits, aligned to 64) with the kind of operation in the low bits and the
 * source's generation in the high ones; for a poll the address of its request.
 *
 * A source lives until the last completion of what is in flight for it, so a
 * generation that does not match is a bug; it is dropped all the same.
 */

#include "io/lend.h"
#include "io/linux/backends.h"
#include "io/linux/uring_bufs.h"
#include "io/linux/uring_ring.h"

enum ars__uring_tag {
    ARS__TAG_NONE = 0, /* of no interest: a cancel */
    ARS__TAG_RECV = 1, /* a source's receive, accept, or poll in its place */
    ARS__TAG_SEND = 2, /* a source's send or connect */
    ARS__TAG_POLL = 3, /* a request */
    ARS__TAG_WAKE = 4,
    ARS__TAG_MASK = 7
};

typedef struct ars__uring {
    ars__loop loop;
    ars__ring ring;
    ars__bufs bufs;
    ars__lend lend; /* for when the ring of buffers is empty */
    int wake_fd;
    uint8_t wake_armed;
    uint8_t bundles;          /* the kernel can have one receive fill several buffers */
    uint8_t zero_copies;      /* the kernel has sends that do not copy, and say whether they did */
    uint8_t caps;             /* the kernel can end a multishot receive after so many bytes */
    uint8_t cancel_owed;      /* some source's, or of owed_polls */
    uint8_t ending;           /* nothing is tried again */
    ars__request *filling;    /* reads that go on taking what this turn brings, linked by 'next' */
    ars__request *owed_polls; /* to be cancelled, linked by 'next' */
} ars__uring;

static inline ars__uring *ars__uring_of(const ars__loop *loop)
{
    return (ars__uring *)(uintptr_t)loop; /* the loop is the first member */
}

static inline uint64_t ars__uring_data(const ars__source *source, unsigned tag)
{
    return (uint64_t)source->generation << 48 | (uint64_t)(uintptr_t)source | tag;
}

static inline void *ars__uring_object(uint64_t data)
{
    return (void *)(uintptr_t)(data & ((UINT64_C(1) << 48) - 1) & ~(uint64_t)ARS__TAG_MASK);
}

/*
 * Whether an operation has done nothing and shall be tried again; unless its end
 * was asked for.  Without that too the kernel cancels, where it finds no way to
 * wait for readiness.
 */
static inline int ars__uring_is_interrupted(int32_t res)
{
    return res == ARS_EINTR || res == ARS_ECANCELED;
}

/* One pass: hands over what is filled, waits, handles what has completed. */
void ars__uring_turn(ars__poller *poller, ars_time deadline);

/* ---- uring_recv.c ---- */

int32_t ars__uring_recv(ars__uring *u, ars__request *request, int wait);
int32_t ars__uring_poll_in(ars__uring *u, ars__request *request);
int32_t ars__uring_accept(ars__uring *u, ars__request *request, int wait);
/* backend->ready(), and the submit of a READY. */
int ars__uring_ready(ars__uring *u, ars__source *source, int ask);
int32_t ars__uring_await(ars__uring *u, ars__source *source);
void ars__uring_received(ars__uring *u, ars__source *source, int32_t res, uint32_t flags);
/* The turn has brought all that it does: ends the reads that are being filled. */
void ars__uring_filled(ars__uring *u);
/* What came for nobody goes back. */
void ars__uring_drop(ars__uring *u, int32_t res, uint32_t flags);
void ars__uring_accepted(ars__uring *u, ars__source *source, int32_t res, uint32_t flags);
/* Copies what is unread, for the source to carry: 1, or ARS_ENOMEM and it stays. */
int ars__uring_carry(ars__uring *u, ars__source *source);
/* Gives the unread buffers back. */
void ars__uring_forget_unread(ars__uring *u, ars__source *source);

/* ---- uring_send.c ---- */

int32_t ars__uring_send(ars__uring *u, ars__request *request);
int32_t ars__uring_poll_out(ars__uring *u, ars__request *request);
int32_t ars__uring_connect(ars__uring *u, ars__request *request);
int32_t ars__uring_poll(ars__uring *u, ars__request *request);
void ars__uring_sent(ars__uring *u, ars__source *source, int32_t res, uint32_t flags);
void ars__uring_polled(ars__uring *u, ars__request *request, int32_t res);
void ars__uring_cancel(ars__request *request);
/* Asks for the end of a source's receive or accept. */
void ars__uring_end_receive(ars__uring *u, ars__source *source);
/* Submits the cancels that there was no room for. */
void ars__uring_pay_cancels(ars__uring *u);

#endif
