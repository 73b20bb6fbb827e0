/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arsenal/dgram.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fault.h"
#include "peer.h"

static int64_t soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static ars_dgram *open_at(const char *text, ars_addr *addr)
{
    ars_dgram *dgram;
    CHECK_EQ(ars_addr_parse(addr, text), 0);
    int rc = ars_dgram_open(&dgram, addr, NULL);
    if (rc < 0) FAIL("open %s: %s", text, ars_strerror(rc));
    CHECK_EQ(ars_dgram_local(dgram, addr), 0);
    return dgram;
}

static int same(const ars_addr *a, const ars_addr *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Each family: to an address, back to the sender, and to a peer. */
static int there_and_back_task(void *arg)
{
    (void)arg;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", "unix:@arsenal-dgram-a"};
    static const char *const others[] = {"127.0.0.1:0", "[::1]:0", "unix:@arsenal-dgram-b"};
    for (int i = 0; i < 3; i++) {
        ars_addr at, from, to;
        char buf[64];
        ars_dgram *a = open_at(texts[i], &at), *c;
        ars_dgram *b = open_at(others[i], &to);
        CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, &from, 0), ARS_ETIMEDOUT);
        CHECK_EQ(ars_dgram_send(b, "hello", 5, &at, soon()), 0);
        memset(&from, 0x55, sizeof from);
        CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, &from, soon()), 5);
        CHECK(memcmp(buf, "hello", 5) == 0);
        CHECK(same(&from, &to));
        CHECK_EQ(ars_dgram_send(a, "", 0, &from, soon()), 0);
        CHECK_EQ(ars_dgram_send(a, "0123456789", 10, &from, soon()), 0);
        CHECK_EQ(ars_dgram_recv(b, buf, sizeof buf, NULL, soon()), 0);
        /* What does not fit is told, never silently. */
        memset(buf, 'x', sizeof buf);
        CHECK_EQ(ars_dgram_recv(b, buf, 4, NULL, soon()), 10);
        CHECK(memcmp(buf, "0123xx", 6) == 0);

        CHECK(ars_dgram_send(b, "x", 1, NULL, soon()) < 0);
        CHECK_EQ(ars_dgram_dial(&c, &at, NULL), 0);
        CHECK_EQ(ars_dgram_peer(c, &to), 0);
        CHECK(same(&to, &at));
        CHECK_EQ(ars_dgram_send(c, "by peer", 7, NULL, soon()), 0);
        CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, &from, soon()), 7);
        if (i < 2) {
            CHECK_EQ(ars_dgram_send(a, "answer", 6, &from, soon()), 0);
            CHECK_EQ(ars_dgram_recv(c, buf, sizeof buf, &from, soon()), 6);
            CHECK(same(&from, &at));
        } else {
            CHECK(!ars_addr_sockaddr(&from, &(size_t){0}));
        }
        ars_dgram_close(a);
        ars_dgram_close(b);
        ars_dgram_close(c);
    }
    ars_dgram_close(NULL);
    return 0;
}
BACKEND_CASE(there_and_back)

typedef struct waiting {
    ars_dgram *dgram;
    ars_time deadline;
    int result, many;
} waiting;

static int receive(void *arg)
{
    waiting *w = arg;
    char buf[16];
    ars_message message = {.data = buf, .size = sizeof buf};
    w->result = w->many ? ars_dgram_recv_many(w->dgram, &message, 1, w->deadline)
                        : ars_dgram_recv(w->dgram, buf, sizeof buf, NULL, w->deadline);
    return w->result;
}

static int waiting_receiver_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        ars_dgram *a, *b;
        char buf[8];
        int how = i / 2;
        CHECK_EQ(ars_dgram_pair(&a, &b, NULL), 0);
        waiting w = {.dgram = a, .many = i % 2};
        w.deadline = how == 0 ? ars_after(ARS_MILLISECOND) : ARS_FOREVER;
        ars_group group;
        start(&group, receive, &w);
        settle();
        CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, NULL, soon()), ARS_EBUSY);
        if (how == 1) ars_group_cancel(&group, 0);
        if (how == 2) ars_dgram_close(a);
        if (how == 3) CHECK_EQ(ars_dgram_send(b, "x", 1, NULL, soon()), 0);
        int rc = ars_group_wait(&group, soon());
        static const int results[] = {ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBADF, 1};
        CHECK_EQ(w.result, results[how]);
        CHECK_EQ(rc, w.result < 0 ? w.result : 0);
        if (how < 2) {
            CHECK_EQ(ars_dgram_send(b, "kept", 4, NULL, soon()), 0);
            CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, NULL, 0), 4);
        }
        if (how != 2) ars_dgram_close(a);
        ars_dgram_close(b);
    }
    return 0;
}
BACKEND_CASE(waiting_receiver)

typedef struct closing {
    ars_dgram *signal, *victim;
} closing;

static int close_on_signal(void *arg)
{
    closing *c = arg;
    char buf[4];
    int rc = ars_dgram_recv(c->signal, buf, sizeof buf, NULL, soon());
    ars_dgram_close(c->victim);
    return rc < 0 ? rc : 0;
}

/* One turn wakes both tasks, and if the closing one is the first, the other one's socket is gone. */
static int closed_under_the_awake_task(void *arg)
{
    (void)arg;
    ars_dgram *a, *b, *c, *d;
    int gone = 0;
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(ars_dgram_pair(&a, &b, NULL), 0);
        CHECK_EQ(ars_dgram_pair(&c, &d, NULL), 0);
        waiting w = {.dgram = a, .deadline = ARS_FOREVER, .many = i % 2};
        closing closes = {c, a};
        ars_group group;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        for (int k = 0; k < 2; k++) {
            if (k == i / 2)
                go_beside(&group, close_on_signal, &closes);
            else
                go_beside(&group, receive, &w);
        }
        settle();
        for (int k = 0; k < 2; k++)
            CHECK_EQ(ars_dgram_send(k == i / 2 ? d : b, "x", 1, NULL, soon()), 0);
        int rc = ars_group_wait(&group, soon());
        CHECK_EQ(rc, w.result < 0 ? ARS_EBADF : 0);
        gone += w.result == ARS_EBADF;
        CHECK(w.result == ARS_EBADF || w.result == 1);
        ars_dgram_close(b);
        ars_dgram_close(c);
        ars_dgram_close(d);
    }
    CHECK_EQ(gone, 2);
    return 0;
}
BACKEND_CASE(closed_under_the_awake)

/* ---- full queues ---- */

enum { BIG = 30000 };

typedef struct flood {
    ars_dgram *dgram;
    const ars_addr *to;
    ars_time deadline;
    int sent, result, many;
} flood;

static int send_until_stopped(void *arg)
{
    static char data[BIG];
    flood *f = arg;
    do {
        ars_message message = {.data = data, .size = BIG};
        if (f->to) message.addr = *f->to;
        int rc = f->many ? ars_dgram_send_many(f->dgram, &message, 1, f->deadline)
                         : ars_dgram_send(f->dgram, data, BIG, f->to, f->deadline);
        f->result = rc < 0 ? rc : 0;
    } while (f->result == 0 && ++f->sent < 10000);
    return f->result;
}

/* Nobody receives: a pair, a peer, and the queue of an address, each met by all that ends a wait. */
static int full_queue_task(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3 * 5 * 2; i++) {
        int what = i % 3, how = i / 3 % 5, many = i / 15;
        ars_addr at;
        ars_dgram *a, *b;
        char *buf = malloc(BIG);
        if (what == 0) {
            CHECK_EQ(ars_dgram_pair(&a, &b, NULL), 0);
        } else {
            b = open_at("unix:@arsenal-dgram-full", &at);
            if (what == 1)
                CHECK_EQ(ars_dgram_dial(&a, &at, NULL), 0);
            else
                a = open_at("unix:@arsenal-dgram-full-2", &(ars_addr){0});
        }
        flood f = {.dgram = a, .to = what == 2 ? &at : NULL, .many = many};
        f.deadline = how == 0 ? ars_after(3 * ARS_MILLISECOND) : how == 3 ? 0 : ARS_FOREVER;
        ars_group group;
        start(&group, send_until_stopped, &f);
        settle();
        CHECK_EQ(ars_sleep(ars_after(3 * ARS_MILLISECOND)), 0);
        int stuck = f.sent, there = 0;
        CHECK(stuck > 0 && stuck < 10000);
        if (how == 1) ars_group_cancel(&group, 0);
        if (how == 2) ars_dgram_close(a);
        if (how == 4) {
            /* Room again, and it goes on by itself; the system may wait until there is much. */
            for (int k = 0; k < 5000 && f.sent == stuck; k++) {
                if (ars_dgram_recv(b, buf, BIG, NULL, 0) == BIG) there++;
                CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
            }
            CHECK(f.sent > stuck);
            ars_group_cancel(&group, 0);
        }
        int rc = ars_group_wait(&group, soon());
        static const int results[] = {ARS_ETIMEDOUT, ARS_ECANCELED, ARS_EBADF, ARS_ETIMEDOUT,
                                      ARS_ECANCELED};
        CHECK_EQ(f.result, results[how]);
        CHECK_EQ(rc, f.result);
        while (ars_dgram_recv(b, buf, BIG, NULL, 0) == BIG) there++;
        CHECK_EQ(there, f.sent);
        if (how != 2) ars_dgram_close(a);
        ars_dgram_close(b);
        free(buf);
    }
    return 0;
}
BACKEND_CASE(full_queue)

/* ---- several at once ---- */

enum { MANY = 100 };

static int many_task(void *arg)
{
    (void)arg;
    static unsigned char data[MANY][100], back[MANY][64];
    static ars_message out[MANY], in[MANY];
    ars_addr at, from;
    ars_dgram *a = open_at("127.0.0.1:0", &at), *b = open_at("127.0.0.1:0", &from);
    for (unsigned i = 0; i < MANY; i++) {
        stream_fill(i, 0, data[i], 100);
        out[i] = (ars_message){.data = data[i], .size = i, .addr = at};
        in[i] = (ars_message){.data = back[i], .size = 64};
    }
    CHECK_EQ(ars_dgram_recv_many(a, in, MANY, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_dgram_recv_many(a, in, 0, soon()), 0);
    CHECK_EQ(ars_dgram_send_many(a, out, 0, soon()), 0);
    CHECK_EQ(ars_dgram_send_many(b, out, MANY, soon()), MANY);
    CHECK_EQ(ars_dgram_recv_many(a, in, 7, soon()), 7);
    int got = ars_dgram_recv_many(a, in + 7, MANY - 7, soon());
    CHECK_EQ(got, MANY - 7);
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_EQ(in[i].len, i);
        CHECK(same(&in[i].addr, &from));
        stream_check(i, 0, back[i], i < 64 ? i : 64);
    }

    /* What cannot be sent stops the ones behind it, and is told when it is the first. */
    char *huge = calloc(1, 70000);
    out[3] = (ars_message){.data = huge, .size = 70000, .addr = at};
    CHECK_EQ(ars_dgram_send_many(b, out, MANY, soon()), 3);
    CHECK_EQ(ars_dgram_send_many(b, out + 3, MANY - 3, soon()), ARS_EMSGSIZE);
    CHECK_EQ(ars_dgram_recv_many(a, in, MANY, soon()), 3);
    CHECK_EQ(ars_dgram_send(b, huge, 70000, &at, soon()), ARS_EMSGSIZE);
    CHECK_EQ(ars_dgram_send(b, huge, (size_t)-1, &at, soon()), ARS_EINVAL);
    CHECK_EQ(ars_dgram_recv(b, huge, (size_t)-1, NULL, soon()), ARS_EINVAL);
    out[0].size = (size_t)-1;
    CHECK_EQ(ars_dgram_send_many(b, out, 1, soon()), ARS_EINVAL);
    in[0].size = (size_t)-1;
    CHECK_EQ(ars_dgram_recv_many(b, in, 1, soon()), ARS_EINVAL);
    free(huge);
    ars_dgram_close(a);
    ars_dgram_close(b);
    return 0;
}
BACKEND_CASE(many)

static int segments_task(void *arg)
{
    (void)arg;
    static unsigned char data[5000], back[65536];
    ars_addr at;
    ars_dgram *a = open_at("127.0.0.1:0", &at), *b, *u, *v;
    CHECK_EQ(ars_dgram_dial(&b, &at, NULL), 0);
    CHECK_EQ(ars_dgram_pair(&u, &v, NULL), 0);
    stream_fill(1, 0, data, sizeof data);
    ars_message out = {.data = data, .size = sizeof data, .segment = 1200};
    ars_message in = {.data = back, .size = sizeof back};
    CHECK_EQ(ars_dgram_send_many(u, &out, 1, soon()), ARS_EOPNOTSUPP);
    CHECK_EQ(ars_dgram_set(u, ARS_DGRAM_GRO, 1), ARS_EOPNOTSUPP);
    int rc = ars_dgram_send_many(b, &out, 1, soon());
    if (rc == ARS_EOPNOTSUPP) {
        test_skipped("no segments here");
    } else {
        CHECK_EQ(rc, 1);
        for (int i = 0; i < 5; i++) {
            CHECK_EQ(ars_dgram_recv_many(a, &in, 1, soon()), 1);
            CHECK_EQ(in.len, i < 4 ? 1200 : 200);
            CHECK_EQ(in.segment, 0);
            stream_check(1, (size_t)i * 1200, back, in.len);
        }
        rc = ars_dgram_set(a, ARS_DGRAM_GRO, 1);
        if (rc < 0) CHECK_EQ(rc, ARS_EOPNOTSUPP);
        CHECK_EQ(ars_dgram_send_many(b, &out, 1, soon()), 1);
        size_t got = 0;
        while (got < sizeof data) {
            CHECK_EQ(ars_dgram_recv_many(a, &in, 1, soon()), 1);
            stream_check(1, got, back, in.len);
            if (in.len > 1200) CHECK_EQ(in.segment, 1200);
            got += in.len;
        }
        /* No segments, and what no kernel can cut. */
        out.segment = 70000;
        CHECK_EQ(ars_dgram_send_many(b, &out, 1, soon()), ARS_EINVAL);
        out.segment = 1;
        CHECK(ars_dgram_send_many(b, &out, 1, soon()) < 0);
    }
    fault_at("sendmmsg", 1, ARS_EINVAL, 1);
    fault_at("getsockopt", 1, -92, 1);
    out.segment = 1200;
    CHECK_EQ(ars_dgram_send_many(b, &out, 1, soon()), ARS_EOPNOTSUPP);
    fault_reset();
    ars_dgram_close(a);
    ars_dgram_close(b);
    ars_dgram_close(u);
    ars_dgram_close(v);
    return 0;
}
BACKEND_CASE(segments)

/* ---- addresses, groups, options ---- */

static int nobody_there_task(void *arg)
{
    (void)arg;
    ars_addr at, unnamed = {0};
    ars_dgram *a = open_at("127.0.0.1:0", &at), *b;
    char buf[8];
    CHECK_EQ(ars_dgram_open(&b, &unnamed, NULL), ARS_EINVAL);
    CHECK_EQ(ars_dgram_dial(&b, &unnamed, NULL), ARS_EINVAL);
    CHECK_EQ(ars_dgram_open(&b, &at, NULL), ARS_EADDRINUSE);
    CHECK_EQ(ars_dgram_dial(&b, &at, NULL), 0);
    ars_dgram_close(a);
    CHECK_EQ(ars_dgram_send(b, "x", 1, NULL, soon()), 0);
    CHECK_EQ(ars_dgram_recv(b, buf, sizeof buf, NULL, soon()), ARS_ECONNREFUSED);
    CHECK_EQ(ars_dgram_recv(b, buf, sizeof buf, NULL, 0), ARS_ETIMEDOUT);
    ars_dgram_close(b);
    CHECK_EQ(ars_addr_parse(&at, "unix:@arsenal-no-such-socket"), 0);
    CHECK_EQ(ars_dgram_dial(&b, &at, NULL), ARS_ECONNREFUSED);
    return 0;
}
BACKEND_CASE(nobody_there)

static int paths_task(void *arg)
{
    (void)arg;
    char path[64], text[80];
    ars_addr at;
    ars_dgram *a, *b;
    snprintf(path, sizeof path, "/tmp/arsenal-dgram-%d", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", path);
    unlink(path);
    a = open_at(text, &at);
    CHECK_EQ(ars_dgram_open(&b, &at, NULL), ARS_EADDRINUSE);
    ars_dgram_close(a);
    CHECK_EQ(access(path, F_OK), -1);
    /* Left over by somebody who is gone. */
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(&at, &len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, sa, (socklen_t)len), 0);
    close(fd);
    a = open_at(text, &at);
    ars_dgram_opt opt = {.local = &at};
    ars_addr far;
    b = open_at("unix:@arsenal-dgram-far", &far);
    ars_dgram_close(a);
    CHECK_EQ(ars_dgram_dial(&a, &far, &opt), 0);
    CHECK_EQ(ars_dgram_send(a, "x", 1, NULL, soon()), 0);
    CHECK_EQ(ars_dgram_recv(b, text, sizeof text, &far, soon()), 1);
    CHECK(same(&far, &at));
    ars_dgram_close(a);
    ars_dgram_close(b);
    CHECK_EQ(access(path, F_OK), -1);
    return 0;
}
BACKEND_CASE(paths)

static int groups_task(void *arg)
{
    (void)arg;
    static const char *const any[] = {"0.0.0.0:0", "[::]:0"};
    static const char *const group[] = {"239.255.77.1:0", "[ff02::7701]:0"};
    unsigned lo = if_nametoindex("lo");
    for (int i = 0; i < 2; i++) {
        ars_addr at, to, other;
        char text[64], buf[8];
        ars_dgram *a = open_at(any[i], &at), *b = open_at(any[i], &other);
        CHECK_EQ(ars_addr_parse(&to, group[i]), 0);
        CHECK_EQ(ars_addr_parse(&other, group[!i]), 0);
        CHECK_EQ(ars_dgram_join(a, &other, lo), ARS_EINVAL);
        CHECK_EQ(ars_dgram_join(a, &at, lo), ARS_EINVAL);
        CHECK_EQ(ars_dgram_join(a, &to, 99999), -19);
        CHECK_EQ(ars_dgram_leave(a, &to, lo), ARS_EADDRNOTAVAIL);
        int rc = ars_dgram_join(a, &to, lo);
        if (rc == 0) {
            CHECK_EQ(ars_dgram_join(a, &to, lo), ARS_EADDRINUSE);
            CHECK_EQ(ars_dgram_set(b, ARS_DGRAM_MULTICAST_IF, (int)lo), 0);
            CHECK_EQ(ars_dgram_get(b, ARS_DGRAM_MULTICAST_IF, &rc), 0);
            CHECK_EQ(rc, lo);
            snprintf(text, sizeof text, "%.*s:%d", (int)strlen(group[i]) - 2, group[i],
                     ars_addr_port(&at));
            CHECK_EQ(ars_addr_parse(&to, text), 0);
            rc = ars_dgram_send(b, "group", 5, &to, soon());
            if (rc == 0) {
                CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, NULL, soon()), 5);
                CHECK_EQ(ars_dgram_leave(a, &to, lo), 0);
            }
        }
        if (rc < 0) test_skipped("no multicast to %s: %s", group[i], ars_strerror(rc));
        ars_dgram_close(a);
        ars_dgram_close(b);
    }
    return 0;
}
BACKEND_CASE(groups)

static int options_task(void *arg)
{
    (void)arg;
    static const struct {
        int option, least, most;
    } ranges[] = {{ARS_DGRAM_BROADCAST, 0, 1},       {ARS_DGRAM_GRO, 0, 1},
                  {ARS_DGRAM_TTL, 1, 255},           {ARS_DGRAM_TOS, 0, 252},
                  {ARS_DGRAM_MULTICAST_TTL, 0, 255}, {ARS_DGRAM_MULTICAST_LOOP, 0, 1}};
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    ars_addr at;
    int value;
    for (int i = 0; i < 2; i++) {
        ars_dgram *a = open_at(texts[i], &at);
        for (unsigned k = 0; k < sizeof ranges / sizeof *ranges; k++) {
            int least = ranges[k].least, most = ranges[k].most;
            CHECK_EQ(ars_dgram_set(a, ranges[k].option, -1), ARS_EINVAL);
            CHECK_EQ(ars_dgram_set(a, ranges[k].option, 256), ARS_EINVAL);
            for (int v = least; v <= most; v += most - least) {
                CHECK_EQ(ars_dgram_set(a, ranges[k].option, v), 0);
                CHECK_EQ(ars_dgram_get(a, ranges[k].option, &value), 0);
                CHECK_EQ(value, v);
            }
        }
        CHECK_EQ(ars_dgram_set(a, ARS_DGRAM_RCVBUF, 50000), 0);
        CHECK_EQ(ars_dgram_get(a, ARS_DGRAM_RCVBUF, &value), 0);
        CHECK(value >= 50000);
        CHECK_EQ(ars_dgram_set(a, 0, 1), ARS_EINVAL);
        CHECK_EQ(ars_dgram_set(a, 99, 1), ARS_EINVAL);
        CHECK_EQ(ars_dgram_get(a, 99, &value), ARS_EINVAL);
        CHECK(ars_dgram_fd(a) > 2);
        ars_dgram_close(a);
    }
    ars_dgram *u, *v;
    CHECK_EQ(ars_dgram_pair(&u, &v, NULL), 0);
    CHECK_EQ(ars_dgram_set(u, ARS_DGRAM_TTL, 9), ARS_EOPNOTSUPP);
    CHECK_EQ(ars_dgram_set(u, ARS_DGRAM_SNDBUF, 50000), 0);
    ars_dgram_close(u);
    ars_dgram_close(v);

    /* A broadcast address is refused until it is asked for. */
    ars_dgram *a = open_at("0.0.0.0:0", &at);
    CHECK_EQ(ars_addr_parse(&at, "127.255.255.255:9"), 0);
    CHECK_EQ(ars_dgram_send(a, "x", 1, &at, soon()), ARS_EACCES);
    CHECK_EQ(ars_dgram_set(a, ARS_DGRAM_BROADCAST, 1), 0);
    CHECK_EQ(ars_dgram_send(a, "x", 1, &at, soon()), 0);
    ars_dgram_close(a);
    return 0;
}
BACKEND_CASE(options)

/* Two sockets at one port, and one that goes along with tasks of other workers. */
static int serve_one(void *arg)
{
    ars_dgram *a = arg;
    char buf[8];
    ars_addr from;
    int n = ars_dgram_recv(a, buf, sizeof buf, &from, soon());
    return n < 0 ? n : ars_dgram_send(a, buf, (size_t)n, &from, soon());
}

static int workers_task(void *arg)
{
    (void)arg;
    ars_addr at;
    ars_dgram_opt opt = {.reuseport = 1};
    ars_dgram *a, *b, *c;
    CHECK_EQ(ars_addr_parse(&at, "127.0.0.1:0"), 0);
    CHECK_EQ(ars_dgram_open(&a, &at, &opt), 0);
    CHECK_EQ(ars_dgram_local(a, &at), 0);
    CHECK_EQ(ars_dgram_open(&b, &at, &opt), 0);
    ars_dgram_close(b);
    CHECK_EQ(ars_dgram_dial(&c, &at, NULL), 0);
    for (int i = 0; i < 200; i++) {
        ars_group group;
        char buf[8];
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        CHECK_EQ(ars_group_go(&group, serve_one, a, NULL), 0);
        CHECK_EQ(ars_dgram_send(c, &i, sizeof i, NULL, soon()), 0);
        CHECK_EQ(ars_dgram_recv(c, buf, sizeof buf, NULL, soon()), sizeof i);
        CHECK(memcmp(buf, &i, sizeof i) == 0);
        CHECK_EQ(ars_group_wait(&group, soon()), 0);
    }
    ars_dgram_close(a);
    ars_dgram_close(c);
    return 0;
}

static void workers(void)
{
    on_each_backend_with(2, workers_task);
}

static int left_open_task(void *arg)
{
    (void)arg;
    ars_addr at;
    char buf[4];
    ars_dgram *a = open_at("127.0.0.1:0", &at);
    open_at("127.0.0.1:0", &at);
    CHECK_EQ(ars_dgram_recv(a, buf, sizeof buf, NULL, ars_after(1)), ARS_ETIMEDOUT);
    return 0;
}
BACKEND_CASE(left_open)

/* ---- faults ---- */

static int exchange(void *arg)
{
    (void)arg;
    ars_addr at, from;
    ars_dgram *a, *b;
    char buf[8];
    CHECK_EQ(ars_addr_parse(&at, "127.0.0.1:0"), 0);
    int rc = ars_dgram_open(&a, &at, NULL);
    if (rc < 0) return rc;
    rc = ars_dgram_local(a, &at);
    if (rc == 0) rc = ars_dgram_dial(&b, &at, NULL);
    if (rc < 0) {
        ars_dgram_close(a);
        return rc;
    }
    ars_time deadline = ars_after(ARS_SECOND);
    ars_message message = {.data = buf, .size = 8};
    waiting w = {.dgram = b, .deadline = deadline};
    ars_group group;
    rc = ars_dgram_send(b, "12345678", 8, NULL, deadline);
    if (rc == 0) rc = ars_dgram_recv(a, buf, sizeof buf, &from, deadline);
    if (rc >= 0) CHECK_EQ(rc, 8);
    if (rc >= 0) rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc == 0) {
        ars_task_opt opt = {.home = 1};
        rc = ars_group_go(&group, receive, &w, &opt);
        ars_yield();
        message.addr = from;
        if (rc == 0) rc = ars_dgram_send_many(a, &message, 1, deadline);
        if (rc < 0) ars_group_cancel(&group, rc);
        int end = ars_group_wait(&group, deadline);
        if (rc >= 0) rc = end;
    }
    ars_dgram_close(a);
    ars_dgram_close(b);
    if (rc < 0) return rc;
    rc = ars_dgram_pair(&a, &b, NULL);
    if (rc < 0) return rc;
    rc = ars_dgram_send_many(a, &message, 1, deadline);
    message.addr = (ars_addr){0};
    if (rc < 0) rc = ars_dgram_send_many(a, &message, 1, deadline);
    if (rc == 1) rc = ars_dgram_recv_many(b, &message, 1, deadline);
    ars_dgram_close(a);
    ars_dgram_close(b);
    return rc < 0 ? rc : 0;
}

static void survive(const ars_alloc *alloc, unsigned backend)
{
    ars_config config = {.alloc = alloc, .backend = backend, .workers = 1};
    CHECK(ars_run(exchange, NULL, &config) <= 0);
}

static void survive_auto(const ars_alloc *alloc)
{
    survive(alloc, ARS_BACKEND_AUTO);
}

static void survive_epoll(const ars_alloc *alloc)
{
    survive(alloc, ARS_BACKEND_EPOLL);
}

static void faults(void)
{
    sweep_alloc("auto", survive_auto);
    sweep_os("auto", survive_auto);
    sweep_os("epoll", survive_epoll);
}

static const test_case cases[] = {
    {"there_and_back", there_and_back},
    {"waiting_receiver", waiting_receiver},
    {"closed_under_the_awake", closed_under_the_awake},
    {"full_queue", full_queue},
    {"many", many},
    {"segments", segments},
    {"nobody_there", nobody_there},
    {"paths", paths},
    {"groups", groups},
    {"options", options},
    {"workers", workers},
    {"left_open", left_open},
    {"faults", faults},
};
TEST_MAIN(cases)
