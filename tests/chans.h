/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_CHANS_H
#define ARS_TEST_CHANS_H

/* Channels whose calls must succeed. */

#include <arsenal/chan.h>

#include "test.h"

static inline ars_chan *fresh(size_t elem, size_t cap)
{
    ars_chan *chan = NULL;
    CHECK_EQ(ars_chan_new(&chan, elem, cap, NULL), 0);
    return chan;
}

static inline void send(ars_chan *chan, long value)
{
    CHECK_EQ(ars_chan_send(chan, &value, ARS_FOREVER), 0);
}

static inline long recv(ars_chan *chan)
{
    long value = -1;
    CHECK_EQ(ars_chan_recv(chan, &value, ARS_FOREVER), 0);
    return value;
}

#endif
