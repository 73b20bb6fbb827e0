/* SPDX-License-Identifier: MIT */
/* Typed channels, tasks with arguments of their own, and select as a switch, by their short names. */
#include <arsenal/short.h>

#include "fault.h"
#include "world.h"

struct job {
    int id;
    const char *name;
};
typedef ARS_CHAN_OF(struct job) job_chan;
typedef ARS_CHAN_OF(int) ints;
typedef ARS_CHAN_OF(double) doubles;
typedef ARS_CHAN_OF(int *) pointers;

static const ars_alloc *scarce_alloc;

static int values(void *arg)
{
    (void)arg;
    job_chan jobs = {NULL};
    struct job job = {1, "one"}, got = {0, NULL};
    int rc = 7;
    CHECK_EQ(chan_make(&jobs, 4), 0);
    CHECK_EQ(sizeof jobs, sizeof(ars_chan *));
    CHECK_EQ(ars_chan_cap(jobs.chan), 4);
    CHECK_EQ(chan_send(jobs, &job, 0), 0);
    CHECK_EQ(chan_send(jobs, (&(const struct job){2, "two"}), 0), 0);
    CHECK_EQ(chan_put(jobs, {.name = "three"}), 0);
    job.id = 4;
    CHECK_EQ(chan_put(jobs, job), 0);
    CHECK_EQ(chan_recv(jobs, &got, 0), 0);
    CHECK_EQ(got.id, 1);
    CHECK_STR(got.name, "one");
    got = chan_take(jobs, &rc);
    CHECK_EQ(rc, 0);
    CHECK_EQ(got.id, 2);
    CHECK_STR(got.name, "two");
    got = chan_take_as(struct job, jobs, NULL);
    CHECK_EQ(got.id, 0);
    CHECK_STR(got.name, "three");
    CHECK_EQ(chan_take(jobs, NULL).id, 4);
    CHECK_EQ(chan_close(jobs), 0);
    CHECK_EQ(chan_close(jobs), ARS_EPIPE);
    got = chan_take(jobs, &rc); /* drained: the error, and a value of zeros */
    CHECK_EQ(rc, ARS_EPIPE);
    CHECK(got.id == 0 && got.name == NULL);
    CHECK_EQ(chan_put(jobs, job), ARS_EPIPE);
    chan_free(jobs);

    doubles numbers;
    pointers places;
    CHECK_EQ(chan_make(&numbers, 1), 0);
    CHECK_EQ(chan_make(&places, 1), 0);
    CHECK_EQ(chan_put(numbers, 3), 0); /* converted as by assignment */
    CHECK(chan_take(numbers, &rc) == 3.0);
    CHECK_EQ(chan_put(places, &rc), 0);
    CHECK(chan_take(places, NULL) == &rc);
    chan_free(numbers);
    chan_free(places);
    return 0;
}

/* The same macros on an ars_chan, and those that make channels in another way. */
static int plain(void *arg)
{
    (void)arg;
    ars_chan *chan;
    ints source, sub;
    int n = 5;
    CHECK_EQ(ars_chan_new(&chan, sizeof n, 1, NULL), 0);
    CHECK_EQ(chan_send(chan, &n, 0), 0);
    CHECK_EQ(chan_take_as(int, chan, NULL), 5);
    CHECK_EQ(chan_send(chan, &n, 0), 0);
    n = 0;
    CHECK_EQ(ARS_SELECT(0, ARS_RECV(chan, &n)), 0);
    CHECK_EQ(n, 5);
    chan_free(chan);
    CHECK_EQ(chan_make_opt(&source, 0, &(ars_chan_opt){.flags = ARS_CHAN_BROADCAST}), 0);
    CHECK_EQ(chan_subscribe(source, &sub, 3), 0);
    CHECK_EQ(ars_chan_cap(sub.chan), 3);
    CHECK_EQ(chan_put(source, 8), 0);
    CHECK_EQ(chan_take(sub, NULL), 8);
    chan_free(source);
    chan_free(sub);
    return 0;
}

static int cases(void *arg)
{
    (void)arg;
    ints in, out, none = {NULL};
    int n = 0;
    const int one = 1;
    CHECK_EQ(chan_make(&in, 1), 0);
    CHECK_EQ(chan_make(&out, 1), 0);
    CHECK_EQ(chan_put(in, 6), 0);
    int sent = 0, received = 0, closed = 0;
    for (int i = 0; i < 3; i++) {
        switch (ARS_SELECT(0, ARS_RECV(none, &n), ARS_RECV(in, &n), ARS_SEND(out, &one))) {
        case 1:
            CHECK_EQ(n, 6);
            received++;
            break;
        case 2: sent++; break;
        case ARS_ETIMEDOUT: CHECK_EQ(i, 2); break;
        default: FAIL("an unexpected case");
        }
    }
    CHECK_EQ(sent, 1);
    CHECK_EQ(received, 1);
    chan_close(in);
    switch (ARS_SELECT(0, ARS_SEND(out, &one), ARS_RECV(in, &n))) {
    case ARS_CLOSED(1): closed++; break;
    default: FAIL("an unexpected case");
    }
    CHECK_EQ(closed, 1);
    chan_free(in);
    chan_free(out);
    return 0;
}

/* ---- tasks ---- */

static int ticks;

ARS_TASK(tick)
{
    return ++ticks;
}

ARS_TASK(tock, )
{
    return ++ticks;
}

/* As large as it may be, and used after its caller's block has gone. */
ARS_TASK(add, int *sum; int a, b; char fill[ARS_ARGS_MAX - 25]; char last;)
{
    static const char zeros[ARS_ARGS_MAX - 25];
    CHECK_EQ((uintptr_t)self % 16, 0);
    CHECK_EQ(memcmp(self->fill, zeros, sizeof zeros), 0);
    CHECK_EQ(ars_yield(), 0);
    self->a += self->b; /* its own to change */
    CHECK_EQ(ars_yield(), 0);
    *self->sum += self->a + self->last;
    return 0;
}

ARS_TASK_DECLARE(odd, int n;);

ARS_TASK(even, int n;)
{
    return self->n == 0 ? 1 : odd(&(struct odd_args){.n = self->n - 1});
}

ARS_TASK_BODY(odd)
{
    return self->n == 0 ? 0 : even(&(struct even_args){.n = self->n - 1});
}

static void start_some(ars_group *group, int *sum)
{
    int a = 1;
    CHECK_EQ(go(group, add, .sum = sum, .a = a, .b = 2, .last = 3), 0);
    a = 100;
    CHECK_EQ(go(group, add, sum, a, 200), 0); /* in order; the rest is zero */
    a = 0;
}

static int tasks(void *arg)
{
    (void)arg;
    ars_group group;
    int sum = 0, result = -1;
    CHECK_EQ(sizeof(struct add_args), ARS_ARGS_MAX);
    CHECK_EQ(group_init(&group, ARS_FAIL_FAST), 0);
    start_some(&group, &sum);
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(sum, 306);
    ticks = 0;
    CHECK_EQ(group_init(&group, ARS_FAIL_FAST), 0);
    CHECK_EQ(go(&group, tick), 0);
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(group_init(&group, ARS_FAIL_FAST), 0);
    CHECK_EQ(go(&group, tick, ), 0);
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(group_init(&group, ARS_RACE), 0);
    CHECK_EQ(go_opt(&group, &(ars_task_opt){.result = &result}, tock), 0);
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 3);
    CHECK_EQ(result, 3);
    CHECK_EQ(group_init(&group, ARS_RACE), 0);
    CHECK_EQ(go(&group, even, 11), 0);
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(go(&group, even, 11), ARS_EINVAL); /* it has ended */
    return 0;
}

static int copies_of_any_size(void *arg)
{
    (void)arg;
    ars_group group;
    char args[ARS_ARGS_MAX + 1] = {0};
    CHECK_EQ(group_init(&group, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go_copy(&group, tick_ars__start, args, sizeof args, NULL), ARS_EINVAL);
    CHECK_EQ(ars_group_go_copy(&group, tick_ars__start, NULL, 0, NULL), 0);
    CHECK_EQ(ars_group_go_copy(&group, tick_ars__start, args, 1, NULL), 0);
    CHECK_EQ(ars_group_go_copy(&group, tick_ars__start, args, ARS_ARGS_MAX, NULL), 0);
    return group_wait(&group, ARS_FOREVER) == 0 ? 0 : ARS_EIO;
}

/* Many at once, each with its own arguments, on several workers. */
ARS_TASK(multiply, int a, b; ints out;)
{
    return chan_put(self->out, self->a * self->b);
}

static int many(void *arg)
{
    (void)arg;
    enum { N = 2000 };
    ars_group group;
    ints out;
    long long sum = 0, expected = 0;
    CHECK_EQ(chan_make(&out, 8), 0);
    CHECK_EQ(group_init(&group, ARS_FAIL_FAST), 0);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(go(&group, multiply, .a = i, .b = i + 1, .out = out), 0);
        expected += i * (i + 1);
    }
    for (int i = 0; i < N; i++) {
        int rc;
        sum += chan_take(out, &rc);
        CHECK_EQ(rc, 0);
    }
    CHECK_EQ(group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(sum, expected);
    chan_free(out);
    return 0;
}

static int cancelled(void *arg)
{
    (void)arg;
    ints never;
    ars_scope scope;
    int rc = 0;
    CHECK_EQ(chan_make(&never, 0), 0);
    scope_enter(&scope, ars_after(ARS_MILLISECOND));
    CHECK_EQ(chan_take(never, &rc), 0);
    CHECK_EQ(rc, ARS_ECANCELED);
    CHECK_EQ(chan_put(never, 3), ARS_ECANCELED);
    CHECK_EQ(scope_leave(&scope), ARS_ETIMEDOUT);
    chan_free(never);
    return 0;
}

/* Without memory nothing is started or made, and the arguments are still the caller's. */
static int scarce(void *arg)
{
    ars_group group;
    ints out = {NULL};
    int sum = 0, started = 0, rc;
    (void)arg;
    if ((rc = chan_make_opt(&out, 1, &(ars_chan_opt){.alloc = scarce_alloc})) < 0) {
        CHECK(out.chan == NULL);
        return rc;
    }
    if ((rc = group_init(&group, ARS_COLLECT)) == 0) {
        for (int i = 0; i < 3; i++) started += go(&group, add, .sum = &sum, .a = 1) == 0;
        rc = group_wait(&group, ARS_FOREVER);
        CHECK_EQ(rc, started == 3 ? 0 : ARS_ENOMEM);
        CHECK_EQ(sum, started);
    }
    chan_free(out);
    return rc;
}

static void scarce_body(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = world_workers()};
    scarce_alloc = alloc;
    int rc = ars_run(scarce, NULL, &config);
    CHECK(rc == 0 || rc == ARS_ENOMEM);
}

static void out_of_memory(void)
{
    CHECK(sweep_alloc("typed", scarce_body) > 0);
}

#define IN_WORLD(fn)                                                                               \
    static void run_##fn(void)                                                                     \
    {                                                                                              \
        world_run(fn, 0);                                                                          \
    }
IN_WORLD(values)
IN_WORLD(plain)
IN_WORLD(cases)
IN_WORLD(tasks)
IN_WORLD(copies_of_any_size)
IN_WORLD(many)
IN_WORLD(cancelled)

static const test_case tests[] = {
    {"values", run_values},
    {"plain channels", run_plain},
    {"select", run_cases},
    {"tasks", run_tasks},
    {"copies of any size", run_copies_of_any_size},
    {"many tasks", run_many},
    {"cancelled", run_cancelled},
    {"out of memory", out_of_memory},
};
TEST_MAIN(tests)
