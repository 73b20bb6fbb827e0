/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "options.h"
#include "process.h"

/*
 * The main job, from end to end: the echo server as one process, the load
 * generator as another, thousands of connections, every byte verified, the
 * server measured from outside, and stopped as an operator would stop it.  All
 * that for each style of server: a task for each connection, and one only for
 * each request in progress.
 *
 * Exit code 0 only if nothing was lost or wrong.
 */

enum { SPARE_DESCRIPTORS = 64, DRAIN_SECONDS = 5, START_SECONDS = 10, PHASE_SECONDS = 60 };
#define WARMUP_SECONDS 1.0

struct demo {
    const char *style, *backend;
    int connections, workers;
    double seconds;
    struct process server, load;
    char address[128], backend_used[32];
    double memory[2], tables[2], cpu[2]; /* before and after */
    double requests, rps, p50, p99, p999, errors;
};

static void pause_for(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static int fit_descriptors(struct demo *d)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)d->connections + SPARE_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit)) return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= need) return 0;
    if (limit.rlim_max <= SPARE_DESCRIPTORS) {
        fprintf(stderr, "demo: the hard descriptor limit (ulimit -Hn) is %llu: raise it above %d\n",
                (unsigned long long)limit.rlim_max, SPARE_DESCRIPTORS);
        return -1;
    }
    int fits = (int)(limit.rlim_max - SPARE_DESCRIPTORS);
    fprintf(stderr,
            "demo: the hard descriptor limit (ulimit -Hn) is %llu: running %d connections instead "
            "of %d; raise it to %llu for all of them\n",
            (unsigned long long)limit.rlim_max, fits, d->connections, (unsigned long long)need);
    d->connections = fits;
    return 0;
}

static int start_server(struct demo *d, int cpu)
{
    char path[4200], line[256], workers[16];

    snprintf(workers, sizeof workers, "%d", d->workers);
    if (process_path(path, sizeof path, "../examples/echo")) return -1;
    const char *argv[] = {path,     "127.0.0.1:0", "--backend", d->backend, "--style",
                          d->style, "--workers",   workers,     NULL};
    if (process_start(&d->server, "the server", argv, cpu)) return -1;
    int got = process_line(&d->server, line, sizeof line, START_SECONDS, NULL);
    if (got == 1 && sscanf(line, "listening at %127[^,], %31s", d->address, d->backend_used) == 2)
        return 0;
    process_end(&d->server, got < 0 ? 0 : SIGKILL, 1);
    if (got == 0)
        fprintf(stderr, "demo: the server said nothing for %d s\n", START_SECONDS);
    else if (got == 1)
        fprintf(stderr, "demo: the server said '%s', not where it listens\n", line);
    else
        fprintf(stderr, "demo: the server %s\n", process_epitaph(&d->server));
    return -1;
}

static int start_load(struct demo *d, int cpu)
{
    char path[4200], connections[16], seconds[32], warmup[32];

    snprintf(connections, sizeof connections, "%d", d->connections);
    snprintf(seconds, sizeof seconds, "%g", d->seconds);
    snprintf(warmup, sizeof warmup, "%g", WARMUP_SECONDS);
    if (process_path(path, sizeof path, "load")) return -1;
    const char *argv[] = {path,        "--control", "--progress", "--connections",
                          connections, "--seconds", seconds,      "--warmup",
                          warmup,      d->address,  NULL};
    return process_start(&d->load, "the load generator", argv, cpu);
}

/* What became of the two processes, when the job cannot go on. */
static int give_up(struct demo *d)
{
    struct process *both[] = {&d->server, &d->load};

    /* Each notices the other's death by itself; give it the time to say so. */
    for (int i = 0; i < 100 && !(process_ended(&d->server) && process_ended(&d->load)); i++)
        pause_for(0.01);
    for (int i = 0; i < 2; i++)
        if (process_ended(both[i]))
            fprintf(stderr, "demo: %s %s\n", both[i]->name, process_epitaph(both[i]));
    for (int i = 0; i < 2; i++) {
        if (process_ended(both[i])) continue;
        process_end(both[i], SIGKILL, 1);
        fprintf(stderr, "demo: %s was ended because of that\n", both[i]->name);
    }
    return -1;
}

/* Waits until the load generator has reached the end of a phase. */
static int phase(struct demo *d, const char *name, double seconds)
{
    char line[256], reached[32];
    int connections;

    int got = process_line(&d->load, line, sizeof line, seconds, &d->server);
    if (got == 1 && sscanf(line, "phase %31s %d", reached, &connections) == 2 &&
        !strcmp(reached, name)) {
        d->connections = connections;
        return 0;
    }
    if (got == 0)
        fprintf(stderr, "demo: the load generator is not %s after %.0f s\n", name, seconds);
    return give_up(d);
}

static int number(const char *json, const char *key, double *value)
{
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    return at && sscanf(at + strlen(quoted), "%lf", value) == 1 ? 0 : -1;
}

static int read_result(struct demo *d)
{
    char line[512];

    if (process_line(&d->load, line, sizeof line, PHASE_SECONDS, NULL) == 1 &&
        !number(line, "requests", &d->requests) && !number(line, "rps", &d->rps) &&
        !number(line, "p50_us", &d->p50) && !number(line, "p99_us", &d->p99) &&
        !number(line, "p999_us", &d->p999) && !number(line, "errors", &d->errors) &&
        d->requests > 0)
        return 0;
    return give_up(d);
}

/* Nobody may be listening any more; a unix address cannot come up here. */
static int still_listening(const struct demo *d)
{
    struct sockaddr_storage address;
    socklen_t len;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int listening = fd >= 0 && !client_target(d->address, &address, &len) &&
                    connect(fd, (struct sockaddr *)&address, len) == 0;

    if (fd >= 0) close(fd);
    if (listening) fprintf(stderr, "demo: somebody still listens at %s\n", d->address);
    return listening;
}

static int run(struct demo *d)
{
    int one = process_allowed_cpu(0), two = process_allowed_cpu(1);

    if (two < 0) fprintf(stderr, "demo: one CPU only, so server and load share it\n");
    if (two < 0 || d->workers > 1) one = two = -1;
    if (fit_descriptors(d) || start_server(d, one)) return -1;
    fprintf(stderr, "demo: the server (process %d) listens at %s, style %s, backend %s\n",
            (int)d->server.pid, d->address, d->style, d->backend_used);
    pause_for(0.2);
    if (process_memory(d->server.pid, &d->memory[0], &d->tables[0])) {
        fprintf(stderr, "demo: cannot read /proc/%d/smaps_rollup: %s\n", (int)d->server.pid,
                strerror(errno));
        return give_up(d);
    }
    if (start_load(d, two) || phase(d, "connected", PHASE_SECONDS)) return -1;
    if (process_tell(&d->load, "go") || phase(d, "warm", PHASE_SECONDS)) return -1;
    d->cpu[0] = process_cpu(d->server.pid);
    if (process_tell(&d->load, "go") || phase(d, "idle", d->seconds + PHASE_SECONDS)) return -1;
    d->cpu[1] = process_cpu(d->server.pid);
    pause_for(1);
    if (process_ended(&d->server) || process_memory(d->server.pid, &d->memory[1], &d->tables[1]))
        return give_up(d);

    /*
     * The order to stop comes while all connections are open, and tasks serve them to their end.
     * The other style closes idle connections then, so it gets the order when they are gone.
     */
    int early = !strcmp(d->style, "task");
    if (early) kill(d->server.pid, SIGTERM);
    pause_for(0.1);
    if (process_tell(&d->load, "go") || read_result(d)) return -1;
    if (!early) kill(d->server.pid, SIGTERM);
    if (process_end(&d->load, 0, PHASE_SECONDS) || process_end(&d->server, 0, DRAIN_SECONDS + 1))
        return give_up(d);
    fprintf(stderr, "demo: the server drained and ended with exit code 0\n");
    return still_listening(d) || d->errors > 0 ? -1 : 0;
}

static void row(const struct demo *d, int n, const char *name, double (*of)(const struct demo *),
                const char *format)
{
    char text[32];

    printf("%-34s", name);
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, format, of(&d[i]));
        printf(" %12s", text);
    }
    printf("\n");
}

#define FIGURE(name, expression)                                                                   \
    static double name(const struct demo *d)                                                       \
    {                                                                                              \
        return expression;                                                                         \
    }
FIGURE(connections, d->connections)
FIGURE(requests, d->requests)
FIGURE(rps, d->rps)
FIGURE(p50, d->p50)
FIGURE(p99, d->p99)
FIGURE(p999, d->p999)
FIGURE(cpu, (d->cpu[1] - d->cpu[0]) / d->requests)
FIGURE(idle_memory, (d->memory[1] - d->memory[0]) / d->connections)
FIGURE(idle_tables, (d->tables[1] - d->tables[0]) / d->connections)
FIGURE(errors, d->errors)

static void print_table(const struct demo *d, int n)
{
    printf("\n%-34s", "style");
    for (int i = 0; i < n; i++) printf(" %12s", d[i].style);
    printf("\n%-34s", "backend");
    for (int i = 0; i < n; i++) printf(" %12s", d[i].backend_used);
    printf("\n");
    row(d, n, "connections", connections, "%.0f");
    row(d, n, "requests, every byte verified", requests, "%.0f");
    row(d, n, "requests/s", rps, "%.0f");
    row(d, n, "latency p50, us", p50, "%.1f");
    row(d, n, "latency p99, us", p99, "%.1f");
    row(d, n, "latency p99.9, us", p999, "%.1f");
    row(d, n, "server CPU per request, ns", cpu, "%.0f");
    row(d, n, "idle connection, bytes", idle_memory, "%.0f");
    row(d, n, "  and of page tables", idle_tables, "%.0f");
    row(d, n, "errors", errors, "%.0f");
}

static void print_json(const struct demo *d)
{
    printf("{\"style\":\"%s\",\"workers\":%d,\"connections\":%d,\"requests\":%.0f,\"rps\":%.0f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"cpu_ns_per_request\":%.0f,"
           "\"idle_bytes_per_connection\":%.0f,\"errors\":%.0f,\"backend\":\"%s\"}\n",
           d->style, d->workers, d->connections, d->requests, d->rps, d->p50, d->p99, d->p999,
           cpu(d), idle_memory(d), d->errors,
           strcmp(d->backend_used, "io_uring") ? d->backend_used : "uring");
}

int main(int argc, char **argv)
{
    /* Task style last: who reads one line of JSON gets that. */
    static struct demo demos[] = {{.style = "serve"}, {.style = "task"}};
    const char *style = "both", *backend = "auto";
    long connections = 10000, workers = 1;
    double seconds = 10;
    int json = 0, rc = 0, done = 0;
    const struct option options[] = {
        {"connections", OPTION_INT, &connections, 1, CLIENT_CONNECTIONS_MAX, "N", "(10000)"},
        {"seconds", OPTION_NUMBER, &seconds, 0.1, 86400, "S", "of load (10)"},
        {"style", OPTION_TEXT, &style, 0, 0, "NAME", "task, serve or both (both)"},
        {"workers", OPTION_INT, &workers, 1, 64, "N", "of the server (1)"},
        {"backend", OPTION_TEXT, &backend, 0, 0, "NAME", "uring, epoll, poll or auto (auto)"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "the results as JSON, a line a style at the end"},
        {0}};
    const struct command_line cl = {
        "demo", "[OPTION...]",
        "Runs the echo server and the load generator, verifies every byte, prints a table.",
        options, NULL};

    options_parse(&cl, argc, argv);
    if (strcmp(backend, "uring") && strcmp(backend, "epoll") && strcmp(backend, "poll") &&
        strcmp(backend, "auto"))
        options_fail(&cl, "--backend is uring, epoll, poll or auto, not '%s'", backend);
    if (strcmp(style, "both") && strcmp(style, "task") && strcmp(style, "serve"))
        options_fail(&cl, "--style is task, serve or both, not '%s'", style);
    for (int i = 0; i < 2 && !rc; i++) {
        if (strcmp(style, "both") && strcmp(style, demos[i].style)) continue;
        struct demo *d = &demos[done];
        *d = (struct demo){.style = demos[i].style, .backend = backend, .workers = (int)workers};
        d->connections = (int)connections;
        d->seconds = seconds;
        rc = run(d);
        if (d->requests > 0) done++;
    }
    if (done && !json) print_table(demos, done);
    for (int i = 0; i < done && json; i++) print_json(&demos[i]);
    if (rc) fprintf(stderr, "demo: failed\n");
    return rc ? 1 : 0;
}
