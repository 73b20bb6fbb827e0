/* SPDX-License-Identifier: MIT */
/*
 * Waiting for an object: who waits is resumed exactly once, whatever comes at
 * the same time; what was done beats a cancel; nothing sent is lost; and the
 * object may be freed when the call returns.
 *
 * The functions named ars_ repeat these, as far as 'events', a node's place in
 * a queue, the CLAIMED bit and the results go:
 *   run/waitq.h    ars__waitq_append, ars__waitq_take
 *   run/chan.c     send, receive, close of a channel without room; give_up
 *   run/select.c   the linking of cases, select_interrupt, ars__select_clean
 *   run/sched.c    ars__task_mail, deliver, ars__wake, ars__task_claim
 *   run/thread.c   ars__thread_park: the word of a waiter is also its sleep,
 *                  which stands for its worker's inbox (model_sleep, model_move)
 * The lock is the library's.  A queue holds one node.  Left out: the fast paths
 * without a lock (batches, declared shapes, mutexes), and what the others that
 * are ready do meanwhile.
 */
#include "model.h"

#include <stdio.h>

#include <arsenal/spin.h>

enum { WOKEN = 2, CANCELLED = 4, CLAIMED = 8 };          /* as in run/sched.h */
enum { SENT = 1, CLOSED = 2, GIVEN_UP = 3, SECOND = 4 }; /* what a wait returns; 0: nothing yet */

static enum {
    NO_BUG,
    CANCEL_WINS,    /* a cancel does not look whether the node is still there */
    WOKEN_FIRST,    /* the waker wakes before it unlocks */
    NOT_CLAIMED,    /* a select's node is taken without claiming the select */
    NOT_CLEANED,    /* a select leaves its other node behind */
    CLOSE_FORGETS,  /* close does not look for who waits */
    LOOKED_UNLOCKED /* the receiver looks whether it is closed before it locks */
} bug;

typedef struct waiter {
    ars_atomic_u32 events;
    uint64_t result;
    uint64_t value; /* where a value goes to or comes from */
    uint64_t selects;
} waiter;

typedef struct object {
    ars_spin lock;
    uint64_t receiver, sender; /* a waiter's number from 1; 0: the queue is empty */
    uint64_t closed;
    uint64_t freed;
} object;

static object objects[2];
static waiter waiters[3];
static uint64_t received, sent, resumed, took[2];

static void setup(void)
{
    memset(objects, 0, sizeof objects);
    memset(waiters, 0, sizeof waiters);
    received = sent = resumed = took[0] = took[1] = 0;
    model_shared(objects, sizeof objects);
    model_shared(waiters, sizeof waiters);
    model_shared(&received, sizeof received);
    model_shared(&sent, sizeof sent);
    model_shared(&resumed, sizeof resumed);
    model_shared(took, sizeof took);
}

static void touch(object *o)
{
    MODEL_CHECK(model_read(&o->freed) == 0);
}

static void lock(object *o)
{
    ars_spin_lock(&o->lock);
    touch(o);
}

static void unlock(object *o)
{
    touch(o);
    ars_spin_unlock(&o->lock);
}

/* ---- waking ---- */

static int ars__claim(waiter *w)
{
    if (bug == NOT_CLAIMED) return 1;
    return !(ars_atomic_u32_or_acq_rel(&w->events, CLAIMED) & CLAIMED);
}

/* Takes the waiter out; NULL if there is none, or one that somebody else wakes. */
static waiter *ars__take(uint64_t *queue)
{
    uint64_t n = model_read(queue);
    if (!n) return NULL;
    model_write(queue, 0);
    waiter *w = &waiters[n - 1];
    if (model_read(&w->selects) && !ars__claim(w)) return NULL;
    return w;
}

static void ars__wake(waiter *w, uint64_t result)
{
    if (!w) return;
    model_write(&w->result, result);
    ars_atomic_u32_or_acq_rel(&w->events, WOKEN);
    model_futex_wake(&w->events.ars__v, 1);
}

/* ---- giving up ---- */

static void ars__give_up(waiter *w, object *o, uint64_t *queue)
{
    lock(o);
    int waits = bug == CANCEL_WINS || model_read(queue) != 0;
    if (waits) model_write(queue, 0);
    unlock(o);
    if (!waits) return;
    model_write(&w->result, GIVEN_UP);
    ars_atomic_u32_or_acq_rel(&w->events, WOKEN);
}

static void ars__select_interrupt(waiter *w)
{
    if (!ars__claim(w)) return;
    model_write(&w->result, GIVEN_UP);
    ars_atomic_u32_or_acq_rel(&w->events, WOKEN);
}

/* Its own worker looks at the mail: a cancel counts only while it is not woken. */
static uint64_t ars__park(waiter *w, object *o, uint64_t *queue)
{
    int interrupted = 0;
    for (;;) {
        uint32_t seen = ars_atomic_u32_load_acquire(&w->events);
        if (seen & WOKEN) break;
        if ((seen & CANCELLED) && !interrupted) {
            interrupted = 1;
            if (o)
                ars__give_up(w, o, queue);
            else
                ars__select_interrupt(w);
            continue;
        }
        model_futex_wait(&w->events.ars__v, seen, ARS_FOREVER);
    }
    ars_atomic_u32_and_acq_rel(&w->events, ~(uint32_t)WOKEN);
    return model_read(&w->result);
}

static void ars__cancel(waiter *w)
{
    ars_atomic_u32_or_acq_rel(&w->events, CANCELLED);
    model_futex_wake(&w->events.ars__v, 1);
}

/* ---- a channel without room ---- */

static uint64_t ars__recv(waiter *w, object *o)
{
    int closed = bug == LOOKED_UNLOCKED && o->closed;
    lock(o);
    if (bug != LOOKED_UNLOCKED) closed = model_read(&o->closed) != 0;
    waiter *other = ars__take(&o->sender);
    if (other) {
        model_write(&w->value, model_read(&other->value));
        unlock(o);
        ars__wake(other, SENT);
        return SENT;
    }
    if (!closed) model_write(&o->receiver, (uint64_t)(w - waiters) + 1);
    unlock(o);
    return closed ? CLOSED : ars__park(w, o, &o->receiver);
}

static uint64_t ars__send(waiter *w, object *o, uint64_t value)
{
    lock(o);
    int closed = model_read(&o->closed) != 0;
    waiter *other = closed ? NULL : ars__take(&o->receiver);
    if (other) {
        model_write(&other->value, value);
        if (bug == WOKEN_FIRST) ars__wake(other, SENT);
        unlock(o);
        if (bug != WOKEN_FIRST) ars__wake(other, SENT);
        return SENT;
    }
    model_write(&w->value, value);
    if (!closed) model_write(&o->sender, (uint64_t)(w - waiters) + 1);
    unlock(o);
    return closed ? CLOSED : ars__park(w, o, &o->sender);
}

static void ars__close(object *o)
{
    lock(o);
    model_write(&o->closed, 1);
    waiter *receiver = bug == CLOSE_FORGETS ? NULL : ars__take(&o->receiver);
    waiter *sender = bug == CLOSE_FORGETS ? NULL : ars__take(&o->sender);
    unlock(o);
    ars__wake(receiver, CLOSED);
    ars__wake(sender, CLOSED);
}

/* ---- a select of two ---- */

static uint64_t ars__select(waiter *w)
{
    model_write(&w->selects, 1);
    for (int i = 0; i < 2; i++) {
        lock(&objects[i]);
        model_write(&objects[i].receiver, (uint64_t)(w - waiters) + 1);
        unlock(&objects[i]);
    }
    uint64_t result = ars__park(w, NULL, NULL);
    /* The node of the case that was done is out already, and its object may be gone. */
    for (int i = 0; i < 2 && bug != NOT_CLEANED; i++) {
        if (result == (i ? SECOND : SENT)) continue;
        lock(&objects[i]);
        model_write(&objects[i].receiver, 0);
        unlock(&objects[i]);
    }
    return result;
}

/* ---- threads ---- */

static void resume(uint64_t result)
{
    model_write(&resumed, model_read(&resumed) + 1);
    model_write(&received, result);
    model_result(result);
}

/* Whoever has waited may free what it has waited for. */
static void frees(object *o)
{
    model_write(&o->freed, 1);
}

static void receives(void)
{
    uint64_t result = ars__recv(&waiters[0], &objects[0]);
    if (result == SENT) MODEL_CHECK(model_read(&waiters[0].value) == 7);
    resume(result);
}

static void receives_and_frees(void)
{
    waiter *w = &waiters[0];
    lock(&objects[0]);
    model_write(&objects[0].receiver, 1);
    unlock(&objects[0]);
    ars_atomic_u32_or_acq_rel(&waiters[1].events, WOKEN); /* let the other begin */
    model_futex_wake(&waiters[1].events.ars__v, 1);
    uint64_t result = ars__park(w, &objects[0], &objects[0].receiver);
    frees(&objects[0]);
    resume(result);
}

static void sends_to_one_who_frees(void)
{
    ars__park(&waiters[1], NULL, NULL);
    model_write(&sent, ars__send(&waiters[1], &objects[0], 7));
    model_result(1);
}

static void sends(void)
{
    uint64_t result = ars__send(&waiters[1], &objects[0], 7);
    model_write(&sent, result);
    model_result(result);
}

static void closes(void)
{
    ars__close(&objects[0]);
    model_result(1);
}

static void cancels(void)
{
    ars__cancel(&waiters[0]);
    model_result(1);
}

static void cancels_both(void)
{
    ars__cancel(&waiters[0]);
    ars__cancel(&waiters[1]);
    model_result(1);
}

/* When it returns its nodes are gone. */
static void selects(void)
{
    uint64_t result = ars__select(&waiters[0]);
    model_write(&waiters[0].selects, 2);
    resume(result);
}

static void offer(int i)
{
    lock(&objects[i]);
    waiter *w = ars__take(&objects[i].receiver);
    unlock(&objects[i]);
    model_write(&took[i], w != NULL);
    ars__wake(w, i ? SECOND : SENT);
}

static void offers(void)
{
    offer(0);
    model_result(1);
}

static void offers_and_cancels(void)
{
    offer(1);
    ars__cancel(&waiters[0]);
    model_result(1);
}

/* ---- programs ---- */

static void both_or_none(void)
{
    MODEL_CHECK(resumed == 1 && (received == SENT) == (sent == SENT));
    MODEL_CHECK(received == SENT || (received == GIVEN_UP && sent == GIVEN_UP));
}

static void both_or_closed(void)
{
    MODEL_CHECK(resumed == 1 && received == sent && (received == SENT || received == CLOSED));
}

static void once(void)
{
    MODEL_CHECK(resumed == 1 && (received == CLOSED || received == GIVEN_UP));
}

static void freed(void)
{
    MODEL_CHECK(resumed == 1 && received == SENT && sent == SENT);
}

static void one_of_two(void)
{
    MODEL_CHECK(resumed == 1 && took[0] + took[1] <= 1);
    MODEL_CHECK(received == (took[0] ? SENT : took[1] ? SECOND : GIVEN_UP));
}

enum { CANCEL, CLOSE, CLOSE_CANCEL, FREE, SELECT };
static const model_program programs[] = {
    [FREE] = {"freed when it has been received from",
              setup,
              {receives_and_frees, sends_to_one_who_frees},
              freed,
              0},
    [CLOSE_CANCEL] = {"a close and a cancel", setup, {receives, closes, cancels}, once, 0},
    [CLOSE] = {"a send and a close", setup, {receives, sends, closes}, both_or_closed, 0},
    [CANCEL] = {"a send and cancels", setup, {receives, sends, cancels_both}, both_or_none, 0},
    [SELECT] = {"a select of two and a cancel",
                setup,
                {selects, offers, offers_and_cancels},
                one_of_two,
                0},
};

static const struct {
    int bug;
    int program;
    const char *name;
} bugs[] = {
    {CANCEL_WINS, CANCEL, "a cancel does not look whether the wait has ended"},
    {WOKEN_FIRST, FREE, "the waker wakes before it unlocks"},
    {NOT_CLAIMED, SELECT, "a select is woken by two"},
    {NOT_CLEANED, SELECT, "a select leaves a node behind"},
    {CLOSE_FORGETS, CLOSE, "a close wakes nobody"},
    {LOOKED_UNLOCKED, CLOSE, "the look for a close is not one with the start of the wait"},
};

static const model_survivor survivors[] = {
    {"ars__cancel or 1", "relaxed acquire release", "it brings nothing but itself"},
    {"ars__park load 1", "relaxed", "taking the bit out acquires too"},
    {"ars__park and 1", "relaxed acquire release", "finding the bit has acquired already"},
    {"ars__wake or 1", "release", "it reads nothing by it"},
    {"ars__give_up or 1", "relaxed acquire release", "the waiter's own worker does it"},
    {"ars__select_interrupt or 1", "relaxed acquire release", "the waiter's own worker does it"},
    {"ars__claim or 1", "relaxed acquire release",
     "only one can be first; what it guards is ordered by the object's lock and the wake"},
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
