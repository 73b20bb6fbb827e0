/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "server.h"

/*
 * The limit for io_uring: one multishot accept, one multishot receive a
 * connection into provided buffers, one send a message straight from the
 * buffer it arrived in, one io_uring_enter for submitting and waiting.
 *
 * Sends of one socket may overtake each other when the socket is full, so a
 * connection has one under way; what arrives meanwhile waits in a list.
 */

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif

enum {
    SQ_ENTRIES = 4096,
    CQ_ENTRIES = 32768,
    BUFFERS = 4096,
    BUFFER_SIZE = 256,
    DESCRIPTORS = 1 << 20,
    NONE = 0xffff
};
enum { ACCEPT, RECEIVE, SEND };
enum { SENDING = 1, ENDED = 2, BROKEN = 4 };

/* Buffers of a connection that wait to be sent, the first one under way if SENDING. */
struct connection {
    uint16_t first, last;
    uint32_t state;
};

static struct connection *connections; /* by descriptor; untouched pages cost nothing */
static uint16_t next_buffer[BUFFERS];
static uint32_t filled[BUFFERS];
static char *memory;
static struct io_uring_buf_ring *buffers;
static uint16_t buffers_tail;
static unsigned buffers_free;

static int *starved; /* descriptors whose receive ended for want of buffers */
static unsigned starved_n;

static int listener, ring;
static unsigned
    enter_flags; /* IORING_ENTER_REGISTERED_RING once 'ring' is an index, not a descriptor */
static unsigned *sq_tail, *cq_head, *cq_tail, sq_mask, cq_mask, tail, submitted;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static int enter(unsigned wait)
{
    __atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
    long n = SYSTEM(syscall(SYS_io_uring_enter, ring, tail - submitted, wait,
                            enter_flags | (wait ? IORING_ENTER_GETEVENTS : 0), NULL, 0));
    if (n >= 0)
        submitted += (unsigned)n;
    else if (errno != EINTR && errno != EAGAIN && errno != EBUSY)
        server_fail("io_uring_enter");
    return n >= 0;
}

static struct io_uring_sqe *operation(int opcode, int fd, uint64_t data)
{
    while (tail - submitted == SQ_ENTRIES) enter(0);
    struct io_uring_sqe *sqe = &sqes[tail++ & sq_mask];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (uint8_t)opcode;
    sqe->fd = fd;
    sqe->user_data = data;
    return sqe;
}

static void arm_accept(void)
{
    struct io_uring_sqe *sqe = operation(IORING_OP_ACCEPT, listener, ACCEPT);
    sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    sqe->accept_flags = SOCK_CLOEXEC;
}

static void arm_receive(int fd)
{
    struct io_uring_sqe *sqe = operation(IORING_OP_RECV, fd, RECEIVE | (uint64_t)fd << 8);
    sqe->ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
    sqe->flags = IOSQE_BUFFER_SELECT;
}

static void give_buffer(unsigned id)
{
    struct io_uring_buf *b = &buffers->bufs[buffers_tail & (BUFFERS - 1)];
    b->addr = (uintptr_t)(memory + (size_t)id * BUFFER_SIZE);
    b->len = BUFFER_SIZE;
    b->bid = (uint16_t)id;
    __atomic_store_n(&buffers->tail, ++buffers_tail, __ATOMIC_RELEASE);
    buffers_free++;
}

static void send_first(int fd, struct connection *c)
{
    struct io_uring_sqe *sqe = operation(IORING_OP_SEND, fd, SEND | (uint64_t)fd << 8);
    sqe->addr = (uintptr_t)(memory + (size_t)c->first * BUFFER_SIZE);
    sqe->len = filled[c->first];
    /* The kernel itself sends the rest of a send that the socket took in part. */
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
    c->state |= SENDING;
}

static void maybe_close(int fd, struct connection *c)
{
    if ((c->state & ENDED) && c->first == NONE) close(fd);
}

static void accepted(const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) arm_accept();
    if (cqe->res < 0) return;
    if (cqe->res >= DESCRIPTORS) {
        close(cqe->res);
        return;
    }
    connections[cqe->res] = (struct connection){NONE, NONE, 0};
    arm_receive(cqe->res);
}

static void received(const struct io_uring_cqe *cqe, int fd)
{
    struct connection *c = &connections[fd];

    if (__builtin_expect(cqe->res > 0, 1)) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        buffers_free--;
        if (__builtin_expect(c->state & BROKEN, 0)) {
            give_buffer(id);
        } else {
            filled[id] = (uint32_t)cqe->res;
            next_buffer[id] = NONE;
            if (c->first == NONE)
                c->first = (uint16_t)id;
            else
                next_buffer[c->last] = (uint16_t)id;
            c->last = (uint16_t)id;
            if (!(c->state & SENDING)) send_first(fd, c);
        }
        if (!(cqe->flags & IORING_CQE_F_MORE)) arm_receive(fd);
    } else if (cqe->res == -ENOBUFS) {
        starved[starved_n++] = fd;
    } else {
        c->state |= ENDED;
        maybe_close(fd, c);
    }
}

static void sent(const struct io_uring_cqe *cqe, int fd)
{
    struct connection *c = &connections[fd];
    unsigned id = c->first;

    c->state &= ~(uint32_t)SENDING;
    if (__builtin_expect(cqe->res != (int)filled[id], 0)) {
        /* The receive ends by the shutdown, and the connection with it. */
        c->state |= BROKEN;
        shutdown(fd, SHUT_RDWR);
        while (next_buffer[id] != NONE) {
            unsigned following = next_buffer[id];
            give_buffer(id);
            id = following;
        }
    }
    c->first = next_buffer[id];
    give_buffer(id);
    if (c->first != NONE)
        send_first(fd, c);
    else
        maybe_close(fd, c);
}

static void ring_open(void)
{
    struct io_uring_params p = {.cq_entries = CQ_ENTRIES};
    p.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_SQARRAY;
    ring = (int)syscall(SYS_io_uring_setup, SQ_ENTRIES, &p);
    if (ring < 0 && errno == EINVAL) {
        p.flags &= ~IORING_SETUP_NO_SQARRAY;
        ring = (int)syscall(SYS_io_uring_setup, SQ_ENTRIES, &p);
    }
    if (ring < 0) server_fail("io_uring_setup");
    size_t size = p.cq_off.cqes + p.cq_entries * sizeof *cqes + p.sq_entries * sizeof(unsigned);
    char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    sqes = mmap(NULL, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                IORING_OFF_SQES);
    if (m == MAP_FAILED || sqes == MAP_FAILED) server_fail("mmap of the ring");
    sq_tail = (unsigned *)(m + p.sq_off.tail);
    sq_mask = p.sq_entries - 1;
    cq_head = (unsigned *)(m + p.cq_off.head);
    cq_tail = (unsigned *)(m + p.cq_off.tail);
    cq_mask = p.cq_entries - 1;
    cqes = (struct io_uring_cqe *)(m + p.cq_off.cqes);
    if (!(p.flags & IORING_SETUP_NO_SQARRAY))
        for (unsigned i = 0; i < p.sq_entries; i++) ((unsigned *)(m + p.sq_off.array))[i] = i;
}

static void buffers_open(void)
{
    struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};

    memory = mmap(NULL, (size_t)BUFFERS * BUFFER_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    buffers = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    connections = calloc(DESCRIPTORS, sizeof *connections);
    starved = calloc(DESCRIPTORS, sizeof *starved);
    if (memory == MAP_FAILED || buffers == MAP_FAILED || !connections || !starved)
        server_fail("memory");
    reg.ring_addr = (uintptr_t)buffers;
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_PBUF_RING, &reg, 1))
        server_fail("io_uring_register");
    for (unsigned id = 0; id < BUFFERS; id++) give_buffer(id);
}

/* Spares the kernel the look-up of the descriptor at each call; 0.7 % at 50 connections. */
static void register_ring(void)
{
    struct io_uring_rsrc_update update = {.offset = -1U, .data = (uint64_t)ring};

    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_RING_FDS, &update, 1) != 1) return;
    ring = (int)update.offset;
    enter_flags = IORING_ENTER_REGISTERED_RING;
}

int main(int argc, char **argv)
{
    listener = server_listen(argc, argv, "io_uring", 0);
    ring_open();
    buffers_open();
    register_ring();
    arm_accept();
    for (;;) {
        enter(1);
        unsigned head = *cq_head, end = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE);
        for (; head != end; head++) {
            const struct io_uring_cqe *cqe = &cqes[head & cq_mask];
            int fd = (int)(cqe->user_data >> 8);
            switch (cqe->user_data & 0xff) {
            case ACCEPT: accepted(cqe); break;
            case RECEIVE: received(cqe, fd); break;
            case SEND: sent(cqe, fd); break;
            }
        }
        __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
        for (unsigned n = buffers_free; n && starved_n; n--) arm_receive(starved[--starved_n]);
    }
}
