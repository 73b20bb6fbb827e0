/* SPDX-License-Identifier: MIT */
#include <arsenal/chan.h>
#include <arsenal/run.h>

#include "job.h"

/*
 *   chan.pingpong        there and back by two unbuffered channels, one worker: ns a round trip
 *   chan.pingpong2       the same between two workers
 *   chan.buffered        one producer, one consumer, capacity 128, one worker: ns a message
 *   chan.buffered2       the same between two workers
 *   chan.buffered2.spsc  the same over a channel declared to have one of each
 *   chan.sieve           a chain of filters that finds the first 2,000 primes: CPU seconds
 *   chan.sieve.w2        the same on two workers, wherever the filters go
 */

/* The second worker; with one worker there is none. */
static ars_task_opt other_worker(const struct job *job)
{
    ars_task_opt opt;
    memset(&opt, 0, sizeof opt);
    if (job->workers == 2) opt.home = 2;
    return opt;
}

/* ---- ping-pong ---- */

struct pair {
    ars_chan *there, *back;
};

static int echo(void *arg)
{
    const struct pair *p = arg;
    uint64_t v;
    int rc;

    while ((rc = ars_chan_recv(p->there, &v, ARS_FOREVER)) == 0) {
        v++;
        rc = ars_chan_send(p->back, &v, ARS_FOREVER);
        if (rc < 0) return rc;
    }
    return rc == ARS_EPIPE ? 0 : rc;
}

static int ask(const struct pair *p, struct job *job)
{
    uint64_t v = 0;
    int rc = 0;

    double began = bench_now();
    for (uint64_t i = job->n; i && rc == 0; i--) {
        ars_chan_send(p->there, &v, ARS_FOREVER);
        rc = ars_chan_recv(p->back, &v, ARS_FOREVER);
    }
    job->result = bench_now() - began;
    return rc < 0 ? rc : v == job->n ? 0 : ARS_EINVAL;
}

static int pingpong_root(void *arg)
{
    struct job *job = arg;
    const ars_task_opt opt = other_worker(job);
    struct pair p = {NULL, NULL};
    ars_group group;

    int rc = ars_chan_new(&p.there, sizeof(uint64_t), 0, NULL);
    if (rc == 0) rc = ars_chan_new(&p.back, sizeof(uint64_t), 0, NULL);
    if (rc == 0) rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc == 0) {
        rc = ars_group_go(&group, echo, &p, &opt);
        if (rc == 0) rc = ask(&p, job);
        ars_chan_close(p.there);
        int ended = ars_group_wait(&group, ARS_FOREVER);
        if (rc == 0) rc = ended;
    }
    ars_chan_free(p.there);
    ars_chan_free(p.back);
    return rc;
}

/* ---- buffered ---- */

struct stream {
    ars_chan *chan;
    uint64_t n;
};

static int produce(void *arg)
{
    const struct stream *s = arg;
    int rc = 0;

    for (uint64_t i = 0; i < s->n && rc == 0; i++) rc = ars_chan_send(s->chan, &i, ARS_FOREVER);
    ars_chan_close(s->chan);
    return rc;
}

static int consume(struct stream *s, struct job *job)
{
    uint64_t v, sum = 0;
    int rc;

    double began = bench_now();
    while ((rc = ars_chan_recv(s->chan, &v, ARS_FOREVER)) == 0) sum += v;
    job->result = bench_now() - began;
    return rc != ARS_EPIPE ? rc : sum == job->n * (job->n - 1) / 2 ? 0 : ARS_EINVAL;
}

static int buffered_root(void *arg)
{
    struct job *job = arg;
    const ars_chan_opt shape = {.flags = (unsigned)job->size};
    const ars_task_opt opt = other_worker(job);
    struct stream s = {NULL, job->n};
    ars_group group;

    int rc = ars_chan_new(&s.chan, sizeof(uint64_t), 128, &shape);
    if (rc == 0) rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc == 0) {
        rc = ars_group_go(&group, produce, &s, &opt);
        if (rc == 0) rc = consume(&s, job);
        int ended = ars_group_wait(&group, ARS_FOREVER);
        if (rc == 0) rc = ended;
    }
    ars_chan_free(s.chan);
    return rc;
}

/* ---- the sieve ---- */

enum { PRIMES = 2000 };

struct filter {
    ars_chan *in, *out;
    uint64_t prime;
};

static int count_up(void *arg)
{
    const struct filter *f = arg;
    int rc = 0;
    for (uint64_t i = 2; rc == 0; i++) rc = ars_chan_send(f->out, &i, ARS_FOREVER);
    return rc;
}

static int filter(void *arg)
{
    const struct filter *f = arg;
    uint64_t v;
    int rc;

    while ((rc = ars_chan_recv(f->in, &v, ARS_FOREVER)) == 0)
        if (v % f->prime && (rc = ars_chan_send(f->out, &v, ARS_FOREVER)) < 0) break;
    return rc;
}

static int sieve(ars_group *group, struct filter *f)
{
    int rc = ars_chan_new(&f[0].out, sizeof(uint64_t), 0, NULL);
    if (rc == 0) rc = ars_group_go(group, count_up, &f[0], NULL);
    for (int i = 1; i <= PRIMES && rc == 0; i++) {
        f[i].in = f[i - 1].out;
        rc = ars_chan_recv(f[i].in, &f[i].prime, ARS_FOREVER);
        if (rc == 0) rc = ars_chan_new(&f[i].out, sizeof(uint64_t), 0, NULL);
        if (rc == 0) rc = ars_group_go(group, filter, &f[i], NULL);
    }
    return rc;
}

static int sieve_root(void *arg)
{
    static struct filter filters[PRIMES + 1];
    struct job *job = arg;
    ars_group group;

    memset(filters, 0, sizeof filters);
    int rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    double began = job_cpu();
    rc = sieve(&group, filters);
    job->result = job_cpu() - began;
    ars_group_cancel(&group, ARS_ECANCELED);
    int ended = ars_group_wait(&group, ARS_FOREVER);
    for (int i = 0; i <= PRIMES; i++) ars_chan_free(filters[i].out);
    if (rc < 0 || ended != ARS_ECANCELED) return rc < 0 ? rc : ARS_EINVAL;
    return filters[PRIMES].prime == 17389 ? 0 : ARS_EINVAL;
}

int main(int argc, char **argv)
{
    static struct job pingpong[] = {{.root = pingpong_root, .workers = 1},
                                    {.root = pingpong_root, .workers = 2}};
    static struct job buffered[] = {{.root = buffered_root, .workers = 1},
                                    {.root = buffered_root, .workers = 2}};
    static struct job spsc = {.root = buffered_root, .workers = 2, .size = ARS_CHAN_SPSC};
    static struct job primes[] = {{.root = sieve_root, .workers = 1},
                                  {.root = sieve_root, .workers = 2}};
    const char *v = ars_version(), *one = "1 worker", *two = "2 workers", *each = "a worker each";
    const struct bench table[] = {
        {"chan.pingpong", "arsenal", v, one, NULL, job_run, &pingpong[0], 0, 0},
        {"chan.pingpong2", "arsenal", v, each, NULL, job_run, &pingpong[1], 0, 0},
        {"chan.buffered", "arsenal", v, one, NULL, job_run, &buffered[0], 0, 0},
        {"chan.buffered2", "arsenal", v, each, NULL, job_run, &buffered[1], 0, 0},
        {"chan.buffered2.spsc", "arsenal", v, each, NULL, job_run, &spsc, 0, 0},
        {"chan.sieve", "arsenal", v, one, "s", job_run, &primes[0], 1, 0},
        {"chan.sieve.w2", "arsenal", v, two, "s", job_run, &primes[1], 1, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof table[0]);
}
