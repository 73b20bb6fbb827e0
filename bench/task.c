/* SPDX-License-Identifier: MIT */
#include <arsenal/chan.h>
#include <arsenal/run.h>

#include "job.h"
#include "limits/bare.h"

/*
 *   task.yield2       two tasks that yield to each other: ns a yield
 *   task.yield10k     10,000 tasks that yield in turn: ns a yield
 *   task.spawn        start, run and wait for a task, one at a time: ns each
 *   task.spawn10k     start 10,000 tasks, then wait for all: ns each
 *   task.skynet       a tree of tasks, each with ten children, a million leaves:
 *                     ms to sum the leaves' numbers, by results and joins
 *   task.skynet.chan  the same by one unbuffered channel a node
 *   task.parked.100k  100,000 parked tasks: bytes of memory a task, page tables included
 *   task.parked       the same with 1,000,000
 *
 * ID.w2 is the same on two workers.
 */

enum { MANY = 10000 };

/* ---- yields ---- */

static int yield_often(void *arg)
{
    for (uint64_t i = *(uint64_t *)arg; i; i--) ars_yield();
    return 0;
}

static int yield_batch(uint64_t tasks, uint64_t rounds)
{
    ars_group group;
    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (uint64_t i = 0; i < tasks && rc == 0; i++)
        rc = ars_group_go(&group, yield_often, &rounds, NULL);
    return ars_group_wait(&group, ARS_FOREVER);
}

static int yield_root(void *arg)
{
    struct job *job = arg;
    uint64_t rounds = job->n / job->size + 1;

    if (job->size == MANY && rounds < 100) rounds = 100;
    /* The first touch of a stack is not what is measured. */
    int rc = yield_batch(job->size, 1);
    double began = bench_now();
    if (rc == 0) rc = yield_batch(job->size, rounds);
    job->result = (bench_now() - began) * (double)job->n / (double)(job->size * rounds);
    return rc;
}

#if defined(__x86_64__)

static uint64_t bare_left;

/* Switches to the next stack, until all have done their rounds. */
static void bare_yields(void)
{
    struct bare *self = &bare_flow[0];
    self += bare_left; /* while they are started: whose turn it is */
    struct bare *next = self == &bare_flow[MANY - 1] ? &bare_flow[0] : self + 1;
    bare_go(self, &bare_main);
    for (;;) {
        if (self == &bare_flow[0] && bare_left-- == 0) bare_go(self, &bare_main);
        bare_go(self, next);
    }
}

static double bare_yield(uint64_t n, void *arg)
{
    uint64_t rounds = n / MANY + 1;

    (void)arg;
    for (bare_left = 0; bare_left < MANY; bare_left++) {
        if (bare_prepare((int)bare_left, bare_yields) < 0) return -1;
        bare_go(&bare_main, &bare_flow[bare_left]);
    }
    bare_left = rounds;
    double began = bench_now();
    bare_go(&bare_main, &bare_flow[0]);
    return (bench_now() - began) * (double)n / (double)(rounds * MANY);
}
#endif

/* ---- starts ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawn_batch(uint64_t tasks)
{
    ars_group group;
    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (uint64_t i = 0; i < tasks && rc == 0; i++) rc = ars_group_go(&group, nothing, NULL, NULL);
    return ars_group_wait(&group, ARS_FOREVER);
}

static int spawn_root(void *arg)
{
    struct job *job = arg;
    uint64_t rounds = job->n / job->size + (job->n % job->size != 0);
    int rc = spawn_batch(job->size);

    double began = bench_now();
    for (uint64_t i = 0; i < rounds && rc == 0; i++) rc = spawn_batch(job->size);
    job->result = (bench_now() - began) * (double)job->n / (double)(rounds * job->size);
    return rc;
}

/* ---- skynet ---- */

struct node {
    uint64_t num, size, sum;
    ars_chan *out; /* takes the sum; NULL: it stays in 'sum' */
};

static int skynet_node(void *arg)
{
    struct node *self = arg, child[10];
    ars_group group;

    if (self->size == 1) {
        self->sum = self->num;
        return 0;
    }
    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (uint64_t i = 0; i < 10 && rc == 0; i++) {
        child[i].num = self->num + i * (self->size / 10);
        child[i].size = self->size / 10;
        rc = ars_group_go(&group, skynet_node, &child[i], NULL);
    }
    rc = ars_group_wait(&group, ARS_FOREVER);
    self->sum = 0;
    for (int i = 0; i < 10 && rc == 0; i++) self->sum += child[i].sum;
    return rc;
}

static int skynet_chan_node(void *arg)
{
    struct node *self = arg, child[10];
    ars_group group;
    ars_chan *in;
    uint64_t sum = 0, v;

    if (self->size == 1) return ars_chan_send(self->out, &self->num, ARS_FOREVER);
    int rc = ars_chan_new(&in, sizeof(uint64_t), 0, NULL);
    if (rc < 0) return rc;
    rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) goto freed;
    for (uint64_t i = 0; i < 10 && rc == 0; i++) {
        child[i].num = self->num + i * (self->size / 10);
        child[i].size = self->size / 10;
        child[i].out = in;
        rc = ars_group_go(&group, skynet_chan_node, &child[i], NULL);
    }
    for (int i = 0; i < 10 && rc == 0; i++) {
        rc = ars_chan_recv(in, &v, ARS_FOREVER);
        sum += v;
    }
    if (rc < 0) ars_group_cancel(&group, rc);
    rc = ars_group_wait(&group, ARS_FOREVER);
    if (rc == 0) rc = ars_chan_send(self->out, &sum, ARS_FOREVER);
freed:
    ars_chan_free(in);
    return rc;
}

enum { LEAVES = 1000000 };

static int skynet_root(void *arg)
{
    struct job *job = arg;
    int rc = 0;

    double began = bench_now();
    for (uint64_t i = job->n; i && rc == 0; i--) {
        struct node top = {0, LEAVES, 0, NULL};
        rc = skynet_node(&top);
        if (rc == 0 && top.sum != 499999500000) rc = ARS_EINVAL;
    }
    job->result = bench_now() - began;
    return rc;
}

static int skynet_chan_root(void *arg)
{
    struct job *job = arg;
    struct node top = {0, LEAVES, 0, NULL};
    ars_group group;
    uint64_t sum = 0;
    int rc = ars_chan_new(&top.out, sizeof(uint64_t), 0, NULL);

    double began = bench_now();
    for (uint64_t i = job->n; i && rc == 0; i--) {
        rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
        if (rc < 0) break;
        ars_group_go(&group, skynet_chan_node, &top, NULL);
        rc = ars_chan_recv(top.out, &sum, ARS_FOREVER);
        int ended = ars_group_wait(&group, ARS_FOREVER);
        if (rc == 0) rc = ended;
        if (rc == 0 && sum != 499999500000) rc = ARS_EINVAL;
    }
    job->result = bench_now() - began;
    ars_chan_free(top.out);
    return rc;
}

/* ---- parked ---- */

static uint64_t parking; /* all on one worker */

static int park(void *arg)
{
    (void)arg;
    parking++;
    return ars_sleep(ARS_FOREVER);
}

static int parked_root(void *arg)
{
    struct job *job = arg;
    ars_group group;
    double before = job_memory();

    if (!job_fits(job->size)) return ARS_ENOMEM;
    int rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    for (uint64_t i = 0; i < job->size && rc == 0; i++) rc = ars_group_go(&group, park, NULL, NULL);
    while (rc == 0 && parking < job->size) rc = ars_sleep(ars_after(ARS_MILLISECOND));
    job->result = rc < 0 ? -1 : (job_memory() - before) / (double)job->size;
    ars_group_cancel(&group, ARS_ECANCELED);
    int ended = ars_group_wait(&group, ARS_FOREVER);
    return rc < 0 ? rc : ended == ARS_ECANCELED ? 0 : ended;
}

#ifdef PEER_BOOST
/* Boost.Context with pooled stacks (peers/boost_spawn.cc): a coroutine, without a scheduler. */
extern const char boost_spawn_version[];
double boost_spawn(uint64_t n, void *arg);
#endif

int main(int argc, char **argv)
{
    static struct job yield2 = {.root = yield_root, .workers = 1, .size = 2};
    static struct job yield10k = {.root = yield_root, .workers = 1, .size = MANY};
    static struct job spawn[] = {{.root = spawn_root, .workers = 1, .size = 1},
                                 {.root = spawn_root, .workers = 2, .size = 1}};
    static struct job spawn10k[] = {{.root = spawn_root, .workers = 1, .size = MANY},
                                    {.root = spawn_root, .workers = 2, .size = MANY}};
    static struct job skynet[] = {{.root = skynet_root, .workers = 1},
                                  {.root = skynet_root, .workers = 2}};
    static struct job chan[] = {{.root = skynet_chan_root, .workers = 1},
                                {.root = skynet_chan_root, .workers = 2}};
    static struct job parked[] = {{.root = parked_root, .workers = 1, .size = 100000},
                                  {.root = parked_root, .workers = 1, .size = 1000000}};
    const char *v = ars_version(), *ms = "ms", *bytes = "bytes";
    const char *one = "1 worker", *two = "2 workers", *guarded = "guarded, in a sleep";
    const struct bench table[] = {
        {"task.yield2", "arsenal", v, one, NULL, job_run, &yield2, 0, 0},
        {"task.yield10k", "arsenal", v, one, NULL, job_run, &yield10k, 0, 0},
#if defined(__x86_64__)
        {"task.yield10k", "limit:bare", NULL, "no scheduler", NULL, bare_yield, NULL, 0, 0},
#endif
        {"task.spawn", "arsenal", v, one, NULL, job_run, &spawn[0], 0, 0},
#ifdef PEER_BOOST
        {"task.spawn", "boost.context", boost_spawn_version, "continuation, pooled stacks", NULL,
         boost_spawn, NULL, 0, 0},
#endif
        {"task.spawn.w2", "arsenal", v, two, NULL, job_run, &spawn[1], 0, 0},
        {"task.spawn10k", "arsenal", v, one, NULL, job_run, &spawn10k[0], 0, 0},
        {"task.spawn10k.w2", "arsenal", v, two, NULL, job_run, &spawn10k[1], 0, 0},
        {"task.skynet", "arsenal", v, one, ms, job_run, &skynet[0], 0, 0},
        {"task.skynet.w2", "arsenal", v, two, ms, job_run, &skynet[1], 0, 0},
        {"task.skynet.chan", "arsenal", v, one, ms, job_run, &chan[0], 0, 0},
        {"task.skynet.chan.w2", "arsenal", v, two, ms, job_run, &chan[1], 0, 0},
        {"task.parked.100k", "arsenal", v, guarded, bytes, job_run_alone, &parked[0], 1, 0},
        {"task.parked", "arsenal", v, guarded, bytes, job_run_alone, &parked[1], 1, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof table[0]);
}
