/* SPDX-License-Identifier: MIT */
/* ARS_READABLE() and ARS_ACCEPTABLE(): connections and listeners as cases of a select. */
#define _GNU_SOURCE
#include "peer.h"

#include <arsenal/block.h>

#include "net/net.h"

static ars_time soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static int read_now(ars_conn *conn, const char *expected)
{
    char buf[64];
    int n = ars_conn_read(conn, buf, sizeof buf, 0);
    CHECK_EQ(n, (int)strlen(expected));
    CHECK(memcmp(buf, expected, (size_t)n) == 0);
    return n;
}

/* ---- one connection ---- */

static int tells_task(void *arg)
{
    (void)arg;
    char c;
    peer p = peer_open();
    ars_case cases[] = {ARS_READABLE(p.conn)};
    CHECK_EQ(ars_select(cases, 1, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_select(cases, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    plain_send(p.fd, "one", 3);
    CHECK_EQ(ars_select(cases, 1, 0), 0);
    CHECK_EQ(ars_select(cases, 1, soon()), 0); /* nothing was taken */
    read_now(p.conn, "one");
    CHECK_EQ(ars_select(cases, 1, 0), ARS_ETIMEDOUT);
    plain_send(p.fd, "two", 3);
    CHECK_EQ(ars_select(cases, 1, soon()), 0);
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, 0), 1);
    CHECK_EQ(ars_select(cases, 1, soon()), 0); /* a rest is left */
    read_now(p.conn, "wo");
    shutdown(p.fd, SHUT_WR);
    CHECK_EQ(ars_select(cases, 1, soon()), 0);
    CHECK_EQ(ars_select(cases, 1, 0), 0);
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, 0), 0);
    peer_close(&p);

    p = peer_open();
    cases[0].object = p.conn;
    struct linger now = {1, 0};
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(p.fd);
    CHECK_EQ(ars_select(cases, 1, soon()), 0);
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, soon()), ARS_ECONNRESET);
    ars_conn_close(p.conn);
    return 0;
}
BACKEND_CASE(tells)

/* ---- beside channels ---- */

enum { LINES = 300 };

/* A chat connection: one task, what comes and what is to go. */
typedef struct chat {
    ars_conn *conn;
    ars_chan *out;
    int got, sent;
} chat;

static int chat_task(void *arg)
{
    chat *c = arg;
    int line;
    char buf[16];
    ars_case cases[] = {ARS_READABLE(c->conn), ARS_RECV(c->out, &line)};
    for (;;) {
        switch (ars_select(cases, 2, soon())) {
        case 0: {
            int n = ars_conn_read(c->conn, buf, sizeof buf, ARS_FOREVER);
            if (n <= 0) return n;
            c->got += n;
            break;
        }
        case 1:
            CHECK_EQ(line, c->sent);
            CHECK_EQ(ars_conn_write(c->conn, "y", 1, NULL, soon()), 0);
            c->sent++;
            break;
        case ARS_CLOSED(1): cases[1].object = NULL; break;
        default: FAIL("neither");
        }
    }
}

static int chats_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    chat c = {.conn = p.conn};
    ars_group group;
    char buf[LINES];
    CHECK_EQ(ars_chan_new(&c.out, sizeof(int), 0, NULL), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    go_beside(&group, chat_task, &c);
    for (int i = 0; i < LINES; i++) {
        if (i % 3 == 0) settle();
        plain_send(p.fd, "x", 1);
        if (i % 2) plain_send(p.fd, "x", 1);
        CHECK_EQ(ars_chan_send(c.out, &i, soon()), 0);
    }
    CHECK_EQ(ars_chan_close(c.out), 0);
    shutdown(p.fd, SHUT_WR);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(c.got, LINES + LINES / 2);
    CHECK_EQ(c.sent, LINES);
    CHECK_EQ(recv(p.fd, buf, sizeof buf, MSG_WAITALL), LINES);
    ars_chan_free(c.out);
    peer_close(&p);
    return 0;
}
BACKEND_CASE(chats)

/* Many connections, one task; each is served, and each once for what it sent. */
static int many_task(void *arg)
{
    (void)arg;
    enum { MANY = 50 };
    peer p[MANY];
    ars_case cases[MANY + 1];
    int got[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        p[i] = peer_open();
        cases[i] = (ars_case)ARS_READABLE(p[i].conn);
    }
    cases[MANY] = (ars_case)ARS_READABLE(p[7].conn); /* twice */
    for (int round = 0; round < 20; round++) {
        for (int i = round % 7; i < MANY; i += 7) plain_send(p[i].fd, "z", 1);
        int rc;
        while ((rc = ars_select(cases, MANY + 1, 0)) >= 0) {
            int i = rc == MANY ? 7 : rc;
            got[i] += read_now(p[i].conn, "z");
        }
        CHECK_EQ(rc, ARS_ETIMEDOUT);
        plain_send(p[round].fd, "z", 1);
        rc = ars_select(cases, MANY + 1, soon());
        CHECK_EQ(rc == MANY ? 7 : rc, round);
        got[round] += read_now(p[round].conn, "z");
    }
    for (int i = 0; i < MANY; i++) {
        int expected = i < 20;
        for (int round = 0; round < 20; round++) expected += i % 7 == round % 7 && i >= round % 7;
        CHECK_EQ(got[i], expected);
        peer_close(&p[i]);
    }
    return 0;
}
BACKEND_CASE(many)

/* ---- who else uses it ---- */

static int select_one(void *conn)
{
    ars_case cases[] = {ARS_READABLE(conn)};
    return ars_select(cases, 1, ARS_FOREVER);
}

static int busy_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    ars_group group;
    ars_case cases[] = {ARS_READABLE(p.conn)};
    char c;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_RACE), 0);
    go_beside(&group, select_one, p.conn);
    settle();
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, 0), ARS_EBUSY);
    CHECK_EQ(ars_conn_read(p.conn, &c, 1, soon()), ARS_EBUSY);
    CHECK_EQ(ars_select(cases, 1, 0), ARS_EBUSY);
    CHECK_EQ(ars_select(cases, 1, soon()), ARS_EBUSY);
    CHECK_EQ(ars_conn_write(p.conn, "w", 1, NULL, soon()), 0); /* a writer is none */
    ars_group_cancel(&group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_ECANCELED);
    plain_send(p.fd, "x", 1);
    CHECK_EQ(ars_select(cases, 1, soon()), 0);
    read_now(p.conn, "x");

    CHECK_EQ(ars_group_init(&group, NULL, ARS_RACE), 0);
    go_beside(&group, select_one, p.conn);
    settle();
    ars_conn_close(p.conn);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_CLOSED(0));
    close(p.fd);
    return 0;
}
BACKEND_CASE(busy)

static void thread_selects(void *conn)
{
    ars_case cases[] = {ARS_READABLE(conn)};
    CHECK_EQ(ars_select(cases, 1, 0), ARS_EINVAL);
    CHECK_EQ(ars_select(cases, 1, soon()), ARS_EINVAL);
}

static int threads_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    CHECK_EQ(ars_block(thread_selects, p.conn, NULL, ARS_FOREVER), 0);
    peer_close(&p);
    return 0;
}

static void threads(void)
{
    world_run_threads(threads_task, 0, 1);
}

/* ---- closed by another task, at each moment ---- */

typedef struct closing {
    ars_conn *conn;
    ars_chan *chan;
    int value, result;
} closing;

static int select_both(void *arg)
{
    closing *c = arg;
    ars_case cases[] = {ARS_READABLE(c->conn), ARS_RECV(c->chan, &c->value)};
    c->result = ars_select(cases, 2, ARS_FOREVER);
    return 0;
}

/* With a channel of a declared shape the select looks at its cases again after it was woken. */
static int closed_when_decided_task(void *arg)
{
    (void)arg;
    for (int shape = 0; shape < 2; shape++) {
        ars_chan_opt opt = {.flags = shape ? ARS_CHAN_SPSC : 0};
        closing c = {.value = 0};
        ars_group group;
        CHECK_EQ(ars_chan_new(&c.chan, sizeof(int), 4, &opt), 0);
        for (int i = 1; i < 20; i++) {
            peer p = peer_open();
            c.conn = p.conn;
            start(&group, select_both, &c);
            settle();
            if (i % 2) plain_send(p.fd, "x", 1);
            CHECK_EQ(ars_chan_send(c.chan, &i, soon()), 0);
            ars_conn_close(p.conn);
            CHECK_EQ(ars_group_wait(&group, soon()), 0);
            CHECK_EQ(c.result, 1);
            CHECK_EQ(c.value, i);
            close(p.fd);
        }
        ars_chan_free(c.chan);
    }
    return 0;
}
BACKEND_CASE(closed_when_decided)

static int poll_until_closed(void *conn)
{
    ars_case cases[] = {ARS_READABLE(conn), ARS_READABLE(conn)};
    int rc;
    while ((rc = ars_select(cases, 2, 0)) == ARS_ETIMEDOUT) {}
    return rc;
}

static int closed_under_yield_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_RACE), 0);
    go_beside(&group, poll_until_closed, p.conn);
    settle();
    ars_conn_close(p.conn);
    CHECK_EQ(ars_group_wait(&group, soon()) & ~1, ARS_CLOSED(0));
    close(p.fd);
    return 0;
}
BACKEND_CASE(closed_under_yield)

/* ---- several workers ---- */

static int on_worker(unsigned home, ars_fn *fn, void *arg)
{
    ars_group group;
    ars_task_opt opt = {.home = home};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_RACE), 0);
    CHECK_EQ(ars_group_go(&group, fn, arg, &opt), 0);
    return ars_group_wait(&group, ARS_FOREVER);
}

static int read_one(void *conn)
{
    char c;
    ars_case cases[] = {ARS_READABLE(conn)};
    CHECK_EQ(ars_select(cases, 1, soon()), 0);
    CHECK_EQ(ars_conn_read(conn, &c, 1, 0), 1);
    return c;
}

static int poll_one(void *conn)
{
    ars_case cases[] = {ARS_READABLE(conn)};
    int rc;
    char c;
    while ((rc = ars_select(cases, 1, 0)) == ARS_ETIMEDOUT)
        CHECK_EQ(ars_sleep(ars_after(ARS_MICROSECOND)), 0);
    CHECK_EQ(rc, 0);
    CHECK_EQ(ars_conn_read(conn, &c, 1, 0), 1);
    return c;
}

static int moves_task(void *arg)
{
    (void)arg;
    peer p = peer_open();
    for (int i = 0; i < 40; i++) {
        char c = (char)('a' + i % 26);
        plain_send(p.fd, &c, 1);
        CHECK_EQ(on_worker((unsigned)i % 3 + 1, i & 8 ? poll_one : read_one, p.conn), c);
    }
    peer_close(&p);
    return 0;
}

static void moves(void)
{
    on_each_backend_with(3, moves_task);
}

/* While one is fetched, which waits, those that are here already may be closed. */
static struct fetching {
    ars_conn *far, *near[2];
    int result;
} fetching;

static int make_home(void *conn)
{
    char c;
    CHECK_EQ(ars_conn_read(conn, &c, 1, 0), ARS_ETIMEDOUT);
    return 0;
}

static int select_all(void *arg)
{
    struct fetching *f = arg;
    ars_case cases[] = {ARS_READABLE(f->far), ARS_READABLE(f->near[0]), ARS_READABLE(f->near[1]),
                        ARS_READABLE(f->near[0])};
    f->result = ars_select(cases, 4, soon());
    return 0;
}

static int closed_beside_fetch_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        struct fetching *f = &fetching;
        peer far = peer_open(), near[2] = {peer_open(), peer_open()};
        ars_group group;
        *f = (struct fetching){.far = far.conn, .near = {near[0].conn, near[1].conn}};
        for (int k = 0; k < 2; k++) make_home(near[k].conn);
        CHECK_EQ(on_worker(2, make_home, far.conn), 0);
        start(&group, select_all, f);
        CHECK_EQ(ars_yield(), 0);
        ars_conn_close(near[i & 1].conn);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(f->result, ARS_CLOSED(1 + (i & 1)));
        close(near[i & 1].fd);
        peer_close(&near[!(i & 1)]);
        peer_close(&far);
    }
    return 0;
}

static void closed_beside_fetch(void)
{
    on_each_backend_with(2, closed_beside_fetch_task);
}

static int select_elsewhere(void *conn)
{
    ars_case cases[] = {ARS_READABLE(conn)};
    CHECK_EQ(ars_select(cases, 1, 0), ARS_ETIMEDOUT);
    return ars_select(cases, 1, soon());
}

/* Another worker's task waits with it: it cannot be had. */
static int refused_task(void *arg)
{
    peer p = peer_open();
    ars_group group;
    ars_task_opt opt = {.home = 2};
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, select_one, p.conn, &opt), 0);
    while (!__atomic_load_n(&((const ars__source *)(const void *)p.conn)->reader, __ATOMIC_ACQUIRE))
        ars_sleep(ars_after(ARS_MICROSECOND));
    CHECK_EQ(select_elsewhere(p.conn), ARS_EBUSY);
    if (ARS__ASSERTS) CHECK(strstr(((world *)arg)->reports, "another worker is using it"));
    ((world *)arg)->reports[0] = '\0';
    ars_conn_close(p.conn);
    CHECK_EQ(ars_group_wait(&group, soon()), 0); /* its result is no error */
    close(p.fd);
    return 0;
}

static void refused(void)
{
    on_each_backend_with(2, refused_task);
}

/* One that may move to any worker is woken by another: the connection is given up where it was. */
static struct migrants {
    ars_chan *chan[4];
    ars_atomic_u32 sum;
} migrants;

enum { TURNS = 300 };

static int migrant(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    peer p = peer_open();
    int value;
    for (int k = 0; k < TURNS; k++) {
        ars_case cases[] = {ARS_READABLE(p.conn), ARS_RECV(migrants.chan[i], &value)};
        int rc = ars_select(cases, 2, soon());
        if (rc == 0) {
            char buf[64];
            CHECK(ars_conn_read(p.conn, buf, sizeof buf, soon()) > 0);
            k--;
            continue;
        }
        CHECK_EQ(rc, 1);
        CHECK_EQ(value, k);
        if (k % 5 == 0) plain_send(p.fd, "x", 1);
        if (k % 64 == 63) {
            peer_close(&p);
            p = peer_open();
        }
        ars_atomic_u32_add_relaxed(&migrants.sum, 1);
    }
    peer_close(&p);
    return 0;
}

static int feeder(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    for (int k = 0; k < TURNS; k++) CHECK_EQ(ars_chan_send(migrants.chan[i], &k, soon()), 0);
    return 0;
}

static int migrates_task(void *arg)
{
    (void)arg;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    ars_atomic_u32_store_relaxed(&migrants.sum, 0);
    for (uintptr_t i = 0; i < 4; i++) {
        ars_task_opt moves_on = {.flags = ARS_TASK_MIGRATES}, home = {.home = (unsigned)i % 3 + 1};
        CHECK_EQ(ars_chan_new(&migrants.chan[i], sizeof(int), i % 2, NULL), 0);
        CHECK_EQ(ars_group_go(&group, migrant, (void *)i, &moves_on), 0);
        CHECK_EQ(ars_group_go(&group, feeder, (void *)i, &home), 0);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(ars_atomic_u32_load_relaxed(&migrants.sum), 4 * TURNS);
    for (int i = 0; i < 4; i++) ars_chan_free(migrants.chan[i]);
    return 0;
}

static void migrates(void)
{
    on_each_backend_with(3, migrates_task);
}

/* ---- listeners ---- */

static int accept_one(void *listener)
{
    ars_conn *conn;
    int rc = ars_listener_accept(listener, &conn, ARS_FOREVER);
    if (rc == 0) ars_conn_close(conn);
    return rc;
}

static int acceptable_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    ars_case cases[] = {ARS_ACCEPTABLE(listener), ARS_ACCEPTABLE(listener)};
    ars_group group;
    ars_conn *conn;
    CHECK_EQ(ars_select(cases, 2, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_select(cases, 2, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    int fd = plain_connect(&addr);
    CHECK(ars_select(cases, 2, soon()) >= 0);
    CHECK(ars_select(cases, 2, 0) >= 0);
    CHECK_EQ(ars_listener_accept(listener, &conn, 0), 0);
    ars_conn_close(conn);
    close(fd);
    CHECK_EQ(ars_select(cases, 1, 0), ARS_ETIMEDOUT);

    /* A task in accept takes it; and the select that waited is told. */
    start(&group, select_one, listener);
    settle();
    CHECK_EQ(ars_select(cases, 1, soon()), ARS_EBUSY);
    go_beside(&group, accept_one, listener);
    settle();
    fd = plain_connect(&addr);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    close(fd);
    CHECK_EQ(ars_select(cases, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);

    start(&group, select_one, listener);
    settle();
    ars_listener_close(listener);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    return 0;
}
BACKEND_CASE(acceptable)

static const test_case cases[] = {
    {"tells", tells},
    {"chats", chats},
    {"many", many},
    {"busy", busy},
    {"threads", threads},
    {"closed_when_decided", closed_when_decided},
    {"closed_under_yield", closed_under_yield},
    {"moves", moves},
    {"closed_beside_fetch", closed_beside_fetch},
    {"refused", refused},
    {"migrates", migrates},
    {"acceptable", acceptable},
};
TEST_MAIN(cases)
