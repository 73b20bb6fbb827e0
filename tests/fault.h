/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_FAULT_H
#define ARS_TEST_FAULT_H

/*
 * Makes the operating system fail on purpose.
 *
 * Every test program is linked with --wrap for each call of os/os.h, so that
 * all of them, the library's and the test's own, pass through fault.c.  There
 * a call is counted and, if a rule says so, gives another result than the
 * system's.  A site is a call's name without its prefix: "socket", "uring_enter".
 * A new call in os.h needs a line in fault.c's table, or nothing links.
 *
 * Rules and counts are process-wide and may be read and set at any time by any
 * thread; a child has its own copy.
 */

#include <arsenal/alloc.h>

/*
 * The n-th call of 'site' from now on (1: the next one) gives 'result', and so
 * do 'times' - 1 calls after it; with 'times' -1 all of them.  'result' is an
 * error code mostly, but may be anything the call can return.  The call has no
 * effect then, except that close, release and uring_unmap do their work all
 * the same: there is no way to try again.  One rule a site; 'nth' 0 removes it.
 */
void fault_at(const char *site, unsigned nth, int64_t result, int times);

/* The n-th call of read, write, recv, send or their like from now on moves at most 'bytes' bytes. */
void fault_short(const char *site, unsigned nth, size_t bytes);

/* The n-th call of 'site' from now on does its work and gives 'result' all the same. */
void fault_after(const char *site, unsigned nth, int64_t result);

/*
 * Before the next call of 'site', and once only, fn(arg) runs on the thread
 * that makes it: what happens there happens at just that moment.
 */
void fault_before(const char *site, void (*fn)(void *arg), void *arg);

/*
 * From now on, what no program may mind: now and then a call that waits or
 * moves bytes is interrupted, and one that sends takes less than it could.
 */
void fault_noise(uint64_t seed);

/* Removes every rule, ends noise and sets every count to 0. */
void fault_reset(void);

/* Calls of 'site' since the last reset, and how many of these a rule changed. */
uint64_t fault_counts(const char *site);
uint64_t fault_hits(const char *site);

/* The table: name and errors of the i-th site, NULL behind the last. */
typedef struct fault_error {
    int result;
    int passing; /* never given for ever: the caller may rightly try again at once */
} fault_error;

const char *fault_site(unsigned i);
const fault_error *fault_errors(unsigned i); /* ends with a result of 1 */

/* ---- sweeps ---- */

/*
 * What a sweep runs again and again.  It uses 'alloc' for everything that it
 * can, must return normally whatever fails, and leave nothing behind.
 */
typedef void sweep_body(const ars_alloc *alloc);

/*
 * Runs 'body' with the 1st, 2nd, ... n-th allocation failing, alone and with
 * all later ones, until a run sees none fail; the leak gate closes after each
 * run.  Prints and returns n.
 */
unsigned sweep_alloc(const char *name, sweep_body *body);

/*
 * Runs 'body' with the 1st, 2nd, ... n-th allocation failing, alone: it must
 * return ARS_ENOMEM where one fails and 0 where none does, and leave nothing
 * behind.  Returns n.
 */
unsigned sweep_each(int (*body)(const ars_alloc *alloc));

/*
 * The same for each call of os.h that 'body' makes and each error it can give:
 * the 1st to 32nd call of a site, then every eighth on average.  Prints and returns
 * the number of runs.
 */
unsigned sweep_os(const char *name, sweep_body *body);

#endif
