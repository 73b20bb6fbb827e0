/* SPDX-License-Identifier: MIT */
#include <arsenal/run.h>
#include <arsenal/task.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/*
 *   task.yield2       two tasks that yield to each other: ns a yield
 *   task.spawn        start, run and wait for a task, one at a time: ns each
 *   task.parked.100k  100,000 parked tasks: bytes of memory a task, page tables included
 *   task.parked       the same with 1,000,000
 */

struct job {
    uint64_t n;
    double result;
};

static int yield_often(void *arg)
{
    for (uint64_t i = *(uint64_t *)arg; i; i--) ars_yield();
    return 0;
}

static int yield2_root(void *arg)
{
    struct job *job = arg;
    uint64_t half = job->n / 2 + 1;
    ars_group group;

    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    double began = bench_now();
    ars_group_go(&group, yield_often, &half, NULL);
    ars_group_go(&group, yield_often, &half, NULL);
    rc = ars_group_wait(&group, ARS_FOREVER);
    job->result = (bench_now() - began) * (double)job->n / (double)(2 * half);
    return rc;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawn_root(void *arg)
{
    struct job *job = arg;
    ars_group group;
    double began = bench_now();

    for (uint64_t i = 0; i < job->n; i++) {
        int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
        if (rc == 0) rc = ars_group_go(&group, nothing, NULL, NULL);
        if (rc == 0) rc = ars_group_wait(&group, ARS_FOREVER);
        if (rc < 0) return rc;
    }
    job->result = bench_now() - began;
    return 0;
}

static double run_job(uint64_t n, void *root)
{
    struct job job = {n, -1};
    ars_fn *const *fn = root;
    return ars_run(*fn, &job, NULL) < 0 ? -1 : job.result;
}

/* Private memory and page tables of this process, in bytes. */
static double memory_now(void)
{
    static const char *const keys[] = {"Private_Clean:", "Private_Dirty:", "VmPTE:"};
    static const char *const files[] = {"/proc/self/smaps_rollup", "/proc/self/status"};
    char line[256];
    double bytes = 0;

    for (int f = 0; f < 2; f++) {
        FILE *in = fopen(files[f], "r");
        while (in && fgets(line, sizeof line, in))
            for (int k = 0; k < 3; k++)
                if (!strncmp(line, keys[k], strlen(keys[k])))
                    bytes += strtod(line + strlen(keys[k]), NULL) * 1024;
        if (in) fclose(in);
    }
    return bytes;
}

static double memory_available(void)
{
    char line[256];
    double bytes = 0;
    FILE *in = fopen("/proc/meminfo", "r");

    while (in && fgets(line, sizeof line, in))
        if (!strncmp(line, "MemAvailable:", 13)) bytes = strtod(line + 13, NULL) * 1024;
    if (in) fclose(in);
    return bytes;
}

static int park(void *arg)
{
    (void)arg;
    return ars_sleep(ARS_FOREVER);
}

static int parked_root(void *arg)
{
    struct job *job = arg;
    ars_group group;
    double before = memory_now();

    int rc = ars_group_init(&group, NULL, ARS_COLLECT);
    for (uint64_t i = 0; i < job->n && rc == 0; i++) rc = ars_group_go(&group, park, NULL, NULL);
    /* Behind all of them in the queue: when it is our turn, each has parked. */
    if (rc == 0) rc = ars_yield();
    job->result = rc < 0 ? -1 : (memory_now() - before) / (double)job->n;
    ars_group_cancel(&group, ARS_ECANCELED);
    int ended = ars_group_wait(&group, ARS_FOREVER);
    return rc < 0 ? rc : ended == ARS_ECANCELED ? 0 : ended;
}

/* In a process of its own, where no memory of an earlier run can be used again. */
static double parked(uint64_t n, void *arg)
{
    struct job job = {*(const uint64_t *)arg, -1};
    int ends[2], status = -1;

    (void)n;
    if (memory_available() < (double)job.n * 8192 || pipe(ends)) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        int rc = ars_run(parked_root, &job, NULL);
        ssize_t told = write(ends[1], &job.result, sizeof job.result);
        _exit(rc < 0 || told != sizeof job.result);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], &job.result, sizeof job.result) != sizeof job.result)
        job.result = -1;
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status) return -1;
    return job.result;
}

#ifdef PEER_BOOST
/* Boost.Context with pooled stacks (peers/boost_spawn.cc): a coroutine, without a scheduler. */
extern const char boost_spawn_version[];
double boost_spawn(uint64_t n, void *arg);
#endif

int main(int argc, char **argv)
{
    static ars_fn *const yield2 = yield2_root, *const spawn = spawn_root;
    static const uint64_t some = 100000, many = 1000000;
    const char *v = ars_version();
    const struct bench table[] = {
        {"task.yield2", "arsenal", v, "1 worker", NULL, run_job, (void *)&yield2, 0, 0},
        {"task.spawn", "arsenal", v, "1 worker, one live", NULL, run_job, (void *)&spawn, 0, 0},
#ifdef PEER_BOOST
        {"task.spawn", "boost.context", boost_spawn_version, "continuation, pooled stacks", NULL,
         boost_spawn, NULL, 0, 0},
#endif
        {"task.parked.100k", "arsenal", v, "guarded, in a sleep", "bytes", parked, (void *)&some, 1,
         0},
        {"task.parked", "arsenal", v, "guarded, in a sleep", "bytes", parked, (void *)&many, 1, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof table[0]);
}
