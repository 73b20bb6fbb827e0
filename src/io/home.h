/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_HOME_H
#define ARS_IO_HOME_H

/*
 * Whose a source is, where there are several workers.
 *
 * A source has a home: the loop that it is registered with, whose worker alone
 * touches it.  Or it is loose: registered nowhere, in the hub's list, and the
 * first loop that needs it takes it.  Accepted connections are loose until they
 * are used, so that it costs nothing when another worker serves them.
 *
 * A task of another worker that needs a source asks its home to let go of it,
 * and waits.  The home looks at the request in its next turn, when nobody is
 * using the source; it refuses if somebody waits, else it ends a receive that
 * the kernel still has, and copies bytes that came and were not read, so that
 * the source carries them along.  What is let go of is loose; the one who asked
 * then takes it.
 *
 * A request travels as the source itself: its 'mail' node lies in the inbox of
 * one loop while its 'events' are not 0.  Whoever sets the first event owns the
 * node, and either deals with the event or passes the node on to the loop that
 * has to; and so on until no event is left.  A source is not freed before that.
 * When it has come, the tasks that waited for it pin it until they run, so that
 * one that runs before them may close it.  A task that migrates cannot, since it
 * may run elsewhere; nor can one that waits until another loop's request has
 * been dealt with: these look at the source when they run.
 *
 * At the end of a runtime nobody waits and nothing is dealt with any more: each
 * loop closes what is at home with it, the last one what is loose.  The memory
 * of loops and sources stays until then, because others may still send to them.
 */

#include <arsenal/spin.h>

#include "io/backend.h"

/* What the loops of a runtime share. */
struct ars__hub {
    const ars_alloc *alloc;
    ars__slab conns; /* shared calls only */
    ars_spin lock;   /* guards what follows, and 'loop' of a source where it is or becomes NULL */
    uint32_t loops;  /* not closed */
    ars__list loose;
    ars__loop *closed;
};

/* Makes a new loop one of the worker's runtime; 0 or ARS_ENOMEM. */
int ars__hub_join(ars__loop *loop, ars__worker *worker);

/* Puts a source that is at home into the hub's list: it is registered with no loop any more. */
void ars__source_loosen(ars__source *source);

/* Takes a closed source out of its list. */
void ars__source_unlist(ars__source *source);

/* Frees what it carries. */
void ars__source_drop_carried(ars__source *source);

/* By the home, which closes it: who waits to have it is told. */
void ars__source_refuse(ars__source *source);

/* Whether the source may be freed; if not, ars__source_settle() is called by the home once more. */
int ars__source_unmailed(ars__source *source);

#endif
