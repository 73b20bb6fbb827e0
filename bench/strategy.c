/* SPDX-License-Identifier: MIT */
#include <arsenal/chan.h>
#include <arsenal/clock.h>
#include <arsenal/run.h>
#include <arsenal/wait.h>
#include <errno.h>

#include "job.h"

/*
 * Each strategy against Balanced at what it is for:
 *
 *   strategy.throughput  16 tasks that yield in turn while another waits for a
 *                        descriptor, so that each look at the I/O is a system
 *                        call: ns a yield
 *   strategy.latency     a question now and then to a worker that is otherwise
 *                        idle: ns from the question to the answer
 *   strategy.memory      10,000 tasks that have used 16 KiB of stack each and
 *                        ended: bytes still held, by task
 */

/* ---- throughput ---- */

enum { YIELDERS = 16 };

static int wait_silent(void *arg)
{
    int rc = ars_wait_fd(*(const int *)arg, ARS_FD_IN, ARS_FOREVER);
    return rc > 0 ? 0 : rc;
}

static int yield_often(void *arg)
{
    for (uint64_t i = *(uint64_t *)arg; i; i--) ars_yield();
    return 0;
}

static int yield_beside(struct job *job, ars_group *group)
{
    uint64_t rounds = job->n / YIELDERS + 1;
    int rc = 0;

    double began = bench_now();
    for (int i = 0; i < YIELDERS && rc == 0; i++)
        rc = ars_group_go(group, yield_often, &rounds, NULL);
    int ended = ars_group_wait(group, ARS_FOREVER);
    job->result = (bench_now() - began) * (double)job->n / (double)(rounds * YIELDERS);
    return rc < 0 ? rc : ended;
}

static int throughput_root(void *arg)
{
    ars_group waiter, yielders;
    int ends[2], ended = 0;

    if (pipe(ends)) return -errno;
    int rc = ars_group_init(&waiter, NULL, ARS_COLLECT);
    if (rc == 0) {
        rc = ars_group_go(&waiter, wait_silent, &ends[0], NULL);
        if (rc == 0) rc = ars_yield();
        if (rc == 0) rc = ars_group_init(&yielders, NULL, ARS_FAIL_FAST);
        if (rc == 0) rc = yield_beside(arg, &yielders);
        ars_group_cancel(&waiter, ARS_ECANCELED);
        ended = ars_group_wait(&waiter, ARS_FOREVER);
    }
    close(ends[0]);
    close(ends[1]);
    return rc < 0 || ended == ARS_ECANCELED ? rc : ended;
}

/* ---- latency ---- */

enum { PAUSE = 60000 };

struct pair {
    ars_chan *question, *answer;
};

static int answer(void *arg)
{
    const struct pair *p = arg;
    uint64_t v;
    int rc;

    while ((rc = ars_chan_recv(p->question, &v, ARS_FOREVER)) == 0)
        if ((rc = ars_chan_send(p->answer, &v, ARS_FOREVER)) < 0) break;
    return rc == ARS_EPIPE ? 0 : rc;
}

static int ask(const struct pair *p, struct job *job)
{
    uint64_t v = 0;
    double spent = 0;
    int rc = 0;

    for (uint64_t i = job->n; i && rc == 0; i--) {
        double asked = bench_now() + PAUSE;
        while (bench_now() < asked) bench_use(v);
        asked = bench_now();
        rc = ars_chan_send(p->question, &v, ARS_FOREVER);
        if (rc == 0) rc = ars_chan_recv(p->answer, &v, ARS_FOREVER);
        spent += bench_now() - asked;
    }
    job->result = spent;
    return rc;
}

static int latency_root(void *arg)
{
    const ars_task_opt other = {.home = 2};
    struct pair p = {NULL, NULL};
    ars_group group;

    int rc = ars_chan_new(&p.question, sizeof(uint64_t), 0, NULL);
    if (rc == 0) rc = ars_chan_new(&p.answer, sizeof(uint64_t), 0, NULL);
    if (rc == 0) rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc == 0) {
        rc = ars_group_go(&group, answer, &p, &other);
        if (rc == 0) rc = ask(&p, arg);
        ars_chan_close(p.question);
        int ended = ars_group_wait(&group, ARS_FOREVER);
        if (rc == 0) rc = ended;
    }
    ars_chan_free(p.question);
    ars_chan_free(p.answer);
    return rc;
}

/* ---- memory ---- */

enum { DEEP = 10000, DEPTH = 16384 };

static int deep; /* all on one worker */

static int go_deep(void *arg)
{
    volatile char used[DEPTH];
    for (int i = 0; i < DEPTH; i += 1024) used[i] = 1;
    bench_use(used);
    deep++;
    return ars_chan_recv(arg, NULL, ARS_FOREVER) == ARS_EPIPE ? 0 : ARS_EINVAL;
}

static int memory_root(void *arg)
{
    struct job *job = arg;
    double before = job_memory();
    ars_group group;
    ars_chan *gate;

    int rc = ars_chan_new(&gate, 0, 0, NULL);
    if (rc < 0) return rc;
    rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc == 0) {
        for (int i = 0; i < DEEP && rc == 0; i++) rc = ars_group_go(&group, go_deep, gate, NULL);
        while (rc == 0 && deep < DEEP) rc = ars_sleep(ars_after(ARS_MILLISECOND));
        ars_chan_close(gate);
        int ended = ars_group_wait(&group, ARS_FOREVER);
        if (rc == 0) rc = ended;
    }
    job->result = (job_memory() - before) / DEEP;
    ars_chan_free(gate);
    return rc;
}

int main(int argc, char **argv)
{
#define JOB(name, fn, n, kind)                                                                     \
    static struct job name = {.root = fn, .workers = n, .strategy = kind};                         \
    static struct job name##_balanced = {.root = fn, .workers = n, .strategy = ARS_BALANCED}
    JOB(throughput, throughput_root, 1, ARS_THROUGHPUT);
    JOB(latency, latency_root, 2, ARS_LATENCY);
    JOB(memory, memory_root, 1, ARS_MINIMAL_MEMORY);
    const char *v = ars_version(), *balanced = "arsenal:balanced", *bytes = "bytes";
    const struct bench table[] = {
        {"strategy.throughput", "arsenal", v, "Throughput", NULL, job_run, &throughput, 0, 0},
        {"strategy.throughput", balanced, v, "Balanced", NULL, job_run, &throughput_balanced, 0, 0},
        {"strategy.latency", "arsenal", v, "Latency", NULL, job_run, &latency, 0, 0},
        {"strategy.latency", balanced, v, "Balanced", NULL, job_run, &latency_balanced, 0, 0},
        {"strategy.memory", "arsenal", v, "MinimalMemory", bytes, job_run_alone, &memory, 1, 0},
        {"strategy.memory", balanced, v, "Balanced", bytes, job_run_alone, &memory_balanced, 1, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof table[0]);
}
