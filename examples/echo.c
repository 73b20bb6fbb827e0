/* SPDX-License-Identifier: MIT */
#include <arsenal/atomic.h>
#include <arsenal/clock.h>
#include <arsenal/listener.h>
#include <arsenal/run.h>
#include <arsenal/signal.h>
#include <signal.h>

#include "arguments.h"

/*
 * An echo server in two styles, a task for each connection, or one only while
 * there is something to answer; and a graceful end on SIGINT or SIGTERM.
 */
static struct server {
    unsigned workers, serves;                       /* 'serves': the second style */
    ars_listener *listeners[ARGUMENTS_WORKERS_MAX]; /* one for each; the system deals out */
    ars_group group;
    ars_atomic_u64 answers, bytes;
} server;

/* Answers what has come; > 0: wants to be called again when there is more. */
static int answer(ars_conn *conn, void *state, void *arg)
{
    char buf[1024];
    int n = ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER);
    (void)state, (void)arg;
    if (n <= 0) return n;
    ars_atomic_u64_add_relaxed(&server.answers, 1);
    ars_atomic_u64_add_relaxed(&server.bytes, (uint64_t)n);
    int rc = ars_conn_write(conn, buf, (size_t)n, NULL, ARS_FOREVER);
    return rc < 0 ? rc : ARS_SERVE_KEEP;
}

static int serve(void *conn)
{
    while (answer(conn, NULL, NULL) > 0) {}
    ars_conn_close(conn);
    return 0;
}

static int accept_all(void *listener)
{
    ars_conn *conn;
    int rc;

    if (server.serves) return ars_listener_serve(listener, answer, NULL, NULL, ARS_FOREVER);
    while ((rc = ars_listener_accept(listener, &conn, ARS_FOREVER)) != ARS_EBADF) {
        if (rc == 0 && ars_group_go(&server.group, serve, conn, NULL) < 0) ars_conn_close(conn);
        /* When descriptors or memory run out they may come back. */
        if (rc < 0 && ars_sleep(ars_after(10 * ARS_MILLISECOND)) < 0) return rc;
    }
    return 0;
}

static int root(void *addr)
{
    char text[ARS_ADDR_TEXT];
    ars_run_stats stats;
    ars_chan *stop = NULL;
    ars_listener_opt opt = {.reuseport = server.workers > 1};
    int rc = ars_group_init(&server.group, NULL, ARS_COLLECT);
    if (rc == 0) rc = ars_signal_open(&stop, (const int[]){SIGINT, SIGTERM}, 2);
    for (unsigned i = 0; i < server.workers && rc == 0; i++) {
        ars_task_opt home = {.home = i + 1};
        rc = ars_listener_open(&server.listeners[i], addr, &opt);
        if (rc == 0) ars_listener_addr(server.listeners[i], addr); /* the port, if it was 0 */
        if (rc == 0) rc = ars_group_go(&server.group, accept_all, server.listeners[i], &home);
    }
    ars_stats(&stats);
    ars_addr_format(addr, text, sizeof text);
    if (rc == 0) printf("listening at %s, %s\n", text, stats.backend);
    fflush(stdout);
    if (rc == 0) rc = ars_chan_recv(stop, &(ars_signal){0}, ARS_FOREVER);
    ars_time limit = ars_after(5 * ARS_SECOND);
    for (unsigned i = 0; i < server.workers && server.listeners[i]; i++) {
        if (server.serves) ars_listener_drain(server.listeners[i], limit, NULL);
        ars_listener_close(server.listeners[i]);
    }
    int drained = ars_group_wait(&server.group, limit);
    printf("%s: %llu answers, %llu bytes\n", drained == 0 ? "drained" : "stopped",
           (unsigned long long)ars_atomic_u64_load_relaxed(&server.answers),
           (unsigned long long)ars_atomic_u64_load_relaxed(&server.bytes));
    ars_signal_close(stop);
    return rc;
}

int main(int argc, char **argv)
{
    struct arguments args = {.address = "127.0.0.1:7000"};

    if (arguments_parse(&args, argc, argv) < 0) return 2;
    server.serves = !strcmp(args.style, "serve");
    server.workers = args.config.workers;
    int rc = ars_run(root, &args.addr, &args.config);
    if (rc < 0)
        fprintf(stderr, "echo: %s, backend %s: %s; another address or backend may do\n",
                args.address, args.backend, ars_strerror(rc));
    return rc < 0;
}
