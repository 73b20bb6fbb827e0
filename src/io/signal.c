/* SPDX-License-Identifier: MIT */
/*
 * Documented in <arsenal/signal.h>.
 *
 * The handler writes into a pipe for each channel that wants the signal; a task
 * for each channel moves what is in its pipe into the channel.  A handler, not
 * a signalfd: that one needs the signal blocked in every thread of the process,
 * also in those that were there before, and children would inherit the mask.
 */
#include <arsenal/signal.h>

#include <arsenal/group.h>
#include <arsenal/spin.h>
#include <arsenal/wait.h>

#include "io/backend.h"
#include "os/os.h"

enum { SIGNALS = 64 };

typedef struct subscriber {
    ars_atomic_ptr next;
    uint64_t set; /* signal n is bit n - 1 */
    ars_chan *chan;
    const ars_alloc *alloc;
    int from, to; /* the pipe */
    ars_atomic_u32 missed;
    ars_atomic_u32 users; /* who has opened it, and its task */
} subscriber;

/*
 * All of the process.  'lock' guards changes; the handler, which may interrupt
 * a thread that holds it, only reads 'first' and 'next'.
 *
 * A subscriber that was taken out is left alone once 'inside' was seen at 0
 * after that: the handler counts itself in before it reads the list (both
 * sequentially consistent, as are taking out and looking at 'inside'), so it
 * either does not find the subscriber or is waited for.
 */
static struct {
    ars_spin lock;
    ars_atomic_ptr first;
    ars_atomic_u32 inside;
    unsigned wanted[SIGNALS + 1]; /* by so many */
} all;

/* Runs in a signal handler, on any thread. */
static void on_signal(const ars__os_signal *signal)
{
    ars_signal record = {signal->number, signal->pid, signal->value, 0};
    uint64_t bit = UINT64_C(1) << (signal->number - 1);

    ars_atomic_u32_add_seq_cst(&all.inside, 1);
    for (subscriber *s = ars_atomic_ptr_load_seq_cst(&all.first); s;
         s = ars_atomic_ptr_load_seq_cst(&s->next)) {
        if (!(s->set & bit)) continue;
        /* All or nothing: a pipe takes what is shorter than a page whole. */
        if (ars__os_write(s->to, &record, sizeof record) != (int64_t)sizeof record)
            ars_atomic_u32_add_relaxed(&s->missed, 1);
    }
    ars_atomic_u32_add_release(&all.inside, (uint32_t)-1);
}

/* The lock is held. */
static void leave(uint64_t set)
{
    for (int i = 1; i <= SIGNALS; i++)
        if (set >> (i - 1) & 1 && --all.wanted[i] == 0) ars__os_signal_leave(i);
}

static int enter(subscriber *s)
{
    int rc = 0;
    ars_spin_lock(&all.lock);
    /* In the list first: from its first moment on a caught signal goes to the channel. */
    ars_atomic_ptr_store_relaxed(&s->next, ars_atomic_ptr_load_relaxed(&all.first));
    ars_atomic_ptr_swap_seq_cst(&all.first, s);
    for (int i = 1; i <= SIGNALS && rc == 0; i++) {
        if (!(s->set >> (i - 1) & 1)) continue;
        if (all.wanted[i] == 0) rc = ars__os_signal_catch(i, on_signal);
        if (rc == 0)
            all.wanted[i]++;
        else
            leave(s->set & ((UINT64_C(1) << (i - 1)) - 1));
    }
    ars_spin_unlock(&all.lock);
    return rc;
}

/* Takes the channel's subscriber out of the list; NULL if there is none. */
static subscriber *take(const ars_chan *chan, int caught)
{
    ars_spin_lock(&all.lock);
    ars_atomic_ptr *at = &all.first;
    subscriber *s;
    while ((s = ars_atomic_ptr_load_relaxed(at)) && s->chan != chan) at = &s->next;
    if (s) {
        if (caught) leave(s->set);
        ars_atomic_ptr_swap_seq_cst(at, ars_atomic_ptr_load_relaxed(&s->next));
    }
    ars_spin_unlock(&all.lock);
    while (ars_atomic_u32_add_seq_cst(&all.inside, 0) != 0) ars__os_thread_yield();
    return s;
}

static void release(subscriber *s)
{
    if (ars_atomic_u32_add_acq_rel(&s->users, (uint32_t)-1) != 1) return;
    ars__os_close(s->from);
    ars_chan_free(s->chan);
    s->alloc->free(s->alloc->ctx, s, sizeof *s, 8);
}

/* Reads the next signal, waiting for it; 0, or < 0 when there will be none. */
static int next(subscriber *s, ars_signal *record)
{
    size_t have = 0;
    while (have < sizeof *record) {
        int64_t n = ars__os_read(s->from, (char *)record + have, sizeof *record - have);
        if (n == 0) return ARS_EPIPE;
        if (n > 0) {
            have += (size_t)n;
        } else if (n == ARS_EAGAIN) {
            int rc = ars_wait_fd(s->from, ARS_FD_IN, ARS_FOREVER);
            if (rc < 0) return rc;
        } else if (n != ARS_EINTR) {
            return (int)n;
        }
    }
    return 0;
}

static int moves(void *arg)
{
    subscriber *s = arg;
    ars_signal record;

    while (next(s, &record) == 0) {
        record.missed = ars_atomic_u32_swap_acquire(&s->missed, 0);
        if (ars_chan_send(s->chan, &record, ARS_FOREVER) < 0) break;
    }
    /* Whoever waits learns that nothing will come. */
    ars_chan_close(s->chan);
    release(s);
    return 0;
}

static int to_set(uint64_t *set, const int *numbers, size_t n)
{
    *set = 0;
    for (size_t i = 0; i < n; i++) {
        if (numbers[i] < 1 || numbers[i] > SIGNALS) return ARS_EINVAL;
        *set |= UINT64_C(1) << (numbers[i] - 1);
    }
    return *set ? 0 : ARS_EINVAL;
}

int ars_signal_open(ars_chan **signals, const int *numbers, size_t n)
{
    static const ars_task_opt opt = {.name = "signals"};
    ars__task *self = ars__task_self();
    uint64_t set;
    int pipe[2];

    if (!self || to_set(&set, numbers, n) < 0) return ARS_EINVAL;
    const ars_alloc *alloc = ars__worker_alloc(ars__task_worker(self));
    subscriber *s = alloc->alloc(alloc->ctx, sizeof *s, 8);
    if (!s) return ARS_ENOMEM;
    ars_chan *chan;
    int rc = ars_chan_new(&chan, sizeof(ars_signal), 0, &(ars_chan_opt){.alloc = alloc});
    if (rc < 0) goto no_chan;
    rc = ars__os_pipe(pipe);
    if (rc < 0) goto no_pipe;
    /* Whether this worker can wait for descriptors shows now rather than in the task. */
    rc = ars_wait_fd(pipe[0], ARS_FD_IN, 0);
    if (rc != ARS_ETIMEDOUT) goto close_pipe;
    *s = (subscriber){
        .set = set, .chan = chan, .alloc = alloc, .from = pipe[0], .to = pipe[1], .users = {2}};
    rc = enter(s);
    if (rc < 0) goto not_caught;
    rc = ars_group_go(NULL, moves, s, &opt);
    if (rc < 0) goto no_task;
    *signals = chan;
    return 0;

no_task:
    take(chan, 1);
    goto close_pipe;
not_caught:
    take(chan, 0);
close_pipe:
    ars__os_close(pipe[1]);
    ars__os_close(pipe[0]);
no_pipe:
    ars_chan_free(chan);
no_chan:
    alloc->free(alloc->ctx, s, sizeof *s, 8);
    return rc;
}

void ars_signal_close(ars_chan *signals)
{
    subscriber *s = signals ? take(signals, 1) : NULL;
    if (!s) return;
    /* The task waits for a receiver, or for the end of the pipe. */
    ars_chan_close(signals);
    ars__os_close(s->to);
    release(s);
}
