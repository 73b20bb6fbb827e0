/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the first of several things.  Documented in <arsenal/select.h>
 * and waitable.h.
 *
 * No two locks are ever held together, so there is no order to keep.  Instead
 * the task carries a bit, CLAIMED, that decides: whoever sets it first, a waker
 * through one of the linked nodes, the deadline, or the task itself when it
 * finds a case ready while it is still linking, has the select.  The task then
 * either starts afresh, or parks and learns what was done for it.
 *
 * Two selects that meet in two channels may each find the other's node and go
 * back, again and again; a random pause, longer each time, parts them.
 */
#include "base/point.h"
#include "os/os.h"
#include "run/channel.h"
#include "run/lane.h"

/* How often a select goes back before it lets other threads run. */
enum { PATIENCE = 10 };

/* Neither an index nor an error: the task is linked, or decided, and has to park. */
enum {
    TO_PARK = 0x1000000,
    DUE = 1,   /* added: one of the cases becomes due */
    LANES = 2, /* added: one of the channels wakes with ARS__RETRY */
    NONE_READY = 0x2000000
};

/* ---- random numbers ---- */

/* Its address is not kept, so it may be another thread's after a park. */
static _Thread_local ars_wyrand seed;

static uint64_t random_bits(void)
{
    ars_wyrand g = seed;
    if (ARS__UNLIKELY(g.state == 0)) g.state = (uint64_t)(uintptr_t)&seed ^ (uint64_t)ars__os_now();
    uint64_t bits = ars_wyrand_next(&g);
    seed = g;
    return bits;
}

/* ---- cases ---- */

/* Weak: a program that uses no semaphores does not have to link them, and has no cases of theirs. */
extern const ars__waitable_class ars__group_waitable __attribute__((weak));
extern const ars__waitable_class ars__event_waitable __attribute__((weak));
extern const ars__waitable_class ars__sem_waitable __attribute__((weak));
extern const ars__waitable_class ars__waitgroup_waitable __attribute__((weak));
extern const ars__waitable_class ars__fd_waitable __attribute__((weak));
extern const ars__waitable_class ars__source_waitable __attribute__((weak));

static const ars__waitable_class *const classes[ARS__CASE_KINDS] = {
    [ARS__CASE_RECV] = &ars__recv_waitable,           [ARS__CASE_SEND] = &ars__send_waitable,
    [ARS__CASE_TICK] = &ars__tick_waitable,           [ARS__CASE_GROUP] = &ars__group_waitable,
    [ARS__CASE_EVENT] = &ars__event_waitable,         [ARS__CASE_SEM] = &ars__sem_waitable,
    [ARS__CASE_WAITGROUP] = &ars__waitgroup_waitable, [ARS__CASE_FD] = &ars__fd_waitable,
    [ARS__CASE_SOURCE] = &ars__source_waitable,
};

/* NULL: the case is switched off. */
static inline const ars__waitable_class *class_of(const ars_case *c)
{
    if (!c->object) return NULL;
    return classes[c->ars__kind];
}

static int outcome(uint32_t i, int rc)
{
    if (rc == 0) return (int)i;
    if (rc == ARS_EPIPE) return ARS_CLOSED((int)i);
    if (rc == ARS_EOVERFLOW) return ARS_LAGGED((int)i);
    return rc;
}

/* Most cases are not ready, and for channels that is seen without a call. */
static inline int try_case(const ars_case *c)
{
    const ars__waitable_class *class = class_of(c);
    if (!class) return ARS__NOT_READY;
    if (class == &ars__recv_waitable && ars__chan_surely_empty(c->object)) return ARS__NOT_READY;
    if (class == &ars__send_waitable && ars__chan_surely_full(c->object)) return ARS__NOT_READY;
    return class->try(c->object, c->ars__value);
}

/*
 * Tries the cases in an order that is any of the n! as likely as another: at
 * each step one of those left is drawn.  So among those that are ready the
 * first to be drawn is any of them as likely as another.
 */
static int try_all(ars_case *cases, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) cases[i].ars__order = (uint16_t)i;
    for (uint32_t left = n; left > 0; left--) {
        ars_case *at = &cases[n - left];
        ars_case *drawn = at + (((random_bits() & UINT32_MAX) * left) >> 32);
        uint16_t i = drawn->ars__order;
        drawn->ars__order = at->ars__order;
        int rc = try_case(&cases[i]);
        if (rc != ARS__NOT_READY) return outcome(i, rc);
    }
    return NONE_READY;
}

static void unlink(ars_case *cases, uint32_t n, uint32_t but)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i == but) continue; /* its object may be gone */
        const ars__waitable_class *class = class_of(&cases[i]);
        if (class && class->dequeue) class->dequeue(cases[i].object, ars__case_node(&cases[i]));
    }
}

static inline int is_lane(const ars_case *c)
{
    return c->object && (c->ars__kind == ARS__CASE_RECV || c->ars__kind == ARS__CASE_SEND) &&
           ars__chan_is_lane(c->object);
}

/* TO_PARK ...; NONE_READY, because a case has become ready, or an error: everything is unlinked. */
static int link(ars__task *self, ars_case *cases, uint32_t n)
{
    int verdict = TO_PARK;
    ars__task_unclaim(self);
    for (uint32_t i = 0; i < n; i++) {
        cases[i].ars__index = (uint16_t)i;
        cases[i].ars__who = (uintptr_t)self | ARS__OF_SELECT;
    }
    for (uint32_t i = 0; i < n; i++) {
        const ars__waitable_class *class = class_of(&cases[i]);
        if (!class) continue;
        if (class->due) {
            verdict |= DUE;
            continue;
        }
        if (is_lane(&cases[i])) verdict |= LANES;
        int rc = class->enqueue(cases[i].object, ars__case_node(&cases[i]));
        if (rc == 0) continue;
        /* Ready.  If the claim fails somebody has done another case for us, and wakes us. */
        if (!ars__task_claim(self)) return verdict;
        unlink(cases, i, UINT32_MAX);
        return rc < 0 ? rc : NONE_READY;
    }
    return verdict;
}

static ARS__NOINLINE void back_off(unsigned times)
{
    uint64_t pauses = random_bits() & ((UINT64_C(1) << (times < PATIENCE ? times : PATIENCE)) - 1);
    while (pauses--) ars_atomic_pause();
    if (times > PATIENCE) ars__os_thread_yield();
}

/* ---- objects that have a worker ---- */

static const ars__movable_class *movable(const ars_case *c)
{
    return c->object && c->ars__kind == ARS__CASE_SOURCE ? class_of(c)->movable : NULL;
}

/* 'rc', or that one of those held has been closed. */
static int let_go(ars_case *cases, uint32_t n, int rc)
{
    for (uint32_t i = n; i-- > 0;) {
        const ars__movable_class *class = cases[i].ars__order ? movable(&cases[i]) : NULL;
        if (class && class->let_go(cases[i].object) == ARS_EPIPE) rc = ARS_CLOSED((int)i);
    }
    return rc;
}

/* The entry check, which is about to let others run. */
static ARS__NOINLINE int enter_held(ars__task *self, ars_case *cases, size_t n, ars_time deadline,
                                    const void *frame)
{
    if (n > ARS_SELECT_MAX || !cases) n = 0;
    for (size_t i = 0; i < n; i++) {
        const ars__movable_class *class = movable(&cases[i]);
        cases[i].ars__order = class && class->hold(cases[i].object, self);
    }
    return let_go(cases, (uint32_t)n, ars__wait_enter_at(self, deadline, frame));
}

/* Has them all here: 0; or what the select ends with. */
static ARS__NOINLINE int fetch_all(ars__task *self, ars_case *cases, uint32_t n, ars_time deadline)
{
    int rc = 0, stays = !ars__task_moves(self);
    /* First those that are here: a fetch lets others run, and these may close them. */
    for (uint32_t i = 0; i < n; i++) {
        const ars__movable_class *class = movable(&cases[i]);
        if (class && !self->worker) return ARS_EINVAL;
        cases[i].ars__order = class && stays && class->hold(cases[i].object, self);
    }
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        const ars__movable_class *class = movable(&cases[i]);
        if (!class) continue;
        int held = cases[i].ars__order || class->hold(cases[i].object, self);
        if (!held) {
            rc = class->fetch(cases[i].object, self, deadline);
            held = rc == 0 && class->hold(cases[i].object, self);
            if (rc == ARS_ETIMEDOUT && deadline == 0) rc = 0;
        }
        cases[i].ars__order = (uint16_t)held;
        if (held && deadline == 0) class->ask(cases[i].object);
    }
    return let_go(cases, n, rc);
}

/* Everything but the park: so what is left to do then can be a jump. */
static ARS__NOINLINE int decide(ars__task *self, ars_case *cases, size_t size, ars_time deadline)
{
    uint32_t n = (uint32_t)size;
    if (size > ARS_SELECT_MAX || (size && !cases)) return ARS_EINVAL;
    int others = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (cases[i].ars__kind >= ARS__CASE_KINDS) return ARS_EINVAL;
        others |= cases[i].ars__kind == ARS__CASE_SOURCE;
    }
    for (unsigned times = 1;; times++) {
        int rc = ARS__UNLIKELY(others) ? fetch_all(self, cases, n, deadline) : 0;
        if (rc != 0) return rc;
        rc = try_all(cases, n);
        if (rc != NONE_READY) return rc;
        if (deadline == 0) return ARS_ETIMEDOUT;
        if (n) cases[0].ars__last = (uint16_t)(n - 1);
        rc = link(self, cases, n);
        if (rc < 0) return rc;
        if (rc != NONE_READY) {
            self->ctx.flags |= ARS__SELECTS;
            return rc;
        }
        back_off(times);
    }
}

static ARS__NOINLINE ars_time first_due(const ars_case *cases, ars_time deadline)
{
    for (uint32_t i = 0; i <= cases[0].ars__last; i++) {
        const ars__waitable_class *class = class_of(&cases[i]);
        ars_time due = class && class->due ? class->due(cases[i].object) : ARS_FOREVER;
        if (due < deadline) deadline = due;
    }
    return deadline;
}

/* ---- the end of the wait ---- */

static int do_due(ars_case *cases)
{
    for (uint32_t i = 0; i <= cases[0].ars__last; i++) {
        const ars__waitable_class *class = class_of(&cases[i]);
        if (!class || !class->due) continue;
        int rc = class->try(cases[i].object, cases[i].ars__value);
        if (rc != ARS__NOT_READY) return outcome(i, rc);
    }
    return ARS_ETIMEDOUT;
}

static void select_interrupt(ars__task *task, int why)
{
    ars_case *cases = ars__task_object(task);
    if (!ars__task_claim(task)) return;
    if (why == ARS_ETIMEDOUT && cases) why = do_due(cases);
    ars__ready(task, why);
}

static const ars__wait_class select_class = {"select", select_interrupt};

void ars__select_clean(ars__task *task)
{
    ars_case *cases = ars__task_object(task);
    (void)ARS_POINT("select cleans");
    task->ctx.flags &= ~(uint32_t)ARS__SELECTS;
    /* The node of the case that was done is out already, and its object may be gone. */
    if (cases)
        unlink(cases, cases[0].ars__last + UINT32_C(1),
               task->ctx.result < 0 ? UINT32_MAX : task->ctx.result & UINT32_C(0xffff));
}

/* Tells ThreadSanitizer that what came before the wake happened before what follows. */
static inline int woken(const ars_case *cases, int rc)
{
    if (ARS__TSAN && rc >= 0 && cases[rc & 0xffff].ars__kind != ARS__CASE_FD) {
        const ars_case *c = &cases[rc & 0xffff];
        ars_chan *chan = c->object;
        ars__san_acquire(c->ars__kind == ARS__CASE_RECV   ? ARS__CHAN_SENT(chan)
                         : c->ars__kind == ARS__CASE_SEND ? ARS__CHAN_TAKEN(chan)
                                                          : c->object);
    }
    return rc;
}

/*
 * The parks of a select with a channel that says no more than that it is worth
 * another try.  What that was worth goes to the next in line if another case is
 * done.
 */
static ARS__NOINLINE int park_again(ars__task *self, ars_case *cases, size_t n, ars_time deadline,
                                    int verdict)
{
    for (;;) {
        ars_time until = verdict & DUE ? first_due(cases, deadline) : deadline;
        int rc = ars__park(self, &select_class, n ? cases : NULL, until);
        if (rc < ARS__RETRY_SELECT) return woken(cases, rc);
        uint32_t tried = rc & UINT32_C(0xffff);
        verdict = decide(self, cases, n, deadline);
        if (verdict >= TO_PARK) continue;
        if (verdict < 0 || (verdict & UINT32_C(0xffff)) != tried)
            ars__lane_pass_on(cases[tried].object, cases[tried].ars__kind == ARS__CASE_SEND);
        return verdict;
    }
}

static ARS__NOINLINE int select_thread(ars_case *cases, size_t n, ars_time deadline)
{
    ars__thread room;
    ars__task *self = ars__thread_begin(&room);
    int rc = decide(self, cases, n, deadline);
    if (rc >= TO_PARK) rc = park_again(self, cases, n, deadline, rc);
    return rc;
}

int ars_select(ars_case *cases, size_t n, ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (!self) return select_thread(cases, n, deadline);
    int rc = ARS__UNLIKELY(self->worker->budget <= 0)
                 ? enter_held(self, cases, n, deadline, __builtin_dwarf_cfa())
                 : ars__wait_enter(self, deadline);
    if (rc != 0) return rc;
    rc = decide(self, cases, n, deadline);
    if (rc < TO_PARK) return rc;
    if (ARS__UNLIKELY(rc != TO_PARK)) return park_again(self, cases, n, deadline, rc);
    return woken(cases, ars__park(self, &select_class, n ? cases : NULL, deadline));
}
