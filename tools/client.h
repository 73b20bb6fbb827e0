/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

/*
 * Many connections to one echo server: each sends a message, waits for the whole
 * answer, checks every byte of it, and sends the next; at once (a closed loop),
 * or when its time has come (an open loop, with a rate).
 *
 * In a closed loop a slow answer also keeps back the messages that would have
 * met the same delay, so that they are never measured ("coordinated omission");
 * in an open loop each has a time at which it is to be sent, and its latency
 * counts from then on even if it could only be sent later.
 *
 * A message is the connection's number (32 bits), its sequence number (64
 * bits), and then the connection's own stream of random bytes, so that an
 * answer that was lost, cut, repeated, reordered or meant for somebody else
 * cannot pass for the right one.
 *
 * Plain sockets and epoll, nothing of Arsenal but the histogram: an independent witness.
 */

#include <arsenal/histogram.h>

#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

enum { CLIENT_SIZE_MIN = 16, CLIENT_SIZE_MAX = 65536, CLIENT_CONNECTIONS_MAX = 1000000 };

struct client_link;

struct client {
    /* Set by the caller; the rest is zero. */
    const char *target; /* "127.0.0.1:PORT", "[::1]:PORT" or "unix:PATH" */
    int connections;    /* client_open() lowers it when the descriptor limit is lower */
    int size;           /* bytes of a message */
    uint64_t seed;
    double timeout; /* seconds without any answer after which the server counts as hung */
    int live;       /* show a live line on stderr */
    double rate;    /* messages a second, all connections together; 0: a closed loop */

    /* What has happened. */
    uint64_t requests;   /* answered and verified, since the last client_run() began */
    double elapsed;      /* seconds that it took, the last answers included */
    uint64_t ended;      /* connections that the server closed or reset */
    uint64_t wrong;      /* connections that got a byte they should not have */
    uint64_t unanswered; /* messages without an answer */
    uint64_t unsent;     /* messages of an open loop whose time came, but not their turn */
    ars_histogram latency;

    struct client_link *links;
    struct sockaddr_storage address;
    socklen_t address_len;
    int epoll;
    int open, waiting,
        sending; /* connections, messages under way, and whether answers are followed by new ones */
    const char *phase;
    int64_t began, shown, end; /* 'end': nothing of an open loop is due from then on */
    uint64_t began_requests, shown_requests;
    uint64_t slot; /* the next message of an open loop */
};

static inline uint64_t client_errors(const struct client *c)
{
    return c->ended + c->wrong + c->unanswered;
}

/* Reads a target into 'address'; 0, or -1 if it is not one. */
int client_target(const char *text, struct sockaddr_storage *address, socklen_t *len);

/*
 * Each returns 0, or -1 when it could not be done or something was wrong, and
 * has then said so on stderr.
 */

/* Opens the connections, one after the other. */
int client_open(struct client *c);
/*
 * Keeps every connection busy for 'seconds', then waits for the last answers;
 * 'phase' names it in the live line.
 */
int client_run(struct client *c, const char *phase, double seconds);
/* Leaves the connections idle for 'seconds' or, with 'fd' >= 0, until that is readable. */
int client_hold(struct client *c, double seconds, int fd);
/* Ends each connection and waits until the server has ended it too. */
int client_close(struct client *c);

#endif
