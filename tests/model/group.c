/* SPDX-License-Identifier: MIT */
/*
 * How a group ends: the last child, whoever that is, wakes the one who waits,
 * and nobody touches the record after that.
 *
 * The functions named ars_ repeat the accesses of these to 'home', 'local',
 * 'pending', 'waiter' and the waiter's 'events':
 *   run/group.c  merge, all_ended, finished, conclude (frees), wait_interrupt,
 *                wait_for, ars__groups_share, ars__group_child_ended
 *   run/sched.h  ars__group_count
 *   run/thread.c ars__thread_park (its futex also stands for a worker's inbox
 *                and sleep, which model_sleep has)
 * Every other use of the record is one plain read of it; freeing it is a plain
 * write, so that a use after the end is a race.  Left out: results, the tree,
 * watching selects, and how often the waiter is interrupted (once, at any
 * moment; or never).  'previous_shared' is not there: one group waits.
 */
#include "model.h"

#include <stdio.h>

enum { WOKEN = 2, ENDED = 16, TELLING = 32 }; /* as in run/sched.h */
enum { BIAS = 1 << 20 };

static enum {
    NO_BUG,
    NOT_TOLD,    /* the last child does not say that it has ended the group */
    NOT_AWAITED, /* nor waits for the waiter's worker */
    FREED_LATE,  /* it frees the record after it has woken the waiter */
    NOT_SHARED,  /* the home keeps its count for itself */
    NOT_COUNTED, /* a child that another child starts is not counted */
    COUNTED_LATE /* or only once it runs already */
} bug;

static struct {
    ars_atomic_i64 pending;
    ars_atomic_ptr home; /* not NULL: the first thread */
    int64_t local;       /* the home's */
    uint64_t waits;      /* there is a waiter */
    uint64_t record;     /* all the rest of it */
} group;
static ars_atomic_u32 events; /* of the waiter */
static ars_atomic_u32 started;
static uint64_t outcome;
static uint64_t
    handle; /* on the waiter's stack: cleared by the end, something else after the wait */
static uint32_t interrupts, at_home, far;
static char me; /* the home's address */

static void set(uint32_t interrupts_, uint32_t at_home_, uint32_t far_)
{
    memset(&group, 0, sizeof group);
    group.pending.ars__v = BIAS;
    group.home.ars__v = &me;
    group.local = at_home_ + far_; /* it has started all of them */
    events.ars__v = 0;
    started.ars__v = 0;
    outcome = 0;
    handle = 1;
    interrupts = interrupts_;
    at_home = at_home_;
    far = far_;
    model_shared(&group, sizeof group);
    model_shared(&outcome, sizeof outcome);
    model_shared(&handle, sizeof handle);
}

/* ---- the end ---- */

static int ars__conclude(void)
{
    MODEL_CHECK(model_read(&group.record) == 0); /* once */
    model_write(&handle, 0);
    model_write(&group.record, 1);
    return 7;
}

static void ars__wake(uint64_t result)
{
    model_write(&outcome, result);
    ars_atomic_u32_or_acq_rel(&events, WOKEN);
    model_futex_wake(&events.ars__v, 1);
}

static void ars__finished(int here)
{
    MODEL_CHECK(model_read(&group.waits));
    if (!here) {
        if (bug != NOT_TOLD) ars_atomic_u32_or_acq_rel(&events, ENDED);
        while (bug != NOT_AWAITED && ars_atomic_u32_load_acquire(&events) & TELLING)
            ars_atomic_pause();
    }
    if (bug == FREED_LATE) {
        ars__wake(7);
        ars__conclude();
        return;
    }
    ars__wake((uint64_t)ars__conclude());
}

static int ars__all_ended(void)
{
    return group.local + (int64_t)ars_atomic_i64_load_acquire(&group.pending) == BIAS;
}

static void ars__child_ended(const char *worker)
{
    if (ars_atomic_ptr_load_relaxed(&group.home) == worker) {
        group.local--;
        if (!model_read(&group.waits) || !ars__all_ended()) return;
        ars__wake((uint64_t)ars__conclude());
        return;
    }
    (void)model_read(&group.record);
    int64_t before = ars_atomic_i64_add_acq_rel(&group.pending, -1);
    MODEL_CHECK(before > 0);
    if (before == 1) ars__finished(0);
}

/* ---- waiting ---- */

static int ars__merge(void)
{
    int64_t change = group.local - BIAS;
    group.local = 0;
    ars_atomic_ptr_store_relaxed(&group.home, NULL);
    return ars_atomic_i64_add_acq_rel(&group.pending, change) + change == 0;
}

static void ars__share(void)
{
    if (bug != NOT_SHARED && ars__merge()) ars__finished(1);
}

static void ars__wait_interrupt(void)
{
    if (!(ars_atomic_u32_or_acq_rel(&events, TELLING) & ENDED))
        (void)model_read(&group.record); /* cancels the children */
    ars_atomic_u32_and_acq_rel(&events, ~(uint32_t)TELLING);
}

static void ars__park(void)
{
    for (;;) {
        uint32_t seen = ars_atomic_u32_load_acquire(&events);
        if (seen & WOKEN) break;
        if (interrupts > 0) {
            interrupts--;
            ars__wait_interrupt();
            continue;
        }
        model_futex_wait(&events.ars__v, seen, ARS_FOREVER);
    }
    ars_atomic_u32_and_acq_rel(&events, ~(uint32_t)(WOKEN | ENDED));
    MODEL_CHECK(model_read(&outcome) == 7);
    model_write(&handle, 2);
}

/* ---- threads ---- */

/* The waiter, and its worker, which runs some of the children. */
static void waits(void)
{
    model_write(&group.waits, 1);
    if (ars__all_ended()) {
        model_write(&outcome, (uint64_t)ars__conclude());
        model_result(1);
        return;
    }
    /* Children that run in its stead; the last thing before it sleeps is to share. */
    for (uint32_t i = 0; i < at_home; i++) ars__child_ended(&me);
    if (!(events.ars__v & WOKEN)) ars__share();
    ars__park();
    model_result(2);
}

static void ends_elsewhere(void)
{
    ars__child_ended("");
    model_result(1);
}

static void ars__count(void)
{
    if (ars_atomic_ptr_load_relaxed(&group.home) == &me + 1) return;
    ars_atomic_i64_add_acq_rel(&group.pending, 1);
}

static void starts_another(void)
{
    if (bug != NOT_COUNTED && bug != COUNTED_LATE) ars__count();
    ars_atomic_u32_store_release(&started, 1);
    if (bug == COUNTED_LATE) ars__count();
    ars__child_ended("");
    model_result(1);
}

static void is_started(void)
{
    while (!ars_atomic_u32_load_acquire(&started)) ars_atomic_pause();
    ars__child_ended("");
    model_result(1);
}

/* ---- programs ---- */

static void two_far_setup(void)
{
    set(1, 0, 2);
}

static void near_and_far_setup(void)
{
    set(1, 1, 2);
}

static void grandchild_setup(void)
{
    set(1, 0, 1);
}

static void grandchild_near_setup(void)
{
    set(0, 1, 1);
}

static void ended(void)
{
    MODEL_CHECK(group.record == 1 && outcome == 7 && handle != 1);
}

enum { TWO_FAR, NEAR_AND_FAR, GRANDCHILD, GRANDCHILD_NEAR };
static const model_program programs[] = {
    [TWO_FAR] = {"two that end elsewhere",
                 two_far_setup,
                 {waits, ends_elsewhere, ends_elsewhere},
                 ended,
                 0},
    [NEAR_AND_FAR] = {"one that ends at home, two elsewhere",
                      near_and_far_setup,
                      {waits, ends_elsewhere, ends_elsewhere},
                      ended,
                      0},
    [GRANDCHILD] = {"one that starts another elsewhere",
                    grandchild_setup,
                    {waits, starts_another, is_started},
                    ended,
                    0},
    [GRANDCHILD_NEAR] = {"the same, and one that ends at home",
                         grandchild_near_setup,
                         {waits, starts_another, is_started},
                         ended,
                         0},
};

static const struct {
    int bug;
    int program;
    const char *name;
} bugs[] = {
    {NOT_TOLD, TWO_FAR, "the last child does not say that it has ended the group"},
    {NOT_AWAITED, TWO_FAR, "it does not wait for who is using the record"},
    {FREED_LATE, TWO_FAR, "it clears the handle after the wake"},
    {NOT_SHARED, TWO_FAR, "the home does not share its count"},
    {NOT_COUNTED, GRANDCHILD, "a child's child is not counted"},
    {COUNTED_LATE, GRANDCHILD, "a child's child is counted after its start"},
};

static const model_survivor survivors[] = {
    {"ars__park load 1", "relaxed", "taking the bit out acquires too"},
    {"ars__park and 1", "relaxed acquire release", "finding the bit has acquired already"},
    {"ars__wait_interrupt or 1", "relaxed acquire release",
     "of two changes of one word one is first; what orders the rest is the end of TELLING"},
    {"ars__wait_interrupt and 1", "release", "it reads nothing by it"},
    {"ars__finished or 1", "relaxed acquire release",
     "the same; it acquires by looking for TELLING"},
    {"ars__wake or 1", "release", "it reads nothing by it"},
    {"ars__count add 1", "relaxed acquire release",
     "the child is started by something that releases, and ends after it"},
};

int main(void)
{
    int rc = model_main(programs, sizeof programs / sizeof *programs, survivors,
                        sizeof survivors / sizeof *survivors);
    if (rc == 77) return rc;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        bug = bugs[i].bug;
        int passes = model_explore(&programs[bugs[i].program]);
        printf("%s: %s\n", bugs[i].name, passes ? "passes" : "fails");
        if (!passes) continue;
        fprintf(stderr, "%s: nothing fails\n", bugs[i].name);
        rc = 1;
    }
    return rc;
}
