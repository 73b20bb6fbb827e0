/* SPDX-License-Identifier: MIT */
/*
 * A task that moves from worker to worker while somebody cancels it: the cancel
 * arrives once, on the worker whose it is then, and nobody touches the task
 * when it is gone.
 *
 * The functions named ars_ repeat these of run/sched.c and run/task.c as far as
 * 'events', 'worker', 'linked' and the mail go:
 *   ars__task_mail, is_ours, deliver, ars__sched_drain, adopt,
 *   park_slow (its look at a cancel), end (mail that is still on its way)
 * The inbox is the library's.  Left out: wake-ups (a moving task is ready, so
 * none comes), sleeping workers (model_sleep has them; here they look again
 * when there is something new), and how it gets to the new worker: when the
 * program begins it is ready, its bit is set, and nobody has it.
 */
#include "model.h"

#include <stdio.h>

#include "sync/inbox.h"

enum { CANCELLED = 4, MAIL = 7, MOVING = 64, GONE = 128 }; /* as in run/sched.h */
enum { IN_GROUP = 1, LOOK = 2 };                           /* as in run/sched.h */
enum { OVER = 1 << 8 };                                    /* rung when all is over */

static enum {
    NO_BUG,
    CLEARED_EARLY, /* the bit, before the new worker is written */
    NOT_LOOKED,    /* whoever takes it over does not have it look for a cancel */
    OLD_HOME,      /* the old worker takes a moving task for its own */
    MAIL_DROPPED,  /* the old worker drops the mail of one that has moved */
    MAIL_IGNORED   /* the task ends, and its record goes, though it has mail */
} bug;

typedef struct worker {
    ars__inbox inbox;
    ars_atomic_u32 rung; /* stands for its sleep */
} worker;

static struct task {
    ars__inbox_node mail; /* first: a node's address is its task's */
    ars_atomic_u32 events;
    ars_atomic_ptr worker;
    uint64_t linked;  /* its worker's */
    uint64_t parked;  /* its worker's */
    uint64_t resumed; /* how often it has been interrupted */
    uint64_t freed;
} task;
static worker workers[2];
static ars_atomic_u32 reason;
/* Taken by whoever has the group's lock, and for good when the task leaves the group. */
static ars_atomic_u32 in_group;

static void setup(void)
{
    memset(&task, 0, sizeof task);
    memset(workers, 0, sizeof workers);
    reason.ars__v = 0;
    in_group.ars__v = 1;
    task.events.ars__v = MOVING;
    task.worker.ars__v = &workers[0];
    task.linked = IN_GROUP;
    model_shared(&task, sizeof task);
    model_shared(workers, sizeof workers);
}

/* ---- mail ---- */

/* Relaxed, so that it orders nothing in place of what is to be tested. */
static void ring(worker *w, uint32_t n)
{
    ars_atomic_u32_add_relaxed(&w->rung, n);
    model_futex_wake(&w->rung.ars__v, 1);
}

static void ars__task_mail(uint32_t event)
{
    worker *w = ars_atomic_ptr_load_relaxed(&task.worker);
    if (!(ars_atomic_u32_or_acq_rel(&task.events, event) & MAIL)) {
        ars__inbox_push(&w->inbox, &task.mail);
        ring(w, 1);
    }
}

static int ars__is_ours(worker *w)
{
    uint32_t events = ars_atomic_u32_load_acquire(&task.events);
    while (bug != OLD_HOME && events & MOVING)
        if (ars_atomic_u32_cas_acq_rel(&task.events, &events, events & ~(uint32_t)MAIL)) return 0;
    worker *home = ars_atomic_ptr_load_relaxed(&task.worker);
    if (home == w) return 1;
    if (bug == MAIL_DROPPED) return 0;
    ars__inbox_push(&home->inbox, &task.mail);
    ring(home, 1);
    return 0;
}

static void ars__free(void)
{
    MODEL_CHECK(model_read(&task.freed) == 0);
    model_write(&task.freed, 1);
    model_write((uint64_t *)(void *)&task.mail, 0);
    ring(&workers[0], OVER);
}

static int ars__task_cancelled(void)
{
    return ars_atomic_u32_load_acquire(&reason) != 0;
}

static void ars__interrupt(void)
{
    model_write(&task.parked, 0);
    model_write(&task.resumed, model_read(&task.resumed) + 1);
}

static void ars__deliver(worker *w)
{
    MODEL_CHECK(model_read(&task.freed) == 0);
    if (!ars__is_ours(w)) return;
    uint32_t events = ars_atomic_u32_and_acq_rel(&task.events, ~(uint32_t)MAIL);
    if (events & GONE) {
        ars__free();
        return;
    }
    if (!(events & CANCELLED)) return;
    if (!model_read(&task.parked))
        model_write(&task.linked, LOOK);
    else if (ars__task_cancelled())
        ars__interrupt();
}

static void ars__drain(worker *w)
{
    if (ars__inbox_empty(&w->inbox)) return;
    for (ars__inbox_node *node = ars__inbox_take(&w->inbox); node;) {
        ars__inbox_node *next = node->next;
        ars__deliver(w);
        node = next;
    }
}

/* ---- moving ---- */

static void ars__adopt(worker *w)
{
    if (bug == CLEARED_EARLY) ars_atomic_u32_and_acq_rel(&task.events, ~(uint32_t)MOVING);
    ars_atomic_ptr_store_relaxed(&task.worker, w);
    if (bug != CLEARED_EARLY) ars_atomic_u32_and_acq_rel(&task.events, ~(uint32_t)MOVING);
    if (bug != NOT_LOOKED) model_write(&task.linked, LOOK);
}

static void ars__park(void)
{
    model_write(&task.parked, 1);
    if (model_read(&task.linked) == LOOK) {
        model_write(&task.linked, IN_GROUP);
        if (ars__task_cancelled()) ars__task_mail(CANCELLED);
    }
}

/* Its group knows it no more: nobody sends it anything from now on. */
static void ars__end(void)
{
    if (bug != MAIL_IGNORED && ars_atomic_u32_load_acquire(&task.events) & MAIL)
        ars_atomic_u32_or_acq_rel(&task.events, GONE);
    if (!(ars_atomic_u32_load_relaxed(&task.events) & GONE)) ars__free();
}

/* ---- threads ---- */

/* The old worker looks at its mail until all is over. */
static void old_home(void)
{
    for (;;) {
        uint32_t seen = ars_atomic_u32_load_relaxed(&workers[0].rung);
        if (seen >= OVER) break;
        ars__drain(&workers[0]);
        model_futex_wait(&workers[0].rung.ars__v, seen, ARS_FOREVER);
        model_result(2);
    }
    model_result(3);
}

/* The new one does so as long as the task waits, and until its record has gone. */
static void goes_on(const uint64_t *flag, uint64_t value)
{
    while (model_read(flag) != value) {
        uint32_t seen = ars_atomic_u32_load_relaxed(&workers[1].rung);
        ars__drain(&workers[1]);
        if (model_read(flag) != value) model_futex_wait(&workers[1].rung.ars__v, seen, ARS_FOREVER);
        model_result(4);
    }
}

static void leaves_group(void)
{
    while (ars_atomic_u32_swap_acquire(&in_group, 0) == 0) ars_atomic_pause();
}

/* It runs it: the task waits for ever, so only the cancel ends that. */
static void new_home(void)
{
    ars__adopt(&workers[1]);
    ars__park();
    goes_on(&task.parked, 0);
    MODEL_CHECK(model_read(&task.resumed) == 1);
    model_result(5);
    leaves_group();
    ars__end();
    goes_on(&task.freed, 1);
    model_result(6);
}

/* It ends without waiting. */
static void ends_at_once(void)
{
    ars__adopt(&workers[1]);
    leaves_group();
    ars__end();
    goes_on(&task.freed, 1);
    model_result(6);
}

/* With the group's lock, if the task is still there. */
static void sends(void)
{
    if (ars_atomic_u32_swap_acquire(&in_group, 0)) {
        ars__task_mail(CANCELLED);
        ars_atomic_u32_store_release(&in_group, 1);
    }
    model_result(1);
}

static void cancels(void)
{
    ars_atomic_u32_store_release(&reason, 1);
    sends();
}

/* ---- programs ---- */

static void gone(void)
{
    MODEL_CHECK(task.freed == 1);
}

enum { CANCEL, END };
static const model_program programs[] = {
    [CANCEL] = {"a cancel on the way", setup, {old_home, new_home, cancels}, gone, 0},
    [END] = {"an end on the way", setup, {old_home, ends_at_once, sends}, gone, 0},
};

static const struct {
    int bug;
    int program;
    const char *name;
} bugs[] = {
    {CLEARED_EARLY, CANCEL, "the bit is taken away before the new worker is known"},
    {NOT_LOOKED, CANCEL, "the new worker does not have it look for a cancel"},
    {OLD_HOME, CANCEL, "the old worker takes a moving task for its own"},
    {MAIL_DROPPED, CANCEL, "the old worker drops the mail of one that has moved"},
    {MAIL_IGNORED, END, "a task's record goes while it has mail"},
};

static const model_survivor survivors[] = {
    {"ars__task_cancelled load 1", "relaxed", "the mail that says so comes after it"},
    {"ars__task_mail or 1", "relaxed acquire release",
     "the inbox orders what comes by it; model_sleep has mail that comes by the bit alone"},
    {"ars__inbox_take swap 1", "relaxed acquire release acq_rel",
     "what is in a task's mail is read by its bits, which order that; model_inbox has the rest"},
    {"ars__deliver and 1", "relaxed acquire release", "looking whose it is has acquired already"},
    {"ars__end load 1", "relaxed",
     "only its worker acts on it, and set the bit by mail or took it"},
    {"ars__end or 1", "relaxed acquire release", "only its worker reads it"},
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
