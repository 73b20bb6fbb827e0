/* SPDX-License-Identifier: MIT */
#include <arsenal/clock.h>
#include <arsenal/group.h>
#include <arsenal/listener.h>
#include <arsenal/run.h>
#include <arsenal/signal.h>
#include <arsenal/transfer.h>
#include <signal.h>
#include <stdio.h>

/* A TCP proxy: two tasks for each connection, one for each direction; much at a time stays in the kernel. */
static struct proxy {
    ars_addr listens, target;
} proxy;

struct way {
    ars_conn *from, *to;
};

static int forward(void *arg)
{
    const struct way *way = arg;
    int rc = ars_conn_copy(way->from, way->to, ARS_TO_THE_END, NULL, ARS_FOREVER);
    if (rc == 0) ars_conn_shutdown(way->to, ARS_WRITE_SIDE);
    return rc;
}

/* An error of one direction ends the other one; the end of one does not. */
static int serve(void *client)
{
    ars_conn *server;
    ars_group ways;
    int rc = ars_conn_dial(&server, &proxy.target, NULL, ars_after(10 * ARS_SECOND));
    if (rc < 0) goto no_server;
    struct way there = {client, server}, back = {server, client};
    ars_task_opt here = {.home = 1}; /* both use both connections */
    rc = ars_group_init(&ways, NULL, ARS_FAIL_FAST);
    if (rc == 0) {
        ars_group_go(&ways, forward, &there, &here);
        ars_group_go(&ways, forward, &back, &here); /* if that fails the wait tells */
        rc = ars_group_wait(&ways, ARS_FOREVER);
    }
    ars_conn_close(server);
no_server:
    ars_conn_close(client);
    return rc;
}

static int root(void *arg)
{
    char text[ARS_ADDR_TEXT];
    ars_listener *listener = NULL;
    ars_chan *stop = NULL;
    ars_group clients;
    ars_conn *client;
    (void)arg;

    int rc = ars_signal_open(&stop, (const int[]){SIGINT, SIGTERM}, 2);
    if (rc == 0) rc = ars_listener_open(&listener, &proxy.listens, NULL);
    if (rc == 0) rc = ars_group_init(&clients, NULL, ARS_COLLECT);
    if (rc < 0) goto end;
    ars_listener_addr(listener, &proxy.listens);
    ars_addr_format(&proxy.listens, text, sizeof text);
    printf("listening at %s\n", text);
    fflush(stdout);
    ars_case cases[] = {ARS_ACCEPTABLE(listener), ARS_RECV(stop, &(ars_signal){0})};
    while (ars_select(cases, 2, ARS_FOREVER) == 0) {
        if (ars_listener_accept(listener, &client, 0) < 0) /* or descriptors ran out, for a while */
            ars_sleep(ars_after(10 * ARS_MILLISECOND));
        else if (ars_group_go(&clients, serve, client, NULL) < 0)
            ars_conn_close(client);
    }
    ars_listener_close(listener);
    listener = NULL;
    /* Those that are not done in a while are cut off. */
    if (ars_group_wait(&clients, ars_after(2 * ARS_SECOND)) == ARS_ETIMEDOUT) printf("cut off\n");
end:
    ars_listener_close(listener);
    ars_signal_close(stop);
    return rc;
}

int main(int argc, char **argv)
{
    /* One worker: the two tasks of a connection must be of the same. */
    ars_config config = {.workers = 1};

    if (argc != 3 || ars_addr_parse(&proxy.listens, argv[1]) < 0 ||
        ars_addr_parse(&proxy.target, argv[2]) < 0) {
        fprintf(stderr, "usage: proxy IP:PORT TARGET, each also unix:PATH\n");
        return 2;
    }
    int rc = ars_run(root, NULL, &config);
    if (rc < 0) fprintf(stderr, "proxy: %s\n", ars_strerror(rc));
    return rc < 0;
}
