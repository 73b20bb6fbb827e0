/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    SPARE_DESCRIPTORS = 16, /* standard streams, the epoll set, the control pipe */
    /* connect() tries every other one of 28,232 ephemeral ports first, and is slow beyond those. */
    LINKS_PER_ADDRESS = 12000
};

struct client_link {
    int fd; /* -1: ended */
    uint32_t got, sent;
    uint8_t waiting, blocked;
    uint64_t sequence, stream, slot;
    int64_t began;
};

static unsigned char wire[CLIENT_SIZE_MAX + 1], expected[CLIENT_SIZE_MAX + 8];

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* SplitMix64: any 64 bits are a good state, and the n-th next state is known without the steps. */
static const uint64_t STREAM_STEP = 0x9e3779b97f4a7c15u;

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void message_make(const struct client *c, const struct client_link *l, unsigned char *out)
{
    uint32_t id = (uint32_t)(l - c->links);
    uint64_t stream = l->stream;

    memcpy(out, &id, 4);
    memcpy(out + 4, &l->sequence, 8);
    for (int at = 12; at < c->size; at += 8) {
        uint64_t word = mix(stream += STREAM_STEP);
        memcpy(out + at, &word, 8);
    }
}

static void show(struct client *c, int64_t now, int last)
{
    if (!c->live || (!last && now - c->shown < 250000000)) return;
    int terminal = isatty(2);
    if (!terminal && !last && now - c->shown < 1000000000) return;
    /* The last line of a phase gives the mean over all of it. */
    double requests = (double)(c->requests - (last ? c->began_requests : c->shown_requests));
    double rate = requests * 1e9 / (double)(now - (last ? c->began : c->shown) + 1);
    fprintf(stderr, "%s%-10s %6d connections  %8.0f requests/s  %10llu requests  %5.1f s%s",
            terminal ? "\r" : "", c->phase, c->open, rate, (unsigned long long)c->requests,
            (double)(now - c->began) / 1e9, terminal && !last ? "" : "\n");
    c->shown = now;
    c->shown_requests = c->requests;
}

static void phase_begin(struct client *c, const char *name, uint64_t requests)
{
    c->phase = name;
    c->began = c->shown = now_ns();
    c->requests = c->began_requests = c->shown_requests = requests;
}

int client_target(const char *text, struct sockaddr_storage *address, socklen_t *len)
{
    char host[64];
    struct sockaddr_un *un = (struct sockaddr_un *)address;
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof *address);
    if (!strncmp(text, "unix:", 5)) {
        size_t n = strlen(text + 5);
        if (n == 0 || n >= sizeof un->sun_path) return -1;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, text + 5, n);
        int abstract = un->sun_path[0] == '@';
        if (abstract) un->sun_path[0] = 0;
        *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (abstract ? 0 : 1));
        return 0;
    }
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) return -1;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    char *end;
    errno = 0;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || errno || port < 1 || port > 65535) return -1;
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *len = sizeof *in;
        return 0;
    }
    size_t n = strlen(host);
    if (n < 3 || host[0] != '[' || host[n - 1] != ']') return -1;
    host[n - 1] = 0;
    if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1) return -1;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *len = sizeof *in6;
    return 0;
}

/* Raises the soft descriptor limit; lowers the number of connections if the hard one is too low. */
static int fit_descriptors(struct client *c)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)c->connections + SPARE_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit)) return 0;
    if (limit.rlim_cur < need && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= need) return 0;
    if (limit.rlim_cur <= SPARE_DESCRIPTORS) {
        fprintf(stderr, "load: the hard descriptor limit (ulimit -Hn) is %llu: raise it above %d\n",
                (unsigned long long)limit.rlim_cur, SPARE_DESCRIPTORS);
        return -1;
    }
    fprintf(stderr,
            "load: the hard descriptor limit (ulimit -Hn) is %llu: opening %llu connections "
            "instead of %d\n",
            (unsigned long long)limit.rlim_cur,
            (unsigned long long)limit.rlim_cur - SPARE_DESCRIPTORS, c->connections);
    c->connections = (int)(limit.rlim_cur - SPARE_DESCRIPTORS);
    return 0;
}

/* For more connections than one address has ports: the loopback network has 16 million. */
static int bind_source(const struct client *c, int fd, int index)
{
    const struct sockaddr_in *to = (const struct sockaddr_in *)&c->address;
    int one = 1;

    if (c->connections <= LINKS_PER_ADDRESS || to->sin_family != AF_INET) return 0;
    if (ntohl(to->sin_addr.s_addr) >> 24 != 127) return 0;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)(index / LINKS_PER_ADDRESS));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(fd, (const struct sockaddr *)&from, sizeof from);
}

static void say_cannot_connect(const struct client *c, int error, int index)
{
    const char *advice = "";

    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
        advice = index ? "; did the server die?" : ": nobody listens there, start the server first";
        break;
    case EADDRNOTAVAIL: advice = ": out of local ports, see net.ipv4.ip_local_port_range"; break;
    case EAGAIN:
    case EINPROGRESS:
    case ETIMEDOUT:
        error = ETIMEDOUT;
        advice = ": the server does not accept";
        break;
    }
    fprintf(stderr, "load: cannot connect to %s (connection %d of %d): %s%s\n", c->target,
            index + 1, c->connections, strerror(error), advice);
}

static int link_open(struct client *c, int index)
{
    struct client_link *l = &c->links[index];
    int family = c->address.ss_family, one = 1;
    struct timeval limit = {(time_t)c->timeout,
                            (suseconds_t)((c->timeout - (double)(time_t)c->timeout) * 1e6)};

    l->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        fprintf(stderr, "load: cannot make a socket (connection %d): %s\n", index + 1,
                strerror(errno));
        return -1;
    }
    if (family != AF_UNIX) setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Connecting waits, but not for ever; later each call says that it does not wait. */
    setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (bind_source(c, l->fd, index) ||
        connect(l->fd, (const struct sockaddr *)&c->address, c->address_len)) {
        say_cannot_connect(c, errno, index);
        close(l->fd);
        l->fd = -1;
        return -1;
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, l->fd, &ev)) {
        fprintf(stderr, "load: epoll_ctl: %s\n", strerror(errno));
        return -1;
    }
    c->open++;
    return 0;
}

int client_open(struct client *c)
{
    if (client_target(c->target, &c->address, &c->address_len)) {
        fprintf(stderr, "load: '%s' is no address: give 127.0.0.1:PORT, [::1]:PORT or unix:PATH\n",
                c->target);
        return -1;
    }
    if (fit_descriptors(c)) return -1;
    c->links = calloc((size_t)c->connections, sizeof *c->links);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!c->links || c->epoll < 0) {
        fprintf(stderr, "load: %s\n", strerror(errno));
        return -1;
    }
    for (int i = 0; i < c->connections; i++) {
        c->links[i].fd = -1;
        c->links[i].stream = mix(c->seed + mix((uint64_t)i + 1));
    }
    phase_begin(c, "connecting", 0);
    for (int i = 0; i < c->connections; i++) {
        if (link_open(c, i)) return -1;
        show(c, now_ns(), 0);
    }
    show(c, now_ns(), 1);
    return 0;
}

static void link_end(struct client *c, struct client_link *l)
{
    close(l->fd);
    l->fd = -1;
    c->open--;
    if (l->waiting) c->waiting--;
    l->waiting = 0;
}

/* The first few are told one by one; the counts tell the rest. */
static void link_fail(struct client *c, struct client_link *l, uint64_t *counter, const char *what)
{
    if (client_errors(c) < 3) {
        if (c->live && isatty(2)) fputc('\n', stderr);
        fprintf(stderr, "load: connection %d, message %llu: %s\n", (int)(l - c->links),
                (unsigned long long)l->sequence, what);
    }
    ++*counter;
    link_end(c, l);
}

static void link_watch(struct client *c, struct client_link *l, int blocked)
{
    struct epoll_event ev = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0u), .data.ptr = l};

    if (l->blocked == blocked) return;
    l->blocked = (uint8_t)blocked;
    epoll_ctl(c->epoll, EPOLL_CTL_MOD, l->fd, &ev);
}

/* Sends what is left of the current message. */
static void link_push(struct client *c, struct client_link *l)
{
    message_make(c, l, expected);
    ssize_t n =
        send(l->fd, expected + l->sent, (size_t)c->size - l->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        link_fail(c, l, &c->ended, strerror(errno));
        return;
    }
    if (n > 0) l->sent += (uint32_t)n;
    link_watch(c, l, l->sent < (uint32_t)c->size);
}

static void link_send(struct client *c, struct client_link *l, int64_t now)
{
    l->got = l->sent = 0;
    l->waiting = 1;
    l->began = now;
    c->waiting++;
    link_push(c, l);
}

/*
 * The messages of an open loop are numbered; the connections take them in turn.
 * A connection that still waits when a message of its own is due sends it when
 * it can.
 */
static int64_t slot_time(const struct client *c, uint64_t slot)
{
    return c->began + (int64_t)((double)slot * 1e9 / c->rate);
}

static void send_due(struct client *c, int64_t now)
{
    for (int64_t due; (due = slot_time(c, c->slot)) <= now; c->slot++) {
        struct client_link *l = &c->links[c->slot % (uint64_t)c->connections];
        if (l->fd >= 0 && !l->waiting && l->slot == c->slot) link_send(c, l, due);
    }
}

/* Messages that should have been sent. */
static uint64_t count_unsent(const struct client *c)
{
    uint64_t n = 0;
    for (int i = 0; i < c->connections; i++)
        for (uint64_t slot = c->links[i].slot; slot_time(c, slot) < c->end;
             slot += (uint64_t)c->connections)
            n++;
    return n;
}

static void say_wrong(struct client *c, struct client_link *l, size_t n)
{
    char what[96];
    size_t at = 0;

    while (expected[l->got + at] == wire[at]) at++;
    snprintf(what, sizeof what, "wrong byte at %zu of %d: 0x%02x instead of 0x%02x (of %zu read)",
             l->got + at, c->size, wire[at], expected[l->got + at], n);
    link_fail(c, l, &c->wrong, what);
}

static void link_receive(struct client *c, struct client_link *l)
{
    ssize_t n = recv(l->fd, wire, sizeof wire, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        link_fail(c, l, &c->ended, n ? strerror(errno) : "the server closed the connection");
        return;
    }
    if (!l->waiting || l->got + (size_t)n > l->sent) {
        link_fail(c, l, &c->wrong, "more bytes than were sent");
        return;
    }
    message_make(c, l, expected);
    if (memcmp(wire, expected + l->got, (size_t)n)) {
        say_wrong(c, l, (size_t)n);
        return;
    }
    l->got += (uint32_t)n;
    if (l->got < (uint32_t)c->size) return;
    int64_t now = now_ns();
    ars_histogram_record(&c->latency, now - l->began);
    l->waiting = 0;
    l->sequence++;
    l->stream += STREAM_STEP * (uint64_t)((c->size - 12 + 7) / 8);
    c->waiting--;
    c->requests++;
    int64_t due = now;
    if (c->rate > 0) due = slot_time(c, l->slot += (uint64_t)c->connections);
    if (c->sending && due <= now && (c->rate == 0 || due < c->end)) link_send(c, l, due);
}

/*
 * Handles what happens until 'until' or, with 'watched', until that (which is
 * in the epoll set with a null pointer) is readable.  Returns 1 when it is.
 */
static int turn(struct client *c, int64_t until)
{
    struct epoll_event evs[EVENTS];
    int64_t now = now_ns();
    /* An open loop would rather turn too often than send too late. */
    int64_t ms = (until - now + (c->rate > 0 ? 0 : 999999)) / 1000000;
    int hit = 0;

    int n = epoll_wait(c->epoll, evs, EVENTS, ms < 0 ? 0 : ms > 200 ? 200 : (int)ms);
    for (int i = 0; i < n; i++) {
        struct client_link *l = evs[i].data.ptr;
        if (!l) {
            hit = 1;
            continue;
        }
        if (evs[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) link_receive(c, l);
        if (l->fd >= 0 && l->blocked && (evs[i].events & EPOLLOUT)) link_push(c, l);
    }
    show(c, now_ns(), 0);
    return hit;
}

static int summary(struct client *c)
{
    if (!client_errors(c)) return 0;
    if (c->ended)
        fprintf(stderr, "load: the server ended %llu of %d connections%s\n",
                (unsigned long long)c->ended, c->connections, c->open == 0 ? ": did it die?" : "");
    if (c->wrong)
        fprintf(stderr, "load: %llu connections got wrong bytes\n", (unsigned long long)c->wrong);
    if (c->unanswered)
        fprintf(stderr, "load: %llu messages had no answer for %.1f s\n",
                (unsigned long long)c->unanswered, c->timeout);
    return -1;
}

int client_run(struct client *c, const char *phase, double seconds)
{
    phase_begin(c, phase, 0);
    memset(&c->latency, 0, sizeof c->latency);
    int64_t end = c->began + (int64_t)(seconds * 1e9), now = c->began, last = now;
    int64_t patience = (int64_t)(c->timeout * 1e9);
    uint64_t answered = 0;

    c->sending = 1;
    c->slot = 0;
    c->end = end;
    for (int i = 0; i < c->connections; i++) {
        c->links[i].slot = (uint64_t)i;
        if (c->rate == 0 && c->links[i].fd >= 0) link_send(c, &c->links[i], now_ns());
    }
    while (c->waiting || (c->sending && c->rate > 0)) {
        int64_t until = c->sending ? end : now + 50000000;
        /* After the first error the rest of the load tells nothing new. */
        if (client_errors(c) && end > now + 200000000) end = now + 200000000;
        if (c->sending && c->rate > 0) {
            send_due(c, now < c->end ? now : c->end - 1);
            int64_t due = slot_time(c, c->slot);
            if (due < until) until = due;
        }
        turn(c, until);
        now = now_ns();
        if (now >= end) c->sending = 0;
        if (c->requests != answered || !c->waiting) last = now;
        answered = c->requests;
        if (now - last > patience || (client_errors(c) && now > end + 200000000)) break;
    }
    c->sending = 0;
    c->elapsed = (double)(now_ns() - c->began) / 1e9;
    c->unsent = c->rate > 0 ? count_unsent(c) : 0;
    for (int i = 0; i < c->connections; i++)
        if (c->links[i].fd >= 0 && c->links[i].waiting)
            link_fail(c, &c->links[i], &c->unanswered, "no answer");
    show(c, now_ns(), 1);
    return summary(c);
}

int client_hold(struct client *c, double seconds, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

    /* A regular file cannot be watched, and is always readable. */
    if (fd >= 0 && epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &ev)) return 0;
    phase_begin(c, "idle", c->requests);
    int64_t end = fd >= 0 ? INT64_MAX : c->began + (int64_t)(seconds * 1e9);
    while (now_ns() < end && !turn(c, end))
        if (client_errors(c) && end > now_ns() + 200000000) end = now_ns() + 200000000;
    if (fd >= 0) epoll_ctl(c->epoll, EPOLL_CTL_DEL, fd, NULL);
    if (now_ns() - c->began > 100000000) show(c, now_ns(), 1);
    return summary(c);
}

int client_close(struct client *c)
{
    int64_t last = now_ns(), patience = (int64_t)(c->timeout * 1e9);
    struct epoll_event evs[EVENTS];

    for (int i = 0; i < c->connections; i++)
        if (c->links[i].fd >= 0) shutdown(c->links[i].fd, SHUT_WR);
    while (c->open && now_ns() - last < patience) {
        int n = epoll_wait(c->epoll, evs, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            struct client_link *l = evs[i].data.ptr;
            ssize_t got = recv(l->fd, wire, sizeof wire, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got)
                link_fail(c, l, got > 0 ? &c->wrong : &c->ended,
                          got > 0 ? "bytes after the last answer" : strerror(errno));
            else
                link_end(c, l);
            last = now_ns();
        }
    }
    for (int i = 0; i < c->connections; i++)
        if (c->links[i].fd >= 0)
            link_fail(c, &c->links[i], &c->unanswered, "the server did not end the connection");
    free(c->links);
    close(c->epoll);
    return summary(c);
}
