/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "slices.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user_ticks.h"

/*
 * Each target has a process of its own that loads it, so that the descriptor
 * limit holds for one target and not for all.  It gets an order by its
 * socket, carries it out and sends a report; 0 seconds end it.
 */
struct order {
    double seconds, rate; /* rate 0: a closed loop */
};

/* Fewer samples than TICKS_MIN say nothing. */
enum { QUANTILES = 3, TICKS_MIN = 100 };
static const double quantiles[QUANTILES] = {.5, .99, .999};
/* In the closed loop, then in the open one. */
static const char *const latency_names[2 * QUANTILES] = {
    "p50_us", "p99_us", "p999_us", "open_p50_us", "open_p99_us", "open_p999_us"};

struct report {
    uint64_t requests, errors;
    double elapsed, latency[QUANTILES];
};

struct loader {
    pid_t pid;
    int socket;
    struct user_ticks *ticks;
    clockid_t clock;
    uint64_t requests, errors;
    int connections;
    double *cpu, *user, *ratio, *rps, *latency[2 * QUANTILES]; /* a value a round */
    long user_ticks, all_ticks; /* as the kernel's clock sampled them */
};

int slice_target_parse(struct slice_target *target, const char *text)
{
    char copy[256], *rest, *word, *end;

    *target = (struct slice_target){.ticks_fd = -1};
    if (strlen(text) >= sizeof copy) return -1;
    strcpy(copy, text);
    word = strtok_r(copy, ",", &rest);
    if (!word || strlen(word) >= sizeof target->address) return -1;
    strcpy(target->address, word);
    while ((word = strtok_r(NULL, ",", &rest))) {
        int pid = !strncmp(word, "pid=", 4);
        const char *number = word + (pid ? 4 : 6);
        if (!pid && strncmp(word, "ticks=", 6)) return -1;
        long value = strtol(number, &end, 10);
        if (end == number || *end || value < (pid ? 1 : 0) || value > INT32_MAX) return -1;
        *(pid ? &target->pid : &target->ticks_fd) = (int)value;
    }
    return 0;
}

static int tell(int socket, const void *what, size_t n)
{
    return send(socket, what, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

static int hear(int socket, void *what, size_t n)
{
    return recv(socket, what, n, MSG_WAITALL) == (ssize_t)n ? 0 : -1;
}

static void loader_main(const struct slice_plan *plan, int index, int socket)
{
    static struct client client;
    struct order order;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    client = plan->client;
    client.target = plan->targets[index].address;
    client.live = 0;
    int bad = client_open(&client);
    struct report report = {.requests = (uint64_t)client.connections, .errors = bad ? 1 : 0};
    if (tell(socket, &report, sizeof report) || bad) _exit(1);
    while (hear(socket, &order, sizeof order) == 0 && order.seconds > 0) {
        client.rate = order.rate;
        bad = client_run(&client, "slice", order.seconds);
        report = (struct report){client.requests, client_errors(&client), client.elapsed, {0}};
        for (int q = 0; q < QUANTILES; q++)
            report.latency[q] =
                (double)ars_histogram_at(&client.latency, 100 * quantiles[q]) / 1000;
        if (tell(socket, &report, sizeof report) || bad) _exit(1);
    }
    _exit(client_close(&client) ? 1 : 0);
}

static int loader_start(const struct slice_plan *plan, int index, struct loader *l)
{
    const struct slice_target *target = &plan->targets[index];
    struct report report;
    int pair[2];

    if (target->pid && clock_getcpuclockid(target->pid, &l->clock)) {
        fprintf(stderr, "load: there is no process %d\n", target->pid);
        return -1;
    }
    if (target->ticks_fd >= 0 && !(l->ticks = user_ticks_map(target->ticks_fd, PROT_READ))) {
        fprintf(stderr, "load: cannot map descriptor %d: %s\n", target->ticks_fd, strerror(errno));
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        fprintf(stderr, "load: socketpair: %s\n", strerror(errno));
        return -1;
    }
    l->pid = fork();
    if (l->pid == 0) {
        close(pair[0]);
        loader_main(plan, index, pair[1]);
    }
    close(pair[1]);
    l->socket = pair[0];
    if (l->pid < 0 || hear(l->socket, &report, sizeof report) || report.errors) return -1;
    l->connections = (int)report.requests;
    double **series[] = {&l->cpu, &l->user, &l->ratio, &l->rps};
    for (int i = 0; i < 4; i++)
        if (!(*series[i] = calloc((size_t)plan->rounds, sizeof(double)))) return -1;
    for (int i = 0; i < 2 * QUANTILES; i++)
        if (!(l->latency[i] = calloc((size_t)plan->rounds, sizeof(double)))) return -1;
    return 0;
}

static double cpu_now(clockid_t clock)
{
    struct timespec t = {0, 0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Adds, or takes away, the ticks of the kernel's clock that met a process outside of system calls, and all. */
static void count_ticks(struct loader *l, int pid, int sign)
{
    char path[32], text[1024], *at;
    long user, system;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *in = pid > 0 ? fopen(path, "re") : NULL;
    if (!in) return;
    at = fgets(text, sizeof text, in) ? strrchr(text, ')') : NULL;
    fclose(in);
    for (int field = 2; at && field < 14; field++) at = strchr(at + 1, ' ');
    if (!at || sscanf(at, "%ld %ld", &user, &system) != 2) return;
    l->user_ticks += sign * user;
    l->all_ticks += sign * (user + system);
}

/* One slice; 'round' -1 warms up and is not kept. */
static int slice(const struct slice_plan *plan, int index, struct loader *l, int round, double rate)
{
    int measured = plan->targets[index].pid > 0;
    struct order order = {plan->seconds, rate};
    double cpu = measured ? cpu_now(l->clock) : 0;
    uint64_t ticks = l->ticks ? l->ticks->ticks : 0;
    struct timespec settle = {0, 300000};
    struct report report;

    if (tell(l->socket, &order, sizeof order) || hear(l->socket, &report, sizeof report)) {
        fprintf(stderr, "load: the process that loads %s died\n", plan->targets[index].address);
        return -1;
    }
    /* The server may still be on its way back into its wait. */
    nanosleep(&settle, NULL);
    if (rate == 0) l->requests += report.requests;
    l->errors += report.errors;
    if (report.errors || !report.requests) return -1;
    if (round < 0) return 0;
    for (int q = 0; q < QUANTILES; q++)
        l->latency[(rate > 0 ? QUANTILES : 0) + q][round] = report.latency[q];
    if (rate > 0) return 0;
    double per = 1 / (double)report.requests;
    if (measured) l->cpu[round] = (cpu_now(l->clock) - cpu) * per;
    if (l->ticks) l->user[round] = (double)(l->ticks->ticks - ticks) / l->ticks->per_ns * per;
    l->rps[round] = (double)report.requests / report.elapsed;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts them. */
static double median_of(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void print_series(const char *name, double *v, int n)
{
    double median = median_of(v, n);
    printf(",\"%s\":[%.6g,%.6g,%.6g]", name, v[0], median, v[n - 1]);
}

/* Arrays are minimum, median and maximum over the rounds. */
static void print_target(const struct slice_plan *plan, int index, struct loader *l)
{
    int n = plan->rounds;

    printf("{\"target\":\"%s\",\"connections\":%d,\"rounds\":%d,\"requests\":%llu,\"errors\":%llu",
           plan->targets[index].address, l->connections, n, (unsigned long long)l->requests,
           (unsigned long long)l->errors);
    for (int i = 0; i < (plan->share > 0 ? 2 : 1) * QUANTILES; i++)
        print_series(latency_names[i], l->latency[i], n);
    print_series("rps", l->rps, n);
    if (plan->targets[index].pid) print_series("cpu_ns", l->cpu, n);
    if (l->all_ticks >= TICKS_MIN)
        printf(",\"sampled_user_ns\":%.6g",
               (double)l->user_ticks * 1e9 / (double)sysconf(_SC_CLK_TCK) / (double)l->requests);
    if (plan->targets[index].pid && plan->targets[0].pid) print_series("ratio", l->ratio, n);
    if (l->ticks) print_series("user_ns", l->user, n);
    puts("}");
}

static int rounds(const struct slice_plan *plan, struct loader *loaders, double rate)
{
    for (int round = -1; round < plan->rounds; round++) {
        if (plan->client.live)
            fprintf(stderr, "%sround %d of %d%s", isatty(2) ? "\r" : "", round + 1, plan->rounds,
                    isatty(2) && round + 1 < plan->rounds ? "" : "\n");
        /*
         * Each round begins one further, every other one goes backwards: what a slice leaves in
         * the caches meets each neighbour, and nobody comes twice in succession.
         */
        for (int i = 0; i < plan->n; i++) {
            int index = ((round & 1 ? plan->n - 1 - i : i) + round + 1) % plan->n;
            if (slice(plan, index, &loaders[index], round, rate)) return -1;
        }
        for (int i = 0; i < plan->n && round >= 0 && rate == 0; i++)
            if (loaders[0].cpu[round] > 0)
                loaders[i].ratio[round] = loaders[i].cpu[round] / loaders[0].cpu[round];
    }
    return 0;
}

/* In the closed loop, then in the open one. */
static int all_rounds(const struct slice_plan *plan, struct loader *loaders)
{
    for (int i = 0; i < plan->n; i++) count_ticks(&loaders[i], plan->targets[i].pid, -1);
    if (rounds(plan, loaders, 0)) return -1;
    for (int i = 0; i < plan->n; i++) count_ticks(&loaders[i], plan->targets[i].pid, 1);
    if (plan->share == 0) return 0;
    return rounds(plan, loaders, plan->share * median_of(loaders[0].rps, plan->rounds));
}

/* All are idle now, and whoever drives this may look at the servers. */
static int idle(const struct loader *first)
{
    char line[64];

    printf("phase idle %d\n", first->connections);
    fflush(stdout);
    return read(0, line, sizeof line) > 0 ? 0 : -1;
}

int slices_run(const struct slice_plan *plan)
{
    static struct loader loaders[SLICES_TARGETS_MAX];
    const struct order end = {0, 0};
    int rc = 0, status;

    for (int i = 0; i < plan->n && !rc; i++) rc = loader_start(plan, i, &loaders[i]);
    if (!rc) rc = all_rounds(plan, loaders);
    if (!rc && plan->control) rc = idle(&loaders[0]);
    for (int i = 0; i < plan->n; i++) {
        if (loaders[i].pid <= 0) continue;
        if (rc)
            kill(loaders[i].pid, SIGKILL);
        else if (tell(loaders[i].socket, &end, sizeof end))
            rc = -1;
        if (waitpid(loaders[i].pid, &status, 0) != loaders[i].pid || status) rc = -1;
    }
    for (int i = 0; i < plan->n && !rc; i++) print_target(plan, i, &loaders[i]);
    fflush(stdout);
    return rc;
}
