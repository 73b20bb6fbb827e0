/* SPDX-License-Identifier: MIT */
#include <arsenal/clock.h>
#include <arsenal/conn.h>
#include <arsenal/group.h>
#include <arsenal/run.h>
#include <arsenal/sem.h>
#include <stdio.h>
#include <stdlib.h>

/* A port scanner: a task for each port, and a semaphore so that only so many connect at a time. */
enum { AT_A_TIME = 200 };

static ars_sem turns = ARS_SEM_INIT(AT_A_TIME);
static const char *host;
static unsigned char open_ports[65536];

static int probe(void *arg)
{
    char text[ARS_ADDR_TEXT];
    uint16_t port = (uint16_t)(uintptr_t)arg;
    ars_addr addr;
    ars_conn *conn;

    snprintf(text, sizeof text, "%s:%u", host, port);
    int rc = ars_addr_parse(&addr, text);
    if (rc == 0) rc = ars_conn_dial(&conn, &addr, NULL, ars_after(2 * ARS_SECOND));
    ars_sem_release(&turns, 1);
    if (rc == 0) {
        open_ports[port] = 1;
        ars_conn_close(conn);
    }
    /* Closed, silent or filtered is what there is to find out; all else is an error. */
    return rc == ARS_ECONNREFUSED || rc == ARS_ETIMEDOUT || rc == ARS_EHOSTUNREACH ? 0 : rc;
}

static int root(void *arg)
{
    const long *range = arg;
    ars_group group;

    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (long port = range[0]; port <= range[1] && rc == 0; port++) {
        rc = ars_sem_acquire(&turns, ARS_FOREVER);
        if (rc == 0) rc = ars_group_go(&group, probe, (void *)port, NULL);
    }
    int found = ars_group_wait(&group, ARS_FOREVER);
    return found < 0 ? found : rc;
}

int main(int argc, char **argv)
{
    long range[2] = {argc > 2 ? atol(argv[2]) : 1, argc > 3 ? atol(argv[3]) : 65535};

    host = argc > 1 ? argv[1] : "127.0.0.1";
    if (range[0] < 1 || range[0] > range[1] || range[1] > 65535) {
        fprintf(stderr, "usage: scan [IP [FIRST LAST]]\n");
        return 2;
    }
    int rc = ars_run(root, range, NULL);
    for (long port = range[0]; port <= range[1]; port++)
        if (open_ports[port]) printf("%ld\n", port);
    if (rc < 0) fprintf(stderr, "scan: %s: %s\n", host, ars_strerror(rc));
    return rc < 0;
}
