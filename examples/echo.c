/* SPDX-License-Identifier: MIT */
#include <arsenal/atomic.h>
#include <arsenal/clock.h>
#include <arsenal/listener.h>
#include <arsenal/run.h>
#include <arsenal/signal.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* An echo server: a task for each connection, and a graceful end on SIGINT or SIGTERM. */
static struct server {
    ars_group group; /* the accepting task and the connections */
    ars_atomic_u64 connections, bytes;
} server;

static int serve(void *conn)
{
    char buf[1024];
    int n;

    while ((n = ars_conn_read(conn, buf, sizeof buf, ARS_FOREVER)) > 0 &&
           ars_conn_write(conn, buf, (size_t)n, NULL, ARS_FOREVER) == 0)
        ars_atomic_u64_add_relaxed(&server.bytes, (uint64_t)n);
    ars_conn_close(conn);
    return 0;
}

static int accept_all(void *listener)
{
    ars_conn *conn;
    int rc;

    while ((rc = ars_listener_accept(listener, &conn, ARS_FOREVER)) != ARS_EBADF) {
        if (rc == 0) {
            ars_atomic_u64_add_relaxed(&server.connections, 1);
            if (ars_group_go(&server.group, serve, conn, NULL) < 0) ars_conn_close(conn);
        } else if (ars_sleep(ars_after(10 * ARS_MILLISECOND)) < 0) {
            return rc; /* cancelled; else descriptors or memory ran out, and may come back */
        }
    }
    return 0;
}

static int root(void *addr)
{
    char text[ARS_ADDR_TEXT];
    ars_run_stats stats;
    ars_listener *listener;
    ars_signal signal;
    ars_chan *stop;
    int rc = ars_signal_open(&stop, (const int[]){SIGINT, SIGTERM}, 2);

    if (rc < 0) return rc;
    rc = ars_listener_open(&listener, addr, NULL);
    if (rc < 0) goto no_listener;
    ars_listener_addr(listener, addr);
    ars_addr_format(addr, text, sizeof text);
    ars_stats(&stats);
    printf("listening at %s, %s\n", text, stats.backend);
    fflush(stdout);
    rc = ars_group_init(&server.group, NULL, ARS_COLLECT);
    if (rc == 0) rc = ars_group_go(&server.group, accept_all, listener, NULL);
    if (rc == 0) rc = ars_chan_recv(stop, &signal, ARS_FOREVER);
    ars_listener_close(listener);
    int drained = ars_group_wait(&server.group, ars_after(5 * ARS_SECOND));
    printf("%s: %llu connections, %llu bytes\n", drained == 0 ? "drained" : "stopped",
           (unsigned long long)ars_atomic_u64_load_relaxed(&server.connections),
           (unsigned long long)ars_atomic_u64_load_relaxed(&server.bytes));
no_listener:
    ars_signal_close(stop);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"auto", "uring", "epoll", "poll"};
    const char *address = "127.0.0.1:7000", *backend = "auto";
    ars_config config = {0};
    ars_addr addr;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--backend") && argv[i + 1])
            backend = argv[++i];
        else
            address = argv[i];
    }
    while (config.backend < 4 && strcmp(backend, backends[config.backend])) config.backend++;
    if (config.backend == 4 || ars_addr_parse(&addr, address) < 0) {
        fprintf(stderr,
                "usage: echo [IP:PORT | unix:PATH] [--backend auto|uring|epoll|poll], not %s %s\n",
                address, backend);
        return 2;
    }
    int rc = ars_run(root, &addr, &config);
    if (rc < 0)
        fprintf(stderr, "echo: %s, backend %s: %s; another address or backend may do\n", address,
                backend, ars_strerror(rc));
    return rc < 0;
}
