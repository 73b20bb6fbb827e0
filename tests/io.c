/* SPDX-License-Identifier: MIT */
/* The contract of io/backend.h, on each backend; and which backend is chosen when not all can be had. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "fault.h"
#include "io/backend.h"
#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

/* ---- requests without tasks ---- */

typedef struct asked {
    ars__request request;
    int32_t result;
    int pending; /* as submit() said */
    int done;    /* how often */
} asked;

static void record(ars__request *request, int32_t result)
{
    asked *a = ARS__MEMBER(request, asked, request);
    a->result = result;
    a->done++;
}

static ars__loop *this_loop(void)
{
    ars__loop *loop;
    CHECK_EQ(ars__loop_get(&loop, ars__task_self()), 0);
    return loop;
}

static void turn(ars__loop *loop)
{
    loop->poller.ops->turn(&loop->poller, ars_after(ARS_MILLISECOND));
}

static void ask(asked *a, int kind, ars__source *source, void *buf, size_t len)
{
    *a = (asked){
        .request = {
            .kind = (uint8_t)kind, .done = record, .source = source, .buf = buf, .len = len}};
    a->result = ars__submit(&a->request, 1);
    a->pending = a->result == ARS__PENDING;
}

static void ask_poll(asked *a, int fd)
{
    *a = (asked){.request = {.kind = ARS__POLL, .done = record, .len = ARS_FD_IN, .fd = fd}};
    a->request.loop = this_loop();
    a->result = a->request.loop->backend->submit(&a->request, 1);
    a->pending = a->result == ARS__PENDING;
}

/* The result, whether it comes at once or later; and once only. */
static int32_t await(asked *a)
{
    ars__loop *loop = this_loop();
    for (int i = 0; i < 5000 && a->done < a->pending; i++) turn(loop);
    CHECK_EQ(a->done, a->pending);
    turn(loop);
    CHECK_EQ(a->done, a->pending);
    return a->result;
}

static int freed_count;

static void count_freed(ars__source *source)
{
    (void)source;
    freed_count++;
}

/* A stream and the plain descriptor at its other end. */
static int open_stream(ars__source *source)
{
    ars__loop *loop = this_loop();
    int s[2];
    int flags = SOCK_CLOEXEC | (loop->backend->nonblock ? SOCK_NONBLOCK : 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | flags, 0, s), 0);
    fcntl(s[1], F_SETFL, 0);
    CHECK_EQ(ars__source_open(source, loop, s[0], ARS__STREAM, count_freed), 0);
    return s[1];
}

/* Closes it; it must be let go of, once, and soon. */
static void close_source(ars__source *source)
{
    ars__loop *loop = this_loop();
    freed_count = 0;
    ars__source_close(source);
    for (int i = 0; i < 5000 && !freed_count; i++) turn(loop);
    CHECK_EQ(freed_count, 1);
    CHECK_EQ(loop->in_flight, 0);
}

/* Sources are addressed with tags in their low bits. */
#define SOURCE(name) ars__source name __attribute__((aligned(64)))

static int receives_task(void *arg)
{
    (void)arg;
    SOURCE(source);
    char buf[16];
    asked a, b;
    int fd = open_stream(&source);
    ask(&a, ARS__RECV, &source, buf, sizeof buf);
    CHECK_EQ(a.result, ARS__PENDING);
    ask(&b, ARS__RECV, &source, buf, sizeof buf);
    CHECK_EQ(b.result, ARS_EBUSY);
    ask(&b, ARS__LOAN, &source, NULL, 0);
    CHECK_EQ(b.result, ARS_EBUSY);
    plain_send(fd, "0123456789", 10);
    CHECK_EQ(await(&a), 10);
    CHECK(memcmp(buf, "0123456789", 10) == 0);

    plain_send(fd, "0123456789", 10);
    ask(&a, ARS__RECV, &source, buf, 4);
    CHECK_EQ(await(&a), 4);
    ask(&a, ARS__LOAN, &source, NULL, 0);
    CHECK_EQ(await(&a), 6);
    CHECK_EQ(a.request.len, 6);
    CHECK(memcmp(a.request.buf, "456789", 6) == 0);
    this_loop()->backend->loan_return(this_loop(), a.request.loan);

    /* Not waiting, nothing stays behind. */
    a.request.kind = ARS__RECV;
    a.request.buf = buf;
    CHECK_EQ(ars__submit(&a.request, 0), ARS_EAGAIN);
    CHECK(source.reader == NULL);
    close(fd);
    CHECK_EQ(ars__submit(&a.request, 0), 0);
    ask(&a, ARS__RECV, &source, buf, 4);
    CHECK_EQ(await(&a), 0);
    close_source(&source);
    return 0;
}
BACKEND_CASE(receives)

/* Being ready consumes nothing, and counts as the reader. */
static int ready_task(void *arg)
{
    (void)arg;
    SOURCE(source);
    char buf[16];
    asked a, b;
    int fd = open_stream(&source);
    const ars__backend *backend = this_loop()->backend;
    CHECK_EQ(backend->ready(&source, 1), 0);
    ask(&a, ARS__READY, &source, NULL, 0);
    CHECK_EQ(a.result, ARS__PENDING);
    ask(&b, ARS__READY, &source, NULL, 0);
    CHECK_EQ(b.result, ARS_EBUSY);
    ask(&b, ARS__RECV, &source, buf, sizeof buf);
    CHECK_EQ(b.result, ARS_EBUSY);
    turn(this_loop());
    CHECK_EQ(a.done, 0);

    /* Taken back at once, asked for again. */
    ars__request_withdraw(&a.request);
    CHECK(source.reader == NULL);
    ask(&a, ARS__READY, &source, NULL, 0);
    plain_send(fd, "0123456789", 10);
    CHECK_EQ(await(&a), 0);
    CHECK_EQ(backend->ready(&source, 0), 1);
    ask(&a, ARS__READY, &source, NULL, 0);
    CHECK_EQ(await(&a), 0);
    ask(&a, ARS__RECV, &source, buf, sizeof buf);
    CHECK_EQ(await(&a), 10);
    CHECK_EQ(backend->ready(&source, 0), 0);
    CHECK_EQ(backend->ready(&source, 1), 0);
    plain_send(fd, "x", 1);
    CHECK_EQ(backend->ready(&source, 1), 1);
    ask(&a, ARS__RECV, &source, buf, sizeof buf);
    CHECK_EQ(await(&a), 1);

    ask(&a, ARS__READY, &source, NULL, 0);
    close(fd);
    CHECK_EQ(await(&a), 0);
    ask(&a, ARS__RECV, &source, buf, 4);
    CHECK_EQ(await(&a), 0);
    close_source(&source);

    fd = open_stream(&source);
    ask(&a, ARS__READY, &source, NULL, 0);
    close_source(&source);
    CHECK_EQ(a.done, 1);
    CHECK_EQ(a.result, ARS_EBADF);
    close(fd);
    return 0;
}
BACKEND_CASE(ready)

/* What nobody reads stays in the kernel, but for a little; then it goes on where it was. */
static int unread_task(void *arg)
{
    (void)arg;
    SOURCE(source);
    static unsigned char chunk[4096], buf[4096];
    asked a;
    size_t sent = 0, got = 0;
    int fd = open_stream(&source);
    ask(&a, ARS__RECV, &source, buf, 1);
    stream_fill(2, 0, chunk, sizeof chunk);
    for (int i = 0; i < 40; i++) {
        for (;;) {
            stream_fill(2, sent, chunk, sizeof chunk);
            ssize_t n = send(fd, chunk, sizeof chunk, MSG_DONTWAIT);
            if (n <= 0) break;
            sent += (size_t)n;
        }
        turn(this_loop());
    }
    CHECK_EQ(await(&a), 1);
    stream_check(2, got++, buf, 1);
    CHECK(source.unread.count < 100);
    CHECK(!source.receiving);
    while (got < sent) {
        ask(&a, ARS__RECV, &source, buf, sizeof buf);
        int32_t n = await(&a);
        CHECK(n > 0);
        stream_check(2, got, buf, (size_t)n);
        got += (size_t)n;
    }
    close(fd);
    close_source(&source);
    return 0;
}
BACKEND_CASE(unread)

enum { BIG = 4 << 20 };

static int sends_task(void *arg)
{
    (void)arg;
    SOURCE(source);
    static unsigned char data[BIG], buf[BIG + 16];
    asked a, b, c;
    int fd = open_stream(&source);
    stream_fill(1, 0, data, BIG);
    ask(&a, ARS__SEND, &source, data, BIG);
    ask(&b, ARS__SEND, &source, data, 16);
    ask(&c, ARS__SEND, &source, data, 16);
    CHECK_EQ(a.result, ARS__PENDING);
    CHECK_EQ(ars__submit(&(ars__request){.kind = ARS__SEND, .source = &source}, 0), ARS_EAGAIN);
    for (int i = 0; i < 5; i++) turn(this_loop());
    /* The end of what is under way: what went before is counted, the next one starts. */
    a.request.why = ARS_ECANCELED;
    this_loop()->backend->cancel(&a.request);
    CHECK_EQ(await(&a), ARS_ECANCELED);
    CHECK(a.request.progress > 0 && a.request.progress < BIG);
    CHECK_EQ(b.done + c.done, 0);
    size_t n = a.request.progress;
    plain_recv(fd, buf, n);
    stream_check(1, 0, buf, n);
    CHECK_EQ(await(&b), 0);
    CHECK_EQ(await(&c), 0);
    CHECK_EQ(b.request.progress, 16);
    plain_recv(fd, buf, 32);
    stream_check(1, 0, buf, 16);
    stream_check(1, 0, buf + 16, 16);
    /* What completed is not undone by a cancel that comes with it. */
    ask(&a, ARS__SEND, &source, data, 16);
    if (a.result == ARS__PENDING) {
        a.request.why = ARS_ECANCELED;
        this_loop()->backend->cancel(&a.request);
    }
    CHECK_EQ(await(&a), 0);
    CHECK_EQ(a.request.progress, 16);
    close(fd);
    ask(&a, ARS__SEND, &source, data, 16);
    CHECK_EQ(await(&a), ARS_EPIPE);
    CHECK_EQ(a.request.progress, 0);
    close_source(&source);
    return 0;
}
BACKEND_CASE(sends)

static int accepts_task(void *arg)
{
    (void)arg;
    SOURCE(source);
    SOURCE(dialled);
    ars__loop *loop = this_loop();
    int type = SOCK_STREAM | SOCK_CLOEXEC | (loop->backend->nonblock ? SOCK_NONBLOCK : 0);
    struct sockaddr_storage ss = {.ss_family = AF_INET};
    socklen_t len = sizeof ss;
    asked a[3], c;
    int fd = socket(AF_INET, type, 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&ss, 16), 0);
    CHECK_EQ(listen(fd, 10), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    CHECK_EQ(ars__source_open(&source, loop, fd, ARS__LISTENER, count_freed), 0);
    for (int i = 0; i < 3; i++) {
        ask(&a[i], ARS__ACCEPT, &source, NULL, 0);
        CHECK_EQ(a[i].result, ARS__PENDING);
    }
    CHECK_EQ(ars__source_open(&dialled, loop, socket(AF_INET, type, 0), ARS__STREAM, count_freed),
             0);
    ask(&c, ARS__CONNECT, &dialled, &ss, len);
    CHECK_EQ(await(&c), 0);
    CHECK(await(&a[0]) >= 0);
    CHECK_EQ(fcntl(a[0].result, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(!!(fcntl(a[0].result, F_GETFL) & O_NONBLOCK), loop->backend->nonblock);
    /* One that is given back goes to the next. */
    CHECK_EQ(a[1].done, 0);
    ars__accept_done(&source, a[0].result);
    CHECK_EQ(await(&a[1]), a[0].result);
    close(a[1].result);
    /* The last one hears of the close. */
    freed_count = 0;
    ars__source_close(&source);
    CHECK_EQ(await(&a[2]), ARS_EBADF);
    CHECK_EQ(freed_count, 1);
    close_source(&dialled);
    return 0;
}
BACKEND_CASE(accepts)

static int polls_task(void *arg)
{
    (void)arg;
    int p[2];
    asked a, b;
    CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
    ask_poll(&a, p[0]);
    ask_poll(&b, p[0]);
    CHECK(a.pending && b.pending);
    turn(this_loop());
    CHECK_EQ(this_loop()->in_flight, 2);
    a.request.why = ARS_ETIMEDOUT;
    a.request.loop->backend->cancel(&a.request);
    CHECK_EQ(await(&a), ARS_ETIMEDOUT);
    CHECK_EQ(b.done, 0);
    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK_EQ(await(&b), ARS_FD_IN);
    CHECK_EQ(this_loop()->in_flight, 0);
    close(p[0]);
    close(p[1]);
    return 0;
}
BACKEND_CASE(polls)

/* With everything pending at once, a close tells everybody, and lets go last. */
static int closes_task(void *arg)
{
    (void)arg;
    SOURCE(source);
    static unsigned char data[BIG];
    char buf[16];
    asked r, a, b;
    for (int turns = 0; turns < 3; turns++) {
        int fd = open_stream(&source);
        ask(&r, ARS__RECV, &source, buf, sizeof buf);
        ask(&a, ARS__SEND, &source, data, BIG);
        ask(&b, ARS__SEND, &source, data, BIG);
        for (int i = 0; i < turns; i++) turn(this_loop());
        freed_count = 0;
        ars__source_close(&source);
        CHECK_EQ(r.done, 1);
        CHECK_EQ(r.result, ARS_EBADF);
        CHECK_EQ(b.result, ARS_EBADF);
        CHECK_EQ(await(&a), ARS_EBADF);
        CHECK_EQ(await(&b), ARS_EBADF);
        CHECK_EQ(freed_count, 1);
        CHECK_EQ(this_loop()->in_flight, 0);
        close(fd);
    }
    return 0;
}
BACKEND_CASE(closes)

/* ---- sleeping and waking ---- */

typedef struct waker {
    ars__poller *poller;
    ars_atomic_u32 woken;
} waker;

static void *wake_later(void *arg)
{
    waker *w = arg;
    usleep(20000);
    ars_atomic_u32_store_release(&w->woken, 1);
    w->poller->ops->wake(w->poller);
    return NULL;
}

static int wakes_task(void *arg)
{
    (void)arg;
    ars__loop *loop = this_loop();
    for (int i = 0; i < 5; i++) {
        waker w = {.poller = &loop->poller};
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, wake_later, &w), 0);
        while (!ars_atomic_u32_load_acquire(&w.woken))
            loop->poller.ops->turn(&loop->poller, soon());
        pthread_join(thread, NULL);
        /* One that came before the wait counts too, whenever it is used up. */
        loop->poller.ops->wake(&loop->poller);
        loop->poller.ops->turn(&loop->poller, soon());
        loop->poller.ops->turn(&loop->poller, 0);
        ars_time deadline = ars_after(5 * ARS_MILLISECOND);
        while (ars_now() < deadline) loop->poller.ops->turn(&loop->poller, deadline);
        loop->poller.ops->turn(&loop->poller, 1);
    }
    return 0;
}

static void *nothing(void *arg)
{
    return arg;
}

static void wakes(void)
{
    /* The C library keeps the stack of a thread for the next one. */
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
    pthread_join(thread, NULL);
    on_each_backend(wakes_task);
}

enum { CROWD = 3000 };

static int wait_for_event(void *fd)
{
    return ars_wait_fd(*(int *)fd, ARS_FD_IN, ARS_FOREVER) == ARS_FD_IN ? 0 : ARS_EIO;
}

/* More completions at one moment than a small ring holds. */
static int crowd_task(void *arg)
{
    (void)arg;
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t one = 1;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < CROWD; i++) go_beside(&group, wait_for_event, &fd);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(write(fd, &one, sizeof one), sizeof one);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    close(fd);
    return 0;
}

static void crowd(void)
{
    on_each_backend(crowd_task);
    fault_at("uring_setup", 1, ARS_ENOMEM, 1);
    on_each_backend(crowd_task);
    CHECK_EQ(fault_hits("uring_setup"), 1);
    fault_reset();
}

enum { CONNS = 1300 };

static int read_until_error(void *conn)
{
    char buf[8];
    return ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER);
}

/*
 * So many cancels at one moment that they do not fit into the ring, and the
 * kernel does not take what is in it: they are owed, and paid later.
 */
static int no_room_task(void *arg)
{
    (void)arg;
    static peer p[CONNS];
    struct rlimit limit;
    ars_addr addr;
    ars_group group;
    int fd = eventfd(0, EFD_CLOEXEC);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int n = limit.rlim_cur < 2 * CONNS + 100 ? ((int)limit.rlim_cur - 100) / 2 : CONNS;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < n; i++) {
        p[i] = peer_of(listener, &addr);
        go_beside(&group, read_until_error, p[i].conn);
    }
    for (int i = 0; i < CROWD; i++) go_beside(&group, wait_for_event, &fd);
    settle();
    fault_at("uring_enter", 1, ARS_EBUSY, 4 * (CONNS + CROWD));
    for (int i = 0; i < n; i++) ars_conn_close(p[i].conn);
    ars_group_cancel(&group, 0);
    CHECK_EQ(ars_group_wait(&group, soon()), ARS_ECANCELED);
    if (strcmp(backend_name(), "io_uring") == 0) CHECK(fault_hits("uring_enter") > 100);
    fault_reset();
    ars_listener_close(listener);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(this_loop()->in_flight, 0);
    for (int i = 0; i < n; i++) {
        char byte;
        CHECK_EQ(recv(p[i].fd, &byte, 1, 0), 0);
        close(p[i].fd);
    }
    close(fd);
    return 0;
}
BACKEND_CASE(no_room)

/* ---- which backend ---- */

/* Something of everything. */
static int echo_once(void *arg)
{
    (void)arg;
    ars_conn *a, *b;
    char buf[64];
    pair_open(&a, &b);
    CHECK_EQ(ars_conn_read(b, buf, sizeof buf, ars_after(1)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_write(a, "hello", 5, NULL, soon()), 0);
    CHECK_EQ(ars_conn_read(b, buf, sizeof buf, soon()), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    ars_conn_close(a);
    ars_conn_close(b);
    return 0;
}

static const char *expected_backend;

static int echo_on_expected(void *arg)
{
    int rc = echo_once(arg);
    CHECK_STR(backend_name(), expected_backend);
    return rc;
}

static int first_call(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_listener *listener;
    CHECK_STR(backend_name(), "none");
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:0"), 0);
    return ars_listener_open(&listener, &addr, NULL);
}

static void run_on(unsigned backend, ars_fn *fn, int expected)
{
    static world w;
    world_begin(&w);
    w.config.backend = backend;
    CHECK_EQ(ars_run(fn, &w, &w.config), expected);
    test_gate_end(&w.gate, 0);
}

static void expect(const char *name)
{
    expected_backend = name;
    run_on(ARS_BACKEND_AUTO, echo_on_expected, 0);
}

static void uring_is_here(void *arg)
{
    (void)arg;
    run_on(ARS_BACKEND_URING, echo_once, 0);
}

static void chooses(void)
{
    test_end end = test_child(uring_is_here, NULL);
    expect(end.status == 0 && end.signal == 0 ? "io_uring" : "epoll");
    expected_backend = "epoll";
    run_on(ARS_BACKEND_EPOLL, echo_on_expected, 0);
    expected_backend = "poll";
    run_on(ARS_BACKEND_POLL, echo_on_expected, 0);
    /* Where the better ones are refused it comes by itself. */
    fault_at("uring_setup", 1, ARS_EPERM, -1);
    fault_at("epoll_create", 1, ARS_EPERM, -1);
    expect("poll");
    fault_reset();
}

/* Each step of the ladder of flags, and each way in which there is no io_uring in the end. */
static void ladder(void)
{
    test_end end = test_child(uring_is_here, NULL);
    if (end.status != 0 || end.signal != 0) {
        test_skipped("no io_uring here");
        return;
    }
    for (int refusals = 1; refusals < 4; refusals++) {
        fault_at("uring_setup", 1, ARS_EINVAL, refusals);
        expect("io_uring");
        CHECK_EQ(fault_hits("uring_setup"), refusals);
        fault_at("uring_setup", 1, ARS_EINVAL, refusals);
        run_on(ARS_BACKEND_URING, echo_once, 0);
        fault_reset();
    }
    static const struct {
        const char *site;
        unsigned nth;
        int error;
    } ends[] = {
        {"uring_setup", 1, ARS_EINVAL},    {"uring_setup", 1, ARS_ENOSYS},
        {"uring_setup", 1, ARS_EPERM},     {"uring_setup", 1, ARS_EACCES},
        {"uring_setup", 1, ARS_ENOMEM},    {"uring_map", 1, ARS_ENOMEM},
        {"uring_map", 2, ARS_ENOMEM},      {"uring_register", 1, ARS_EINVAL},
        {"uring_register", 2, ARS_EINVAL},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        fault_at(ends[i].site, ends[i].nth, ends[i].error, -1);
        expect("epoll");
        CHECK(fault_hits(ends[i].site) > 0);
        fault_at(ends[i].site, ends[i].nth, ends[i].error, -1);
        run_on(ARS_BACKEND_URING, first_call, ends[i].error);
        fault_reset();
    }
    /* A limit of descriptors is no reason to do without. */
    fault_at("uring_setup", 1, ARS_EMFILE, 1);
    run_on(ARS_BACKEND_AUTO, first_call, ARS_EMFILE);
    fault_reset();
}

/* ---- sweeps ---- */

/* Tries everything that may fail, and goes on with what there is. */
static int survive(void *arg)
{
    ars_addr addr;
    ars_listener *listener = NULL;
    ars_conn *a = NULL, *b = NULL;
    char buf[64];
    ars_time deadline = ars_after(50 * ARS_MILLISECOND);
    int p[2];
    (void)arg;
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:0"), 0);
    if (ars_listener_open(&listener, &addr, NULL) == 0 && ars_listener_addr(listener, &addr) == 0 &&
        ars_conn_dial(&a, &addr, NULL, deadline) == 0) {
        ars_case acceptable = ARS_ACCEPTABLE(listener);
        (void)!ars_select(&acceptable, 1, deadline);
        if (ars_listener_accept(listener, &b, deadline) < 0)
            (void)!ars_listener_accept(listener, &b, 0);
        ars_case readable = ARS_READABLE(b);
        size_t sent;
        for (int i = 0; i < 3 && b; i++) {
            int rc = ars_conn_write(a, "hello", 5, &sent, deadline);
            CHECK_EQ(sent, rc == 0 ? 5 : 0);
            if (rc < 0) continue;
            (void)!ars_select(&readable, 1, i == 1 ? 0 : deadline);
            int n = ars_conn_read(b, buf, sizeof buf, deadline);
            if (n > 0) CHECK_EQ(memcmp(buf, "hello", 5), 0);
            ars_loan loan;
            if (ars_conn_write(b, "loan", 4, NULL, 0) == 0 &&
                ars_conn_read_loan(a, &loan, deadline) > 0) {
                CHECK_EQ(memcmp(loan.data, "loan", 4), 0);
                ars_conn_read_return(&loan);
            }
        }
        (void)!ars_conn_dial(&(ars_conn *){NULL}, &addr, NULL, 0);
    }
    ars_conn_close(a);
    ars_conn_close(b);
    CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
    (void)!ars_wait_fd(p[0], ARS_FD_IN, ars_after(ARS_MILLISECOND));
    ars_case one = ARS_READY(p[0], ARS_FD_IN);
    (void)!ars_select(&one, 1, ars_after(ARS_MILLISECOND));
    close(p[0]);
    close(p[1]);
    ars_listener_close(listener);
    return 0;
}

static void survive_on(unsigned backend, const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    int rc = ars_run(survive, NULL, &config);
    if (rc != 0 && rc != ARS_ENOMEM) FAIL("ars_run: %d (%s)", rc, ars_strerror(rc));
}

static void survive_uring(const ars_alloc *alloc)
{
    survive_on(ARS_BACKEND_AUTO, alloc);
}

static void survive_epoll(const ars_alloc *alloc)
{
    survive_on(ARS_BACKEND_EPOLL, alloc);
}

static void survive_poll(const ars_alloc *alloc)
{
    survive_on(ARS_BACKEND_POLL, alloc);
}

static void no_memory(void)
{
    CHECK(sweep_alloc("poll", survive_poll) > 5);
    CHECK(sweep_alloc("auto", survive_uring) > 5);
    CHECK(sweep_alloc("epoll", survive_epoll) > 5);
}

static void failing_calls(void)
{
    CHECK(sweep_os("auto", survive_uring) > 50);
    CHECK(sweep_os("epoll", survive_epoll) > 50);
    CHECK(sweep_os("poll", survive_poll) > 50);
}

/* The contract, one case after the other. */
static void contract(void)
{
    static const test_case parts[] = {
        {"receives", receives}, {"ready", ready}, {"unread", unread}, {"sends", sends},
        {"accepts", accepts},   {"polls", polls}, {"closes", closes}, {"wakes", wakes},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        printf("  %s\n", parts[i].name);
        parts[i].run();
    }
}

static void refused_child(void *arg)
{
    (void)arg;
    if (!test_refuse_uring()) _exit(77);
    expect("epoll");
    run_on(ARS_BACKEND_URING, first_call, ARS_EPERM);
    contract();
}

/* The contract in a process that is refused io_uring. */
static void refused(void)
{
    test_end end = test_child(refused_child, NULL);
    if (end.status == 77) {
        test_skipped("no seccomp here");
        return;
    }
    CHECK_STR(end.err, "");
    CHECK_EQ(end.status, 0);
}

static const test_case cases[] = {
    {"contract", contract},   {"crowd", crowd},
    {"no_room", no_room},     {"chooses", chooses},
    {"refused", refused},     {"ladder", ladder},
    {"no_memory", no_memory}, {"failing_calls", failing_calls},
};
TEST_MAIN(cases)
