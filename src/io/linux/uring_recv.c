/* SPDX-License-Identifier: MIT */
#include "io/linux/uring.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "os/os.h"

enum {
    SHARE_MIN = 4, /* buffers that a source may hold that nobody reads, at least and at most */
    SHARE_MAX = 32,
    UNCLAIMED_MAX = 64 /* the same for accepted descriptors */
};

/* How a receive starts: waiting for data first, or looking whether there is some. */
enum { EXPECT_NONE = IORING_RECVSEND_POLL_FIRST, EXPECT_SOME = 0, POLL_ONLY = 1 << 15 };

/*
 * How many buffers a source may fill before somebody reads: with few sources
 * what makes a shot worth its while, with many a part of them all.  The kernel
 * ends a shot after so many bytes where it can, and else, or when the bytes
 * come a few at a time, we end it after so many buffers.
 */
static unsigned share(const ars__uring *u)
{
    uint64_t part = ARS__BUFS_MAX / 4 / (u->loop.in_flight + 1);
    return part < SHARE_MIN ? SHARE_MIN : part > SHARE_MAX ? SHARE_MAX : (unsigned)part;
}

/* The bytes after which a shot ends; a reader's own memory counts as its source's share. */
static uint32_t shot(const ars__uring *u, const ars__request *reader)
{
    uint32_t bytes = share(u) * ARS__BUFS_SIZE, most = SHARE_MAX * ARS__BUFS_SIZE;
    if (!reader || reader->kind != ARS__RECV || reader->len <= bytes) return bytes;
    return reader->len < most ? (uint32_t)reader->len : most;
}

/*
 * Lets data come; 'reader' waits for it, or NULL.  When all buffers are in use,
 * a poll takes the receive's place and the reader's own memory the buffer's, so
 * that connections that nobody reads cannot stop the others; and so it is for
 * what must not be received ahead.
 */
static int32_t arm_recv(ars__uring *u, ars__source *source, const ars__request *reader,
                        unsigned expect)
{
    if (source->receiving) return 0;
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return ARS_ENOMEM;
    sqe->fd = source->fd;
    sqe->user_data = ars__uring_data(source, ARS__TAG_RECV);
    if (ARS__LIKELY(u->bufs.free > 0 && source->kind == ARS__STREAM && expect != POLL_ONLY)) {
        sqe->opcode = IORING_OP_RECV;
        sqe->ioprio = (uint16_t)expect;
        source->bundled =
            u->bundles && reader && reader->kind == ARS__RECV && reader->len > ARS__BUFS_SIZE;
        if (source->bundled) sqe->ioprio |= IORING_RECVSEND_BUNDLE;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->buf_group = ARS__BUFS_GROUP;
        /*
         * Where data and the end of a unix stream come at almost the same time, a
         * multishot receive may take both wake-ups for one, and then never
         * completes for the end (Linux 6.18); TCP hints at more to read until its
         * end has been read.
         */
        if (ars__source_is_single(source)) {
            sqe->len = source->bundled ? shot(u, reader) : 0;
        } else {
            sqe->ioprio |= IORING_RECV_MULTISHOT;
            if (u->caps) sqe->file_index = shot(u, reader); /* its optlen */
        }
    } else {
        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->poll32_events = EPOLLIN | EPOLLRDHUP;
        source->polling = 1;
    }
    source->receiving = 1;
    ars__loop_count(&u->loop, 1);
    return 0;
}

/* ---- unread buffers ---- */

static void keep_unread(ars__uring *u, ars__source *source, unsigned id, unsigned len,
                        unsigned offset)
{
    u->bufs.chain[id].len = (uint16_t)len;
    if (source->unread.count++ == 0) {
        source->unread.head = (uint16_t)id;
        source->unread.offset = (uint16_t)offset;
    } else {
        u->bufs.chain[source->unread.tail].next = (uint16_t)id;
    }
    source->unread.tail = (uint16_t)id;
}

/* Takes the first buffer out; it is then nobody's. */
static unsigned drop_first(ars__uring *u, ars__source *source)
{
    unsigned id = source->unread.head;
    source->unread.head = u->bufs.chain[id].next;
    source->unread.offset = 0;
    source->unread.count--;
    return id;
}

void ars__uring_forget_unread(ars__uring *u, ars__source *source)
{
    while (source->unread.count > 0) ars__bufs_give(&u->bufs, drop_first(u, source));
}

int ars__uring_carry(ars__uring *u, ars__source *source)
{
    unsigned count = source->unread.count, id = source->unread.head;
    uint32_t total = 0;
    if (count == 0) return 1;
    for (; count > 0; count--, id = u->bufs.chain[id].next) total += u->bufs.chain[id].len;
    total -= source->unread.offset;
    char *to = ars__source_carry(source, total);
    if (!to) return ARS_ENOMEM;
    while (source->unread.count > 0) {
        unsigned offset = source->unread.offset;
        id = drop_first(u, source);
        size_t n = u->bufs.chain[id].len - offset;
        memcpy(to, ars__bufs_at(&u->bufs, id) + offset, n);
        to += n;
        ars__bufs_give(&u->bufs, id);
    }
    ars__san_release(source);
    return 1;
}

static int32_t read_carried(ars__uring *u, ars__source *source, ars__request *request)
{
    if (request->kind == ARS__RECV)
        return (int32_t)ars__source_carried(source, request->buf, request->len);
    int id = ars__lend_take(&u->lend);
    if (id < 0) return id;
    request->buf = ars__lend_at(&u->lend, (unsigned)id);
    request->len = ars__source_carried(source, request->buf, ARS__LEND_SIZE);
    request->loan = (uint64_t)id + ARS__BUFS_MAX;
    return (int32_t)request->len;
}

static int32_t read_unread(ars__uring *u, ars__source *source, ars__request *request)
{
    unsigned id = source->unread.head, offset = source->unread.offset;
    if (request->kind == ARS__LOAN) {
        request->buf = ars__bufs_at(&u->bufs, id) + offset;
        request->len = u->bufs.chain[id].len - offset;
        request->loan = id;
        drop_first(u, source);
        return (int32_t)request->len;
    }
    size_t got = 0;
    do {
        id = source->unread.head;
        offset = source->unread.offset;
        size_t left = u->bufs.chain[id].len - offset, n = request->len - got;
        if (n < left) {
            source->unread.offset = (uint16_t)(offset + n);
        } else {
            n = left;
            drop_first(u, source);
        }
        memcpy((char *)request->buf + got, ars__bufs_at(&u->bufs, id) + offset, n);
        got += n;
        if (n == left) ars__bufs_give(&u->bufs, id);
    } while (got < request->len && source->unread.count > 0);
    return (int32_t)got;
}

/* ---- receiving ---- */

static int64_t plain_recv(const ars__source *source, void *buf, size_t n)
{
    if (source->kind == ARS__FILE) return ars__os_read(source->fd, buf, n);
    return ars__os_recv(source->fd, buf, n, 1);
}

/* Without the ring's buffers: straight into the reader's memory, or into one that is lent. */
static int32_t recv_now(ars__uring *u, ars__request *request)
{
    ars__source *source = request->source;
    if (request->kind == ARS__RECV) return (int32_t)plain_recv(source, request->buf, request->len);
    int id = ars__lend_take(&u->lend);
    if (id < 0) return id;
    char *p = ars__lend_at(&u->lend, (unsigned)id);
    int32_t n = (int32_t)plain_recv(source, p, ARS__LEND_SIZE);
    if (n <= 0) {
        ars__lend_give(&u->lend, (unsigned)id);
        return n;
    }
    request->buf = p;
    request->len = (size_t)n;
    request->loan = (uint64_t)id + ARS__BUFS_MAX;
    return n;
}

/* What has come already; ARS_EAGAIN: nothing. */
static int32_t look(ars__uring *u, ars__source *source, ars__request *request)
{
    if (ARS__UNLIKELY(source->carried != NULL)) return read_carried(u, source, request);
    if (source->unread.count > 0) return read_unread(u, source, request);
    if (source->eof) return 0;
    if (source->error) {
        int32_t error = source->error;
        source->error = 0;
        return error;
    }
    return ARS_EAGAIN;
}

/* What is there is found by trying; a terminal's read may be interrupted. */
static int32_t recv_file(ars__uring *u, ars__request *request, int wait)
{
    ars__source *source = request->source;
    if (source->receiving && !source->polling) {
        /* It was a stream, and what the kernel received for that comes first. */
        if (!source->receive_ending) ars__uring_end_receive(u, source);
        if (wait) return ARS__PENDING;
        ars__uring_turn(&u->loop.poller, 0);
        return look(u, source, request);
    }
    int32_t rc = recv_now(u, request);
    if ((rc != ARS_EAGAIN && rc != ARS_EINTR) || !wait) return rc;
    rc = arm_recv(u, request->source, NULL, POLL_ONLY);
    return rc < 0 ? rc : ARS__PENDING;
}

int32_t ars__uring_poll_in(ars__uring *u, ars__request *request)
{
    ars__source *source = request->source;
    if (source->carried || source->unread.count > 0 || source->eof || source->error) return 1;
    int32_t rc = arm_recv(u, source, NULL, POLL_ONLY);
    if (rc < 0) return rc;
    if (!source->polling && !source->receive_ending) ars__uring_end_receive(u, source);
    return ARS__PENDING;
}

static ARS__NOINLINE int32_t recv_other(ars__uring *u, ars__request *request, int wait)
{
    ars__source *source = request->source;
    int32_t rc = look(u, source, request);
    if (rc != ARS_EAGAIN) return rc;
    if (ARS__UNLIKELY(source->kind != ARS__STREAM)) return recv_file(u, request, wait);
    if (ARS__LIKELY(wait)) {
        rc = arm_recv(u, source, request, EXPECT_NONE);
        return rc < 0 ? rc : ARS__PENDING;
    }
    if (!source->receiving && u->bufs.free == 0) return recv_now(u, request);
    rc = arm_recv(u, source, request, EXPECT_SOME);
    if (rc < 0) return rc;
    ars__uring_turn(&u->loop.poller, 0);
    return look(u, source, request);
}

int32_t ars__uring_recv(ars__uring *u, ars__request *request, int wait)
{
    const ars__source *source = request->source;
    /* Most often a shot is under way and has brought nothing yet. */
    if (ARS__LIKELY(source->receiving && source->unread.count == 0 && !source->carried &&
                    !source->error && !source->eof && source->kind == ARS__STREAM && wait))
        return ARS__PENDING;
    return recv_other(u, request, wait);
}

static void end_reader(ars__source *source, int32_t result)
{
    ars__request *reader = source->reader;
    source->reader = NULL;
    /* Who only waits for something to read leaves errors to the read. */
    if (ARS__UNLIKELY(result < 0 && reader->kind == ARS__READY)) {
        source->error = (int16_t)result;
        result = 0;
    }
    reader->done(reader, reader->kind == ARS__POLL_IN && result >= 0 ? 1 : result);
}

/* The reader goes on waiting; unless even that is impossible. */
static void wait_on(ars__uring *u, ars__source *source, unsigned expect)
{
    ars__request *reader = source->reader;
    int32_t rc = arm_recv(u, source, reader, reader->kind == ARS__POLL_IN ? POLL_ONLY : expect);
    if (rc == 0) return;
    source->reader = NULL;
    reader->done(reader, rc);
}

/*
 * A full buffer is not all that has come: what follows in this turn is the same
 * read's, as far as it has room.  Until then it waits with bytes unread.
 */
static int is_filled_further(ars__source *source, unsigned len, uint32_t flags)
{
    const ars__request *reader = source->reader;
    if (ARS__LIKELY(source->unread.count == 0 && len < ARS__BUFS_SIZE)) return 0;
    if (reader->kind != ARS__RECV) return 0;
    return source->unread.count > 0 || ((flags & IORING_CQE_F_MORE) && reader->len > len);
}

void ars__uring_filled(ars__uring *u)
{
    ars__request *reader = u->filling;
    u->filling = NULL;
    while (reader) {
        ars__request *next = reader->next;
        ARS__ASSERT(reader->source->reader == reader);
        ars__san_acquire(reader);
        int32_t n = read_unread(u, reader->source, reader);
        ars__san_release(reader);
        end_reader(reader->source, n);
        reader = next;
    }
}

/* Whether somebody waits for what comes next; not so who has got something already. */
static int is_awaited(const ars__source *source)
{
    return source->reader && source->unread.count == 0;
}

static void deliver(ars__uring *u, ars__source *source, unsigned id, unsigned len, uint32_t flags)
{
    ars__request *reader = source->reader;
    char *data = ars__bufs_take(&u->bufs, id);
    if (!reader || reader->kind == ARS__POLL_IN || reader->kind == ARS__READY) {
        keep_unread(u, source, id, len, 0);
        if (source->unread.count > share(u) && source->receiving && !source->receive_ending)
            ars__uring_end_receive(u, source);
        if (reader) end_reader(source, 0);
        return;
    }
    if (is_filled_further(source, len, flags)) {
        if (source->unread.count == 0) {
            reader->next = u->filling;
            u->filling = reader;
        }
        keep_unread(u, source, id, len, 0);
        return;
    }
    ARS__ASSERT(source->unread.count == 0);
    if (reader->kind == ARS__LOAN) {
        reader->buf = data;
        reader->len = len;
        reader->loan = id;
    } else {
        unsigned n = reader->len < len ? (unsigned)reader->len : len;
        ars__san_acquire(reader);
        memcpy(reader->buf, data, n);
        ars__san_release(reader);
        if (n < len)
            keep_unread(u, source, id, len, n);
        else
            ars__bufs_give(&u->bufs, id);
        len = n;
    }
    end_reader(source, (int32_t)len);
}

void ars__uring_drop(ars__uring *u, int32_t res, uint32_t flags)
{
    if (!(flags & IORING_CQE_F_BUFFER)) return;
    unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
    for (;;) {
        unsigned following = ars__bufs_following(&u->bufs, id);
        int32_t room = (int32_t)ars__bufs_room(&u->bufs, id);
        ars__bufs_take(&u->bufs, id);
        ars__bufs_give(&u->bufs, id);
        if (res <= room) return;
        res -= room;
        id = following;
    }
}

/* One buffer, or a bundle of them that the kernel filled with one receive. */
static void deliver_all(ars__uring *u, ars__source *source, unsigned id, unsigned len,
                        uint32_t flags)
{
    unsigned room;
    while (ARS__UNLIKELY(source->bundled) && len > (room = ars__bufs_room(&u->bufs, id))) {
        unsigned following = ars__bufs_following(&u->bufs, id);
        deliver(u, source, id, room, IORING_CQE_F_MORE);
        id = following;
        len -= room;
    }
    deliver(u, source, id, len, flags);
}

/* The poll that stood in for a receive has ended. */
static void polled(ars__uring *u, ars__source *source, int32_t res)
{
    source->polling = 0;
    ars__request *reader = source->reader;
    if (!reader) return;
    int32_t rc;
    if (res < 0 && !ars__uring_is_interrupted(res))
        rc = res;
    else if (reader->kind == ARS__POLL_IN)
        rc = 1;
    else if (reader->kind == ARS__READY)
        rc = res < 0 ? ARS_EAGAIN : 0;
    else
        rc = recv_now(u, reader);
    if (rc == ARS_EAGAIN || rc == ARS_EINTR)
        wait_on(u, source, EXPECT_NONE);
    else
        end_reader(source, rc);
}

static void receive_failed(ars__uring *u, ars__source *source, int32_t error)
{
    if (error == ARS_ENOBUFS) {
        ars__bufs_grow(&u->bufs);
        if (is_awaited(source)) wait_on(u, source, EXPECT_SOME);
    } else if (ars__uring_is_interrupted(error)) {
        if (is_awaited(source)) wait_on(u, source, EXPECT_SOME);
    } else if (is_awaited(source)) {
        end_reader(source, error);
    } else {
        source->error = (int16_t)error;
    }
}

static ARS__NOINLINE void received_other(ars__uring *u, ars__source *source, int32_t res,
                                         uint32_t flags)
{
    if (ARS__UNLIKELY(source->closing)) {
        ars__uring_drop(u, res, flags);
        ars__source_settle(source);
        return;
    }
    if (ARS__LIKELY(res > 0 && flags & IORING_CQE_F_BUFFER)) {
        deliver_all(u, source, flags >> IORING_CQE_BUFFER_SHIFT, (unsigned)res, flags);
        return;
    }
    ars__uring_drop(u, res, flags);
    if (source->polling) {
        polled(u, source, res);
    } else if (res < 0) {
        receive_failed(u, source, res);
    } else {
        source->eof = 1;
        if (is_awaited(source)) end_reader(source, 0);
    }
}

/* Whether all of one buffer, and nothing that may follow, is what the reader gets. */
static inline int is_whole(const ars__source *source, int32_t res, uint32_t flags)
{
    const ars__request *reader = source->reader;
    return flags & IORING_CQE_F_BUFFER && res > 0 && res < ARS__BUFS_SIZE && reader &&
           reader->kind == ARS__RECV && (size_t)res <= reader->len && source->unread.count == 0 &&
           !source->closing && !source->bundled;
}

void ars__uring_received(ars__uring *u, ars__source *source, int32_t res, uint32_t flags)
{
    if (ARS__UNLIKELY(!(flags & IORING_CQE_F_MORE))) {
        source->receiving = source->receive_ending = 0;
        ars__loop_count(&u->loop, -1);
    }
    if (ARS__UNLIKELY(!is_whole(source, res, flags))) {
        received_other(u, source, res, flags);
        return;
    }
    ars__request *reader = source->reader;
    unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
    const char *data = ars__bufs_take(&u->bufs, id);
    ars__san_acquire(reader);
    memcpy(reader->buf, data, (size_t)res);
    ars__san_release(reader);
    ars__bufs_give(&u->bufs, id);
    source->reader = NULL;
    reader->done(reader, res);
}

/* ---- accepting ---- */

static int32_t arm_accept(ars__uring *u, ars__source *source)
{
    if (source->receiving) return 0;
    struct io_uring_sqe *sqe = ars__ring_sqe(&u->ring);
    if (!sqe) return ARS_ENOMEM;
    sqe->opcode = IORING_OP_ACCEPT;
    sqe->fd = source->fd;
    sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    sqe->accept_flags = SOCK_CLOEXEC;
    sqe->user_data = ars__uring_data(source, ARS__TAG_RECV);
    source->receiving = 1;
    ars__loop_count(&u->loop, 1);
    return 0;
}

static int32_t take_error(ars__source *source)
{
    int32_t error = source->error;
    source->error = 0;
    return error;
}

int32_t ars__uring_accept(ars__uring *u, ars__request *request, int wait)
{
    ars__source *source = request->source;
    if (source->error) return take_error(source);
    int32_t rc = arm_accept(u, source);
    if (rc < 0) return rc;
    if (wait) return ARS__PENDING;
    ars__uring_turn(&u->loop.poller, 0);
    ars__accepts *accepts = source->accepts;
    if (accepts->count > 0) {
        accepts->count--;
        return accepts->fds[accepts->head++ & (accepts->room - 1)];
    }
    return source->error ? take_error(source) : ARS_EAGAIN;
}

void ars__uring_accepted(ars__uring *u, ars__source *source, int32_t res, uint32_t flags)
{
    if (!(flags & IORING_CQE_F_MORE)) {
        source->receiving = source->receive_ending = 0;
        ars__loop_count(&u->loop, -1);
    }
    if (source->closing) {
        if (res >= 0) ars__os_close(res);
        ars__source_settle(source);
        return;
    }
    int waiting = source->accepts->first != NULL;
    if (res >= 0) {
        ars__accept_done(source, res);
        waiting = source->accepts->first != NULL;
        if (source->accepts->count > UNCLAIMED_MAX && source->receiving && !source->receive_ending)
            ars__uring_end_receive(u, source);
    } else if (res != ARS_ECANCELED && !ars__accept_is_gone(res)) {
        waiting = ars__accept_failed(source, res);
    }
    while (waiting) {
        int32_t rc = arm_accept(u, source);
        if (rc == 0) break;
        waiting = ars__accept_failed(source, rc);
    }
}

/* ---- being ready ---- */

static int is_ready(const ars__source *source)
{
    if (source->error) return 1;
    if (source->kind == ARS__LISTENER) return source->accepts->count > 0;
    return source->carried || source->unread.count > 0 || source->eof;
}

static int32_t arm(ars__uring *u, ars__source *source, unsigned expect)
{
    return source->kind == ARS__LISTENER ? arm_accept(u, source)
                                         : arm_recv(u, source, NULL, expect);
}

int ars__uring_ready(ars__uring *u, ars__source *source, int ask)
{
    if (is_ready(source)) return 1;
    /* Where nothing is received ahead it is not known what there is. */
    if (source->kind == ARS__FILE || source->polling ||
        (source->kind == ARS__STREAM && !source->receiving && u->bufs.free == 0))
        return ars__os_poll(source->fd, EPOLLIN) != 0;
    if (!ask) return 0;
    if (arm(u, source, EXPECT_SOME) == 0) ars__uring_turn(&u->loop.poller, 0);
    return is_ready(source);
}

int32_t ars__uring_await(ars__uring *u, ars__source *source)
{
    if (is_ready(source)) return 0;
    int32_t rc = arm(u, source, EXPECT_NONE);
    return rc < 0 ? rc : ARS__PENDING;
}
