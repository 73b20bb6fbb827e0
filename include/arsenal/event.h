/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_EVENT_H
#define ARSENAL_EVENT_H

#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * An event is set or not; waits last until it is set.  All-zero is not set.
 *
 * It stays set until it is reset, and lets everybody through.  With
 * ARS_EVENT_AUTO a set lets one wait through, the longest, and is used up by
 * it; setting it again before somebody has waited changes nothing.
 *
 *     static ars_event stop;
 *     static ars_event work = ARS_EVENT_INIT(ARS_EVENT_AUTO);
 *
 * What was done before a set happens before what follows a wait that it lets
 * through.
 */
typedef struct ars_event {
    uint32_t ars__flags;
    uint32_t ars__word;
    uint64_t ars__state[2];
} ars_event;

enum ars_event_flags { ARS_EVENT_AUTO = 1 };

/* clang-format off */
#define ARS_EVENT_INIT(flags) {(flags), 0, {0, 0}}
/* clang-format on */

/*
 * ars_event_set() sets the event.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API void ars_event_set(ars_event *event);

/*
 * ars_event_reset() takes a set back: later waits wait again.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API void ars_event_reset(ars_event *event);

/*
 * ars_event_wait() waits until the event is set, until 'deadline'.
 *
 * Returns 0, or
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 only tries)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_event_wait(ars_event *event, ars_time deadline);

/* The case of a select that waits for the ars_event 'event', and uses it up with ARS_EVENT_AUTO. */
#define ARS_EVENT(event) ars_case_make(ARS__CASE_EVENT, (event), 0)

ARS_END_DECLS

#endif
