/* SPDX-License-Identifier: MIT */
#ifndef ARS_CORO_STACK_H
#define ARS_CORO_STACK_H

/*
 * Stacks for coroutines and tasks: many, guarded, cheap while unused.
 *
 * The stacks of a pool have one size.  They lie at a stride in a few large
 * reservations that take address space only; for the usual size that is 68 KiB:
 * 64 KiB of stack above a guard page of 4 KiB (with pages of 4 KiB).  The
 * stride is an odd number of pages on purpose: at a power of two the tops of
 * all stacks fall into the same few sets of the TLB.  For the same reason tops
 * are staggered by cache lines.
 *
 * A guard makes an overflow fault instead of corrupting the neighbour.  It is
 * one of three kinds, the first that the system has: a guard marker, which
 * costs no mapping; page protection, until the limit of mappings is reached;
 * a canary, known words at the lower end that are looked at when the stack is
 * given back.  Once a pool had to step down it stays there.
 *
 * At the very top of each stack lies a header, so that a fault address is
 * enough to say whose stack it is, and the stack to say which pool it is of.
 *
 * Stacks given back are handed out hottest first.  Thread rule: one user at a
 * time; but ars__stack_return() may be called by anyone.
 */

#include <arsenal/alloc.h>

typedef struct ars__stack_header {
    /* For the overflow report, set by the stack's user; NULL after ars__stack_get(). */
    const char *name; /* whose stack it is; NULL: unnamed */
    const char *what; /* what that is; NULL: "task" */
    void *owner;
    /* The pool's. */
    char *ars__low;
    union {
        struct ars__stack_header *ars__next; /* of a free stack */
        void *note;                          /* the user's */
    };
    uintptr_t home; /* the pool that it belongs to; odd: below it lies a canary */
} ars__stack_header;

typedef struct ars__stack {
    char *low; /* lowest usable byte; the guard lies below */
    char *top; /* first byte above the usable part: the header's address, aligned to 16 */
} ars__stack;

static inline ars__stack_header *ars__stack_header_of(ars__stack s)
{
    return (ars__stack_header *)(void *)s.top;
}

/* The stack in use whose header lies at 'top'. */
static inline ars__stack ars__stack_at(char *top)
{
    return (ars__stack){((ars__stack_header *)(void *)top)->ars__low, top};
}

typedef struct ars__stack_stats {
    uint64_t reserved; /* stacks that there is address space for */
    uint64_t carved;   /* of these, stacks with a guard: what was ever used, and a few more */
    uint64_t in_use;
    uint64_t guard_light, guard_protect, guard_canary; /* carved stacks by kind of guard */
    uint64_t smashed;                                  /* canaries found dead */
} ars__stack_stats;

typedef struct ars_stack_pool ars__stack_pool; /* <arsenal/coro.h> has the public side */

static inline ars__stack_pool *ars__stack_home(ars__stack s)
{
    return (ars__stack_pool *)(ars__stack_header_of(s)->home & ~(uintptr_t)1);
}

enum {
    ARS__STACK_SIZE = 64 * 1024, /* the usual one */
    ARS__STACK_TAKEN = 1024 /* of each stack, at most, that the header and the staggering take */
};

/* Of stacks of 'size' bytes, a power of two from 16 KiB on.  0, or ARS_ENOMEM.  Reserves nothing yet. */
int ars__stack_pool_new(ars__stack_pool **out, const ars_alloc *alloc, size_t size);
void ars__stack_pool_free(ars__stack_pool *pool); /* all stacks back or abandoned */

/*
 * Makes sure that 'n' stacks in all can be in use at once: afterwards
 * ars__stack_get() cannot fail before that many are.  ARS_ENOMEM changes nothing.
 */
int ars__stack_pool_reserve(ars__stack_pool *pool, uint64_t n);

/* Takes the hottest free stack.  0, or ARS_ENOMEM. */
int ars__stack_get(ars__stack_pool *pool, ars__stack *out);
/* Gives it back. 1 if its canary was dead (counted), else 0. */
int ars__stack_put(ars__stack_pool *pool, ars__stack stack);
/*
 * The same by anyone, to the pool that it came from: the pool's user finds it
 * there when it trims, or runs out of others.  Not from the stack itself.
 */
void ars__stack_return(ars__stack stack);

/*
 * How many bytes of free stacks may keep their pages (all, if nothing is said;
 * each counts with its full size), and giving the pages of others back, some
 * at a time; from another stack.
 */
void ars__stack_pool_keep(ars__stack_pool *pool, uint64_t bytes);
int ars__stack_pool_trim(ars__stack_pool *pool); /* 1: there are more */
/* Whether more are free than may keep their pages. */
int ars__stack_pool_surplus(const ars__stack_pool *pool);

/*
 * From the first call on, trimming spares stacks that were in use since the
 * call before the last one: what comes and goes in waves keeps its pages.
 */
void ars__stack_pool_age(ars__stack_pool *pool);

ars__stack_stats ars__stack_pool_stats(const ars__stack_pool *pool);

/*
 * Gives back the pages in use below 'sp', which is in the stack: those that lie
 * wholly below it, its red zone, and one more.
 */
void ars__stack_give_below(ars__stack stack, const char *sp);

/* The i-th stack, counted from 0: 1, or 0 if so many were never handed out.  Its header's 'owner' says whether it is in use. */
int ars__stack_pool_at(const ars__stack_pool *pool, uint64_t i, ars__stack *out);

/* Whether the stack has a canary and that is dead; it lives again then.  Putting the stack back does the same and counts it. */
int ars__stack_revive(ars__stack stack);

/*
 * How deep a stack is used: after ars__stack_wipe(), by its user before it uses
 * it, it holds nothing but zeros; ars__stack_depth() gives the bytes from its
 * top down to the lowest word that is something else now, or if it is called
 * on that stack to its own frame, whichever is lower.
 */
void ars__stack_wipe(ars__stack stack);
size_t ars__stack_depth(ars__stack stack);

/*
 * For the overflow handler, async-signal-safe: whether 'fault' lies in the
 * guard of a pooled stack; then gives its header.
 */
int ars__stack_find_guard(const void *fault, const ars__stack_header **header);

/* Gives the calling thread a signal stack if the overflow handler is installed and it has none; undone by the second. */
int ars__overflow_thread_enter(void **token, const ars_alloc *alloc);
void ars__overflow_thread_leave(void *token, const ars_alloc *alloc);

#endif
