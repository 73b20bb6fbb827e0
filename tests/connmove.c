/* SPDX-License-Identifier: MIT */
/* Connections and listeners that go from worker to worker. */
#define _GNU_SOURCE
#include "peer.h"

#include "fault.h"
#include "net/net.h"

enum { WORKERS = 4, CONNS = 200, MESSAGES = 50, SIZE = 100 };

static ars_time soon(void)
{
    return ars_after(20 * ARS_SECOND);
}

/* Runs fn(arg) on worker 'home' and waits for it. */
static int run_on(unsigned home, ars_fn *fn, void *arg)
{
    ars_group group;
    ars_task_opt opt = {.home = home};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, fn, arg, &opt), 0);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void go_on(ars_group *group, unsigned home, ars_fn *fn, void *arg)
{
    ars_task_opt opt = {.home = home};
    CHECK_EQ(ars_group_go(group, fn, arg, &opt), 0);
}

/* In debug builds a refusal is reported. */
static void expect_report(world *w)
{
    if (ARS__ASSERTS) CHECK(strstr(w->reports, "another worker is using it"));
    w->reports[0] = '\0';
}

/* ---- accepted here, served anywhere ---- */

static struct echo {
    ars_addr addr;
    ars_listener *listener;
    ars_group servers;
} echo;

static int serve(void *arg)
{
    ars_conn *conn = arg;
    char buf[SIZE];
    int n;
    while ((n = ars_conn_read(conn, buf, sizeof buf, soon())) > 0)
        CHECK_EQ(ars_conn_write(conn, buf, (size_t)n, NULL, soon()), 0);
    CHECK_EQ(n, 0);
    ars_conn_close(conn);
    return 0;
}

static int accept_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < CONNS; i++) {
        ars_conn *conn;
        CHECK_EQ(ars_listener_accept(echo.listener, &conn, soon()), 0);
        go_on(&echo.servers, i % 2 ? i % (WORKERS + 1) : 0, serve, conn);
    }
    return 0;
}

static int client(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    unsigned char out[SIZE], in[SIZE];
    ars_conn *conn;
    CHECK_EQ(ars_conn_dial(&conn, &echo.addr, NULL, soon()), 0);
    for (size_t i = 0; i < MESSAGES; i++) {
        stream_fill(seed, i * SIZE, out, SIZE);
        CHECK_EQ(ars_conn_write(conn, out, SIZE, NULL, soon()), 0);
        for (int n, got = 0; got < SIZE; got += n) {
            n = ars_conn_read(conn, in + got, (size_t)(SIZE - got), soon());
            CHECK(n > 0);
        }
        stream_check(seed, i * SIZE, in, SIZE);
    }
    ars_conn_close(conn);
    return 0;
}

static int echo_task(void *arg)
{
    (void)arg;
    ars_group clients;
    echo.listener = listen_at("127.0.0.1:0", &echo.addr);
    CHECK_EQ(ars_group_init(&echo.servers, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_init(&clients, NULL, ARS_FAIL_FAST), 0);
    go_on(&echo.servers, 1, accept_all, NULL);
    for (uintptr_t i = 0; i < CONNS; i++)
        CHECK_EQ(ars_group_go(&clients, client, (void *)i, NULL), 0);
    CHECK_EQ(ars_group_wait(&clients, soon()), 0);
    CHECK_EQ(ars_group_wait(&echo.servers, soon()), 0);
    ars_listener_close(echo.listener);
    return 0;
}

static void echoes(void)
{
    on_each_backend_with(WORKERS, echo_task);
}

/* ---- handed over after use ---- */

static int read_one(void *arg)
{
    char c = 0;
    int n = ars_conn_read(arg, &c, 1, soon());
    if (n < 0) return n;
    CHECK_EQ(n, 1);
    return ars_conn_write(arg, &c, 1, NULL, soon());
}

static int poll_one(void *arg)
{
    char c;
    return ars_conn_read(arg, &c, 1, 0);
}

/* Like read_one(), but never waiting. */
static int read_polling(void *arg)
{
    char c = 0;
    int n;
    while ((n = ars_conn_read(arg, &c, 1, 0)) == ARS_ETIMEDOUT)
        CHECK_EQ(ars_sleep(ars_after(ARS_MICROSECOND)), 0);
    CHECK_EQ(n, 1);
    return ars_conn_write(arg, &c, 1, NULL, soon());
}

static int hand_over_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    for (unsigned i = 0; i < 200; i++) {
        char c = (char)i, got;
        unsigned home = 1 + i * 7 % WORKERS;
        /* On io_uring a receive is armed where it was used last. */
        plain_send(p.fd, &c, 1);
        CHECK_EQ(run_on(home, i % 5 == 4 ? read_polling : read_one, p.conn), 0);
        plain_recv(p.fd, &got, 1);
        CHECK_EQ(got, c);
        if (i % 3 == 0) CHECK_EQ(run_on(home, poll_one, p.conn), ARS_ETIMEDOUT);
    }
    peer_close(&p);
    return 0;
}

static void hands_over(void)
{
    on_each_backend_with(WORKERS, hand_over_task);
}

/* ---- bytes that came and were not read come along ---- */

enum { STREAM = 20000, STEP = 701 };

static struct {
    ars_conn *conn;
    size_t at;
} hop;

static int read_some(void *arg)
{
    unsigned char buf[STEP];
    ars_loan loan;
    int n;
    if (arg) {
        n = ars_conn_read_loan(hop.conn, &loan, soon());
        CHECK(n > 0);
        stream_check(9, hop.at, loan.data, (size_t)n);
        ars_conn_read_return(&loan);
    } else {
        n = ars_conn_read(hop.conn, buf, sizeof buf, soon());
        CHECK(n > 0);
        stream_check(9, hop.at, buf, (size_t)n);
    }
    hop.at += (size_t)n;
    return 0;
}

static int carry_task(void *arg)
{
    (void)arg;
    static unsigned char data[STREAM];
    for (int loans = 0; loans < 2; loans++) {
        peer p = peer_open();
        hop.conn = p.conn;
        hop.at = 0;
        stream_fill(9, 0, data, STREAM);
        plain_send(p.fd, data, STREAM / 2);
        for (unsigned i = 0; hop.at < STREAM; i++) {
            if (i == 3) plain_send(p.fd, data + STREAM / 2, STREAM / 2);
            CHECK_EQ(run_on(1 + i * 3 / 2 % WORKERS, read_some, loans && i % 2 ? p.conn : NULL), 0);
        }
        CHECK_EQ(hop.at, STREAM);
        /* One is closed with bytes that it carries. */
        plain_send(p.fd, data, STREAM / 2);
        hop.at = 0;
        for (unsigned i = 1; i <= 3; i++) CHECK_EQ(run_on(i, read_some, NULL), 0);
        peer_close(&p);
    }
    return 0;
}

static void carries(void)
{
    on_each_backend_with(WORKERS, carry_task);
}

/* ---- refused ---- */

static int write_one(void *arg)
{
    return ars_conn_write(arg, "w", 1, NULL, soon());
}

static int reader(void *arg)
{
    char c;
    return ars_conn_read(arg, &c, 1, soon()) == 1 ? 0 : ARS_EIO;
}

static int refuse_task(void *arg)
{
    ars_group group;
    char c;
    peer p = peer_open();
    start(&group, reader, p.conn);
    settle();
    CHECK_EQ(run_on(2, write_one, p.conn), ARS_EBUSY);
    expect_report(arg);
    CHECK_EQ(run_on(2, reader, p.conn), ARS_EIO);
    expect_report(arg);
    /* The refusals have not disturbed the one who waits, and when it is done the way is free. */
    plain_send(p.fd, "x", 1);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(run_on(2, write_one, p.conn), 0);
    plain_recv(p.fd, &c, 1);
    CHECK_EQ(c, 'w');
    peer_close(&p);
    return 0;
}

static void refuses(void)
{
    on_each_backend_with(WORKERS, refuse_task);
}

/* ---- who waits for a move gives up, or is told of a close ---- */

static int expect_ebadf(void *arg)
{
    char c;
    return ars_conn_read(arg, &c, 1, soon()) == ARS_EBADF ? 0 : ARS_EIO;
}

static ars_atomic_u32 gave_up;

static int expect_timeout(void *arg)
{
    char c;
    int rc = ars_conn_read(arg, &c, 1, ars_after(ARS_MILLISECOND));
    ars_atomic_u32_store_release(&gave_up, 1);
    return rc == ARS_ETIMEDOUT ? 0 : ARS_EIO;
}

static ars_atomic_u32 busy; /* worker 2 is kept from its turns */

static int keep_busy(void *arg)
{
    (void)arg;
    ars_atomic_u32_store_release(&busy, 1);
    while (ars_atomic_u32_load_acquire(&busy) == 1) {}
    return 0;
}

static int give_up_task(void *arg)
{
    (void)arg;
    char c = 'x';
    ars_group group;
    peer p = peer_open();
    plain_send(p.fd, &c, 1);
    CHECK_EQ(run_on(2, read_one, p.conn), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    go_on(&group, 2, keep_busy, NULL);
    while (ars_atomic_u32_load_acquire(&busy) != 1) ars_yield();
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, ars_after(2 * ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, 0), ARS_ETIMEDOUT);
    ars_atomic_u32_store_release(&busy, 0);
    plain_send(p.fd, &c, 1);
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, soon()), 1);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    peer_close(&p);

    /* Closed by its home before that has looked at the request; and with nobody left who made it. */
    for (int i = 0; i < 40; i++) {
        p = peer_open();
        plain_send(p.fd, &c, 1);
        CHECK_EQ(read_one(p.conn), 0);
        CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
        go_on(&group, 2, i % 2 ? expect_timeout : expect_ebadf, p.conn);
        while (!ars_atomic_u32_load_acquire(&p.conn->source.events)) {} /* it has asked */
        while (i % 2 && !ars_atomic_u32_load_acquire(&gave_up)) {}
        ars_atomic_u32_store_release(&gave_up, 0);
        peer_close(&p);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
    }
    return 0;
}

static void gives_up(void)
{
    on_each_backend_with(WORKERS, give_up_task);
}

/* ---- closed from elsewhere ---- */

static int close_it(void *conn)
{
    ars_conn_close(conn);
    return 0;
}

static ars_atomic_u32 waits;

static int wants_it(void *conn)
{
    char c;
    ars_atomic_u32_store_release(&waits, 1);
    return ars_conn_read(conn, &c, 1, soon()) == ARS_EBADF ? 0 : ARS_EIO;
}

/* The turn in which it comes is a part of this task's yield, so that this goes on before the other. */
static int closes_when_there(void *conn)
{
    ars_time limit = soon();
    while (!ars_atomic_u32_load_acquire(&waits) ||
           !ars__source_is_home(&((ars_conn *)conn)->source, ars__task_self())) {
        CHECK(ars_now() < limit);
        CHECK_EQ(ars_yield(), 0);
    }
    ars_conn_close(conn);
    return 0;
}

/* At home here first, so that it has to move. */
static int has_it_closed(void *conn)
{
    char c;
    ars_group group;
    CHECK_EQ(ars_conn_read(conn, &c, 1, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    go_on(&group, 2, wants_it, conn);
    go_on(&group, 2, closes_when_there, conn);
    return ars_group_wait(&group, soon());
}

static int close_task(void *arg)
{
    (void)arg;
    char c;
    for (int i = 0; i < 20; i++) {
        ars_group group;
        /* While its home waits to read. */
        peer p = peer_open();
        start(&group, expect_ebadf, p.conn);
        settle();
        CHECK_EQ(run_on(2, close_it, p.conn), 0);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(recv(p.fd, &c, 1, 0), 0);
        close(p.fd);
        /* Where it has just arrived, and before the task that wanted it there runs. */
        p = peer_open();
        ars_atomic_u32_store_relaxed(&waits, 0);
        start(&group, has_it_closed, p.conn);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(recv(p.fd, &c, 1, 0), 0);
        close(p.fd);
        /* Idle, after use. */
        p = peer_open();
        plain_send(p.fd, "x", 1);
        CHECK_EQ(run_on(3, reader, p.conn), 0);
        ars_conn_close(p.conn);
        CHECK_EQ(recv(p.fd, &c, 1, 0), 0);
        close(p.fd);
        /* Never used. */
        p = peer_open();
        CHECK_EQ(run_on(4, close_it, p.conn), 0);
        CHECK_EQ(recv(p.fd, &c, 1, 0), 0);
        close(p.fd);
    }
    return 0;
}

static void closes(void)
{
    on_each_backend_with(WORKERS, close_task);
}

/* ---- loans ---- */

static int return_it(void *arg)
{
    ars_loan *loan = arg;
    CHECK_EQ(*(const char *)loan->data, 'l');
    ars_conn_read_return(loan);
    CHECK(!loan->data);
    return 0;
}

static int loan_task(void *arg)
{
    (void)arg;
    enum { HELD = 50, ROUNDS = 100 }; /* more than there are buffers */
    static ars_loan loans[HELD];
    peer p = peer_open();
    for (int round = 0; round < ROUNDS; round++) {
        ars_group group;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
        for (unsigned i = 0; i < HELD; i++) {
            plain_send(p.fd, "l", 1);
            CHECK_EQ(ars_conn_read_loan(p.conn, &loans[i], soon()), 1);
            go_on(&group, 1 + i % WORKERS, return_it, &loans[i]);
        }
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
    }
    peer_close(&p);
    return 0;
}

static void loans(void)
{
    on_each_backend_with(WORKERS, loan_task);
}

/* ---- listeners ---- */

static struct {
    ars_addr addr;
    ars_atomic_ptr listener[WORKERS];
    ars_atomic_u32 served;
} shop;

enum { CUSTOMERS = 100 };

static int keep_shop(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    ars_listener_opt opt = {.reuseport = 1};
    ars_listener *listener;
    ars_conn *conn;
    char c;
    CHECK_EQ(ars_listener_open(&listener, &shop.addr, &opt), 0);
    ars_atomic_ptr_store_release(&shop.listener[i], listener);
    while (ars_listener_accept(listener, &conn, soon()) == 0) {
        CHECK_EQ(ars_conn_read(conn, &c, 1, soon()), 1);
        CHECK_EQ(ars_conn_write(conn, &c, 1, NULL, soon()), 0);
        ars_conn_close(conn);
        ars_atomic_u32_add_relaxed(&shop.served, 1);
    }
    return 0;
}

/* A listener for each worker. */
static int listeners_task(void *arg)
{
    (void)arg;
    ars_group group;
    ars_listener *first;
    ars_listener_opt opt = {.reuseport = 1};
    memset(&shop, 0, sizeof shop);
    CHECK_EQ(ars_addr_parse(&shop.addr, "127.0.0.1:0"), 0);
    CHECK_EQ(ars_listener_open(&first, &shop.addr, &opt), 0);
    CHECK_EQ(ars_listener_addr(first, &shop.addr), 0);
    ars_listener_close(first);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (uintptr_t i = 0; i < WORKERS; i++) go_on(&group, 1 + (unsigned)i, keep_shop, (void *)i);
    for (unsigned i = 0; i < WORKERS; i++)
        while (!ars_atomic_ptr_load_acquire(&shop.listener[i]))
            CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    for (int i = 0; i < CUSTOMERS; i++) {
        ars_conn *conn;
        char c = (char)i, got;
        CHECK_EQ(ars_conn_dial(&conn, &shop.addr, NULL, soon()), 0);
        CHECK_EQ(ars_conn_write(conn, &c, 1, NULL, soon()), 0);
        CHECK_EQ(ars_conn_read(conn, &got, 1, soon()), 1);
        CHECK_EQ(got, c);
        ars_conn_close(conn);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        ars_listener_close(ars_atomic_ptr_load_relaxed(&shop.listener[i]));
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(ars_atomic_u32_load_relaxed(&shop.served), CUSTOMERS);
    return 0;
}

static void listener_each(void)
{
    on_each_backend_with(WORKERS, listeners_task);
}

static int accept_one(void *arg)
{
    ars_conn *conn;
    int rc = ars_listener_accept(arg, &conn, soon());
    if (rc == 0) ars_conn_close(conn);
    return rc;
}

/* One listener, used by one worker after the other. */
static int listener_task(void *arg)
{
    ars_group group;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    for (unsigned i = 0; i < 40; i++) {
        int a = plain_connect(&addr), b = plain_connect(&addr);
        CHECK_EQ(run_on(1 + i % WORKERS, accept_one, listener), 0);
        CHECK_EQ(run_on(1 + (i + 1) % WORKERS, accept_one, listener), 0);
        close(a);
        close(b);
    }
    start(&group, accept_one, listener);
    settle();
    CHECK_EQ(run_on(2, accept_one, listener), ARS_EBUSY);
    expect_report(arg);
    int fd = plain_connect(&addr);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    close(fd);
    ars_listener_close(listener);
    return 0;
}

static void listener_moves(void)
{
    on_each_backend_with(WORKERS, listener_task);
}

/* ---- all at once, against the rule ---- */

static int hammer(void *arg)
{
    peer *p = arg;
    for (int i = 0; i < 300; i++) {
        char c = 'h';
        int rc = i % 3 ? ars_conn_write(p->conn, &c, 1, NULL, ars_after(50 * ARS_MICROSECOND))
                       : ars_conn_read(p->conn, &c, 1, i % 2 ? 0 : ars_after(50 * ARS_MICROSECOND));
        CHECK(rc >= 0 || rc == ARS_EBUSY || rc == ARS_ETIMEDOUT);
    }
    return 0;
}

static int hammer_task(void *arg)
{
    world *w = arg;
    ars_group group;
    peer p = peer_open();
    w->config.report = NULL;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 0; i < 2 * WORKERS; i++) go_on(&group, 1 + i % WORKERS, hammer, &p);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    peer_close(&p);
    w->reports[0] = '\0';
    return 0;
}

static void hammered(void)
{
    on_each_backend_with(WORKERS, hammer_task);
}

/* ---- the end, with connections in all states ---- */

static int leave_task(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 8; i++) {
        peer p = peer_open();
        if (i % 2) {
            plain_send(p.fd, "x", 1);
            CHECK_EQ(run_on(1 + i % WORKERS, reader, p.conn), 0);
        }
        if (i == 7) ars_conn_close(p.conn);
        close(p.fd);
    }
    return 0;
}

static void left_open(void)
{
    on_each_backend_with(WORKERS, leave_task);
}

/* ---- descriptors and statistics ---- */

static int wait_for(void *arg)
{
    return ars_wait_fd(*(int *)arg, ARS_FD_IN, soon()) == ARS_FD_IN ? 0 : ARS_EIO;
}

static int stats_task(void *arg)
{
    (void)arg;
    int fd[2];
    ars_group group;
    ars_run_stats stats;
    CHECK_EQ(pipe2(fd, O_CLOEXEC), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 1; i <= WORKERS; i++) go_on(&group, i, wait_for, &fd[0]);
    do {
        CHECK_EQ(ars_sleep(ars_after(100 * ARS_MICROSECOND)), 0);
        CHECK_EQ(ars_stats(&stats), 0);
        CHECK(stats.operations <= WORKERS);
    } while (stats.operations < WORKERS);
    CHECK(stats.backend != NULL);
    CHECK_EQ(write(fd[1], "x", 1), 1);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.operations, 0);
    close(fd[0]);
    close(fd[1]);
    return 0;
}

static void counts(void)
{
    on_each_backend_with(WORKERS, stats_task);
}

/* ---- whatever fails ---- */

static int use(void *arg)
{
    char buf[8];
    ars_loan loan;
    ars_time deadline = ars_after(5 * ARS_MILLISECOND);
    (void)!ars_conn_write(arg, "x", 1, NULL, deadline);
    (void)!ars_conn_read(arg, buf, sizeof buf, 0);
    if (ars_conn_read_loan(arg, &loan, deadline) > 0) ars_conn_read_return(&loan);
    return 0;
}

static int survive(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener;
    ars_conn *a = NULL, *b = NULL;
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:0"), 0);
    if (ars_listener_open(&listener, &addr, NULL) < 0) return 0;
    ars_time deadline = ars_after(5 * ARS_MILLISECOND);
    if (ars_listener_addr(listener, &addr) == 0 && ars_conn_dial(&a, &addr, NULL, deadline) == 0 &&
        ars_listener_accept(listener, &b, deadline) == 0) {
        ars_group group;
        for (unsigned home = 2; home >= 1; home--) {
            ars_task_opt opt = {.home = home};
            if (ars_group_init(&group, NULL, ARS_COLLECT) < 0) break;
            (void)!ars_group_go(&group, use, a, &opt);
            (void)!ars_group_go(&group, use, b, &opt);
            (void)!ars_group_wait(&group, ARS_FOREVER);
        }
    }
    ars_conn_close(a);
    ars_conn_close(b);
    ars_listener_close(listener);
    return 0;
}

static void survive_on(unsigned backend, const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 2};
    int rc = ars_run(survive, NULL, &config);
    /* ARS_EAGAIN: of starting a thread. */
    if (rc != 0 && rc != ARS_ENOMEM && rc != ARS_EAGAIN)
        FAIL("ars_run: %d (%s)", rc, ars_strerror(rc));
}

static void survive_auto(const ars_alloc *alloc)
{
    survive_on(ARS_BACKEND_AUTO, alloc);
}

static void survive_epoll(const ars_alloc *alloc)
{
    survive_on(ARS_BACKEND_EPOLL, alloc);
}

static void no_memory(void)
{
    CHECK(sweep_alloc("auto", survive_auto) > 5);
    CHECK(sweep_alloc("epoll", survive_epoll) > 5);
}

static const test_case cases[] = {
    {"echoes", echoes},
    {"hands over", hands_over},
    {"carries", carries},
    {"refuses", refuses},
    {"gives up", gives_up},
    {"closes", closes},
    {"loans", loans},
    {"a listener for each worker", listener_each},
    {"a listener moves", listener_moves},
    {"hammered", hammered},
    {"left open", left_open},
    {"counts", counts},
    {"no memory", no_memory},
};
TEST_MAIN(cases)
