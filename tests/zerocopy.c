/* SPDX-License-Identifier: MIT */
/* Writes that do not copy: when their buffer is free again, and what becomes of them otherwise. */
#define _GNU_SOURCE
#include <arsenal/conn.h>
#include <stdlib.h>

#include "fault.h"
#include "io/linux/uring.h"
#include "peer.h"

enum {
    PIECE = 192 << 10, /* more than a peer takes that does not read, less than the kernel keeps */
    BIG = 8 << 20
};

static ars_time soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

typedef struct writing {
    ars_conn *conn;
    unsigned char *data;
    size_t n, sent;
    ars_time deadline;
    int two; /* as two buffers at once */
    int done, result;
} writing;

static int write_it(void *arg)
{
    writing *w = arg;
    size_t half = w->n / 2;
    ars_buf v[2] = {{w->data, half}, {w->data + half, w->n - half}};
    w->result = w->two ? ars_conn_writev(w->conn, v, 2, &w->sent, w->deadline)
                       : ars_conn_write(w->conn, w->data, w->n, &w->sent, w->deadline);
    w->done = 1;
    /* The bytes are the caller's again. */
    memset(w->data, 0xee, w->n);
    return 0;
}

static const ars__source *source_of(const ars_conn *conn)
{
    return (const ars__source *)(const void *)conn;
}

static int on_uring(void)
{
    (void)!first_io(NULL);
    return strcmp(backend_name(), "io_uring") == 0;
}

/* Reads exactly 'n' bytes, while tasks run. */
static void recv_all(int fd, unsigned char *to, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t more = recv(fd, to + got, n - got, MSG_DONTWAIT);
        if (more < 0 && (errno == EAGAIN || errno == EINTR))
            CHECK_EQ(ars_sleep(ars_after(50 * ARS_MICROSECOND)), 0);
        else if (more <= 0)
            FAIL("%zu of %zu bytes arrived", got, n);
        else
            got += (size_t)more;
    }
}

/* A connection whose kernel takes more than the peer's. */
static peer slow_peer(void)
{
    peer p = peer_open();
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_SNDBUF, 1 << 20), 0);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_ZEROCOPY, 4096), 0);
    return p;
}

/* Everything fits into the kernel, and still the write waits until the peer has it. */
static int waits_task(void *arg)
{
    (void)arg;
    int uring = on_uring(), held = 0;
    unsigned char *data = malloc(PIECE), *got = malloc(PIECE);
    for (int i = 0; i < 20; i++) {
        peer p = slow_peer();
        writing w = {.conn = p.conn, .data = data, .n = PIECE, .deadline = soon(), .two = i % 2};
        ars_group group;
        stream_fill((unsigned)i, 0, data, PIECE);
        start(&group, write_it, &w);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        held += !w.done && source_of(p.conn)->held;
        recv_all(p.fd, got, PIECE);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(w.result, 0);
        CHECK_EQ(w.sent, PIECE);
        stream_check((unsigned)i, 0, got, PIECE);
        /* It had to copy: no more of that. */
        int bytes;
        CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_ZEROCOPY, &bytes), 0);
        CHECK_EQ(bytes, uring ? 0 : 4096);
        stream_fill(7, 0, data, PIECE);
        w.done = 0;
        w.deadline = soon();
        start(&group, write_it, &w);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        recv_all(p.fd, got, PIECE);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        stream_check(7, 0, got, PIECE);
        CHECK(!source_of(p.conn)->held);
        peer_close(&p);
    }
    if (uring) CHECK_EQ(held, 20);
    free(data);
    free(got);
    return 0;
}
BACKEND_CASE(waits)

static int below_task(void *arg)
{
    (void)arg;
    unsigned char data[4096], got[4096];
    static const struct {
        int set, get;
    } table[] = {{1, 2}, {2, 2}, {4096, 4096}, {5000, 8192}, {0, 0}, {INT32_MAX, INT32_MAX}};
    peer p = peer_open();
    int bytes;
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_ZEROCOPY, &bytes), 0);
    CHECK_EQ(bytes, 0);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_ZEROCOPY, -1), ARS_EINVAL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_ZEROCOPY, table[i].set), 0);
        CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_ZEROCOPY, &bytes), 0);
        CHECK_EQ(bytes, table[i].get);
    }
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_ZEROCOPY, 8192), 0);
    stream_fill(3, 0, data, sizeof data);
    CHECK_EQ(ars_conn_write(p.conn, data, sizeof data, NULL, soon()), 0);
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_ZEROCOPY, &bytes), 0);
    CHECK_EQ(bytes, 8192);
    recv_all(p.fd, got, sizeof got);
    stream_check(3, 0, got, sizeof got);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(below)

/* The end of a write whose buffer the kernel would keep for as long as the peer does not read. */
static int ends_task(void *arg)
{
    (void)arg;
    int uring = on_uring();
    unsigned char *data = calloc(1, BIG), byte[4096];
    for (int i = 0; i < 8; i++) {
        size_t n = i & 1 ? BIG : PIECE; /* under way; or only its buffer is waited for */
        peer p = slow_peer();
        writing w = {.conn = p.conn, .data = data, .n = n, .deadline = ARS_FOREVER};
        ars_group group;
        if (i < 4) w.deadline = ars_after(10 * ARS_MILLISECOND);
        start(&group, write_it, &w);
        CHECK_EQ(ars_sleep(ars_after(2 * ARS_MILLISECOND)), 0);
        if (uring) CHECK_EQ(w.done, 0);
        if (i < 4) {
            ars_time deadline = w.deadline;
            CHECK_EQ(ars_group_wait(&group, soon()), 0);
            if (w.result != 0) CHECK(ars_now() >= deadline);
        } else if (i < 6) {
            ars_group_cancel(&group, 0);
            (void)!ars_group_wait(&group, soon());
        } else {
            ars_conn_close(p.conn);
            p.conn = NULL;
            CHECK_EQ(ars_group_wait(&group, soon()), 0);
        }
        if (uring || n == BIG)
            CHECK_EQ(w.result, i < 4 ? ARS_ETIMEDOUT : i < 6 ? ARS_ECANCELED : ARS_EBADF);
        CHECK(w.sent <= n);
        if (uring) {
            ssize_t got;
            do got = recv(p.fd, byte, sizeof byte, 0);
            while (got > 0 || (got < 0 && errno == EINTR));
            CHECK_EQ(got < 0 ? errno : 0, ECONNRESET);
        }
        peer_close(&p);
    }
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    ars_run_stats stats;
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.operations, 0);
    free(data);
    return 0;
}
BACKEND_CASE(ends)

/* A peer that resets, and one that reads no more, while the buffer is held. */
static int lost_task(void *arg)
{
    (void)arg;
    unsigned char *data = calloc(1, PIECE);
    struct linger now = {1, 0};
    for (int i = 0; i < 6; i++) {
        peer p = slow_peer();
        writing w = {.conn = p.conn, .data = data, .n = PIECE, .deadline = soon()};
        ars_group group;
        start(&group, write_it, &w);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        CHECK_EQ(setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        close(p.fd);
        p.fd = -1;
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(w.done, 1);
        peer_close(&p);
    }
    free(data);
    return 0;
}
BACKEND_CASE(lost)

/* ---- where it cannot be had ---- */

static int unix_sockets_task(void *arg)
{
    (void)arg;
    int uring = on_uring(), bytes;
    unsigned char *data = malloc(PIECE), *got = malloc(PIECE);
    ars_addr addr;
    ars_listener *listener = listen_at("unix:@arsenal-zerocopy-test", &addr);
    peer p = peer_of(listener, &addr);
    CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_ZEROCOPY, 1), 0);
    writing w = {.conn = p.conn, .data = data, .n = PIECE, .deadline = soon()};
    ars_group group;
    stream_fill(5, 0, data, PIECE);
    start(&group, write_it, &w);
    settle();
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    recv_all(p.fd, got, PIECE);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(w.result, 0);
    stream_check(5, 0, got, PIECE);
    CHECK_EQ(ars_conn_get(p.conn, ARS_CONN_ZEROCOPY, &bytes), 0);
    CHECK_EQ(bytes, uring ? 0 : 2);
    peer_close(&p);
    ars_listener_close(listener);
    free(data);
    free(got);
    return 0;
}
BACKEND_CASE(unix_sockets)

static unsigned spoiled;

/* Makes the kernel refuse what is about to be handed over, as one would that does not know it. */
static void spoil(void *arg)
{
    ars__ring *ring = arg;
    for (unsigned i = *ring->sq_head; i != ring->sq_filled; i++) {
        struct io_uring_sqe *sqe = &ring->sqes[i & ring->sq_mask];
        if (sqe->opcode != IORING_OP_SEND_ZC && sqe->opcode != IORING_OP_SENDMSG_ZC) continue;
        sqe->ioprio |= 1u << 15;
        spoiled++;
    }
}

static int refused_task(void *arg)
{
    (void)arg;
    if (!on_uring()) return 0;
    unsigned char *data = malloc(PIECE), *got = malloc(PIECE);
    ars__loop *loop;
    CHECK_EQ(ars__loop_get(&loop, ars__task_self()), 0);
    spoiled = 0;
    for (int i = 0; i < 4; i++) {
        peer p = slow_peer();
        writing w = {.conn = p.conn, .data = data, .n = PIECE, .deadline = soon(), .two = i % 2};
        ars_group group;
        stream_fill(6, 0, data, PIECE);
        start(&group, write_it, &w);
        settle();
        fault_before("uring_enter", spoil, &ars__uring_of(loop)->ring);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        recv_all(p.fd, got, PIECE);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(w.result, 0);
        stream_check(6, 0, got, PIECE);
        CHECK_EQ(source_of(p.conn)->zerocopy, 0);
        peer_close(&p);
    }
    fault_reset();
    CHECK(spoiled > 0);
    free(data);
    free(got);
    return 0;
}
BACKEND_CASE(refused)

/* What is left when the runtime ends does not keep it. */
static int left_task(void *arg)
{
    static unsigned char data[PIECE];
    static writing w;
    peer p = slow_peer();
    *(int *)arg = p.fd;
    w = (writing){.conn = p.conn, .data = data, .n = PIECE, .deadline = ARS_FOREVER};
    CHECK_EQ(ars_post(ars_runtime_self(), write_it, &w), 0);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    return 0;
}

static void left(void)
{
    for (unsigned backend = ARS_BACKEND_URING; backend <= ARS_BACKEND_POLL; backend++) {
        ars_config config = {.backend = backend, .workers = 1};
        int fd;
        if (is_refused(backend)) continue;
        CHECK_EQ(ars_run(left_task, &fd, &config), 0);
        close(fd);
    }
}

static const test_case cases[] = {
    {"waits", waits},
    {"below", below},
    {"ends", ends},
    {"lost", lost},
    {"unix_sockets", unix_sockets},
    {"refused", refused},
    {"left", left},
};
TEST_MAIN(cases)
