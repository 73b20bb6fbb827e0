/* SPDX-License-Identifier: MIT */
#include <arsenal/clock.h>
#include <arsenal/dgram.h>
#include <arsenal/group.h>
#include <arsenal/run.h>
#include <arsenal/signal.h>
#include <signal.h>
#include <stdio.h>

/* Sends each datagram back to where it came from: one system call takes many, and one sends them. */
enum { BATCH = 64, SIZE = 2048 };

static char data[BATCH][SIZE];
static unsigned long long datagrams, lost;

static int send_all(ars_dgram *dgram, const ars_message *messages, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        int rc = ars_dgram_send_many(dgram, messages + sent, n - sent, ars_after(ARS_SECOND));
        if (rc == ARS_ECANCELED || rc == ARS_EBADF) return rc;
        if (rc < 0) lost++; /* this one cannot be sent; the next may */
        sent += rc < 0 ? 1 : (size_t)rc;
    }
    return 0;
}

static int echo(void *dgram)
{
    static ars_message messages[BATCH];
    int n, rc = 0;

    while (rc == 0) {
        for (int i = 0; i < BATCH; i++) messages[i] = (ars_message){data[i], SIZE, .len = 0};
        n = ars_dgram_recv_many(dgram, messages, BATCH, ARS_FOREVER);
        if (n == ARS_ECANCELED || n == ARS_EBADF) break;
        if (n < 0) continue; /* what went wrong with something that was sent before */
        datagrams += (unsigned)n;
        for (int i = 0; i < n; i++)
            if (messages[i].len < SIZE) messages[i].size = messages[i].len;
        rc = send_all(dgram, messages, (size_t)n);
    }
    return 0;
}

static int root(void *addr)
{
    char text[ARS_ADDR_TEXT];
    ars_dgram *dgram = NULL;
    ars_chan *stop = NULL;
    ars_signal signal;
    ars_group group;

    int rc = ars_signal_open(&stop, (const int[]){SIGINT, SIGTERM}, 2);
    if (rc == 0) rc = ars_dgram_open(&dgram, addr, NULL);
    if (rc == 0) rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) goto end;
    ars_dgram_local(dgram, addr);
    ars_addr_format(addr, text, sizeof text);
    printf("listening at %s\n", text);
    fflush(stdout);
    rc = ars_group_go(&group, echo, dgram, NULL);
    if (rc == 0) rc = ars_chan_recv(stop, &signal, ARS_FOREVER);
    ars_group_cancel(&group, ARS_ECANCELED);
    if (ars_group_wait(&group, ARS_FOREVER) == ARS_ECANCELED)
        printf("stopped: %llu datagrams, %llu lost\n", datagrams, lost);
end:
    ars_dgram_close(dgram);
    ars_signal_close(stop);
    return rc;
}

int main(int argc, char **argv)
{
    ars_addr addr;
    int rc = ars_addr_parse(&addr, argc > 1 ? argv[1] : "127.0.0.1:7002");
    if (rc == 0) rc = ars_run(root, &addr, NULL);
    if (rc < 0) fprintf(stderr, "udp_echo: %s\n", ars_strerror(rc));
    return rc < 0;
}
