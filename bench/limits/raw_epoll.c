/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "server.h"

/*
 * The limit for epoll: edge-triggered, each socket registered once for
 * everything, one receive and one send a message, no wait in between.
 *
 * A receive that fills less than the buffer has emptied the socket, so the
 * receive that would only say so is left out; except after RDHUP, where no
 * further edge would come.
 */

enum { EVENTS = 512, DESCRIPTORS = 1 << 20 };

/* Bytes that the socket would not take; while there are any nothing more is read. */
struct rest {
    char *data;
    size_t at, len;
};

static struct rest *rests; /* by descriptor; untouched pages cost nothing */
static char buffer[65536];

static void end(int fd)
{
    free(rests[fd].data);
    rests[fd] = (struct rest){0};
    close(fd);
}

static void take(int ep, int listener)
{
    for (int i = 0; i < 256; i++) {
        int fd = SYSTEM(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.fd = fd};
        if (fd < 0) return;
        if (fd >= DESCRIPTORS || SYSTEM(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))) close(fd);
    }
}

/* 1: all sent; 0: the socket is full, the rest is kept; -1: the connection is gone. */
static int put(int fd, const char *data, size_t len)
{
    ssize_t n = SYSTEM(send(fd, data, len, MSG_NOSIGNAL));

    if (__builtin_expect(n == (ssize_t)len, 1)) return 1;
    if (n < 0 && errno != EAGAIN) return -1;
    if (n < 0) n = 0;
    struct rest *rest = &rests[fd];
    char *copy = malloc(len - (size_t)n);
    if (!copy) return -1;
    memcpy(copy, data + n, len - (size_t)n);
    *rest = (struct rest){copy, 0, len - (size_t)n};
    return 0;
}

/* Sends what was kept; as put(). */
static int put_rest(int fd)
{
    struct rest *rest = &rests[fd];

    while (rest->at < rest->len) {
        ssize_t n = SYSTEM(send(fd, rest->data + rest->at, rest->len - rest->at, MSG_NOSIGNAL));
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        rest->at += (size_t)n;
    }
    free(rest->data);
    *rest = (struct rest){0};
    return 1;
}

static void serve(int fd, unsigned events)
{
    if (__builtin_expect(rests[fd].data != NULL, 0)) {
        int rc = put_rest(fd);
        if (rc < 0) end(fd);
        if (rc <= 0) return;
        events |= EPOLLRDHUP; /* what came in meanwhile had its edge already */
    } else if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))) {
        return;
    }
    for (;;) {
        ssize_t n = SYSTEM(recv(fd, buffer, sizeof buffer, 0));
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN) end(fd);
            return;
        }
        int rc = put(fd, buffer, (size_t)n);
        if (rc < 0) end(fd);
        if (rc <= 0) return;
        if (n < (ssize_t)sizeof buffer && !(events & EPOLLRDHUP)) return;
    }
}

int main(int argc, char **argv)
{
    static struct epoll_event evs[EVENTS];
    int listener = server_listen(argc, argv, "epoll", SOCK_NONBLOCK);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};

    rests = calloc(DESCRIPTORS, sizeof *rests);
    if (ep < 0 || !rests || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev)) server_fail(argv[0]);
    for (;;) {
        int n = SYSTEM(epoll_wait(ep, evs, EVENTS, -1));
        for (int i = 0; i < n; i++) {
            if (evs[i].data.fd == listener)
                take(ep, listener);
            else
                serve(evs[i].data.fd, evs[i].events);
        }
    }
}
