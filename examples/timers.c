/* SPDX-License-Identifier: MIT */
#include <arsenal/clock.h>
#include <arsenal/group.h>
#include <arsenal/run.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A million timers: as many tasks sleep until a point in time within a second
 * that begins when all have been started, and note how late they woke.  Each takes its control block and the one page
 * of its stack that it touches, about 4.5 KiB with page tables.
 */
static struct timers {
    long n;
    ars_time begun, *late; /* when the timer is due, then how late it was */
} timers;

static int wait_for_it(void *late)
{
    ars_time due = *(ars_time *)late;
    int rc = ars_sleep(due);
    *(ars_time *)late = ars_now() - due;
    return rc;
}

static int root(void *arg)
{
    ars_group group;
    (void)arg;

    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    timers.begun = ars_now();
    ars_time first = timers.begun + 2 * ARS_MICROSECOND * timers.n;
    uint64_t random = (uint64_t)timers.begun | 1;
    for (long i = 0; i < timers.n && rc == 0; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        timers.late[i] = first + (ars_time)(random >> 33) % ARS_SECOND;
        rc = ars_group_go(&group, wait_for_it, &timers.late[i], NULL);
    }
    int waited = ars_group_wait(&group, ARS_FOREVER);
    return rc < 0 ? rc : waited;
}

static int by_value(const void *a, const void *b)
{
    ars_time one = *(const ars_time *)a, other = *(const ars_time *)b;
    return (one > other) - (one < other);
}

int main(int argc, char **argv)
{
    timers.n = argc > 1 ? atol(argv[1]) : 1000000;
    timers.late = timers.n > 0 ? calloc((size_t)timers.n, sizeof *timers.late) : NULL;
    if (!timers.late) {
        fprintf(stderr, "usage: timers [N], N > 0\n");
        return 2;
    }
    int rc = ars_run(root, NULL, NULL);
    if (rc < 0) {
        fprintf(stderr, "timers: %s\n", ars_strerror(rc));
        return 1;
    }
    double seconds = (double)(ars_now() - timers.begun) / 1e9;
    qsort(timers.late, (size_t)timers.n, sizeof *timers.late, by_value);
    printf("%ld timers in %.2f s; late by %.3f ms (half of them), %.3f ms (99 of 100)\n", timers.n,
           seconds, (double)timers.late[timers.n / 2] / 1e6,
           (double)timers.late[timers.n * 99 / 100] / 1e6);
    free(timers.late);
    return 0;
}
