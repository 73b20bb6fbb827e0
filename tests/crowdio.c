/* SPDX-License-Identifier: MIT */
/*
 * Peers that are many and slow, and peers that die: each is another process,
 * which knows nothing of Arsenal or is a server of its own.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/san.h"
#include "peer.h"

static int64_t soon(void)
{
    return ars_after(60 * ARS_SECOND);
}

/* ---- another process ---- */

typedef struct other {
    pid_t pid;
    int in, out; /* what it reads from us and writes to us */
} other;

/* Runs fn(in, out) in a process of its own, which dies with this one. */
static other other_begin(void (*fn)(int in, int out, void *arg), void *arg)
{
    int to[2], from[2];
    CHECK_EQ(pipe2(to, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(from, O_CLOEXEC), 0);
    other o = {.pid = fork(), .in = to[1], .out = from[0]};
    CHECK(o.pid >= 0);
    if (o.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        close(from[0]);
        fn(to[0], from[1], arg);
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    return o;
}

static void tell(int fd, const void *data, size_t n)
{
    CHECK_EQ(write(fd, data, n), n);
}

static void hear(int fd, void *data, size_t n)
{
    CHECK_EQ(read(fd, data, n), n);
}

static void other_end(other *o, int signal)
{
    int status;
    close(o->in);
    if (signal) kill(o->pid, signal);
    CHECK_EQ(waitpid(o->pid, &status, 0), o->pid);
    close(o->out);
    if (signal)
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    else
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- slow ones ---- */

enum { SLOW_BYTES = 192 << 10, STEP = 24 << 10, SEEDS = 16, LINE = 24 };

static unsigned slow_count(void)
{
    struct rlimit files;
    unsigned n = (unsigned)test_times(5000, 500);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < n + 100) {
        test_skipped("descriptors for %u connections only", (unsigned)files.rlim_cur - 100);
        n = (unsigned)files.rlim_cur - 100;
    }
    return n;
}

/* Connects as often as it is told and reads SLOW_BYTES from each, a little at a time, all in turn. */
static void read_slowly(int in, int out, void *arg)
{
    ars_addr addr;
    unsigned n;
    (void)arg;
    hear(in, &addr, sizeof addr);
    hear(in, &n, sizeof n);
    int *fds = calloc(n, sizeof *fds);
    CHECK(fds != NULL);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = plain_connect(&addr);
        tell(fds[i], &i, sizeof i);
    }
    for (size_t at = 0; at < SLOW_BYTES; at += STEP) {
        unsigned char buf[STEP];
        size_t want = SLOW_BYTES - at < STEP ? SLOW_BYTES - at : STEP;
        for (unsigned i = 0; i < n; i++) {
            plain_recv(fds[i], buf, want);
            stream_check(i % SEEDS, at, buf, want);
        }
        usleep(2000);
    }
    tell(out, "k", 1);
}

/* The same, but it sends: lines of LINE bytes, one byte at a time. */
static void write_slowly(int in, int out, void *arg)
{
    ars_addr addr;
    unsigned n;
    (void)arg;
    hear(in, &addr, sizeof addr);
    hear(in, &n, sizeof n);
    int *fds = calloc(n, sizeof *fds);
    CHECK(fds != NULL);
    for (unsigned i = 0; i < n; i++) {
        fds[i] = plain_connect(&addr);
        tell(fds[i], &i, sizeof i);
    }
    for (size_t at = 0; at < LINE; at++) {
        for (unsigned i = 0; i < n; i++) {
            unsigned char byte = stream_byte(i, at);
            CHECK_EQ(send(fds[i], &byte, 1, MSG_NOSIGNAL), 1);
        }
        usleep(2000);
    }
    for (unsigned i = 0; i < n; i++) {
        char byte;
        CHECK_EQ(recv(fds[i], &byte, 1, 0), 1);
    }
    tell(out, "k", 1);
}

typedef struct crowd {
    int slow_readers;
    unsigned n;
    ars_atomic_u32 done;
    unsigned char bytes[SEEDS][SLOW_BYTES]; /* what readers are sent */
} crowd;

typedef struct member {
    crowd *crowd;
    ars_conn *conn;
} member;

static void read_exactly(ars_conn *conn, void *data, size_t n)
{
    for (size_t got = 0; got < n;) {
        int more = ars_conn_read(conn, (char *)data + got, n - got, soon());
        if (more <= 0) FAIL("read: %d after %zu bytes", more, got);
        got += (size_t)more;
    }
}

static int serve_member(void *arg)
{
    member *m = arg;
    unsigned id;
    read_exactly(m->conn, &id, sizeof id);
    if (m->crowd->slow_readers) {
        CHECK_EQ(ars_conn_set(m->conn, ARS_CONN_SNDBUF, 16 << 10), 0);
        CHECK_EQ(ars_conn_write(m->conn, m->crowd->bytes[id % SEEDS], SLOW_BYTES, NULL, soon()), 0);
    } else {
        unsigned char line[LINE];
        read_exactly(m->conn, line, LINE);
        stream_check(id, 0, line, LINE);
        CHECK_EQ(ars_conn_write(m->conn, "k", 1, NULL, soon()), 0);
    }
    ars_conn_close(m->conn);
    ars_atomic_u32_add_relaxed(&m->crowd->done, 1);
    return 0;
}

/* Memory that belongs to this process alone. */
static long private_bytes(void)
{
    long total = 0, pages = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    CHECK(f != NULL);
    CHECK_EQ(fscanf(f, "%ld %ld %ld", &total, &pages, &shared), 3);
    fclose(f);
    return (pages - shared) * 4096;
}

/* How much more memory we had at most while all of them were there. */
static long serve_slow(crowd *c, ars_listener *listener)
{
    member *members = calloc(c->n, sizeof *members);
    CHECK(members != NULL);
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    long before = private_bytes(), most = 0;
    for (unsigned i = 0; i < c->n; i++) {
        members[i].crowd = c;
        CHECK_EQ(ars_listener_accept(listener, &members[i].conn, soon()), 0);
        CHECK_EQ(ars_group_go(&group, serve_member, &members[i], NULL), 0);
    }
    int rc;
    while ((rc = ars_group_wait(&group, 0)) == ARS_ETIMEDOUT) {
        long now = private_bytes() - before;
        if (now > most) most = now;
        CHECK_EQ(ars_sleep(ars_after(20 * ARS_MILLISECOND)), 0);
    }
    CHECK_EQ(rc, 0);
    CHECK_EQ(ars_atomic_u32_load_relaxed(&c->done), c->n);
    free(members);
    return most;
}

/*
 * A slow peer costs its task, with the pages of stack that it has touched, and
 * its connection, however much is on its way: 8 KiB, and what the worker has
 * for all of them.
 */
static int slow(int slow_readers)
{
    static crowd c;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    memset(&c, 0, sizeof c);
    c.slow_readers = slow_readers;
    c.n = slow_count();
    for (unsigned id = 0; id < SEEDS; id++) stream_fill(id, 0, c.bytes[id], SLOW_BYTES);
    other o = other_begin(slow_readers ? read_slowly : write_slowly, NULL);
    tell(o.in, &addr, sizeof addr);
    tell(o.in, &c.n, sizeof c.n);
    long most = serve_slow(&c, listener);
    char byte;
    CHECK(ars_wait_fd(o.out, ARS_FD_IN, soon()) > 0);
    hear(o.out, &byte, 1);
    other_end(&o, 0);
    ars_listener_close(listener);
    printf("  %s: %u slow %s, %ld bytes each at most\n", backend_name(), c.n,
           slow_readers ? "readers" : "writers", most / c.n);
#if !ARS__ASAN && !ARS__TSAN
    CHECK(most < 8192 * (long)c.n + (8 << 20));
#endif
    return 0;
}

static int slow_readers_task(void *arg)
{
    (void)arg;
    return slow(1);
}
BACKEND_CASE(slow_readers)

static int slow_writers_task(void *arg)
{
    (void)arg;
    return slow(0);
}
BACKEND_CASE(slow_writers)

/* ---- ones that die ---- */

enum { TALKERS = 100 };

/* Sends and receives on all of its connections, for ever. */
static void talk_for_ever(int in, int out, void *arg)
{
    ars_addr addr;
    int fds[TALKERS];
    char buf[64] = "talk";
    (void)arg;
    hear(in, &addr, sizeof addr);
    for (int i = 0; i < TALKERS; i++) fds[i] = plain_connect(&addr);
    for (int round = 0;; round++) {
        for (int i = 0; i < TALKERS; i++) plain_send(fds[i], buf, sizeof buf);
        for (int i = 0; i < TALKERS; i++) plain_recv(fds[i], buf, sizeof buf);
        if (round == 3) tell(out, "k", 1);
    }
}

static int is_gone(int rc)
{
    return rc == 0 || rc == ARS_ECONNRESET || rc == ARS_EPIPE;
}

/* Until the other side is gone; it must be told so and not just time out. */
static int echo_until_gone(void *arg)
{
    ars_conn *conn = arg;
    char buf[256];
    int rc;
    while ((rc = ars_conn_read(conn, buf, sizeof buf, soon())) > 0) {
        rc = ars_conn_write(conn, buf, (size_t)rc, NULL, soon());
        if (rc < 0) break;
    }
    ars_conn_close(conn);
    return is_gone(rc) ? 0 : rc;
}

static int client_dies_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    other o = other_begin(talk_for_ever, NULL);
    tell(o.in, &addr, sizeof addr);
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < TALKERS; i++) {
        ars_conn *conn;
        CHECK_EQ(ars_listener_accept(listener, &conn, soon()), 0);
        CHECK_EQ(ars_group_go(&group, echo_until_gone, conn, NULL), 0);
    }
    char byte;
    CHECK(ars_wait_fd(o.out, ARS_FD_IN, soon()) > 0);
    hear(o.out, &byte, 1);
    other_end(&o, SIGKILL);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_listener_close(listener);
    return 0;
}
BACKEND_CASE(client_dies)

/* A server of ours, with the same backend as its client. */
typedef struct victim {
    int out;
    ars_config config;
} victim;

static int victim_task(void *arg)
{
    victim *v = arg;
    ars_addr addr;
    ars_conn *conn;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    tell(v->out, &addr, sizeof addr);
    while (ars_listener_accept(listener, &conn, soon()) == 0)
        CHECK_EQ(ars_group_go(NULL, echo_until_gone, conn, NULL), 0);
    return 0;
}

static void be_victim(int in, int out, void *arg)
{
    victim v = {.out = out, .config = {.backend = *(unsigned *)arg, .workers = 2}};
    (void)in;
    ars_run(victim_task, &v, &v.config);
}

typedef struct doomed {
    other server;
    ars_addr addr;
    ars_atomic_u32 dialled, rounds;
} doomed;

static int talk_until_gone(void *arg)
{
    doomed *d = arg;
    ars_conn *conn;
    char buf[64] = "talk";
    CHECK_EQ(ars_conn_dial(&conn, &d->addr, NULL, soon()), 0);
    ars_atomic_u32_add_relaxed(&d->dialled, 1);
    int rc;
    do {
        rc = ars_conn_write(conn, buf, sizeof buf, NULL, soon());
        if (rc == 0) rc = ars_conn_read(conn, buf, sizeof buf, soon());
        ars_atomic_u32_add_relaxed(&d->rounds, 1);
    } while (rc > 0);
    ars_conn_close(conn);
    return is_gone(rc) ? 0 : rc;
}

static int server_dies_task(void *arg)
{
    doomed *d = arg;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < TALKERS; i++) CHECK_EQ(ars_group_go(&group, talk_until_gone, d, NULL), 0);
    while (ars_atomic_u32_load_relaxed(&d->dialled) < TALKERS ||
           ars_atomic_u32_load_relaxed(&d->rounds) < 10 * TALKERS)
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    other_end(&d->server, SIGKILL);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_conn *conn;
    CHECK_EQ(ars_conn_dial(&conn, &d->addr, NULL, soon()), ARS_ECONNREFUSED);
    return 0;
}

static void server_dies(void)
{
    for (unsigned backend = ARS_BACKEND_URING; backend <= ARS_BACKEND_POLL; backend++) {
        static world w;
        static doomed d;
        if (is_refused(backend)) continue;
        memset(&d, 0, sizeof d);
        d.server = other_begin(be_victim, &backend);
        hear(d.server.out, &d.addr, sizeof d.addr);
        world_begin(&w);
        w.config.backend = backend;
        w.gate.fds -= 2; /* the pipes of the server, which dies in between */
        CHECK_EQ(ars_run(server_dies_task, &d, &w.config), 0);
        test_gate_end(&w.gate, 4 * ((long)w.config.workers - 1));
    }
}

static const test_case cases[] = {
    {"slow_readers", slow_readers},
    {"slow_writers", slow_writers},
    {"client_dies", client_dies},
    {"server_dies", server_dies},
};
TEST_MAIN(cases)
