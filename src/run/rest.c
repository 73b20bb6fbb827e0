/* SPDX-License-Identifier: MIT */
/*
 * Tasks that have been parked long: the pages of their stacks that they once
 * used, and that lie below what is live, go back to the kernel.
 *
 * Parking does nothing for it, and nobody lists the parked tasks.  A worker
 * that is about to sleep goes over the stacks of its pool instead, each of
 * which knows whose it is, at most once in the time that a task has to be
 * parked; some at a time, and between these it looks at everything else.  Each
 * park is dealt with once: in the first round that begins when it is old
 * enough.  Where nothing has run since the round before the last there is none
 * that was not dealt with, and the worker is left to sleep.
 *
 * Stacks of other sizes are shared by all workers, and left alone; so are those
 * of tasks that may move to another worker at any time.
 */
#include "run/sched.h"

enum { AT_ONCE = 64 };

static void give_back(const ars__worker *w, ars__stack stack)
{
    const ars__task *task = ars__stack_header_of(stack)->owner;
    const char *here = __builtin_frame_address(0);
    if (!task || task == w->current || !task->wait) return;
    if (task->since <= w->rest.since || task->since > w->rest.until) return;
    /* The worker may be standing on the stack of the task that parked last. */
    if (here >= stack.low && here < stack.top) return;
    ars__stack_give_below(stack, task->ctx.sp);
}

/* One step; whether the round is over. */
static int go_over(ars__worker *w)
{
    ars__rest *r = &w->rest;
    ars__stack stack;
    for (int n = 0; n < AT_ONCE; n++) {
        if (!ars__stack_pool_at(w->stacks, r->at, &stack)) return 1;
        give_back(w, stack);
        r->at++;
    }
    return 0;
}

static void begin(ars__worker *w)
{
    ars__rest *r = &w->rest;
    r->busy = 1;
    r->at = 0;
    r->since = r->until;
    r->until = w->now - w->tuning.rest;
    r->switches = w->switches;
    r->left--;
}

ars_time ars__rest_a_while(ars__worker *w, ars_time deadline)
{
    enum { ROUNDS = 2 };
    ars__rest *r = &w->rest;
    if (w->tuning.rest == 0 || w->rt->config.stack_use) return deadline;
    if (r->switches != w->switches) {
        if (r->left == 0) r->next = ars_time_add(w->now, w->tuning.rest);
        r->left = ROUNDS;
    }
    if (!r->busy) {
        if (r->left == 0) return deadline;
        if (w->now < r->next) return r->next < deadline ? r->next : deadline;
        begin(w);
    }
    if (!go_over(w)) return 0;
    r->busy = 0;
    r->next = ars_time_add(w->now, w->tuning.rest);
    return r->left && r->next < deadline ? r->next : deadline;
}
