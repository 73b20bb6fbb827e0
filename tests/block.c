/* SPDX-License-Identifier: MIT */
/* Blocking work: what runs, who owns the argument, limits, giving up, the end of the runtime. */
#include <arsenal/block.h>
#include <arsenal/event.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "locks.h"

/* A piece of work that is held up until it is let go. */
typedef struct held {
    ars_event go;
    ars_atomic_u32 begun, ran, dropped;
} held;

static void hold(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->begun, 1);
    CHECK_EQ(ars_event_wait(&h->go, ARS_FOREVER), 0);
    ars_atomic_u32_add_acq_rel(&h->ran, 1);
}

static void count_run(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->begun, 1);
    ars_atomic_u32_add_acq_rel(&h->ran, 1);
}

static void count_drop(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->dropped, 1);
}

static uint32_t seen(const ars_atomic_u32 *counter)
{
    return ars_atomic_u32_load_acquire(counter);
}

static void until(const ars_atomic_u32 *counter, uint32_t value)
{
    while (seen(counter) != value) CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 4)), 0);
}

/* ---- errors at entry ---- */

static void check_refused(int rc, int expected, const held *h, int drops)
{
    CHECK_EQ(rc, expected);
    CHECK_EQ(seen(&h->ran), 0);
    CHECK_EQ(seen(&h->dropped), (uint32_t)drops);
}

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

typedef struct attempt {
    held *what;
    void (*drop)(void *);
    ars_time span; /* until the deadline */
    int expected;
    ars_atomic_u32 done;
} attempt;

static int attempts(void *arg)
{
    attempt *a = arg;
    ars_time deadline = a->span ? ars_after(a->span) : ARS_FOREVER;
    CHECK_EQ(ars_block(hold, a->what, a->drop, deadline), a->expected);
    ars_atomic_u32_add_acq_rel(&a->done, 1);
    return 0;
}

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

/* ---- limits ---- */

enum { FULL = 3, CALLS = 24 };

typedef struct crowd {
    ars_atomic_u32 inside, most, done;
} crowd;

static void crowds(void *arg)
{
    crowd *c = arg;
    uint32_t n = ars_atomic_u32_add_acq_rel(&c->inside, 1) + 1;
    uint32_t most = seen(&c->most);
    while (n > most && !ars_atomic_u32_cas_acq_rel(&c->most, &most, n)) {}
    usleep(300);
    ars_atomic_u32_add_acq_rel(&c->inside, (uint32_t)-1);
    ars_atomic_u32_add_acq_rel(&c->done, 1);
}

static int joins_crowd(void *arg)
{
    return ars_block(crowds, arg, NULL, ARS_FOREVER);
}

static int keeps_limit(void *arg)
{
    (void)arg;
    crowd c = {0};
    crew group;
    crew_begin(&group);
    for (int i = 0; i < CALLS; i++) crew_task(&group, joins_crowd, &c);
    crew_end(&group);
    CHECK_EQ(seen(&c.done), CALLS);
    CHECK(seen(&c.most) > 1 && seen(&c.most) <= FULL);
    return 0;
}

static int looks_up(void *arg)
{
    return ars_block_in(ARS_BLOCK_DNS, hold, arg, NULL, ARS_FOREVER);
}

/* More sleepers than the class has threads: the others do not notice. */
static int classes_apart(void *arg)
{
    (void)arg;
    held h = {0};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < FULL + 2; i++) crew_task(&c, looks_up, &h);
    until(&h.begun, FULL);
    for (int i = 0; i < 100; i++) {
        held quick = {0};
        CHECK_EQ(ars_block_in(i & 1 ? ARS_BLOCK_FILE : ARS_BLOCK_DEFAULT, count_run, &quick, NULL,
                              ARS_FOREVER),
                 0);
        CHECK_EQ(seen(&quick.ran), 1);
    }
    CHECK_EQ(seen(&h.begun), FULL);
    ars_event_set(&h.go);
    crew_end(&c);
    CHECK_EQ(seen(&h.ran), FULL + 2);
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

/* Whatever comes first, work, deadline or cancel: who owns the argument is always clear. */
typedef struct fates {
    ars_atomic_u32 returned[2], rest; /* by error or not; arguments not freed */
    uint32_t seed;
} fates;

typedef struct owned {
    fates *all;
    unsigned us, ran;
} owned;

static void take_time(void *arg)
{
    owned *o = arg;
    if (o->us) usleep(o->us);
    CHECK_EQ(o->ran++, 0);
}

static void drop_owned(void *arg)
{
    owned *o = arg;
    CHECK(o->ran <= 1);
    ars_atomic_u32_add_acq_rel(&o->all->rest, (uint32_t)-1);
    locks_gone(o, sizeof *o);
    free(o);
}

static int tempts_fate(void *arg)
{
    fates *all = arg;
    uint32_t random = ars_atomic_u32_add_acq_rel(&all->returned[0], 0) * 2654435761u + 1;
    for (int i = 0; i < 200; i++) {
        random = random * 1664525 + 1013904223;
        unsigned us = (random >> 8) % 60, span = (random >> 16) % 120;
        ars_time deadline = span == 0 ? ARS_FOREVER : ars_after(span * ARS_MICROSECOND);
        int rc;
        if (random >> 31) {
            owned *o = malloc(sizeof *o);
            CHECK(o != NULL);
            *o = (owned){all, us, 0};
            ars_atomic_u32_add_acq_rel(&all->rest, 1);
            rc = ars_block(take_time, o, drop_owned, deadline);
            if (rc == 0) {
                CHECK_EQ(o->ran, 1);
                drop_owned(o);
            }
        } else {
            owned o = {all, us, 0};
            rc = ars_block(take_time, &o, NULL, deadline);
            CHECK_EQ(o.ran, rc == 0);
            locks_gone(&o, sizeof o);
        }
        CHECK(rc == 0 || rc == ARS_ETIMEDOUT || rc == ARS_ECANCELED);
        ars_atomic_u32_add_acq_rel(&all->returned[rc < 0], 1);
        if (rc == ARS_ECANCELED) break;
    }
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

/* ---- threads that cannot be had, and that end ---- */

static int no_threads(void *arg)
{
    (void)arg;
    for (int drops = 0; drops <= 1; drops++) {
        held h = {0};
        fault_at("thread_start", 1, ARS_EAGAIN, -1);
        int rc = ars_block(count_run, &h, drops ? count_drop : NULL, ARS_FOREVER);
        check_refused(rc, ARS_EAGAIN, &h, drops);
        fault_reset();
    }
    held h = {0}, second = {0};
    attempt a = {&h, NULL, 0, 0, {0}}, b = {&second, NULL, 0, 0, {0}};
    ars_event_set(&second.go);
    crew c;
    crew_begin(&c);
    crew_task(&c, attempts, &a);
    until(&h.begun, 1);
    /* There is one that will do it. */
    fault_at("thread_start", 1, ARS_EAGAIN, -1);
    crew_task(&c, attempts, &b);
    while (fault_hits("thread_start") == 0) CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(seen(&second.begun), 0);
    ars_event_set(&h.go);
    crew_end(&c);
    CHECK_EQ(seen(&second.ran), 1);
    fault_reset();
    return 0;
}

/*
 * Two tasks start a thread each at the same time, and neither can: whoever fails
 * first counts on the other, which then fails for both.
 */
static ars_atomic_u32 stall;

static void *stall_alloc(void *ctx, size_t size, size_t align)
{
    const ars_alloc *base = ctx;
    if (ars_atomic_u32_swap_seq_cst(&stall, 0))
        while (fault_hits("thread_start") == 0) usleep(100);
    return base->alloc(base->ctx, size, align);
}

static void *stall_resize(void *ctx, void *p, size_t old, size_t size, size_t align)
{
    const ars_alloc *base = ctx;
    return base->resize(base->ctx, p, old, size, align);
}

static void stall_free(void *ctx, void *p, size_t size, size_t align)
{
    const ars_alloc *base = ctx;
    base->free(base->ctx, p, size, align);
}

static int starts_too(void *arg)
{
    held h = {0};
    ars_atomic_u32 *ready = arg;
    /* Both live, so the next to allocate is one of them, for its thread. */
    if (ars_atomic_u32_add_acq_rel(ready, 1) == 1) {
        ars_atomic_u32_store_release(&stall, 1);
        ars_atomic_u32_add_acq_rel(ready, 1);
    }
    while (seen(ready) < 3) CHECK_EQ(ars_yield(), 0);
    check_refused(ars_block(count_run, &h, NULL, ARS_FOREVER), ARS_EAGAIN, &h, 0);
    return 0;
}

static int start_together(void *arg)
{
    (void)arg;
    ars_atomic_u32 ready = {0};
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    fault_at("thread_start", 1, ARS_EAGAIN, -1);
    for (unsigned home = 1; home <= 2; home++)
        CHECK_EQ(ars_group_go(&group, starts_too, &ready, &(ars_task_opt){.home = home}), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    ars_atomic_u32_store_release(&stall, 0);
    fault_reset();
    return 0;
}

static void case_start_together(void)
{
    static world w;
    world_begin(&w);
    ars_alloc stalling = {stall_alloc, stall_resize, stall_free, &w.tracker.alloc};
    w.config.alloc = &stalling;
    w.config.workers = 2;
    CHECK_EQ(ars_run(start_together, NULL, &w.config), 0);
    test_gate_end(&w.gate, 4);
    CHECK_STR(w.reports, "");
}

/* No thread is idle for long: each call needs a new one. */
static int idle_threads_end(void *arg)
{
    (void)arg;
    fault_reset();
    fault_at("futex_wait", 1, ARS_ETIMEDOUT, -1);
    while (fault_counts("thread_start") < 20) {
        held h = {0};
        CHECK_EQ(ars_block(count_run, &h, NULL, ARS_FOREVER), 0);
        CHECK_EQ(seen(&h.ran), 1);
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
    }
    CHECK(fault_counts("thread_join") > 0);
    fault_reset();
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

/* ---- the end of the runtime ---- */

static held left;

static void ends_late(void *arg)
{
    held *h = arg;
    ars_atomic_u32_add_acq_rel(&h->begun, 1);
    usleep(20000);
    ars_atomic_u32_add_acq_rel(&h->ran, 1);
}

static int leaves_work_of(void (*fn)(void *))
{
    memset(&left, 0, sizeof left);
    while (seen(&left.begun) == 0)
        CHECK_EQ(ars_block_in(ARS_BLOCK_FILE, fn, &left, count_drop, ars_after(ARS_MILLISECOND)),
                 ARS_ETIMEDOUT);
    return 0;
}

static int leaves_late(void *arg)
{
    (void)arg;
    return leaves_work_of(ends_late);
}

static void case_within_the_grace(void)
{
    static world w;
    world_begin(&w);
    w.config.grace = 10 * ARS_SECOND;
    CHECK_EQ(ars_run(leaves_late, NULL, &w.config), 0);
    CHECK_EQ(seen(&left.ran), 1);
    CHECK(seen(&left.dropped) >= 1);
    test_gate_end(&w.gate, 4);
    CHECK_STR(w.reports, "");
}

static int leaves_held(void *arg)
{
    (void)arg;
    return leaves_work_of(hold);
}

static int leaves_waiting(void *arg)
{
    memset(&left, 0, sizeof left);
    (void)arg;
    static attempt a = {&left, NULL, 0, 0, {0}};
    CHECK_EQ(ars_group_go(NULL, attempts, &a, &(ars_task_opt){.name = "mule"}), 0);
    until(&left.begun, 1);
    return 0;
}

static void busy_child(void *arg)
{
    ars_fn *fn = arg ? leaves_waiting : leaves_held;
    static world w;
    world_begin(&w);
    w.config.grace = 5 * ARS_MILLISECOND;
    CHECK_EQ(ars_run(fn, NULL, &w.config), ARS_EBUSY);
    if (arg) {
        CHECK(strstr(w.reports, "'mule' was left behind in block"));
        CHECK(!strstr(w.reports, "blocking work"));
    } else {
        CHECK(strstr(w.reports, "blocking work"));
        CHECK(strstr(w.reports, "(file)"));
    }
    /* What is left behind is dropped all the same. */
    uint32_t before = seen(&left.dropped);
    CHECK_EQ(seen(&left.ran), 0);
    ars_event_set(&left.go);
    while (seen(&left.ran) == 0) usleep(100);
    while (!arg && seen(&left.dropped) != before + 1) usleep(100);
    CHECK_EQ(ars_run(elsewhere, NULL, NULL), 0);
}

static void case_left_busy(void)
{
    for (int waits = 0; waits <= 1; waits++) {
        test_end end = test_child(busy_child, waits ? &left : NULL);
        if (end.signal || end.status) FAIL("%s", end.err);
    }
}

/* Hundreds of runtimes that end while work is in all states. */
static int ends_in_between(void *arg)
{
    static fates all;
    (void)arg;
    for (int i = 0; i < 4; i++) CHECK_EQ(ars_group_go(NULL, tempts_fate, &all, NULL), 0);
    return ars_sleep(ars_after(ARS_MILLISECOND / 2));
}

static void case_ends_in_between(void)
{
    for (long i = 0; i < test_times(200, 30); i++) {
        ars_config config = {.workers = 2, .block_limits = {3}, .grace = 30 * ARS_SECOND};
        CHECK_EQ(ars_run(ends_in_between, NULL, &config), 0);
    }
}

static int never(void *arg)
{
    (void)arg;
    return 0;
}

static void case_bad_config(void)
{
    ars_config config = {.workers = 1, .ars__reserved_limit = 1};
    CHECK_EQ(ars_run(never, NULL, &config), ARS_EINVAL);
}

/* ---- all of them ---- */

static void run_limited(ars_fn *fn, unsigned workers, unsigned limit, int threads)
{
    static world w;
    world_begin(&w);
    w.config.workers = workers;
    for (int i = 0; i < 3; i++) w.config.block_limits[i] = limit;
    int rc = ars_run(fn, &w, &w.config);
    /* The C library keeps the stacks and the heaps of threads that have ended. */
    test_gate_end(&w.gate, 4 * (threads + (long)workers));
    CHECK_STR(w.reports, "");
    CHECK_EQ(rc, 0);
}

#define LIMITED(name, workers, limit, threads)                                                     \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        run_limited(name, workers, limit, threads);                                                \
    }

LIMITED(refusals_to_threads_too, 1, 0, 1)
LIMITED(cancelled_at_entry, 1, 0, 0)
LIMITED(elsewhere, 1, 0, 3)
LIMITED(in_place_on_threads, 1, 0, 2)
LIMITED(queued_gives_up, 1, 1, 1)
LIMITED(running_is_left, 2, 1, 1)
LIMITED(running_is_waited_for, 1, 1, 1)
LIMITED(keeps_limit, 2, FULL, FULL)
LIMITED(classes_apart, 1, FULL, 3 * FULL)
LIMITED(no_threads, 1, 0, 2)
LIMITED(idle_threads_end, 1, 0, 20)

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
    {"a class keeps its limit", case_keeps_limit},
    {"a full class stops no other", case_classes_apart},
    {"many quick calls", case_many},
    {"work, deadline and cancel meet", case_fates_meet},
    {"no threads", case_no_threads},
    {"no threads for two at the same time", case_start_together},
    {"idle threads end", case_idle_threads_end},
    {"out of memory", case_out_of_memory},
    {"a failing system", case_failing_system},
    {"work that ends within the grace", case_within_the_grace},
    {"work and waits that do not", case_left_busy},
    {"runtimes that end in between", case_ends_in_between},
    {"reserved fields", case_bad_config},
};

TEST_MAIN(cases)
