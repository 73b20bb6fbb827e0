/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SIGNAL_H
#define ARSENAL_SIGNAL_H

#include <arsenal/chan.h>

ARS_BEGIN_DECLS

/*
 * The signals of the process as a channel of 'ars_signal', to be received from
 * or selected like any other.
 *
 *     ars_chan *signals;
 *     int rc = ars_signal_open(&signals, (const int[]){SIGINT, SIGTERM}, 2);
 *     ...
 *     ars_case cases[] = {ARS_RECV(jobs, &job), ARS_RECV(signals, &signal)};
 *     ...
 *     ars_signal_close(signals);
 *
 * From the first open on, a signal is caught by a handler and does nothing else
 * any more; when the last channel for it has been closed, what was in force
 * before is so again, unless somebody else has caught it in between.  Any
 * number of channels may get the same signal; each gets every one.
 *
 * Threads that Arsenal starts block all signals that come from outside, so one
 * is delivered to the thread that called ars_run() or to another of the
 * user's.  A signal that all of them block is not delivered.  What it
 * interrupts there goes on (SA_RESTART), as far as the kernel can do that.
 *
 * The handler runs on the signal stack of the thread that it interrupts, if
 * that has one (ars_overflow_install() sees to it), else on the stack of the
 * task that is running, which needs some KiB of room then.
 *
 * Signals that are not received at once are kept, about 4,000 a channel; then
 * new ones are counted only.  But the kernel itself keeps one of each number
 * until it is delivered: two SIGCHLD in short succession are one, so ask
 * waitpid(-1, ..., WNOHANG) until it has no more.  Those above SIGRTMIN that
 * sigqueue() sends are kept singly, in their order.
 *
 * A child of fork() gets none: what it is sent before it calls exec is lost.
 */
typedef struct ars_signal {
    int number;
    int pid;   /* who sent it; with SIGCHLD a child that has ended or stopped; 0: the kernel */
    int value; /* what sigqueue() or a timer carried, else 0 */
    uint32_t missed; /* how many before this one could not be kept */
} ars_signal;

/*
 * ars_signal_open() makes a channel, '*signals', that receives the 'n' signals
 * of 'numbers'.  It belongs to the caller's runtime, and must be closed before
 * that ends.
 *
 * Returns 0, or
 *   ARS_EINVAL  no number; or one is no signal, cannot be caught (SIGKILL,
 *               SIGSTOP), or tells of a fault of the thread itself (SIGSEGV,
 *               SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS); or called on a plain
 *               thread
 *   ARS_EMFILE, ARS_ENFILE  no descriptors: it takes two
 *   ARS_ENOMEM  no memory; or another error of the operating system
 *
 * Suspends: no.  Allocates: yes, a task too.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_signal_open(ars_chan **signals, const int *numbers, size_t n);

/*
 * ars_signal_close() closes and frees the channel; it is not for others, and
 * ars_chan_free() is not for this one.  Nobody may be using it.  Once it has
 * returned no handler of this channel runs or will.  NULL is allowed.
 *
 * To end it for those who wait for it, let ars_chan_close() come first.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API void ars_signal_close(ars_chan *signals);

ARS_END_DECLS

#endif
