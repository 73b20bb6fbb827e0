/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_DEQUE_H
#define ARSENAL_DEQUE_H

/*
 * A work-stealing deque: one owner pushes and pops pointers at its young end,
 * any number of thieves steal from its old end.  Bounded, in the caller's
 * memory; nothing here waits or allocates.
 *
 * Source: Chase and Lev, "Dynamic circular work-stealing deque" (SPAA 2005),
 * with the orders of Le, Pop, Cohen and Zappa Nardelli, "Correct and efficient
 * work-stealing for weak memory models" (PPoPP 2013); their two sequentially
 * consistent fences are sequentially consistent accesses here.
 *
 * Invariant: cells[i mod capacity] for top <= i < bottom hold the pointers
 * that are in the deque, oldest first.  'top' only grows, by 1, by a
 * compare-and-swap: whoever makes it i + 1 has taken pointer i.  Only the owner
 * writes 'bottom'; between the exchange in a pop and the end of that pop it may
 * be one less than 'top'.
 *
 * The owner takes pointer i without a compare-and-swap when it has made
 * bottom = i and then finds top < i.  No thief can have it then:
 *
 *   P1  the pop's exchange on 'bottom', P2 its load of 'top'
 *   S1  the steal's load of 'top',      S2 its load of 'bottom'
 *
 * A thief after pointer i has read top == i in S1, and an older bottom in S2,
 * so that S2 comes before P1 in the one order of all sequentially consistent
 * accesses; the compare-and-swap that made top == i comes before S1, so before
 * P2, which sees it, finds top == i, and goes by the compare-and-swap as well.
 */

#include <arsenal/atomic.h>

ARS_BEGIN_DECLS

/* Fields are private.  All-zero is a deque of capacity 0: always empty, always full. */
typedef struct ars_deque {
    ars_atomic_u64 top; /* index of the oldest pointer */
    char apart1[56];    /* thieves write above, the owner below */
    ars_atomic_u64 bottom;
    uint64_t seen; /* a value that 'top' has had; the owner's */
    uint64_t capacity;
    ars_atomic_ptr *cells;
    char apart2[32];
} ars_deque;

/*
 * ars_deque_init() makes '*deque' empty, with room for 'capacity' pointers in
 * 'cells', which the caller provides for as long as the deque is used.
 *
 * Returns 0; ARS_EINVAL if 'capacity' is not a power of two, or 'cells' is NULL.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, before others use it.
 */
ARS_INLINE int ars_deque_init(ars_deque *deque, ars_atomic_ptr *cells, size_t capacity)
{
    if (!cells || capacity == 0 || (capacity & (capacity - 1)) != 0) return ARS_EINVAL;
    ars_atomic_u64_store_relaxed(&deque->top, 0);
    ars_atomic_u64_store_relaxed(&deque->bottom, 0);
    deque->seen = 0;
    deque->capacity = capacity;
    deque->cells = cells;
    return 0;
}

/* Pointer 'i's place. */
ARS_INLINE ars_atomic_ptr *ars__deque_cell(const ars_deque *deque, uint64_t i)
{
    return &deque->cells[i & (deque->capacity - 1)];
}

/* Whether there is room for the pointer 'bottom'. */
ARS_INLINE int ars__deque_room(ars_deque *deque, uint64_t bottom)
{
    if (bottom - deque->seen < deque->capacity) return 1;
    /*
     * Acquire: pairs with the compare-and-swap of who took the pointer that was
     * in the cell; it had read the cell before.
     */
    deque->seen = ars_atomic_u64_load_acquire(&deque->top);
    return bottom - deque->seen < deque->capacity;
}

/*
 * ars_deque_push() adds 'pointer' at the young end.  What the owner did before
 * has happened for whoever takes the pointer out.
 *
 * Returns 1; 0 if the deque is full, and nothing was added.
 *
 * Suspends: no.  Allocates: no.  Callable from: the owner.
 */
ARS_INLINE int ars_deque_push(ars_deque *deque, void *pointer)
{
    uint64_t bottom = ars_atomic_u64_load_relaxed(&deque->bottom);
    if (!ars__deque_room(deque, bottom)) return 0;
    ars_atomic_ptr_store_relaxed(ars__deque_cell(deque, bottom), pointer);
    /* Release: pairs with S2, so that a thief that sees the index sees the cell and what it refers to. */
    ars_atomic_u64_store_release(&deque->bottom, bottom + 1);
    return 1;
}

/*
 * ars_deque_push_seq_cst() is ars_deque_push() by an exchange instead of a
 * store: the owner's later sequentially consistent loads come after the
 * pointer is visible.
 *
 * For an owner that then asks whether anybody sleeps.  A sleeper publishes that
 * it will sleep, by an exchange, and looks into the deques once more
 * (ars_deque_size()) before it does.  With both being "exchange, then load",
 * either the owner sees the sleeper or the sleeper sees the pointer.  A plain
 * push may be delayed behind the load that follows, and both may see nothing.
 *
 * Returns 1; 0 if the deque is full, and nothing was added.
 *
 * Suspends: no.  Allocates: no.  Callable from: the owner.
 */
ARS_INLINE int ars_deque_push_seq_cst(ars_deque *deque, void *pointer)
{
    uint64_t bottom = ars_atomic_u64_load_relaxed(&deque->bottom);
    if (!ars__deque_room(deque, bottom)) return 0;
    ars_atomic_ptr_store_relaxed(ars__deque_cell(deque, bottom), pointer);
    /* Release as in ars_deque_push(); the rest pairs with the loads of ars_deque_size(). */
    ars_atomic_u64_swap_seq_cst(&deque->bottom, bottom + 1);
    return 1;
}

/*
 * ars_deque_pop() takes the youngest pointer.
 *
 * Returns 1 and the pointer in '*out'; 0 if the deque is empty.
 *
 * Suspends: no.  Allocates: no.  Callable from: the owner.
 */
ARS_INLINE int ars_deque_pop(ars_deque *deque, void **out)
{
    uint64_t bottom = ars_atomic_u64_load_relaxed(&deque->bottom);
    /* An empty deque costs no exchange.  'top' may be larger by now, never smaller. */
    uint64_t top = ars_atomic_u64_load_relaxed(&deque->top);
    if (bottom == top) return 0;
    bottom--;
    if (bottom == top) {
        /* There is one only: taken as a thief takes it, which spares the exchange. */
        void *only = ars_atomic_ptr_load_relaxed(ars__deque_cell(deque, top));
        if (!ars_atomic_u64_cas_seq_cst(&deque->top, &top, top + 1)) return 0;
        *out = only;
        return 1;
    }
    ars_atomic_u64_swap_seq_cst(&deque->bottom, bottom); /* P1 */
    top = ars_atomic_u64_load_seq_cst(&deque->top);      /* P2 */
    int64_t others = (int64_t)(bottom - top);
    int taken = others >= 0;
    if (taken) {
        void *pointer = ars_atomic_ptr_load_relaxed(ars__deque_cell(deque, bottom));
        if (others > 0) {
            *out = pointer;
            return 1;
        }
        /* The last one: thieves may be after it too. */
        taken = ars_atomic_u64_cas_seq_cst(&deque->top, &top, bottom + 1);
        if (taken) *out = pointer;
    }
    /* Empty now: top == bottom + 1.  Relaxed: who reads this can take nothing by it. */
    ars_atomic_u64_store_relaxed(&deque->bottom, bottom + 1);
    return taken;
}

/*
 * ars_deque_steal() takes the oldest pointer.
 *
 * Returns 1 and the pointer in '*out'; 0 if the deque is empty; ARS_EAGAIN if
 * somebody else took that pointer meanwhile, and there may be more.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_deque_steal(ars_deque *deque, void **out)
{
    uint64_t top = ars_atomic_u64_load_seq_cst(&deque->top);       /* S1 */
    uint64_t bottom = ars_atomic_u64_load_seq_cst(&deque->bottom); /* S2 */
    if ((int64_t)(bottom - top) <= 0) return 0;
    /* Before the compare-and-swap: after it the owner may fill the cell again. */
    void *pointer = ars_atomic_ptr_load_relaxed(ars__deque_cell(deque, top));
    /* Release: pairs with the acquire in ars__deque_room().  Sequentially consistent: see P2. */
    if (!ars_atomic_u64_cas_seq_cst(&deque->top, &top, top + 1)) return ARS_EAGAIN;
    *out = pointer;
    return 1;
}

/*
 * ars_deque_size() says how many pointers the deque holds.  It is exact for
 * the owner while nobody steals; otherwise a hint: too high if some are taken
 * while it looks.  It is never 0 while a pointer that was pushed with
 * ars_deque_push_seq_cst() before the call is in the deque and nobody is
 * taking it.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE size_t ars_deque_size(const ars_deque *deque)
{
    /* 'top' first: were it read last, it might have passed the 'bottom' that was read. */
    uint64_t top = ars_atomic_u64_load_seq_cst(&deque->top);
    uint64_t bottom = ars_atomic_u64_load_seq_cst(&deque->bottom);
    int64_t n = (int64_t)(bottom - top);
    return n > 0 ? (size_t)n : 0;
}

/*
 * ars_deque_steal_half() takes half of the pointers, rounded up, but not more
 * than 'n', into 'out', oldest first.  One at a time: moving 'top' by more at
 * once would take pointers that the owner is popping without looking at it.
 * It stops early when somebody else takes one in between.
 *
 * Returns how many it took (0: empty), or ARS_EAGAIN if somebody else took the
 * first one.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_deque_steal_half(ars_deque *deque, void **out, unsigned n)
{
    size_t half = (ars_deque_size(deque) + 1) / 2;
    int taken = 0, rc = 0;
    if (half > n) half = n;
    if (half > INT32_MAX) half = INT32_MAX;
    while ((size_t)taken < half && (rc = ars_deque_steal(deque, &out[taken])) == 1) taken++;
    return taken > 0 ? taken : rc;
}

ARS_END_DECLS

#endif
