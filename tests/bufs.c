/* SPDX-License-Identifier: MIT */
/* The ring of receive buffers: it grows under load, and is small again when nothing has come for a while. */
#include "io/linux/uring.h"
#include "peer.h"

enum { PEERS = 400, ROUNDS = 4 };

static ars_time soon(void)
{
    return ars_after(10 * ARS_SECOND);
}

static const ars__bufs *bufs(void)
{
    ars__loop *loop;
    CHECK_EQ(ars__loop_get(&loop, ars__task_self()), 0);
    return &ars__uring_of(loop)->bufs;
}

/* Everybody sends and nobody reads, more than the small ring holds; then each reads what its peer sent. */
static void burst(peer *p, unsigned round)
{
    unsigned message[16], got[16];
    for (unsigned i = 0; i < PEERS; i++) {
        for (unsigned k = 0; k < 16; k++) message[k] = round << 24 ^ i << 8 ^ k;
        plain_send(p[i].fd, message, sizeof message);
    }
    CHECK_EQ(ars_sleep(ars_after(20 * ARS_MILLISECOND)), 0); /* all of it comes in, a buffer each */
    for (unsigned i = 0; i < PEERS; i++) {
        CHECK_EQ(ars_conn_read(p[i].conn, got, sizeof got, soon()), sizeof got);
        for (unsigned k = 0; k < 16; k++) CHECK_EQ(got[k], round << 24 ^ i << 8 ^ k);
    }
}

static int grows_and_shrinks(void *arg)
{
    (void)arg;
    static peer p[PEERS];
    char byte;
    ars_addr addr;
    ars_listener *listener = listen_at("127.0.0.1:0", &addr);
    for (unsigned i = 0; i < PEERS; i++) {
        p[i] = peer_of(listener, &addr);
        /* A read that gives up leaves the kernel free to bring more. */
        CHECK_EQ(ars_conn_read(p[i].conn, &byte, 1, 1), ARS_ETIMEDOUT);
    }
    CHECK_EQ(bufs()->made, ARS__BUFS_START);
    for (unsigned round = 0; round < ROUNDS; round++) {
        burst(p, round);
        CHECK(bufs()->made > ARS__BUFS_START);
        CHECK_EQ(bufs()->free, bufs()->made);
        /* While a buffer is out it stays as it is. */
        plain_send(p[0].fd, "x", 1);
        ars_loan loan;
        CHECK_EQ(ars_conn_read_loan(p[0].conn, &loan, soon()), 1);
        CHECK_EQ(ars_sleep(ars_after(250 * ARS_MILLISECOND)), 0);
        CHECK(bufs()->made > ARS__BUFS_START);
        CHECK(*(const char *)loan.data == 'x');
        ars_conn_read_return(&loan);
        CHECK_EQ(ars_sleep(ars_after(250 * ARS_MILLISECOND)), 0);
        CHECK_EQ(bufs()->made, ARS__BUFS_START);
        CHECK_EQ(bufs()->free, ARS__BUFS_START);
    }
    burst(p, ROUNDS);
    for (unsigned i = 0; i < PEERS; i++) peer_close(&p[i]);
    ars_listener_close(listener);
    return 0;
}

static void with_load(void)
{
    static world w;
    if (is_refused(ARS_BACKEND_URING)) {
        test_skipped("io_uring is refused here");
        return;
    }
    world_begin(&w);
    w.config.backend = ARS_BACKEND_URING;
    CHECK_EQ(ars_run(grows_and_shrinks, NULL, &w.config), 0);
    test_gate_end(&w.gate, 4 * ((long)w.config.workers - 1));
}

static const test_case cases[] = {{"grows and shrinks", with_load}};
TEST_MAIN(cases)
