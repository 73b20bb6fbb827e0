/* SPDX-License-Identifier: MIT */
#include <arsenal/clock.h>
#include <arsenal/listener.h>
#include <arsenal/run.h>
#include <arsenal/signal.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/*
 * A chat room: whatever line somebody sends goes to all others.  One task for
 * each of them waits for both, what its connection sends and what the room says.
 */
typedef struct line {
    const void *from;
    int n;
    char text[244];
} line;

static ars_chan *room; /* a broadcast: nobody who is slow holds up the others */

/* Reads what has come, and says the whole lines in it; < 0 when there will be no more. */
static int speak(ars_conn *conn, line *draft)
{
    int n = ars_conn_read(conn, draft->text + draft->n, sizeof draft->text - (size_t)draft->n,
                          ARS_FOREVER);
    if (n <= 0) return ARS_EPIPE;
    draft->n += n;
    line said = *draft;
    while (said.n > 0 && said.text[said.n - 1] != '\n') said.n--;
    if (draft->n == (int)sizeof draft->text) said.n = draft->n; /* long lines go in pieces */
    draft->n -= said.n;
    memmove(draft->text, draft->text + said.n, (size_t)draft->n);
    return said.n > 0 ? ars_chan_send(room, &said, 0) : 0;
}

static int member(void *conn)
{
    line draft = {.from = conn}, heard;
    ars_chan *ear = NULL;

    int rc = ars_chan_subscribe(room, &ear, 100);
    ars_case cases[] = {ARS_READABLE(conn), ARS_RECV(ear, &heard)};
    while (rc >= 0) {
        switch (rc = ars_select(cases, 2, ARS_FOREVER)) {
        case 0: rc = speak(conn, &draft); break;
        case ARS_LAGGED(1): /* has missed something; the rest comes next */ break;
        case ARS_CLOSED(1): rc = ARS_EPIPE; break; /* the room closes */
        case 1:
            if (heard.from != draft.from)
                rc = ars_conn_write(conn, heard.text, (size_t)heard.n, NULL,
                                    ars_after(10 * ARS_SECOND));
        }
    }
    ars_chan_free(ear);
    ars_conn_close(conn);
    return 0;
}

static int root(void *addr)
{
    char text[ARS_ADDR_TEXT];
    ars_listener *listener = NULL;
    ars_chan *stop = NULL;
    ars_group members;
    ars_conn *conn;
    int rc = ars_signal_open(&stop, (const int[]){SIGINT, SIGTERM}, 2);
    if (rc == 0) rc = ars_listener_open(&listener, addr, NULL);
    if (rc == 0)
        rc = ars_chan_new(&room, sizeof(line), 0, &(ars_chan_opt){.flags = ARS_CHAN_BROADCAST});
    if (rc == 0) rc = ars_group_init(&members, NULL, ARS_COLLECT);
    if (rc < 0) goto end;
    ars_listener_addr(listener, addr);
    ars_addr_format(addr, text, sizeof text);
    printf("listening at %s\n", text);
    fflush(stdout);
    ars_case cases[] = {ARS_ACCEPTABLE(listener), ARS_RECV(stop, &(ars_signal){0})};
    while (ars_select(cases, 2, ARS_FOREVER) == 0) {
        if (ars_listener_accept(listener, &conn, 0) < 0) /* or descriptors ran out, for a while */
            ars_sleep(ars_after(10 * ARS_MILLISECOND));
        else if (ars_group_go(&members, member, conn, NULL) < 0)
            ars_conn_close(conn);
    }
    ars_chan_close(room);
    rc = ars_group_wait(&members, ars_after(5 * ARS_SECOND));
end:
    ars_chan_free(room);
    ars_listener_close(listener);
    ars_signal_close(stop);
    return rc;
}

int main(int argc, char **argv)
{
    ars_addr addr;
    int rc = ars_addr_parse(&addr, argc > 1 ? argv[1] : "127.0.0.1:7001");
    if (rc == 0) rc = ars_run(root, &addr, NULL);
    if (rc < 0) fprintf(stderr, "chat: %s\n", ars_strerror(rc));
    return rc < 0;
}
