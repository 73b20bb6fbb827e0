/* SPDX-License-Identifier: MIT */
/*
 * Random operations with random deadlines and cancels on datagram sockets, calm,
 * in disorder, and with interruptions: what a unix socket was said to have taken
 * arrives, once and in order; over UDP some of it may be lost.
 */
#include <arsenal/dgram.h>
#include <stdlib.h>

#include "chaos.h"
#include "fault.h"
#include "luck.h"
#include "peer.h"

enum { PAIRS = 8, MOST = 1200, BATCH = 4 };

static uint64_t seed_of_run = 1;

/* One direction: its datagrams are numbered, and their bytes are a stream's from the number on. */
typedef struct way {
    ars_dgram *from, *to;
    int lossy;
    unsigned seed;
    luck state, say_state, hear_state;
    uint32_t said, heard; /* numbers: the next to send, and the next to come */
    uint32_t arrived;
} way;

static ars_atomic_u64 operations, given_up;
static unsigned workers;

/* Whether to go on. */
static int note(int rc)
{
    ars_atomic_u64_add_relaxed(&operations, 1);
    if (rc < 0) ars_atomic_u64_add_relaxed(&given_up, 1);
    if (rc >= 0 || rc == ARS_ETIMEDOUT) return 1;
    if (rc != ARS_ECANCELED) FAIL("%d (%s)", rc, ars_strerror(rc));
    return 0;
}

static size_t compose(way *w, uint32_t number, unsigned char *buf)
{
    size_t n = sizeof number + dice(&w->say_state, MOST - sizeof number);
    memcpy(buf, &number, sizeof number);
    stream_fill(w->seed, number, buf + sizeof number, n - sizeof number);
    return n;
}

static void check(way *w, const unsigned char *buf, size_t n)
{
    uint32_t number;
    CHECK(n >= sizeof number && n <= MOST);
    memcpy(&number, buf, sizeof number);
    stream_check(w->seed, number, buf + sizeof number, n - sizeof number);
    if (w->lossy)
        CHECK(number >= w->heard);
    else
        CHECK_EQ(number, w->heard);
    w->heard = number + 1;
    w->arrived++;
}

static int says(void *arg)
{
    way *w = arg;
    unsigned char bufs[BATCH][MOST];
    for (int left = 1 + (int)dice(&w->say_state, 60); left > 0; left--) {
        ars_message messages[BATCH];
        memset(messages, 0, sizeof messages);
        unsigned n = 1 + dice(&w->say_state, BATCH);
        for (unsigned i = 0; i < n; i++) {
            messages[i].data = bufs[i];
            messages[i].size = compose(w, w->said + i, bufs[i]);
        }
        ars_time deadline = some_deadline(&w->say_state);
        int rc;
        if (n == 1)
            rc = ars_dgram_send(w->from, bufs[0], messages[0].size, NULL, deadline);
        else
            rc = ars_dgram_send_many(w->from, messages, n, deadline);
        CHECK(rc < 0 || n == 1 || (rc > 0 && (unsigned)rc <= n));
        if (rc >= 0) w->said += n == 1 ? 1 : (uint32_t)rc;
        if (!note(rc)) break;
        if (dice(&w->say_state, 3) == 0) ars_yield();
    }
    return 0;
}

static int hear_some(way *w, ars_time deadline)
{
    unsigned char bufs[BATCH][MOST];
    ars_message messages[BATCH];
    ars_addr from;
    unsigned n = 1 + dice(&w->hear_state, BATCH);
    if (n == 1) {
        int rc =
            ars_dgram_recv(w->to, bufs[0], MOST, dice(&w->hear_state, 2) ? &from : NULL, deadline);
        if (rc >= 0) check(w, bufs[0], (size_t)rc);
        return rc;
    }
    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < n; i++) {
        messages[i].data = bufs[i];
        messages[i].size = MOST;
    }
    int rc = ars_dgram_recv_many(w->to, messages, n, deadline);
    CHECK(rc < 0 || (rc > 0 && (unsigned)rc <= n));
    for (int i = 0; i < rc; i++) check(w, bufs[i], messages[i].len);
    return rc;
}

static int hears(void *arg)
{
    way *w = arg;
    for (int left = 1 + (int)dice(&w->hear_state, 60); left > 0; left--)
        if (!note(hear_some(w, some_deadline(&w->hear_state)))) break;
    return 0;
}

static ars_dgram *open_any(ars_addr *addr)
{
    ars_dgram *dgram;
    CHECK_EQ(ars_addr_parse(addr, "127.0.0.1:0"), 0);
    CHECK_EQ(ars_dgram_open(&dgram, addr, NULL), 0);
    CHECK_EQ(ars_dgram_local(dgram, addr), 0);
    return dgram;
}

/* Two tasks for a while, each maybe on another worker than before; then maybe a cancel. */
static void one_round(way *w)
{
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    ars_task_opt opt = {.home = 1 + dice(&w->state, workers)};
    CHECK_EQ(ars_group_go(&group, says, w, &opt), 0);
    opt.home = 1 + dice(&w->state, workers);
    CHECK_EQ(ars_group_go(&group, hears, w, &opt), 0);
    if (dice(&w->state, 2)) {
        ars_sleep(ars_after(dice(&w->state, 2 * ARS_MILLISECOND)));
        ars_group_cancel(&group, ARS_ECANCELED);
    }
    int rc = ars_group_wait(&group, ARS_FOREVER);
    CHECK(rc == 0 || rc == ARS_ECANCELED);
}

static int lives(void *arg)
{
    way *w = arg;
    ars_addr addr;
    w->lossy = dice(&w->state, 2) != 0;
    if (w->lossy) {
        w->to = open_any(&addr);
        CHECK_EQ(ars_dgram_dial(&w->from, &addr, NULL), 0);
    } else {
        CHECK_EQ(ars_dgram_pair(&w->from, &w->to, NULL), 0);
    }
    for (uint64_t most = (uint64_t)test_times(60000, 5000);
         ars_atomic_u64_load_relaxed(&operations) < most;)
        one_round(w);
    while (w->heard < w->said) {
        int rc = hear_some(w, ars_after(w->lossy ? 20 * ARS_MILLISECOND : 10 * ARS_SECOND));
        if (rc >= 0) continue;
        CHECK(w->lossy && rc == ARS_ETIMEDOUT);
        break;
    }
    CHECK(w->arrived <= w->said && (w->lossy || w->arrived == w->said));
    ars_dgram_close(w->from);
    ars_dgram_close(w->to);
    return 0;
}

static int random_task(void *arg)
{
    static way ways[PAIRS];
    ars_run_stats stats;
    ars_group group;
    uint64_t said = 0, arrived = 0;
    (void)arg;
    CHECK_EQ(ars_stats(&stats), 0);
    workers = (unsigned)stats.workers;
    ars_atomic_u64_store_relaxed(&operations, 0);
    ars_atomic_u64_store_relaxed(&given_up, 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        ways[i] = (way){.seed = i,
                        .state = {seed_of_run ^ i},
                        .say_state = {seed_of_run + i},
                        .hear_state = {seed_of_run - i}};
        CHECK_EQ(ars_group_go(&group, lives, &ways[i], NULL), 0);
    }
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    for (unsigned i = 0; i < PAIRS; i++) said += ways[i].said, arrived += ways[i].arrived;
    printf("  %s, workers: %u, operations: %llu, given up: %llu, datagrams: %llu, lost: %llu\n",
           backend_name(), workers, (unsigned long long)ars_atomic_u64_load_relaxed(&operations),
           (unsigned long long)ars_atomic_u64_load_relaxed(&given_up), (unsigned long long)said,
           (unsigned long long)(said - arrived));
    return 0;
}

static void calm(void)
{
    on_each_backend_with(1, random_task);
    on_each_backend_with(4, random_task);
}

static void chaos(void)
{
    chaos_begin(seed_of_run);
    calm();
    chaos_counts c = chaos_end();
    CHECK(c.events > 0);
}

static void noise(void)
{
    fault_noise(seed_of_run);
    chaos_noise(seed_of_run);
    calm();
    chaos_noise(0);
    CHECK(fault_hits("recvfrom") + fault_hits("sendto") + fault_hits("recvmmsg") > 0);
    fault_reset();
}

static const test_case cases[] = {{"calm", calm}, {"chaos", chaos}, {"noise", noise}};

int main(int argc, char **argv)
{
    const char *seed = getenv("ARS_TEST_SEED");
    if (seed) seed_of_run = strtoull(seed, NULL, 0);
    printf("seed %llu\n", (unsigned long long)seed_of_run);
    return test_main(cases, sizeof cases / sizeof *cases, argc, argv);
}
