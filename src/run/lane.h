/* SPDX-License-Identifier: MIT */
#ifndef ARS_RUN_LANE_H
#define ARS_RUN_LANE_H

/* Channels of a declared shape: see lane.c.  Private to the channels. */

#include "run/channel.h"

typedef struct ars__lane ars__lane;

/* NULL when there is no memory. */
ars_chan *ars__lane_make(const ars_alloc *alloc, int multi, size_t elem, size_t cap);
size_t ars__lane_size(const ars_chan *chan); /* in bytes, of the whole */
size_t ars__lane_len(const ars_chan *chan);
int ars__lane_close(ars_chan *chan);

/* ars_chan_send() and ars_chan_recv(). */
int ars__lane_send_one(ars_chan *chan, const void *value, ars_time deadline);
int ars__lane_recv_one(ars_chan *chan, void *value, ars_time deadline);

/* Up to 'n' values, >= 1 (how many), or an error, the entry to the wait left out. */
int ars__lane_send(ars_chan *chan, const char *values, size_t n, ars_time deadline);
int ars__lane_recv(ars_chan *chan, char *values, size_t n, ars_time deadline);

/* One value, if possible at once: 0, ARS_EPIPE, ARS__NOT_READY. */
int ars__lane_put(ars_chan *chan, const void *value);
int ars__lane_take(ars_chan *chan, void *value);

/* Waits until it is worth another try: 0 or an error. */
int ars__lane_wait(ars_chan *chan, ars_time deadline, int to_send);
/* Links a node and returns 0, or returns 1 because a try is worth it now. */
int ars__lane_link(ars_chan *chan, ars__node *node, int to_send);
/* Somebody who was woken has done something else. */
void ars__lane_pass_on(ars_chan *chan, int to_send);

#endif
