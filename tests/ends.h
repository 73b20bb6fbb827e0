/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_ENDS_H
#define ARS_TEST_ENDS_H

/*
 * What the exchanges of the fault matrix (exchanges.h) have at their other end:
 * a plain descriptor, so that only the library's calls are counted, and a task
 * that sends or receives there.  When the fault has struck it gives a sign of
 * life in the other direction too, and a further one: whatever was overlooked
 * then is noticed.
 */

#include <netinet/in.h>

#include "peer.h"

enum {
    SEED = 3,
    PIECES = 6,
    PIECE = 300,
    TOTAL = PIECES * PIECE,
    NOTHING = 1 /* "0 bytes", noted */
};

/* The cell that is being tried. */
static struct {
    _Atomic int noted;   /* the error that the exchange has seen */
    int ends;            /* the stream ends for the reader when it strikes */
    int (*struck)(void); /* whether the fault has */
    int flags;           /* somebody else sets these of a connection's descriptor */
} cell;

static ars_time in_time(void)
{
    return ars_after(5 * ARS_SECOND);
}

static void note(int rc)
{
    if (rc == ARS_ETIMEDOUT) FAIL("hangs");
    if (cell.noted) FAIL("%d (%s) after %d", rc, ars_strerror(rc), cell.noted);
    cell.noted = rc;
}

static void rest(void)
{
    CHECK_EQ(ars_sleep(ars_after(1)), 0);
}

/* ---- the two ends ---- */

enum { TCP, UNIX };

static void plain_pair(int wire, int *a, int *b)
{
    int fds[2];
    if (wire == UNIX) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        *a = fds[0], *b = fds[1];
        return;
    }
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listening, (const void *)&sa, sizeof sa), 0);
    CHECK_EQ(listen(listening, 1), 0);
    CHECK_EQ(getsockname(listening, (void *)&sa, &len), 0);
    *a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(*a, (const void *)&sa, sizeof sa), 0);
    *b = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    CHECK(*b >= 0);
    close(listening);
}

/* The task at the plain end, and what the exchange has done so far. */
typedef struct far {
    int fd, sign_of_life;
    size_t piece, total;     /* bytes */
    _Atomic size_t consumed; /* of these, by the exchange */
    _Atomic size_t taken;    /* or, of its bytes, by the task */
    const _Atomic size_t *progress;
    int datagrams;
    _Atomic int over;
    ars_group group;
} far;

/* Sends piece after piece, each when the one before has been read, the last one when the fault has struck. */
static int feeds(void *arg)
{
    far *f = arg;
    static unsigned char data[64 * 1024];
    enum { FOR_A_PIECE = 5, FOR_THE_FAULT = 5000 };
    int patience = 0;
    for (size_t at = 0; at < f->total && !f->over;) {
        int last = at + f->piece >= f->total, struck = cell.struck();
        int due = *f->progress >= at || (struck && patience > FOR_A_PIECE);
        patience++;
        rest();
        if (!due || (last && !struck && patience < FOR_THE_FAULT)) continue;
        patience = 0;
        stream_fill(SEED, at, data, f->piece);
        for (size_t n = 0; n < f->piece && !f->over;) {
            ssize_t some = send(f->fd, data + n, f->piece - n, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (some < 0 && errno != EAGAIN) return 0; /* the exchange has given up */
            if (some < 0)
                rest();
            else
                n += (size_t)some;
        }
        at += f->piece;
    }
    return 0;
}

/* Receives and checks until all is there. */
static int takes(void *arg)
{
    far *f = arg;
    static unsigned char buf[64 * 1024];
    while (f->taken < f->total && !f->over) {
        ssize_t n = recv(f->fd, buf, f->datagrams ? f->piece : sizeof buf, MSG_DONTWAIT);
        if (n > 0) {
            stream_check(SEED, f->taken, buf, (size_t)n);
            f->taken += (size_t)n;
            continue;
        }
        CHECK(n < 0 && errno == EAGAIN);
        if (cell.struck() && !f->sign_of_life) {
            f->sign_of_life = 1;
            CHECK_EQ(send(f->fd, "!", 1, MSG_NOSIGNAL), 1);
        }
        rest();
    }
    return 0;
}

static void far_begin(far *f, ars_fn *fn, size_t pieces, size_t piece)
{
    f->piece = piece;
    f->total = pieces * piece;
    if (!f->progress) f->progress = &f->consumed;
    start(&f->group, fn, f);
}

static void far_end(far *f)
{
    CHECK_EQ(ars_group_wait(&f->group, in_time()), 0);
    close(f->fd);
}

static ars_conn *conn_to(int wire, far *f)
{
    ars_conn *conn;
    int fd;
    *f = (far){0};
    plain_pair(wire, &f->fd, &fd);
    CHECK_EQ(ars_conn_from_fd(&conn, fd), 0);
    if (cell.flags) CHECK_EQ(fcntl(fd, F_SETFL, cell.flags), 0);
    return conn;
}

#endif
