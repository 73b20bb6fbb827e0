/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The load generator is the witness for the echo server, so here it meets
 * servers that each do one thing wrong, and must notice.
 */

enum { SIZE = 64, LINKS = 4, FAULT_AT = 40, SLEEP_US = 250000 };

enum fault { NONE, FLIP, STALE, SWAP, CUT, SURPLUS, SILENT, CLOSES, LATE, LINGERS, SLEEPS };

struct link {
    int fd;
    unsigned char last[SIZE];
};

static void answer(int fd, const void *data, size_t n)
{
    if (send(fd, data, n, MSG_NOSIGNAL) != (ssize_t)n) _exit(1);
}

/* Answers one message, wrongly from the FAULT_AT-th on. */
static void serve(struct link *l, enum fault fault, unsigned char *message, long count)
{
    static unsigned char held[SIZE];
    static struct link *holder;
    unsigned char copy[SIZE];

    memcpy(copy, message, SIZE);
    if (count < FAULT_AT) fault = NONE;
    switch (fault) {
    case FLIP: copy[SIZE - 1] ^= 1; break;
    case STALE: memcpy(copy, l->last, SIZE); break;
    case SWAP:
        if (!holder) {
            holder = l;
            memcpy(held, message, SIZE);
            return;
        }
        answer(holder->fd, message, SIZE);
        memcpy(copy, held, SIZE);
        holder = NULL;
        break;
    case CUT: answer(l->fd, copy, SIZE / 2); return;
    case SURPLUS: answer(l->fd, "x", 1); break;
    case SILENT: return;
    case SLEEPS:
        if (count == FAULT_AT) usleep(SLEEP_US);
        break;
    case CLOSES:
        close(l->fd);
        l->fd = -1;
        return;
    default: break;
    }
    answer(l->fd, copy, SIZE);
    memcpy(l->last, message, SIZE);
}

static void server(int listener, enum fault fault)
{
    struct link links[LINKS];
    struct pollfd fds[LINKS];
    unsigned char message[SIZE];
    long count = 0;
    int n = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (n < LINKS) {
        links[n].fd = accept(listener, NULL, NULL);
        if (links[n++].fd < 0) _exit(1);
    }
    for (;;) {
        for (int i = 0; i < n; i++) fds[i] = (struct pollfd){links[i].fd, POLLIN, 0};
        /* Without anything to do for so long, the load is over. */
        if (poll(fds, LINKS, 300) == 0 && fault == LATE) answer(links[0].fd, "x", 1);
        for (int i = 0; i < n; i++) {
            if (links[i].fd < 0 || !fds[i].revents) continue;
            ssize_t got = recv(links[i].fd, message, SIZE, MSG_WAITALL);
            if (got == SIZE) {
                serve(&links[i], fault, message, ++count);
            } else if (fault != LINGERS) {
                close(links[i].fd);
                links[i].fd = -1;
            } else {
                pause();
            }
        }
    }
}

static char target[64];
static const char *output = "/dev/null";

static void tool_path(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);

    CHECK(n > 0);
    path[n] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash, size - (size_t)(slash - path), "/../tools/load");
    if (access(path, X_OK)) test_skip_all("%s is not built", path);
}

static void run_load(void *arg)
{
    const char *const *options = arg;
    char path[4096];
    const char *argv[16] = {path, target, NULL};
    int n = 2;

    tool_path(path, sizeof path);
    while (options && *options) argv[n++] = *options++;
    argv[n] = NULL;
    if (!freopen(output, "w", stdout)) _exit(126);
    execv(path, (char *const *)argv);
    _exit(127);
}

static test_end against_with(enum fault fault, const char *const *options)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    snprintf(target, sizeof target, "127.0.0.1:%d", ntohs(address.sin_port));
    pid_t pid = fork();
    if (pid == 0) server(fd, fault);
    close(fd);
    test_end end = test_child(run_load, (void *)(uintptr_t)options);
    kill(pid, SIGKILL);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    return end;
}

static test_end against(enum fault fault)
{
    /* What should come has time on a busy machine; what should not come is waited for in vain. */
    const char *patience = fault == NONE ? "20" : "0.5";
    const char *options[] = {"--connections", "4",      "--seconds", "0.2", "--timeout",
                             patience,        "--idle", "0.6",       NULL};
    return against_with(fault, options);
}

static void notices_each_fault(void)
{
    static const struct {
        enum fault fault;
        const char *name, *says;
    } faults[] = {{FLIP, "a flipped bit", "wrong byte at 63 of 64"},
                  {STALE, "the answer before", "wrong byte at 4 of 64"},
                  {SWAP, "answers for each other", "wrong byte at 0 of 64"},
                  {CUT, "half an answer", "no answer"},
                  {SURPLUS, "a byte too many", "wrong byte at 0 of 64"},
                  {SILENT, "no answer", "no answer"},
                  {CLOSES, "a closed connection", "the server closed the connection"},
                  {LATE, "a byte after the load", "more bytes than were sent"},
                  {LINGERS, "no end", "the server did not end the connection"}};

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        test_end end = against(faults[i].fault);
        if (end.status != 1 || end.signal || !strstr(end.err, faults[i].says))
            FAIL("%s: exit code %d, says '%s'", faults[i].name, end.status, end.err);
    }
}

/* The figure of the last line that was written to 'output'. */
static double figure(const char *key)
{
    char line[1024], quoted[32];
    FILE *in = fopen(output, "r");
    CHECK(in && fgets(line, sizeof line, in));
    fclose(in);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    if (!at) FAIL("no %s in %s", key, line);
    at += strlen(quoted);
    return strtod(at + (*at == '['), NULL);
}

/*
 * A server that sleeps once: in an open loop all messages whose time comes
 * meanwhile have to bear it, not only the one of each connection.
 */
static void open_loop_measures_from_when_due(void)
{
    static const char *const options[] = {"--connections", "4",    "--seconds", "1",
                                          "--rate",        "2000", NULL};
    char path[] = "/tmp/arsenal-load-XXXXXX";
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    close(fd);
    output = path;
    test_end end = against_with(SLEEPS, options);
    if (end.status) FAIL("exit code %d, says '%s'", end.status, end.err);
    CHECK_EQ(figure("requests") + figure("unsent"), 2000);
    CHECK_EQ(figure("rate"), 2000);
    /* A hundred were due in the first fifth of its sleep. */
    CHECK(figure("unsent") > 1500 || figure("p99_us") > SLEEP_US * 0.8);
    output = "/dev/null";
    unlink(path);
}

/* Slices in a closed loop, then as many at half of that rate. */
static void slices_are_followed_by_open_ones(void)
{
    static const char *const options[] = {
        "--connections", "4", "--slice", "0.05", "--rounds", "3", "--open", "0.5", NULL};
    char path[] = "/tmp/arsenal-load-XXXXXX";
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    close(fd);
    output = path;
    test_end end = against_with(NONE, options);
    if (end.status) FAIL("exit code %d, says '%s'", end.status, end.err);
    CHECK_EQ(figure("rounds"), 3);
    CHECK_EQ(figure("errors"), 0);
    CHECK(figure("requests") > 0);
    /* Arrays of three: what follows the bracket is the least. */
    static const char *const series[] = {"rps", "p50_us", "p999_us", "open_p50_us", "open_p999_us"};
    for (size_t i = 0; i < sizeof series / sizeof *series; i++) CHECK(figure(series[i]) > 0);
    output = "/dev/null";
    unlink(path);
}

static void accepts_a_right_server(void)
{
    test_end end = against(NONE);
    if (end.status) FAIL("exit code %d, says '%s'", end.status, end.err);
}

static void says_what_is_wrong(void)
{
    static const struct {
        const char *target, *option, *value, *says;
        int status;
    } lines[] = {{"127.0.0.1:1", NULL, NULL, "nobody listens there", 1},
                 {"unix:/nonexistent/socket", NULL, NULL, "nobody listens there", 1},
                 {"127.0.0.1", NULL, NULL, "is no target", 2},
                 {"127.0.0.1:65536", NULL, NULL, "is no target", 2},
                 {"localhost:80", NULL, NULL, "is no target", 2},
                 {"127.0.0.1:1", "--connections", "0", "needs a whole number", 2},
                 {"127.0.0.1:1", "--connections", "1x", "needs a whole number", 2},
                 {"127.0.0.1:1", "--seconds", NULL, "needs a value", 2},
                 {"127.0.0.1:1", "--progress=1", NULL, "takes no value", 2},
                 {"127.0.0.1:1", "--conn", "5", "unknown option", 2},
                 {"127.0.0.1:1", "127.0.0.1:2", NULL, "several targets need --slice", 2}};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *options[] = {lines[i].option, lines[i].value, NULL};
        snprintf(target, sizeof target, "%s", lines[i].target);
        test_end end = test_child(run_load, options);
        if (end.status != lines[i].status || !strstr(end.err, lines[i].says) ||
            strchr(end.err, '\n') != end.err + strlen(end.err) - 1)
            FAIL("%s %s: exit code %d, says '%s'", lines[i].target, lines[i].option, end.status,
                 end.err);
    }
}

static void limited(void *arg)
{
    struct rlimit limit = {20, 20};
    setrlimit(RLIMIT_NOFILE, &limit);
    run_load(arg);
}

static void tells_the_descriptor_limit(void)
{
    const char *options[] = {"--connections", "1000", NULL};

    snprintf(target, sizeof target, "127.0.0.1:1");
    test_end end = test_child(limited, options);
    CHECK_EQ(end.status, 1);
    CHECK(strstr(end.err, "the hard descriptor limit (ulimit -Hn) is 20: opening 4 connections"));
}

static const test_case cases[] = {
    {"accepts a right server", accepts_a_right_server},
    {"notices each fault", notices_each_fault},
    {"an open loop measures from when a message is due", open_loop_measures_from_when_due},
    {"slices are followed by open ones", slices_are_followed_by_open_ones},
    {"says what is wrong", says_what_is_wrong},
    {"tells the descriptor limit", tells_the_descriptor_limit}};
TEST_MAIN(cases)
