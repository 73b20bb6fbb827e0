/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_SLICES_H
#define TOOLS_SLICES_H

#include "client.h"

/*
 * Paired slices: several servers, all connected, are loaded in turn for a
 * fraction of a second each, round after round, and the CPU time that each
 * spends is divided by the requests it answered.
 *
 * On a machine with other work the cost of a request drifts by 15 % within
 * seconds, which drowns what is to be measured when servers are run one after
 * the other.  Within a round all of them meet the same mood, so that the ratio
 * to the first server, taken round by round, stays steady.
 *
 * With 'share' as many rounds follow in an open loop, all at the same rate:
 * that share of what the first server did in the closed loop.  Their latencies
 * are those of a server with so much to do.
 */

enum { SLICES_TARGETS_MAX = 16 };

/* "ADDRESS[,pid=PID][,ticks=FD]": a server, its process, and its page of <user_ticks.h>. */
struct slice_target {
    char address[160];
    int pid, ticks_fd;
};

/* 0, or -1 if the text is no target. */
int slice_target_parse(struct slice_target *target, const char *text);

struct slice_plan {
    struct client client; /* connections, size, seed, timeout, live */
    struct slice_target targets[SLICES_TARGETS_MAX];
    int n, rounds;
    double seconds; /* of a slice */
    double share;   /* 0: no rounds in an open loop */
    int control;    /* after the last round print "phase idle N" and wait for a line on stdin */
};

/*
 * Carries the plan out and prints a JSON object a line and target, in their
 * order.  Returns 0, or -1 when something failed or any answer was wrong.
 */
int slices_run(const struct slice_plan *plan);

#endif
