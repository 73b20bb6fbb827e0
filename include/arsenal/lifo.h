/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_LIFO_H
#define ARSENAL_LIFO_H

/*
 * A stack for any number of threads, of numbers below its capacity: the places
 * of an array that are free, say.  Lock-free; nothing here waits or allocates.
 *
 * Source: Treiber, "Systems programming: coping with parallelism" (1986).
 *
 * A number in it has a link, the number below plus 1, or 0 at the bottom.  'top'
 * is one word: in its low bits the uppermost number plus 1, or 0, above them a
 * tag that each push counts up.
 *
 * Invariant: a top read, and found unchanged by a pop's compare-and-swap, was
 * there all the time, as its number came back by a push only, with another tag;
 * so the link read in between is that of the number that is taken.  The tag has
 * the bits that the capacity leaves, at least 32: wrong only if a pop stands
 * still in its middle for exactly 2^32 pushes, or a multiple.  Numbers instead of
 * pointers make that one word, for every CPU, and a link that is never unmapped.
 *
 * There is no pointer in it: it may lie in memory that processes share, mapped
 * at different addresses.  Kill one at any moment and the others go on; the
 * numbers that it had popped are lost.
 *
 * What a thread did before it pushed a number has happened for whoever pops it.
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is a stack of capacity 0, always empty. */
typedef struct ars_lifo {
    ars_atomic_u64 top;
    char apart[56];
    uint64_t mask; /* the bits of a number plus 1; constant from here on */
    uint64_t capacity;
    int64_t links; /* where the first one lies, in bytes from the stack */
    char apart2[40];
} ars_lifo;

/*
 * ars_lifo_init() makes '*stack' empty, for numbers below 'capacity', with their
 * links in 'links', an array of 'capacity' that the caller provides for as long
 * as the stack is used.  In shared memory they lie in the same mapping.
 *
 * Returns 0; ARS_EINVAL if 'capacity' is 0 or 'links' is NULL; ARS_EOVERFLOW if
 * 'capacity' is above 2^32 - 1.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, before others use it.
 */
ARS_INLINE int ars_lifo_init(ars_lifo *stack, ars_atomic_u32 *links, size_t capacity)
{
    if (!links || capacity == 0) return ARS_EINVAL;
    if (capacity > UINT32_MAX) return ARS_EOVERFLOW;
    ars_atomic_u64_store_relaxed(&stack->top, 0);
    stack->mask = 1;
    while (stack->mask < capacity) stack->mask = stack->mask << 1 | 1;
    stack->capacity = capacity;
    stack->links = (int64_t)((uintptr_t)links - (uintptr_t)stack);
    return 0;
}

ARS_INLINE ars_atomic_u32 *ars__lifo_link(const ars_lifo *stack, uint64_t number)
{
    return (ars_atomic_u32 *)((uintptr_t)stack + (uintptr_t)stack->links +
                              (uintptr_t)number * sizeof(ars_atomic_u32));
}

/*
 * ars_lifo_push() puts 'number', which is not in the stack, on top of it.
 *
 * Returns 0; ARS_EINVAL if 'number' is not below the capacity.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_lifo_push(ars_lifo *stack, uint32_t number)
{
    if (number >= stack->capacity) return ARS_EINVAL;
    ars_atomic_u32 *link = ars__lifo_link(stack, number);
    uint64_t top = ars_atomic_u64_load_relaxed(&stack->top), mask = stack->mask;
    do ars_atomic_u32_store_relaxed(link, (uint32_t)(top & mask));
    /* Release: pairs with the acquires in ars_lifo_pop(), for the link and what the number stands for. */
    while (!ars_atomic_u64_cas_release(&stack->top, &top, (top | mask) + 2 + number));
    return 0;
}

/*
 * ars_lifo_pop() takes the uppermost number, to '*number'.
 *
 * Returns 1; 0 if the stack is empty, and '*number' is untouched.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_lifo_pop(ars_lifo *stack, uint32_t *number)
{
    uint64_t mask = stack->mask, below;
    /*
     * Acquire, both: pairs with the exchange in ars_lifo_push().  Pops between
     * the two are read-modify-writes too, and carry on what it released.
     */
    uint64_t top = ars_atomic_u64_load_acquire(&stack->top);
    do {
        if ((top & mask) == 0) return 0;
        below = ars_atomic_u32_load_relaxed(ars__lifo_link(stack, (top & mask) - 1));
    } while (!ars_atomic_u64_cas_acquire(&stack->top, &top, (top & ~mask) | below));
    *number = (uint32_t)(top & mask) - 1;
    return 1;
}

/*
 * ars_lifo_empty() says whether the stack held nothing just now.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_lifo_empty(const ars_lifo *stack)
{
    return (ars_atomic_u64_load_relaxed(&stack->top) & stack->mask) == 0;
}

ARS_END_DECLS

#endif
