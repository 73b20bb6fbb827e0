/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_RANDOMLY_H
#define ARS_TEST_RANDOMLY_H

/*
 * Random operations with random deadlines and cancels on pairs of connections,
 * whose bytes are numbered, so that each read knows what it has to bring.
 */

#include <stdlib.h>

#include "luck.h"
#include "peer.h"

enum { PAIRS = 12, MOST = 40000 };

static void dawdle(luck *l)
{
    if (dice(l, 3) == 0) ars_yield();
    if (dice(l, 16) == 0) ars_sleep(ars_after(dice(l, 200 * ARS_MICROSECOND)));
}

/* ---- a run ---- */

static uint64_t seed_of_run;
static int disorder;

static struct {
    ars_atomic_u64 operations, timed_out, cancelled, bytes;
    uint64_t wanted;
    unsigned workers;
} all;

static void note(int rc)
{
    ars_atomic_u64_add_relaxed(&all.operations, 1);
    if (rc == ARS_ETIMEDOUT) ars_atomic_u64_add_relaxed(&all.timed_out, 1);
    if (rc == ARS_ECANCELED) ars_atomic_u64_add_relaxed(&all.cancelled, 1);
    if (rc > 0) ars_atomic_u64_add_relaxed(&all.bytes, (uint64_t)rc);
}

/* One end of a connection: how much of its stream has been sent and has been read. */
typedef struct end {
    ars_conn *conn;
    unsigned said_seed, heard_seed;
    uint64_t said, heard;
    int gone; /* the other end is, or was cut off: errors are expected */
    luck say_luck, hear_luck;
} end;

static void check_heard(end *e, const void *data, size_t n)
{
    stream_check(e->heard_seed, e->heard, data, n);
    e->heard += n;
}

static int is_cut(int rc)
{
    return rc == ARS_EPIPE || rc == ARS_ECONNRESET || rc == ARS_EBADF;
}

/* Whether to go on after this result. */
static int goes_on(const end *e, int rc)
{
    if (rc >= 0 || rc == ARS_ETIMEDOUT) return 1;
    if (rc == ARS_ECANCELED || (e->gone && is_cut(rc))) return 0;
    FAIL("%d (%s)", rc, ars_strerror(rc));
}

static int say(void *arg)
{
    end *e = arg;
    luck *l = &e->say_luck;
    char *buf = malloc(MOST);
    CHECK(buf != NULL);
    for (int left = 1 + (int)dice(l, 30); left > 0; left--) {
        size_t n = 1 + dice(l, dice(l, 4) ? 200 : MOST), sent = n + 1;
        stream_fill(e->said_seed, e->said, (unsigned char *)buf, n);
        ars_time deadline = some_deadline(l);
        int rc;
        if (dice(l, 3) == 0) {
            ars_buf parts[3];
            size_t cut = dice(l, (uint32_t)n), more = dice(l, (uint32_t)(n - cut));
            parts[0] = (ars_buf){buf, cut};
            parts[1] = (ars_buf){buf + cut, more};
            parts[2] = (ars_buf){buf + cut + more, n - cut - more};
            rc = ars_conn_writev(e->conn, parts, 3, &sent, deadline);
        } else {
            rc = ars_conn_write(e->conn, buf, n, &sent, deadline);
        }
        /* The kernel has copied what it took: nobody looks at the rest any more. */
        memset(buf, 0, n);
        CHECK(sent <= n);
        CHECK(rc != 0 || sent == n);
        e->said += sent;
        note(rc);
        if (!goes_on(e, rc)) break;
        dawdle(l);
    }
    free(buf);
    return 0;
}

static int hear_select(end *e, char *buf, size_t n, ars_time deadline)
{
    ars_case readable = ARS_READABLE(e->conn);
    int rc = ars_select(&readable, 1, deadline);
    if (rc < 0) return rc;
    rc = ars_conn_read(e->conn, buf, n, 0);
    /* What is there may still be on its way through the disorder. */
    CHECK(rc != ARS_ETIMEDOUT || disorder);
    return rc;
}

static int hear(void *arg)
{
    end *e = arg;
    luck *l = &e->hear_luck;
    char *buf = malloc(MOST);
    CHECK(buf != NULL);
    for (int left = 1 + (int)dice(l, 40); left > 0; left--) {
        size_t n = 1 + dice(l, dice(l, 3) ? 300 : MOST);
        ars_time deadline = some_deadline(l);
        ars_loan loan;
        int rc;
        switch (dice(l, 4)) {
        case 0:
            rc = ars_conn_read_loan(e->conn, &loan, deadline);
            if (rc <= 0) break;
            check_heard(e, loan.data, loan.len);
            dawdle(l);
            ars_conn_read_return(&loan);
            break;
        case 1:
            rc = hear_select(e, buf, n, deadline);
            if (rc > 0) check_heard(e, buf, (size_t)rc);
            break;
        default:
            rc = ars_conn_read(e->conn, buf, n, deadline);
            if (rc > 0) check_heard(e, buf, (size_t)rc);
        }
        note(rc);
        if (rc == 0) CHECK(e->gone);
        if (rc == 0 || !goes_on(e, rc)) break;
        dawdle(l);
    }
    free(buf);
    return 0;
}

/* ---- a pair of ends ---- */

typedef struct pair {
    end a, b;
    luck luck;
    unsigned id;
} pair;

/* Dials until it succeeds, and takes the connection that this is the other end of. */
static void pair_dial(pair *p)
{
    ars_addr addr, local, from;
    int rc;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    do {
        rc = ars_conn_dial(&p->a.conn, &addr, NULL, some_deadline(&p->luck));
        note(rc);
    } while (rc == ARS_ETIMEDOUT);
    CHECK_EQ(rc, 0);
    CHECK_EQ(ars_conn_local(p->a.conn, &local), 0);
    for (;;) {
        rc = ars_listener_accept(listener, &p->b.conn, some_deadline(&p->luck));
        note(rc);
        if (rc == ARS_ETIMEDOUT) continue;
        CHECK_EQ(rc, 0);
        if (ars_conn_peer(p->b.conn, &from) == 0 && ars_addr_port(&from) == ars_addr_port(&local))
            break;
        ars_conn_close(p->b.conn);
    }
    ars_listener_close(listener);
}

/* Four tasks, two an end, for a while; then maybe a cancel. */
static void pair_round(pair *p)
{
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    end *ends[] = {&p->a, &p->b};
    for (int i = 0; i < 2; i++) {
        /* The tasks that use a connection at a time are of one worker; the next round's may be of another. */
        ars_task_opt opt = {.name = "say", .home = 1 + dice(&p->luck, all.workers)};
        CHECK_EQ(ars_group_go(&group, say, ends[i], &opt), 0);
        opt.name = "hear";
        CHECK_EQ(ars_group_go(&group, hear, ends[i], &opt), 0);
    }
    if (dice(&p->luck, 2)) {
        ars_sleep(ars_after(dice(&p->luck, 4 * ARS_MILLISECOND)));
        ars_group_cancel(&group, ARS_ECANCELED);
    }
    int rc = ars_group_wait(&group, ARS_FOREVER);
    CHECK(rc == 0 || rc == ARS_ECANCELED);
}

/* Reads to the end of the stream: all that was said has been heard. */
static int drain(void *arg)
{
    end *e = arg;
    char buf[4096];
    int n;
    while ((n = ars_conn_read(e->conn, buf, sizeof buf, ars_after(20 * ARS_SECOND))) > 0)
        check_heard(e, buf, (size_t)n);
    if (n != 0) FAIL("heard %llu, then %s", (unsigned long long)e->heard, ars_strerror(n));
    return 0;
}

static void pair_end(pair *p)
{
    if (dice(&p->luck, 4) == 0) {
        /* One is closed while the other goes on. */
        ars_group group;
        p->a.gone = p->b.gone = 1;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        ars_task_opt opt = {.home = 1 + dice(&p->luck, all.workers)};
        CHECK_EQ(ars_group_go(&group, say, &p->b, &opt), 0);
        CHECK_EQ(ars_group_go(&group, hear, &p->b, &opt), 0);
        dawdle(&p->luck);
        ars_conn_close(p->a.conn);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        CHECK(p->b.heard <= p->a.said);
        ars_conn_close(p->b.conn);
        return;
    }
    ars_group group;
    CHECK_EQ(ars_conn_shutdown(p->a.conn, ARS_WRITE_SIDE), 0);
    CHECK_EQ(ars_conn_shutdown(p->b.conn, ARS_WRITE_SIDE), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, drain, &p->a, NULL), 0);
    CHECK_EQ(ars_group_go(&group, drain, &p->b, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(p->a.heard, p->b.said);
    CHECK_EQ(p->b.heard, p->a.said);
    ars_conn_close(p->a.conn);
    ars_conn_close(p->b.conn);
}

static int pair_live(void *arg)
{
    pair *p = arg;
    for (unsigned turn = 0; ars_atomic_u64_load_relaxed(&all.operations) < all.wanted; turn++) {
        unsigned seed = p->id * 2 + turn * 2 * PAIRS;
        uint64_t chance = p->luck.state;
        p->a = (end){.said_seed = seed, .heard_seed = seed + 1};
        p->b = (end){.said_seed = seed + 1, .heard_seed = seed};
        p->a.say_luck.state = chance + 1;
        p->a.hear_luck.state = chance + 2;
        p->b.say_luck.state = chance + 3;
        p->b.hear_luck.state = chance + 4;
        if (dice(&p->luck, 2))
            pair_dial(p);
        else
            CHECK_EQ(ars_conn_pair(&p->a.conn, &p->b.conn), 0);
        for (int left = 1 + (int)dice(&p->luck, 6); left > 0; left--) pair_round(p);
        pair_end(p);
    }
    return 0;
}

/* Lives the lives of all pairs, until there were 'wanted' operations. */
static void random_round(uint64_t wanted)
{
    static pair pairs[PAIRS];
    ars_run_stats stats;
    memset(&all, 0, sizeof all);
    all.wanted = wanted;
    CHECK_EQ(ars_stats(&stats), 0);
    all.workers = (unsigned)stats.workers;
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i] = (pair){.id = i, .luck = {seed_of_run + 1000 * i}};
        CHECK_EQ(ars_group_go(&group, pair_live, &pairs[i], NULL), 0);
    }
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
}

#endif
