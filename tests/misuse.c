/* SPDX-License-Identifier: MIT */
/* What a program must not do with connections, and what it is told when it does. */
#define _GNU_SOURCE
#include <arsenal/bufio.h>
#include <arsenal/transfer.h>
#include <stdlib.h>

#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* ---- used after it was closed ---- */

static int select_readable(ars_conn *conn)
{
    ars_case cases[1] = {ARS_READABLE(conn)};
    return ars_select(cases, 1, soon());
}

static int after_close_task(void *arg)
{
    (void)arg;
    for (int how = 0; how < 10; how++) {
        peer p = peer_open();
        char buf[8];
        size_t sent = 9;
        ars_loan loan;
        /* With a receive under way its memory is let go of later. */
        if (how % 2)
            CHECK_EQ(ars_conn_read(p.conn, buf, 1, ars_after(ARS_MICROSECOND)), ARS_ETIMEDOUT);
        ars_conn_close(p.conn);
        switch (how / 2) {
        case 0: CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), ARS_EBADF); break;
        case 1: CHECK_EQ(ars_conn_write(p.conn, "x", 1, &sent, soon()), ARS_EBADF); break;
        case 2: CHECK_EQ(ars_conn_read_loan(p.conn, &loan, soon()), ARS_EBADF); break;
        case 3: CHECK_EQ(select_readable(p.conn), ARS_EBADF); break;
        default: ars_conn_close(p.conn); break;
        }
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        CHECK_EQ(ars_conn_write(p.conn, "x", 1, &sent, soon()), ARS_EBADF);
        CHECK_EQ(sent, 0);
        CHECK_EQ(select_readable(p.conn), ARS_EBADF);
        ars_conn_close(p.conn);
        close(p.fd);
    }
    return 0;
}

/* On each backend; in debug builds it reports 'what' at least 'least' times, in others never. */
static void reports(ars_fn *fn, unsigned workers, const char *what, int least)
{
    for (unsigned backend = ARS_BACKEND_URING; backend <= ARS_BACKEND_POLL; backend++) {
        static world w;
        int lines = 0;
        if (is_refused(backend)) continue;
        world_begin(&w);
        w.config.backend = backend;
        w.config.workers = workers;
        CHECK_EQ(ars_run(fn, &w, &w.config), 0);
        test_gate_end(&w.gate, 4 * ((long)w.config.workers - 1));
        for (const char *at = w.reports; (at = strstr(at, what)); at++) lines++;
        if (ARS__ASSERTS) CHECK(lines >= least);
        if (!ARS__ASSERTS) CHECK_EQ(lines, 0);
    }
}

static void after_close(void)
{
    reports(after_close_task, world_workers(), "used after it was closed", 10);
}

/* ---- a descriptor closed behind our back ---- */

static int behind_our_back_task(void *arg)
{
    (void)arg;
    for (int waits = 0; waits < 2; waits++) {
        ars_conn *a, *b;
        char buf[8];
        CHECK_EQ(ars_conn_pair(&a, &b), 0);
        if (waits) CHECK_EQ(ars_conn_read(a, buf, 8, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
        CHECK_EQ(close(ars_conn_fd(a)), 0);
        /* What the kernel has under way may still end, but nothing hangs and nothing is made up. */
        int rc = ars_conn_read(a, buf, sizeof buf, ars_after(2 * ARS_MILLISECOND));
        CHECK(rc == ARS_EBADF || rc == ARS_ETIMEDOUT);
        rc = ars_conn_write(a, "x", 1, NULL, ars_after(2 * ARS_MILLISECOND));
        CHECK_EQ(rc, ARS_EBADF);
        CHECK_EQ(ars_conn_write(a, "x", 1, NULL, 0), ARS_EBADF);
        int value;
        CHECK_EQ(ars_conn_get(a, ARS_CONN_SNDBUF, &value), ARS_EBADF);
        CHECK_EQ(ars_conn_shutdown(a, ARS_BOTH_SIDES), ARS_EBADF);
        ars_conn_close(a);
        ars_conn_close(b);
    }
    return 0;
}
BACKEND_CASE(behind_our_back)

/* ---- a loan returned twice ---- */

static int return_again(void *arg)
{
    ars_conn_read_return(arg);
    return 0;
}

static int loan_twice_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        ars_loan loan, copy, other, more;
        plain_send(p.fd, "first", 5);
        CHECK_EQ(ars_conn_read_loan(p.conn, &loan, soon()), 5);
        copy = loan;
        ars_conn_read_return(&loan);
        more = copy;
        ars_conn_read_return(&copy);
        /* Also when the buffer is lent anew, to somebody who still reads there. */
        plain_send(p.fd, "second", 6);
        CHECK_EQ(ars_conn_read_loan(p.conn, &other, soon()), 6);
        if (elsewhere) {
            ars_group group;
            CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
            CHECK_EQ(ars_group_go(&group, return_again, &more, NULL), 0);
            CHECK_EQ(ars_group_wait(&group, soon()), 0);
        } else {
            ars_conn_read_return(&more);
        }
        for (int i = 0; i < 100; i++) {
            char buf[8];
            plain_send(p.fd, "overrun", 7);
            CHECK_EQ(ars_conn_read(p.conn, buf, sizeof buf, soon()), 7);
            CHECK(memcmp(other.data, "second", 6) == 0);
        }
        ars_conn_read_return(&other);
    }
    peer_close(&p);
    return 0;
}

static void loan_twice(void)
{
    reports(loan_twice_task, 2, "given back that is not out", 4);
}

/* ---- two readers at once ---- */

static int read_line(void *arg)
{
    char buf[64], *line;
    ars_reader r;
    CHECK_EQ(ars_reader_init(&r, arg, buf, sizeof buf), 0);
    return ars_reader_line(&r, &line, ARS_FOREVER);
}

static int two_readers_task(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    char buf[8], *line;
    ars_loan loan;
    ars_reader r;
    uint64_t copied;
    CHECK_EQ(ars_conn_pair(&a, &b), 0);
    ars_group group;
    start(&group, read_line, a);
    settle();
    CHECK_EQ(ars_conn_read(a, buf, 1, soon()), ARS_EBUSY);
    CHECK_EQ(ars_conn_read_full(a, buf, 1, NULL, soon()), ARS_EBUSY);
    CHECK_EQ(ars_conn_read_loan(a, &loan, soon()), ARS_EBUSY);
    CHECK_EQ(ars_conn_copy(a, b, 1, &copied, soon()), ARS_EBUSY);
    CHECK_EQ(ars_reader_init(&r, a, buf, sizeof buf), 0);
    CHECK_EQ(ars_reader_line(&r, &line, soon()), ARS_EBUSY);
    CHECK_EQ(ars_conn_write(b, "line\n", 5, NULL, soon()), 0);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    ars_conn_close(a);
    ars_conn_close(b);
    return 0;
}
BACKEND_CASE(two_readers)

/* ---- on a plain thread ---- */

static void plain_thread(void)
{
    ars_conn *a;
    ars_addr addr;
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:1"), 0);
    CHECK_EQ(ars_conn_dial(&a, &addr, NULL, soon()), ARS_EINVAL);
    CHECK_EQ(ars_conn_pair(&a, &a), ARS_EINVAL);
    CHECK_EQ(ars_conn_pipe(&a, &a), ARS_EINVAL);
    CHECK_EQ(ars_conn_from_fd(&a, 0), ARS_EINVAL);
    CHECK_EQ(ars_wait_fd(0, ARS_FD_IN, 0), ARS_EINVAL);
}

static const test_case cases[] = {
    {"after_close", after_close}, {"behind_our_back", behind_our_back}, {"loan_twice", loan_twice},
    {"two_readers", two_readers}, {"plain_thread", plain_thread},
};
TEST_MAIN(cases)
