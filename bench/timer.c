/* SPDX-License-Identifier: MIT */
#include <arsenal/run.h>

#include "job.h"

/*
 *   timer.million       1,000,000 tasks that each sleep 1 to 1,000 ms, two workers, in a
 *                       process that has done nothing before: seconds
 *   timer.million.warm  the second million of such a process
 */

enum { MILLION = 1000000 };

static int nap(void *arg)
{
    return ars_sleep(ars_after((ars_time)(uintptr_t)arg * ARS_MILLISECOND));
}

static int naps(void)
{
    uint64_t random = 88172645463325252;
    ars_group group;

    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (int i = 0; i < MILLION && rc == 0; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        rc = ars_group_go(&group, nap, (void *)(uintptr_t)(1 + (random >> 33) % 1000), NULL);
    }
    return ars_group_wait(&group, ARS_FOREVER);
}

static int root(void *arg)
{
    struct job *job = arg;
    int rc = job_fits(MILLION) ? 0 : ARS_ENOMEM;

    for (uint64_t i = 0; i < job->size && rc == 0; i++) rc = naps();
    double began = bench_now();
    if (rc == 0) rc = naps();
    job->result = (bench_now() - began) / 1e9;
    return rc;
}

int main(int argc, char **argv)
{
    static struct job fresh = {.root = root, .workers = 2};
    static struct job warm = {.root = root, .workers = 2, .size = 1};
    const char *v = ars_version(), *two = "2 workers";
    const struct bench table[] = {
        {"timer.million", "arsenal", v, two, "s", job_run_alone, &fresh, 1, 0},
        {"timer.million.warm", "arsenal", v, two, "s", job_run_alone, &warm, 1, 0},
    };
    return bench_main(argc, argv, table, sizeof table / sizeof table[0]);
}
