/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The demo from end to end, small: echo server, load generator and their
 * driver as the processes that they are.
 */

struct demo {
    pid_t pid;
    int out, err;
};

static struct demo start(const char *const *options)
{
    char path[4096];
    const char *argv[16] = {path};
    int out[2], err[2], n = 1;

    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    CHECK(len > 0);
    path[len] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash, sizeof path - (size_t)(slash - path), "/../tools/demo");
    if (access(path, X_OK)) test_skip_all("%s is not built", path);
    while (*options) argv[n++] = *options++;
    CHECK(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execv(path, (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    return (struct demo){pid, out[0], err[0]};
}

/* Reads until the end, or until 'word' has come. */
static void read_until(int fd, char *text, size_t size, const char *word)
{
    size_t n = 0;
    ssize_t got;

    text[0] = 0;
    while (n < size - 1 && !(word && strstr(text, word)) &&
           (got = read(fd, text + n, size - 1 - n)) > 0) {
        n += (size_t)got;
        text[n] = 0;
    }
}

static int end(struct demo *d)
{
    int status;

    CHECK_EQ(waitpid(d->pid, &status, 0), d->pid);
    close(d->out);
    close(d->err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static double number(const char *json, const char *key)
{
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    if (!at) FAIL("no %s in %s", key, json);
    return strtod(at + strlen(quoted), NULL);
}

static void check_result(const char *text, const char *style, const char *backend, int workers)
{
    char word[40];

    CHECK_EQ(number(text, "connections"), 200);
    CHECK_EQ(number(text, "workers"), workers);
    CHECK_EQ(number(text, "errors"), 0);
    CHECK(number(text, "requests") >= 200 && number(text, "rps") > 0);
    CHECK(number(text, "p50_us") > 0 && number(text, "p50_us") <= number(text, "p99_us") &&
          number(text, "p99_us") <= number(text, "p999_us"));
    CHECK(number(text, "cpu_ns_per_request") > 0);
    /* So few without a stack are less than what the server's memory varies by. */
    if (strcmp(style, "task") == 0) CHECK(number(text, "idle_bytes_per_connection") > 0);
    snprintf(word, sizeof word, "\"backend\":\"%s\"", backend);
    CHECK(strstr(text, word));
    snprintf(word, sizeof word, "\"style\":\"%s\"", style);
    CHECK(strstr(text, word));
}

/*
 * A line for each style, tasks last.  'backend' may be refused on this machine;
 * then the demo says so in one line.
 */
static void runs(const char *backend, const char *workers)
{
    const char *options[] = {"--connections", "200",       "--seconds", "0.3",    "--backend",
                             backend,         "--workers", workers,     "--json", NULL};
    char text[4096], said[8192];
    struct demo d = start(options);

    read_until(d.err, said, sizeof said, NULL);
    read_until(d.out, text, sizeof text, NULL);
    int status = end(&d);
    if (status && !text[0] && !strcmp(backend, "uring") &&
        strstr(said, "another address or backend")) {
        test_skipped("io_uring is refused here");
        return;
    }
    if (status) FAIL("exit code %d, says '%s'", status, said);
    char *line = text;
    for (int i = 0; i < 2; i++) {
        const char *which = i ? "task" : "serve";
        char *end_of_line = strchr(line, '\n');
        CHECK(end_of_line);
        *end_of_line = '\0';
        check_result(line, which, backend, atoi(workers));
        line = end_of_line + 1;
    }
    CHECK_STR(line, "");
}

static void runs_on_epoll(void)
{
    runs("epoll", "1");
}

static void runs_on_uring_with_two_workers(void)
{
    runs("uring", "2");
}

static void says_that_the_server_was_killed(void)
{
    static const char *const options[] = {"--connections", "50",    "--seconds", "30",
                                          "--backend",     "epoll", NULL};
    char said[8192];
    int server;
    struct demo d = start(options);

    read_until(d.err, said, sizeof said, "load ");
    const char *at = strstr(said, "(process ");
    CHECK(at && sscanf(at, "(process %d)", &server) == 1);
    CHECK_EQ(kill(server, SIGKILL), 0);
    read_until(d.err, said, sizeof said, NULL);
    CHECK_EQ(end(&d), 1);
    CHECK(strstr(said, "the server was ended by signal 9"));
    CHECK(strstr(said, "the load generator ended with exit code 1"));
}

/* Whatever becomes of the driver, nothing of it is left. */
static void leaves_nothing_behind(void)
{
    static const char *const options[] = {"--connections", "50",    "--seconds", "30",
                                          "--backend",     "epoll", NULL};
    char said[8192];
    int server;
    struct demo d = start(options);

    read_until(d.err, said, sizeof said, "load ");
    const char *at = strstr(said, "(process ");
    CHECK(at && sscanf(at, "(process %d)", &server) == 1);
    CHECK_EQ(kill(d.pid, SIGKILL), 0);
    /* Both children hold the pipe of stderr, so its end is theirs; the alarm fails the test. */
    alarm(20);
    read_until(d.err, said, sizeof said, NULL);
    alarm(0);
    CHECK_EQ(end(&d), -SIGKILL);
}

static void refuses_nonsense(void)
{
    static const char *const lines[][3] = {{"--nonsense", NULL},
                                           {"--backend", "kqueue", NULL},
                                           {"--connections", "0", NULL},
                                           {"--style", "none", NULL},
                                           {"--workers", "0", NULL},
                                           {"--seconds", "x", NULL},
                                           {"extra", NULL}};
    char said[1024];

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct demo d = start(lines[i]);
        read_until(d.err, said, sizeof said, NULL);
        CHECK_EQ(end(&d), 2);
        CHECK(strchr(said, '\n') == said + strlen(said) - 1);
    }
}

static const test_case cases[] = {
    {"runs on epoll", runs_on_epoll},
    {"runs on io_uring with two workers", runs_on_uring_with_two_workers},
    {"says that the server was killed", says_that_the_server_was_killed},
    {"leaves nothing behind", leaves_nothing_behind},
    {"refuses nonsense", refuses_nonsense}};
TEST_MAIN(cases)
