/* SPDX-License-Identifier: MIT */
/* Serving without a task for each connection, and its graceful end. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/resource.h>

#include "data/list.h"
#include "fault.h"
#include "peer.h"

#include <arsenal/event.h>

enum { MANY = 100 };

static ars_time soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static ars_time shortly(void)
{
    return ars_after(2 * ARS_MILLISECOND);
}

/* ---- a server in a task beside the test ---- */

typedef struct service {
    ars_listener *listener;
    ars_addr addr;
    ars_serve_fn *handler;
    ars_serve_opt opt;
    ars_time deadline;
    ars_group group;
    int result;
    /* counted by handlers and by closed() */
    ars_atomic_u64 calls, closed, running;
    ars_event go_on;
} service;

static uint64_t count(const ars_atomic_u64 *n)
{
    return ars_atomic_u64_load_relaxed(n);
}

static int serve_task(void *arg)
{
    service *s = arg;
    s->result = ars_listener_serve(s->listener, s->handler, s, &s->opt, s->deadline);
    return 0;
}

static void closed(ars_conn *conn, void *state, void *arg)
{
    service *s = arg;
    CHECK(ars_conn_fd(conn) >= 0);
    if (s->opt.state_size) CHECK_EQ(*(unsigned char *)state > 0, 1);
    ars_atomic_u64_add_relaxed(&s->closed, 1);
}

static void service_start(service *s, ars_serve_fn *handler)
{
    s->listener = listen_at("127.0.0.1:0", &s->addr);
    s->handler = handler;
    if (!s->deadline) s->deadline = ARS_FOREVER;
    start(&s->group, serve_task, s);
    settle();
}

/* Its result. */
static int service_end(service *s)
{
    CHECK_EQ(ars_group_wait(&s->group, soon()), 0);
    ars_listener_close(s->listener);
    return s->result;
}

static int echo_once(ars_conn *conn, void *state, void *arg)
{
    service *s = arg;
    char buf[1024];
    (void)state;
    ars_atomic_u64_add_relaxed(&s->calls, 1);
    int n = ars_conn_read(conn, buf, sizeof buf, soon());
    if (n <= 0) return n;
    int rc = ars_conn_write(conn, buf, (size_t)n, NULL, soon());
    return rc < 0 ? rc : ARS_SERVE_KEEP;
}

/* The plain descriptors' calls block, so the server runs in between. */
static void plain_await(int fd)
{
    CHECK(ars_wait_fd(fd, ARS_FD_IN, soon()) > 0);
}

static void exchange(int fd, unsigned seed)
{
    unsigned char out[100], in[100];
    stream_fill(seed, 0, out, sizeof out);
    plain_send(fd, out, sizeof out);
    plain_await(fd);
    plain_recv(fd, in, sizeof in);
    CHECK(memcmp(in, out, sizeof in) == 0);
}

static void expect_end(int fd)
{
    char c;
    plain_await(fd);
    CHECK(recv(fd, &c, 1, 0) <= 0);
    close(fd);
}

/* ---- what it does ---- */

static int echoes_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    int fds[MANY];
    service_start(&s, echo_once);
    for (int i = 0; i < MANY; i++) fds[i] = plain_connect(&s.addr);
    for (unsigned round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) exchange(fds[i], round * MANY + (unsigned)i);
        for (int i = 0; i < MANY; i++) plain_send(fds[i], "x", 1);
        for (int i = 0; i < MANY; i++) {
            char c;
            plain_await(fds[i]);
            plain_recv(fds[i], &c, 1);
        }
    }
    CHECK_EQ(count(&s.calls), 10 * MANY);
    for (int i = 0; i < MANY / 2; i++) close(fds[i]);
    while (count(&s.closed) < MANY / 2) CHECK_EQ(ars_sleep(shortly()), 0);
    CHECK_EQ(count(&s.calls), 10 * MANY + MANY / 2);
    ars_drain_report report;
    CHECK_EQ(ars_listener_drain(s.listener, soon(), &report), 0);
    CHECK_EQ(report.idle, MANY / 2);
    CHECK_EQ(report.finished, 0);
    CHECK_EQ(report.cancelled, 0);
    CHECK_EQ(count(&s.closed), MANY);
    for (int i = MANY / 2; i < MANY; i++) expect_end(fds[i]);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(echoes)

/*
 * Requests that come all at once: a few are begun, and the rest when those are
 * over; but when those wait for something else all are begun, however many.
 */
enum { CROWD = 32, CROWDS = 20, ALL = 300 };

typedef struct burst {
    service s;
    ars_atomic_u64 most;
    int together; /* each waits until all are running */
} burst;

static int crowded(ars_conn *conn, void *state, void *arg)
{
    burst *c = ARS__MEMBER(arg, burst, s);
    char byte;
    (void)state;
    int n = ars_conn_read(conn, &byte, 1, soon());
    if (n <= 0) return n;
    uint64_t running = ars_atomic_u64_add_relaxed(&c->s.running, 1) + 1;
    if (running > count(&c->most)) ars_atomic_u64_store_relaxed(&c->most, running);
    if (c->together && running == ALL) ars_event_set(&c->s.go_on);
    int rc = c->together ? ars_event_wait(&c->s.go_on, soon()) : ars_yield();
    CHECK_EQ(rc, 0);
    ars_atomic_u64_add_relaxed(&c->s.running, (uint64_t)-1);
    rc = ars_conn_write(conn, &byte, 1, NULL, soon());
    return rc < 0 ? rc : ARS_SERVE_KEEP;
}

static void all_at_once(const int *fds)
{
    char byte;
    for (int i = 0; i < ALL; i++) plain_send(fds[i], "x", 1);
    for (int i = 0; i < ALL; i++) {
        plain_await(fds[i]);
        plain_recv(fds[i], &byte, 1);
    }
}

static int at_once_task(void *arg)
{
    (void)arg;
    burst c = {.s = {.go_on = ARS_EVENT_INIT(0)}};
    int fds[ALL];
    service_start(&c.s, crowded);
    for (int i = 0; i < ALL; i++) fds[i] = plain_connect(&c.s.addr);
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < CROWDS; i++) {
        ars_atomic_u64_store_relaxed(&c.most, 0);
        all_at_once(fds);
        if (count(&c.most) < least) least = count(&c.most);
    }
    CHECK(least <= CROWD); /* more when the machine was busy elsewhere meanwhile */
    c.together = 1;
    all_at_once(fds);
    CHECK_EQ(count(&c.most), ALL);
    for (int i = 0; i < ALL; i++) close(fds[i]);
    CHECK_EQ(ars_listener_drain(c.s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&c.s), 0);
    return 0;
}
BACKEND_CASE(at_once)

/* The state is zero at first, and each connection's own. */
typedef struct counter {
    unsigned char used;
    uint32_t n;
    char bulk[500];
} counter;

static int count_lines(ars_conn *conn, void *state, void *arg)
{
    counter *c = state;
    char buf[64];
    (void)arg;
    CHECK_EQ((uintptr_t)state % 16, 0);
    if (!c->used)
        for (size_t i = 0; i < sizeof c->bulk; i++) CHECK_EQ(c->bulk[i], 0);
    c->used = 1;
    memset(c->bulk, 1, sizeof c->bulk);
    int n = ars_conn_read(conn, buf, 1, 0);
    if (n <= 0) return n;
    if (buf[0] == 'q') return 0;
    uint32_t sum = ++c->n;
    int rc = ars_conn_write(conn, &sum, sizeof sum, NULL, soon());
    return rc < 0 ? rc : 7;
}

static int state_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.state_size = sizeof(counter), .closed = closed}};
    int fds[10];
    service_start(&s, count_lines);
    for (int i = 0; i < 10; i++) fds[i] = plain_connect(&s.addr);
    for (uint32_t k = 1; k < 20; k++) {
        for (int i = 0; i < 10; i++) {
            uint32_t sums[3];
            /* More than one request at once: the handler is called for each. */
            plain_send(fds[i], "abc", 3);
            for (uint32_t j = 0; j < 3; j++) {
                plain_await(fds[i]);
                plain_recv(fds[i], &sums[j], sizeof sums[j]);
                CHECK_EQ(sums[j], (k - 1) * 3 + j + 1);
            }
        }
    }
    for (int i = 0; i < 10; i++) {
        plain_send(fds[i], "q", 1);
        expect_end(fds[i]);
    }
    CHECK_EQ(count(&s.closed), 10);
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(state)

/* Handlers that wait in the middle do not keep others from being served. */
static int wait_in_the_middle(ars_conn *conn, void *state, void *arg)
{
    service *s = arg;
    char buf[2];
    (void)state;
    ars_atomic_u64_add_relaxed(&s->calls, 1);
    ars_atomic_u64_add_relaxed(&s->running, 1);
    int n = ars_conn_read(conn, buf, 1, 0);
    if (n > 0 && buf[0] == 'w') n = ars_event_wait(&s->go_on, ARS_FOREVER) < 0 ? ARS_ECANCELED : 1;
    if (n > 0) n = ars_conn_read_full(conn, buf, 1, NULL, soon()) < 0 ? ARS_EIO : 1;
    ars_atomic_u64_add_relaxed(&s->running, (uint64_t)-1);
    if (n <= 0) return n;
    return ars_conn_write(conn, buf, 1, NULL, soon()) < 0 ? ARS_EIO : ARS_SERVE_KEEP;
}

static int waits_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    int fds[MANY];
    char c;
    service_start(&s, wait_in_the_middle);
    for (int i = 0; i < MANY; i++) {
        fds[i] = plain_connect(&s.addr);
        plain_send(fds[i], i % 2 ? "w" : "g", 1);
    }
    while (count(&s.running) < MANY) CHECK_EQ(ars_sleep(shortly()), 0);
    for (int i = 0; i < MANY; i += 2) {
        plain_send(fds[i], "1", 1);
        plain_await(fds[i]);
        plain_recv(fds[i], &c, 1);
    }
    CHECK_EQ(count(&s.running), MANY / 2);
    ars_event_set(&s.go_on);
    for (int i = 1; i < MANY; i += 2) {
        plain_send(fds[i], "2", 1);
        plain_await(fds[i]);
        plain_recv(fds[i], &c, 1);
        CHECK_EQ(c, '2');
    }
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(count(&s.running), 0);
    for (int i = 0; i < MANY; i++) expect_end(fds[i]);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(waits)

/* Reads what comes as a loan, and looks at it beside a channel. */
static int lend_and_select(ars_conn *conn, void *state, void *arg)
{
    ars_loan loan;
    ars_case cases[] = {ARS_READABLE(conn)};
    (void)state;
    (void)arg;
    CHECK_EQ(ars_select(cases, 1, soon()), 0);
    int n = ars_conn_read_loan(conn, &loan, soon());
    if (n <= 0) return n;
    int rc = ars_conn_write(conn, loan.data, loan.len, NULL, soon());
    ars_conn_read_return(&loan);
    return rc < 0 ? rc : ARS_SERVE_KEEP;
}

static int lends_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    service_start(&s, lend_and_select);
    int fd = plain_connect(&s.addr);
    for (unsigned i = 0; i < 100; i++) exchange(fd, i);
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    expect_end(fd);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(lends)

/* A handler that does nothing is called again and again; others get their turn all the same. */
static int ignore(ars_conn *conn, void *state, void *arg)
{
    service *s = arg;
    (void)conn;
    (void)state;
    return ars_atomic_u64_add_relaxed(&s->calls, 1) + 1 < 100000 ? ARS_SERVE_KEEP : ARS_EPIPE;
}

static int ignores_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    service_start(&s, ignore);
    int fd = plain_connect(&s.addr);
    plain_send(fd, "x", 1);
    while (count(&s.calls) == 0) CHECK_EQ(ars_yield(), 0);
    CHECK(count(&s.calls) < 100000);
    expect_end(fd);
    CHECK_EQ(count(&s.calls), 100000);
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(ignores)

/* ---- limits ---- */

static int idle_task(void *arg)
{
    (void)arg;
    enum { IDLE = 30 };
    service s = {.opt = {.idle = IDLE * ARS_MILLISECOND, .closed = closed}};
    service_start(&s, echo_once);
    int quiet = plain_connect(&s.addr), busy = plain_connect(&s.addr);
    ars_time began = ars_now(), last = began;
    char c = 'x';
    /* Where the system is late the busy one may be idle for long enough after all; never earlier. */
    for (int i = 0; i < 10; i++) {
        ars_time before = ars_now();
        if (send(busy, &c, 1, MSG_NOSIGNAL) == 1) plain_await(busy);
        if (recv(busy, &c, 1, MSG_DONTWAIT) != 1) {
            CHECK(ars_now() - last >= IDLE * ARS_MILLISECOND);
            break;
        }
        last = before;
        CHECK_EQ(ars_sleep(ars_after(IDLE / 5 * ARS_MILLISECOND)), 0);
    }
    expect_end(quiet);
    CHECK(ars_now() - began >= IDLE * ARS_MILLISECOND);
    expect_end(busy);
    CHECK_EQ(count(&s.closed), 2);
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(idle)

static int at_most_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.connections = 3, .closed = closed}};
    int fds[8];
    service_start(&s, echo_once);
    for (int i = 0; i < 8; i++) {
        fds[i] = plain_connect(&s.addr);
        plain_send(fds[i], "x", 1);
    }
    CHECK_EQ(ars_sleep(shortly()), 0);
    for (int i = 0; i < 8; i++) {
        char c;
        plain_await(fds[i]);
        plain_recv(fds[i], &c, 1);
        if (i < 3) CHECK(count(&s.calls) <= 3 + (uint64_t)i * 2);
        close(fds[i]);
    }
    while (count(&s.closed) < 8) CHECK_EQ(ars_sleep(shortly()), 0);
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(at_most)

/* ---- how it ends ---- */

/* One idle, one in the middle of a request, one about to be served. */
static void three(service *s, int fds[3])
{
    for (int i = 0; i < 3; i++) fds[i] = plain_connect(&s->addr);
    plain_send(fds[0], "gx", 2);
    char c;
    plain_await(fds[0]);
    plain_recv(fds[0], &c, 1);
    plain_send(fds[1], "w", 1);
    while (count(&s->running) < 1) CHECK_EQ(ars_sleep(shortly()), 0);
}

static int finish_it(void *arg)
{
    service *s = arg;
    while (!count(&s->closed)) CHECK_EQ(ars_sleep(shortly()), 0);
    ars_event_set(&s->go_on);
    return 0;
}

static int drains_task(void *arg)
{
    (void)arg;
    for (int finishes = 0; finishes < 2; finishes++) {
        service s = {.opt = {.closed = closed}};
        ars_drain_report report = {9, 9, 9};
        ars_group helper;
        int fds[3];
        service_start(&s, wait_in_the_middle);
        three(&s, fds);
        if (finishes) {
            plain_send(fds[1], "y", 1);
            start(&helper, finish_it, &s);
            CHECK_EQ(ars_listener_drain(s.listener, soon(), &report), 0);
            CHECK_EQ(ars_group_wait(&helper, soon()), 0);
            char c;
            plain_recv(fds[1], &c, 1);
            CHECK_EQ(c, 'y');
        } else {
            CHECK_EQ(ars_listener_drain(s.listener, 0, &report), ARS_ETIMEDOUT);
            CHECK_EQ(report.idle, 9);
            CHECK_EQ(ars_listener_drain(s.listener, shortly(), &report), ARS_ETIMEDOUT);
        }
        CHECK_EQ(report.idle, 2);
        CHECK_EQ(report.finished, finishes);
        CHECK_EQ(report.cancelled, !finishes);
        CHECK_EQ(count(&s.closed), 3);
        for (int i = 0; i < 3; i++) expect_end(fds[i]);
        /* Nobody serves it any more, or again. */
        CHECK_EQ(ars_listener_drain(s.listener, soon(), &report), 0);
        CHECK_EQ(report.idle + report.finished + report.cancelled, 0);
        CHECK_EQ(ars_listener_serve(s.listener, echo_once, &s, NULL, soon()), 0);
        CHECK_EQ(service_end(&s), 0);
    }
    return 0;
}
BACKEND_CASE(drains)

static int drain_forever(void *arg)
{
    ars_drain_report report;
    int rc = ars_listener_drain(((service *)arg)->listener, ARS_FOREVER, &report);
    CHECK_EQ(report.cancelled, 1);
    return rc;
}

/* The one who drains is cancelled; several drain at once. */
static int drain_cancelled_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    ars_group drainers;
    int fds[3];
    service_start(&s, wait_in_the_middle);
    three(&s, fds);
    start(&drainers, drain_forever, &s);
    go_beside(&drainers, drain_forever, &s);
    settle();
    ars_group_cancel(&drainers, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&drainers, soon()), ARS_ECANCELED);
    for (int i = 0; i < 3; i++) expect_end(fds[i]);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(drain_cancelled)

static int ends_task(void *arg)
{
    enum { DEADLINE, CANCEL, CLOSE, WAYS };
    (void)arg;
    for (int way = 0; way < WAYS; way++) {
        service s = {.opt = {.closed = closed}};
        int fds[3];
        if (way == DEADLINE) s.deadline = ars_after(20 * ARS_MILLISECOND);
        service_start(&s, wait_in_the_middle);
        three(&s, fds);
        if (way == CANCEL) ars_group_cancel(&s.group, ARS_ECANCELED);
        if (way == CLOSE) ars_listener_close(s.listener);
        CHECK_EQ(ars_group_wait(&s.group, soon()), way == CANCEL ? ARS_ECANCELED : 0);
        if (way != CLOSE) ars_listener_close(s.listener);
        CHECK_EQ(s.result, way == DEADLINE ? ARS_ETIMEDOUT
                           : way == CANCEL ? ARS_ECANCELED
                                           : ARS_EBADF);
        CHECK_EQ(count(&s.closed), 3);
        for (int i = 0; i < 3; i++) expect_end(fds[i]);
    }
    return 0;
}
BACKEND_CASE(ends)

static int misused_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    ars_serve_opt bad = {.state_size = 1 << 20};
    service_start(&s, echo_once);
    CHECK_EQ(ars_listener_serve(s.listener, echo_once, &s, NULL, soon()), ARS_EBUSY);
    CHECK_EQ(ars_listener_serve(s.listener, NULL, &s, NULL, soon()), ARS_EINVAL);
    CHECK_EQ(ars_listener_serve(s.listener, echo_once, &s, NULL, 0), ARS_EINVAL);
    CHECK_EQ(ars_listener_serve(s.listener, echo_once, &s, &bad, soon()), ARS_EINVAL);
    bad = (ars_serve_opt){.idle = -1};
    CHECK_EQ(ars_listener_serve(s.listener, echo_once, &s, &bad, soon()), ARS_EINVAL);
    /* A task in accept takes some of the connections. */
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(misused)

/* ---- several workers ---- */

enum { WORKERS = 3 };

static int client(void *arg)
{
    service *s = arg;
    ars_conn *conn;
    char buf[64];
    for (int k = 0; k < 10; k++) {
        CHECK_EQ(ars_conn_dial(&conn, &s->addr, NULL, soon()), 0);
        for (int i = 0; i < 10; i++) {
            CHECK_EQ(ars_conn_write(conn, "hello", 5, NULL, soon()), 0);
            CHECK_EQ(ars_conn_read_full(conn, buf, 5, NULL, soon()), 0);
            CHECK(memcmp(buf, "hello", 5) == 0);
        }
        ars_conn_close(conn);
    }
    return 0;
}

static int drain_one(void *arg)
{
    return ars_listener_drain(((service *)arg)->listener, soon(), NULL);
}

static int close_one(void *arg)
{
    ars_listener_close(((service *)arg)->listener);
    return 0;
}

/* Clients anywhere; the end comes from another worker, at any moment. */
static int crowd_task(void *arg)
{
    (void)arg;
    for (unsigned round = 0; round < 4; round++) {
        service s = {.opt = {.closed = closed}};
        ars_group clients;
        ars_task_opt last = {.home = round % WORKERS + 1};
        service_start(&s, echo_once);
        CHECK_EQ(ars_group_init(&clients, NULL, ARS_FAIL_FAST), 0);
        for (int i = 0; i < 8; i++) CHECK_EQ(ars_group_go(&clients, client, &s, NULL), 0);
        CHECK_EQ(ars_group_wait(&clients, soon()), 0);
        CHECK_EQ(ars_group_init(&clients, NULL, ARS_FAIL_FAST), 0);
        int drain = round % 4 != 0;
        CHECK_EQ(ars_group_go(&clients, drain ? drain_one : close_one, &s, &last), 0);
        CHECK_EQ(ars_group_wait(&clients, soon()), 0);
        CHECK_EQ(ars_group_wait(&s.group, soon()), 0);
        CHECK_EQ(s.result, drain ? 0 : ARS_EBADF);
        CHECK_EQ(count(&s.closed), 80);
        /* The last ends of streams may have come too late for it. */
        CHECK(count(&s.calls) >= 80 * 10 && count(&s.calls) <= 80 * 11);
        if (drain) ars_listener_close(s.listener);
    }
    return 0;
}

static void crowd(void)
{
    on_each_backend_with(WORKERS, crowd_task);
}

/* ---- want ---- */

/* Without descriptors connections wait, and are served when there are some. */
static int no_descriptors_task(void *arg)
{
    (void)arg;
    service s = {.opt = {.closed = closed}};
    struct rlimit limit, none;
    int more[4];
    s.listener = listen_at("127.0.0.1:0", &s.addr);
    s.handler = echo_once;
    s.deadline = ARS_FOREVER;
    for (int i = 0; i < 4; i++) more[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 3;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    start(&s.group, serve_task, &s);
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(&s.addr, &len);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(connect(more[i], sa, (socklen_t)len), 0);
        plain_send(more[i], "x", 1);
    }
    CHECK_EQ(ars_sleep(ars_after(25 * ARS_MILLISECOND)), 0);
    CHECK_EQ(count(&s.calls), 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 4; i++) {
        char c;
        plain_await(more[i]);
        plain_recv(more[i], &c, 1);
        close(more[i]);
    }
    CHECK_EQ(ars_listener_drain(s.listener, soon(), NULL), 0);
    CHECK_EQ(service_end(&s), 0);
    return 0;
}
BACKEND_CASE(no_descriptors)

/* Each call that fails, and each piece of memory that is not there: a few requests, as far as they come. */
static int survive_handler(ars_conn *conn, void *state, void *arg)
{
    char buf[16];
    (void)arg;
    *(unsigned char *)state = 1;
    int n = ars_conn_read(conn, buf, sizeof buf, ars_after(20 * ARS_MILLISECOND));
    if (n <= 0) return n;
    int rc = ars_conn_write(conn, buf, (size_t)n, NULL, ars_after(20 * ARS_MILLISECOND));
    return rc < 0 ? rc : ARS_SERVE_KEEP;
}

static void survive_closed(ars_conn *conn, void *state, void *arg)
{
    (void)conn;
    (void)state;
    ars_atomic_u64_add_relaxed(&((service *)arg)->closed, 1);
}

static int survive(void *arg)
{
    service s = {.opt = {.closed = survive_closed, .state_size = 16, .idle = ARS_SECOND},
                 .handler = survive_handler,
                 .deadline = ars_after(10 * ARS_SECOND)};
    (void)arg;
    CHECK_EQ(ars_addr_parse(&s.addr, "127.0.0.1:0"), 0);
    if (ars_listener_open(&s.listener, &s.addr, NULL) < 0) return 0;
    if (ars_listener_addr(s.listener, &s.addr) < 0 ||
        ars_group_init(&s.group, NULL, ARS_COLLECT) < 0) {
        ars_listener_close(s.listener);
        return 0;
    }
    s.result = 1;
    if (ars_group_go(&s.group, serve_task, &s, NULL) == 0) {
        for (int i = 0; i < 2; i++) {
            int fd = plain_connect(&s.addr);
            char buf[8];
            (void)!send(fd, "ping", 4, MSG_NOSIGNAL);
            for (int tries = 0; tries < 15 && s.result == 1; tries++) {
                (void)!ars_sleep(ars_after(ARS_MILLISECOND));
                if (recv(fd, buf, sizeof buf, MSG_DONTWAIT) >= 0) break;
            }
            close(fd);
        }
        int rc = ars_listener_drain(s.listener, ars_after(30 * ARS_MILLISECOND), NULL);
        CHECK(rc == 0 || rc == ARS_ETIMEDOUT);
    }
    (void)!ars_group_wait(&s.group, ARS_FOREVER);
    CHECK(s.result <= 1);
    ars_listener_close(s.listener);
    return 0;
}

static void survive_on(unsigned backend, const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    int rc = ars_run(survive, NULL, &config);
    CHECK(rc <= 0);
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

static void failing_calls(void)
{
    CHECK(sweep_os("auto", survive_auto) > 30);
    CHECK(sweep_os("epoll", survive_epoll) > 30);
}

static const test_case cases[] = {
    {"echoes", echoes},       {"at_once", at_once},
    {"state", state},         {"waits", waits},
    {"lends", lends},         {"ignores", ignores},
    {"idle", idle},           {"at_most", at_most},
    {"drains", drains},       {"drain_cancelled", drain_cancelled},
    {"ends", ends},           {"misused", misused},
    {"crowd", crowd},         {"no_descriptors", no_descriptors},
    {"no_memory", no_memory}, {"failing_calls", failing_calls},
};
TEST_MAIN(cases)
