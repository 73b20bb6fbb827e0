/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_AWAIT_H
#define ARS_IO_AWAIT_H

/*
 * For calls that a layer above makes itself on a source, without waiting: how
 * it waits, after ARS_EAGAIN, to try again.
 *
 * Inlined, so that reports show the public function's caller.
 */

#include "io/backend.h"

/* Until a receive may be tried again: >= 0; ARS_EBUSY for a second reader; or why not, and the source may be gone. */
__attribute__((always_inline)) static inline int
ars__await_in(ars__source *source, ars__task *self, const ars__wait_class *wait, ars_time deadline)
{
    if (deadline == 0) return ARS_ETIMEDOUT;
    ars__request request = {
        .kind = ARS__POLL_IN, .task = self, .done = ars__request_wake, .source = source};
    /* It may be closed between the wake-up and the try. */
    source->pins++;
    int rc = ars__submit(&request, 1);
    if (rc == ARS__PENDING) rc = ars__request_park(&request, wait, deadline);
    source->pins--;
    if (ARS__UNLIKELY(source->closing)) {
        ars__source_settle(source);
        return ARS_EBADF;
    }
    return rc;
}

/* Takes the writers' turn, behind those that are there: 0, or why not. */
__attribute__((always_inline)) static inline int
ars__await_turn(ars__request *turn, ars__source *source, ars__task *self,
                const ars__wait_class *wait, ars_time deadline)
{
    *turn = (ars__request){
        .kind = ARS__TURN, .task = self, .done = ars__request_wake, .source = source};
    int rc = ars__submit(turn, deadline != 0);
    if (rc == ARS__PENDING) return ars__request_park(turn, wait, deadline);
    return rc == ARS_EAGAIN ? ARS_ETIMEDOUT : rc;
}

/* For who has the turn: until a send may be tried again, >= 0; or why not.  It keeps the turn. */
__attribute__((always_inline)) static inline int
ars__await_out(ars__request *turn, const ars__wait_class *wait, ars_time deadline)
{
    if (deadline == 0) return ARS_ETIMEDOUT;
    turn->kind = ARS__POLL_OUT;
    int rc = ars__submit(turn, 1);
    if (rc == ARS__PENDING) return ars__request_park(turn, wait, deadline);
    turn->kind = ARS__TURN;
    return rc;
}

#endif
