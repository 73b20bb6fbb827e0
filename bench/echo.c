/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "process.h"
#include "user_ticks.h"

/*
 * The echo benchmark: for each number of connections and each backend, all
 * servers are up and connected at once and are loaded in turn, slice by slice
 * (tools/slices.h).  The first is the hand-written server of that backend, the
 * second the same program again: how far that pair is from 1 is how far any
 * ratio of this run can be trusted.
 *
 *   echo.CONNS.BACKEND.task       server CPU ns a request, kernel included
 *   echo.user.CONNS.BACKEND.task  of those, ns outside of system calls
 *   echo.idle.BACKEND.task        bytes an idle connection: private memory and page tables
 */

enum { SERVERS_MAX = 6, SPARE_DESCRIPTORS = 64 };

struct server {
    const char *system;
    const char *path; /* beside this program */
    const char *arguments[3];
    int counts; /* tells its time outside of system calls */
    int peer;
    struct process process;
    char address[64];
    int ticks_fd;
    double memory[2];
    double cpu[3], user[3], ratio[3], p99[3]; /* minimum, median, maximum */
};

struct load_shape {
    long connections;
    double slice, slice_quick;
    int rounds, rounds_quick;
};

static const struct load_shape shapes[] = {
    {50, 0.05, 0.02, 41, 15}, {1000, 0.1, 0.05, 31, 11}, {10000, 0.25, 0.2, 21, 7}};

struct options {
    int quick, peers;
    long connections;
    const char *backend;
    FILE *out;
};

static double memory_of(const struct server *s)
{
    double bytes = 0, tables = 0;
    process_memory(s->process.pid, &bytes, &tables);
    return bytes + tables;
}

static int server_start(struct server *s, int cpu)
{
    char path[4200], line[256], fd[16];

    if (process_path(path, sizeof path, s->path)) return -1;
    if (s->peer && access(path, X_OK)) {
        fprintf(stderr, "echo: %s was not built (no package for it?), left out\n", s->system);
        return 1;
    }
    unsetenv(USER_TICKS_ENV);
    if (s->counts) {
        s->ticks_fd = memfd_create("user_ticks", 0);
        if (s->ticks_fd < 0 || ftruncate(s->ticks_fd, sizeof(struct user_ticks))) return -1;
        snprintf(fd, sizeof fd, "%d", s->ticks_fd);
        setenv(USER_TICKS_ENV, fd, 1);
    }
    const char *argv[] = {path, s->arguments[0], s->arguments[1], s->arguments[2], NULL};
    if (process_start(&s->process, s->system, argv, cpu)) return -1;
    if (process_line(&s->process, line, sizeof line, 10, NULL) != 1 ||
        sscanf(line, "listening at %63[^,]", s->address) != 1) {
        process_end(&s->process, SIGKILL, 1);
        fprintf(stderr, "echo: %s (%s) does not come up\n", s->system, path);
        return -1;
    }
    struct timespec settle = {0, 50000000};
    nanosleep(&settle, NULL);
    s->memory[0] = memory_of(s);
    return 0;
}

/* Reads "key":[min,median,max]. */
static void read_series(const char *json, const char *key, double *v)
{
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":[", key);
    const char *at = strstr(json, quoted);
    if (!at || sscanf(at + strlen(quoted), "%lf,%lf,%lf", &v[0], &v[1], &v[2]) != 3) v[1] = -1;
}

static int load(struct server **servers, int n, const struct load_shape *shape,
                const struct options *o, int cpu)
{
    static char path[4200], targets[SERVERS_MAX][128], numbers[3][32];
    const char *argv[16 + SERVERS_MAX];
    struct process load;
    char line[1024];
    int i = 0;

    if (process_path(path, sizeof path, "../tools/load")) return -1;
    snprintf(numbers[0], 32, "%ld", shape->connections);
    snprintf(numbers[1], 32, "%g", o->quick ? shape->slice_quick : shape->slice);
    snprintf(numbers[2], 32, "%d", o->quick ? shape->rounds_quick : shape->rounds);
    const char *fixed[] = {path,      "--control", "--connections", numbers[0],
                           "--slice", numbers[1],  "--rounds",      numbers[2]};
    for (; i < 8; i++) argv[i] = fixed[i];
    for (int s = 0; s < n; s++) {
        int len = snprintf(targets[s], sizeof targets[s], "%s,pid=%d", servers[s]->address,
                           (int)servers[s]->process.pid);
        if (servers[s]->counts)
            snprintf(targets[s] + len, sizeof targets[s] - (size_t)len, ",ticks=%d",
                     servers[s]->ticks_fd);
        argv[i++] = targets[s];
    }
    argv[i] = NULL;
    if (process_start(&load, "load", argv, cpu)) return -1;
    if (process_line(&load, line, sizeof line, 600, NULL) != 1 ||
        sscanf(line, "phase idle %d", &i) != 1)
        goto failed;
    struct timespec settle = {0, 300000000};
    nanosleep(&settle, NULL);
    for (int s = 0; s < n; s++) servers[s]->memory[1] = memory_of(servers[s]);
    if (process_tell(&load, "go")) goto failed;
    for (int s = 0; s < n; s++) {
        if (process_line(&load, line, sizeof line, 60, NULL) != 1) goto failed;
        read_series(line, "cpu_ns", servers[s]->cpu);
        read_series(line, "ratio", servers[s]->ratio);
        read_series(line, "user_ns", servers[s]->user);
        read_series(line, "p99_us", servers[s]->p99);
    }
    if (!process_end(&load, 0, 30)) return 0;
failed:
    process_end(&load, SIGKILL, 1);
    fprintf(stderr, "echo: the load generator failed\n");
    return -1;
}

static void record(const struct options *o, const char *id, const struct server *s, int n,
                   const char *unit, const double *v, const char *config)
{
    const char *version = s->peer || !strncmp(s->system, "limit:", 6) ? "" : ARSENAL_VERSION;
    fprintf(o->out,
            "{\"bench\":\"%s\",\"system\":\"%s\",\"version\":\"%s\",\"config\":\"%s\","
            "\"unit\":\"%s\",\"better\":\"lower\",\"n\":%d,\"min\":%.6g,\"median\":%.6g,"
            "\"max\":%.6g}\n",
            id, s->system, version, config, unit, n, v[0], v[1], v[2]);
    fflush(o->out);
}

static void records(struct server **servers, int n, const struct load_shape *shape,
                    const char *backend, const struct options *o)
{
    int rounds = o->quick ? shape->rounds_quick : shape->rounds;
    char id[64], config[128];

    for (int i = 0; i < n; i++) {
        struct server *s = servers[i];
        if (s->counts) {
            snprintf(id, sizeof id, "echo.user.%ld.%s.task", shape->connections, backend);
            record(o, id, s, rounds, "ns", s->user, "outside of system calls");
            continue;
        }
        snprintf(id, sizeof id, "echo.%ld.%s.task", shape->connections, backend);
        snprintf(config, sizeof config, "%.3f of the limit by rounds, p99 %.0f us", s->ratio[1],
                 s->p99[1]);
        record(o, id, s, rounds, "ns", s->cpu, config);
        if (shape->connections < 10000 || i == 1) continue;
        double idle = (s->memory[1] - s->memory[0]) / (double)shape->connections;
        snprintf(id, sizeof id, "echo.idle.%s.task", backend);
        record(o, id, s, 1, "bytes", (double[]){idle, idle, idle}, "10,000 connections");
    }
}

static int bench_shape(const struct load_shape *shape, const char *backend, const struct options *o,
                       int cpus[2])
{
    int uring = !strcmp(backend, "uring");
    struct server all[SERVERS_MAX] = {
        {.system = uring ? "limit:raw-uring" : "limit:raw-epoll",
         .path = uring ? "raw_uring" : "raw_epoll"},
        {.system = uring ? "limit:raw-uring again" : "limit:raw-epoll again",
         .path = uring ? "raw_uring" : "raw_epoll"},
        {.system = "arsenal",
         .path = "../examples/echo",
         .arguments = {"127.0.0.1:0", "--backend", backend}},
        {.system = "libuv", .path = "libuv_echo", .peer = 1},
        {.system = uring ? "limit:raw-uring" : "limit:raw-epoll",
         .path = uring ? "raw_uring_ticks" : "raw_epoll_ticks",
         .counts = 1},
        {.system = "arsenal",
         .path = "echo_ticks",
         .arguments = {"127.0.0.1:0", "--backend", backend},
         .counts = 1}};
    struct server *up[SERVERS_MAX];
    int n = 0, rc = 0;

    fprintf(stderr, "echo.%ld.%s ...\n", shape->connections, backend);
    for (int i = 0; i < SERVERS_MAX && rc >= 0; i++) {
        if (all[i].peer && !o->peers) continue;
        rc = server_start(&all[i], cpus[0]);
        if (rc == 0) up[n++] = &all[i];
    }
    if (rc >= 0) rc = load(up, n, shape, o, cpus[1]);
    for (int i = 0; i < n; i++) {
        process_end(&up[i]->process, SIGKILL, 1);
        if (up[i]->counts) close(up[i]->ticks_fd);
    }
    if (rc == 0) records(up, n, shape, backend, o);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = {.out = stdout};
    const char *json = NULL;
    const struct option options[] = {
        {"json", OPTION_TEXT, &json, 0, 0, "FILE", "append the records to FILE, not to stdout"},
        {"quick", OPTION_FLAG, &o.quick, 0, 0, NULL, "fewer and shorter slices"},
        {"peers", OPTION_FLAG, &o.peers, 0, 0, NULL, "measure the peers too"},
        {"connections", OPTION_INT, &o.connections, 50, 10000, "N", "only 50, 1000 or 10000"},
        {"backend", OPTION_TEXT, &o.backend, 0, 0, "NAME", "only uring or epoll"},
        {0}};
    const struct command_line cl = {argv[0], "[OPTION...]",
                                    "Measures echo servers by paired slices.", options, NULL};
    int cpus[2] = {process_allowed_cpu(0), process_allowed_cpu(1)}, rc = 0;
    struct rlimit limit;

    options_parse(&cl, argc, argv);
    if (o.backend && strcmp(o.backend, "uring") && strcmp(o.backend, "epoll"))
        options_fail(&cl, "--backend is uring or epoll, not '%s'", o.backend);
    if (json && !(o.out = fopen(json, "a"))) {
        fprintf(stderr, "%s: cannot write %s: %s\n", argv[0], json, strerror(errno));
        return 1;
    }
    if (cpus[1] < 0) fprintf(stderr, "echo: one CPU only: the figures include the load's mood\n");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (unsigned i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (o.connections && o.connections != shapes[i].connections) continue;
        if (limit.rlim_max < (rlim_t)shapes[i].connections + SPARE_DESCRIPTORS) {
            fprintf(stderr,
                    "echo: the hard descriptor limit (ulimit -Hn) is %llu: echo.%ld left out\n",
                    (unsigned long long)limit.rlim_max, shapes[i].connections);
            continue;
        }
        if (!o.backend || !strcmp(o.backend, "uring"))
            rc |= bench_shape(&shapes[i], "uring", &o, cpus);
        if (!o.backend || !strcmp(o.backend, "epoll"))
            rc |= bench_shape(&shapes[i], "epoll", &o, cpus);
    }
    return rc ? 1 : 0;
}
