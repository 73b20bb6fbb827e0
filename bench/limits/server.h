/* SPDX-License-Identifier: MIT */
#ifndef LIMITS_SERVER_H
#define LIMITS_SERVER_H

/*
 * What the hand-written echo servers have in common: their command line, the
 * listening socket, and the count of time outside of system calls in the
 * builds that define USER_TICKS (tools/user_ticks.h).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"

#ifdef USER_TICKS
#include "user_ticks.h"
static struct user_ticks *user_ticks;
#define COUNT_USER_TICKS() (user_ticks = user_ticks_begin())
/* Around each system call; its value, with errno as the call left it. */
#define SYSTEM(call)                                                                               \
    __extension__({                                                                                \
        user_ticks_stop(user_ticks);                                                               \
        __typeof__(call) result_ = (call);                                                         \
        user_ticks_start(user_ticks);                                                              \
        result_;                                                                                   \
    })
#else
#define COUNT_USER_TICKS() ((void)0)
#define SYSTEM(call)       (call)
#endif

static inline void server_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Reads the command line and listens; 'flags' are added to the socket's type. */
static inline int server_listen(int argc, char **argv, const char *backend, int flags)
{
    long port = 0;
    const struct option options[] = {
        {"port", OPTION_INT, &port, 0, 65535, "N", "to listen at (0: a free one)"}, {0}};
    const struct command_line cl = {argv[0], "[--port N]",
                                    "Echoes at 127.0.0.1, as fast as can be done by hand.", options,
                                    NULL};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int one = 1;

    options_parse(&cl, argc, argv);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&address, len) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        server_fail(argv[0]);
    COUNT_USER_TICKS();
    printf("listening at 127.0.0.1:%d, %s\n", ntohs(address.sin_port), backend);
    fflush(stdout);
    return fd;
}

#endif
