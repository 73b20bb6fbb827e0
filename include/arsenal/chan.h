/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_CHAN_H
#define ARSENAL_CHAN_H

#include <arsenal/alloc.h>

ARS_BEGIN_DECLS

/*
 * Channels pass values between tasks, by copy, in the order they were sent.
 *
 * A channel holds up to 'cap' values.  A channel of capacity 0 holds none: a
 * sender waits until a receiver has taken the value from its hands.  Values of
 * size 0 are signals; their pointers may be NULL.
 *
 * Any number of tasks, on any worker and of any runtime, may use the same
 * channel.  A plain thread may too: it then blocks instead of parking.  Those
 * who wait are served in the order they came.
 *
 * Whoever sends closes the channel when no more will come; receivers first get
 * what it still holds.  What came before a send happens before what follows
 * the receive of its value, and what came before a close before the receive
 * that learns of it.
 */
typedef struct ars_chan ars_chan;

enum ars_chan_flags {
    /*
     * Promises about who uses the channel, for which it takes no lock: at most
     * one sender at a time and one receiver at a time (SPSC), or any number of
     * senders and one receiver at a time (MPSC).  The next one must have been
     * ordered behind the last, by a channel, a lock, or a group's wait.  The
     * capacity is rounded up to a power of two and is at least 2 then; a value
     * is handed over through the channel always, so senders that wait may be
     * overtaken; and the channel may be freed only when the calls on it have
     * returned, those of the other side too.
     */
    ARS_CHAN_SPSC = 1,
    ARS_CHAN_MPSC = 2,
    /*
     * The channel is a source: a value sent to it goes to each channel that
     * has subscribed, and a send never waits.  Its own 'cap' is 0, and it
     * cannot be received from.  With LATEST a subscriber holds the newest value
     * only, and is not told of those that it missed.
     */
    ARS_CHAN_BROADCAST = 4,
    ARS_CHAN_LATEST = 8
};

/* How a channel is made; all-zero is the default. */
typedef struct ars_chan_opt {
    const ars_alloc *alloc; /* NULL: the default; must outlive the channel and its subscribers */
    unsigned flags;         /* one of enum ars_chan_flags, or 0 */
    unsigned ars__pad;
    uint64_t ars__reserved[4]; /* zero */
} ars_chan_opt;

/*
 * ars_chan_new() makes a channel for values of 'elem' bytes that holds up to
 * 'cap' of them, and gives it by '*chan'.  'opt' may be NULL.
 *
 * Returns 0, or
 *   ARS_EINVAL  'elem' or 'cap' is above INT32_MAX, or the options make no sense
 *   ARS_ENOMEM  no memory
 *
 * Suspends: no.  Allocates: yes.  Callable from: task, thread.
 */
ARS_API int ars_chan_new(ars_chan **chan, size_t elem, size_t cap, const ars_chan_opt *opt);

/*
 * ars_chan_free() frees the channel and the values in it.  Nobody may be using
 * it: there is no count of references.  A source's subscribers are closed, and
 * freed by whoever made them.  NULL is allowed.
 *
 * In debug builds a channel that somebody waits for is closed, reported, and
 * not freed.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API void ars_chan_free(ars_chan *chan);

/*
 * ars_chan_send() copies '*value' into the channel, waiting for room until
 * 'deadline'.
 *
 * Returns 0 once the value is in the channel or in a receiver's hands.  After
 * any error the value was not sent and the caller still owns what it refers to:
 *
 *   ARS_EPIPE      the channel is closed, or was closed during the wait
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 never waits)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with deadline 0
 *   ARS_EINVAL     'chan' is NULL or a subscriber
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread; not a signal handler.
 */
ARS_API int ars_chan_send(ars_chan *chan, const void *value, ars_time deadline);

/*
 * ars_chan_recv() takes the oldest value out of the channel into '*value',
 * waiting for one until 'deadline'.
 *
 * Returns 0 with a value.  After any error '*value' is untouched:
 *
 *   ARS_EPIPE      the channel is closed and drained
 *   ARS_EOVERFLOW  a subscriber has lost its oldest values; said once, the next
 *                  receive goes on with the oldest that it still has
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 never waits)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with deadline 0
 *   ARS_EINVAL     'chan' is NULL or a source
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread; not a signal handler.
 */
ARS_API ARS_MUST_USE int ars_chan_recv(ars_chan *chan, void *value, ars_time deadline);

/*
 * ars_chan_send_many() sends the 'n' values of the array 'values', in order.
 * It waits for room for the first only, then sends as many as go without
 * waiting.  Other senders' values do not come between those, except at a source.
 *
 * Returns how many were sent, >= 1 (0 if 'n' is 0), or an error of
 * ars_chan_send(): then none was.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_chan_send_many(ars_chan *chan, const void *values, size_t n,
                                            ars_time deadline);

/*
 * ars_chan_recv_many() receives up to 'n' values into the array 'values'.  It
 * waits for the first only, then takes what is there.
 *
 * Returns how many were received, >= 1 (0 if 'n' is 0), or an error of
 * ars_chan_recv(): then none was, and 'values' is untouched.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_chan_recv_many(ars_chan *chan, void *values, size_t n,
                                            ars_time deadline);

/*
 * ars_chan_close() ends the channel: nothing more can be sent.  Values that it
 * holds can still be received; senders and receivers that wait get ARS_EPIPE.
 * Closing a source closes its subscribers; closing a subscriber makes it miss
 * what is sent from now on.
 *
 * Returns 0, ARS_EPIPE if it was closed already, or ARS_EINVAL for NULL.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_chan_close(ars_chan *chan);

/*
 * ars_chan_len() is how many values the channel holds, ars_chan_cap() how many
 * it can hold; 0 for NULL.  The former is out of date at once while others use
 * the channel.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API size_t ars_chan_len(const ars_chan *chan);
ARS_API size_t ars_chan_cap(const ars_chan *chan);

/*
 * ars_chan_subscribe() makes a channel that receives what is sent to 'source',
 * a channel made with ARS_CHAN_BROADCAST or ARS_CHAN_LATEST, from now on, and
 * gives it by '*sub'.  It can be received from, be a case of a select, closed,
 * and is freed as any other, before the source or after.
 *
 * It holds up to 'lag' values (1, whatever 'lag' says, of a LATEST source).
 * When one more is sent the oldest is lost, and the next receive says so with
 * ARS_EOVERFLOW.  Once the source is closed it gives what it still holds, then
 * ARS_EPIPE.
 *
 * Returns 0, or
 *   ARS_EPIPE   the source is closed
 *   ARS_EINVAL  'source' is NULL or no source; 'lag' is 0 or above INT32_MAX
 *   ARS_ENOMEM  no memory
 *
 * Suspends: no.  Allocates: with the source's allocator.  Callable from: task, thread.
 */
ARS_API int ars_chan_subscribe(ars_chan *source, ars_chan **sub, size_t lag);

ARS_END_DECLS

#endif
