/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arsenal/wait.h>

#include <arsenal/chan.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

typedef struct waiting {
    int fd;
    unsigned events;
    ars_time deadline;
    int result;
} waiting;

static int wait_it(void *arg)
{
    waiting *w = arg;
    w->result = ars_wait_fd(w->fd, w->events, w->deadline);
    return 0;
}

static int ready_task(void *arg)
{
    (void)arg;
    int p[2];
    CHECK_EQ(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    CHECK_EQ(ars_wait_fd(p[0], ARS_FD_IN, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_wait_fd(p[0], ARS_FD_IN, 1), ARS_ETIMEDOUT);
    ars_time deadline = ars_after(10 * ARS_MILLISECOND);
    CHECK_EQ(ars_wait_fd(p[0], ARS_FD_IN, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    CHECK_EQ(ars_wait_fd(p[1], ARS_FD_IN | ARS_FD_OUT, soon()), ARS_FD_OUT);
    CHECK_EQ(ars_wait_fd(p[1], ARS_FD_OUT, 0), ARS_FD_OUT);

    waiting w = {.fd = p[0], .events = ARS_FD_IN, .deadline = ARS_FOREVER};
    for (int i = 0; i < 20; i++) {
        char byte;
        ars_group group;
        start(&group, wait_it, &w);
        settle();
        CHECK_EQ(write(p[1], "x", 1), 1);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(w.result, ARS_FD_IN);
        CHECK_EQ(read(p[0], &byte, 1), 1);
    }
    ars_group group;
    start(&group, wait_it, &w);
    settle();
    close(p[1]);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(w.result, ARS_FD_HUP);
    close(p[0]);
    return 0;
}
BACKEND_CASE(ready)

static int refuses_task(void *arg)
{
    (void)arg;
    CHECK_EQ(ars_wait_fd(1000, ARS_FD_IN, soon()), ARS_EBADF);
    CHECK_EQ(ars_wait_fd(-1, ARS_FD_IN, soon()), ARS_EBADF);
    CHECK_EQ(ars_wait_fd(-1, ARS_FD_IN, 0), ARS_EBADF);
    CHECK_EQ(ars_wait_fd(0, 0, soon()), ARS_EINVAL);
    CHECK_EQ(ars_wait_fd(0, ARS_FD_IN | ARS_FD_HUP, soon()), ARS_EINVAL);
    CHECK_EQ(ars_wait_fd(0, 1u << 20, soon()), ARS_EINVAL);
    return 0;
}

static void refuses(void)
{
    CHECK_EQ(ars_wait_fd(0, ARS_FD_IN, 0), ARS_EINVAL); /* a plain thread */
    on_each_backend(refuses_task);
}

static int files_task(void *arg)
{
    (void)arg;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(ars_wait_fd(fd, ARS_FD_IN, soon()), ARS_FD_IN);
    CHECK_EQ(ars_wait_fd(fd, ARS_FD_IN, 0), ARS_FD_IN);
    close(fd);
    return 0;
}
BACKEND_CASE(files)

static int cancel_task(void *arg)
{
    (void)arg;
    int p[2];
    CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
    waiting w = {.fd = p[0], .events = ARS_FD_IN, .deadline = ARS_FOREVER};
    for (int i = 0; i < 10; i++) {
        ars_group group;
        start(&group, wait_it, &w);
        settle();
        ars_group_cancel(&group, 0);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
        CHECK_EQ(w.result, ARS_ECANCELED);
    }
    ars_run_stats stats;
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.operations, 0);
    close(p[0]);
    close(p[1]);
    return 0;
}
BACKEND_CASE(cancel)

/* Readers and writers wait for one descriptor, and each gets what is its own. */
static int several_task(void *arg)
{
    (void)arg;
    int s[2];
    char full[4096] = {0};
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s), 0);
    while (write(s[0], full, sizeof full) > 0) {}
    waiting w[6];
    ars_group in, out;
    CHECK_EQ(ars_group_init(&in, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_init(&out, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 6; i++) {
        w[i] = (waiting){.fd = s[0], .deadline = ARS_FOREVER};
        w[i].events = i % 2 ? ARS_FD_OUT : ARS_FD_IN;
        if (i == 2) w[i].deadline = ars_after(ARS_MILLISECOND);
        go_beside(i % 2 ? &out : &in, wait_it, &w[i]);
    }
    for (int i = 0; i < 1000 && !w[2].result; i++)
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(w[2].result, ARS_ETIMEDOUT);
    CHECK_EQ(write(s[1], "x", 1), 1);
    CHECK_EQ(ars_group_wait(&in, soon()), 0);
    CHECK_EQ(w[0].result, ARS_FD_IN);
    CHECK_EQ(w[4].result, ARS_FD_IN);
    settle();
    CHECK_EQ(w[1].result, 0);
    while (read(s[1], full, sizeof full) > 0) {}
    CHECK_EQ(ars_group_wait(&out, soon()), 0);
    for (int i = 1; i < 6; i += 2) CHECK_EQ(w[i].result, ARS_FD_OUT);
    close(s[0]);
    close(s[1]);
    return 0;
}
BACKEND_CASE(several)

/* Between two waits a descriptor may become another one. */
static int reused_task(void *arg)
{
    (void)arg;
    int fd = -1;
    for (int i = 0; i < 20; i++) {
        int p[2];
        CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
        if (fd >= 0) CHECK_EQ(p[0], fd);
        fd = p[0];
        CHECK_EQ(ars_wait_fd(fd, ARS_FD_IN, ars_after(1)), ARS_ETIMEDOUT);
        waiting w = {.fd = fd, .events = ARS_FD_IN, .deadline = ARS_FOREVER};
        ars_group group;
        start(&group, wait_it, &w);
        settle();
        CHECK_EQ(write(p[1], "x", 1), 1);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
        CHECK_EQ(w.result, ARS_FD_IN);
        close(p[0]);
        close(p[1]);
    }
    return 0;
}
BACKEND_CASE(reused)

/*
 * A descriptor is closed while somebody waits for it, and its number becomes
 * another one's: who waits for that one hears of it and of nothing else, also
 * where a duplicate keeps the first one open; and who waited for the first one
 * is not forgotten.  poll(2) cannot tell them apart.
 */
static int replaced_task(void *arg)
{
    (void)arg;
    (void)!first_io(NULL);
    int by_number = strcmp(backend_name(), "poll") == 0;
    for (int i = 0; i < 20; i++) {
        int a[2], b[2], keep = -1;
        CHECK_EQ(pipe2(a, O_CLOEXEC), 0);
        CHECK_EQ(pipe2(b, O_CLOEXEC), 0);
        int fd = a[0];
        waiting w = {.fd = fd, .events = ARS_FD_IN, .deadline = ARS_FOREVER}, other = w, next = w;
        ars_group old, new;
        CHECK_EQ(ars_group_init(&old, NULL, ARS_COLLECT), 0);
        go_beside(&old, wait_it, &w);
        go_beside(&old, wait_it, &other);
        settle();
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0); /* they are with the kernel */
        if (i % 2) keep = dup(fd);
        CHECK_EQ(dup3(b[0], fd, O_CLOEXEC), fd);
        start(&new, wait_it, &next);
        settle();
        if (keep >= 0) {
            CHECK_EQ(write(a[1], "x", 1), 1);
            CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
            CHECK_EQ(next.result, 0);
        }
        if (!by_number && i % 3 == 0) {
            /* The last of those who waited for the first one leaves. */
            ars_group_cancel(&old, 0);
            CHECK(ars_group_wait(&old, soon()) < 0);
            CHECK_EQ(next.result, 0);
        }
        CHECK_EQ(write(b[1], "x", 1), 1);
        CHECK_EQ(ars_group_wait(&new, soon()), 0);
        CHECK_EQ(next.result, ARS_FD_IN);
        ars_group_cancel(&old, 0);
        (void)!ars_group_wait(&old, soon());
        if (!by_number && keep < 0) CHECK(w.result < 0 && other.result == w.result);
        if (!by_number && keep >= 0) CHECK(w.result == ARS_FD_IN || w.result == ARS_EBADF);
        CHECK(w.result != 0 && other.result != 0);
        if (keep >= 0) close(keep);
        close(fd);
        close(a[1]);
        close(b[0]);
        close(b[1]);
    }
    return 0;
}
BACKEND_CASE(replaced)

/* The same when the number becomes a connection's, whose registration must stay what it is. */
static int becomes_connection_task(void *arg)
{
    (void)arg;
    int s[2];
    char byte;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    peer p;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    waiting w[2] = {{.fd = s[0], .events = ARS_FD_IN, .deadline = ARS_FOREVER}};
    w[1] = w[0];
    ars_group old;
    CHECK_EQ(ars_group_init(&old, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 2; i++) go_beside(&old, wait_it, &w[i]);
    settle();
    p.fd = plain_connect(&addr);
    close(s[0]);
    CHECK_EQ(ars_listener_accept(listener, &p.conn, soon()), 0);
    CHECK_EQ(ars_conn_read(p.conn, &byte, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
    ars_group_cancel(&old, 0);
    CHECK(ars_group_wait(&old, soon()) < 0);
    int rc = ars_wait_fd(s[0], ARS_FD_IN, ars_after(ARS_MILLISECOND));
    CHECK_EQ(rc, strcmp(backend_name(), "epoll") == 0 ? ARS_EBUSY : ARS_ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        plain_send(p.fd, "x", 1);
        CHECK_EQ(ars_conn_read(p.conn, &byte, 1, soon()), 1);
    }
    peer_close(&p);
    ars_listener_close(listener);
    close(s[1]);
    return 0;
}
BACKEND_CASE(becomes_connection)

static int signals_task(void *arg)
{
    (void)arg;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    waiting w = {.fd = fd, .events = ARS_FD_IN, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, wait_it, &w);
    settle();
    raise(SIGUSR1);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(w.result, ARS_FD_IN);
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    close(fd);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return 0;
}
BACKEND_CASE(signals)

/* ---- as a case of a select ---- */

typedef struct choice {
    ars_case *cases;
    size_t n;
    ars_time deadline;
    int result;
} choice;

static int choose(void *arg)
{
    choice *c = arg;
    c->result = ars_select(c->cases, c->n, c->deadline);
    return 0;
}

static void expect_idle(void)
{
    ars_run_stats stats;
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.operations, 0);
}

/* A descriptor beside a channel: each wakes the select, and leaves nothing in the other. */
static int selects_task(void *arg)
{
    (void)arg;
    int p[2], value = 7, got = 0;
    char byte;
    ars_chan *chan;
    ars_group group;
    CHECK_EQ(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    CHECK_EQ(ars_chan_new(&chan, sizeof(int), 0, NULL), 0);
    ars_case cases[] = {ARS_READY(p[0], ARS_FD_IN), ARS_RECV(chan, &got), ARS_READY(-1, ARS_FD_IN)};
    CHECK_EQ(ars_select(cases, 3, 0), ARS_ETIMEDOUT);
    for (int i = 0; i < 50; i++) {
        choice c = {.cases = cases, .n = 3, .deadline = ARS_FOREVER};
        start(&group, choose, &c);
        settle();
        if (i % 3 == 0) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
        switch (i % 5) {
        case 0: CHECK_EQ(write(p[1], "x", 1), 1); break;
        case 1: CHECK_EQ(ars_chan_send(chan, &value, soon()), 0); break;
        case 2: ars_group_cancel(&group, ARS_ECANCELED); break;
        case 3:
            /* Both at once: one of them is done. */
            CHECK_EQ(write(p[1], "x", 1), 1);
            CHECK_EQ(ars_chan_send(chan, &value, soon()), 0);
            break;
        default: {
            ars_case again[] = {cases[0], cases[1]};
            CHECK_EQ(ars_select(again, 1, ars_after(ARS_MILLISECOND)), ARS_ETIMEDOUT);
            CHECK_EQ(write(p[1], "x", 1), 1);
            CHECK_EQ(ars_select(again, 2, soon()), 0);
        }
        }
        CHECK_EQ(ars_group_wait(&group, soon()), i % 5 == 2 ? ARS_ECANCELED : 0);
        CHECK_EQ(c.result, i % 5 == 2 ? ARS_ECANCELED : i % 5 == 1 || i % 5 == 3);
        while (read(p[0], &byte, 1) == 1) {}
        CHECK_EQ(ars_chan_send(chan, &value, 0), ARS_ETIMEDOUT); /* nobody is left there */
        expect_idle();
    }
    /* Readers, writers and selects together; the same one twice. */
    ars_case twice[] = {ARS_READY(p[0], ARS_FD_IN), ARS_READY(p[0], ARS_FD_IN)};
    choice c[4];
    waiting w = {.fd = p[0], .events = ARS_FD_IN, .deadline = ARS_FOREVER};
    ars_case copies[4][2];
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < 4; i++) {
        memcpy(copies[i], twice, sizeof twice);
        c[i] = (choice){.cases = copies[i], .n = 2, .deadline = ARS_FOREVER};
        go_beside(&group, choose, &c[i]);
    }
    go_beside(&group, wait_it, &w);
    settle();
    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    for (int i = 0; i < 4; i++) CHECK(c[i].result == 0 || c[i].result == 1);
    CHECK_EQ(w.result, ARS_FD_IN);
    expect_idle();
    /* Errors end it. */
    ars_case bad[] = {ARS_RECV(chan, &got), ARS_READY(1000, ARS_FD_IN)};
    CHECK_EQ(ars_select(bad, 2, soon()), ARS_EBADF);
    bad[1] = ARS_READY(-7, ARS_FD_IN);
    CHECK_EQ(ars_select(bad, 2, soon()), ARS_EBADF);
    bad[1] = ARS_READY(p[0], 0);
    CHECK_EQ(ars_select(bad, 2, soon()), ARS_EINVAL);
    bad[1] = ARS_READY(p[0], ARS_FD_IN | ARS_FD_HUP);
    CHECK_EQ(ars_select(bad, 2, 0), ARS_EINVAL);
    ars_chan_free(chan);
    close(p[0]);
    close(p[1]);
    return 0;
}

static void *selects_on_thread(void *arg)
{
    ars_case one = ARS_READY(2, ARS_FD_OUT);
    CHECK_EQ(ars_select(&one, 1, 0), ARS_EINVAL);
    return arg;
}

static void selects(void)
{
    selects_on_thread(NULL);
    on_each_backend(selects_task);
}

/* The number becomes another's while a select that names it twice is at its second case. */
static int selects_replaced_task(void *arg)
{
    (void)arg;
    int a[2], b[2];
    CHECK_EQ(pipe2(a, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(b, O_CLOEXEC), 0);
    ars_case cases[] = {ARS_READY(a[0], ARS_FD_IN), ARS_READY(b[0], ARS_FD_IN)};
    choice c = {.cases = cases, .n = 2, .deadline = ARS_FOREVER};
    ars_group group;
    start(&group, choose, &c);
    settle();
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(dup3(b[0], a[0], O_CLOEXEC), a[0]);
    waiting w = {.fd = a[0], .events = ARS_FD_IN, .deadline = ARS_FOREVER};
    ars_group other;
    start(&other, wait_it, &w);
    settle();
    CHECK_EQ(write(b[1], "x", 1), 1);
    CHECK_EQ(ars_group_wait(&other, soon()), 0);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    CHECK_EQ(w.result, ARS_FD_IN);
    CHECK(c.result == 1 || c.result == ARS_EBADF ||
          (c.result == 0 && !strcmp(backend_name(), "poll")));
    expect_idle();
    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);
    return 0;
}
BACKEND_CASE(selects_replaced)

/* Nobody else runs: the worker waits in the name of the task that selects. */
static int selects_alone_task(void *arg)
{
    (void)arg;
    struct itimerspec soon_once = {.it_value.tv_nsec = 2000000};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    CHECK_EQ(timerfd_settime(fd, 0, &soon_once, NULL), 0);
    ars_case one = ARS_READY(fd, ARS_FD_IN);
    CHECK_EQ(ars_select(&one, 1, soon()), 0);
    close(fd);
    return 0;
}
BACKEND_CASE(selects_alone)

static const test_case cases[] = {
    {"ready", ready},
    {"refuses", refuses},
    {"files", files},
    {"cancel", cancel},
    {"several", several},
    {"reused", reused},
    {"signals", signals},
    {"replaced", replaced},
    {"becomes_connection", becomes_connection},
    {"selects", selects},
    {"selects_replaced", selects_replaced},
    {"selects_alone", selects_alone},
};
TEST_MAIN(cases)
