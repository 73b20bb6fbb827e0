/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arsenal/transfer.h>
#include <stdlib.h>

#include "fault.h"
#include "peer.h"

enum { MIB = 1 << 20 };

static int64_t soon(void)
{
    return ars_after(20 * ARS_SECOND);
}

/* ---- connections to connections ---- */

typedef struct end {
    ars_conn *conn;
    size_t size;
    unsigned seed;
    int slow;
} end;

/* Writes the stream in pieces and closes. */
static int produce(void *arg)
{
    end *e = arg;
    static const size_t pieces[] = {1, 100, 2048, 30000, 200000};
    unsigned char *data = malloc(200000);
    int rc = 0;
    for (size_t at = 0, i = 0; at < e->size && rc == 0; i++) {
        size_t n = pieces[i % 5];
        if (n > e->size - at) n = e->size - at;
        stream_fill(e->seed, at, data, n);
        rc = ars_conn_write(e->conn, data, n, NULL, soon());
        at += n;
        if (e->slow && i % 64 == 0 && rc == 0) rc = ars_sleep(ars_after(ARS_MILLISECOND / 10));
    }
    free(data);
    ars_conn_close(e->conn);
    return rc;
}

/* Reads the stream to its end, checks it and closes. */
static int consume(void *arg)
{
    end *e = arg;
    unsigned char *buf = malloc(100000);
    size_t at = 0;
    int n;
    for (size_t i = 0; (n = ars_conn_read(e->conn, buf, 100000, soon())) > 0; i++) {
        stream_check(e->seed, at, buf, (size_t)n);
        at += (size_t)n;
        if (e->slow && i % 16 == 0) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
    }
    free(buf);
    ars_conn_close(e->conn);
    CHECK_EQ(at, e->size);
    return n;
}

enum { TCP, UNIX, PIPE, WAYS };

/* Two ends of a stream: what is written to '*in' is read from '*out'. */
static void way_open(int kind, ars_conn **in, ars_conn **out)
{
    if (kind == TCP)
        pair_open(in, out);
    else if (kind == UNIX)
        CHECK_EQ(ars_conn_pair(in, out), 0);
    else
        CHECK_EQ(ars_conn_pipe(out, in), 0);
}

static int every_kind_task(void *arg)
{
    (void)arg;
    size_t size = (size_t)test_times(3, 1) * MIB;
    for (int i = 0; i < WAYS * WAYS; i++) {
        ars_conn *a, *b, *c, *d;
        way_open(i % WAYS, &a, &b);
        way_open(i / WAYS, &c, &d);
        end source = {a, size, 1, i & 1}, sink = {d, size, 1, i & 2};
        ars_group group;
        uint64_t copied = 9;
        start(&group, produce, &source);
        go_beside(&group, consume, &sink);
        CHECK_EQ(ars_conn_copy(b, c, ARS_TO_THE_END, &copied, soon()), 0);
        CHECK_EQ(copied, size);
        CHECK_EQ(ars_conn_copy(b, c, ARS_TO_THE_END, &copied, soon()), 0);
        CHECK_EQ(copied, 0);
        ars_conn_close(b);
        ars_conn_close(c);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
    }
    return 0;
}
BACKEND_CASE(every_kind)

/* Exactly so many bytes, in limits of all sizes, and the rest is there for whoever reads it. */
static int limits_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b, *c, *d;
    pair_open(&a, &b);
    pair_open(&c, &d);
    end source = {a, 4 * MIB, 2, 0}, sink = {d, 0, 2, 0};
    ars_group group;
    uint64_t copied, total = 0;
    unsigned char byte;
    CHECK_EQ(ars_conn_copy(b, c, 0, &copied, soon()), 0);
    CHECK_EQ(copied, 0);
    CHECK_EQ(ars_conn_copy(b, c, 10, &copied, 0), ARS_ETIMEDOUT);
    start(&group, produce, &source);
    go_beside(&group, consume, &sink);
    static const uint64_t limits[] = {1, 4095, 4097, 70000, 500000, 3};
    for (int i = 0; i < 24; i++) {
        CHECK_EQ(ars_conn_copy(b, c, limits[i % 6], &copied, soon()), 0);
        CHECK_EQ(copied, limits[i % 6]);
        total += copied;
        if (i % 6 != 5) continue;
        CHECK_EQ(ars_conn_read(b, &byte, 1, soon()), 1);
        CHECK_EQ(byte, stream_byte(2, total));
        CHECK_EQ(ars_conn_write(c, &byte, 1, NULL, soon()), 0);
        total++;
    }
    sink.size = total + 10;
    unsigned char last[10];
    CHECK_EQ(ars_conn_read_full(b, last, 10, NULL, soon()), 0);
    stream_check(2, total, last, 10);
    CHECK_EQ(ars_conn_write(c, last, 10, NULL, soon()), 0);
    ars_conn_close(b);
    ars_conn_close(c);
    int rc = ars_group_wait(&group, soon());
    CHECK(rc == 0 || rc == ARS_EPIPE || rc == ARS_ECONNRESET);
    return 0;
}
BACKEND_CASE(limits)

/* The sink is slow and the deadlines are short: nothing is lost, nothing comes twice. */
static int deadlines_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAYS; i++) {
        ars_conn *a, *b, *c, *d;
        way_open(i, &a, &b);
        way_open((i + 1) % WAYS, &c, &d);
        end source = {a, 6 * MIB, 3, 0}, sink = {d, 6 * MIB, 3, 1};
        ars_group group;
        uint64_t copied, total = 0;
        int rc, late = 0;
        start(&group, produce, &source);
        go_beside(&group, consume, &sink);
        do {
            ars_time deadline = late % 4 == 3 ? 0 : ars_after(ARS_MILLISECOND / 5);
            rc = ars_conn_copy(b, c, ARS_TO_THE_END, &copied, deadline);
            total += copied;
            CHECK(rc == 0 || rc == ARS_ETIMEDOUT);
            if (deadline == 0) CHECK_EQ(ars_yield(), 0);
            late++;
        } while (rc != 0);
        CHECK_EQ(total, 6 * MIB);
        CHECK(late > 3);
        ars_conn_close(b);
        ars_conn_close(c);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
    }
    return 0;
}
BACKEND_CASE(deadlines)

typedef struct copying {
    ars_conn *from, *to;
    uint64_t copied;
    int result;
} copying;

static int copy_all(void *arg)
{
    copying *c = arg;
    c->result = ars_conn_copy(c->from, c->to, ARS_TO_THE_END, &c->copied, ARS_FOREVER);
    return c->result;
}

static int forward(void *arg)
{
    copying *c = arg;
    copy_all(c);
    ars_conn_shutdown(c->to, ARS_WRITE_SIDE);
    return c->result;
}

/* The sink never reads, or the source never writes; and then one end goes, or the task is cancelled. */
static int interrupted_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        int stuck = i & 1, how = i / 2;
        ars_conn *a, *b, *c, *d;
        pair_open(&a, &b);
        pair_open(&c, &d);
        end source = {a, 32 * MIB, 4, 0};
        copying copy = {.from = b, .to = c};
        ars_group group, sources;
        start(&group, copy_all, &copy);
        CHECK_EQ(ars_group_init(&sources, NULL, ARS_COLLECT), 0);
        if (stuck) go_beside(&sources, produce, &source);
        settle();
        CHECK_EQ(ars_sleep(ars_after((stuck ? 20 : 1) * ARS_MILLISECOND)), 0);
        if (how == 0) ars_group_cancel(&group, 0);
        if (how == 1) {
            static char data[100000];
            ars_conn_close(b);
            /* Found out when there is room again. */
            while (!copy.result)
                if (ars_conn_read(d, data, sizeof data, ars_after(ARS_MILLISECOND)) == 0) break;
        }
        if (how == 2) {
            /* The peer knows at once, the copy with the next bytes. */
            char byte;
            ars_conn_close(c);
            if (!stuck) CHECK_EQ(ars_conn_read(d, &byte, 1, soon()), 0);
            if (!stuck) CHECK_EQ(ars_conn_write(a, "x", 1, NULL, soon()), 0);
        }
        if (how == 3) {
            /* The receiving end is gone: found out by writing. */
            if (!stuck) CHECK_EQ(ars_conn_write(a, "x", 1, NULL, soon()), 0);
            ars_conn_close(d);
            for (int k = 0; k < 1000 && !copy.result; k++) {
                if (!stuck && ars_conn_write(a, "x", 1, NULL, soon()) < 0) break;
                CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
            }
        }
        int rc = ars_group_wait(&group, soon());
        CHECK_EQ(rc, copy.result);
        if (how == 0) CHECK_EQ(rc, ARS_ECANCELED);
        if (how == 1 || how == 2) CHECK_EQ(rc, ARS_EBADF);
        if (how == 3) CHECK(rc == ARS_EPIPE || rc == ARS_ECONNRESET);
        if (how != 1) ars_conn_close(b);
        if (how != 2) ars_conn_close(c);
        if (how != 3) ars_conn_close(d);
        if (!stuck) ars_conn_close(a);
        rc = ars_group_wait(&sources, soon());
        CHECK(rc == (stuck ? ARS_EPIPE : 0) || rc == ARS_ECONNRESET);
    }
    return 0;
}
BACKEND_CASE(interrupted)

static char mebibyte[MIB];

static int write_mebibyte(void *conn)
{
    return ars_conn_write(conn, mebibyte, MIB, NULL, soon());
}

/* Nothing comes from the one side when the other goes: the way back finds out, and ends both. */
static int way_back_tells_task(void *arg)
{
    (void)arg;
    for (int spliced = 0; spliced < 2; spliced++) {
        for (int here = 0; here < 2; here++) {
            static char data[MIB];
            ars_conn *a, *b, *c, *d;
            pair_open(&a, &b);
            pair_open(&c, &d);
            copying there = {.from = b, .to = c}, back = {.from = c, .to = b};
            ars_group group;
            CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
            go_beside(&group, copy_all, &there);
            go_beside(&group, copy_all, &back);
            settle();
            ars_group writing;
            CHECK_EQ(ars_group_init(&writing, NULL, ARS_COLLECT), 0);
            for (int i = 0; spliced && i < 4; i++) {
                go_beside(&writing, write_mebibyte, a);
                for (int got = 0, n; got < MIB; got += n)
                    if ((n = ars_conn_read(d, data, MIB, soon())) <= 0) FAIL("read: %d", n);
            }
            CHECK_EQ(ars_group_wait(&writing, soon()), 0);
            if (!here) CHECK_EQ(ars_conn_set(d, ARS_CONN_LINGER, 0), 0);
            ars_conn_close(here ? c : d);
            CHECK_EQ(ars_group_wait(&group, soon()), here ? ARS_EBADF : ARS_ECONNRESET);
            CHECK_EQ(back.result, here ? ARS_EBADF : ARS_ECONNRESET);
            CHECK(there.result == ARS_ECANCELED || here);
            ars_conn_close(a);
            ars_conn_close(b);
            ars_conn_close(here ? d : c);
        }
    }
    return 0;
}
BACKEND_CASE(way_back_tells)

/* Both ways at once through the same two connections, and one connection to itself. */
static int both_ways_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b, *c, *d;
    pair_open(&a, &b);
    pair_open(&c, &d);
    copying there = {.from = b, .to = c}, back = {.from = d, .to = d};
    ars_group group;
    start(&group, copy_all, &there);
    go_beside(&group, copy_all, &back);
    copying home = {.from = c, .to = b};
    go_beside(&group, copy_all, &home);
    enum { SIZE = 5 * MIB };
    unsigned char *out = malloc(SIZE), *in = malloc(SIZE);
    stream_fill(6, 0, out, SIZE);
    for (size_t n = 1; n <= SIZE; n = n * 5 < SIZE || n == SIZE ? n * 5 : SIZE) {
        end none = {0};
        (void)none;
        for (size_t at = 0; at < n;) {
            size_t piece = n - at < 100000 ? n - at : 100000;
            CHECK_EQ(ars_conn_write(a, out + at, piece, NULL, soon()), 0);
            CHECK_EQ(ars_conn_read_full(a, in + at, piece, NULL, soon()), 0);
            at += piece;
        }
        CHECK(memcmp(in, out, n) == 0);
    }
    free(in);
    free(out);
    ars_group_cancel(&group, 0);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_ECANCELED);
    CHECK(there.copied == back.copied && back.copied == home.copied && there.copied > SIZE);
    ars_conn_close(a);
    ars_conn_close(b);
    ars_conn_close(c);
    ars_conn_close(d);
    return 0;
}
BACKEND_CASE(both_ways)

/* ---- files ---- */

enum { FILE_SIZE = 3 * MIB + 123 };

/* A file that holds the stream 7; nothing of it is in memory if 'cold' and the file system can forget. */
static int make_file(int cold)
{
    char name[] = "/var/tmp/arsenal-transfer-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    CHECK(fd >= 0);
    unlink(name);
    unsigned char *data = malloc(FILE_SIZE);
    stream_fill(7, 0, data, FILE_SIZE);
    CHECK_EQ(write(fd, data, FILE_SIZE), FILE_SIZE);
    free(data);
    if (cold) {
        fdatasync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return fd;
}

typedef struct receiving {
    ars_conn *conn;
    size_t at, size;
    int slow;
} receiving;

static int receive_file(void *arg)
{
    receiving *r = arg;
    unsigned char *buf = malloc(r->size + 1);
    for (size_t got = 0, i = 0; got < r->size; i++) {
        int n = ars_conn_read(r->conn, buf, r->size - got, soon());
        CHECK(n > 0);
        stream_check(7, r->at + got, buf, (size_t)n);
        got += (size_t)n;
        if (r->slow && i % 8 == 0) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
    }
    free(buf);
    return 0;
}

static int files_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2 * WAYS; i++) {
        ars_conn *a, *b;
        size_t sent = 9;
        int fd = make_file(i % 2);
        way_open(i / 2, &a, &b);
        receiving r = {b, 0, FILE_SIZE, i % 2};
        ars_group group;
        start(&group, receive_file, &r);
        CHECK_EQ(ars_conn_sendfile(a, fd, 0, FILE_SIZE, &sent, soon()), 0);
        CHECK_EQ(sent, FILE_SIZE);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        /* A part, one that reaches beyond the end, and one behind it. */
        start(&group, receive_file, &(receiving){b, 1234567, 100000, 0});
        CHECK_EQ(ars_conn_sendfile(a, fd, 1234567, 100000, &sent, soon()), 0);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        start(&group, receive_file, &(receiving){b, FILE_SIZE - 5, 5, 0});
        CHECK_EQ(ars_conn_sendfile(a, fd, FILE_SIZE - 5, PTRDIFF_MAX, &sent, soon()), 0);
        CHECK_EQ(sent, 5);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(ars_conn_sendfile(a, fd, FILE_SIZE + 5, 100, &sent, soon()), 0);
        CHECK_EQ(sent, 0);
        CHECK_EQ(ars_conn_sendfile(a, fd, 0, 0, NULL, soon()), 0);
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), FILE_SIZE);

        CHECK_EQ(ars_conn_sendfile(a, fd, -1, 10, &sent, soon()), ARS_EINVAL);
        CHECK_EQ(ars_conn_sendfile(a, fd, 0, (size_t)-1, &sent, soon()), ARS_EINVAL);
        CHECK_EQ(ars_conn_sendfile(a, -1, 0, 10, &sent, soon()), ARS_EBADF);
        CHECK_EQ(ars_conn_sendfile(a, ars_conn_fd(b), 0, 10, &sent, soon()), ARS_EINVAL);
        /* The connection can still be used for everything else. */
        char buf[8];
        CHECK_EQ(ars_conn_read(b, buf, 8, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(ars_conn_write(a, "after", 5, NULL, soon()), 0);
        CHECK_EQ(ars_conn_read(b, buf, 8, soon()), 5);
        ars_conn_close(a);
        ars_conn_close(b);
        close(fd);
    }
    return 0;
}

static void files(void)
{
    on_each_backend_threads(world_workers(), files_task, 4);
}

typedef struct sending {
    ars_conn *conn;
    int fd, result;
    size_t sent;
    ars_time deadline;
} sending;

static int send_whole(void *arg)
{
    sending *s = arg;
    s->result = ars_conn_sendfile(s->conn, s->fd, 0, FILE_SIZE, &s->sent, s->deadline);
    return s->result;
}

/* Nobody reads: what ends a wait; and a write that comes meanwhile stands behind. */
static int stuck_file_task(void *arg)
{
    (void)arg;
    int fd = make_file(0);
    unsigned char *buf = malloc(FILE_SIZE);
    for (int how = 0; how < 5; how++) {
        peer p = peer_open();
        CHECK_EQ(ars_conn_set(p.conn, ARS_CONN_SNDBUF, 65536), 0);
        sending s = {.conn = p.conn, .fd = fd, .deadline = ARS_FOREVER};
        if (how == 0) s.deadline = ars_after(10 * ARS_MILLISECOND);
        if (how == 3) s.deadline = 0;
        ars_group group;
        int rcvbuf = 65536;
        CHECK_EQ(setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf), 0);
        start(&group, send_whole, &s);
        settle();
        CHECK_EQ(ars_sleep(ars_after(3 * ARS_MILLISECOND)), 0);
        if (how < 3)
            CHECK_EQ(ars_conn_write(p.conn, "x", 1, NULL, ars_after(ARS_MILLISECOND)),
                     ARS_ETIMEDOUT);
        if (how == 1) ars_group_cancel(&group, 0);
        if (how == 2) ars_conn_close(p.conn);
        if (how == 4) {
            close(p.fd);
            p.fd = -1;
        }
        int rc = ars_group_wait(&group, soon());
        static const int results[] = {ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBADF, ARS_ETIMEDOUT};
        CHECK_EQ(rc, s.result);
        if (how < 4)
            CHECK_EQ(s.result, results[how]);
        else
            CHECK(rc == ARS_EPIPE || rc == ARS_ECONNRESET);
        CHECK(s.sent > 0 && s.sent < FILE_SIZE);
        if (how < 4) {
            plain_recv(p.fd, buf, s.sent);
            stream_check(7, 0, buf, s.sent);
        }
        if (how < 2) {
            CHECK_EQ(ars_conn_write(p.conn, "y", 1, NULL, soon()), 0);
            plain_recv(p.fd, buf, 1);
            CHECK_EQ(buf[0], 'y');
        }
        if (how != 2) ars_conn_close(p.conn);
        if (p.fd >= 0) close(p.fd);
    }
    free(buf);
    close(fd);
    return 0;
}

static void stuck_file(void)
{
    on_each_backend_threads(world_workers(), stuck_file_task, 4);
}

static int write_mark(void *arg)
{
    sending *s = arg;
    s->result = ars_conn_write(s->conn, "mark", 4, &s->sent, s->deadline);
    return s->result;
}

/* Files and writes stand in a line, and each goes out whole. */
static int in_line_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    int fd = make_file(0);
    pair_open(&a, &b);
    sending s[4];
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 4; i++) {
        s[i] = (sending){.conn = a, .fd = fd, .deadline = soon()};
        go_beside(&group, i % 2 ? write_mark : send_whole, &s[i]);
        settle();
    }
    for (int i = 0; i < 2; i++) {
        char mark[4];
        receiving r = {b, 0, FILE_SIZE, 0};
        CHECK_EQ(receive_file(&r), 0);
        CHECK_EQ(ars_conn_read_full(b, mark, 4, NULL, soon()), 0);
        CHECK(memcmp(mark, "mark", 4) == 0);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_conn_close(a);
    ars_conn_close(b);
    close(fd);
    return 0;
}

static void in_line(void)
{
    on_each_backend_threads(world_workers(), in_line_task, 4);
}

/* ---- faults ---- */

static int move_both(void *arg)
{
    (void)arg;
    enum { N = 90000 };
    static unsigned char data[N], back[N];
    ars_conn *a, *b, *c, *d;
    int rc = ars_conn_pair(&a, &b);
    if (rc < 0) return rc;
    rc = ars_conn_pair(&c, &d);
    if (rc == 0) {
        end source = {a, N, 7, 0};
        ars_group group;
        ars_task_opt opt = {.home = 1};
        uint64_t copied = 0;
        size_t got = 0, sent;
        stream_fill(7, 0, data, N);
        rc = ars_group_init(&group, NULL, ARS_COLLECT);
        if (rc == 0) {
            rc = ars_group_go(&group, produce, &source, &opt);
            if (rc < 0) ars_conn_close(a);
            copying copy = {.from = b, .to = c};
            int copier = ars_group_go(&group, forward, &copy, &opt);
            if (rc == 0 && copier == 0) {
                rc = ars_conn_read_full(d, back, N, &got, ars_after(ARS_SECOND));
                stream_check(7, 0, back, got);
            }
            ars_group_cancel(&group, ARS_EIO);
            int all = ars_group_wait(&group, ARS_FOREVER);
            if (rc == 0) rc = all == ARS_EIO ? 0 : all;
            copied = copy.copied;
            CHECK(copied >= got);
        } else {
            ars_conn_close(a);
        }
        a = NULL;
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        if (rc == 0) rc = ars_conn_sendfile(b, fd, 0, 1000, &sent, ars_after(ARS_SECOND));
        if (rc == ARS_EPIPE) rc = 0;
        close(fd);
        ars_conn_close(c);
        ars_conn_close(d);
    }
    ars_conn_close(a);
    ars_conn_close(b);
    return rc < 0 ? rc : 0;
}

static void survive(const ars_alloc *alloc, unsigned backend)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    CHECK(ars_run(move_both, NULL, &config) <= 0);
}

static void survive_auto(const ars_alloc *alloc)
{
    survive(alloc, ARS_BACKEND_AUTO);
}

static void survive_epoll(const ars_alloc *alloc)
{
    survive(alloc, ARS_BACKEND_EPOLL);
}

static void faults(void)
{
    sweep_alloc("auto", survive_auto);
    sweep_os("auto", survive_auto);
    sweep_os("epoll", survive_epoll);
}

static const test_case cases[] = {
    {"every_kind", every_kind},
    {"limits", limits},
    {"deadlines", deadlines},
    {"interrupted", interrupted},
    {"way_back_tells", way_back_tells},
    {"both_ways", both_ways},
    {"files", files},
    {"stuck_file", stuck_file},
    {"in_line", in_line},
    {"faults", faults},
};
TEST_MAIN(cases)
