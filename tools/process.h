/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_PROCESS_H
#define TOOLS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Programs that another program runs, watches and measures.  They die with it:
 * however the parent ends, the kernel kills them.
 */

struct process {
    const char *name;
    pid_t pid;   /* 0: not running */
    int status;  /* as waitpid() gives it, once it has ended */
    int in, out; /* to its stdin and from its stdout */
    size_t buffered;
    char buffer[2048];
};

/*
 * Starts argv[0], pinned to 'cpu' unless that is negative.  Its stderr is
 * ours.  Returns 0, or -1 and has said why on stderr.
 */
int process_start(struct process *p, const char *name, const char *const *argv, int cpu);

/*
 * Reads a line of its stdout, without the newline.  Returns 1; 0 when there was
 * none for 'seconds'; -1 when there will be none, because it or 'other' (may be
 * NULL) has ended.
 */
int process_line(struct process *p, char *line, size_t size, double seconds, struct process *other);

/* Gives it a line on its stdin; 0 or -1. */
int process_tell(struct process *p, const char *line);

/* Whether it has ended; reaps it then. */
int process_ended(struct process *p);

/*
 * Sends it 'signal' (0: none) and waits for its end; after 'seconds' it is
 * killed.  Returns 0 if it ended by itself with exit code 0, else -1.
 */
int process_end(struct process *p, int signal, double seconds);

/* How it ended, in words, in static storage. */
const char *process_epitaph(const struct process *p);

/* CPU time that it has used, in ns. */
double process_cpu(pid_t pid);

/* Bytes of private memory, and of page tables; 0, or -1 where the kernel does not tell. */
int process_memory(pid_t pid, double *private_bytes, double *table_bytes);

/* The n-th CPU that this process may use, or -1. */
int process_allowed_cpu(int n);

/* The path of a program of this build: 'relative' to the folder of the running one. */
int process_path(char *path, size_t size, const char *relative);

#endif
