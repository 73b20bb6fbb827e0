/* SPDX-License-Identifier: MIT */
/*
 * How the root task learns that all others have ended: it is told exactly once,
 * however close the last end comes to its looking, and never too early.
 *
 * The functions named ars_ repeat these, as far as 'born', 'died', 'drainer'
 * and 'asleep' go:
 *   run/task.c   ars__all_ended, ars__tell_drainer, the end of end()
 *   run/run.c    drain, drain_interrupt
 *   run/sched.c  sleep_until up to its look at the drainer
 * The root's park is a futex (model_sleep has mail and sleep).  Left out: the
 * cancelling before (model_wait, model_move), the pool's threads, and what
 * follows: stop, let_close and the workers' leaving are in model_sleep; a
 * runtime that is stopped with tasks left (STOP_NOW) is never freed, so that
 * nothing needs to be ordered.
 */
#include "model.h"

#include <stdio.h>

static enum {
    NO_BUG,
    BORN_FIRST,     /* the born are counted before the dead */
    NOT_IN_ORDER,   /* the root does not add to the word that a worker adds to before it sleeps */
    NOT_REREAD,     /* the root does not look again after it has said that it waits */
    SLEEPER_SILENT, /* a worker that goes to sleep does not look for the root */
    TOLD_BY_LOOK,   /* who tells does not take the note away */
    KEPT            /* nor does a root whose time is over look whether it was taken */
} bug;

enum { TOLD = 1, OVER = 2 };

static struct {
    ars_atomic_u64 born[2], died[2]; /* of each worker */
    ars_atomic_u32 drainer;          /* 1: the root waits */
    ars_atomic_u32 asleep;
    ars_atomic_u32 given; /* a task that the second worker has for the third */
    ars_atomic_u32 word;  /* the root's */
} rt;
static uint64_t work; /* what tasks do */
static uint32_t patience, worked;
static uint64_t drained;

static void set(uint32_t alive, uint32_t patience_)
{
    memset(&rt, 0, sizeof rt);
    rt.born[0].ars__v = alive;
    work = drained = 0;
    worked = alive == 1;
    patience = patience_;
    model_shared(&rt, sizeof rt);
    model_shared(&work, sizeof work);
    model_shared(&drained, sizeof drained);
}

/* ---- the library's ---- */

static int ars__all_ended(void)
{
    uint64_t died = 0, born = 0;
    if (bug == BORN_FIRST)
        for (int i = 0; i < 2; i++) born += ars_atomic_u64_load_seq_cst(&rt.born[i]);
    for (int i = 0; i < 2; i++) died += ars_atomic_u64_load_seq_cst(&rt.died[i]);
    if (bug != BORN_FIRST)
        for (int i = 0; i < 2; i++) born += ars_atomic_u64_load_seq_cst(&rt.born[i]);
    return born == died;
}

static void ars__tell_drainer(void)
{
    if (!ars__all_ended()) return;
    uint32_t drainer = bug == TOLD_BY_LOOK ? ars_atomic_u32_load_seq_cst(&rt.drainer)
                                           : ars_atomic_u32_swap_seq_cst(&rt.drainer, 0);
    if (!drainer) return;
    MODEL_CHECK(!(ars_atomic_u32_or_acq_rel(&rt.word, TOLD) & (TOLD | OVER)));
    model_futex_wake(&rt.word.ars__v, 1);
}

static void ars__task_ended(int worker)
{
    uint64_t died = rt.died[worker].ars__v;
    ars_atomic_u64_store_release(&rt.died[worker], died + 1);
    if (ars_atomic_u32_load_relaxed(&rt.drainer)) ars__tell_drainer();
}

static void ars__sleep_until(void)
{
    ars_atomic_u32_add_seq_cst(&rt.asleep, 1);
    if (bug != SLEEPER_SILENT && ars_atomic_u32_load_seq_cst(&rt.drainer)) ars__tell_drainer();
}

static int ars__drain_interrupt(void)
{
    uint32_t self = 1;
    if (bug == KEPT) return 1;
    return ars_atomic_u32_cas_acq_rel(&rt.drainer, &self, 0);
}

/* 1, or 0 when its patience is over. */
static int ars__park(void)
{
    for (;;) {
        uint32_t seen = ars_atomic_u32_load_acquire(&rt.word);
        if (seen & TOLD) break;
        if (patience && ars__drain_interrupt()) {
            ars_atomic_u32_or_acq_rel(&rt.word, OVER);
            return 0;
        }
        patience = 0;
        model_futex_wait(&rt.word.ars__v, seen, ARS_FOREVER);
    }
    ars_atomic_u32_and_acq_rel(&rt.word, ~(uint32_t)TOLD);
    return 1;
}

static int ars__drain(void)
{
    while (!ars__all_ended()) {
        ars_atomic_u32_swap_seq_cst(&rt.drainer, 1);
        if (bug != NOT_IN_ORDER) ars_atomic_u32_add_acq_rel(&rt.asleep, 0);
        if (bug != NOT_REREAD && ars__all_ended() && ars_atomic_u32_swap_seq_cst(&rt.drainer, 0))
            break;
        if (!ars__park()) return 0;
    }
    return 1;
}

/* ---- threads ---- */

static void root(void)
{
    int rc = ars__drain();
    /* All that tasks have done has happened before. */
    if (rc && worked) MODEL_CHECK(model_read(&work) == 1);
    model_write(&drained, (uint64_t)rc + 1);
    model_result((uint64_t)rc);
}

/* It only looks, once. */
static void looks(void)
{
    if (ars__all_ended()) MODEL_CHECK(model_read(&work) == 2);
    model_result(1);
}

/* A worker whose only task ends. */
static void ends_one(void)
{
    model_write(&work, 1);
    ars__task_ended(0);
    ars__sleep_until();
    model_result(1);
}

/* Two that have not seen the root when their tasks ended. */
static void sleeps(int worker)
{
    ars_atomic_u64_store_release(&rt.died[worker], 1);
    ars__sleep_until();
    model_result(1);
}

static void sleeps_too(void)
{
    sleeps(0);
}

static void sleeps_last(void)
{
    sleeps(1);
}

/* Its task starts another, which the other worker takes, and ends. */
static void starts_and_ends(void)
{
    uint64_t born = rt.born[0].ars__v;
    ars_atomic_u64_store_relaxed(&rt.born[0], born + 1);
    model_write(&work, 1);
    ars_atomic_u32_store_release(&rt.given, 1);
    ars__task_ended(0);
    model_result(1);
}

static void takes_and_ends(void)
{
    while (!ars_atomic_u32_load_acquire(&rt.given)) ars_atomic_pause();
    model_write(&work, model_read(&work) + 1);
    ars__task_ended(1);
    model_result(1);
}

/* ---- programs ---- */

static void one_setup(void)
{
    set(1, 0);
}

static void one_limited_setup(void)
{
    set(1, 1);
}

static void two_setup(void)
{
    set(2, 0);
}

static void looked(void) {}

static void ended(void)
{
    MODEL_CHECK(drained == 2);
}

static void ended_or_over(void)
{
    MODEL_CHECK(drained == 2 || drained == 1);
}

enum { ONE, LIMITED, EARLY, TWO };
static const model_program programs[] = {
    [ONE] = {"the last task ends", one_setup, {root, ends_one}, ended, 0},
    [LIMITED] =
        {"the same when time is over", one_limited_setup, {root, ends_one}, ended_or_over, 0},
    [EARLY] = {"a task that starts another elsewhere",
               one_setup,
               {looks, starts_and_ends, takes_and_ends},
               looked,
               0},
    [TWO] = {"two that end last", two_setup, {root, sleeps_too, sleeps_last}, ended, 1},
};

static const struct {
    int bug;
    int program;
    const char *name;
} bugs[] = {
    {BORN_FIRST, EARLY, "the born are counted before the dead"},
    {NOT_IN_ORDER, ONE, "the root's looking again and a worker's are not in one order"},
    {NOT_REREAD, ONE, "the root does not look again"},
    {SLEEPER_SILENT, ONE, "who goes to sleep does not look for the root"},
    {TOLD_BY_LOOK, TWO, "the note is not taken away"},
    {KEPT, LIMITED, "a root whose time is over leaves its note"},
};

static const model_survivor survivors[] = {
    {"ars__all_ended load 1", "acquire", "'asleep' puts it in order"},
    {"ars__all_ended load 2", "relaxed acquire",
     "a birth is seen with the death that came after it"},
    {"ars__drain swap 1", "relaxed acquire release acq_rel",
     "'asleep' shows it to who sleeps later"},
    {"ars__drain add 1", "acquire",
     "the exchange before it and a sleeper's look have one order too"},
    {"ars__sleep_until add 1", "release acq_rel", "the same"},
    {"ars__sleep_until load 1", "relaxed acquire", "'asleep' shows it"},
    {"ars__drain swap 2", "relaxed acquire release acq_rel", "it only says who takes the note"},
    {"ars__tell_drainer swap 1", "relaxed acquire release acq_rel",
     "it only says who takes the note; the counts order what tasks did"},
    {"ars__drain_interrupt cas 1", "relaxed acquire release", "it only says who takes the note"},
    {"ars__tell_drainer or 1", "relaxed acquire release", "who is told looks at the counts again"},
    {"ars__park load 1", "relaxed", "who is told looks at the counts again"},
    {"ars__park and 1", "relaxed acquire release", "who is told looks at the counts again"},
    {"ars__park or 1", "relaxed acquire release", "only the root reads it"},
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
