/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SELECT_H
#define ARSENAL_SELECT_H

#include <arsenal/chan.h>

ARS_BEGIN_DECLS

/*
 * Select waits for the first of several things: a value to receive, room to
 * send one, the end of a group, an event, a tick, a connection that has
 * something to read.
 *
 *     ars_case cases[] = {ARS_RECV(jobs, &job), ARS_SEND(results, &result)};
 *     switch (ars_select(cases, 2, ars_after(ARS_SECOND))) {
 *     case 0: ...             'job' has been received
 *     case ARS_CLOSED(0): ... 'jobs' is closed and drained
 *     case 1: ...             'result' has been sent
 *     case ARS_ETIMEDOUT: ...
 *     }
 *
 * A case is a value that carries all that the wait needs, so a select allocates
 * nothing.  Cases may be kept in an array and used again; while a select waits
 * with them they are not touched.  An all-zero case, or one without an object,
 * is never ready: set a case's object to NULL to switch it off.
 */
typedef struct ars_case {
    void *object;       /* the channel ...; NULL: switched off */
    uint16_t ars__kind; /* private from here on */
    uint16_t ars__index, ars__order, ars__last;
    void *ars__links[2];
    uintptr_t ars__who;
    void *ars__value;
} ars_case;

/* What a case is for; the kinds that are not listed here have their makers in their own headers. */
enum ars_case_kind {
    ARS__CASE_NONE = 0,
    ARS__CASE_RECV = 1,
    ARS__CASE_SEND = 2,
    ARS__CASE_TICK = 3,
    ARS__CASE_GROUP = 4,
    ARS__CASE_EVENT = 5,
    ARS__CASE_SEM = 6,
    ARS__CASE_WAITGROUP = 7,
    ARS__CASE_SOURCE = 8, /* a connection or listener */
    ARS__CASE_FD = 9,     /* 'object' is the descriptor plus 1 */
    ARS__CASE_KINDS = 10
};

/*
 * ars_case_make() is a case of one of the kinds above; the macros below and
 * those of other headers stand on it.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE ars_case ars_case_make(unsigned kind, void *object, void *value)
{
    ars_case made;
    made.object = object;
    made.ars__kind = (uint16_t)kind;
    made.ars__index = made.ars__order = made.ars__last = 0;
    made.ars__links[0] = made.ars__links[1] = 0;
    made.ars__who = 0;
    made.ars__value = value;
    return made;
}

/* The case that receives from the ars_chan 'chan' into '*value'. */
#define ARS_RECV(chan, value) ars_case_make(ARS__CASE_RECV, (chan), (value))
/* The case that sends '*value' to the ars_chan 'chan'. */
#define ARS_SEND(chan, value) ars_case_make(ARS__CASE_SEND, (chan), (void *)(uintptr_t)(value))

/*
 * The case that is chosen once every child of the ars_group 'group' has ended.
 * The group is one that the calling task has initialised; it still has to wait
 * for it, which then does not take long.
 */
#define ARS_GROUP_DONE(group) ars_case_make(ARS__CASE_GROUP, (group), 0)

/* What ars_select() returns when case i was chosen because its channel is closed. */
#define ARS_CLOSED(i) (0x10000 + (i))
/* The same for a subscriber that has lost values: see ARS_CHAN_BROADCAST. */
#define ARS_LAGGED(i) (0x20000 + (i))

enum { ARS_SELECT_MAX = 0x10000 };

/*
 * ars_select() waits until one of the 'n' cases can be done, does that one and
 * no other, and returns its index.  If several can, each of them is as likely
 * as the others.
 *
 * A closed channel counts as one that can: a send to it, and a receive once it
 * is drained, are chosen like the others, and the result is ARS_CLOSED(i).  A
 * receive from a subscriber that has lost values gives ARS_LAGGED(i).  Nothing
 * has been sent or received then.
 *
 * The same object may be in several cases.  Two cases of one select never meet
 * each other.  Without a case that is switched on it waits for the deadline.
 *
 * Returns the index of the case, with ARS_CLOSED() or ARS_LAGGED(), or, with
 * nothing done,
 *   ARS_ETIMEDOUT  the deadline passed; with deadline 0 no case could be done
 *                  (they are looked at in turn, not all at the same instant)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with deadline 0
 *   ARS_EINVAL     'n' is above ARS_SELECT_MAX, 'cases' is NULL, or a case
 *                  cannot be: a receive from a source, a send to a subscriber
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_select(ars_case *cases, size_t n, ars_time deadline);

ARS_END_DECLS

#endif
