/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/* Groups: every rule of what a wait returns and of who is cancelled when. */
#include <pthread.h>

#include "base/san.h"
#include "fault.h"
#include "os/os.h"
#include "world.h"

enum { OOPS = ARS_EIO, OTHER = ARS_ENOENT };

static int returns(void *arg)
{
    return (int)(intptr_t)arg;
}

static void *result(int rc)
{
    return (void *)(intptr_t)rc;
}

/* Waits to be cancelled, and says whether and why it was. */
static int patient(void *arg)
{
    int rc = ars_sleep(ARS_FOREVER);
    CHECK_EQ(rc, ARS_ECANCELED);
    if (arg) *(int *)arg = ars_cancel_reason();
    return rc;
}

static void begin(ars_group *group, unsigned policy)
{
    CHECK_EQ(ars_group_init(group, NULL, policy), 0);
}

static void go(ars_group *group, ars_fn *fn, void *arg)
{
    CHECK_EQ(ars_group_go(group, fn, arg, NULL), 0);
}

static int fail_fast(void *arg)
{
    (void)arg;
    ars_group group;
    int reason = 0;
    begin(&group, ARS_FAIL_FAST);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0); /* empty */
    begin(&group, ARS_FAIL_FAST);
    go(&group, returns, result(5)); /* >= 0 is success */
    go(&group, returns, result(0));
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    begin(&group, ARS_FAIL_FAST);
    go(&group, patient, &reason);
    CHECK_EQ(ars_yield(), 0);
    go(&group, returns, result(OOPS));
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OOPS);
    CHECK_EQ(reason, OOPS);
    return 0;
}

static int collect(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group, ARS_COLLECT);
    go(&group, returns, result(3));
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    begin(&group, ARS_COLLECT);
    go(&group, returns, result(OOPS));
    CHECK_EQ(ars_yield(), 0);
    go(&group, returns, result(OTHER)); /* the second error does not count */
    CHECK_EQ(ars_yield(), 0);
    go(&group, returns, result(0));
    CHECK_EQ(ars_cancel_reason(), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OOPS);
    return 0;
}

static int race(void *arg)
{
    (void)arg;
    ars_group group;
    int reason = 0;
    begin(&group, ARS_RACE);
    go(&group, patient, &reason);
    CHECK_EQ(ars_yield(), 0);
    go(&group, returns, result(OOPS)); /* a loser that failed does not matter */
    CHECK_EQ(ars_yield(), 0);
    go(&group, returns, result(7));
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 7);
    CHECK_EQ(reason, ARS_ECANCELED);
    begin(&group, ARS_RACE);
    go(&group, returns, result(OTHER));
    CHECK_EQ(ars_yield(), 0);
    go(&group, returns, result(OOPS));
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OTHER); /* no winner: the first error */
    begin(&group, ARS_RACE);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

static int deadlines(void *arg)
{
    (void)arg;
    ars_group group;
    int reason = 0;
    begin(&group, ARS_FAIL_FAST);
    go(&group, patient, &reason);
    CHECK_EQ(ars_group_wait(&group, 0), ARS_ETIMEDOUT); /* only looks */
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_group_wait(&group, 0), ARS_ETIMEDOUT);
    CHECK_EQ(reason, 0);
    CHECK_EQ(ars_group_wait(&group, ars_after(3 * ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(reason, ARS_ETIMEDOUT);

    begin(&group, ARS_FAIL_FAST);
    go(&group, patient, &reason);
    CHECK_EQ(ars_group_wait(&group, 1), ARS_ETIMEDOUT); /* long past */

    begin(&group, ARS_FAIL_FAST);
    go(&group, returns, result(0));
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_group_wait(&group, 0), 0); /* nobody lives: it has ended */
    CHECK_EQ(ars_group_wait(&group, 0), ARS_EINVAL);
    return 0;
}

static int first_cause_wins(void *arg)
{
    (void)arg;
    ars_group group;
    int reason = 0;
    begin(&group, ARS_FAIL_FAST);
    go(&group, patient, &reason);
    CHECK_EQ(ars_yield(), 0);
    ars_group_cancel(&group, OOPS);
    ars_group_cancel(&group, OTHER);
    CHECK_EQ(ars_group_wait(&group, 1), OOPS);
    CHECK_EQ(reason, OOPS);

    begin(&group, ARS_RACE); /* a winner after the cancel is no winner */
    go(&group, returns, result(9));
    ars_group_cancel(&group, 17);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);

    begin(&group, ARS_COLLECT);
    go(&group, returns, result(OOPS));
    CHECK_EQ(ars_yield(), 0);
    ars_group_cancel(&group, OTHER);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OTHER);
    return 0;
}

static int finds_itself_cancelled(void *arg)
{
    CHECK_EQ(ars_cancel_reason(), OOPS);
    CHECK_EQ(ars_sleep(1), ARS_ECANCELED);
    CHECK_EQ(ars_sleep(0), 0);
    ++*(int *)arg;
    return 0;
}

static int go_on_a_cancelled_group(void *arg)
{
    (void)arg;
    ars_group group;
    int ran = 0;
    begin(&group, ARS_FAIL_FAST);
    go(&group, finds_itself_cancelled, &ran);
    ars_group_cancel(&group, OOPS);
    go(&group, finds_itself_cancelled, &ran);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OOPS);
    CHECK_EQ(ran, 2);
    return 0;
}

static int misuse(void *arg)
{
    (void)arg;
    ars_group group = {{0}}, old;
    CHECK_EQ(ars_group_go(&group, returns, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EINVAL);
    ars_group_cancel(&group, OOPS);
    CHECK_EQ(ars_group_init(&group, NULL, 3), ARS_EINVAL);
    CHECK_EQ(group.ars__state[0], 0);
    begin(&group, ARS_FAIL_FAST);
    old = group;
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(ars_group_go(&group, returns, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_group_go(&old, returns, NULL, NULL), ARS_EINVAL); /* a copy of an ended one */
    begin(&group, ARS_FAIL_FAST);
    CHECK_EQ(ars_group_wait(&old, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

static int waits_for_own(void *group)
{
    CHECK_EQ(ars_group_wait(group, ARS_FOREVER), ARS_EDEADLK);
    return 0;
}

static int waits_from_below(void *group)
{
    ars_group inner;
    begin(&inner, ARS_FAIL_FAST);
    go(&inner, waits_for_own, group);
    return ars_group_wait(&inner, ARS_FOREVER);
}

static int stranger(void *group)
{
    CHECK_EQ(ars_group_wait(group, ARS_FOREVER), ARS_EINVAL);
    return 0;
}

static int wrong_waiters(void *arg)
{
    (void)arg;
    ars_group group, others;
    begin(&group, ARS_FAIL_FAST);
    begin(&others, ARS_FAIL_FAST);
    go(&group, waits_for_own, &group);
    go(&group, waits_from_below, &group);
    go(&others, stranger, &group);
    CHECK_EQ(ars_group_wait(&others, ARS_FOREVER), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

/* A child starts siblings: the group ends with the last of them. */
static int breeds(void *arg)
{
    struct {
        ars_group *group;
        int left;
    } *me = arg;
    if (me->left-- > 0) go(me->group, breeds, me);
    CHECK_EQ(ars_yield(), 0);
    return 0;
}

static int living_child_may_go(void *arg)
{
    (void)arg;
    ars_group group;
    struct {
        ars_group *group;
        int left;
    } shared = {&group, 100};
    begin(&group, ARS_FAIL_FAST);
    go(&group, breeds, &shared);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(shared.left, -1);
    return 0;
}

/* ---- trees ---- */

static int nests(void *arg)
{
    int *depth = arg;
    if (*depth == 0) return patient(NULL);
    --*depth;
    ars_group group;
    begin(&group, ARS_FAIL_FAST);
    go(&group, nests, depth);
    int rc = ars_group_wait(&group, ARS_FOREVER);
    CHECK_EQ(rc, ARS_ECANCELED);
    CHECK_EQ(ars_cancel_reason(), OOPS);
    ++*depth;
    return rc;
}

static int cancel_reaches_all_below(void *arg)
{
    (void)arg;
    ars_group group;
    int full = (int)test_times(5000, 500), depth = full;
    begin(&group, ARS_FAIL_FAST);
    go(&group, nests, &depth);
    while (depth > 0) CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_yield(), 0);
    ars_group_cancel(&group, OOPS);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OOPS);
    CHECK_EQ(depth, full);
    return 0;
}

static int begins_cancelled(void *arg)
{
    int reason = 0;
    ars_group group;
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    begin(&group, ARS_FAIL_FAST);
    go(&group, patient, &reason);
    CHECK_EQ(ars_yield(), ARS_ECANCELED);
    CHECK_EQ(reason, OOPS); /* before the wait could tell it */
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    /* Under a shield a group stands outside the tree. */
    ars_scope shield;
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    begin(&group, ARS_FAIL_FAST);
    go(&group, returns, result(0));
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(ars_scope_leave(&shield), 0);
    ++*(int *)arg;
    return 0;
}

static int groups_of_cancelled_tasks(void *arg)
{
    (void)arg;
    ars_group group;
    int ran = 0;
    begin(&group, ARS_COLLECT);
    go(&group, begins_cancelled, &ran);
    CHECK_EQ(ars_yield(), 0);
    ars_group_cancel(&group, OOPS);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OOPS);
    CHECK_EQ(ran, 1);
    return 0;
}

/* A group that nobody has asked about its cancelling yet. */
static int says_why(void *arg)
{
    *(int *)arg = ars_cancel_reason();
    return 0;
}

static int cancels_from_below(void *arg)
{
    ars_group *above = arg, asked, unasked;
    ars_scope shield;
    int reason = 0;
    begin(&asked, ARS_COLLECT);
    begin(&unasked, ARS_COLLECT);
    ars_group_cancel(above, OTHER);
    go(&asked, says_why, &reason);
    go(&unasked, returns, result(OOPS));
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    CHECK_EQ(ars_group_wait(&unasked, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&asked, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(reason, OTHER);
    CHECK_EQ(ars_scope_leave(&shield), 0);
    /* Not even the task has waited before: its children hear of it all the same. */
    begin(&asked, ARS_COLLECT);
    go(&asked, patient, &reason);
    reason = 0;
    CHECK_EQ(ars_group_wait(&asked, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(reason, OTHER);
    return 0;
}

static int cancelled_before_anybody_asks(void *arg)
{
    (void)arg;
    ars_group group;
    begin(&group, ARS_COLLECT);
    go(&group, cancels_from_below, &group);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OTHER);
    return 0;
}

/* Two children, of which another worker must take one; that one ends about when, and mostly after, the last at home. */
typedef struct pair {
    ars_atomic_u32 taken, over;
    uint32_t late;
    int sum;
} pair;

static void spin_until(ars_atomic_u32 *word)
{
    for (int i = 1; !ars_atomic_u32_load_acquire(word); i++) {
        ars_atomic_pause();
        if (i % 1000 == 0) ars__os_thread_yield();
    }
}

static int is_taken(void *arg)
{
    pair *p = arg;
    ars_atomic_u32_store_release(&p->taken, 1);
    spin_until(&p->over);
    for (uint32_t i = 0; i < p->late; i++) ars_atomic_pause();
    p->sum++;
    return 0;
}

static int stays(void *arg)
{
    pair *p = arg;
    spin_until(&p->taken);
    ars_atomic_u32_store_release(&p->over, 1);
    return 0;
}

static int children_taken(void *arg)
{
    (void)arg;
    for (long i = test_times(20000, 1000); i > 0; i--) {
        pair p = {.late = (uint32_t)(i % 50)};
        ars_group group;
        begin(&group, ARS_COLLECT);
        go(&group, is_taken, &p);
        go(&group, stays, &p);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        CHECK_EQ(p.sum, 1);
    }
    return 0;
}

static int forgets_to_wait(void *arg)
{
    ars_group first, second;
    begin(&first, ARS_FAIL_FAST);
    begin(&second, ARS_FAIL_FAST);
    go(&first, patient, (int *)arg);
    go(&second, patient, (int *)arg + 1);
    CHECK_EQ(ars_yield(), 0);
    return 11;
}

static int unwaited(void *arg)
{
    world *w = arg;
    ars_group group;
    int reasons[2] = {0, 0}, rc = 0;
    ars_task_opt opt = {.name = "hasty", .result = &rc};
    begin(&group, ARS_FAIL_FAST);
    CHECK_EQ(ars_group_go(&group, forgets_to_wait, reasons, &opt), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    CHECK_EQ(rc, 11);
    CHECK(reasons[0] == ARS_ECANCELED && reasons[1] == ARS_ECANCELED);
    if (ARS__ASSERTS) CHECK(strstr(w->reports, "hasty"));
    w->reports[0] = '\0';
    return 0;
}

/* ---- errors of go ---- */

static int failed_go_counts(void *arg)
{
    ars_alloc_failer *failer = arg;
    ars_group group, hungry;
    int reason = 0, rc;
    begin(&group, ARS_FAIL_FAST);
    go(&group, patient, &reason);
    CHECK_EQ(ars_yield(), 0);
    /* Until memory must be asked for, which fails. */
    begin(&hungry, ARS_COLLECT);
    ars_alloc_failer_init(failer, NULL, 1, 1);
    do rc = ars_group_go(&group, returns, result(0), NULL);
    while (rc == 0);
    CHECK_EQ(rc, ARS_ENOMEM);
    ars_alloc_failer_init(failer, NULL, 0, 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ENOMEM);
    CHECK_EQ(reason, ARS_ENOMEM);
    CHECK_EQ(ars_group_wait(&hungry, ARS_FOREVER), 0);
    return 0;
}

static void failed_go(void)
{
    ars_alloc_failer failer;
    ars_alloc_failer_init(&failer, NULL, 0, 0);
    ars_config config = {.alloc = &failer.alloc, .workers = 1};
    CHECK_EQ(ars_run(failed_go_counts, &failer, &config), 0);
}

/* ---- a group lives on the stack and is gone when the wait returns ---- */

static int adds_to(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static ARS__NOINLINE void one_group(int yields)
{
    struct {
        ars_group group;
        int n;
    } mine = {.n = 0};
    begin(&mine.group, ARS_FAIL_FAST);
    go(&mine.group, adds_to, &mine.n);
    if (yields) CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_group_wait(&mine.group, ARS_FOREVER), 0);
    CHECK_EQ(mine.n, 1);
    memset(&mine, 0xa5, sizeof mine);
    __asm__ volatile("" ::"r"(&mine) : "memory");
}

static int a_million_on_the_stack(void *arg)
{
    (void)arg;
    /* Under ThreadSanitizer each task's stack is mapped anew. */
    int groups = ARS__TSAN ? 50000 : 1000000;
    for (int i = 0; i < groups; i++) one_group(i & 1);
    return 0;
}

/* ---- threads ---- */

typedef struct outside {
    ars_runtime *rt;
    ars_atomic_u32 done;
    ars_group *group;
    ars_atomic_i64 ran;
} outside;

static int counts(void *arg)
{
    CHECK_EQ(ars_yield(), 0);
    ars_atomic_i64_add_relaxed(&((outside *)arg)->ran, 1);
    return 0;
}

static void *thread_with_groups(void *arg)
{
    outside *o = arg;
    ars_group group;
    int reason = 0;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), ARS_EINVAL);
    CHECK_EQ(ars_group_go(NULL, counts, o, NULL), ARS_EINVAL);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(ars_group_init(&group, o->rt, ARS_FAIL_FAST), 0);
        for (int k = 0; k < 10; k++) CHECK_EQ(ars_group_go(&group, counts, o, NULL), 0);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EINVAL);
    }
    CHECK_EQ(ars_group_init(&group, o->rt, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, patient, &reason, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_group_wait(&group, ars_after(2 * ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(reason, ARS_ETIMEDOUT);
    CHECK_EQ(ars_group_init(&group, o->rt, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, patient, &reason, NULL), 0);
    ars_group_cancel(&group, OOPS);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), OOPS);
    CHECK_EQ(reason, OOPS);
    CHECK_EQ(ars_group_init(&group, o->rt, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0); /* empty */
    ars_atomic_u32_store_release(&o->done, 1);
    return NULL;
}

static int groups_of_threads(void *arg)
{
    (void)arg;
    outside o = {.rt = ars_runtime_self()};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, thread_with_groups, &o), 0);
    while (!ars_atomic_u32_load_acquire(&o.done))
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(ars_atomic_i64_load_relaxed(&o.ran), 2000);
    return 0;
}

static void *thread_goes(void *arg)
{
    outside *o = arg;
    for (int i = 0; i < 1000; i++) CHECK_EQ(ars_group_go(o->group, counts, o, NULL), 0);
    ars_atomic_u32_store_release(&o->done, 1);
    return NULL;
}

/* Keeps the group alive until the thread has started its tasks. */
static int holds(void *arg)
{
    outside *o = arg;
    while (!ars_atomic_u32_load_acquire(&o->done)) CHECK_EQ(ars_yield(), 0);
    return 0;
}

static int threads_go_into_a_living_group(void *arg)
{
    (void)arg;
    ars_group group;
    outside o = {.group = &group};
    pthread_t thread;
    begin(&group, ARS_FAIL_FAST);
    go(&group, holds, &o);
    CHECK_EQ(pthread_create(&thread, NULL, thread_goes, &o), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(ars_atomic_i64_load_relaxed(&o.ran), 1000);
    return 0;
}

/* ---- exhaustion: the same things again, with whatever fails ---- */

/* A tree of tasks, each with a group of its own; the leaves wait for the end. */
static int grows(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    if (depth == 0) return ars_sleep(ARS_FOREVER);
    ars_group group;
    int rc = ars_group_init(&group, NULL, (unsigned)depth % 3);
    if (rc < 0) return rc;
    for (int i = 0; i < 6 && rc == 0; i++)
        rc = ars_group_go(&group, grows, (void *)(depth - 1), NULL);
    int waited = ars_group_wait(&group, ARS_FOREVER);
    CHECK(waited < 0);
    return waited;
}

/* Keeps the group alive for the thread, cancelled or not. */
static int holds_on(void *arg)
{
    while (!ars_atomic_u32_load_acquire(&((outside *)arg)->done)) ars_yield();
    return 0;
}

static int counts_anyway(void *arg)
{
    ars_yield();
    ars_atomic_i64_add_relaxed(&((outside *)arg)->ran, 1);
    return 0;
}

static void *thread_tries(void *arg)
{
    outside *o = arg;
    ars_group group;
    int rc = ars_group_init(&group, o->rt, ARS_FAIL_FAST);
    if (rc == 0) {
        int started = 0;
        for (int i = 0; i < 100 && rc == 0; i++) {
            rc = ars_group_go(&group, counts_anyway, o, NULL);
            started += rc == 0;
        }
        CHECK(rc == 0 || rc == ARS_ENOMEM);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), rc);
        CHECK_EQ(ars_atomic_i64_load_relaxed(&o->ran), started);
    }
    ars_group_cancel(o->group, OOPS);
    return NULL;
}

static int all_of_it(void *arg)
{
    (void)arg;
    ars_group group;
    outside o = {.rt = ars_runtime_self(), .group = &group};
    pthread_t thread;
    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    rc = ars_group_go(&group, grows, (void *)4, NULL);
    if (rc < 0) CHECK_EQ(ars_cancel_reason(), 0);
    ars_yield();
    CHECK_EQ(pthread_create(&thread, NULL, thread_tries, &o), 0);
    if (rc == 0) ars_group_go(&group, holds_on, &o, NULL);
    /* What the thread uses outlives it, whatever became of the tasks. */
    ars_scope shield;
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) ars_sleep(ars_after(ARS_MILLISECOND / 10));
    CHECK_EQ(ars_scope_leave(&shield), 0);
    ars_atomic_u32_store_release(&o.done, 1);
    CHECK(ars_group_wait(&group, ARS_FOREVER) < 0);
    return 0;
}

static void exhausted(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = world_workers()};
    ars_run(all_of_it, NULL, &config);
}

static void out_of_memory(void)
{
    exhausted(NULL); /* the C library keeps the first thread's stack and heap */
    sweep_alloc("group", exhausted);
}

static void system_fails(void)
{
    exhausted(NULL);
    sweep_os("group", exhausted);
}

#define CASE(name)                                                                                 \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        world_run(name, 0);                                                                        \
    }
CASE(fail_fast)
CASE(collect)
CASE(race)
CASE(deadlines)
CASE(first_cause_wins)
CASE(go_on_a_cancelled_group)
CASE(misuse)
CASE(wrong_waiters)
CASE(living_child_may_go)
CASE(cancel_reaches_all_below)
CASE(groups_of_cancelled_tasks)
CASE(unwaited)
CASE(a_million_on_the_stack)

static void case_groups_of_threads(void)
{
    world_run_threads(groups_of_threads, 0, 1);
}

static void case_threads_go_into_a_living_group(void)
{
    world_run_threads(threads_go_into_a_living_group, 0, 1);
}

CASE(cancelled_before_anybody_asks)

static void case_children_taken(void)
{
    static world w;
    world_begin(&w);
    w.config.workers = 2;
    int rc = ars_run(children_taken, &w, &w.config);
    test_gate_end(&w.gate, 4);
    CHECK_EQ(rc, 0);
}

static const test_case cases[] = {
    {"fail fast", case_fail_fast},
    {"collect", case_collect},
    {"race", case_race},
    {"deadlines", case_deadlines},
    {"first cause wins", case_first_cause_wins},
    {"go on a cancelled group", case_go_on_a_cancelled_group},
    {"misuse", case_misuse},
    {"wrong waiters", case_wrong_waiters},
    {"living child may go", case_living_child_may_go},
    {"cancel reaches all below", case_cancel_reaches_all_below},
    {"groups of cancelled tasks", case_groups_of_cancelled_tasks},
    {"cancelled before anybody asks", case_cancelled_before_anybody_asks},
    {"children taken", case_children_taken},
    {"unwaited", case_unwaited},
    {"failed go", failed_go},
    {"a million on the stack", case_a_million_on_the_stack},
    {"groups of threads", case_groups_of_threads},
    {"threads go into a living group", case_threads_go_into_a_living_group},
    {"out of memory", out_of_memory},
    {"system fails", system_fails},
};
TEST_MAIN(cases)
