/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
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
 *   echo.CONNS.BACKEND.STYLE       server CPU ns a request, kernel included
 *   echo.CONNS.BACKEND.STYLE.w2    the same with two workers, on CPUs that the load uses too
 *   echo.user.CONNS.BACKEND.STYLE  of those, ns outside of system calls: counted in servers that
 *                                  are built for it, for peers and two workers the kernel's samples
 *   echo.p99.CONNS.BACKEND.STYLE   latency that 99 of 100 requests do not exceed, at half of what
 *                                  the first server does at most, from when they were due
 *   echo.idle.BACKEND.STYLE        bytes an idle connection: private memory and page tables
 *
 * A limit or peer is recorded under each id that it is compared with.
 */

enum { SERVERS_MAX = 12, SPARE_DESCRIPTORS = 64 };

struct server {
    const char *system;
    const char *path;         /* beside this program */
    const char *arguments[8]; /* ends with NULL */
    const char *style;        /* NULL: compared with all */
    int counts;               /* tells its time outside of system calls */
    int peer;
    struct process process;
    char address[64], version[32];
    int ticks_fd;
    double memory[2], sampled_user;
    /* Minimum, median, maximum; 'late' in the open loop. */
    double cpu[3], user[3], ratio[3], p50[3], p99[3], p999[3], late50[3], late99[3], late999[3];
};

struct load_shape {
    long connections;
    int workers;
    double slice, slice_quick;
    int rounds, rounds_quick;
};

static const struct load_shape shapes[] = {{50, 1, 0.05, 0.02, 41, 15},
                                           {1000, 1, 0.1, 0.05, 31, 11},
                                           {1000, 2, 0.1, 0.05, 31, 11},
                                           {10000, 1, 0.25, 0.2, 21, 7}};

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
    const char *argv[2 + sizeof s->arguments / sizeof *s->arguments] = {path};
    for (int i = 0; i < 8; i++) argv[1 + i] = s->arguments[i];
    if (process_start(&s->process, s->system, argv, cpu)) return -1;
    if (process_line(&s->process, line, sizeof line, 10, NULL) != 1 ||
        sscanf(line, "listening at %63[^,], %*s %31s", s->address, s->version) < 1) {
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
    const struct {
        const char *key;
        size_t at;
    } series[] = {{"cpu_ns", offsetof(struct server, cpu)},
                  {"ratio", offsetof(struct server, ratio)},
                  {"user_ns", offsetof(struct server, user)},
                  {"p50_us", offsetof(struct server, p50)},
                  {"p99_us", offsetof(struct server, p99)},
                  {"p999_us", offsetof(struct server, p999)},
                  {"open_p50_us", offsetof(struct server, late50)},
                  {"open_p99_us", offsetof(struct server, late99)},
                  {"open_p999_us", offsetof(struct server, late999)}};
    struct process load;
    char line[2048];
    int i = 0;

    if (process_path(path, sizeof path, "../tools/load")) return -1;
    snprintf(numbers[0], 32, "%ld", shape->connections);
    snprintf(numbers[1], 32, "%g", o->quick ? shape->slice_quick : shape->slice);
    snprintf(numbers[2], 32, "%d", o->quick ? shape->rounds_quick : shape->rounds);
    const char *fixed[] = {path,       "--control", "--connections", numbers[0], "--slice",
                           numbers[1], "--rounds",  numbers[2],      "--open",   "0.5"};
    for (; i < 10; i++) argv[i] = fixed[i];
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
        for (size_t k = 0; k < sizeof series / sizeof *series; k++)
            read_series(line, series[k].key, (double *)((char *)servers[s] + series[k].at));
        const char *sampled = strstr(line, "\"sampled_user_ns\":");
        servers[s]->sampled_user = sampled ? strtod(sampled + 18, NULL) : -1;
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
    const char *version = s->peer                            ? s->version
                          : !strncmp(s->system, "limit:", 6) ? ""
                                                             : ARSENAL_VERSION;
    fprintf(o->out,
            "{\"bench\":\"%s\",\"system\":\"%s\",\"version\":\"%s\",\"config\":\"%s\","
            "\"unit\":\"%s\",\"better\":\"lower\",\"n\":%d,\"min\":%.6g,\"median\":%.6g,"
            "\"max\":%.6g}\n",
            id, s->system, version, config, unit, n, v[0], v[1], v[2]);
    fflush(o->out);
}

/* The records of one server under the ids of one style. */
static void records_of(const struct server *s, const struct load_shape *shape, const char *backend,
                       const char *style, const struct options *o)
{
    int rounds = o->quick ? shape->rounds_quick : shape->rounds;
    const char *more = shape->workers > 1 ? ".w2" : "";
    char id[64], config[160];

    if (s->counts) {
        snprintf(id, sizeof id, "echo.user.%ld.%s.%s", shape->connections, backend, style);
        record(o, id, s, rounds, "ns", s->user, "outside of system calls");
        return;
    }
    snprintf(id, sizeof id, "echo.%ld.%s.%s%s", shape->connections, backend, style, more);
    snprintf(config, sizeof config, "%.3f of the first by rounds, p50 %.0f p99 %.0f p99.9 %.0f us",
             s->ratio[1], s->p50[1], s->p99[1], s->p999[1]);
    record(o, id, s, rounds, "ns", s->cpu, config);
    snprintf(id, sizeof id, "echo.p99.%ld.%s.%s%s", shape->connections, backend, style, more);
    snprintf(config, sizeof config, "at half load; p50 %.0f p99.9 %.0f us", s->late50[1],
             s->late999[1]);
    record(o, id, s, rounds, "us", s->late99, config);
    if ((s->peer || shape->workers > 1) && s->sampled_user >= 0) {
        double user = s->sampled_user;
        snprintf(id, sizeof id, "echo.user.%ld.%s.%s%s", shape->connections, backend, style, more);
        record(o, id, s, 1, "ns", (double[]){user, user, user}, "sampled by the kernel");
    }
}

static void records(struct server **servers, int n, const struct load_shape *shape,
                    const char *backend, const char *style, const struct options *o)
{
    char id[64];

    for (int i = 0; i < n; i++) {
        struct server *s = servers[i];
        if (s->style && strcmp(s->style, style)) continue;
        records_of(s, shape, backend, style, o);
        if (shape->connections < 10000 || s->counts || i == 1) continue;
        double idle = (s->memory[1] - s->memory[0]) / (double)shape->connections;
        snprintf(id, sizeof id, "echo.idle.%s.%s", backend, style);
        record(o, id, s, 1, "bytes", (double[]){idle, idle, idle}, "10,000 connections");
    }
}

/* Fills in what is compared; the first is what ratios are to, the second its twin. */
static int choose(struct server *all, const struct load_shape *shape, const char *backend)
{
    int uring = !strcmp(backend, "uring"), two = shape->workers > 1, n = 0;
    const char *workers = two ? "2" : "1";
    const char *limit = uring ? "limit:raw-uring" : "limit:raw-epoll";
#define ARSENAL(name, program, how, ticks)                                                         \
    all[n++] = (struct server)                                                                     \
    {                                                                                              \
        .system = (name), .path = (program),                                                       \
        .arguments = {"127.0.0.1:0", "--backend", backend, "--workers", workers, "--style", how},  \
        .style = (how), .counts = (ticks)                                                          \
    }

    if (!two) {
        const char *raw = uring ? "raw_uring" : "raw_epoll";
        all[n++] = (struct server){.system = limit, .path = raw};
        all[n++] = (struct server){
            .system = uring ? "limit:raw-uring again" : "limit:raw-epoll again", .path = raw};
    }
    ARSENAL("arsenal", "../examples/echo", "task", 0);
    if (two) ARSENAL("arsenal again", "../examples/echo", "task", 0);
    ARSENAL("arsenal", "../examples/echo", "serve", 0);
    if (!two) all[n++] = (struct server){.system = "libuv", .path = "libuv_echo", .peer = 1};
    all[n++] = (struct server){
        .system = "tokio", .path = "tokio/release/echo", .arguments = {workers}, .peer = 1};
    all[n++] =
        (struct server){.system = "go", .path = "go_echo", .arguments = {workers}, .peer = 1};
    if (two) return n;
    all[n++] = (struct server){
        .system = limit, .path = uring ? "raw_uring_ticks" : "raw_epoll_ticks", .counts = 1};
    ARSENAL("arsenal", "echo_ticks", "task", 1);
    ARSENAL("arsenal", "echo_ticks", "serve", 1);
#undef ARSENAL
    return n;
}

static int bench_shape(const struct load_shape *shape, const char *backend, const struct options *o,
                       int cpus[2])
{
    static struct server all[SERVERS_MAX];
    struct server *up[SERVERS_MAX];
    int two = shape->workers > 1, n = 0, rc = 0;

    memset(all, 0, sizeof all);
    int count = choose(all, shape, backend);
    fprintf(stderr, "echo.%ld.%s%s ...\n", shape->connections, backend, two ? ".w2" : "");
    for (int i = 0; i < count && rc >= 0; i++) {
        if (all[i].peer && !o->peers) continue;
        rc = server_start(&all[i], two ? -1 : cpus[0]);
        if (rc == 0) up[n++] = &all[i];
    }
    if (rc >= 0) rc = load(up, n, shape, o, two ? -1 : cpus[1]);
    for (int i = 0; i < n; i++) {
        process_end(&up[i]->process, SIGKILL, 1);
        if (up[i]->counts) close(up[i]->ticks_fd);
    }
    if (rc == 0) records(up, n, shape, backend, "task", o);
    if (rc == 0) records(up, n, shape, backend, "serve", o);
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
