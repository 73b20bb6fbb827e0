/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_CHAOS_H
#define ARS_TEST_CHAOS_H

/*
 * Makes what the kernel says come in an order, at a time and in portions that
 * it hardly ever chooses by itself but may, and makes single io_uring
 * operations fail.
 *
 * io_uring: rings opened while there is chaos have a completion queue of ours,
 * which results reach through a stash: in random order, save that those of one
 * user_data, and of one provided buffer, stay in order; and up to four turns
 * late.
 * epoll: events come in random order, few at a time, and some of them twice.
 * poll: some of what is ready is kept back for a turn.
 */

#include <arsenal/base.h>

typedef struct chaos_counts {
    uint64_t results;   /* io_uring completions that passed */
    uint64_t overtaken; /* of these, the ones that an older one came after */
    uint64_t late;      /* and the ones that were kept back */
    uint64_t events;    /* of epoll and poll */
    uint64_t doubled, held;
} chaos_counts;

/* From now on, and determined by 'seed' as far as the kernel is. */
void chaos_begin(uint64_t seed);
/* No more of it; what has happened.  Runtimes that began before have ended. */
chaos_counts chaos_end(void);

/*
 * The nth io_uring operation with this opcode that is submitted from now on (1:
 * the next one), and the 'times' - 1 after it, is not carried out and completes
 * with 'result'.  One rule; opcode 0 removes it.
 */
void chaos_inject(unsigned opcode, unsigned nth, int32_t result, unsigned times);
/* The same, for one that receives or sends: it is carried out, of 'bytes' bytes at most. */
void chaos_short(unsigned opcode, unsigned nth, unsigned bytes);
/*
 * From now on, of rings that are opened, what no program may mind: now and then
 * an operation is interrupted, or cancelled by the kernel, or sends less than it
 * could.  Seed 0 ends it; returns how many it were.
 */
unsigned chaos_noise(uint64_t seed);
/* How many were submitted since the rule was made, and how many of these were changed. */
unsigned chaos_injected(unsigned *submitted);

#endif
