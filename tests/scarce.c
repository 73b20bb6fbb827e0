/* SPDX-License-Identifier: MIT */
/*
 * I/O where something is short: buffers, room for completions, memory that may
 * be locked, numbers of descriptors.  Each case counts that it really was.
 */
#define _GNU_SOURCE
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fault.h"
#include "io/linux/uring.h"
#include "peer.h"

static ars_time soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static ars__uring *this_uring(void)
{
    ars__loop *loop;
    CHECK_EQ(ars__loop_get(&loop, ars__task_self()), 0);
    return ars__uring_of(loop);
}

static int no_uring(void)
{
    if (!is_refused(ARS_BACKEND_URING)) return 0;
    test_skipped("io_uring is refused here");
    return 1;
}

static void on_uring(ars_fn *fn, const void *arg)
{
    static world w;
    world_begin(&w);
    w.config.backend = ARS_BACKEND_URING;
    CHECK_EQ(ars_run(fn, (void *)(uintptr_t)arg, &w.config), 0);
    test_gate_end(&w.gate, 4 * ((long)w.config.workers - 1));
    CHECK_STR(w.reports, "");
}

/* As many pairs of descriptors as the limit allows, at most 'n'. */
static unsigned pairs(unsigned n)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur >= 2 * n + 100 ? n : (unsigned)(limit.rlim_cur - 100) / 2;
}

/* Fills what lies between the descriptor and whoever does not read; how many bytes that is. */
static size_t flood(int fd, unsigned seed)
{
    static unsigned char chunk[4096];
    size_t sent = 0, most = 128 << 10;
    while (sent < most) {
        stream_fill(seed, sent, chunk, sizeof chunk);
        ssize_t n = send(fd, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += (size_t)n;
    }
    return sent;
}

static void read_flood(ars_conn *conn, unsigned seed, size_t n)
{
    static unsigned char buf[8192];
    for (size_t got = 0; got < n;) {
        int more = ars_conn_read(conn, buf, sizeof buf, soon());
        CHECK(more > 0);
        stream_check(seed, got, buf, (size_t)more);
        got += (size_t)more;
    }
}

static void echo_calm(peer *calm, unsigned i)
{
    unsigned got = 0;
    plain_send(calm->fd, &i, sizeof i);
    CHECK_EQ(ars_conn_read(calm->conn, &got, sizeof got, soon()), sizeof got);
    CHECK_EQ(got, i);
    CHECK_EQ(ars_conn_write(calm->conn, &i, sizeof i, NULL, soon()), 0);
    plain_recv(calm->fd, &got, sizeof got);
}

/* Something of everything. */
static int echo_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    char buf[64];
    pair_open(&a, &b);
    CHECK_EQ(ars_conn_read(b, buf, sizeof buf, ars_after(1)), ARS_ETIMEDOUT);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(ars_conn_write(a, "hello", 5, NULL, soon()), 0);
        CHECK_EQ(ars_conn_read(b, buf, sizeof buf, soon()), 5);
        CHECK(memcmp(buf, "hello", 5) == 0);
    }
    ars_conn_close(a);
    ars_conn_close(b);
    return 0;
}

/* ---- buffers ---- */

enum { FLOODERS = 400 };

/*
 * Many connections that always have something and that nobody reads leave
 * buffers for the others; where the kernel cannot be told to, the others do
 * without.
 */
static int flooders_task(void *arg)
{
    static peer p[FLOODERS];
    static size_t sent[FLOODERS];
    char byte;
    unsigned n = pairs(FLOODERS), least = ARS__BUFS_MAX, most = 0;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    peer calm = peer_of(listener, &addr);
    ars__uring *u = this_uring();
    if (arg) u->caps = 0, u->bundles = 0;
    for (unsigned i = 0; i < n; i++) {
        p[i] = peer_of(listener, &addr);
        /* A read that gives up leaves the kernel free to bring more. */
        CHECK_EQ(ars_conn_read(p[i].conn, &byte, 1, 1), ARS_ETIMEDOUT);
    }
    for (unsigned i = 0; i < n; i++) sent[i] = flood(p[i].fd, i);
    uint64_t direct = fault_counts("recv");
    for (unsigned k = 0; k < 100; k++) {
        echo_calm(&calm, k);
        unsigned left = ARS__BUFS_MAX - u->bufs.made + u->bufs.free;
        if (left < least) least = left;
    }
    direct = fault_counts("recv") - direct;
    for (unsigned i = 0; i < n; i++) {
        const ars__source *source = (const ars__source *)(const void *)p[i].conn;
        if (source->unread.count > most) most = source->unread.count;
    }
    printf("  %u that nobody reads: %u buffers left, at most %u in one, %u receives without\n", n,
           least, most, (unsigned)direct);
    CHECK(most > 0);
    if (u->caps) CHECK(least > ARS__BUFS_MAX / 16);
    if (!u->caps && n == FLOODERS) CHECK(least == 0 && direct > 0);
    for (unsigned i = 0; i < n; i++) {
        read_flood(p[i].conn, i, sent[i]);
        peer_close(&p[i]);
    }
    peer_close(&calm);
    ars_listener_close(listener);
    return 0;
}

static void flooders(void)
{
    if (no_uring()) return;
    on_uring(flooders_task, NULL);
    on_uring(flooders_task, "older kernel");
}

static int not_capped_task(void *arg)
{
    CHECK_EQ(first_io(NULL) < 0, 0);
    CHECK_EQ(this_uring()->caps, 0);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    return echo_task(arg);
}

/* What the kernel does not say at once it cannot do; what it says later is for nobody. */
static void not_capped(void)
{
    if (no_uring()) return;
    fault_at("uring_enter", 1, ARS_EINTR, 1);
    on_uring(not_capped_task, NULL);
    CHECK_EQ(fault_hits("uring_enter"), 1);
    fault_reset();
}

/* Many buffers at a time come back, also from connections that are closed under them. */
static int bundles_task(void *arg)
{
    peer p;
    ars__uring *u = this_uring();
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    char byte;
    if (arg) u->bundles = 0;
    printf("  %s bundles\n", u->bundles ? "with" : "without");
    for (unsigned i = 0; i < 60; i++) {
        p = peer_of(listener, &addr);
        CHECK_EQ(ars_conn_read(p.conn, &byte, 1, 1), ARS_ETIMEDOUT);
        size_t sent = flood(p.fd, i);
        if (i % 3 == 0) ars_conn_close(p.conn);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        if (i % 3 == 1) ars_conn_close(p.conn);
        if (i % 3 == 2) {
            read_flood(p.conn, i, sent);
            ars_conn_close(p.conn);
        }
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        CHECK_EQ(u->bufs.free, u->bufs.made);
        close(p.fd);
    }
    ars_listener_close(listener);
    return 0;
}

/*
 * At the end of a shot the kernel makes a buffer as short as what is left of it;
 * and if nothing comes then, it is short for the next connection.
 */
static int shortened_task(void *arg)
{
    (void)arg;
    enum { ALL = 20000 };
    static const unsigned lens[] = {1, 40, 1000, ARS__BUFS_SIZE - 1};
    static unsigned char data[ALL], got[2 * ALL];
    ars__bufs *bufs = &this_uring()->bufs;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    stream_fill(9, 0, data, ALL);
    for (unsigned i = 0; i < 16; i++) {
        peer p = peer_of(listener, &addr);
        CHECK_EQ(ars_conn_read(p.conn, got, sizeof got, 1), ARS_ETIMEDOUT);
        /* Of those that the kernel takes next, the first, or the first two. */
        for (unsigned k = 0; k <= i / 8; k++) {
            unsigned at = (bufs->tail - bufs->free + k) & (ARS__BUFS_MAX - 1);
            bufs->ring->bufs[at].len = lens[i % 4];
        }
        plain_send(p.fd, data, ALL);
        for (size_t at = 0; at < ALL;) {
            int more = ars_conn_read(p.conn, got, sizeof got, soon());
            CHECK(more > 0);
            stream_check(9, at, got, (size_t)more);
            at += (size_t)more;
        }
        CHECK_EQ(bufs->free, bufs->made);
        peer_close(&p);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    }
    ars_listener_close(listener);
    return 0;
}

static void bundles(void)
{
    if (no_uring()) return;
    on_uring(bundles_task, NULL);
    on_uring(bundles_task, "older kernel");
    on_uring(shortened_task, NULL);
}

/* ---- completions ---- */

enum { WAITERS = 3000, RECEIVERS = 100 };

static int wait_for_event(void *fd)
{
    return ars_wait_fd(*(int *)fd, ARS_FD_IN, ARS_FOREVER) == ARS_FD_IN ? 0 : ARS_EIO;
}

/* More completions at a time than there is room for: none is lost, and receives that end by it go on. */
static int overflow_task(void *arg)
{
    (void)arg;
    static peer p[RECEIVERS];
    static size_t sent[RECEIVERS];
    char byte;
    uint64_t one = 1;
    unsigned n = pairs(RECEIVERS), full = 0, ended = 0;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    ars__uring *u = this_uring();
    CHECK_EQ(u->ring.cq_mask + 1, 2048);
    for (unsigned i = 0; i < n; i++) {
        p[i] = peer_of(listener, &addr);
        CHECK_EQ(ars_conn_read(p[i].conn, &byte, 1, 1), ARS_ETIMEDOUT);
    }
    for (int round = 0; round < 5; round++) {
        int fd = eventfd(0, EFD_CLOEXEC);
        ars_group group;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        for (int i = 0; i < WAITERS; i++) go_beside(&group, wait_for_event, &fd);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        CHECK_EQ(write(fd, &one, sizeof one), sizeof one);
        for (unsigned i = 0; i < n; i++) sent[i] = flood(p[i].fd, i);
        /* Each does a part of the work, and nobody looks at what comes of it. */
        for (int i = 0; i < 400; i++) ars__ring_enter(&u->ring, 0, 0);
        full += (__atomic_load_n(u->ring.sq_flags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0;
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        for (unsigned i = 0; i < n; i++) {
            const ars__source *source = (const ars__source *)(const void *)p[i].conn;
            ended += !source->receiving && !source->polling;
            read_flood(p[i].conn, i, sent[i]);
            CHECK_EQ(ars_conn_read(p[i].conn, &byte, 1, 1), ARS_ETIMEDOUT);
        }
        close(fd);
    }
    printf("  found full %u times, %u receives ended\n", full, ended);
    CHECK(full > 0);
    for (unsigned i = 0; i < n; i++) peer_close(&p[i]);
    ars_listener_close(listener);
    return 0;
}

static void overflow(void)
{
    if (no_uring()) return;
    fault_at("uring_setup", 1, ARS_ENOMEM, 1);
    on_uring(overflow_task, NULL);
    CHECK_EQ(fault_hits("uring_setup"), 1);
    fault_reset();
}

/* ---- numbers of descriptors ---- */

static int number_of(const ars_conn *conn)
{
    return ((const ars__source *)(const void *)conn)->fd;
}

static void until_closed(int fd)
{
    for (int i = 0; i < 1000 && fcntl(fd, F_GETFD) >= 0; i++) CHECK_EQ(ars_sleep(ars_after(1)), 0);
}

/*
 * A connection is closed while the kernel still receives for it.  Its number is
 * free only when that has ended, and then goes to another connection, which
 * gets nothing of the first one's.
 */
static int numbers_task(void *arg)
{
    (void)arg;
    char buf[64];
    int held = 0, reused = 0;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    ars__loop *loop = &this_uring()->loop;
    for (int i = 0; i < 200; i++) {
        peer old = peer_of(listener, &addr), fresh;
        CHECK_EQ(ars_conn_read(old.conn, buf, 1, 1), ARS_ETIMEDOUT);
        int fd = number_of(old.conn);
        plain_send(old.fd, "stale", 5);
        uint64_t before = loop->in_flight;
        ars_conn_close(old.conn);
        held += loop->in_flight == before && fcntl(fd, F_GETFD) == FD_CLOEXEC;
        plain_send(old.fd, "stale", 5);
        if (i % 2) until_closed(fd);
        /* The other side out of the way of the number. */
        int low = plain_connect(&addr);
        fresh.fd = fcntl(low, F_DUPFD_CLOEXEC, 500);
        close(low);
        CHECK_EQ(ars_listener_accept(listener, &fresh.conn, soon()), 0);
        reused += number_of(fresh.conn) == fd;
        plain_send(fresh.fd, "fresh", 5);
        CHECK_EQ(ars_conn_read(fresh.conn, buf, sizeof buf, soon()), 5);
        CHECK(memcmp(buf, "fresh", 5) == 0);
        CHECK_EQ(ars_conn_read(fresh.conn, buf, sizeof buf, 0), ARS_ETIMEDOUT);
        fd = number_of(fresh.conn);
        peer_close(&fresh);
        close(old.fd);
        until_closed(fd);
    }
    printf("  closed under a receive %d times, its number reused %d times\n", held, reused);
    CHECK(held > 0 && reused > 0);
    ars_listener_close(listener);
    return 0;
}

static void numbers(void)
{
    if (no_uring()) return;
    on_uring(numbers_task, NULL);
}

/* ---- memory that may be locked ---- */

static long locked_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && kib < 0 && fgets(line, sizeof line, f)) sscanf(line, "VmLck: %ld", &kib);
    if (f) fclose(f);
    return kib;
}

static int locked_task(void *arg)
{
    CHECK(locked_kib() > 0);
    return echo_task(arg);
}

static void locked_child(void *arg)
{
    (void)arg;
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (geteuid() != 0 && limit.rlim_cur < 1 << 30) ||
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
        _exit(77);
    /* Sanitizers lock nothing. */
    if (locked_kib() == 0) _exit(77);
    on_each_backend(locked_task);
    /* A ring of buffers that cannot give memory back when it gets small again. */
    if (!is_refused(ARS_BACKEND_URING)) on_uring(flooders_task, NULL);
}

static void unlockable_child(void *arg)
{
    (void)arg;
    struct rlimit none = {0, 0};
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    /* Who is privileged is above the limit. */
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(77);
    if (mlock(&none, 1) == 0) _exit(77);
    /* Where the kernel counts a ring as locked memory there is none, and another backend takes its place. */
    static const unsigned backends[] = {ARS_BACKEND_AUTO, ARS_BACKEND_EPOLL, ARS_BACKEND_POLL};
    for (int i = 0; i < 3; i++) {
        ars_config config = {.backend = backends[i], .workers = 1};
        CHECK_EQ(ars_run(echo_task, NULL, &config), 0);
    }
    ars_config config = {.backend = ARS_BACKEND_URING, .workers = 1};
    int rc = ars_run(first_io, NULL, &config);
    CHECK(rc == ARS_ENOMEM || rc >= 0 || rc == ARS_EPERM || rc == ARS_ENOSYS);
}

static void in_child(void (*fn)(void *), const char *why)
{
    test_end end = test_child(fn, NULL);
    if (end.status == 77) {
        test_skipped("%s", why);
        return;
    }
    if (end.status || end.signal) FAIL("status %d, signal %d: %s", end.status, end.signal, end.err);
}

static void locked(void)
{
    in_child(locked_child, "memory cannot be locked here");
}

static void unlockable(void)
{
    in_child(unlockable_child, "the limit of locked memory does not hold here");
}

static const test_case cases[] = {
    {"flooders", flooders},     {"not_capped", not_capped}, {"bundles", bundles},
    {"overflow", overflow},     {"numbers", numbers},       {"locked", locked},
    {"unlockable", unlockable},
};
TEST_MAIN(cases)
