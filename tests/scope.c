/* SPDX-License-Identifier: MIT */
/* Scopes and shields. */
#include "fault.h"
#include "world.h"

static ars_time soon(void)
{
    return ars_after(2 * ARS_MILLISECOND);
}

static int deadline_cancels_waits(void *arg)
{
    (void)arg;
    ars_scope scope;
    ars_time at = soon();
    CHECK_EQ(ars_scope_enter(&scope, at), 0);
    CHECK_EQ(ars_cancel_reason(), 0);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK(ars_now() >= at);
    CHECK_EQ(ars_cancel_reason(), ARS_ETIMEDOUT);
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED); /* level-triggered */
    CHECK_EQ(ars_yield(), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    CHECK_EQ(ars_cancel_reason(), 0);
    CHECK_EQ(ars_yield(), 0);
    return 0;
}

static int own_deadline_first(void *arg)
{
    (void)arg;
    ars_scope scope;
    CHECK_EQ(ars_scope_enter(&scope, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(ars_sleep(soon()), 0);
    CHECK_EQ(ars_scope_leave(&scope), 0); /* nothing was cancelled by it */
    /* A scope whose deadline passes while nobody waits has cancelled nothing. */
    CHECK_EQ(ars_scope_enter(&scope, 1), 0);
    CHECK_EQ(ars_scope_leave(&scope), 0);
    CHECK_EQ(ars_scope_enter(&scope, 0), 0);
    CHECK_EQ(ars_sleep(1), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    return 0;
}

/* The scope whose deadline it was says so, not the one inside it. */
static int nesting(void *arg)
{
    (void)arg;
    ars_scope outer, inner;
    CHECK_EQ(ars_scope_enter(&outer, soon()), 0);
    CHECK_EQ(ars_scope_enter(&inner, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&inner), 0);
    CHECK_EQ(ars_scope_leave(&outer), ARS_ETIMEDOUT);

    CHECK_EQ(ars_scope_enter(&outer, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(ars_scope_enter(&inner, soon()), 0);
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&inner), ARS_ETIMEDOUT);
    CHECK_EQ(ars_sleep(soon()), 0);
    CHECK_EQ(ars_scope_leave(&outer), 0);
    return 0;
}

static int leaves_in_disorder(void *arg)
{
    world *w = arg;
    ars_scope a, b, c, never = {{0}};
    CHECK_EQ(ars_scope_leave(&never), ARS_EINVAL);
    CHECK_EQ(ars_scope_enter(&a, ARS_FOREVER), 0);
    CHECK_EQ(ars_scope_enter(&b, 1), 0);
    CHECK_EQ(ars_shield_enter(&c, ARS_FOREVER), 0);
    CHECK_EQ(ars_scope_leave(&a), 0); /* takes b and c along */
    if (ARS__ASSERTS) CHECK(strstr(w->reports, "before the scopes inside"));
    w->reports[0] = '\0';
    CHECK_EQ(ars_scope_leave(&b), ARS_EINVAL);
    CHECK_EQ(ars_scope_leave(&c), ARS_EINVAL);
    CHECK_EQ(ars_scope_leave(&a), ARS_EINVAL);
    CHECK_EQ(ars_sleep(soon()), 0);
    return 0;
}

/* ---- shields ---- */

typedef struct shielded {
    int inside, after, done;
} shielded;

static int cleans_up(void *arg)
{
    shielded *s = arg;
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    ars_scope shield, scope;
    CHECK_EQ(ars_shield_enter(&shield, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(ars_cancel_reason(), 0);
    s->inside = ars_sleep(soon());
    /* A scope inside a shield still ends waits. */
    CHECK_EQ(ars_scope_enter(&scope, soon()), 0);
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    CHECK_EQ(ars_scope_leave(&shield), 0);
    CHECK_EQ(ars_cancel_reason(), ARS_EIO);
    s->after = ars_sleep(ARS_FOREVER);
    s->done = 1;
    return 0;
}

/* Cancelled while it waits under a shield: the wait goes on, the next one outside ends. */
static int waits_shielded(void *arg)
{
    shielded *s = arg;
    ars_scope shield;
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    s->inside = ars_sleep(ars_after(5 * ARS_MILLISECOND));
    CHECK_EQ(ars_scope_leave(&shield), 0);
    s->after = ars_sleep(ARS_FOREVER);
    s->done = 1;
    return 0;
}

static int shield_has_its_own_limit(void *arg)
{
    shielded *s = arg;
    CHECK_EQ(ars_sleep(ARS_FOREVER), ARS_ECANCELED);
    ars_scope shield;
    CHECK_EQ(ars_shield_enter(&shield, soon()), 0);
    s->inside = ars_sleep(ARS_FOREVER) == ARS_ECANCELED ? 0 : -1;
    CHECK_EQ(ars_cancel_reason(), ARS_ETIMEDOUT);
    CHECK_EQ(ars_scope_leave(&shield), ARS_ETIMEDOUT);
    s->after = ars_sleep(ARS_FOREVER);
    s->done = 1;
    return 0;
}

static int shields(void *arg)
{
    (void)arg;
    ars_fn *const fns[] = {cleans_up, waits_shielded, shield_has_its_own_limit};
    for (int i = 0; i < 3; i++) {
        shielded s = {-1, -1, 0};
        ars_group group;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        CHECK_EQ(ars_group_go(&group, fns[i], &s, NULL), 0);
        CHECK_EQ(ars_yield(), 0);
        ars_group_cancel(&group, ARS_EIO);
        CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_EIO);
        CHECK_EQ(s.inside, 0);
        CHECK_EQ(s.after, ARS_ECANCELED);
        CHECK_EQ(s.done, 1);
    }
    /* A shield keeps an outer scope's deadline away too. */
    ars_scope scope, shield;
    CHECK_EQ(ars_scope_enter(&scope, 1), 0);
    CHECK_EQ(ars_shield_enter(&shield, ARS_FOREVER), 0);
    CHECK_EQ(ars_sleep(soon()), 0);
    CHECK_EQ(ars_scope_leave(&shield), 0);
    CHECK_EQ(ars_sleep(1), ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);
    return 0;
}

/* ---- groups under scopes ---- */

static int inherits(void *arg)
{
    *(int *)arg = ars_sleep(ARS_FOREVER);
    CHECK_EQ(ars_cancel_reason(), ARS_ETIMEDOUT);
    return 0;
}

static int groups_inherit(void *arg)
{
    (void)arg;
    ars_scope scope, shield;
    ars_group group;
    int rc = 0;
    CHECK_EQ(ars_scope_enter(&scope, soon()), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, inherits, &rc, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(rc, ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&scope), ARS_ETIMEDOUT);

    /* The children's own deadline, in force when the scope has been left too. */
    CHECK_EQ(ars_scope_enter(&scope, soon()), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_scope_leave(&scope), 0);
    rc = 0;
    CHECK_EQ(ars_group_go(&group, inherits, &rc, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ars_after(10 * ARS_SECOND)), 0);
    CHECK_EQ(rc, ARS_ECANCELED);

    /* Under a shield: the shield's deadline only. */
    CHECK_EQ(ars_scope_enter(&scope, 1), 0);
    CHECK_EQ(ars_shield_enter(&shield, soon()), 0);
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    rc = 0;
    CHECK_EQ(ars_group_go(&group, inherits, &rc, NULL), 0);
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(rc, 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(rc, ARS_ECANCELED);
    CHECK_EQ(ars_scope_leave(&shield), ARS_ETIMEDOUT);
    CHECK_EQ(ars_scope_leave(&scope), 0);
    return 0;
}

/* ---- scopes that were not left ---- */

static ARS__NOINLINE void enters_and_returns(void)
{
    ars_scope scope;
    CHECK_EQ(ars_scope_enter(&scope, 1), 0);
    CHECK_EQ(ars_sleep(1), ARS_ECANCELED);
}

static ARS__NOINLINE void overwrites_the_stack(void)
{
    volatile char junk[512];
    for (size_t i = 0; i < sizeof junk; i++) junk[i] = (char)0xa5;
}

static int stale(void *arg)
{
    world *w = arg;
    ars_scope scope;
    for (int i = 0; i < 3; i++) {
        if (i == 2) CHECK_EQ(ars_scope_enter(&scope, ars_after(10 * ARS_SECOND)), 0);
        enters_and_returns();
        if (i == 1) overwrites_the_stack();
        CHECK_EQ(ars_sleep(soon()), 0); /* the stale one is dropped */
        if (ARS__ASSERTS) CHECK(strstr(w->reports, "without leaving its scope"));
        w->reports[0] = '\0';
        CHECK_EQ(ars_cancel_reason(), 0);
        if (i == 2) CHECK_EQ(ars_scope_leave(&scope), 0);
    }
    return 0;
}

static int stale_in_a_task(void *arg)
{
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, stale, arg, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, ARS_FOREVER), 0);
    return 0;
}

/* ---- exhaustion ---- */

static int waits(void *arg)
{
    (void)arg;
    return ars_sleep(ARS_FOREVER);
}

static int under_deadlines(void *arg)
{
    ars_scope scope, shield;
    CHECK_EQ(ars_scope_enter(&scope, soon()), 0);
    int rc = ars_sleep(ARS_FOREVER);
    CHECK_EQ(rc, ARS_ECANCELED);
    CHECK_EQ(ars_shield_enter(&shield, soon()), 0);
    ars_group group;
    rc = ars_group_init(&group, NULL, ARS_RACE);
    if (rc == 0) {
        for (int i = 0; i < 40 && rc == 0; i++) rc = ars_group_go(&group, waits, arg, NULL);
        int waited = ars_group_wait(&group, ARS_FOREVER);
        CHECK(waited <= 0);
    }
    CHECK(ars_scope_leave(&shield) <= 0);
    CHECK(ars_scope_leave(&scope) <= 0);
    return rc;
}

static int many_under_deadlines(void *arg)
{
    (void)arg;
    ars_group group;
    int results[8] = {0}, rc = ars_group_init(&group, NULL, ARS_COLLECT);
    if (rc < 0) return rc;
    for (int i = 0; i < 8 && rc == 0; i++)
        rc = ars_group_go(&group, under_deadlines, &results[i], NULL);
    return ars_group_wait(&group, ARS_FOREVER);
}

static void exhausted(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = world_workers()};
    ars_run(many_under_deadlines, NULL, &config);
}

static void out_of_memory(void)
{
    sweep_alloc("scope", exhausted);
}

static void system_fails(void)
{
    sweep_os("scope", exhausted);
}

#define CASE(name)                                                                                 \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        world_run(name, 0);                                                                        \
    }
CASE(deadline_cancels_waits)
CASE(own_deadline_first)
CASE(nesting)
CASE(leaves_in_disorder)
CASE(shields)
CASE(groups_inherit)
CASE(stale)
CASE(stale_in_a_task)

static void on_a_plain_thread(void)
{
    ars_scope scope;
    CHECK_EQ(ars_scope_enter(&scope, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_shield_enter(&scope, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_scope_leave(&scope), ARS_EINVAL);
}

static const test_case cases[] = {
    {"deadline cancels waits", case_deadline_cancels_waits},
    {"own deadline first", case_own_deadline_first},
    {"nesting", case_nesting},
    {"leaves in disorder", case_leaves_in_disorder},
    {"shields", case_shields},
    {"groups inherit", case_groups_inherit},
    {"stale", case_stale},
    {"stale in a task", case_stale_in_a_task},
    {"on a plain thread", on_a_plain_thread},
    {"out of memory", out_of_memory},
    {"system fails", system_fails},
};
TEST_MAIN(cases)
