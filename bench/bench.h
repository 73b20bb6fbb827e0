/* SPDX-License-Identifier: MIT */
#ifndef BENCH_H
#define BENCH_H

/*
 * The frame of a benchmark program.
 *
 * The program hands bench_main() a table: for each bench id the systems that
 * are compared, each a function that does the thing n times.  Systems of one
 * id are measured in turn (A B A B ...), so that a change in the machine's
 * mood meets all of them; the ratio of two systems is taken within one run.
 *
 * Each system of each id gives one record, a JSON object on a line, on stdout
 * or appended to the file of --json; the tool "table" makes a table of them.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "options.h"
#include "peer.h"

struct bench {
    const char *id;      /* "coro.switch" */
    const char *system;  /* "arsenal", "arsenal:...", "limit:...", or a peer's name */
    const char *version; /* of the system; NULL: unknown */
    const char *config;  /* what one should know about it; NULL: nothing */
    const char *unit;    /* NULL: "ns"; "ms": run() still returns nanoseconds */
    /*
     * Does the thing 'n' times and returns the nanoseconds that took, set-up
     * left out; or < 0 when it cannot be done here.  With 'once' it is called
     * with n = 1 and returns the figure itself, in 'unit'.
     */
    double (*run)(uint64_t n, void *arg);
    void *arg;
    int once;
    int higher; /* 1: more is better */
};

enum {
    BENCH_SAMPLES_MIN = 7,
    BENCH_SAMPLES_MAX = 101,
    BENCH_SYSTEMS_MAX = 16,
    BENCH_PEERS_MAX = 8
};

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Keeps the compiler from dropping a value that nobody reads. */
#define bench_use(x) __asm__ volatile("" ::"r"(x) : "memory")

static inline int bench_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double *sorted, int n)
{
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Writes one record; sorts the samples. */
static inline void bench_record(FILE *out, const struct bench *b, double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, bench_by_value);
    fprintf(out,
            "{\"bench\":\"%s\",\"system\":\"%s\",\"version\":\"%s\",\"config\":\"%s\","
            "\"unit\":\"%s\",\"better\":\"%s\",\"n\":%d,\"min\":%.6g,\"median\":%.6g,"
            "\"max\":%.6g}\n",
            b->id, b->system, b->version ? b->version : "", b->config ? b->config : "",
            b->unit ? b->unit : "ns", b->higher ? "higher" : "lower", n, samples[0],
            bench_median(samples, n), samples[n - 1]);
    fflush(out);
}

/* How often to do it so that a sample takes about 'target' ns; 0: it cannot be done. */
static inline uint64_t bench_calibrate(const struct bench *b, double target)
{
    for (uint64_t n = 1;;) {
        double ns = b->run(n, b->arg);
        if (ns < 0) return 0;
        if (ns >= target / 4 || n >= (uint64_t)1 << 40) {
            double fit = (double)n * target / (ns < 1 ? 1 : ns);
            return fit < 1 ? 1 : (uint64_t)fit;
        }
        n *= ns < target / 100 ? 10 : 2;
    }
}

/* Measures the systems of one id in turn and writes their records. */
static inline void bench_one_id(const struct bench **systems, int count, int samples, double target,
                                FILE *out)
{
    static double values[BENCH_SYSTEMS_MAX][BENCH_SAMPLES_MAX];
    uint64_t times[BENCH_SYSTEMS_MAX];
    int ms = systems[0]->unit && !strcmp(systems[0]->unit, "ms");

    for (int s = 0; s < count; s++) {
        times[s] = systems[s]->once ? 1 : bench_calibrate(systems[s], target);
        /* What is not repeated within a sample is slow, and varies little. */
        if (systems[s]->once) samples = target < 1e7 ? 3 : BENCH_SAMPLES_MIN;
    }
    for (int i = 0; i < samples; i++) {
        for (int s = 0; s < count; s++) {
            if (!times[s]) continue;
            double x = systems[s]->run(times[s], systems[s]->arg);
            if (x < 0) times[s] = 0;
            values[s][i] = systems[s]->once ? x : x / (double)times[s] / (ms ? 1e6 : 1);
        }
    }
    for (int s = 0; s < count; s++) {
        if (times[s])
            bench_record(out, systems[s], values[s], samples);
        else
            fprintf(stderr, "%s: %s cannot run here, left out\n", systems[s]->id,
                    systems[s]->system);
    }
}

/* A peer is neither ours ("arsenal", "arsenal:...") nor a hand-written limit. */
static inline int bench_is_peer(const struct bench *b)
{
    return strncmp(b->system, "arsenal", 7) && strncmp(b->system, "limit:", 6);
}

static inline int bench_wanted(const struct option_list *ids, const char *id)
{
    for (int i = 0; i < ids->n; i++)
        if (!strcmp(ids->items[i], id)) return 1;
    return ids->n == 0;
}

/* A peer that is a program of its own, as a system of one id. */
struct bench_remote {
    struct peer *peer;
    struct bench bench;
};

static inline double bench_run_remote(uint64_t n, void *arg)
{
    const struct bench_remote *r = (const struct bench_remote *)arg;
    return peer_run(r->peer, r->bench.id, n, r->bench.once);
}

/* Adds the peers that can do what 'like' does to its systems, which are 'count' so far. */
static inline int bench_add_remotes(const struct bench *like, struct peer *peers, int n,
                                    const struct bench **systems, int count)
{
    static struct bench_remote remotes[BENCH_PEERS_MAX];

    for (int i = 0; i < n && count < BENCH_SYSTEMS_MAX; i++) {
        const char *remark = peer_remark(&peers[i], like->id);
        if (!remark) continue;
        struct bench_remote *r = &remotes[i];
        r->peer = &peers[i];
        r->bench = *like;
        r->bench.system = peers[i].name;
        r->bench.version = peers[i].version;
        r->bench.config = remark;
        r->bench.run = bench_run_remote;
        r->bench.arg = r;
        systems[count++] = &r->bench;
    }
    return count;
}

/* Systems of the same id stand next to each other in 'table', 'n' entries in all. */
static inline int bench_main(int argc, char **argv, const struct bench *table, size_t n)
{
    static struct peer remotes[BENCH_PEERS_MAX];
    const char *json = NULL, *items[64], *paths[BENCH_PEERS_MAX];
    int quick = 0, peers = 0, remote = 0;
    long samples = 0;
    struct option_list ids = {items, 0, 64}, programs = {paths, 0, BENCH_PEERS_MAX};
    const struct option options[] = {
        {"json", OPTION_TEXT, &json, 0, 0, "FILE", "append the records to FILE, not to stdout"},
        {"samples", OPTION_INT, &samples, BENCH_SAMPLES_MIN, BENCH_SAMPLES_MAX, "N",
         "samples of each (default 21)"},
        {"quick", OPTION_FLAG, &quick, 0, 0, NULL, "fewer and shorter samples"},
        {"peers", OPTION_FLAG, &peers, 0, 0, NULL, "measure the peers too"},
        {"peer", OPTION_LIST, &programs, 0, 0, "PROGRAM", "and this one (see peer.h)"},
        {0}};
    const struct command_line cl = {argv[0], "[ID...] [--quick] [--peers] [--json FILE]",
                                    "Measures, all systems of an id in turn.", options, &ids};

    options_parse(&cl, argc, argv);
    for (int i = 0; i < ids.n; i++) {
        size_t k = 0;
        while (k < n && strcmp(table[k].id, ids.items[i])) k++;
        if (k == n) options_fail(&cl, "no bench '%s' here", ids.items[i]);
    }
    FILE *out = json ? fopen(json, "a") : stdout;
    if (!out) {
        fprintf(stderr, "%s: cannot write %s: %s\n", argv[0], json, strerror(errno));
        return 1;
    }
    for (int i = 0; i < programs.n; i++) {
        remotes[remote].path = programs.items[i];
        if (peer_start(&remotes[remote]) == 0)
            remote++;
        else
            fprintf(stderr, "%s: %s does not start, left out\n", argv[0], programs.items[i]);
    }
    size_t k = 0;
    while (k < n && !bench_is_peer(&table[k])) k++;
    if (peers && k == n && !remote)
        fprintf(stderr, "%s: no peer was built, so none is measured\n", argv[0]);
    if (!samples) samples = quick ? BENCH_SAMPLES_MIN : 21;
    for (size_t i = 0, end; i < n; i = end) {
        const struct bench *systems[BENCH_SYSTEMS_MAX];
        int count = 0;
        for (end = i; end < n && !strcmp(table[end].id, table[i].id); end++)
            if ((peers || !bench_is_peer(&table[end])) && count < BENCH_SYSTEMS_MAX)
                systems[count++] = &table[end];
        if (!bench_wanted(&ids, table[i].id)) continue;
        count = bench_add_remotes(&table[i], remotes, remote, systems, count);
        fprintf(stderr, "%s ...\n", table[i].id);
        bench_one_id(systems, count, (int)samples, quick ? 5e6 : 2e7, out);
    }
    for (int i = 0; i < remote; i++) peer_stop(&remotes[i]);
    if (fflush(out) || (json && fclose(out))) {
        fprintf(stderr, "%s: cannot write %s: %s\n", argv[0], json ? json : "stdout",
                strerror(errno));
        return 1;
    }
    return 0;
}

#endif
