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

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PEER_IDS_MAX = 64, PEER_LINE = 160, PEER_PATIENCE_MS = 120000 };

struct peer {
    const char *path;
    pid_t pid; /* 0: not running */
    int to, from;
    char name[32], version[32];
    char ids[PEER_IDS_MAX][PEER_LINE]; /* "ID\0REMARK" */
    int n;
};

static inline void peer_stop(struct peer *p)
{
    if (!p->pid) return;
    close(p->to);
    close(p->from);
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

/* Reads a line without its newline; < 0 when none comes. */
static inline int peer_line(struct peer *p, char *line, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        struct pollfd ready = {p->from, POLLIN, 0};
        if (poll(&ready, 1, PEER_PATIENCE_MS) != 1 || read(p->from, &line[n], 1) != 1) return -1;
        if (line[n] != '\n') continue;
        line[n] = 0;
        return 0;
    }
    return -1;
}

/* A pipe that no other process keeps open. */
static inline int peer_pipe(int ends[2])
{
    if (pipe(ends)) return -1;
    for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    return 0;
}

static inline int peer_spawn(struct peer *p)
{
    extern char **environ;
    char *argv[] = {(char *)p->path, NULL};
    int in[2], out[2];
    posix_spawn_file_actions_t files;

    if (peer_pipe(in)) return -1;
    if (peer_pipe(out)) {
        close(in[0]);
        close(in[1]);
        return -1;
    }
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    int rc = posix_spawn(&p->pid, p->path, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(in[0]);
    close(out[1]);
    p->to = in[1];
    p->from = out[0];
    if (rc == 0) return 0;
    close(p->to);
    close(p->from);
    p->pid = 0;
    return -1;
}

/* Starts the program and reads what it can do; < 0 when it does not speak as above. */
static inline int peer_start(struct peer *p)
{
    char line[PEER_LINE];

    signal(SIGPIPE, SIG_IGN);
    p->n = 0;
    if (peer_spawn(p) < 0) return -1;
    if (peer_line(p, line, sizeof line) < 0 ||
        sscanf(line, "%31s %31s", p->name, p->version) != 2) {
        peer_stop(p);
        return -1;
    }
    while (p->n < PEER_IDS_MAX) {
        if (peer_line(p, line, sizeof line) < 0) break;
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
    if (!p->pid && peer_start(p) < 0) return -1;
    int len = snprintf(line, sizeof line, "%s %llu\n", id, (unsigned long long)n);
    if (write(p->to, line, (size_t)len) != len || peer_line(p, line, sizeof line) < 0) {
        peer_stop(p);
        return -1;
    }
    double x = strtod(line, &end);
    return end == line ? -1 : x;
}

#endif
