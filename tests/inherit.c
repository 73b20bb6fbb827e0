/* SPDX-License-Identifier: MIT */
/* Listeners that a process was started with, in processes that are started so. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "fault.h"
#include "peer.h"

enum { FIRST = 3 };

/* The descriptors from 3 on: two that listen, one that is connected to the first, and a pipe. */
static ars_addr one, two;

static int plain_listen(ars_addr *addr, const char *text)
{
    size_t len;
    socklen_t got = sizeof(struct sockaddr_storage);
    struct sockaddr_storage bound;
    CHECK_EQ(ars_addr_parse(addr, text), 0);
    const struct sockaddr *sa = ars_addr_sockaddr(addr, &len);
    int fd = socket(sa->sa_family, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, sa, (socklen_t)len), 0);
    CHECK_EQ(listen(fd, 5), 0);
    CHECK_EQ(getsockname(fd, (void *)&bound, &got), 0);
    CHECK_EQ(ars_addr_from(addr, &bound, got), 0);
    return fd;
}

static void say(const char *pid, const char *fds, const char *names)
{
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", fds, 1);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
}

static void expect(const char *pid, const char *fds, const char *name, int rc)
{
    ars_listener *listener = NULL;
    say(pid, fds, "web:web:rest:pipe");
    CHECK_EQ(ars_listener_inherit(&listener, name, NULL), rc);
    CHECK(listener == NULL);
}

static void expect_works(ars_listener *listener, const ars_addr *addr)
{
    ars_conn *conn;
    char c = 0;
    int fd = plain_connect(addr);
    CHECK_EQ(ars_listener_accept(listener, &conn, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(ars_conn_write(conn, "x", 1, NULL, ars_after(10 * ARS_SECOND)), 0);
    plain_recv(fd, &c, 1);
    CHECK_EQ(c, 'x');
    CHECK(fcntl(ars_conn_fd(conn), F_GETFD) & FD_CLOEXEC);
    ars_conn_close(conn);
    close(fd);
}

static int inherits(void *arg)
{
    (void)arg;
    char pid[32];
    ars_listener *a, *b;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    CHECK_EQ(ars_listener_inherit(&a, NULL, NULL), ARS_ENOENT);
    expect("1", "4", NULL, ARS_ENOENT);
    expect(pid, "0", NULL, ARS_ENOENT);
    expect(pid, "", NULL, ARS_EINVAL);
    expect(pid, "4x", NULL, ARS_EINVAL);
    expect(pid, "-1", NULL, ARS_EINVAL);
    expect(pid, "99999999999999999999", NULL, ARS_EINVAL);
    expect("", "4", NULL, ARS_EINVAL);
    expect(pid, "4", "we", ARS_ENOENT);
    expect(pid, "4", "webs", ARS_ENOENT);
    /* Neither a connection nor a pipe listens; they are left as they are. */
    expect(pid, "4", "rest", ARS_EINVAL);
    expect(pid, "4", "pipe", ARS_EINVAL);
    CHECK_EQ(fcntl(FIRST + 2, F_GETFD), 0);
    CHECK_EQ(fcntl(FIRST + 3, F_GETFD), 0);

    say(pid, "4", "web:web:rest:pipe");
    CHECK_EQ(ars_listener_inherit(&a, "web", NULL), 0);
    CHECK_EQ(fcntl(FIRST, F_GETFD), FD_CLOEXEC);
    say(pid, "4", NULL);
    CHECK_EQ(ars_listener_inherit(&b, NULL, NULL), 0);
    CHECK_EQ(fcntl(FIRST + 1, F_GETFD), FD_CLOEXEC);
    expect(pid, "2", NULL, ARS_ENOENT);
    expect(pid, "2", "web", ARS_ENOENT);
    expect_works(a, &one);
    expect_works(b, &two);
    ars_listener_close(a);
    ars_listener_close(b);
    return 0;
}

static void child(void *backend)
{
    ars_config config = {.backend = (unsigned)(uintptr_t)backend, .workers = 1};
    int rc = ars_run(inherits, NULL, &config);
    CHECK_EQ(rc, 0);
}

/* Gives the process, which has only 0, 1 and 2, its descriptors. */
static void started(void *backend)
{
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/arsenal-inherit-%d", (int)getpid());
    for (int fd = FIRST; fd < 64; fd++) close(fd);
    CHECK_EQ(plain_listen(&one, "127.0.0.1:0"), FIRST);
    CHECK_EQ(plain_listen(&two, path), FIRST + 1);
    int p[2], fd = plain_connect(&one);
    CHECK_EQ(fd, FIRST + 2);
    fcntl(fd, F_SETFD, 0);
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(p[0], FIRST + 3);
    int waiting = accept(FIRST, NULL, NULL);
    CHECK(waiting > 0);
    child(backend);
    unlink(path + 5);
}

static void each_backend(void)
{
    for (uintptr_t backend = ARS_BACKEND_URING; backend <= ARS_BACKEND_POLL; backend++) {
        if (is_refused((unsigned)backend)) continue;
        test_end end = test_child(started, (void *)backend);
        CHECK_STR(end.err, "");
        CHECK_EQ(end.status, 0);
    }
}

static const test_case cases[] = {{"each backend", each_backend}};
TEST_MAIN(cases)
