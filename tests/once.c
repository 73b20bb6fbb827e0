/* SPDX-License-Identifier: MIT */
/* Once: exactly one success, whoever runs it, and failures passed on. */
#include <arsenal/once.h>

#include "locks.h"

enum { OOPS = -1000 };

typedef struct job {
    ars_once once;
    ars_atomic_u32 running; /* at the same time */
    int failures;           /* still to come; guarded by the once */
    int runs, succeeded;
    int value;
    ars_time span;
    ars_atomic_u32 hold; /* works until this is 0 */
} job;

static int works(void *arg)
{
    job *j = arg;
    CHECK_EQ(ars_atomic_u32_add_acq_rel(&j->running, 1), 0);
    j->runs++;
    CHECK_EQ(ars_yield(), 0);
    while (ars_atomic_u32_load_acquire(&j->hold))
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    if (j->span) CHECK_EQ(ars_sleep(ars_after(j->span)), 0);
    ars_atomic_u32_add_acq_rel(&j->running, (uint32_t)-1);
    if (j->failures > 0) {
        j->failures--;
        return OOPS;
    }
    j->succeeded++;
    j->value = 42;
    return 7;
}

/* ---- many at once ---- */

enum { JOBS = 64 };

typedef struct crowd {
    job *jobs;
    ars_atomic_u32 errors;
} crowd;

static int does_all(void *arg)
{
    crowd *all = arg;
    for (int i = 0; i < JOBS; i++) {
        job *j = &all->jobs[i];
        int rc = ars_once_do(&j->once, works, j, ARS_FOREVER);
        if (rc == OOPS) {
            ars_atomic_u32_add_relaxed(&all->errors, 1);
            continue;
        }
        CHECK_EQ(rc, 0);
        CHECK_EQ(j->value, 42);
    }
    return 0;
}

static int exactly_once(void *arg)
{
    (void)arg;
    long times = test_times(20, 5);
    for (long round = 0; round < times; round++) {
        job jobs[JOBS] = {{{0, 0, {0, 0, 0}}, {0}, 0, 0, 0, 0, 0, {0}}};
        crowd all = {.jobs = jobs};
        uint32_t failures = 0;
        crew c;
        for (int i = 0; i < JOBS; i++) failures += (uint32_t)(jobs[i].failures = i % 4);
        crew_begin(&c);
        for (int i = 0; i < 6; i++) crew_task(&c, does_all, &all);
        if (round == 0)
            for (int i = 0; i < 2; i++) crew_thread(&c, does_all, &all);
        crew_end(&c);
        CHECK_EQ(all.errors.ars__v, failures);
        for (int i = 0; i < JOBS; i++) {
            CHECK_EQ(jobs[i].succeeded, 1);
            CHECK_EQ(jobs[i].runs, 1 + i % 4);
        }
    }
    return 0;
}

/* ---- one after the other; on one worker ---- */

static int runs_it(void *arg)
{
    job *j = arg;
    return ars_once_do(&j->once, works, j, ARS_FOREVER);
}

static int does_not_wait(void *arg)
{
    job *j = arg;
    CHECK_EQ(ars_once_do(&j->once, works, j, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_once_do(&j->once, works, j, 1), ARS_ETIMEDOUT);
    ars_time deadline = ars_after(2 * ARS_MILLISECOND);
    CHECK_EQ(ars_once_do(&j->once, works, j, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    return 0;
}

static int is_cancelled(void *arg)
{
    job *j = arg;
    job other = {.value = 0};
    CHECK_EQ(ars_once_do(&j->once, works, j, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_once_do(&other.once, works, &other, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(other.runs, 0);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    job j = {.hold = {1}};
    locks_victims v;
    crew c, quitters;
    crew_begin(&c);
    crew_begin(&quitters);
    locks_victims_begin(&v);
    crew_task(&c, runs_it, &j);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(j.runs, 1);
    locks_victim(&v, is_cancelled, &j);
    crew_task(&quitters, does_not_wait, &j);
    crew_thread(&quitters, does_not_wait, &j);
    locks_settle();
    locks_victims_cancel(&v);
    crew_end(&quitters);
    CHECK_EQ(j.succeeded, 0);
    ars_atomic_u32_store_release(&j.hold, 0);
    CHECK_EQ(ars_once_do(&j.once, works, &j, ARS_FOREVER), 0);
    CHECK_EQ(j.value, 42);
    crew_end(&c);
    CHECK_EQ(j.runs, 1);
    return 0;
}

/* Done, it is no cancellation point. */
static int still_done(void *arg)
{
    job *j = arg;
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_once_do(&j->once, works, j, ARS_FOREVER), 0);
    return 0;
}

static int done_is_done(void *arg)
{
    (void)arg;
    job j = {.value = 0};
    locks_victims v;
    CHECK_EQ(ars_once_do(&j.once, works, &j, 0), 0);
    CHECK_EQ(ars_once_do(&j.once, works, &j, 0), 0);
    locks_victims_begin(&v);
    locks_victim(&v, still_done, &j);
    locks_settle();
    locks_victims_cancel(&v);
    CHECK_EQ(j.runs, 1);
    return 0;
}

/* After a failure the longest waiter is next, and the others go on waiting. */
static int passes_on(void *arg)
{
    (void)arg;
    job j = {.failures = 2, .span = ARS_MILLISECOND};
    int results[4];
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 4; i++) {
        ars_task_opt opt = {.result = &results[i]};
        CHECK_EQ(ars_group_go(&c.group, runs_it, &j, &opt), 0);
        CHECK_EQ(ars_yield(), 0);
    }
    CHECK_EQ(ars_group_wait(&c.group, ARS_FOREVER), OOPS);
    CHECK_EQ(results[0], OOPS);
    CHECK_EQ(results[1], OOPS);
    CHECK_EQ(results[2], 0);
    CHECK_EQ(results[3], 0);
    CHECK_EQ(j.runs, 3);
    return 0;
}

/* ---- misuse ---- */

static int asks_again(void *arg)
{
    job *j = arg;
    CHECK_EQ(ars_once_do(&j->once, works, j, 0), ARS_EDEADLK);
    CHECK_EQ(ars_once_do(&j->once, works, j, ARS_FOREVER), ARS_EDEADLK);
    return OOPS;
}

static int asks(void *arg)
{
    job *j = arg;
    CHECK_EQ(ars_once_do(&j->once, NULL, j, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_once_do(&j->once, asks_again, j, ARS_FOREVER), OOPS);
    return 0;
}

static int misuse(void *arg)
{
    (void)arg;
    job j = {.value = 0};
    crew c;
    crew_begin(&c);
    crew_task(&c, asks, &j);
    crew_end(&c);
    crew_begin(&c);
    crew_thread(&c, asks, &j);
    crew_end(&c);
    CHECK_EQ(ars_once_do(&j.once, works, &j, ARS_FOREVER), 0);
    return 0;
}

LOCKS_CASE_ALL(exactly_once)
LOCKS_CASE(gives_up, 1)
LOCKS_CASE(done_is_done, 1)
LOCKS_CASE(passes_on, 1)
LOCKS_CASE(misuse, 1)

static const test_case cases[] = {
    {"exactly once", case_exactly_once},
    {"gives up", case_gives_up},
    {"done is done", case_done_is_done},
    {"passes on", case_passes_on},
    {"misuse", case_misuse},
};
TEST_MAIN(cases)
