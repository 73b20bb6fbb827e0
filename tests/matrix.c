/* SPDX-License-Identifier: MIT */
/*
 * Each exchange, with each error that its calls to the kernel can give, at the
 * first few of them, on each backend: it is either not noticed at all, or seen
 * once and as what it is; nothing is lost, doubled or miscounted, nothing hangs,
 * and the next exchange is as if nothing had been.
 */
#define _GNU_SOURCE
#include <linux/io_uring.h>

#include "chaos.h"
#include "exchanges.h"
#include "fault.h"

/* ---- copying and serving, which consist of several others ---- */

static void copies(int wire, size_t pieces, size_t piece)
{
    far from, to;
    ars_conn *a = conn_to(wire, &from), *b = conn_to(wire, &to);
    from.progress = &to.taken;
    far_begin(&to, takes, pieces, piece);
    far_begin(&from, feeds, pieces, piece);
    for (uint64_t done = 0, more; done < to.total; done += more) {
        int rc = ars_conn_copy(a, b, to.total - done, &more, in_time());
        if (rc < 0)
            note(rc);
        else if (done + more < to.total)
            note(NOTHING);
        if (cell.noted == NOTHING && cell.ends) break;
    }
    from.over = to.over = cell.ends && cell.noted;
    far_end(&from);
    far_end(&to);
    ars_conn_close(a);
    ars_conn_close(b);
}

static void ex_copy(int wire)
{
    copies(wire, PIECES, PIECE);
}

static void ex_splice(int wire)
{
    copies(wire, 8, 64 * 1024);
}

static int answer(ars_conn *conn, void *state, void *arg)
{
    char buf[PIECE];
    (void)state, (void)arg;
    for (size_t got = 0; got < PIECE;) {
        int rc = ars_conn_read(conn, buf + got, PIECE - got, in_time());
        if (rc < 0) note(rc);
        if (rc == 0 && cell.ends && cell.struck() && !cell.noted) note(NOTHING);
        if (rc <= 0) return 0;
        got += (size_t)rc;
    }
    int rc = ars_conn_write(conn, buf, PIECE, NULL, in_time());
    if (rc < 0) note(rc);
    return rc < 0 ? 0 : ARS_SERVE_KEEP;
}

static int serves(void *listener)
{
    int rc = ars_listener_serve(listener, answer, NULL, NULL, ARS_FOREVER);
    CHECK(rc == 0 || rc == ARS_ECANCELED);
    return rc;
}

/*
 * Whether the answer came, and not the end.  '*last': nothing can follow on this
 * connection, because it ended, or because signs of life were given.
 */
static int asks(int fd, unsigned seed, const ars_addr *addr, unsigned *last)
{
    unsigned char data[PIECE];
    unsigned said = 0;
    stream_fill(seed, 0, data, PIECE);
    *last = 1;
    if (send(fd, data, PIECE, MSG_NOSIGNAL) != PIECE) return 0;
    memset(data, 0, PIECE);
    for (size_t got = 0; got < PIECE;) {
        ssize_t n = recv(fd, data + got, PIECE - got, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return 0;
        if (n > 0) got += (size_t)n;
        rest();
        if (!cell.struck() || said || got) continue;
        said = 1;
        close(plain_connect(addr));
        if (send(fd, "!", 1, MSG_NOSIGNAL) != 1) return 0;
    }
    stream_check(seed, 0, data, PIECE);
    *last = said;
    return 1;
}

static void ex_serve(int wire)
{
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    ars_group group;
    (void)wire;
    start(&group, serves, listener);
    for (int i = 0; i < 3; i++) {
        int fd = plain_connect(&addr);
        for (unsigned k = 0, last; k < 3;) {
            k += (unsigned)asks(fd, k, &addr, &last);
            if (!last) continue;
            close(fd);
            fd = plain_connect(&addr);
        }
        close(fd);
    }
    CHECK_EQ(ars_listener_drain(listener, in_time(), NULL), 0);
    CHECK_EQ(ars_group_wait(&group, in_time()), 0);
    ars_listener_close(listener);
}

/* ---- the cells ---- */

enum { INTR, AGAIN, SHORT, ZERO, RESET, PIPE, NOBUFS, NOMEM, MFILE, NFILE, CANCELED, FAULTS };

static const struct {
    const char *name;
    int result;
} faults[FAULTS] = {
    [INTR] = {"EINTR", ARS_EINTR},
    [AGAIN] = {"EAGAIN", ARS_EAGAIN},
    [SHORT] = {"short", 0},
    [ZERO] = {"0", 0},
    [RESET] = {"ECONNRESET", ARS_ECONNRESET},
    [PIPE] = {"EPIPE", ARS_EPIPE},
    [NOBUFS] = {"ENOBUFS", ARS_ENOBUFS},
    [NOMEM] = {"ENOMEM", ARS_ENOMEM},
    [MFILE] = {"EMFILE", ARS_EMFILE},
    [NFILE] = {"ENFILE", ARS_ENFILE},
    [CANCELED] = {"ECANCELED", ARS_ECANCELED},
};

#define A(fault) (1u << (fault))

enum {
    ALL = (1 << FAULTS) - 1,
    ERRORS = ALL & ~(1 << SHORT) & ~(1 << ZERO),
    RETRIED = 1 << INTR | 1 << AGAIN | 1 << SHORT,
    UNASKED = 1 << INTR | 1 << CANCELED | 1 << SHORT
};

/* One of the kernel's calls that an exchange makes, and what its faults come to. */
typedef struct row {
    const char *name;
    void (*exchange)(int wire);
    const char *site; /* of os.h; NULL: 'opcode' of io_uring */
    unsigned opcode;
    unsigned on;         /* backends, a bit each */
    unsigned calls;      /* that it makes at least: over TCP */
    unsigned calls_unix; /* and over a unix socket; 0: not tried */
    unsigned given;      /* faults that it can have; of these */
    unsigned unseen;     /* the ones that nobody sees */
    int zero;            /* what ZERO comes to */
    int ends;            /* and the stream is over then */
} row;

enum {
    URING = 1 << ARS_BACKEND_URING,
    EPOLL = 1 << ARS_BACKEND_EPOLL,
    POLL = 1 << ARS_BACKEND_POLL
};
enum { READY = EPOLL | POLL, ANY = URING | READY };

static const row rows[] = {
    /* Readiness, and what io_uring too asks for directly. */
    {"dial", ex_dial, "socket", 0, ANY, 3, 0, ERRORS, 0, 0, 0},
    {"dial", ex_dial, "connect", 0, READY, 3, 0, ERRORS & ~A(CANCELED), A(INTR) | A(AGAIN), 0, 0},
    {"accept", ex_accept, "accept", 0, READY, 3, 0, ERRORS, A(INTR) | A(AGAIN), 0, 0},
    {"read", ex_read, "recv", 0, READY, 4, 4, ALL, RETRIED, NOTHING, 1},
    {"read_loan", ex_read_loan, "recv", 0, READY, 4, 4, ALL, RETRIED, NOTHING, 1},
    {"read_full", ex_read_full, "recv", 0, READY, 4, 4, ALL, RETRIED, NOTHING, 1},
    {"readable", ex_readable, "recv", 0, READY, 4, 4, ALL, RETRIED, NOTHING, 1},
    {"readable", ex_readable, "poll", 0, READY, 4, 4, ERRORS & ~A(INTR) & ~A(AGAIN), ALL, 0, 0},
    {"write", ex_write, "send", 0, READY, 4, 4, ALL, RETRIED, ARS_EIO, 0},
    {"writev", ex_writev, "sendmsg", 0, READY, 4, 4, ALL, RETRIED, ARS_EIO, 0},
    {"sendfile", ex_sendfile, "sendfile", 0, ANY, 4, 4, ALL, RETRIED, NOTHING, 0},
    {"sendfile", ex_sendfile, "pread", 0, ANY, 4, 4, ALL & ~A(SHORT) & ~A(AGAIN), RETRIED | A(ZERO),
     0, 0},
    {"recv_rights", ex_recv_rights, "recvmsg", 0, ANY, 0, 4, ALL & ~A(SHORT), RETRIED, NOTHING, 1},
    {"send_rights", ex_send_rights, "sendmsg", 0, ANY, 0, 4, ALL, RETRIED | A(ZERO), 0, 0},
    {"wait_fd", ex_wait_fd, "poll", 0, ANY, 4, 0, ERRORS & ~A(INTR) & ~A(AGAIN), 0, 0, 0},
    {"wait_fd", ex_wait_fd, "epoll_ctl", 0, EPOLL, 4, 0, A(NOMEM), 0, 0, 0},
    /* EPIPE is how a case says that its object is closed. */
    {"ready", ex_ready, "poll", 0, ANY, 4, 0, ERRORS & ~A(INTR) & ~A(AGAIN) & ~A(PIPE), 0, 0, 0},
    {"ready", ex_ready, "epoll_ctl", 0, EPOLL, 4, 0, A(NOMEM), 0, 0, 0},
    {"dgram_recv", ex_dgram_recv, "recvfrom", 0, ANY, 4, 0, ALL & ~A(SHORT), RETRIED, NOTHING, 0},
    {"dgram_recv_many", ex_dgram_recv_many, "recvmmsg", 0, ANY, 4, 0, ERRORS, RETRIED, 0, 0},
    {"dgram_send", ex_dgram_send, "sendto", 0, ANY, 4, 0, ERRORS, RETRIED, 0, 0},
    {"dgram_send_many", ex_dgram_send_many, "sendmmsg", 0, ANY, 3, 0, ERRORS, RETRIED, 0, 0},
    {"copy", ex_copy, "recv", 0, READY, 4, 4, ALL, RETRIED, NOTHING, 1},
    {"copy", ex_copy, "send", 0, READY, 4, 4, ALL, RETRIED, ARS_EIO, 0},
    {"copy, spliced", ex_splice, "splice", 0, ANY, 4, 4, ERRORS, RETRIED, 0, 0},
    {"serve", ex_serve, "accept", 0, READY, 3, 0, ERRORS, ALL, 0, 0},
    {"serve", ex_serve, "recv", 0, READY, 3, 0, ALL, RETRIED, NOTHING, 1},
    {"serve", ex_serve, "send", 0, READY, 4, 0, ALL, RETRIED, ARS_EIO, 0},
    /* Operations of io_uring, which waits itself: only a connect has EAGAIN, of a full unix backlog. */
    {"dial", ex_dial, NULL, IORING_OP_CONNECT, URING, 3, 0, ERRORS,
     A(INTR) | A(AGAIN) | A(CANCELED), 0, 0},
    {"accept", ex_accept, NULL, IORING_OP_ACCEPT, URING, 3, 0, ERRORS & ~A(AGAIN), UNASKED, 0, 0},
    {"read", ex_read, NULL, IORING_OP_RECV, URING, 1, 4, ALL & ~A(AGAIN), UNASKED | A(NOBUFS),
     NOTHING, 1},
    {"read_loan", ex_read_loan, NULL, IORING_OP_RECV, URING, 1, 4, ALL & ~A(AGAIN),
     UNASKED | A(NOBUFS), NOTHING, 1},
    {"read_full", ex_read_full, NULL, IORING_OP_RECV, URING, 1, 4, ALL & ~A(AGAIN),
     UNASKED | A(NOBUFS), NOTHING, 1},
    {"readable", ex_readable, NULL, IORING_OP_RECV, URING, 1, 4, ALL & ~A(AGAIN),
     UNASKED | A(NOBUFS), NOTHING, 1},
    {"write", ex_write, NULL, IORING_OP_SEND, URING, 4, 4, ALL & ~A(AGAIN), UNASKED, ARS_EIO, 0},
    {"writev", ex_writev, NULL, IORING_OP_SENDMSG, URING, 4, 4, ALL & ~A(AGAIN), UNASKED, ARS_EIO,
     0},
    {"write, uncopied", ex_write_uncopied, NULL, IORING_OP_SEND_ZC, URING, 1, 0, ALL & ~A(AGAIN),
     UNASKED | A(NOBUFS) | A(NOMEM), ARS_EIO, 0},
    {"wait_fd", ex_wait_fd, NULL, IORING_OP_POLL_ADD, URING, 4, 0, ERRORS & ~A(AGAIN), UNASKED, 0,
     0},
    {"ready", ex_ready, NULL, IORING_OP_POLL_ADD, URING, 4, 0, ERRORS & ~A(AGAIN), UNASKED, 0, 0},
    {"dgram_recv", ex_dgram_recv, NULL, IORING_OP_POLL_ADD, URING, 4, 0, ERRORS & ~A(AGAIN),
     UNASKED, 0, 0},
    {"copy", ex_copy, NULL, IORING_OP_RECV, URING, 1, 4, ALL & ~A(AGAIN), UNASKED | A(NOBUFS),
     NOTHING, 1},
    {"copy", ex_copy, NULL, IORING_OP_SEND, URING, 4, 4, ALL & ~A(AGAIN), UNASKED, ARS_EIO, 0},
    {"serve", ex_serve, NULL, IORING_OP_ACCEPT, URING, 1, 0, ERRORS & ~A(AGAIN), ALL, 0, 0},
    {"serve", ex_serve, NULL, IORING_OP_RECV, URING, 3, 0, ALL & ~A(AGAIN), UNASKED | A(NOBUFS),
     NOTHING, 1},
    {"serve", ex_serve, NULL, IORING_OP_SEND, URING, 4, 0, ALL & ~A(AGAIN), UNASKED, ARS_EIO, 0},
};

static const row *current;
static struct {
    unsigned cells, unseen, seen;
} counts;

static int struck(void)
{
    if (!current) return 1;
    return current->site ? fault_hits(current->site) > 0 : chaos_injected(NULL) > 0;
}

enum { NO_OPERATION = 255, SHORTENED = 7 };

static void arm(const row *r, int fault, unsigned nth)
{
    int result = faults[fault].result;
    if (!r->site && fault == SHORT)
        chaos_short(r->opcode, nth, SHORTENED);
    else if (!r->site)
        chaos_inject(r->opcode, nth, result, 1);
    else if (fault == SHORT)
        fault_short(r->site, nth, SHORTENED);
    else if (fault == INTR && strcmp(r->site, "connect") == 0)
        fault_after(r->site, nth, result);
    else
        fault_at(r->site, nth, result, 1);
}

/* What is closed goes when the kernel has let go of it. */
static void wait_closed(long before)
{
    for (int i = 0; test_count_fds() != before; i++) {
        if (i == 10000) FAIL("%ld descriptors before, %ld after", before, test_count_fds());
        rest();
    }
}

static void try_cell(const row *r, int wire, int fault, unsigned nth, long fds)
{
    static char text[160];
    static const char *const wires[] = {"TCP", "unix"};
    snprintf(text, sizeof text, "%s, %s, %s: %s%.0u at %u: %s", backend_name(), r->name,
             wires[wire], r->site ? r->site : "operation ", r->site ? 0 : r->opcode, nth,
             faults[fault].name);
    test_context = text;
    cell.noted = 0;
    cell.ends = fault == ZERO && r->ends;
    fault_reset();
    arm(r, fault, nth);
    current = r;
    r->exchange(wire);
    int hit = struck(), wanted = fault == ZERO ? r->zero : faults[fault].result;
    fault_reset();
    chaos_inject(NO_OPERATION, 1, 0, 1);
    current = NULL;
    if (!hit) FAIL("never hit");
    if (r->unseen & A(fault)) wanted = 0;
    if (cell.noted != wanted) FAIL("seen as %d, not %d", cell.noted, wanted);
    counts.cells++;
    counts.seen += wanted != 0;
    counts.unseen += wanted == 0;
    wait_closed(fds);
    test_context = NULL;
}

static int matrix_task(void *arg)
{
    unsigned most = (unsigned)test_times(4, 2), most_unix = (unsigned)test_times(4, 1);
    world *w = arg;
    memset(&counts, 0, sizeof counts);
    CHECK_EQ(ars_wait_fd(2, ARS_FD_OUT, in_time()), ARS_FD_OUT); /* the loop is there */
    ars_yield();
    long fds = test_count_fds();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const row *r = &rows[i];
        if (!(r->on & 1u << w->config.backend)) continue;
        for (int fault = 0; fault < FAULTS; fault++) {
            if (!(r->given & A(fault))) continue;
            for (unsigned n = 1; n <= r->calls && n <= most; n++) try_cell(r, TCP, fault, n, fds);
            for (unsigned n = 1; n <= r->calls_unix && n <= most_unix; n++)
                try_cell(r, UNIX, fault, n, fds);
        }
        cell.noted = cell.ends = 0;
        r->exchange(r->calls ? TCP : UNIX);
        if (cell.noted) FAIL("%s without a fault: %d", r->name, cell.noted);
    }
    printf("  %s: cells: %u, each hit; not seen: %u, seen as what they are: %u\n", backend_name(),
           counts.cells, counts.unseen, counts.seen);
    return 0;
}

static void cells(void)
{
    cell.struck = struck;
    /* Rings that are opened from now on can be tampered with. */
    chaos_inject(NO_OPERATION, 1, 0, 1);
    on_each_backend_threads(1, matrix_task, 4);
    chaos_inject(0, 0, 0, 0);
}

/* Somebody who shares the descriptor has made it non-blocking: that changes nothing. */
static int non_blocking_task(void *arg)
{
    (void)arg;
    static void (*const all[])(int wire) = {ex_read,  ex_read_loan, ex_readable,
                                            ex_write, ex_writev,    ex_copy};
    cell.flags = O_RDWR | O_NONBLOCK;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        all[i](TCP);
        all[i](UNIX);
        CHECK_EQ(cell.noted, 0);
    }
    cell.flags = 0;
    return 0;
}

static void non_blocking(void)
{
    cell.struck = struck;
    on_each_backend(non_blocking_task);
}

static const test_case cases[] = {{"cells", cells}, {"non_blocking", non_blocking}};
TEST_MAIN(cases)
