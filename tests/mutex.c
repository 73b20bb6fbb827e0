/* SPDX-License-Identifier: MIT */
/* Mutexes: exclusion, giving up, fairness, freeing, and what debug builds find. */
#include <arsenal/mutex.h>

#include "locks.h"

static void lock(ars_mutex *mutex)
{
    CHECK_EQ(ars_mutex_lock(mutex, ARS_FOREVER), 0);
}

static void unlock(ars_mutex *mutex)
{
    CHECK_EQ(ars_mutex_unlock(mutex), 0);
}

/* ---- exclusion ---- */

typedef struct account {
    ars_mutex mutex;
    long left, right; /* equal outside of the lock, and not atomic */
    long rounds;
} account;

static int moves(void *arg)
{
    account *a = arg;
    for (long i = 0; i < a->rounds; i++) {
        lock(&a->mutex);
        CHECK_EQ(a->left, a->right);
        a->left++;
        if (i % 64 == 0) CHECK_EQ(ars_yield(), 0);
        a->right++;
        unlock(&a->mutex);
        if (i % 1024 == 0) CHECK_EQ(ars_sleep(ars_after(ARS_MICROSECOND * 50)), 0);
    }
    return 0;
}

static int moves_impatiently(void *arg)
{
    account *a = arg;
    for (long i = 0; i < a->rounds;) {
        int rc = ars_mutex_lock(&a->mutex, i % 2 ? 0 : ars_after(20 * ARS_MICROSECOND));
        if (rc < 0) {
            CHECK_EQ(rc, ARS_ETIMEDOUT);
            CHECK_EQ(ars_yield(), 0);
            continue;
        }
        CHECK_EQ(a->left++, a->right++);
        unlock(&a->mutex);
        i++;
    }
    return 0;
}

static int excludes(void *arg)
{
    (void)arg;
    account a = {.rounds = test_times(20000, 2000)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 4; i++) crew_task(&c, moves, &a);
    for (int i = 0; i < 2; i++) crew_task(&c, moves_impatiently, &a);
    crew_thread(&c, moves, &a);
    crew_thread(&c, moves_impatiently, &a);
    crew_end(&c);
    CHECK_EQ(a.left, 8 * a.rounds);
    CHECK_EQ(a.right, 8 * a.rounds);
    CHECK_EQ(ars_mutex_lock(&a.mutex, 0), 0);
    return 0 * ars_mutex_unlock(&a.mutex);
}

/* ---- giving up ---- */

typedef struct visit {
    ars_mutex *mutex;
    ars_time deadline;
    int expected;
    int *order, nth;
} visit;

static int visits(void *arg)
{
    visit *v = arg;
    CHECK_EQ(ars_mutex_lock(v->mutex, v->deadline), v->expected);
    if (v->expected < 0) {
        CHECK(v->deadline == 0 || v->deadline == ARS_FOREVER || ars_now() >= v->deadline);
        return 0;
    }
    if (v->order) v->nth = ++*v->order;
    unlock(v->mutex);
    return 0;
}

static int deadlines(void *arg)
{
    (void)arg;
    ars_mutex mutex = {0};
    int order = 0;
    visit tries = {&mutex, 0, ARS_ETIMEDOUT, NULL, 0};
    visit late = {&mutex, 1, ARS_ETIMEDOUT, NULL, 0};
    visit first = {&mutex, ARS_FOREVER, 0, &order, 0};
    visit gives_up = {&mutex, ars_after(2 * ARS_MILLISECOND), ARS_ETIMEDOUT, NULL, 0};
    visit second = {&mutex, ARS_FOREVER, 0, &order, 0};
    crew c, quitters;
    lock(&mutex);
    crew_begin(&c);
    crew_begin(&quitters);
    crew_task(&quitters, visits, &tries);
    crew_thread(&quitters, visits, &tries);
    crew_task(&quitters, visits, &late);
    crew_thread(&quitters, visits, &late);
    crew_task(&c, visits, &first);
    locks_settle();
    crew_task(&quitters, visits, &gives_up);
    crew_thread(&quitters, visits, &gives_up);
    locks_settle();
    crew_task(&c, visits, &second);
    crew_end(&quitters);
    unlock(&mutex);
    crew_end(&c);
    CHECK_EQ(first.nth, 1);
    CHECK_EQ(second.nth, 2);
    lock(&mutex);
    unlock(&mutex);
    return 0;
}

static int is_cancelled(void *arg)
{
    ars_mutex *mutex = arg;
    CHECK_EQ(ars_mutex_lock(mutex, ARS_FOREVER), ARS_ECANCELED);
    /* From now on at entry, whether it is free or not; with deadline 0 it is no cancellation point. */
    CHECK_EQ(ars_mutex_lock(mutex, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_mutex_lock(mutex, 0), ARS_ETIMEDOUT);
    ars_mutex other = {0};
    CHECK_EQ(ars_mutex_lock(&other, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_mutex_lock(&other, 0), 0);
    unlock(&other);
    return 0;
}

static int cancels(void *arg)
{
    (void)arg;
    ars_mutex mutex = {0};
    locks_victims v;
    lock(&mutex);
    locks_victims_begin(&v);
    for (int i = 0; i < 3; i++) locks_victim(&v, is_cancelled, &mutex);
    locks_settle();
    locks_victims_cancel(&v);
    unlock(&mutex);
    lock(&mutex);
    unlock(&mutex);
    return 0;
}

static ars_atomic_u32 scope_ended;

static int scope_ends(void *arg)
{
    ars_mutex *mutex = arg;
    ars_scope scope;
    CHECK_EQ(ars_scope_enter(&scope, ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_mutex_lock(mutex, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    ars_atomic_u32_store_release(&scope_ended, 1);
    lock(mutex);
    unlock(mutex);
    return 0;
}

static int scopes(void *arg)
{
    (void)arg;
    ars_mutex mutex = {0};
    crew c;
    ars_atomic_u32_store_relaxed(&scope_ended, 0);
    lock(&mutex);
    crew_begin(&c);
    crew_task(&c, scope_ends, &mutex);
    while (!ars_atomic_u32_load_acquire(&scope_ended))
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    unlock(&mutex);
    crew_end(&c);
    return 0;
}

/* ---- fairness; on one worker, where it is known who runs ---- */

typedef struct hog {
    ars_mutex mutex;
    int turns; /* of the hog */
    int seen;  /* turns when the other got the lock */
} hog;

static int wants_it(void *arg)
{
    hog *h = arg;
    lock(&h->mutex);
    /* Debug builds know the owner, however it came to the lock. */
    if (ARS__ASSERTS) CHECK_EQ(ars_mutex_lock(&h->mutex, 0), ARS_EDEADLK);
    h->seen = h->turns;
    unlock(&h->mutex);
    return 0;
}

static int hogs(void *arg)
{
    hog *h = arg;
    for (int i = 0; i < 10; i++) {
        lock(&h->mutex);
        h->turns++;
        CHECK_EQ(ars_sleep(ars_after(2 * ARS_MILLISECOND)), 0);
        unlock(&h->mutex);
    }
    return 0;
}

/* Who has waited for more than a millisecond is next, however fast the holder is to come back. */
static int hands_over(void *arg)
{
    (void)arg;
    hog h = {.seen = -1};
    crew c;
    crew_begin(&c);
    crew_task(&c, hogs, &h);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(h.turns, 1);
    crew_task(&c, wants_it, &h);
    crew_end(&c);
    CHECK_EQ(h.turns, 10);
    /* 1, unless the machine stood still before the other came to wait. */
    CHECK(h.seen >= 1 && h.seen <= 3);
    return 0;
}

/* Short waits do not cost the holder the lock. */
static int barges(void *arg)
{
    (void)arg;
    int barged = 0;
    for (int i = 0; i < 100 && !barged; i++) {
        hog h = {.seen = -1};
        crew c;
        lock(&h.mutex);
        crew_begin(&c);
        crew_task(&c, wants_it, &h);
        locks_settle();
        unlock(&h.mutex);
        /* A machine that stood still for a millisecond may have made this a hand-over. */
        if (ars_mutex_lock(&h.mutex, 0) == 0) {
            CHECK_EQ(h.seen, -1);
            barged = 1;
            unlock(&h.mutex);
        }
        crew_end(&c);
        CHECK_EQ(h.seen, 0);
    }
    CHECK(barged);
    return 0;
}

typedef struct pair {
    ars_mutex mutex;
    int cancelled, served;
} pair;

static int gets_or_is_cancelled(void *arg)
{
    pair *p = arg;
    int rc = ars_mutex_lock(&p->mutex, ARS_FOREVER);
    if (rc < 0) {
        CHECK_EQ(rc, ARS_ECANCELED);
        p->cancelled++;
        return 0;
    }
    p->served++;
    unlock(&p->mutex);
    return 0;
}

static int gets(void *arg)
{
    pair *p = arg;
    lock(&p->mutex);
    p->served += 10;
    unlock(&p->mutex);
    return 0;
}

/* One that has been woken, finds the lock taken and is cancelled does not keep the wake to itself. */
static int woken_and_cancelled(void *arg)
{
    (void)arg;
    for (int taken = 0; taken < 2; taken++) {
        pair p = {0};
        locks_victims v;
        crew c;
        lock(&p.mutex);
        locks_victims_begin(&v);
        locks_victim(&v, gets_or_is_cancelled, &p);
        locks_settle();
        crew_begin(&c);
        crew_task(&c, gets, &p);
        locks_settle();
        unlock(&p.mutex);
        int again = taken && ars_mutex_lock(&p.mutex, 0) == 0;
        locks_victims_cancel(&v);
        if (again) {
            CHECK_EQ(p.cancelled, 1);
            CHECK_EQ(p.served, 0);
            unlock(&p.mutex);
        }
        crew_end(&c);
        CHECK_EQ(p.cancelled, again);
        CHECK_EQ(p.served, again ? 10 : 11);
    }
    return 0;
}

/* ---- freed by whoever unlocks it last ---- */

enum { SHARERS = 3 };

typedef struct shared {
    ars_mutex mutex;
    int users;
} shared;

typedef struct shelf {
    shared **items;
    long n;
} shelf;

static int lets_go(void *arg)
{
    shelf *s = arg;
    for (long i = 0; i < s->n; i++) {
        shared *item = s->items[i];
        lock(&item->mutex);
        int last = --item->users == 0;
        unlock(&item->mutex);
        if (last) {
            locks_gone(item, sizeof *item);
            free(item);
        }
    }
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    shelf s = {.n = test_times(50000, 5000)};
    s.items = malloc((size_t)s.n * sizeof *s.items);
    CHECK(s.items);
    for (long i = 0; i < s.n; i++) {
        s.items[i] = calloc(1, sizeof **s.items);
        CHECK(s.items[i]);
        s.items[i]->users = SHARERS;
    }
    crew c;
    crew_begin(&c);
    crew_task(&c, lets_go, &s);
    crew_task(&c, lets_go, &s);
    crew_thread(&c, lets_go, &s);
    crew_end(&c);
    free(s.items);
    return 0;
}

/* ---- misuse ---- */

static int unlocks_anothers(void *arg)
{
    CHECK_EQ(ars_mutex_unlock(arg), ARS_EPERM);
    return 0;
}

static int misuse(void *arg)
{
    (void)arg;
    ars_mutex mutex = {0};
    CHECK_EQ(ars_mutex_unlock(&mutex), ARS_EPERM);
    lock(&mutex);
    CHECK_EQ(ars_mutex_lock(&mutex, 0), ARS__ASSERTS ? ARS_EDEADLK : ARS_ETIMEDOUT);
    if (ARS__ASSERTS) {
        CHECK_EQ(ars_mutex_lock(&mutex, ARS_FOREVER), ARS_EDEADLK);
        crew c;
        crew_begin(&c);
        crew_task(&c, unlocks_anothers, &mutex);
        crew_thread(&c, unlocks_anothers, &mutex);
        crew_end(&c);
    }
    unlock(&mutex);
    CHECK_EQ(ars_mutex_unlock(&mutex), ARS_EPERM);
    return 0;
}

static int out_of_rank(void *arg)
{
    (void)arg;
    ars_mutex low = ARS_MUTEX_RANK(1), high = ARS_MUTEX_RANK(2), none = {0};
    lock(&low);
    lock(&high);
    lock(&none);
    CHECK_EQ(ars_mutex_unlock(&low), 0);
    CHECK_EQ(ars_mutex_lock(&low, ARS_FOREVER), ARS_EDEADLK);
    unlock(&none);
    unlock(&high);
    lock(&low);
    unlock(&low);
    return 0;
}

static int ends_holding(void *arg)
{
    return ars_mutex_lock(arg, ARS_FOREVER);
}

static int left_locked(void *arg)
{
    (void)arg;
    static ars_mutex mutex;
    ars_task_opt opt = {.name = "forgetful"};
    crew c;
    crew_begin(&c);
    CHECK_EQ(ars_group_go(&c.group, ends_holding, &mutex, &opt), 0);
    crew_end(&c);
    CHECK_EQ(ars_mutex_unlock(&mutex), 0);
    return 0;
}

static void reports(ars_fn *fn, const char *text)
{
    static world w;
    if (!ARS__ASSERTS) {
        test_skipped("not a debug build");
        return;
    }
    world_begin(&w);
    CHECK_EQ(ars_run(fn, NULL, &w.config), 0);
    if (!strstr(w.reports, text)) FAIL("the report is '%s'", w.reports);
}

static void case_out_of_rank(void)
{
    reports(out_of_rank, "locks rank 1 at 0x");
}

static void case_left_locked(void)
{
    reports(left_locked, "task 'forgetful' is gone and still holds the lock 0x");
}

/* Holds one for ever: parked, or (on the second worker) without ever having parked. */
static int parks_holding(void *arg)
{
    ars_scope shield;
    lock(arg);
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    return ars_sleep(ARS_FOREVER);
}

static ars_atomic_u32 spins;

static int runs_holding(void *arg)
{
    lock(arg);
    ars_atomic_u32_store_release(&spins, 1);
    while (ars_atomic_u32_load_acquire(&spins)) ars_atomic_pause();
    return 0;
}

static int leaves_them(void *arg)
{
    (void)arg;
    static ars_mutex parked, running, root;
    ars_task_opt mule = {.name = "mule", .home = 1}, hare = {.name = "hare", .home = 2};
    CHECK_EQ(ars_group_go(NULL, parks_holding, &parked, &mule), 0);
    CHECK_EQ(ars_group_go(NULL, runs_holding, &running, &hare), 0);
    CHECK_EQ(ars_yield(), 0);
    while (!ars_atomic_u32_load_acquire(&spins)) ars_yield();
    lock(&root);
    return 0;
}

static void abandoned_child(void *arg)
{
    (void)arg;
    static world w;
    world_begin(&w);
    w.config.workers = 2;
    w.config.grace = ARS_MILLISECOND;
    CHECK_EQ(ars_run(leaves_them, NULL, &w.config), ARS_EBUSY);
    CHECK(strstr(w.reports, "task 'unnamed' is gone and still holds the lock 0x"));
    CHECK(strstr(w.reports, "task 'mule' is gone and still holds the lock 0x"));
    CHECK(strstr(w.reports, "task 'hare' is gone and still holds the lock 0x"));
}

static void case_abandoned_locked(void)
{
    if (!ARS__ASSERTS) {
        test_skipped("not a debug build");
        return;
    }
    test_end end = test_child(abandoned_child, NULL);
    if (end.signal || end.status) FAIL("%s", end.err);
}

/* ---- no allocation ---- */

static int allocates_nothing(void *arg)
{
    world *w = arg;
    account a = {.rounds = 2000};
    crew c;
    for (int i = 0; i < 2; i++) {
        uint64_t before = ars_alloc_tracker_stats(&w->tracker).calls;
        crew_begin(&c);
        for (int k = 0; k < 6; k++) crew_task(&c, moves, &a);
        crew_end(&c);
        /* The first round made the tasks' memory. */
        if (i == 1) CHECK_EQ(ars_alloc_tracker_stats(&w->tracker).calls, before);
    }
    return 0;
}

LOCKS_CASE_ALL(excludes)
LOCKS_CASE(deadlines, 1)
LOCKS_CASE(cancels, 1)
LOCKS_CASE(scopes, 2)
LOCKS_CASE(hands_over, 1)
LOCKS_CASE(barges, 1)
LOCKS_CASE(woken_and_cancelled, 1)
LOCKS_CASE_ALL(freed)
LOCKS_CASE(misuse, 1)
LOCKS_CASE(allocates_nothing, 1)

static const test_case cases[] = {
    {"excludes", case_excludes},
    {"deadlines", case_deadlines},
    {"cancels", case_cancels},
    {"scopes", case_scopes},
    {"hands over", case_hands_over},
    {"barges", case_barges},
    {"woken and cancelled", case_woken_and_cancelled},
    {"freed", case_freed},
    {"misuse", case_misuse},
    {"out of rank", case_out_of_rank},
    {"left locked", case_left_locked},
    {"abandoned locked", case_abandoned_locked},
    {"allocates nothing", case_allocates_nothing},
};
TEST_MAIN(cases)
