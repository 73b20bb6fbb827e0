/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_PEER_H
#define ARS_TEST_PEER_H

/*
 * For tests of I/O: a case that runs on each backend, and connections whose
 * other side is a plain descriptor, so that a test can do with it what no
 * polite peer would.
 */

#include <arsenal/listener.h>
#include <arsenal/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.h"

/* A worker's first I/O call, which makes its loop. */
static inline int first_io(void *arg)
{
    (void)arg;
    return ars_wait_fd(2, ARS_FD_OUT, 0);
}

static inline int is_refused(unsigned backend)
{
    ars_config config = {.backend = backend, .workers = 1};
    int rc = ars_run(first_io, NULL, &config);
    return rc == ARS_EPERM || rc == ARS_ENOSYS;
}

/*
 * Runs 'fn' in a runtime with each backend that can be had; it must return 0 and leave nothing.
 * For 'threads' see world_run_threads().
 */
static inline void on_each_backend_threads(unsigned workers, ars_fn *fn, int threads)
{
    static const char *const names[] = {"auto", "io_uring", "epoll", "poll"};
    for (unsigned backend = ARS_BACKEND_URING; backend <= ARS_BACKEND_POLL; backend++) {
        static world w;
        if (is_refused(backend)) {
            CHECK_EQ(backend, ARS_BACKEND_URING);
            test_skipped("io_uring is refused here");
            continue;
        }
        world_begin(&w);
        w.config.backend = backend;
        w.config.workers = workers;
        /* ThreadSanitizer then sees no order that the library does not state. */
        w.config.race_strict = 1;
        int rc = ars_run(fn, &w, &w.config);
        if (rc != 0) FAIL("on %s: %d (%s)", names[backend], rc, ars_strerror(rc));
        test_gate_end(&w.gate, 4 * (threads + (long)w.config.workers - 1));
        CHECK_STR(w.reports, "");
    }
}

static inline void on_each_backend_with(unsigned workers, ars_fn *fn)
{
    on_each_backend_threads(workers, fn, 0);
}

static inline void on_each_backend(ars_fn *fn)
{
    on_each_backend_with(world_workers(), fn);
}

/* Defines the case NAME that runs NAME_task(arg) on each backend. */
#define BACKEND_CASE(NAME)                                                                         \
    static void NAME(void)                                                                         \
    {                                                                                              \
        on_each_backend(NAME##_task);                                                              \
    }

static inline const char *backend_name(void)
{
    ars_run_stats stats;
    CHECK_EQ(ars_stats(&stats), 0);
    return stats.backend ? stats.backend : "none";
}

/* A connection and the plain, blocking descriptor at its other end. */
typedef struct peer {
    ars_conn *conn;
    int fd;
} peer;

static inline ars_listener *listen_at(const char *text, ars_addr *addr)
{
    ars_listener *listener;
    CHECK_EQ(ars_addr_parse(addr, text), 0);
    int rc = ars_listener_open(&listener, addr, NULL);
    if (rc < 0) FAIL("listen at %s: %s", text, ars_strerror(rc));
    CHECK_EQ(ars_listener_addr(listener, addr), 0);
    return listener;
}

/* A plain descriptor connected to 'addr'. */
static inline int plain_connect(const ars_addr *addr)
{
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(addr, &len);
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, sa, (socklen_t)len) < 0) FAIL("connect: %s", strerror(errno));
    return fd;
}

static inline peer peer_of(ars_listener *listener, const ars_addr *addr)
{
    peer p;
    p.fd = plain_connect(addr);
    CHECK_EQ(ars_listener_accept(listener, &p.conn, ars_after(10 * ARS_SECOND)), 0);
    return p;
}

static inline peer peer_open(void)
{
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    peer p = peer_of(listener, &addr);
    ars_listener_close(listener);
    return p;
}

static inline void peer_close(peer *p)
{
    ars_conn_close(p->conn);
    if (p->fd >= 0) close(p->fd);
}

static inline void plain_send(int fd, const void *data, size_t n)
{
    CHECK_EQ(send(fd, data, n, MSG_NOSIGNAL), n);
}

/*
 * Reads exactly 'n' bytes; the data is on its way or there.  The kernel's end of
 * an io_uring that was closed before may interrupt the call.
 */
static inline void plain_recv(int fd, void *data, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t more = recv(fd, (char *)data + got, n - got, MSG_WAITALL);
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0) FAIL("%zu of %zu bytes arrived", got, n);
        got += (size_t)more;
    }
}

/* A connection at both ends, made by dial and accept. */
static inline void pair_open(ars_conn **dialled, ars_conn **accepted)
{
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    CHECK_EQ(ars_conn_dial(dialled, &addr, NULL, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(ars_listener_accept(listener, accepted, ars_after(10 * ARS_SECOND)), 0);
    ars_listener_close(listener);
}

/* Byte 'i' of a stream that is told from others by 'seed'. */
static inline unsigned char stream_byte(unsigned seed, size_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15) + seed * UINT64_C(0xD1B54A32D192ED03);
    x ^= x >> 29;
    return (unsigned char)(x * UINT64_C(0xBF58476D1CE4E5B9) >> 56);
}

static inline void stream_fill(unsigned seed, size_t at, unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) data[i] = stream_byte(seed, at + i);
}

static inline void stream_check(unsigned seed, size_t at, const unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] != stream_byte(seed, at + i))
            FAIL("byte %zu of stream %u is wrong", at + i, seed);
    }
}

/* Starts fn(arg) on the root task's worker, to use a connection together with it. */
static inline void go_beside(ars_group *group, ars_fn *fn, void *arg)
{
    ars_task_opt opt = {.home = 1};
    CHECK_EQ(ars_group_go(group, fn, arg, &opt), 0);
}

/* The same in '*group', which is initialised for it. */
static inline void start(ars_group *group, ars_fn *fn, void *arg)
{
    CHECK_EQ(ars_group_init(group, NULL, ARS_COLLECT), 0);
    go_beside(group, fn, arg);
}

/* Lets tasks that were started come to their first wait. */
static inline void settle(void)
{
    for (int i = 0; i < 10; i++) CHECK_EQ(ars_yield(), 0);
}

#endif
