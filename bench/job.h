/* SPDX-License-Identifier: MIT */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

/*
 * What the benchmarks of tasks, channels, select and timers have in common: a
 * measurement is the root task of a runtime of its own.
 */

#include <arsenal/clock.h>
#include <arsenal/run.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

struct job {
    ars_fn *root;     /* gets the job; sets 'result', or returns an error */
    unsigned workers; /* 0: as many as there are CPUs */
    unsigned strategy;
    uint64_t size; /* what 'root' makes of it */
    uint64_t n;    /* how often to do it */
    double result; /* ns for that, or the figure */
};

/* The 'run' of a struct bench whose 'arg' is a job. */
static inline double job_run(uint64_t n, void *arg)
{
    struct job job = *(const struct job *)arg;
    ars_config config;

    memset(&config, 0, sizeof config);
    config.workers = job.workers;
    config.strategy = job.strategy;
    job.n = n;
    job.result = -1;
    return ars_run(job.root, &job, &config) < 0 ? -1 : job.result;
}

/* The same in a process of its own, where no memory of an earlier run can be used again. */
static inline double job_run_alone(uint64_t n, void *arg)
{
    double result = -1;
    int ends[2], status = -1;

    if (pipe(ends)) return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        result = job_run(n, arg);
        _exit(write(ends[1], &result, sizeof result) != sizeof result);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], &result, sizeof result) != sizeof result) result = -1;
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status) return -1;
    return result;
}

/* What a line "KEY: N kB" of a file under /proc says, summed over the keys, in bytes. */
static inline double job_proc_sum(const char *path, const char *const *keys)
{
    char line[256];
    double bytes = 0;
    FILE *in = fopen(path, "r");

    while (in && fgets(line, sizeof line, in))
        for (int k = 0; keys[k]; k++)
            if (!strncmp(line, keys[k], strlen(keys[k])))
                bytes += strtod(line + strlen(keys[k]), NULL) * 1024;
    if (in) fclose(in);
    return bytes;
}

/* Private memory and page tables of this process, in bytes. */
static inline double job_memory(void)
{
    static const char *const private[] = {"Private_Clean:", "Private_Dirty:", NULL};
    static const char *const tables[] = {"VmPTE:", NULL};
    return job_proc_sum("/proc/self/smaps_rollup", private) +
           job_proc_sum("/proc/self/status", tables);
}

/* Whether the machine has memory for 'n' tasks with a stack each. */
static inline int job_fits(uint64_t n)
{
    static const char *const available[] = {"MemAvailable:", NULL};
    return job_proc_sum("/proc/meminfo", available) >= (double)n * 8192;
}

/* CPU time of this process, in seconds. */
static inline double job_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
