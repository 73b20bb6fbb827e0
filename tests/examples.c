/* SPDX-License-Identifier: MIT */
/* The programs of examples/, each as a process of its own, against plain clients. */
#define _GNU_SOURCE
#include "../tools/process.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

enum { PATIENCE = 30 };

static struct process start(const char *example, const char *const *arguments)
{
    static struct process p;
    char path[4200], relative[64];
    const char *argv[8] = {path};
    int n = 1;

    snprintf(relative, sizeof relative, "../examples/%s", example);
    CHECK_EQ(process_path(path, sizeof path, relative), 0);
    if (access(path, X_OK)) test_skip_all("%s is not built", path);
    while (*arguments) argv[n++] = *arguments++;
    CHECK_EQ(process_start(&p, example, argv, -1), 0);
    return p;
}

static const char *line_of(struct process *p)
{
    static char line[512];
    if (process_line(p, line, sizeof line, PATIENCE, NULL) != 1) FAIL("%s says nothing", p->name);
    return line;
}

static void ends_well(struct process *p, int signal)
{
    if (process_end(p, signal, PATIENCE)) FAIL("%s %s", p->name, process_epitaph(p));
}

/* A server, and where it listens. */
static struct process serve(const char *example, const char *address, char at[128])
{
    struct process p = start(example, (const char *const[]){address, NULL});
    const char *line = line_of(&p);
    if (sscanf(line, "listening at %127[^,]", at) != 1) FAIL("%s says '%s'", example, line);
    return p;
}

static int dial(const char *at)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval patience = {PATIENCE, 0};
    int port, unix_path = !strncmp(at, "unix:", 5);
    int fd = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (unix_path) {
        snprintf(un.sun_path, sizeof un.sun_path, "%s", at + 5);
        CHECK_EQ(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    } else {
        CHECK_EQ(sscanf(at, "127.0.0.1:%d", &port), 1);
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in.sin_port = htons((uint16_t)port);
        CHECK_EQ(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    }
    return fd;
}

static void say(int fd, const char *text)
{
    CHECK_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Exactly 'text' comes next. */
static void hear(int fd, const char *text)
{
    char got[256] = "";
    size_t n = strlen(text);
    CHECK(n < sizeof got);
    CHECK_EQ(recv(fd, got, n, MSG_WAITALL), n);
    CHECK_STR(got, text);
}

static void hear_end(int fd)
{
    char byte;
    CHECK_EQ(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* ---- echo ---- */

static unsigned char byte_at(int conn, size_t i)
{
    return (unsigned char)(i * 7 + i / 256 + (size_t)conn * 31);
}

enum { BYTES = 100000 };

/* Sends and gets back a stream of bytes, each connection its own. */
static void check_echo(int fd, int conn)
{
    static unsigned char out[BYTES], in[BYTES];

    for (size_t i = 0; i < BYTES; i++) out[i] = byte_at(conn, i);
    /* In pieces that leave room: the server does not read while its answer waits. */
    for (size_t done = 0, n = 1; done < BYTES; done += n, n = n * 3 % 8191 + 1) {
        if (n > BYTES - done) n = BYTES - done;
        CHECK_EQ(send(fd, out + done, n, MSG_NOSIGNAL), n);
        CHECK_EQ(recv(fd, in + done, n, MSG_WAITALL), n);
    }
    CHECK_EQ(memcmp(in, out, BYTES), 0);
}

static struct process serve_echo(const char *address, const char *style, const char *workers,
                                 char at[128])
{
    struct process p =
        start("echo", (const char *const[]){address, "--style", style, "--workers", workers, NULL});
    const char *line = line_of(&p);
    if (sscanf(line, "listening at %127[^,]", at) != 1) FAIL("echo says '%s'", line);
    return p;
}

static void echoes_at(const char *address, const char *style, const char *workers)
{
    enum { CONNS = 10 };
    char at[128];
    unsigned long long answers, bytes;
    int fds[CONNS];
    struct process p = serve_echo(address, style, workers, at);

    for (int c = 0; c < CONNS; c++) fds[c] = dial(at);
    for (int c = 0; c < CONNS; c++) check_echo(fds[c], c);
    for (int c = 0; c < CONNS; c++) {
        CHECK_EQ(shutdown(fds[c], SHUT_WR), 0);
        hear_end(fds[c]);
    }
    kill(p.pid, SIGTERM);
    CHECK_EQ(sscanf(line_of(&p), "drained: %llu answers, %llu bytes", &answers, &bytes), 2);
    CHECK(answers >= CONNS && bytes == CONNS * BYTES);
    ends_well(&p, 0);
}

static void echo(void)
{
    static const char *const styles[] = {"task", "serve"};
    char address[64];

    snprintf(address, sizeof address, "unix:/tmp/arsenal-echo-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        echoes_at("127.0.0.1:0", styles[i], "1");
        echoes_at("127.0.0.1:0", styles[i], "2");
        echoes_at(address, styles[i], "1");
        CHECK(access(address + 5, F_OK) != 0);
    }
}

static size_t datagram(char *out, int nth)
{
    memset(out, nth, 1400);
    return (size_t)nth * 37 % 1401;
}

/* So few at a time are not lost on one machine. */
static void udp_echo(void)
{
    enum { SENT = 2000 };
    char at[128], out[1400], in[1500], expected[64];
    int port, total = 0;
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval patience = {PATIENCE, 0};
    struct process p = serve("udp_echo", "127.0.0.1:0", at);

    CHECK_EQ(sscanf(at, "127.0.0.1:%d", &port), 1);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)port);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (int sent = 0, at_once = 1; sent < SENT; sent += at_once, at_once = at_once % 16 + 1) {
        for (int i = 0; i < at_once; i++) {
            size_t n = datagram(out, sent + i);
            CHECK_EQ(send(fd, out, n, 0), n);
        }
        for (int i = 0; i < at_once; i++) {
            size_t n = datagram(out, sent + i);
            CHECK_EQ(recv(fd, in, sizeof in, 0), n);
            CHECK_EQ(memcmp(in, out, n), 0);
        }
        total = sent + at_once;
    }
    close(fd);
    kill(p.pid, SIGTERM);
    snprintf(expected, sizeof expected, "stopped: %d datagrams, 0 lost", total);
    CHECK_STR(line_of(&p), expected);
    ends_well(&p, 0);
}

/* ---- proxy ---- */

static void proxy(void)
{
    char target[128], at[128];
    struct process behind = serve_echo("127.0.0.1:0", "task", "1", target);
    struct process p = start("proxy", (const char *const[]){"127.0.0.1:0", target, NULL});
    const char *line = line_of(&p);

    CHECK_EQ(sscanf(line, "listening at %127s", at), 1);
    int one = dial(at), other = dial(at);
    check_echo(one, 1);
    check_echo(other, 2);
    check_echo(one, 3);
    /* The end goes through it as bytes do, one direction at a time. */
    say(one, "last");
    CHECK_EQ(shutdown(one, SHUT_WR), 0);
    hear(one, "last");
    hear_end(one);
    check_echo(other, 4);
    /* Nobody behind it: who is connected is cut off, who comes is turned away. */
    process_end(&behind, SIGKILL, PATIENCE);
    hear_end(other);
    hear_end(dial(at));
    ends_well(&p, SIGTERM);
}

/* ---- chat ---- */

/* Reads until 'mark' and the end of its line have come. */
static void hear_mark(int fd, char mark)
{
    char byte = 0;
    while (byte != mark) CHECK_EQ(recv(fd, &byte, 1, 0), 1);
    hear(fd, "\n");
}

static void chat(void)
{
    char at[128], text[64];
    int fds[3];
    struct process p = serve("chat", "127.0.0.1:0", at);

    for (int i = 0; i < 3; i++) fds[i] = dial(at);
    /* The first has joined when it hears somebody, and whoever is heard has joined. */
    do {
        say(fds[1], "?\n");
        usleep(2000);
    } while (recv(fds[0], text, sizeof text, MSG_DONTWAIT) <= 0);
    say(fds[1], "!\n");
    hear_mark(fds[0], '!');
    say(fds[2], "!\n");
    hear_mark(fds[0], '!');
    hear_mark(fds[1], '!');
    /* What the second said before the third came in may have reached it or not. */
    say(fds[1], "#\n");
    hear_mark(fds[0], '#');
    hear_mark(fds[2], '#');
    say(fds[0], "hel");
    say(fds[0], "lo\nhow are");
    hear(fds[1], "hello\n");
    hear(fds[2], "hello\n");
    say(fds[0], " you?\n");
    hear(fds[1], "how are you?\n");
    hear(fds[2], "how are you?\n");
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "line %d\n", i);
        say(fds[1], text);
        hear(fds[0], text);
        hear(fds[2], text);
    }
    close(fds[0]);
    say(fds[2], "bye\n");
    hear(fds[1], "bye\n");
    kill(p.pid, SIGINT);
    hear_end(fds[1]);
    hear_end(fds[2]);
    ends_well(&p, 0);
}

/* ---- scan ---- */

static void scan(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof in;
    char first[16], last[16], line[64];
    int found = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&in, len) == 0 && listen(fd, 1000) == 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    int port = ntohs(in.sin_port);
    for (int round = 0; round < 2; round++) {
        snprintf(first, sizeof first, "%d", port > 400 ? port - 400 : 1);
        snprintf(last, sizeof last, "%d", port < 65135 ? port + 400 : 65535);
        struct process p = start("scan", (const char *const[]){"127.0.0.1", first, last, NULL});
        found = 0;
        while (process_line(&p, line, sizeof line, PATIENCE, NULL) == 1)
            if (atoi(line) == port) found++;
        ends_well(&p, 0);
        CHECK_EQ(found, round == 0);
        if (round == 0) close(fd);
    }
}

/* ---- timers ---- */

static void timers(void)
{
    struct process p = start("timers", (const char *const[]){"5000", NULL});
    CHECK_EQ(strncmp(line_of(&p), "5000 timers in ", 15), 0);
    ends_well(&p, 0);
}

static const test_case cases[] = {
    {"echo", echo}, {"udp_echo", udp_echo}, {"proxy", proxy},
    {"chat", chat}, {"scan", scan},         {"timers", timers},
};
TEST_MAIN(cases)
