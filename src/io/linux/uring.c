/* SPDX-License-Identifier: MIT */
#include "io/linux/uring.h"

#include <arsenal/run.h>
#include <poll.h>
#include <string.h>

#include "os/os.h"

/* ---- the turn ---- */

/*
 * Completions come in the order of events, their objects lie anywhere: at
 * 1,000 connections most of a completion's cost is waiting for cold lines.
 */
static inline void look_ahead(const ars__uring *u, unsigned head, unsigned tail)
{
    if (tail - head > 6) {
        const struct io_uring_cqe *cqe = &u->ring.cqes[(head + 6) & u->ring.cq_mask];
        const char *p = ars__uring_object(cqe->user_data);
        __builtin_prefetch(p, 1);
        __builtin_prefetch(p + 64, 1);
        if (cqe->flags & IORING_CQE_F_BUFFER)
            __builtin_prefetch(ars__bufs_at(&u->bufs, cqe->flags >> IORING_CQE_BUFFER_SHIFT));
    }
    if (tail - head > 4) {
        /* A send's request lies on its task's stack. */
        uint64_t data = u->ring.cqes[(head + 4) & u->ring.cq_mask].user_data;
        const ars__source *source = ars__uring_object(data);
        if ((data & ARS__TAG_MASK) == ARS__TAG_SEND) __builtin_prefetch(source->writer, 1);
    }
    if (tail - head > 2) {
        uint64_t data = u->ring.cqes[(head + 2) & u->ring.cq_mask].user_data;
        const ars__source *source = ars__uring_object(data);
        const ars__request *request = NULL;
        if ((data & ARS__TAG_MASK) == ARS__TAG_RECV) {
            request = source->reader;
            if (request) __builtin_prefetch(request->buf, 1);
        } else if ((data & ARS__TAG_MASK) == ARS__TAG_SEND) {
            request = source->writer;
        }
        if (request && request->task) ars__ready_prefetch(request->task);
    }
}

static void wake_arm(ars__uring *u)
{
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = u->wake_fd;
    sqe->len = IORING_POLL_ADD_MULTI;
    sqe->poll32_events = POLLIN;
    sqe->user_data = ARS__TAG_WAKE;
    u->wake_armed = 1;
}

static void complete(ars__uring *u, uint64_t data, int32_t res, uint32_t flags)
{
    ars__source *source = ars__uring_object(data);
    int moving = 0;
    switch (data & ARS__TAG_MASK) {
    case ARS__TAG_RECV:
    case ARS__TAG_SEND:
        ARS__ASSERT(source->generation == data >> 48);
        moving = source->moving;
        if (ARS__UNLIKELY(source->generation != data >> 48))
            ars__uring_drop(u, res, flags);
        else if ((data & ARS__TAG_MASK) == ARS__TAG_SEND)
            ars__uring_sent(u, source, res, flags);
        else if (source->kind != ARS__LISTENER)
            ars__uring_received(u, source, res, flags);
        else
            ars__uring_accepted(u, source, res, flags);
        /* One that is moving is not closed, so it is still there. */
        if (ARS__UNLIKELY(moving) && !source->receiving) ars__source_left(source);
        break;
    case ARS__TAG_POLL: ars__uring_polled(u, ars__uring_object(data), res); break;
    case ARS__TAG_WAKE:
        /* The count need not be read: each write to it is an event of its own. */
        if (!(flags & IORING_CQE_F_MORE)) u->wake_armed = 0;
        break;
    default: break;
    }
}

static void reap(ars__uring *u)
{
    ars__ring *ring = &u->ring;
    unsigned head = *ring->cq_head;
    /* Acquire: pairs with the kernel's release of the tail, after it wrote the entries. */
    unsigned tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    while (head != tail) {
        look_ahead(u, head, tail);
        const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
        uint64_t data = cqe->user_data;
        int32_t res = cqe->res;
        uint32_t flags = cqe->flags;
        /* Release: the entry is read before the kernel may use it again. */
        __atomic_store_n(ring->cq_head, ++head, __ATOMIC_RELEASE);
        complete(u, data, res, flags);
    }
    if (ARS__UNLIKELY(u->filling != NULL)) ars__uring_filled(u);
}

/* A wait in which the buffers of a busy time are given back, if nothing comes for a while. */
static void wait_and_shrink(ars__uring *u, ars_time deadline)
{
    ars_time quiet = ars_time_add(ars__os_now(), 100 * ARS_MILLISECOND);
    if (quiet >= deadline || !(u->ring.setup & IORING_SETUP_DEFER_TASKRUN)) {
        ars__ring_enter(&u->ring, 1, deadline);
        return;
    }
    ars__ring_enter(&u->ring, 1, quiet);
    if (!ars__ring_has_results(&u->ring) && ars__os_now() >= quiet) ars__bufs_shrink(&u->bufs);
}

void ars__uring_turn(ars__poller *poller, ars_time deadline)
{
    ars__uring *u = ars__uring_of(ARS__MEMBER(poller, ars__loop, poller));
    u->bufs.grown = 0;
    if (ars__loop_drain(&u->loop)) deadline = 0;
    if (ARS__UNLIKELY(u->cancel_owed)) ars__uring_pay_cancels(u);
    if (ARS__UNLIKELY(!u->wake_armed)) wake_arm(u);
    /* Without a way to be woken it must not sleep. */
    int wait = deadline != 0 && u->wake_armed && !ars__ring_has_results(&u->ring);
    if (wait && ARS__UNLIKELY(ars__bufs_surplus(&u->bufs)))
        wait_and_shrink(u, deadline);
    else if (wait || ars__ring_has_work(&u->ring))
        ars__ring_enter(&u->ring, wait, deadline);
    reap(u);
}

static void uring_wake(ars__poller *poller)
{
    ars__uring *u = ars__uring_of(ARS__MEMBER(poller, ars__loop, poller));
    uint64_t one = 1;
    ars__os_write(u->wake_fd, &one, sizeof one);
}

static uint64_t uring_in_flight(const ars__poller *poller)
{
    return __atomic_load_n(&((const ars__loop *)(const void *)poller)->in_flight, __ATOMIC_RELAXED);
}

/* ---- open and close ---- */

/*
 * Multishot receive came with 6.0 and cannot be asked for; zero-copy send came
 * with the same kernel and can.
 */
static int probe(ars__uring *u)
{
    enum { OPS = IORING_OP_SENDMSG_ZC + 1 };
    union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + OPS * sizeof(struct io_uring_probe_op)];
    } p;
    memset(&p, 0, sizeof p);
    int rc = ars__os_uring_register(u->ring.fd, IORING_REGISTER_PROBE, &p, OPS);
    if (rc < 0) return rc;
    if (p.probe.last_op < IORING_OP_SEND_ZC) return ARS_ENOSYS;
    u->zero_copies = p.probe.last_op >= IORING_OP_SENDMSG_ZC;
    return p.probe.ops[IORING_OP_SEND_ZC].flags & IO_URING_OP_SUPPORTED ? 0 : ARS_ENOSYS;
}

/*
 * Whether a multishot receive may be told after how many bytes to end: a kernel
 * that does not know it refuses the whole entry, before it looks at the
 * descriptor.
 */
static int probe_cap(ars__ring *ring)
{
    struct io_uring_sqe *sqe = ars__ring_sqe(ring);
    if (!sqe) return 0;
    sqe->opcode = IORING_OP_RECV;
    sqe->fd = -1;
    sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = ARS__BUFS_GROUP;
    sqe->file_index =
        ARS__BUFS_SIZE; /* that is its place, optlen, which older headers do not name */
    sqe->user_data = ARS__TAG_NONE;
    ars__ring_enter(ring, 1, ARS_FOREVER);
    if (!ars__ring_has_results(ring)) return 0; /* interrupted: it comes later, to be dropped */
    int caps = ring->cqes[*ring->cq_head & ring->cq_mask].res == ARS_EBADF;
    __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
    return caps;
}

static int uring_open(ars__loop **loop, const ars_alloc *alloc)
{
    ars__uring *u = alloc->alloc(alloc->ctx, sizeof *u, 64);
    if (!u) return ARS_ENOMEM;
    memset(u, 0, sizeof *u);
    ars__loop_init(&u->loop, &ars__uring_backend, alloc);
    int rc = ars__ring_open(&u->ring);
    if (rc < 0) goto no_ring;
    rc = probe(u);
    if (rc < 0) goto no_bufs;
    rc = ars__bufs_open(&u->bufs, u->ring.fd);
    if (rc < 0) goto no_bufs;
    rc = ars__os_eventfd();
    if (rc < 0) goto no_wake;
    u->wake_fd = rc;
    u->caps = (uint8_t)probe_cap(&u->ring);
    u->bundles = (u->ring.features & IORING_FEAT_RECVSEND_BUNDLE) != 0;
    *loop = &u->loop;
    return 0;
no_wake:
    ars__bufs_close(&u->bufs);
no_bufs:
    ars__ring_close(&u->ring);
no_ring:
    alloc->free(alloc->ctx, u, sizeof *u, 64);
    return rc;
}

/* Everything at once, polls of tasks that are left behind and the wake-up included. */
static void cancel_all(ars__uring *u)
{
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    sqe->user_data = ARS__TAG_NONE;
}

static void uring_close(ars__poller *poller)
{
    ars__uring *u = ars__uring_of(ARS__MEMBER(poller, ars__loop, poller));
    u->ending = 1;
    ars__loop_close_sources(&u->loop);
    while (u->loop.in_flight > 0 || u->wake_armed) {
        cancel_all(u);
        ars__ring_enter(&u->ring, 1, ars_time_add(ars__os_now(), 10 * ARS_MILLISECOND));
        reap(u);
    }
    ars__ring_close(&u->ring);
    ars__bufs_close(&u->bufs);
    ars__lend_deinit(&u->lend);
    ars__os_close(u->wake_fd);
    ars__loop_end(&u->loop, sizeof *u);
}

/* ---- the contract ---- */

static int uring_source_open(ars__source *source)
{
    (void)source; /* nothing is registered before it is used */
    return 0;
}

static void uring_source_close(ars__source *source)
{
    ars__uring *u = ars__uring_of(source->loop);
    if (source->kind != ARS__LISTENER) ars__uring_forget_unread(u, source);
    if (source->receiving && !source->receive_ending) ars__uring_end_receive(u, source);
}

static int uring_source_leave(ars__source *source)
{
    ars__uring *u = ars__uring_of(source->loop);
    if (source->receiving) {
        if (!source->receive_ending) ars__uring_end_receive(u, source);
        return 0;
    }
    return source->kind != ARS__LISTENER ? ars__uring_carry(u, source) : 1;
}

static ARS__NOINLINE int32_t submit_other(ars__request *request, int wait)
{
    if (request->kind == ARS__POLL) return ars__uring_poll(ars__uring_of(request->loop), request);
    ars__uring *u = ars__uring_of(request->source->loop);
    switch (request->kind) {
    case ARS__SENDV: return ars__uring_send(u, request);
    case ARS__POLL_OUT: return ars__uring_poll_out(u, request);
    case ARS__POLL_IN: return ars__uring_poll_in(u, request);
    case ARS__CONNECT: return ars__uring_connect(u, request);
    case ARS__ACCEPT: return ars__uring_accept(u, request, wait);
    case ARS__READY: return ars__uring_await(u, request->source);
    default: return ars__uring_recv(u, request, wait);
    }
}

static int32_t uring_submit(ars__request *request, int wait)
{
    if (request->kind == ARS__RECV)
        return ars__uring_recv(ars__uring_of(request->source->loop), request, wait);
    if (request->kind == ARS__SEND)
        return ars__uring_send(ars__uring_of(request->source->loop), request);
    return submit_other(request, wait);
}

static int uring_ready(ars__source *source, int ask)
{
    return ars__uring_ready(ars__uring_of(source->loop), source, ask);
}

ARS__STATIC_ASSERT((int)ARS__BUFS_MAX + (int)ARS__LEND_COUNT <= (int)ARS__LOANS);

static void uring_loan_return(ars__loop *loop, uint64_t loan)
{
    ars__uring *u = ars__uring_of(loop);
    if (loan < ARS__BUFS_MAX)
        ars__bufs_give(&u->bufs, (unsigned)loan);
    else
        ars__lend_give(&u->lend, (unsigned)(loan - ARS__BUFS_MAX));
}

static void *uring_loan_room(ars__loop *loop, uint64_t loan)
{
    ars__uring *u = ars__uring_of(loop);
    if (loan < ARS__BUFS_MAX) return ars__bufs_at(&u->bufs, (unsigned)loan);
    return ars__lend_at(&u->lend, (unsigned)(loan - ARS__BUFS_MAX));
}

const ars__backend ars__uring_backend = {
    .poller = {"io_uring", ars__uring_turn, uring_wake, uring_in_flight, uring_close},
    .id = ARS_BACKEND_URING,
    .nonblock = 0,
    .open = uring_open,
    .source_open = uring_source_open,
    .source_leave = uring_source_leave,
    .submit = uring_submit,
    .ready = uring_ready,
    .cancel = ars__uring_cancel,
    .source_close = uring_source_close,
    .loan_return = uring_loan_return,
    .loan_room = uring_loan_room,
};
