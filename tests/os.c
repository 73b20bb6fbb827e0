/* SPDX-License-Identifier: MIT */
/* Each call of os.h does what it says, leaves errno alone, and can be made to fail. */
#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fault.h"
#include "os/os.h"

/* ---- all calls ---- */

/* Calls that harm nothing; most of them fail when they reach the system. */
static char buffer[64];
static uint32_t word = 5, length;
static void *place;
static uintptr_t started_thread;
static int pipe_ends[2];

static void *lets_itself_go(void *arg)
{
    pthread_detach(pthread_self());
    return arg;
}

static void *ends(void *arg)
{
    return arg;
}

static uintptr_t a_thread(void)
{
    pthread_t started;
    CHECK_EQ(pthread_create(&started, NULL, ends, NULL), 0);
    return (uintptr_t)started;
}

static ars__os_cpu_totals cpu_totals;
static ars__os_cpu_place cpu_place;
static ars__os_cpu_cache cpu_cache;

#define CALLS(X)                                                                                   \
    X(now, ())                                                                                     \
    X(now_coarse, ())                                                                              \
    X(now_real, ())                                                                                \
    X(now_thread, ())                                                                              \
    X(page_size, ())                                                                               \
    X(reserve, (&place, (size_t)1 << 62))                                                          \
    X(release, (buffer + 1, 4096))                                                                 \
    X(discard, (buffer + 1, 4096))                                                                 \
    X(guard_light, (buffer + 1, 4096, 8192, 2))                                                    \
    X(guard_protect, (buffer + 1, 4096))                                                           \
    X(guard_probe, (NULL))                                                                         \
    X(random, (NULL, 1))                                                                           \
    X(futex_wait, (&word, 6, 0))                                                                   \
    X(futex_wake, (&word, 1))                                                                      \
    X(thread_start, (&started_thread, lets_itself_go, NULL))                                       \
    X(thread_join, (a_thread()))                                                                   \
    X(thread_let_go, (a_thread()))                                                                 \
    X(thread_yield, ())                                                                            \
    X(barrier_init, ())                                                                            \
    X(barrier, ())                                                                                 \
    X(sigpipe_block, ())                                                                           \
    X(sigpipe_restore, (1))                                                                        \
    X(signal_catch, (0, NULL))                                                                     \
    X(signal_leave, (0))                                                                           \
    X(cpu_count, ())                                                                               \
    X(cpu_totals_get, (&cpu_totals))                                                               \
    X(cpu_place_get, (0, &cpu_place))                                                              \
    X(cpu_cache_get, (0, 0, &cpu_cache))                                                           \
    X(close, (-1))                                                                                 \
    X(read, (-1, buffer, 1))                                                                       \
    X(write, (-1, buffer, 1))                                                                      \
    X(set_cloexec, (-1, 1))                                                                        \
    X(pid, ())                                                                                     \
    X(set_nonblock, (-1, 1))                                                                       \
    X(pipe, (pipe_ends))                                                                           \
    X(is_stream, (-1))                                                                             \
    X(pread, (-1, buffer, 1, 0, 0))                                                                \
    X(sendfile, (-1, -1, NULL, 1))                                                                 \
    X(splice, (-1, -1, 1))                                                                         \
    X(eventfd, ())                                                                                 \
    X(socket, (-1, 0, 0, 0))                                                                       \
    X(socketpair, (-1, 0, 0, NULL))                                                                \
    X(bind, (-1, NULL, 0))                                                                         \
    X(listen, (-1, 0))                                                                             \
    X(accept, (-1, NULL, NULL, 0))                                                                 \
    X(connect, (-1, NULL, 0))                                                                      \
    X(recv, (-1, buffer, 1, 0))                                                                    \
    X(send, (-1, buffer, 1, 0))                                                                    \
    X(recvfrom, (-1, buffer, 1, NULL, NULL))                                                       \
    X(sendto, (-1, buffer, 1, NULL, 0))                                                            \
    X(recvmsg, (-1, NULL, 0))                                                                      \
    X(sendmsg, (-1, NULL, 0))                                                                      \
    X(recvmmsg, (-1, NULL, 1))                                                                     \
    X(sendmmsg, (-1, NULL, 1))                                                                     \
    X(shutdown, (-1, 0))                                                                           \
    X(getsockopt, (-1, 0, 0, buffer, &length))                                                     \
    X(setsockopt, (-1, 0, 0, buffer, 4))                                                           \
    X(getsockname, (-1, NULL, &length))                                                            \
    X(getpeername, (-1, NULL, &length))                                                            \
    X(unlink, ("/nonexistent/file"))                                                               \
    X(is_socket, ("/nonexistent/file"))                                                            \
    X(interface_index, ("no such thing"))                                                          \
    X(interface_name, (999999, buffer))                                                            \
    X(poll, (-1, 1))                                                                               \
    X(poll_wait, (NULL, 0, 0))                                                                     \
    X(epoll_create, ())                                                                            \
    X(epoll_ctl, (-1, EPOLL_CTL_DEL, 0, NULL))                                                     \
    X(epoll_wait, (-1, NULL, 1, 0))                                                                \
    X(uring_setup, (0, NULL))                                                                      \
    X(uring_enter, (-1, 0, 0, 0, NULL, 0))                                                         \
    X(uring_register, (-1, 0, NULL, 0))                                                            \
    X(uring_map, (&place, -1, 4096, 0))                                                            \
    X(uring_unmap, (buffer + 1, 4096))

#define CALL(name, arguments)                                                                      \
    static int64_t call_##name(void)                                                               \
    {                                                                                              \
        return (int64_t)ars__os_##name arguments;                                                  \
    }
CALLS(CALL)

#define ROW(name, arguments) {#name, call_##name},
static const struct {
    const char *name;
    int64_t (*call)(void);
} calls[] = {CALLS(ROW)};

enum { CALL_COUNT = sizeof calls / sizeof *calls };

/* Closes what a call of the table has opened. */
static void close_opened(const char *name, int64_t result)
{
    if (result < 0) return;
    if (strcmp(name, "eventfd") == 0 || strcmp(name, "epoll_create") == 0)
        ars__os_close((int)result);
    if (strcmp(name, "pipe") == 0) {
        ars__os_close(pipe_ends[0]);
        ars__os_close(pipe_ends[1]);
    }
}

static void each_call_can_be_made_to_fail(void)
{
    unsigned sites = 0;
    while (fault_site(sites)) sites++;
    CHECK_EQ(sites, CALL_COUNT);
    for (int i = 0; i < CALL_COUNT; i++) {
        const char *name = calls[i].name;
        fault_reset();
        fault_at(name, 2, -77, 2);
        close_opened(name, calls[i].call());
        CHECK_EQ(fault_hits(name), 0);
        CHECK_EQ(calls[i].call(), -77);
        CHECK_EQ(calls[i].call(), -77);
        int64_t again = calls[i].call();
        CHECK(again != -77);
        CHECK_EQ(fault_counts(name), 4);
        CHECK_EQ(fault_hits(name), 2);
        close_opened(name, again);
        fault_at(name, 1, -78, -1);
        for (int n = 0; n < 5; n++) CHECK_EQ(calls[i].call(), -78);
    }
    fault_reset();
    CHECK_EQ(fault_counts("eventfd"), 0);
}

static void no_call_touches_errno(void)
{
    int failed = 0;
    for (int i = 0; i < CALL_COUNT; i++) {
        errno = 4711;
        int64_t result = calls[i].call();
        if (errno != 4711) FAIL("%s set errno to %d", calls[i].name, errno);
        failed += result < 0;
        close_opened(calls[i].name, result);
    }
    CHECK(failed > 30);
}

/* ---- memory ---- */

static char *reserve(size_t size)
{
    void *p = NULL;
    CHECK_EQ(ars__os_reserve(&p, size), 0);
    return p;
}

static void touches(void *p)
{
    *(volatile char *)p = 1;
}

static void check_faults(char *p)
{
    test_end end = test_child(touches, p);
    /* Sanitizers catch the signal, report, and exit. */
    CHECK(end.signal == SIGSEGV || (end.status != 0 && strstr(end.err, "SEGV")));
}

static void memory(void)
{
    size_t page = ars__os_page_size(), size = 16 * page;
    test_gate gate;
    test_gate_begin(&gate, NULL);
    char *p = reserve(size);
    for (size_t i = 0; i < size; i += 512) CHECK_EQ(p[i], 0);
    memset(p, 1, size);
    CHECK_EQ(ars__os_discard(p + page, page), 0);
    CHECK_EQ(p[page - 1], 1);
    CHECK_EQ(p[page], 0);
    CHECK_EQ(p[2 * page - 1], 0);
    CHECK_EQ(p[2 * page], 1);
    CHECK_EQ(ars__os_release(p, size), 0);
    test_gate_end(&gate, 0);

    void *untouched = &page;
    CHECK_EQ(ars__os_reserve(&untouched, (size_t)1 << 62), ARS_ENOMEM);
    CHECK(untouched == &page);
}

/* Address space only, no huge pages, no commit: the kernel's own flags of the mapping. */
static void reservation_is_cheap(void)
{
    char line[512], wanted[32];
    int inside = 0, seen = 0;
    size_t size = (size_t)1 << 33;
    char *p = reserve(size);
    FILE *f = fopen("/proc/self/smaps", "r");
    CHECK(f);
    snprintf(wanted, sizeof wanted, "%lx-", (unsigned long)(uintptr_t)p);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, wanted, strlen(wanted)) == 0) inside = 1;
        if (!inside || strncmp(line, "VmFlags:", 8) != 0) continue;
        seen = 1;
        CHECK(strstr(line, " nr "));
        /* An emulator takes any advice, even one that there is not, and does nothing. */
        if (madvise(p, 4096, 9999) == 0)
            test_skipped("this system takes no advice");
        else if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0)
            CHECK(strstr(line, " nh "));
        break;
    }
    fclose(f);
    if (!seen) test_skipped("/proc/self/smaps does not show the mapping");
    CHECK_EQ(ars__os_release(p, size), 0);
}

static void probe(void)
{
    size_t page = ars__os_page_size();
    char *p = reserve(3 * page);
    /* Whatever lies there: all ones is the one value that an event counter refuses. */
    CHECK_EQ(ars__os_guard_probe(p), 0);
    memset(p, 0xff, page);
    CHECK_EQ(ars__os_guard_probe(p + 8), 0);
    memset(p, 0xff, page);
    p[0] = 1;
    CHECK_EQ(ars__os_guard_probe(p + page - 1), 0);
    CHECK_EQ(ars__os_guard_protect(p + page, page), 0);
    CHECK_EQ(ars__os_guard_probe(p + page), 1);
    CHECK_EQ(ars__os_guard_probe(p + 2 * page - 1), 1);
    CHECK_EQ(ars__os_guard_probe(p + page - 1), 0);
    CHECK_EQ(ars__os_guard_probe(p + 2 * page), 0);
    check_faults(p + page);
    CHECK_EQ(ars__os_release(p, 3 * page), 0);
}

/* Guards every fourth page of many, over more than one batch. */
static void guards_many(void *arg)
{
    enum { GUARDS = 150 };
    size_t page = ars__os_page_size(), stride = 4 * page;
    char *p = reserve(GUARDS * stride);
    long before = test_count_mappings();
    int rc = ars__os_guard_light(p, page, stride, GUARDS);
    int *result = arg;
    if (result) *result = rc;
    if (rc == 0 && ars__os_guard_probe(p) == 1) {
        for (int i = 0; i < GUARDS; i++) {
            CHECK_EQ(ars__os_guard_probe(p + (size_t)i * stride), 1);
            CHECK_EQ(ars__os_guard_probe(p + (size_t)i * stride + page), 0);
            CHECK_EQ(ars__os_guard_probe(p + (size_t)i * stride + 3 * page), 0);
        }
        CHECK_EQ(test_count_mappings(), before);
        check_faults(p + (GUARDS - 1) * stride);
    } else {
        CHECK(rc == 0 || rc == ARS_EINVAL || rc == ARS_ENOSYS);
        test_skipped("this system has no guard markers");
    }
    CHECK_EQ(ars__os_release(p, GUARDS * stride), 0);
}

static void guards_many_one_by_one(void *arg)
{
    enum { PROCESS_MADVISE = 440 };
    (void)arg;
    if (!test_refuse(PROCESS_MADVISE, ENOSYS)) return;
    guards_many(NULL);
}

static void light_guards(void)
{
    guards_many(NULL);
    test_end end = test_child(guards_many_one_by_one, NULL);
    if (end.status || end.signal) FAIL("one by one: %s", end.err);
}

/* ---- threads and signals ---- */

static uint32_t bell;

static void *rings(void *arg)
{
    (void)arg;
    usleep(2000);
    __atomic_store_n(&bell, 1, __ATOMIC_SEQ_CST);
    ars__os_futex_wake(&bell, 1);
    return NULL;
}

static void on_signal(int sig)
{
    (void)sig;
}

static void futex(void)
{
    pthread_t thread;
    uint32_t still = 3;
    CHECK_EQ(ars__os_futex_wait(&still, 4, ARS_FOREVER), ARS_EAGAIN);
    CHECK_EQ(ars__os_futex_wait(&still, 3, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars__os_futex_wait(&still, 3, -5), ARS_ETIMEDOUT);
    CHECK_EQ(ars__os_futex_wait(&still, 3, 1), ARS_ETIMEDOUT);
    ars_time deadline = ars__os_now() + 3 * ARS_MILLISECOND;
    int rc;
    while ((rc = ars__os_futex_wait(&still, 3, deadline)) == 0) {}
    CHECK_EQ(rc, ARS_ETIMEDOUT);
    CHECK(ars__os_now() >= deadline);
    CHECK_EQ(ars__os_futex_wake(&still, 5), 0);

    bell = 0;
    CHECK(pthread_create(&thread, NULL, rings, NULL) == 0);
    while (__atomic_load_n(&bell, __ATOMIC_SEQ_CST) == 0) {
        rc = ars__os_futex_wait(&bell, 0, ARS_FOREVER);
        CHECK(rc == 0 || rc == ARS_EAGAIN);
    }
    CHECK(pthread_join(thread, NULL) == 0);

    /* Again and again, so that one comes while it sleeps. */
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    CHECK(sigaction(SIGALRM, &action, &before) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK_EQ(ars__os_futex_wait(&still, 3, ARS_FOREVER), ARS_EINTR);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(sigaction(SIGALRM, &before, NULL) == 0);
}

static int sigpipe_blocked(void)
{
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    return sigismember(&set, SIGPIPE);
}

static void sigpipe(void)
{
    CHECK(!sigpipe_blocked());
    CHECK_EQ(ars__os_sigpipe_block(), 1);
    CHECK(sigpipe_blocked());
    CHECK_EQ(ars__os_sigpipe_block(), 0);
    CHECK_EQ(ars__os_sigpipe_restore(0), 0);
    CHECK(sigpipe_blocked());
    /* Pending for the thread and for the process: either would end us. */
    CHECK(raise(SIGPIPE) == 0);
    CHECK(kill(getpid(), SIGPIPE) == 0);
    CHECK_EQ(ars__os_sigpipe_restore(1), 0);
    CHECK(!sigpipe_blocked());
}

static volatile ars__os_signal caught;
static volatile sig_atomic_t catches, handled;

static void catches_one(const ars__os_signal *signal)
{
    caught = *signal;
    catches++;
}

static void handles_one(int number)
{
    (void)number;
    handled++;
}

static void signals(void)
{
    CHECK(signal(SIGUSR1, handles_one) != SIG_ERR);
    CHECK_EQ(ars__os_signal_catch(SIGUSR1, catches_one), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(catches, 1);
    CHECK_EQ(caught.number, SIGUSR1);
    CHECK_EQ(caught.pid, getpid());
    CHECK_EQ(caught.value, 0);
    CHECK_EQ(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = -7}), 0);
    CHECK_EQ(catches, 2);
    CHECK_EQ(caught.value, -7);
    CHECK_EQ(handled, 0);
    CHECK_EQ(ars__os_signal_leave(SIGUSR1), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(handled, 1);
    CHECK_EQ(catches, 2);
    /* Whoever has caught it since keeps it. */
    CHECK_EQ(ars__os_signal_catch(SIGUSR1, catches_one), 0);
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    CHECK_EQ(ars__os_signal_leave(SIGUSR1), 0);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    static const int bad[] = {-1, 0, 65, 32, SIGKILL, SIGSTOP, SIGSEGV, SIGSYS};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(ars__os_signal_catch(bad[i], catches_one), ARS_EINVAL);
}

/* ---- descriptors ---- */

static void check_cloexec(int fd)
{
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void descriptors(void)
{
    uint64_t value = 3;
    int fd = ars__os_eventfd();
    check_cloexec(fd);
    CHECK_EQ(ars__os_read(fd, &value, 8), ARS_EAGAIN);
    CHECK_EQ(ars__os_poll(fd, EPOLLIN | EPOLLOUT), EPOLLOUT);
    CHECK_EQ(ars__os_write(fd, &value, 8), 8);
    CHECK_EQ(ars__os_write(fd, &value, 8), 8);
    CHECK_EQ(ars__os_poll(fd, EPOLLIN), EPOLLIN);
    CHECK_EQ(ars__os_read(fd, &value, 8), 8);
    CHECK_EQ(value, 6);
    CHECK_EQ(ars__os_set_nonblock(fd, 0), 1);
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK_EQ(ars__os_set_nonblock(fd, 0), 0);
    CHECK_EQ(ars__os_set_nonblock(fd, 1), 0);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK_EQ(ars__os_set_cloexec(fd, 0), 1);
    CHECK_EQ(fcntl(fd, F_GETFD), 0);
    CHECK_EQ(ars__os_set_cloexec(fd, 1), 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(ars__os_set_cloexec(fd, 1), 1);
    CHECK_EQ(ars__os_pid(), getpid());
    CHECK_EQ(ars__os_close(fd), 0);
    CHECK_EQ(ars__os_close(fd), ARS_EBADF);
    CHECK_EQ(ars__os_poll(fd, EPOLLIN), ARS_EBADF);
    CHECK_EQ(ars__os_poll(-1, EPOLLIN), ARS_EBADF);

    char path[] = "/tmp/ars-os-XXXXXX";
    fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(ars__os_close(fd), 0);
    CHECK_EQ(ars__os_is_socket(path), 0);
    CHECK_EQ(ars__os_unlink(path), 0);
    CHECK_EQ(ars__os_is_socket(path), ARS_ENOENT);
    CHECK_EQ(ars__os_unlink(path), ARS_ENOENT);

    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char link[sizeof path + 1];
    strcpy(addr.sun_path, path);
    snprintf(link, sizeof link, "%s@", path);
    fd = ars__os_socket(AF_UNIX, SOCK_STREAM, 0, 0);
    CHECK_EQ(ars__os_bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    CHECK_EQ(ars__os_close(fd), 0);
    CHECK(symlink(path, link) == 0);
    CHECK_EQ(ars__os_is_socket(path), 1);
    CHECK_EQ(ars__os_is_socket(link), 0);
    CHECK_EQ(ars__os_unlink(link), 0);
    CHECK_EQ(ars__os_unlink(path), 0);
}

/* The system calls with a "closed all the same" meaning really close under a fault. */
static void close_closes_under_a_fault(void)
{
    int fd = ars__os_eventfd();
    fault_at("close", 1, ARS_EIO, 1);
    CHECK_EQ(ars__os_close(fd), ARS_EIO);
    CHECK_EQ(ars__os_close(fd), ARS_EBADF);
    fault_reset();
}

static void sockets(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, name;
    struct sockaddr *sa = (struct sockaddr *)&addr, *sn = (struct sockaddr *)&name;
    uint32_t len = sizeof name;
    char text[16];
    int one = 1;
    int listener = ars__os_socket(AF_INET, SOCK_STREAM, 0, 1);
    check_cloexec(listener);
    CHECK(fcntl(listener, F_GETFL) & O_NONBLOCK);
    CHECK_EQ(ars__os_bind(listener, sa, sizeof addr), 0);
    CHECK_EQ(ars__os_listen(listener, 8), 0);
    CHECK_EQ(ars__os_accept(listener, NULL, NULL, 1), ARS_EAGAIN);
    CHECK_EQ(ars__os_getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    CHECK(addr.sin_port != 0);

    int client = ars__os_socket(AF_INET, SOCK_STREAM, 0, 0);
    check_cloexec(client);
    CHECK(!(fcntl(client, F_GETFL) & O_NONBLOCK));
    CHECK_EQ(ars__os_getpeername(client, sn, &len), ARS_ENOTCONN);
    CHECK_EQ(ars__os_connect(client, sa, sizeof addr), 0);
    len = sizeof name;
    int server = ars__os_accept(listener, sn, &len, 1);
    check_cloexec(server);
    CHECK(fcntl(server, F_GETFL) & O_NONBLOCK);
    in_port_t port = name.sin_port;
    CHECK_EQ(ars__os_getsockname(client, sn, &len), 0);
    CHECK_EQ(name.sin_port, port);
    CHECK_EQ(ars__os_getpeername(client, sn, &len), 0);
    CHECK_EQ(name.sin_port, addr.sin_port);

    CHECK_EQ(ars__os_setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    one = 0;
    len = sizeof one;
    CHECK_EQ(ars__os_getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, &len), 0);
    CHECK(one != 0);

    CHECK_EQ(ars__os_recv(client, text, sizeof text, 1), ARS_EAGAIN);
    CHECK_EQ(ars__os_send(server, "hello", 5, 1), 5);
    CHECK_EQ(ars__os_recv(client, text, sizeof text, 0), 5);
    CHECK(memcmp(text, "hello", 5) == 0);

    /* Shortened: the bytes really stop there, and the rest can still be sent. */
    fault_short("send", 2, 3);
    CHECK_EQ(ars__os_send(server, "abcdef", 6, 0), 6);
    CHECK_EQ(ars__os_send(server, "ghijkl", 6, 0), 3);
    CHECK_EQ(ars__os_send(server, "jkl", 3, 0), 3);
    fault_short("recv", 1, 4);
    CHECK_EQ(ars__os_recv(client, text, 12, 0), 4);
    CHECK_EQ(ars__os_recv(client, text + 4, 8, 0), 8);
    CHECK(memcmp(text, "abcdefghijkl", 12) == 0);
    fault_reset();

    /* SIGPIPE would end us. */
    CHECK_EQ(ars__os_shutdown(server, SHUT_WR), 0);
    CHECK_EQ(ars__os_recv(client, text, 12, 0), 0);
    CHECK_EQ(ars__os_send(server, "x", 1, 0), ARS_EPIPE);
    CHECK_EQ(ars__os_close(client), 0);
    CHECK_EQ(ars__os_close(server), 0);
    CHECK_EQ(ars__os_close(listener), 0);
}

static void interfaces(void)
{
    char name[ARS__OS_INTERFACE_NAME];
    int index = ars__os_interface_index("lo");
    if (index < 0) {
        test_skipped("there is no interface \"lo\"");
        return;
    }
    CHECK(index > 0);
    CHECK_EQ(ars__os_interface_name((unsigned)index, name), 0);
    CHECK_STR(name, "lo");
    CHECK(ars__os_interface_index("a name that is far too long") < 0);
    CHECK(ars__os_interface_name(999999, name) < 0);
}

/* ---- readiness and completion ---- */

static void waits_on_epoll(void *arg)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.u64 = 0x123456789abcdef0}};
    struct epoll_event got[2];
    uint64_t one = 1;
    (void)arg;
    int ep = ars__os_epoll_create(), fd = ars__os_eventfd();
    check_cloexec(ep);
    CHECK_EQ(ars__os_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), 0);
    CHECK_EQ(ars__os_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), ARS_EEXIST);
    CHECK_EQ(ars__os_epoll_wait(ep, got, 2, 0), 0);
    CHECK_EQ(ars__os_epoll_wait(ep, got, 2, 1), 0);
    for (ars_time span = 1; span < 4 * ARS_MILLISECOND; span = span * 7 + 1) {
        ars_time deadline = ars__os_now() + span;
        CHECK_EQ(ars__os_epoll_wait(ep, got, 2, deadline), 0);
        CHECK(ars__os_now() >= deadline);
    }
    CHECK_EQ(ars__os_write(fd, &one, 8), 8);
    CHECK_EQ(ars__os_epoll_wait(ep, got, 2, ARS_FOREVER), 1);
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == event.data.u64);
    CHECK_EQ(ars__os_write(fd, &one, 8), 8);
    /* A deadline beyond what milliseconds in an int can say. */
    CHECK_EQ(ars__os_epoll_wait(ep, got, 2, INT64_MAX - 1), 1);
    CHECK_EQ(ars__os_close(fd), 0);
    CHECK_EQ(ars__os_close(ep), 0);
}

static void without_epoll_pwait2(void *arg)
{
    enum { EPOLL_PWAIT2 = 441 };
    if (test_refuse(EPOLL_PWAIT2, *(int *)arg)) waits_on_epoll(NULL);
}

static void epoll(void)
{
    static const int refusals[] = {ENOSYS, EPERM};
    for (int i = 0; i < 2; i++) {
        int error = refusals[i];
        test_end end = test_child(without_epoll_pwait2, &error);
        if (end.status || end.signal) FAIL("without epoll_pwait2: %s", end.err);
    }
    waits_on_epoll(NULL);
}

static void uring_refused(void *arg)
{
    struct io_uring_params params = {0};
    (void)arg;
    if (test_refuse_uring()) CHECK_EQ(ars__os_uring_setup(4, &params), ARS_EPERM);
}

static void uring(void)
{
    struct io_uring_params params = {0};
    test_end end = test_child(uring_refused, NULL);
    if (end.status || end.signal) FAIL("%s", end.err);
    int ring = ars__os_uring_setup(4, &params);
    if (ring == ARS_EPERM || ring == ARS_ENOSYS) {
        test_skipped("io_uring: %s", ars_strerror(ring));
        return;
    }
    check_cloexec(ring);
    test_gate gate;
    test_gate_begin(&gate, NULL);
    void *sq = NULL, *sqes = NULL;
    size_t sq_size = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
    size_t cq_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    size_t size = sq_size > cq_size ? sq_size : cq_size;
    CHECK(params.features & IORING_FEAT_SINGLE_MMAP);
    CHECK_EQ(ars__os_uring_map(&sq, ring, size, IORING_OFF_SQ_RING), 0);
    CHECK_EQ(ars__os_uring_map(&sqes, ring, params.sq_entries * sizeof(struct io_uring_sqe),
                               IORING_OFF_SQES),
             0);
    /* One no-operation there and back shows that the mappings are the ring's. */
    struct io_uring_sqe *sqe = sqes;
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = 4711;
    ((uint32_t *)((char *)sq + params.sq_off.array))[0] = 0;
    __atomic_store_n((uint32_t *)((char *)sq + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    CHECK_EQ(ars__os_uring_enter(ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
    CHECK_EQ(__atomic_load_n((uint32_t *)((char *)sq + params.cq_off.tail), __ATOMIC_ACQUIRE), 1);
    struct io_uring_cqe *cqe = (void *)((char *)sq + params.cq_off.cqes);
    CHECK_EQ(cqe->user_data, 4711);
    int fd = ars__os_eventfd();
    CHECK_EQ(ars__os_uring_register(ring, IORING_REGISTER_EVENTFD, &fd, 1), 0);
    CHECK_EQ(ars__os_uring_register(ring, IORING_UNREGISTER_EVENTFD, NULL, 0), 0);
    CHECK_EQ(ars__os_close(fd), 0);
    CHECK_EQ(ars__os_uring_unmap(sqes, params.sq_entries * sizeof(struct io_uring_sqe)), 0);
    CHECK_EQ(ars__os_uring_unmap(sq, size), 0);
    test_gate_end(&gate, 0);
    CHECK_EQ(ars__os_close(ring), 0);
}

static const test_case cases[] = {
    {"memory", memory},
    {"reservation_is_cheap", reservation_is_cheap},
    {"probe", probe},
    {"light_guards", light_guards},
    {"futex", futex},
    {"sigpipe", sigpipe},
    {"signals", signals},
    {"descriptors", descriptors},
    {"close_closes_under_a_fault", close_closes_under_a_fault},
    {"sockets", sockets},
    {"interfaces", interfaces},
    {"epoll", epoll},
    {"uring", uring},
    /* Last: threads that they let go end some time later, and so do their mappings. */
    {"each_call_can_be_made_to_fail", each_call_can_be_made_to_fail},
    {"no_call_touches_errno", no_call_touches_errno},
};
TEST_MAIN(cases)
