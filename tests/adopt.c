/* SPDX-License-Identifier: MIT */
/* Connections over descriptors that nobody dialled: pipes, pairs, terminals, what was inherited. */
#define _GNU_SOURCE
#include <pty.h>
#include <stdlib.h>
#include <termios.h>

#include "fault.h"
#include "peer.h"

enum { MIB = 1 << 20 };

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

typedef struct flow {
    ars_conn *conn;
    size_t size, moved;
    ars_time deadline;
    int result, vectored;
} flow;

static int pour(void *arg)
{
    flow *f = arg;
    unsigned char *data = malloc(f->size);
    stream_fill(1, 0, data, f->size);
    ars_buf two[2] = {{data, f->size / 3}, {data + f->size / 3, f->size - f->size / 3}};
    f->result = f->vectored ? ars_conn_writev(f->conn, two, 2, &f->moved, f->deadline)
                            : ars_conn_write(f->conn, data, f->size, &f->moved, f->deadline);
    free(data);
    return f->result;
}

static void drain(ars_conn *conn, size_t size, int lent)
{
    unsigned char buf[5000];
    for (size_t got = 0; got < size;) {
        ars_loan loan = {.data = buf};
        int n = lent ? ars_conn_read_loan(conn, &loan, soon())
                     : ars_conn_read(conn, buf, sizeof buf, soon());
        if (n <= 0) FAIL("%zu of %zu: %d", got, size, n);
        stream_check(1, got, loan.data, (size_t)n);
        if (lent) ars_conn_read_return(&loan);
        got += (size_t)n;
    }
}

static int pipes_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        ars_conn *in, *out;
        char buf[8];
        CHECK_EQ((i & 4 ? ars_conn_pair : ars_conn_pipe)(&in, &out), 0);
        CHECK_EQ(ars_conn_read(in, buf, 8, 0), ARS_ETIMEDOUT);
        flow f = {.conn = out, .size = 3 * MIB, .deadline = soon(), .vectored = i & 1};
        ars_group group;
        start(&group, pour, &f);
        drain(in, f.size, i & 2);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(f.moved, f.size);
        CHECK_EQ(ars_conn_read(in, buf, 8, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
        ars_conn_close(out);
        CHECK_EQ(ars_conn_read(in, buf, 8, soon()), 0);
        ars_conn_close(in);
    }
    return 0;
}
BACKEND_CASE(pipes)

/* A pipe that nobody reads, met by a deadline, a cancel, a close, a deadline of 0, and the reader's end. */
static int full_pipe_task(void *arg)
{
    (void)arg;
    for (int how = 0; how < 10; how++) {
        ars_conn *in, *out;
        CHECK_EQ(ars_conn_pipe(&in, &out), 0);
        flow f = {.conn = out, .size = MIB, .deadline = ARS_FOREVER, .vectored = how >= 5};
        if (how % 5 == 0) f.deadline = ars_after(10 * ARS_MILLISECOND);
        if (how % 5 == 3) f.deadline = 0;
        ars_group group;
        start(&group, pour, &f);
        settle();
        CHECK_EQ(ars_sleep(ars_after(2 * ARS_MILLISECOND)), 0);
        if (how % 5 == 1) ars_group_cancel(&group, 0);
        if (how % 5 == 2) ars_conn_close(out);
        if (how % 5 == 4) ars_conn_close(in);
        int rc = ars_group_wait(&group, soon());
        static const int results[] = {ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBADF, ARS_ETIMEDOUT,
                                      ARS_EPIPE};
        CHECK_EQ(f.result, results[how % 5]);
        CHECK_EQ(rc, f.result);
        CHECK(f.moved > 0 && f.moved < f.size);
        if (how % 5 != 4) {
            drain(in, f.moved, 0);
            ars_conn_close(in);
        }
        if (how % 5 != 2) ars_conn_close(out);
    }
    return 0;
}
BACKEND_CASE(full_pipe)

static int read_some(void *arg)
{
    flow *f = arg;
    char buf[8];
    return f->result = ars_conn_read(f->conn, buf, sizeof buf, f->deadline);
}

static int waiting_reader_task(void *arg)
{
    (void)arg;
    for (int how = 0; how < 4; how++) {
        ars_conn *in, *out;
        char buf[8];
        CHECK_EQ(ars_conn_pipe(&in, &out), 0);
        flow f = {.conn = in, .deadline = how == 0 ? ars_after(ARS_MILLISECOND) : ARS_FOREVER};
        ars_group group;
        start(&group, read_some, &f);
        settle();
        CHECK_EQ(ars_conn_read(in, buf, 8, soon()), ARS_EBUSY);
        if (how == 1) ars_group_cancel(&group, 0);
        if (how == 2) ars_conn_close(in);
        if (how == 3) CHECK_EQ(ars_conn_write(out, "x", 1, NULL, soon()), 0);
        int rc = ars_group_wait(&group, soon());
        static const int results[] = {ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBADF, 1};
        CHECK_EQ(f.result, results[how]);
        CHECK_EQ(rc, f.result < 0 ? f.result : 0);
        if (how < 2) {
            CHECK_EQ(ars_conn_write(out, "kept", 4, NULL, soon()), 0);
            CHECK_EQ(ars_conn_read(in, buf, 8, soon()), 4);
        }
        if (how != 2) ars_conn_close(in);
        ars_conn_close(out);
    }
    return 0;
}
BACKEND_CASE(waiting_reader)

static int adopted_task(void *arg)
{
    (void)arg;
    ars_conn *conn;
    char buf[8];
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(ars_conn_from_fd(&conn, fds[0]), 0);
    CHECK_EQ(ars_conn_fd(conn), fds[0]);
    CHECK_EQ(ars_conn_shutdown(conn, ARS_READ_SIDE), -ENOTSOCK);
    CHECK_EQ(write(fds[1], "hello", 5), 5);
    CHECK_EQ(ars_conn_read(conn, buf, 8, soon()), 5);
    CHECK_EQ(ars_conn_read(conn, buf, 8, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    ars_conn_close(conn);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(fcntl(fds[0], F_GETFD), -1);
    close(fds[1]);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ars_conn_from_fd(&conn, fds[0]), 0);
    CHECK_EQ(write(fds[1], "hello", 5), 5);
    CHECK_EQ(ars_conn_read(conn, buf, 8, soon()), 5);
    CHECK_EQ(ars_conn_write(conn, "back", 4, NULL, soon()), 0);
    plain_recv(fds[1], buf, 4);
    ars_conn_close(conn);
    close(fds[1]);
    return 0;
}
BACKEND_CASE(adopted)

static int refused_task(void *arg)
{
    (void)arg;
    ars_conn *conn = NULL;
    int fds[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int dir = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    CHECK_EQ(ars_conn_from_fd(&conn, -1), ARS_EBADF);
    CHECK_EQ(ars_conn_from_fd(&conn, 1 << 20), ARS_EBADF);
    CHECK_EQ(ars_conn_from_fd(&conn, file), ARS_EINVAL);
    CHECK_EQ(ars_conn_from_fd(&conn, dir), ARS_EINVAL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ars_conn_from_fd(&conn, fds[0]), ARS_EINVAL);
    CHECK(conn == NULL);
    close(fds[0]);
    close(fds[1]);
    close(file);
    close(dir);
    return 0;
}
BACKEND_CASE(refused)

/* A terminal gives one line a read, however many there are. */
static int terminal_task(void *arg)
{
    (void)arg;
    int master, slave;
    char buf[64];
    if (openpty(&master, &slave, NULL, NULL, NULL) < 0) {
        test_skipped("no terminal can be had");
        return 0;
    }
    fcntl(master, F_SETFD, FD_CLOEXEC);
    struct termios mode;
    CHECK_EQ(tcgetattr(slave, &mode), 0);
    mode.c_lflag &= ~(tcflag_t)ECHO;
    mode.c_oflag &= ~(tcflag_t)OPOST;
    CHECK_EQ(tcsetattr(slave, TCSANOW, &mode), 0);
    ars_conn *conn;
    CHECK_EQ(ars_conn_from_fd(&conn, slave), 0);
    flow f = {.conn = conn, .deadline = soon()};
    ars_group group;
    start(&group, read_some, &f);
    settle();
    CHECK_EQ(write(master, "one\ntwo\nthree\n", 14), 14);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(f.result, 4);
    CHECK_EQ(ars_conn_read(conn, buf, sizeof buf, soon()), 4);
    CHECK_EQ(ars_conn_read(conn, buf, sizeof buf, soon()), 6);
    CHECK(memcmp(buf, "three\n", 6) == 0);
    CHECK_EQ(ars_conn_write(conn, "out", 3, NULL, soon()), 0);
    CHECK_EQ(read(master, buf, sizeof buf), 3);
    ars_conn_close(conn);
    close(master);
    return 0;
}
BACKEND_CASE(terminal)

/* A pipe goes along with the task of another worker that uses it. */
static int read_elsewhere(void *arg)
{
    ars_conn *conn = arg;
    char buf[8];
    CHECK_EQ(ars_conn_read(conn, buf, sizeof buf, soon()), 5);
    return 0;
}

static int moves_task(void *arg)
{
    (void)arg;
    ars_conn *in, *out;
    char buf[8];
    CHECK_EQ(ars_conn_pipe(&in, &out), 0);
    for (int i = 0; i < 50; i++) {
        ars_group group;
        CHECK_EQ(ars_conn_read(in, buf, 8, ars_after(ARS_MICROSECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        CHECK_EQ(ars_group_go(&group, read_elsewhere, in, NULL), 0);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
        CHECK_EQ(ars_conn_write(out, "12345", 5, NULL, soon()), 0);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
    }
    ars_conn_close(in);
    ars_conn_close(out);
    return 0;
}

static void moves(void)
{
    on_each_backend_with(2, moves_task);
}

static int plumb(void *arg)
{
    (void)arg;
    ars_conn *in, *out;
    char buf[16] = "through the pipe";
    int fds[2];
    int rc = ars_conn_pipe(&in, &out);
    if (rc < 0) return rc;
    rc = ars_conn_write(out, buf, 16, NULL, ars_after(ARS_SECOND));
    if (rc == 0) rc = ars_conn_read_full(in, buf, 16, NULL, ars_after(ARS_SECOND));
    ars_conn_close(in);
    if (rc == 0) rc = ars_conn_write(out, buf, 16, NULL, ars_after(ARS_SECOND));
    ars_conn_close(out);
    if (rc != ARS_EPIPE) return rc;
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    rc = ars_conn_from_fd(&in, fds[0]);
    close(rc < 0 ? fds[0] : fds[1]);
    if (rc < 0) {
        close(fds[1]);
        return rc;
    }
    rc = ars_conn_read(in, buf, 16, ars_after(ARS_SECOND));
    ars_conn_close(in);
    return rc;
}

static void survive(const ars_alloc *alloc, unsigned backend)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    CHECK(ars_run(plumb, NULL, &config) <= 0);
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
    {"pipes", pipes},     {"full_pipe", full_pipe}, {"waiting_reader", waiting_reader},
    {"adopted", adopted}, {"refused", refused},     {"terminal", terminal},
    {"moves", moves},     {"faults", faults},
};
TEST_MAIN(cases)
