/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "options.h"
#include "slices.h"

/*
 * The load generator: opens connections to an echo server, keeps each of them
 * busy with messages, verifies every byte of the answers, leaves the
 * connections idle, closes them, and prints the result as a JSON object.
 *
 * Exit code 0: every message was answered and every byte right.  1: not so.
 * 2: the command line makes no sense.
 */

/* With --control the driving program says, a line each, when the next phase may begin. */
static int phase_end(struct client *c, int control, const char *name, double hold)
{
    char line[64];

    if (!control) return hold > 0 ? client_hold(c, hold, -1) : 0;
    printf("phase %s %d\n", name, c->connections);
    fflush(stdout);
    if (client_hold(c, 0, 0)) return -1;
    if (read(0, line, sizeof line) > 0) return 0;
    fprintf(stderr, "load: stdin was closed, so the program that controls this one is gone\n");
    return -1;
}

static void print_result(const struct client *c)
{
    printf("{\"target\":\"%s\",\"connections\":%d,\"bytes\":%d,\"seconds\":%.3f,\"rate\":%g,"
           "\"requests\":%llu,\"rps\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
           "\"unsent\":%llu,\"errors\":%llu}\n",
           c->target, c->connections, c->size, c->elapsed, c->rate, (unsigned long long)c->requests,
           c->elapsed > 0 ? (double)c->requests / c->elapsed : 0,
           (double)ars_histogram_at(&c->latency, 50) / 1000,
           (double)ars_histogram_at(&c->latency, 99) / 1000,
           (double)ars_histogram_at(&c->latency, 99.9) / 1000, (unsigned long long)c->unsent,
           (unsigned long long)client_errors(c));
    fflush(stdout);
}

static int load(struct client *c, int control, double warmup, double seconds, double idle)
{
    if (client_open(c)) return -1;
    int rc = phase_end(c, control, "connected", 0);
    if (!rc && warmup > 0) rc = client_run(c, "warm-up", warmup);
    if (!rc && warmup > 0) rc = phase_end(c, control, "warm", 0);
    if (rc) return rc;
    rc = client_run(c, "load", seconds);
    if (!rc) rc = phase_end(c, control, "idle", idle);
    uint64_t requests = c->requests;
    if (!rc) rc = client_close(c);
    c->requests = requests;
    print_result(c);
    return rc;
}

int main(int argc, char **argv)
{
    static struct slice_plan plan;
    struct client *c = &plan.client;
    const char *targets[SLICES_TARGETS_MAX];
    struct option_list list = {targets, 0, SLICES_TARGETS_MAX};
    long connections = 50, size = 64, rounds = 30, seed = 0;
    double seconds = 10, warmup = 0, idle = 0, slice = 0, share = 0, timeout = 5;
    int control = 0, progress = 0;
    const struct option options[] = {
        {"connections", OPTION_INT, &connections, 1, CLIENT_CONNECTIONS_MAX, "N", "to open (50)"},
        {"seconds", OPTION_NUMBER, &seconds, 0.001, 86400, "S", "of load (10)"},
        {"warmup", OPTION_NUMBER, &warmup, 0, 3600, "S", "of load before, not counted (0)"},
        {"idle", OPTION_NUMBER, &idle, 0, 86400, "S", "without load before the end (0)"},
        {"size", OPTION_INT, &size, CLIENT_SIZE_MIN, CLIENT_SIZE_MAX, "BYTES", "of a message (64)"},
        {"rate", OPTION_NUMBER, &c->rate, 0, 1e8, "N",
         "messages a second, however slow the answers; 0: each after the last (0)"},
        {"timeout", OPTION_NUMBER, &timeout, 0.1, 3600, "S", "without an answer: hung (5)"},
        {"seed", OPTION_INT, &seed, 0, 9e18, "N", "of the random bytes (the clock)"},
        {"progress", OPTION_FLAG, &progress, 0, 0, NULL, "live line even if stderr is no terminal"},
        {"control", OPTION_FLAG, &control, 0, 0, NULL,
         "print each phase's end, wait for a line on stdin"},
        {"slice", OPTION_NUMBER, &slice, 0.001, 60, "S",
         "load the targets in turn, S seconds each"},
        {"rounds", OPTION_INT, &rounds, 1, 100000, "N", "of slices (30)"},
        {"open", OPTION_NUMBER, &share, 0, 10, "SHARE",
         "as many rounds at a fixed rate: so much of what the first target did (0)"},
        {0}};
    const struct command_line cl = {
        "load", "[OPTION...] TARGET[,pid=PID][,ticks=FD]...",
        "Loads an echo server and verifies every byte.\n"
        "TARGET is 127.0.0.1:PORT, [::1]:PORT or unix:PATH; several need --slice.",
        options, &list};

    options_parse(&cl, argc, argv);
    if (!list.n) options_fail(&cl, "no target given");
    if (list.n > 1 && slice == 0) options_fail(&cl, "several targets need --slice");
    for (int i = 0; i < list.n; i++) {
        struct sockaddr_storage address;
        socklen_t len;
        if (slice_target_parse(&plan.targets[i], targets[i]) ||
            client_target(plan.targets[i].address, &address, &len))
            options_fail(&cl, "'%s' is no target (127.0.0.1:PORT, [::1]:PORT or unix:PATH)",
                         targets[i]);
    }
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    c->target = plan.targets[0].address;
    c->connections = (int)connections;
    c->size = (int)size;
    c->timeout = timeout;
    c->seed = seed ? (uint64_t)seed : (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    c->live = progress || isatty(2);
    plan.n = list.n;
    plan.rounds = (int)rounds;
    plan.seconds = slice;
    plan.share = share;
    plan.control = control;
    return (slice > 0 ? slices_run(&plan) : load(c, control, warmup, seconds, idle)) ? 1 : 0;
}
