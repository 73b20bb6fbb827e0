/* SPDX-License-Identifier: MIT */
/*
 * How workers sleep and are woken, and how they end.
 *
 * The functions named ars_ repeat the accesses by which the library does it:
 *   run/sched.c  ars__task_mail, deliver (its bits only), ars__sched_drain,
 *                has_reason_to_stay, sleep_until, search, pass_on, idle
 *   run/steal.c  queue_append, queue_take, notify, wake, ars__sched_wake,
 *                ars__sched_wake_one, ars__sched_anything
 *   run/sched.h  ars__outside_enter, ars__outside_leave
 *   run/run.c    stop, let_close, the end of worker_thread
 * Inbox and spinlock are the library's.  It differs from the library in this:
 *   - new tasks come by the queue only, one at a time; queue_take does not look
 *     at the number again under the lock (deques: model_deque has a push while
 *     somebody goes to sleep)
 *   - there are no timers and deadlines, no ready ring, no tasks that move
 *     (model_move), nobody who waits for the end of all (model_drain)
 *   - a search looks once, and does not spin
 *   - a poller is a bell: a count that the kernel keeps until it is looked at;
 *     no I/O wakes it
 *   - there are two workers at most; who sleeps in "a starter that relies on who
 *     searches" has announced that before the program begins, and the other
 *     begins with its search
 *   - stop wakes the one worker that there is, and what follows a close is only
 *     that the poller is closed
 *
 * "Stuck" is what fails if a wake-up gets lost.  After the orders have been
 * weakened, some steps are left out or exchanged: then something must fail too.
 */
#include "model.h"

#include <arsenal/spin.h>
#include <stdio.h>

#include "sync/inbox.h"

enum { AWAKE, ON_FUTEX, IN_POLLER };         /* as in run/sched.h */
enum { STOP_IDLE = 1, STOP_CLOSE = 4 };      /* as in run/sched.h */
enum { WOKEN = 2, CANCELLED = 4, MAIL = 7 }; /* as in run/sched.h */
enum {
    GOT_NEW = 8,
    GOT_MAIL = WOKEN | CANCELLED
}; /* what a worker has got: bits of mail, or this */

static enum {
    NO_BUG,
    LOOKS_FIRST,        /* the worker looks before it says that it sleeps */
    SENDER_LOOKS_FIRST, /* the sender, before it pushes */
    INBOX_IGNORED,
    QUEUE_IGNORED,
    STOP_IGNORED,
    NOT_PASSED_ON,
    OUTSIDE_IGNORED, /* the runtime ends while a thread uses it */
    LEFT_IGNORED     /* or while a worker may be about to be woken by another */
} bug;

typedef struct task {
    ars__inbox_node mail; /* first: a node's address is its task's */
    ars_atomic_u32 events;
    uint32_t unused;
    uint64_t in_mail; /* written by who owns 'mail' */
    uint64_t content; /* what the sender has written */
} task;

typedef struct worker {
    ars_atomic_u32 sleeping;
    ars_atomic_u32 rung; /* the poller's bell: the kernel keeps it until it is looked at */
    uint64_t poller_open;
    ars__inbox inbox;
} worker;

static struct {
    ars_atomic_u32 searching, asleep, stop, left, queued, outside, ended;
    ars_spin queue_lock;
    uint64_t queue_first; /* a task's number from 1, 0: none; at most one is queued at a time */
} rt;
static worker workers[2];
static task tasks[2];
static uint32_t got[2];
static uint32_t n, polls, expected, leaving;

static void set(uint32_t workers_, uint32_t polls_, uint32_t expected_)
{
    memset(&rt, 0, sizeof rt);
    memset(workers, 0, sizeof workers);
    memset(tasks, 0, sizeof tasks);
    memset(got, 0, sizeof got);
    n = workers_;
    polls = polls_;
    expected = expected_;
    leaving = 1;
    workers[0].poller_open = workers[1].poller_open = polls;
    model_shared(&rt, sizeof rt);
    model_shared(workers, sizeof workers);
    model_shared(tasks, sizeof tasks);
    model_shared(got, sizeof got);
}

/* ---- a poller ---- */

static void poller_wake(worker *w)
{
    MODEL_CHECK(model_read(&w->poller_open) == 1); /* else it is closed */
    ars_atomic_u32_add_relaxed(&w->rung, 1);
    model_futex_wake(&w->rung.ars__v, 1);
}

static void poller_turn(worker *w)
{
    while (ars_atomic_u32_swap_acquire(&w->rung, 0) == 0)
        model_futex_wait(&w->rung.ars__v, 0, ARS_FOREVER);
}

/* ---- waking ---- */

static int ars__wake_up(worker *w)
{
    switch (ars_atomic_u32_swap_seq_cst(&w->sleeping, AWAKE)) {
    case ON_FUTEX: model_futex_wake(&w->sleeping.ars__v, 1); return 1;
    case IN_POLLER: poller_wake(w); return 1;
    default: return 0;
    }
}

static void ars__sched_wake(worker *w)
{
    if (ars_atomic_u32_load_seq_cst(&w->sleeping) != AWAKE) ars__wake_up(w);
}

static void ars__sched_wake_one(void)
{
    for (uint32_t i = 0; i < n; i++) {
        worker *w = &workers[i];
        if (ars_atomic_u32_load_seq_cst(&w->sleeping) != AWAKE && ars__wake_up(w)) return;
    }
}

/* ---- mail ---- */

static void ars__outside_enter(void)
{
    ars_atomic_u32_add_relaxed(&rt.outside, 1);
}

static void ars__outside_leave(void)
{
    ars_atomic_u32_add_release(&rt.outside, (uint32_t)-1);
}

static void ars__task_mail(worker *w, task *t, uint32_t event, int outside)
{
    if (outside) ars__outside_enter();
    if (bug == SENDER_LOOKS_FIRST) ars__sched_wake(w);
    if (!(ars_atomic_u32_or_acq_rel(&t->events, event) & MAIL)) {
        model_write(&t->in_mail, 1);
        ars__inbox_push(&w->inbox, &t->mail);
        if (bug != SENDER_LOOKS_FIRST) ars__sched_wake(w);
    }
    if (outside) ars__outside_leave();
}

static void ars__deliver(uint32_t *mine, task *t)
{
    model_write(&t->in_mail, 0);
    uint32_t events = ars_atomic_u32_and_acq_rel(&t->events, ~(uint32_t)MAIL);
    /* Nothing comes for nothing; the content is written by who wakes. */
    MODEL_CHECK(events & MAIL);
    if (events & WOKEN) MODEL_CHECK(model_read(&t->content) == 7);
    *mine |= events & MAIL;
}

static void ars__sched_drain(worker *w, uint32_t *mine)
{
    while (!ars__inbox_empty(&w->inbox)) {
        ars__inbox_node *node = ars__inbox_take(&w->inbox);
        while (node) {
            ars__inbox_node *next = node->next;
            ars__deliver(mine, (task *)(void *)node);
            node = next;
        }
    }
}

/* ---- new tasks ---- */

static void ars__queue_append(task *t)
{
    ars_spin_lock(&rt.queue_lock);
    MODEL_CHECK(model_read(&rt.queue_first) == 0);
    model_write(&rt.queue_first, (uint64_t)(t - tasks) + 1);
    ars_atomic_u32_add_seq_cst(&rt.queued, 1);
    ars_spin_unlock(&rt.queue_lock);
}

static uint32_t ars__queue_take(void)
{
    if (ars_atomic_u32_load_relaxed(&rt.queued) == 0) return 0;
    ars_spin_lock(&rt.queue_lock);
    uint64_t first = model_read(&rt.queue_first);
    model_write(&rt.queue_first, 0);
    if (first) ars_atomic_u32_add_seq_cst(&rt.queued, (uint32_t)-1);
    ars_spin_unlock(&rt.queue_lock);
    if (!first) return 0;
    MODEL_CHECK(model_read(&tasks[first - 1].content) == 7);
    return GOT_NEW;
}

static void ars__notify(void)
{
    if (ars_atomic_u32_load_seq_cst(&rt.asleep) > 0 &&
        ars_atomic_u32_load_seq_cst(&rt.searching) == 0)
        ars__sched_wake_one();
}

static int ars__sched_anything(void)
{
    return bug != QUEUE_IGNORED && ars_atomic_u32_load_seq_cst(&rt.queued) > 0;
}

/* ---- sleeping ---- */

static int ars__has_reason_to_stay(worker *w)
{
    return (bug != INBOX_IGNORED && !ars__inbox_empty(&w->inbox)) ||
           (bug != STOP_IGNORED && ars_atomic_u32_load_seq_cst(&rt.stop)) || ars__sched_anything();
}

static void ars__sleep_until(worker *w)
{
    uint32_t how = polls ? IN_POLLER : ON_FUTEX;
    int stay = bug == LOOKS_FIRST && ars__has_reason_to_stay(w);
    ars_atomic_u32_swap_seq_cst(&w->sleeping, how);
    if (n > 1) ars_atomic_u32_add_seq_cst(&rt.asleep, 1);
    if (bug != LOOKS_FIRST) stay = ars__has_reason_to_stay(w);
    if (!stay) {
        if (polls)
            poller_turn(w);
        else
            model_futex_wait(&w->sleeping.ars__v, how, ARS_FOREVER);
    }
    ars_atomic_u32_store_relaxed(&w->sleeping, AWAKE);
    if (n > 1) ars_atomic_u32_add_seq_cst(&rt.asleep, (uint32_t)-1);
}

static uint32_t ars__search(void)
{
    ars_atomic_u32_add_seq_cst(&rt.searching, 1);
    uint32_t found = ars__queue_take();
    ars_atomic_u32_add_seq_cst(&rt.searching, (uint32_t)-1);
    return found;
}

static void ars__pass_on(void)
{
    if (bug != NOT_PASSED_ON && ars__sched_anything() &&
        ars_atomic_u32_load_seq_cst(&rt.searching) == 0)
        ars__sched_wake_one();
}

/* Without search: what a runtime of one worker does. */
static void ars__idle(worker *w, uint32_t *mine)
{
    uint32_t before = *mine;
    ars__sched_drain(w, mine);
    if (*mine != before || ars_atomic_u32_load_relaxed(&rt.stop)) return;
    if (expected & GOT_NEW) *mine |= ars__queue_take();
    if (*mine == expected) return;
    ars__sleep_until(w);
    ars__sched_drain(w, mine);
}

/* With it: from the search on. */
static void ars__idle_of_many(worker *w, uint32_t *mine)
{
    *mine |= ars__search();
    if (*mine || !ars__inbox_empty(&w->inbox)) {
        ars__pass_on();
        return;
    }
    ars__sleep_until(w);
}

/* ---- stopping ---- */

static void ars__let_close(void)
{
    uint32_t left;
    if (bug != LEFT_IGNORED)
        while ((left = ars_atomic_u32_load_acquire(&rt.left)) < leaving)
            model_futex_wait(&rt.left.ars__v, left, ARS_FOREVER);
    if (bug != OUTSIDE_IGNORED)
        while (ars_atomic_u32_load_acquire(&rt.outside) > 0) ars_atomic_pause();
    ars_atomic_u32_or_acq_rel(&rt.stop, STOP_CLOSE);
    model_futex_wake(&rt.stop.ars__v, 2);
}

static void ars__stop(uint32_t how)
{
    ars_atomic_u32_add_seq_cst(&rt.stop, how);
    ars__sched_wake(&workers[0]);
}

static void ars__leave(worker *w)
{
    ars_atomic_u32_add_acq_rel(&rt.left, 1);
    model_futex_wake(&rt.left.ars__v, 1);
    uint32_t how;
    while (!((how = ars_atomic_u32_load_acquire(&rt.stop)) & STOP_CLOSE))
        model_futex_wait(&rt.stop.ars__v, how, ARS_FOREVER);
    model_write(&w->poller_open, 0);
}

/* ---- threads ---- */

static void run_worker(void)
{
    while (got[0] != expected && !ars_atomic_u32_load_acquire(&rt.stop)) {
        ars__idle(&workers[0], &got[0]);
        model_result(got[0]);
    }
}

static void wakes_task(void)
{
    model_write(&tasks[0].content, 7);
    ars__task_mail(&workers[0], &tasks[0], WOKEN, 0);
    model_result(1);
}

static void cancels_task(void)
{
    ars__task_mail(&workers[0], &tasks[0], CANCELLED, 0);
    model_result(1);
}

static void cancels_other_task(void)
{
    ars__task_mail(&workers[0], &tasks[1], CANCELLED, 0);
    model_result(1);
}

static void starts_from_outside(void)
{
    model_write(&tasks[1].content, 7);
    ars__queue_append(&tasks[1]);
    ars__sched_wake_one();
    model_result(1);
}

static void starts_from_worker(void)
{
    model_write(&tasks[1].content, 7);
    ars__queue_append(&tasks[1]);
    ars__notify();
    model_result(1);
}

static void stops(void)
{
    ars__stop(STOP_IDLE);
    model_result(1);
}

/*
 * One searches and has mail, that is enough to do; the other sleeps.  Whoever
 * gets the new task ends the rest.
 */
static void ends_other(unsigned i)
{
    if (!(got[i] & GOT_NEW)) return;
    ars_atomic_u32_add_seq_cst(&rt.stop, STOP_IDLE);
    ars__sched_wake(&workers[!i]);
    model_result(1);
}

static void searches(void)
{
    ars__idle_of_many(&workers[0], &got[0]);
    model_result(got[0]);
    ends_other(0);
}

/* It has looked and sleeps already: the end of ars__sleep_until(). */
static void sleeps(void)
{
    model_futex_wait(&workers[1].sleeping.ars__v, ON_FUTEX, ARS_FOREVER);
    ars_atomic_u32_store_relaxed(&workers[1].sleeping, AWAKE);
    ars_atomic_u32_add_seq_cst(&rt.asleep, (uint32_t)-1);
    got[1] = ars__search();
    if (!got[1] && ars__sched_anything()) got[1] = ars__search();
    model_result(got[1]);
    ends_other(1);
}

/* The last task of the runtime is woken from outside; once it has run, all ends. */
static void last_worker(void)
{
    while (!ars_atomic_u32_load_acquire(&rt.stop)) {
        uint32_t before = got[0];
        ars__idle(&workers[0], &got[0]);
        if (got[0] && !before) ars_atomic_u32_store_release(&rt.ended, 1);
        model_result(got[0]);
    }
    ars__leave(&workers[0]);
    model_result(1);
}

static void first_worker(void)
{
    while (!ars_atomic_u32_load_acquire(&rt.ended)) ars_atomic_pause();
    ars__stop(STOP_IDLE);
    ars__let_close();
    model_result(1);
}

static void outsider(void)
{
    model_write(&tasks[0].content, 7);
    ars__task_mail(&workers[0], &tasks[0], WOKEN, 1);
    model_result(1);
}

/* Two that leave; one of them has just sent the other something. */
static void leaves(void)
{
    while (!ars_atomic_u32_load_acquire(&rt.stop)) ars_atomic_pause();
    ars__leave(&workers[0]);
    model_result(1);
}

static void stops_and_closes(void)
{
    ars_atomic_u32_add_seq_cst(&rt.stop, STOP_IDLE);
    ars__let_close();
    model_result(1);
}

static void second_worker(void)
{
    ars__sched_wake(&workers[0]);
    while (!ars_atomic_u32_load_acquire(&rt.stop)) ars_atomic_pause();
    ars__leave(&workers[1]);
    model_result(1);
}

/* ---- programs ---- */

static void mail_setup(void)
{
    set(1, 0, WOKEN | CANCELLED);
}

static void polled_setup(void)
{
    set(1, 1, WOKEN | CANCELLED);
}

static void start_setup(void)
{
    set(1, 0, GOT_NEW);
}

static void start_of_many_setup(void)
{
    set(2, 0, GOT_NEW);
}

static void both_setup(void)
{
    set(1, 0, GOT_NEW | CANCELLED);
}

static void stop_setup(void)
{
    set(1, 0, MAIL | GOT_NEW); /* never all of it */
}

static void search_setup(void)
{
    set(2, 0, 0);
    ars__inbox_push(&workers[0].inbox, &tasks[0].mail);
    workers[1].sleeping.ars__v = ON_FUTEX;
    rt.asleep.ars__v = 1;
}

static void end_setup(void)
{
    set(1, 1, MAIL); /* never all of it */
}

static void end_of_two_setup(void)
{
    end_setup();
    leaving = 2;
    workers[0].sleeping.ars__v = IN_POLLER;
}

static void all_got(void)
{
    MODEL_CHECK(got[0] == expected);
}

static void stopped(void)
{
    MODEL_CHECK(rt.stop.ars__v);
}

static void new_got_once(void)
{
    MODEL_CHECK((got[0] ^ got[1]) & GOT_NEW);
}

static void all_closed(void)
{
    MODEL_CHECK(workers[0].poller_open == 0 && workers[1].poller_open == 0);
}

static void closed(void)
{
    MODEL_CHECK(got[0] == WOKEN && workers[0].poller_open == 0);
}

enum {
    MAIL_TO_ONE,
    MAIL_TO_TWO,
    POLLED,
    START,
    START_OF_MANY,
    BOTH,
    STOP,
    SEARCH,
    END,
    END_OF_TWO
};
static const model_program programs[] = {
    [MAIL_TO_ONE] =
        {"mail of two to one task", mail_setup, {run_worker, wakes_task, cancels_task}, all_got, 0},
    [MAIL_TO_TWO] =
        {"mail to two tasks", mail_setup, {run_worker, wakes_task, cancels_other_task}, all_got, 0},
    [POLLED] = {"mail to a worker in its poller",
                polled_setup,
                {run_worker, wakes_task, cancels_task},
                all_got,
                0},
    [START] =
        {"a new task from outside", start_setup, {run_worker, starts_from_outside}, all_got, 0},
    [START_OF_MANY] = {"a new task of another worker",
                       start_of_many_setup,
                       {run_worker, starts_from_worker},
                       all_got,
                       0},
    [BOTH] = {"a new task and mail",
              both_setup,
              {run_worker, starts_from_outside, cancels_task},
              all_got,
              0},
    [STOP] = {"stop, and mail", stop_setup, {run_worker, stops, cancels_task}, stopped, 0},
    [SEARCH] = {"a starter that relies on who searches",
                search_setup,
                {searches, sleeps, starts_from_worker},
                new_got_once,
                0},
    [END] = {"the last task, woken from outside",
             end_setup,
             {last_worker, first_worker, outsider},
             closed,
             0},
    [END_OF_TWO] = {"a worker that wakes another, and both leave",
                    end_of_two_setup,
                    {leaves, stops_and_closes, second_worker},
                    all_closed,
                    0},
};

static const struct {
    int bug;
    int program;
    const char *name;
} bugs[] = {
    {LOOKS_FIRST, MAIL_TO_ONE, "a worker looks for mail before it says that it sleeps"},
    {LOOKS_FIRST, POLLED, "a worker with a poller does so"},
    {LOOKS_FIRST, START, "a worker looks for new tasks before"},
    {LOOKS_FIRST, STOP, "a worker looks for the end before"},
    {SENDER_LOOKS_FIRST, MAIL_TO_ONE, "a sender looks for sleepers before it pushes"},
    {INBOX_IGNORED, MAIL_TO_ONE, "the inbox is not looked at"},
    {QUEUE_IGNORED, START, "the queue is not looked at"},
    {STOP_IGNORED, STOP, "the end is not looked at"},
    {NOT_PASSED_ON, SEARCH, "a searcher that has found something passes nothing on"},
    {OUTSIDE_IGNORED, END, "a runtime ends while a thread wakes its worker"},
    {LEFT_IGNORED, END_OF_TWO, "a worker's poller is closed before it has left its loop"},
};

static const model_survivor survivors[] = {
    {"ars__wake_up swap 1", "relaxed acquire release acq_rel",
     "it only says who of several wakes; what was sent comes by the inbox and the queue"},
    {"ars__inbox_take swap 1", "acquire acq_rel",
     "a worker that sleeps looks again by ars__inbox_empty(), not by taking"},
    {"ars__queue_take add 1", "relaxed acquire release acq_rel",
     "who misses that a task is gone looks in vain; the lock orders the rest"},
    {"ars__sleep_until add 2", "relaxed acquire release acq_rel",
     "who still counts it as asleep looks for a sleeper in vain"},
    {"ars__search add 1", "relaxed acquire release acq_rel",
     "who does not count it yet wakes another in vain"},
    {"ars__pass_on load 1", "relaxed acquire",
     "to read an old count it would take two more that search: too many threads"},
    {"ars__leave add 1", "release", "it reads nothing by it; who closes all reads"},
    {"ars__let_close or 1", "release",
     "what is freed afterwards is so when the threads are joined"},
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
