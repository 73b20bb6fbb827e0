/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <arsenal/dgram.h>
#include <arsenal/run.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

/*
 * Datagrams that are sent back: a server on a thread of its own, and a client
 * that keeps WINDOW of them under way.
 *
 *   udp.echo.1    CPU ns of the server for a datagram, kernel included, received and sent singly
 *   udp.echo.32   the same, up to 32 at a time
 *   udp.rate.32   datagrams a second there and back, on this machine's clock
 *
 * The limits are blocking loops of recvfrom and sendto, of recvmmsg and sendmmsg.
 */

enum { WINDOW = 32, SIZE = 64 };

struct server {
    int limit, many; /* what it is */
    unsigned backend;
    pthread_t thread;
    int started;
    _Atomic int port; /* < 0: it failed */
};

/* ---- Arsenal ---- */

static void serve_singly(ars_dgram *dgram)
{
    char buf[SIZE];
    ars_addr from;
    int n;
    while ((n = ars_dgram_recv(dgram, buf, sizeof buf, &from, ARS_FOREVER)) >= 0)
        if (ars_dgram_send(dgram, buf, (size_t)n, &from, ARS_FOREVER) < 0) return;
}

static void serve_many(ars_dgram *dgram)
{
    static char bufs[WINDOW][SIZE];
    static ars_message m[WINDOW];
    for (;;) {
        for (int i = 0; i < WINDOW; i++) {
            m[i].data = bufs[i];
            m[i].size = SIZE;
        }
        int n = ars_dgram_recv_many(dgram, m, WINDOW, ARS_FOREVER), done = 0;
        if (n < 0) return;
        for (int i = 0; i < n; i++) m[i].size = m[i].len;
        while (done < n) {
            int sent = ars_dgram_send_many(dgram, m + done, (size_t)(n - done), ARS_FOREVER);
            if (sent < 0) return;
            done += sent;
        }
    }
}

static int serve(void *arg)
{
    struct server *s = arg;
    ars_addr addr;
    ars_dgram *dgram;
    if (ars_addr_parse(&addr, "127.0.0.1:0") < 0 || ars_dgram_open(&dgram, &addr, NULL) < 0 ||
        ars_dgram_local(dgram, &addr) < 0)
        return -1;
    s->port = ars_addr_port(&addr);
    (s->many ? serve_many : serve_singly)(dgram);
    return 0;
}

/* ---- the limits ---- */

static void raw_singly(int fd)
{
    char buf[SIZE];
    struct sockaddr_in from;
    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
        if (n < 0 || sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) < 0) return;
    }
}

static void raw_many(int fd)
{
    static char bufs[WINDOW][SIZE];
    static struct sockaddr_in from[WINDOW];
    struct mmsghdr m[WINDOW];
    struct iovec iov[WINDOW];
    for (;;) {
        for (int i = 0; i < WINDOW; i++) {
            iov[i] = (struct iovec){bufs[i], SIZE};
            m[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                           .msg_namelen = sizeof from[i],
                                           .msg_iov = &iov[i],
                                           .msg_iovlen = 1};
        }
        int n = recvmmsg(fd, m, WINDOW, MSG_WAITFORONE, NULL), done = 0;
        if (n < 0) return;
        for (int i = 0; i < n; i++) iov[i].iov_len = m[i].msg_len;
        while (done < n) {
            int sent = sendmmsg(fd, m + done, (unsigned)(n - done), 0);
            if (sent < 0) return;
            done += sent;
        }
    }
}

/* A socket at a free port of the loopback interface, or -1. */
static int open_socket(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return -1;
    *port = ntohs(at.sin_port);
    return fd;
}

static void *server_thread(void *arg)
{
    struct server *s = arg;
    if (s->limit) {
        int port, fd = open_socket(&port);
        s->port = fd < 0 ? -1 : port;
        if (fd >= 0) (s->many ? raw_many : raw_singly)(fd);
    } else {
        ars_config config = {.workers = 1, .backend = s->backend};
        ars_run(serve, s, &config);
    }
    s->port = -1;
    return NULL;
}

/* ---- the client ---- */

static double cpu_of(pthread_t thread)
{
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(thread, &clock) || clock_gettime(clock, &t)) return -1;
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int start(struct server *s)
{
    if (!s->started) {
        if (pthread_create(&s->thread, NULL, server_thread, s)) return -1;
        s->started = 1;
        while (s->port == 0) usleep(100);
    }
    return s->port;
}

/* Sends 'n' datagrams to the server and waits for all of them to come back; 0, or -1. */
static int exchange(int fd, uint64_t n)
{
    static char bufs[WINDOW][SIZE];
    struct mmsghdr m[WINDOW];
    struct iovec iov[WINDOW];
    for (int i = 0; i < WINDOW; i++) {
        iov[i] = (struct iovec){bufs[i], SIZE};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    for (uint64_t done = 0; done < n;) {
        unsigned batch = n - done < WINDOW ? (unsigned)(n - done) : WINDOW;
        int sent = sendmmsg(fd, m, batch, 0);
        if (sent <= 0) return -1;
        for (int back = 0; back < sent;) {
            int got = recvmmsg(fd, m, (unsigned)(sent - back), MSG_WAITFORONE, NULL);
            if (got <= 0) return -1; /* lost, or the server is gone: the socket's time limit */
            back += got;
        }
        done += (unsigned)sent;
    }
    return 0;
}

static double run(uint64_t n, void *arg, int wall)
{
    struct server *s = arg;
    struct timeval limit = {2, 0};
    int port = start(s), own, fd = port > 0 ? open_socket(&own) : -1;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    if (fd < 0) return -1;
    double before = -1, after = -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0) {
        before = wall ? bench_now() : cpu_of(s->thread);
        if (exchange(fd, n) == 0) after = wall ? bench_now() : cpu_of(s->thread);
    }
    close(fd);
    return before < 0 || after < 0 ? -1 : after - before;
}

static double cpu(uint64_t n, void *arg)
{
    return run(n, arg, 0);
}

static double rate(uint64_t n, void *arg)
{
    (void)n;
    enum { MANY = 20000 };
    double ns = run(MANY, arg, 1);
    return ns < 0 ? -1 : MANY * 1e9 / ns;
}

static struct server uring_1 = {.backend = ARS_BACKEND_URING};
static struct server epoll_1 = {.backend = ARS_BACKEND_EPOLL};
static struct server raw_1 = {.limit = 1};
static struct server uring_32 = {.backend = ARS_BACKEND_URING, .many = 1};
static struct server epoll_32 = {.backend = ARS_BACKEND_EPOLL, .many = 1};
static struct server raw_32 = {.limit = 1, .many = 1};

#define ECHO(id, system, server)                                                                   \
    {                                                                                              \
        id, system, NULL, "server CPU, 64 bytes, 32 under way", NULL, cpu, &server, 0, 0           \
    }
#define RATE(id, system, server)                                                                   \
    {                                                                                              \
        id, system, NULL, "64 bytes, 32 under way", "datagrams/s", rate, &server, 1, 1             \
    }

int main(int argc, char **argv)
{
    static const struct bench table[] = {
        ECHO("udp.echo.1", "limit:recvfrom", raw_1),
        ECHO("udp.echo.1", "arsenal", uring_1),
        ECHO("udp.echo.1", "arsenal:epoll", epoll_1),
        ECHO("udp.echo.32", "limit:recvmmsg", raw_32),
        ECHO("udp.echo.32", "arsenal", uring_32),
        ECHO("udp.echo.32", "arsenal:epoll", epoll_32),
        RATE("udp.rate.32", "limit:recvmmsg", raw_32),
        RATE("udp.rate.32", "arsenal", uring_32),
        RATE("udp.rate.32", "arsenal:epoll", epoll_32),
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
