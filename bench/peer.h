/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

/*
 * A peer that is a program of its own, so that it can be written in its own
 * language and still be measured in turn with the others.
 *
 * It first writes its name and version, a line for each bench id that it can
 * do ("ID REMARK"), and an empty line.  Then it reads lines "ID N", does the
 * thing N times, and answers each with a line: the nanoseconds that took,
 * set-up left out, or the figure itself where the id's record says so; < 0
 * when it cannot be done.  While it waits for a line it does nothing.
 */

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"

enum { PEER_IDS_MAX = 64, PEER_LINE = 160, PEER_PATIENCE_SECONDS = 120 };

struct peer {
    const char *path;
    struct process process;
    char name[32], version[32];
    char ids[PEER_IDS_MAX][PEER_LINE]; /* "ID\0REMARK" */
    int n;
};

static inline void peer_stop(struct peer *p)
{
    if (p->process.pid) process_end(&p->process, SIGKILL, 1);
}

/* Reads a line without its newline; < 0 when none comes. */
static inline int peer_line(struct peer *p, char *line)
{
    return process_line(&p->process, line, PEER_LINE, PEER_PATIENCE_SECONDS, NULL) == 1 ? 0 : -1;
}

/* Starts the program and reads what it can do; < 0 when it does not speak as above. */
static inline int peer_start(struct peer *p)
{
    const char *argv[] = {p->path, NULL};
    char line[PEER_LINE];

    p->n = 0;
    if (process_start(&p->process, p->path, argv, -1)) return -1;
    if (peer_line(p, line) < 0 || sscanf(line, "%31s %31s", p->name, p->version) != 2) {
        peer_stop(p);
        return -1;
    }
    while (p->n < PEER_IDS_MAX) {
        if (peer_line(p, line) < 0) break;
        if (!line[0]) return 0;
        memcpy(p->ids[p->n], line, sizeof line);
        char *space = strchr(p->ids[p->n], ' ');
        if (!space) break;
        *space = 0;
        p->n++;
    }
    peer_stop(p);
    return -1;
}

/* The remark of an id, or NULL if the peer cannot do it. */
static inline const char *peer_remark(const struct peer *p, const char *id)
{
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->ids[i], id)) return p->ids[i] + strlen(id) + 1;
    return NULL;
}

/* Has it done; with 'fresh' by a process that has done nothing before. */
static inline double peer_run(struct peer *p, const char *id, uint64_t n, int fresh)
{
    char line[PEER_LINE], *end;

    if (fresh) peer_stop(p);
    if (!p->process.pid && peer_start(p) < 0) return -1;
    snprintf(line, sizeof line, "%s %llu", id, (unsigned long long)n);
    if (process_tell(&p->process, line) || peer_line(p, line) < 0) {
        peer_stop(p);
        return -1;
    }
    double x = strtod(line, &end);
    return end == line ? -1 : x;
}

#endif
