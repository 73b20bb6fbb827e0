/* SPDX-License-Identifier: MIT */
#include <arsenal/atomic.h>
#include <arsenal/clock.h>
#include <arsenal/listener.h>
#include <arsenal/run.h>
#include <arsenal/signal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * An echo server with a graceful end on SIGINT or SIGTERM.  A task for each
 * connection, or (--style serve) only where a request is in progress.
 */
static struct server {
    ars_listener *listeners[64]; /* one for each worker; the system deals connections out */
    unsigned workers, serves;
    ars_group group; /* the accepting tasks and the connections */
    ars_atomic_u64 connections, bytes;
} server;

/* Answers what has come; <= 0 at the end.  'counted': the connection has been. */
static int answer(ars_conn *conn, void *counted, void *arg)
{
    char buf[1024];
    int rc, n = ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER);

    (void)arg;
    if (!*(char *)counted) ars_atomic_u64_add_relaxed(&server.connections, 1);
    *(char *)counted = 1;
    if (n <= 0) return n;
    ars_atomic_u64_add_relaxed(&server.bytes, (uint64_t)n);
    rc = ars_conn_write(conn, buf, (size_t)n, NULL, ARS_FOREVER);
    return rc < 0 ? rc : ARS_SERVE_KEEP;
}

static int converse(void *conn)
{
    char counted = 0;

    while (answer(conn, &counted, NULL) > 0) {}
    ars_conn_close(conn);
    return 0;
}

static int accept_all(void *listener)
{
    static const ars_serve_opt opt = {.state_size = 1};
    ars_conn *conn;
    int rc;

    if (server.serves) return ars_listener_serve(listener, answer, NULL, &opt, ARS_FOREVER);
    while ((rc = ars_listener_accept(listener, &conn, ARS_FOREVER)) != ARS_EBADF) {
        if (rc == 0 && ars_group_go(&server.group, converse, conn, NULL) < 0) ars_conn_close(conn);
        /* When descriptors or memory run out they may come back. */
        if (rc < 0 && ars_sleep(ars_after(10 * ARS_MILLISECOND)) < 0) return rc;
    }
    return 0;
}

static int root(void *addr)
{
    char text[ARS_ADDR_TEXT];
    ars_run_stats stats;
    ars_signal signal;
    ars_chan *stop = NULL;
    ars_listener_opt opt = {.reuseport = server.workers > 1};
    int rc = ars_signal_open(&stop, (const int[]){SIGINT, SIGTERM}, 2);

    if (rc == 0) rc = ars_group_init(&server.group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    for (unsigned i = 0; i < server.workers && rc == 0; i++) {
        ars_listener **listener = &server.listeners[i];
        rc = ars_listener_open(listener, addr, &opt);
        ars_task_opt home = {.home = i + 1};
        if (rc == 0) rc = ars_listener_addr(*listener, addr); /* the port, if it was 0 */
        if (rc == 0) rc = ars_group_go(&server.group, accept_all, *listener, &home);
    }
    ars_addr_format(addr, text, sizeof text);
    ars_stats(&stats);
    if (rc == 0) printf("listening at %s, %s\n", text, stats.backend);
    fflush(stdout);
    if (rc == 0) rc = ars_chan_recv(stop, &signal, ARS_FOREVER);
    ars_time limit = ars_after(5 * ARS_SECOND);
    for (unsigned i = 0; i < server.workers && server.listeners[i]; i++) {
        ars_listener_drain(server.listeners[i], limit, NULL);
        ars_listener_close(server.listeners[i]);
    }
    int drained = ars_group_wait(&server.group, limit);
    printf("%s: %llu connections, %llu bytes\n", drained == 0 ? "drained" : "stopped",
           (unsigned long long)ars_atomic_u64_load_relaxed(&server.connections),
           (unsigned long long)ars_atomic_u64_load_relaxed(&server.bytes));
    ars_signal_close(stop);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"", "--backend", "--workers", "--style"};
    static const char *const backends[] = {"auto", "uring", "epoll", "poll"};
    const char *given[] = {"127.0.0.1:7000", "auto", "1", "task"};
    ars_config config = {0};
    ars_addr addr;

    for (int i = 1; i < argc; i++) {
        int option = 3;
        while (option > 0 && strcmp(argv[i], names[option])) option--;
        given[option] = argv[option && i + 1 < argc ? ++i : i];
    }
    while (config.backend < 4 && strcmp(given[1], backends[config.backend])) config.backend++;
    server.workers = config.workers = (unsigned)atoi(given[2]);
    server.serves = !strcmp(given[3], "serve");
    if (config.backend == 4 || config.workers - 1 >= 64 || ars_addr_parse(&addr, given[0]) < 0) {
        fprintf(stderr, "usage: echo [IP:PORT | unix:PATH] [--backend uring|epoll|poll] "
                        "[--workers N] [--style task|serve]\n");
        return 2;
    }
    int rc = ars_run(root, &addr, &config);
    if (rc < 0)
        fprintf(stderr, "echo: %s, backend %s: %s; another address or backend may do\n", given[0],
                given[1], ars_strerror(rc));
    return rc < 0;
}
