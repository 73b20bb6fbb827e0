/* SPDX-License-Identifier: MIT */
/* A connection that always has something, read all the time, does not keep the others of its worker waiting. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

#include "peer.h"

enum { ROUNDS = 600, ROOM = 64 << 10, CALM = 4, FAIR = 4 << 20 };

static ars_time soon(void)
{
    return ars_after(20 * ARS_SECOND);
}

static struct {
    ars_conn *conn;
    ars_atomic_u64 got;
    ars_atomic_u32 over;
} flooded;

/* Ends with the connection. */
static void *flood(void *fd)
{
    static char chunk[ROOM];
    while (send((int)(intptr_t)fd, chunk, sizeof chunk, MSG_NOSIGNAL) > 0) {}
    return NULL;
}

static size_t got(void)
{
    return (size_t)ars_atomic_u64_load_relaxed(&flooded.got);
}

static int read_flood(void *arg)
{
    (void)arg;
    char *buf = malloc(ROOM);
    int n;
    while ((n = ars_conn_read(flooded.conn, buf, ROOM, soon())) > 0)
        ars_atomic_u64_add_relaxed(&flooded.got, (uint64_t)n);
    free(buf);
    ars_atomic_u32_store_relaxed(&flooded.over, 1);
    ars_conn_close(flooded.conn);
    return n;
}

static int echo(void *conn)
{
    char buf[64];
    int n;
    while ((n = ars_conn_read(conn, buf, sizeof buf, soon())) > 0) {
        int rc = ars_conn_write(conn, buf, (size_t)n, NULL, soon());
        if (rc < 0) return rc;
    }
    ars_conn_close(conn);
    return n;
}

/* What the flooded one gets while a calm one waits for its answer is bounded, whatever it could get. */
static int calm_task(void *arg)
{
    (void)arg;
    peer calm[CALM], loud = peer_open();
    pthread_t thread;
    ars_group group;
    size_t most = 0;
    int unfair = 0;
    flooded.conn = loud.conn;
    ars_atomic_u64_store_relaxed(&flooded.got, 0);
    ars_atomic_u32_store_relaxed(&flooded.over, 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    for (int i = 0; i < CALM; i++) {
        calm[i] = peer_open();
        go_beside(&group, echo, calm[i].conn);
    }
    go_beside(&group, read_flood, NULL);
    CHECK_EQ(pthread_create(&thread, NULL, flood, (void *)(intptr_t)loud.fd), 0);
    while (got() < 8 * ROOM) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int fd = calm[round % CALM].fd;
        char byte = (char)round, answer = 0;
        plain_send(fd, &byte, 1);
        size_t before = got();
        while (recv(fd, &answer, 1, MSG_DONTWAIT) != 1) CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(answer, byte);
        unfair += got() - before > FAIR;
        if (got() - before > most) most = got() - before;
    }
    printf("  %s: at most %zu KiB meanwhile, %d unfair, %zu MiB in all\n", backend_name(),
           most >> 10, unfair, got() >> 20);
    CHECK(!ars_atomic_u32_load_relaxed(&flooded.over));
    /* Turns come after a slice of 512 KiB at the latest; the system may be late once in a while. */
    CHECK(unfair <= ROUNDS / 200);
    shutdown(loud.fd, SHUT_WR);
    for (int i = 0; i < CALM; i++) shutdown(calm[i].fd, SHUT_WR);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    pthread_join(thread, NULL);
    close(loud.fd);
    for (int i = 0; i < CALM; i++) close(calm[i].fd);
    return 0;
}

static void *nothing(void *arg)
{
    return arg;
}

static void calm(void)
{
    /* The C library keeps the stack of a thread for the next one. */
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
    pthread_join(thread, NULL);
    on_each_backend_with(1, calm_task);
}

/* ---- a slice ---- */

enum { PREFILLED = 8 << 20, SLICE = 1 << 20 };

/* What is there already is read without a wait: after so many bytes others run all the same. */
static int prefilled_task(void *arg)
{
    (void)arg;
    int fds[2], room = PREFILLED + (1 << 20);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    if (setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0) {
        test_skipped("no right to enlarge a socket's buffer");
        close(fds[0]);
        close(fds[1]);
        return 0;
    }
    char *chunk = calloc(1, ROOM);
    for (int i = 0; i < PREFILLED / ROOM; i++) plain_send(fds[1], chunk, ROOM);
    free(chunk);
    ars_group group;
    flooded.conn = NULL;
    CHECK_EQ(ars_conn_from_fd(&flooded.conn, fds[0]), 0);
    ars_atomic_u64_store_relaxed(&flooded.got, 0);
    start(&group, read_flood, NULL);
    size_t most = 0;
    while (got() < PREFILLED) {
        size_t before = got();
        CHECK_EQ(ars_yield(), 0);
        if (got() - before > most) most = got() - before;
    }
    printf("  %s: at most %zu KiB a slice\n", backend_name(), most >> 10);
    CHECK(most <= SLICE);
    close(fds[1]);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    return 0;
}

static void prefilled(void)
{
    on_each_backend_with(1, prefilled_task);
}

static const test_case cases[] = {{"calm", calm}, {"prefilled", prefilled}};
TEST_MAIN(cases)
