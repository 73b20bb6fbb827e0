/* SPDX-License-Identifier: MIT */
/* Blocking work: what runs and where, who owns the argument, giving up. */
#include <signal.h>
#include <sys/syscall.h>

#include "blocks.h"

/* ---- errors at entry ---- */

static int refusals(void *arg)
{
    (void)arg;
    for (int drops = 0; drops <= 1; drops++) {
        void (*drop)(void *) = drops ? count_drop : NULL;
        held h[4] = {0};
        check_refused(ars_block(NULL, &h[0], drop, ARS_FOREVER), ARS_EINVAL, &h[0], drops);
        check_refused(ars_block_in(3, count_run, &h[1], drop, ARS_FOREVER), ARS_EINVAL, &h[1],
                      drops);
        check_refused(ars_block(count_run, &h[2], drop, 0), ARS_ETIMEDOUT, &h[2], drops);
        check_refused(ars_block(count_run, &h[3], drop, ars_now()), ARS_ETIMEDOUT, &h[3], drops);
    }
    return 0;
}

static int refusals_to_threads_too(void *arg)
{
    crew c;
    CHECK_EQ(refusals(arg), 0);
    crew_begin(&c);
    crew_thread(&c, refusals, NULL);
    crew_end(&c);
    return 0;
}

static int calls_cancelled(void *arg)
{
    (void)arg;
    while (ars_cancel_reason() == 0) ars_yield();
    for (int drops = 0; drops <= 1; drops++) {
        void (*drop)(void *) = drops ? count_drop : NULL;
        held h[2] = {0};
        check_refused(ars_block(count_run, &h[0], drop, ARS_FOREVER), ARS_ECANCELED, &h[0], drops);
        check_refused(ars_block(count_run, &h[1], drop, 0), ARS_ETIMEDOUT, &h[1], drops);
    }
    return 0;
}

static int cancelled_at_entry(void *arg)
{
    (void)arg;
    locks_victims v;
    locks_victims_begin(&v);
    locks_victim(&v, calls_cancelled, NULL);
    locks_settle();
    locks_victims_cancel(&v);
    return 0;
}

/* ---- where it runs ---- */

typedef struct place {
    long thread;
    int runtime, blocked, value;
} place;

static void look(void *arg)
{
    place *p = arg;
    sigset_t set;
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    p->thread = syscall(SYS_gettid);
    p->runtime = ars_runtime_self() != NULL;
    p->blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT);
    p->value++;
}

static void drop_place(void *arg)
{
    ((place *)arg)->value = -1;
}

static int elsewhere(void *arg)
{
    (void)arg;
    long here = syscall(SYS_gettid);
    for (unsigned cls = 0; cls < 3; cls++) {
        for (int drops = 0; drops <= 1; drops++) {
            place p = {.value = 6};
            CHECK_EQ(ars_block_in(cls, look, &p, drops ? drop_place : NULL, ARS_FOREVER), 0);
            CHECK(p.thread != here && !p.runtime && p.blocked);
            CHECK_EQ(p.value, 7);
        }
    }
    return 0;
}

static void nested(void *arg)
{
    place inner = {0};
    CHECK_EQ(ars_block(look, &inner, NULL, ARS_FOREVER), 0);
    CHECK_EQ(inner.thread, syscall(SYS_gettid));
    *(int *)arg = 1;
}

static int in_place(void *arg)
{
    place p = {0};
    CHECK_EQ(ars_block(look, &p, NULL, ars_after(ARS_SECOND)), 0);
    CHECK_EQ(p.thread, syscall(SYS_gettid));
    CHECK_EQ(p.value, 1);
    (void)arg;
    return 0;
}

static int in_place_on_threads(void *arg)
{
    int done = 0;
    crew c;
    (void)arg;
    crew_begin(&c);
    crew_thread(&c, in_place, NULL);
    crew_end(&c);
    CHECK_EQ(ars_block(nested, &done, NULL, ARS_FOREVER), 0);
    CHECK_EQ(done, 1);
    return 0;
}

/* ---- giving up; the default class has one thread ---- */

static int queued_gives_up(void *arg)
{
    (void)arg;
    held first = {0};
    attempt before = {&first, NULL, 0, 0, {0}};
    crew c;
    crew_begin(&c);
    crew_task(&c, attempts, &before);
    until(&first.begun, 1);
    for (int how = 0; how < 4; how++) {
        int drops = how & 1, cancels = how & 2;
        held h = {0};
        ars_event_set(&h.go);
        attempt a = {&h,
                     drops ? count_drop : NULL,
                     cancels ? 0 : ARS_MILLISECOND,
                     cancels ? ARS_ECANCELED : ARS_ETIMEDOUT,
                     {0}};
        locks_victims v;
        locks_victims_begin(&v);
        locks_victim(&v, attempts, &a);
        if (cancels) {
            CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
            locks_victims_cancel(&v);
        } else {
            CHECK_EQ(ars_group_wait(&v.group, ARS_FOREVER), 0);
        }
        CHECK_EQ(seen(&h.dropped), (uint32_t)drops);
        CHECK_EQ(seen(&h.begun), 0);
    }
    ars_event_set(&first.go);
    crew_end(&c);
    held last = {0};
    CHECK_EQ(ars_block(count_run, &last, NULL, ARS_FOREVER), 0);
    return 0;
}

static int running_is_left(void *arg)
{
    (void)arg;
    for (int cancels = 0; cancels <= 1; cancels++) {
        held h = {0};
        attempt a = {&h,
                     count_drop,
                     cancels ? 0 : 3 * ARS_MILLISECOND,
                     cancels ? ARS_ECANCELED : ARS_ETIMEDOUT,
                     {0}};
        locks_victims v;
        do { /* its deadline may have come before a thread did */
            locks_victims_begin(&v);
            ars_atomic_u32_store_release(&h.dropped, 0);
            locks_victim(&v, attempts, &a);
            if (cancels) {
                until(&h.begun, 1);
                locks_victims_cancel(&v);
            } else {
                CHECK_EQ(ars_group_wait(&v.group, ARS_FOREVER), 0);
            }
        } while (seen(&h.begun) == 0);
        CHECK_EQ(seen(&a.done) > 0, 1);
        CHECK_EQ(seen(&h.ran), 0);
        CHECK_EQ(seen(&h.dropped), 0);
        ars_event_set(&h.go);
        until(&h.dropped, 1);
        CHECK_EQ(seen(&h.ran), 1);
        held after = {0};
        CHECK_EQ(ars_block(count_run, &after, NULL, ARS_FOREVER), 0);
        CHECK_EQ(seen(&h.dropped), 1);
    }
    return 0;
}

enum { PATIENCE = 20 * 1000 * 1000 };

/* Until it has begun: a deadline may come before a thread does. */
static int insists(void *arg)
{
    attempt *a = arg;
    int rc;
    do {
        rc = ars_block(hold, a->what, NULL, a->span ? ars_after(a->span) : ARS_FOREVER);
    } while (rc == ARS_ETIMEDOUT && seen(&a->what->begun) == 0);
    CHECK_EQ(rc, 0);
    ars_atomic_u32_add_acq_rel(&a->done, 1);
    return 0;
}

static int running_is_waited_for(void *arg)
{
    (void)arg;
    for (int cancels = 0; cancels <= 1; cancels++) {
        held h = {0};
        attempt a = {&h, NULL, cancels ? 0 : PATIENCE, 0, {0}};
        locks_victims v;
        locks_victims_begin(&v);
        locks_victim(&v, insists, &a);
        until(&h.begun, 1);
        if (cancels) ars_group_cancel(&v.group, ARS_ECANCELED);
        CHECK_EQ(ars_sleep(ars_after(cancels ? ARS_MILLISECOND : PATIENCE + ARS_MILLISECOND)), 0);
        CHECK_EQ(seen(&a.done), 0);
        ars_event_set(&h.go);
        CHECK_EQ(ars_group_wait(&v.group, ARS_FOREVER), cancels ? ARS_ECANCELED : 0);
        CHECK_EQ(seen(&a.done), 1);
        CHECK_EQ(seen(&h.ran), 1);
    }
    return 0;
}

/* ---- many ---- */

typedef struct sum {
    long n, total;
} sum;

static void adds(void *arg)
{
    sum *s = arg;
    s->total += s->n;
}

/* The argument lies on the stack and is gone as soon as the call returns. */
static int calls_often(void *arg)
{
    long n = *(long *)arg, total = 0;
    for (long i = 1; i <= n; i++) {
        sum s = {i, total};
        CHECK_EQ(ars_block_in((unsigned)(i % 3), adds, &s, NULL, ARS_FOREVER), 0);
        total = s.total;
        locks_gone(&s, sizeof s);
    }
    CHECK_EQ(total, n * (n + 1) / 2);
    return 0;
}

static int many(void *arg)
{
    (void)arg;
    long n = test_times(400, 40);
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 25; i++) crew_task(&c, calls_often, &n);
    crew_end(&c);
    return 0;
}

static int fates_meet(void *arg)
{
    (void)arg;
    static fates all;
    memset(&all, 0, sizeof all);
    for (long round = 0; round < test_times(20, 5); round++) {
        locks_victims v;
        locks_victims_begin(&v);
        for (int i = 0; i < 8; i++) locks_victim(&v, tempts_fate, &all);
        CHECK_EQ(ars_sleep(ars_after(2 * ARS_MILLISECOND)), 0);
        locks_victims_cancel(&v);
    }
    until(&all.rest, 0);
    CHECK(seen(&all.returned[0]) > 0 && seen(&all.returned[1]) > 0);
    return 0;
}

/* Nobody gives up here, so an error says that it never runs. */
static int whole_life(void *arg)
{
    (void)arg;
    for (unsigned cls = 0; cls < 2; cls++) {
        for (int drops = 0; drops <= 1; drops++) {
            static held h[8];
            static ars_atomic_u32 next;
            held *mine = &h[ars_atomic_u32_add_acq_rel(&next, 1) % 8];
            memset(mine, 0, sizeof *mine);
            int rc = ars_block_in(cls, count_run, mine, drops ? count_drop : NULL, ARS_FOREVER);
            CHECK_EQ(seen(&mine->ran), rc == 0);
            CHECK_EQ(seen(&mine->dropped), rc < 0 && drops);
        }
    }
    return 0;
}

static int sweeps(void *arg)
{
    ars_group group;
    (void)arg;
    int rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    for (int i = 0; i < 3; i++) ars_group_go(&group, whole_life, NULL, NULL);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void sweep(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = 1, .block_limits = {1, 1, 1}};
    int rc = ars_run(sweeps, NULL, &config);
    CHECK(rc == 0 || rc == ARS_ENOMEM || rc == ARS_EAGAIN || rc == ARS_EINVAL);
}

static void case_out_of_memory(void)
{
    CHECK(sweep_alloc("block", sweep) > 8);
}

static void case_failing_system(void)
{
    sweep_os("block", sweep);
}

/* ---- all of them ---- */

LIMITED(refusals_to_threads_too, 1, 0, 1)
LIMITED(cancelled_at_entry, 1, 0, 0)
LIMITED(elsewhere, 1, 0, 3)
LIMITED(in_place_on_threads, 1, 0, 2)
LIMITED(queued_gives_up, 1, 1, 1)
LIMITED(running_is_left, 2, 1, 1)
LIMITED(running_is_waited_for, 1, 1, 1)

static void case_many(void)
{
    static const unsigned workers[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) run_limited(many, workers[i], 0, 112);
}

static void case_fates_meet(void)
{
    run_limited(fates_meet, 1, 2, 6);
    run_limited(fates_meet, 4, 2, 6);
}

static const test_case cases[] = {
    {"what is refused at entry", case_refusals_to_threads_too},
    {"cancelled at entry", case_cancelled_at_entry},
    {"runs on another thread", case_elsewhere},
    {"runs in place on a thread", case_in_place_on_threads},
    {"queued work is withdrawn", case_queued_gives_up},
    {"running work with drop is left behind", case_running_is_left},
    {"running work without drop is waited for", case_running_is_waited_for},
    {"many quick calls", case_many},
    {"work, deadline and cancel meet", case_fates_meet},
    {"out of memory", case_out_of_memory},
    {"a failing system", case_failing_system},
};

TEST_MAIN(cases)
