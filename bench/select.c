/* SPDX-License-Identifier: MIT */
#include <arsenal/run.h>
#include <arsenal/select.h>

#include "job.h"

/*
 *   select.2      a consumer selects among 2 unbuffered channels, each with a
 *                 producer of its own, on one worker: ns a message
 *   select.8      the same with 8
 *   select.8park  one producer sends to 8 channels in turn, so that the consumer
 *                 finds nothing ready and parks each time
 */

enum { MANY = 8 };

struct producer {
    ars_chan **chans; /* sends to these in turn */
    uint64_t channels, n;
};

static int produce(void *arg)
{
    const struct producer *p = arg;
    uint64_t one = 1, at = 0;
    int rc = 0;

    for (uint64_t i = p->n; i && rc == 0; i--) {
        rc = ars_chan_send(p->chans[at], &one, ARS_FOREVER);
        if (++at == p->channels) at = 0;
    }
    return rc;
}

static int consume(ars_chan **chans, uint64_t channels, uint64_t n)
{
    ars_case cases[MANY];
    uint64_t v = 0, sum = 0;
    int rc = 0;

    for (uint64_t i = 0; i < channels; i++) cases[i] = ARS_RECV(chans[i], &v);
    for (uint64_t i = n; i && rc >= 0; i--) {
        rc = ars_select(cases, channels, ARS_FOREVER);
        sum += v;
    }
    return rc < 0 ? rc : sum == n ? 0 : ARS_EINVAL;
}

/* Negative in 'size': one producer for all of the channels. */
static int select_root(void *arg)
{
    struct job *job = arg;
    int rotate = (int64_t)job->size < 0;
    uint64_t channels = rotate ? -job->size : job->size,
             n = job->n / channels * channels + channels;
    ars_chan *chans[MANY] = {NULL};
    struct producer producers[MANY];
    ars_group group;

    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (uint64_t i = 0; i < channels && rc == 0; i++)
        rc = ars_chan_new(&chans[i], sizeof(uint64_t), 0, NULL);
    double began = bench_now();
    for (uint64_t i = 0; i < (rotate ? 1 : channels) && rc == 0; i++) {
        producers[i].chans = &chans[i];
        producers[i].channels = rotate ? channels : 1;
        producers[i].n = rotate ? n : n / channels;
        rc = ars_group_go(&group, produce, &producers[i], NULL);
    }
    if (rc == 0) rc = consume(chans, channels, n);
    if (rc < 0) ars_group_cancel(&group, rc);
    rc = ars_group_wait(&group, ARS_FOREVER);
    job->result = (bench_now() - began) * (double)job->n / (double)n;
    for (uint64_t i = 0; i < channels; i++) ars_chan_free(chans[i]);
    return rc;
}

int main(int argc, char **argv)
{
    static struct job two = {.root = select_root, .workers = 1, .size = 2};
    static struct job eight = {.root = select_root, .workers = 1, .size = MANY};
    static struct job park = {.root = select_root, .workers = 1, .size = (uint64_t)-MANY};
    const char *v = ars_version(), *one = "1 worker";
    const struct bench table[] = {
        {"select.2", "arsenal", v, one, NULL, job_run, &two, 0, 0},
        {"select.8", "arsenal", v, one, NULL, job_run, &eight, 0, 0},
        {"select.8park", "arsenal", v, one, NULL, job_run, &park, 0, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof table[0]);
}
