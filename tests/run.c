/* SPDX-License-Identifier: MIT */
/* A runtime from its beginning to its end, and the way in from other threads. */
#include <arsenal/wait.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/san.h"
#include "fault.h"
#include "world.h"

static int returns(void *arg)
{
    return (int)(intptr_t)arg;
}

static int runs_inside(void *arg)
{
    CHECK_EQ(ars_run(returns, NULL, NULL), ARS_EINVAL);
    CHECK(ars_runtime_self() != NULL);
    return arg ? 5 : ARS_EIO;
}

static void results(void)
{
    world_run(runs_inside, 5);
    CHECK_EQ(ars_run(runs_inside, NULL, NULL), ARS_EIO);
    CHECK(ars_runtime_self() == NULL);
    CHECK_EQ(ars_run(NULL, NULL, NULL), ARS_EINVAL);
    ars_config bad = {.backend = 99};
    CHECK_EQ(ars_run(returns, NULL, &bad), ARS_EINVAL);
    bad = (ars_config){.grace = -1};
    CHECK_EQ(ars_run(returns, NULL, &bad), ARS_EINVAL);
    bad = (ars_config){.race_strict = 2};
    CHECK_EQ(ars_run(returns, NULL, &bad), ARS_EINVAL);
    bad = (ars_config){.ars__reserved = {1}};
    CHECK_EQ(ars_run(returns, NULL, &bad), ARS_EINVAL);
    ars_run_stats stats;
    CHECK_EQ(ars_stats(&stats), ARS_EINVAL);
}

/* ---- tasks without a group ---- */

static int ends_cancelled(void *arg)
{
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_cancel_reason(), ARS_ECANCELED);
    ++*(int *)arg;
    return ARS_EIO; /* dropped */
}

static int orphans_seen;

static int leaves_orphans(void *arg)
{
    (void)arg;
    ars_scope scope;
    CHECK_EQ(ars_scope_enter(&scope, 1), 0); /* such tasks inherit nothing */
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ars_group_go(NULL, ends_cancelled, &orphans_seen, NULL), 0);
    CHECK_EQ(ars_scope_leave(&scope), 0);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(orphans_seen, 0);
    CHECK_EQ(ars_post(ars_runtime_self(), ends_cancelled, &orphans_seen), 0);
    return 9;
}

static void root_group(void)
{
    orphans_seen = 0;
    world_run(leaves_orphans, 9);
    CHECK_EQ(orphans_seen, 4);
}

static int forgets_a_group(void *arg)
{
    world *w = arg;
    static ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, ends_cancelled, &orphans_seen, NULL), 0);
    w->reports[0] = '\0';
    return 3;
}

static void root_task_forgets_a_group(void)
{
    static world w;
    orphans_seen = 0;
    world_begin(&w);
    CHECK_EQ(ars_run(forgets_a_group, &w, &w.config), 3);
    test_gate_end(&w.gate, 0);
    CHECK_EQ(orphans_seen, 1);
}

/* ---- grace ---- */

static int stubborn(void *arg)
{
    (void)arg;
    ars_scope shield;
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    CHECK_EQ(ars_sleep(ARS_FOREVER), 0);
    return 0;
}

static int leaves_stubborn(void *arg)
{
    (void)arg;
    ars_task_opt opt = {.name = "mule"};
    CHECK_EQ(ars_group_go(NULL, stubborn, NULL, &opt), 0);
    CHECK_EQ(ars_yield(), 0);
    return 0;
}

static void busy_child(void *arg)
{
    (void)arg;
    static world w;
    world_begin(&w);
    w.config.grace = 5 * ARS_MILLISECOND;
    ars_time earliest = ars_after(w.config.grace);
    CHECK_EQ(ars_run(leaves_stubborn, &w, &w.config), ARS_EBUSY);
    CHECK(ars_now() >= earliest);
    CHECK(strstr(w.reports, "'mule'") && strstr(w.reports, "sleep"));
    CHECK_EQ(ars_run(returns, (void *)4, NULL), 4); /* the thread is free for another one */
}

static void busy(void)
{
    test_end end = test_child(busy_child, NULL);
    if (end.signal || end.status) FAIL("%s", end.err);
}

static int slow(void *arg)
{
    ars_scope shield;
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_scope_leave(&shield), 0);
    ++*(int *)arg;
    return 0;
}

static int leaves_slow(void *ran)
{
    CHECK_EQ(ars_group_go(NULL, slow, ran, NULL), 0);
    CHECK_EQ(ars_yield(), 0);
    return 0;
}

static int leaves_slow_once(void *arg)
{
    (void)arg;
    return leaves_slow(&orphans_seen);
}

static void within_the_grace(void)
{
    orphans_seen = 0;
    world_run(leaves_slow_once, 0);
    CHECK_EQ(orphans_seen, 1);
}

/* ---- other threads ---- */

enum { POSTERS = 4, POSTS = 2000 };

typedef struct posters {
    ars_runtime *rt;
    ars_atomic_i64 ran;
} posters;

static int counts(void *arg)
{
    ars_atomic_i64_add_relaxed(&((posters *)arg)->ran, 1);
    return 0;
}

static void *poster(void *arg)
{
    posters *p = arg;
    for (int i = 0; i < POSTS; i++) {
        CHECK_EQ(ars_post(p->rt, counts, p), 0);
        if (i % 100 == 0) usleep(50); /* lets the worker fall asleep now and then */
    }
    return NULL;
}

static int takes_posts(void *arg)
{
    (void)arg;
    posters p = {.rt = ars_runtime_self()};
    pthread_t threads[POSTERS];
    CHECK_EQ(ars_post(NULL, counts, &p), ARS_EINVAL);
    CHECK_EQ(ars_post(p.rt, NULL, &p), ARS_EINVAL);
    for (int i = 0; i < POSTERS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, poster, &p), 0);
    while (ars_atomic_i64_load_relaxed(&p.ran) < POSTERS * POSTS)
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND / 2)), 0);
    for (int i = 0; i < POSTERS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(ars_atomic_i64_load_relaxed(&p.ran), POSTERS * POSTS);
    return 0;
}

static void posts(void)
{
    world_run_threads(takes_posts, 0, POSTERS);
}

/* The worker has no deadline to wake it, so a wake-up that is lost hangs the test. */
typedef struct relay {
    ars_runtime *rt;
    ars_group *group;
    ars_atomic_u32 turn;
} relay;

static int answers(void *arg)
{
    ars_atomic_u32_add_acq_rel(&((relay *)arg)->turn, 1);
    return 0;
}

static void *asks(void *arg)
{
    relay *r = arg;
    /* A task costs much under ThreadSanitizer, which does not see the worker's own accesses. */
    long rounds = ARS__TSAN ? 20000 : test_times(200000, 40000);
    for (uint32_t i = 1; i <= rounds; i++) {
        CHECK_EQ(ars_post(r->rt, answers, r), 0);
        while (ars_atomic_u32_load_acquire(&r->turn) != i) ars_atomic_pause();
        /* At each moment of the worker's falling asleep, and when it sleeps. */
        if (i % 16 == 0) usleep(1);
        for (volatile uint32_t n = i % 61; n > 0; n--) {}
    }
    ars_group_cancel(r->group, ARS_EIO);
    return NULL;
}

static int waits_for_ever(void *arg)
{
    (void)arg;
    return ars_sleep(ARS_FOREVER);
}

static int waits_for_the_thread(void *arg)
{
    (void)arg;
    ars_group group;
    relay r = {.rt = ars_runtime_self(), .group = &group};
    pthread_t thread;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, waits_for_ever, NULL, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, asks, &r), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
    pthread_join(thread, NULL);
    return 0;
}

static void wakes(void)
{
    world_run_threads(waits_for_the_thread, 0, 1);
}

/* The same at the moments that matter: a message comes before the worker says that it sleeps, and after. */
typedef struct moment {
    ars_group *group;
    ars_atomic_u32 come, over;
} moment;

static void *cancels_at_the_moment(void *arg)
{
    moment *m = arg;
    while (!ars_atomic_u32_load_acquire(&m->come)) sched_yield();
    ars_group_cancel(m->group, ARS_EIO);
    ars_atomic_u32_store_release(&m->over, 1);
    return NULL;
}

static void has_come(void *arg)
{
    moment *m = arg;
    ars_atomic_u32_store_release(&m->come, 1);
    while (!ars_atomic_u32_load_acquire(&m->over)) sched_yield();
}

static int falls_asleep(void *site)
{
    ars_group group;
    moment m = {.group = &group};
    pthread_t thread;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_group_go(&group, waits_for_ever, NULL, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, cancels_at_the_moment, &m), 0);
    fault_before(site, has_come, &m);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
    pthread_join(thread, NULL);
    return 0;
}

static int sleeps_in_poller(void *site)
{
    int rc = ars_wait_fd(2, ARS_FD_OUT, 0);
    if (rc == ARS_EPERM || rc == ARS_ENOSYS) return rc;
    return falls_asleep(site);
}

static void wakes_at_each_moment(void)
{
    static const struct {
        unsigned backend;
        ars_fn *fn;
        const char *site;
    } table[] = {
        {ARS_BACKEND_AUTO, falls_asleep, "now"},
        {ARS_BACKEND_AUTO, falls_asleep, "futex_wait"},
        {ARS_BACKEND_URING, sleeps_in_poller, "now"},
        {ARS_BACKEND_URING, sleeps_in_poller, "uring_enter"},
        {ARS_BACKEND_EPOLL, sleeps_in_poller, "now"},
        {ARS_BACKEND_EPOLL, sleeps_in_poller, "epoll_wait"},
    };
    enum { ROWS = sizeof table / sizeof *table };
    /* Then with one worker, which sleeps without a search: no look at its mail hides what came. */
    for (unsigned k = 0; k < 2 * ROWS; k++) {
        unsigned i = k % ROWS;
        ars_config config = {.backend = table[i].backend, .workers = k / ROWS};
        test_context = table[i].site;
        int rc = ars_run(table[i].fn, (void *)(uintptr_t)table[i].site, &config);
        if (rc == 0) continue;
        CHECK_EQ(table[i].backend, ARS_BACKEND_URING);
        test_skipped("io_uring is refused here");
    }
    test_context = NULL;
}

static void *another_runtime(void *arg)
{
    (void)arg;
    int ran = 0;
    for (int i = 0; i < 50; i++) CHECK_EQ(ars_run(leaves_slow, &ran, NULL), 0);
    CHECK_EQ(ran, 50);
    return NULL;
}

static void several_runtimes(void)
{
    pthread_t a, b;
    CHECK_EQ(pthread_create(&a, NULL, another_runtime, NULL), 0);
    CHECK_EQ(pthread_create(&b, NULL, another_runtime, NULL), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

/* ---- manners ---- */

static int looks_at_sigpipe(void *arg)
{
    (void)arg;
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    CHECK(sigismember(&mask, SIGPIPE));
    CHECK_EQ(kill(getpid(), SIGPIPE), 0); /* does not end the process, nor later */
    return 0;
}

static void sigpipe(void)
{
    sigset_t mask;
    CHECK_EQ(ars_run(looks_at_sigpipe, NULL, NULL), 0);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    CHECK(!sigismember(&mask, SIGPIPE));
}

static int looks_at_stats(void *arg)
{
    (void)arg;
    ars_run_stats stats;
    ars_group group;
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.tasks, 1);
    CHECK_EQ(stats.stacks, 0);
    CHECK(stats.backend == NULL && stats.operations == 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (int i = 0; i < 10; i++) CHECK_EQ(ars_group_go(&group, slow, &orphans_seen, NULL), 0);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_stats(&stats), 0);
    CHECK_EQ(stats.tasks, 11);
    CHECK_EQ(stats.started, 11);
    CHECK_EQ(stats.stacks, 10);
    CHECK(stats.switches >= 11);
    CHECK(stats.guards_light + stats.guards_protect + stats.guards_canary >= 10);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

static void statistics(void)
{
    world_run(looks_at_stats, 0);
}

static void start_and_stop(void)
{
    for (long i = 0; i < test_times(5000, 200); i++) CHECK_EQ(ars_run(returns, (void *)6, NULL), 6);
}

/* ---- exhaustion: whatever fails, an error comes back and nothing is lost ---- */

static int works(void *arg)
{
    (void)arg;
    ars_group group, inner;
    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    for (int i = 0; i < 600 && rc == 0; i++) rc = ars_group_go(&group, slow, &orphans_seen, NULL);
    if (rc == 0) rc = ars_group_init(&inner, NULL, ARS_RACE);
    if (rc == 0) {
        rc = ars_group_go(&inner, returns, (void *)8, NULL);
        int won = ars_group_wait(&inner, ARS_FOREVER);
        CHECK(rc < 0 ? won == rc : won == 8);
    }
    int waited = ars_group_wait(&group, ARS_FOREVER);
    CHECK(rc < 0 || waited == 0);
    return rc;
}

static void exhausted(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = world_workers()};
    ars_run(works, NULL, &config);
}

static void out_of_memory(void)
{
    sweep_alloc("run", exhausted);
}

static void system_fails(void)
{
    sweep_os("run", exhausted);
}

static const test_case cases[] = {
    {"results", results},
    {"root group", root_group},
    {"root task forgets a group", root_task_forgets_a_group},
    {"busy", busy},
    {"within the grace", within_the_grace},
    {"posts", posts},
    {"wakes at each moment", wakes_at_each_moment},
    {"wakes", wakes},
    {"several runtimes", several_runtimes},
    {"sigpipe", sigpipe},
    {"statistics", statistics},
    {"start and stop", start_and_stop},
    {"out of memory", out_of_memory},
    {"system fails", system_fails},
};
TEST_MAIN(cases)
