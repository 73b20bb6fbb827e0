/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_CORO_H
#define ARSENAL_CORO_H

#include <arsenal/alloc.h>

ARS_BEGIN_DECLS

/*
 * A coroutine is a function with a stack of its own, which runs when it is
 * resumed and stops where it yields.  Nothing here schedules: this is for
 * people who bring their own scheduler, or want a generator.
 *
 *     void *count(ars_coro *self, void *limit)
 *     {
 *         for (intptr_t i = 0; i < (intptr_t)limit; i++)
 *             if (ars_coro_yield(self, (void *)i, NULL) < 0) break;
 *         return NULL;
 *     }
 *
 *     ars_coro_new(&coro, pool, count, NULL);
 *     while (ars_coro_resume(coro, (void *)10, &value) > 0)
 *         printf("%d\n", (int)(intptr_t)value);
 *     ars_coro_free(coro);
 *
 * A pointer goes in with each resume and one comes out with each yield.
 *
 * Coroutines nest: one may resume another, which then yields to it.  They are
 * not tasks: a call that suspends a task must not be made inside a coroutine
 * that a task has resumed.  A coroutine stays on the thread that first resumed
 * it, because compilers keep addresses of thread-local variables, errno's
 * among them, in registers across a yield.
 *
 * An exception of C++ must not leave the coroutine's function: nobody is there
 * to catch it.
 *
 * Thread rule: a pool and its coroutines have one user at a time.
 */
typedef struct ars_coro ars_coro;

/*
 * What a coroutine runs.  'in' is the pointer of the first resume; what it
 * returns comes out of the last one.
 */
typedef void *ars_coro_fn(ars_coro *self, void *in);

/* ---- stacks ---- */

/*
 * A pool of stacks of 64 KiB, each with a guard below it, in a few large
 * reservations of address space.  Memory is used from the first touch on.
 *
 * The guard is one page (4 KiB mostly).  A function with a larger frame can
 * jump over it; compile such code with -fstack-clash-protection, which touches
 * every page in passing.
 */
typedef struct ars_stack_pool ars_stack_pool;

/*
 * What a pool holds.  A guard makes an overflow fault.  Each kind is one that
 * was seen to work: what the system only claims to do does not count.
 */
typedef struct ars_stack_stats {
    uint64_t reserved; /* stacks that there is address space for */
    uint64_t guarded;  /* of these, stacks with a guard: what was ever used, and a few more */
    uint64_t in_use;
    uint64_t guards_light;   /* guarded by a marker, without a mapping of its own (Linux 6.13) */
    uint64_t guards_protect; /* guarded by page protection */
    uint64_t guards_canary;  /* no guard could be had: known words, looked at when it is freed */
    uint64_t smashed;        /* canaries that were found overwritten */
    uint64_t ars__reserved[5];
} ars_stack_stats;

/*
 * ars_stack_pool_new() makes an empty pool.  'alloc' (NULL: the default) is
 * for its own record; stacks come from the system.
 *
 * Returns 0 or ARS_ENOMEM.
 *
 * Suspends: no.  Allocates: yes.  Callable from: anywhere.
 */
ARS_API int ars_stack_pool_new(ars_stack_pool **pool, const ars_alloc *alloc);

/*
 * ars_stack_pool_free() gives all stacks back to the system; NULL does nothing.
 *
 * Returns 0, or ARS_EBUSY while a coroutine lives on one of them: then it has
 * done nothing.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_stack_pool_free(ars_stack_pool *pool);

/*
 * ars_stack_pool_reserve() sets address space aside, so that 'n' coroutines in
 * all can live at once before ars_coro_new() may fail.
 *
 * Returns 0, or ARS_ENOMEM and has changed nothing.
 *
 * Suspends: no.  Allocates: address space.  Callable from: anywhere.
 */
ARS_API int ars_stack_pool_reserve(ars_stack_pool *pool, uint64_t n);

/*
 * ars_stack_pool_stats() tells what the pool holds.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ars_stack_stats ars_stack_pool_stats(const ars_stack_pool *pool);

/* ---- coroutines ---- */

enum ars_coro_flags {
    ARS_CORO_FPENV = 1, /* own floating-point control words (rounding, exceptions) */
    ARS_CORO_CXX = 2    /* may yield inside a C++ catch block */
};

/* The smallest stack that ars_coro_new_on() takes, in bytes. */
enum { ARS_CORO_STACK_MIN = 1024 };

/* How a coroutine is made; all-zero is the default. */
typedef struct ars_coro_opt {
    const char *name; /* for reports; must outlive the coroutine; NULL: unnamed */
    unsigned flags;   /* ARS_CORO_... */
    unsigned ars__pad;
    uint64_t ars__reserved[4]; /* zero */
} ars_coro_opt;

/*
 * ars_coro_new() makes a coroutine on a stack of 'pool'.  It runs when it is
 * first resumed.  'opt' may be NULL.
 *
 * Returns 0, or ARS_ENOMEM (no stack), or ARS_EINVAL ('pool' or 'fn' NULL, or
 * unknown flags).
 *
 * Suspends: no.  Allocates: a stack; nothing else.  Callable from: anywhere.
 */
ARS_API int ars_coro_new(ars_coro **coro, ars_stack_pool *pool, ars_coro_fn *fn,
                         const ars_coro_opt *opt);

/*
 * ars_coro_new_on() makes a coroutine on the caller's memory, 'size' bytes at
 * 'stack', of any alignment.  The coroutine's own record takes up to 320 bytes
 * at its upper end, and a signal that is handled on it several thousand.  There
 * is no guard.
 *
 * Returns 0, or ARS_EINVAL ('stack' or 'fn' NULL, less than
 * ARS_CORO_STACK_MIN bytes, or unknown flags).
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API int ars_coro_new_on(ars_coro **coro, void *stack, size_t size, ars_coro_fn *fn,
                            const ars_coro_opt *opt);

/*
 * ars_coro_resume() runs the coroutine until it yields or returns.  'in' is
 * what its ars_coro_yield(), or its function when it starts, receives.
 * '*out' (may be NULL) is what it yields or returns.
 *
 * Returns 1 when it has yielded and 0 when it has returned; or
 *   ARS_EINVAL  it has returned before, or 'coro' is NULL
 *   ARS_EBUSY   it is running, here or further up
 *
 * Suspends: the caller, until then.  Allocates: no.  Callable from: anywhere.
 */
ARS_API ARS_MUST_USE int ars_coro_resume(ars_coro *coro, void *in, void **out);

/*
 * ars_coro_yield() goes back to whoever resumed the coroutine 'self', which is
 * the one that calls.  'out' is what the resumer receives; '*in' (may be
 * NULL) is what it sends with the next resume.
 *
 * Returns 0 when resumed, or ARS_EINVAL if 'self' is not running.
 *
 * Suspends: the coroutine.  Allocates: no.  Callable from: the coroutine itself.
 */
ARS_API int ars_coro_yield(ars_coro *self, void *out, void **in);

/*
 * ars_coro_free() ends a coroutine, whether it has returned, is suspended, or
 * never ran, and gives its stack back; NULL does nothing.  One that is
 * suspended is abandoned: nothing on its stack is unwound or released.
 *
 * Returns 0; 1 if its stack's canary was overwritten, so that memory beyond it
 * may be damaged; or ARS_EBUSY while it is running: then it has done nothing.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere but the coroutine itself.
 */
ARS_API int ars_coro_free(ars_coro *coro);

/*
 * ars_coro_name() is the name that the coroutine was made with, or NULL.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_API const char *ars_coro_name(const ars_coro *coro);

/* ---- overflow ---- */

/*
 * ars_overflow_install() makes a stack overflow name its victim: a handler for
 * SIGSEGV and SIGBUS writes one line to stderr,
 *
 *     arsenal: stack overflow in task 'NAME'
 *
 * or "coroutine 'NAME'", when a guard of a pooled stack was hit, and then
 * gives the signal to whoever had it before; by default that ends the process
 * by the same signal.  Faults elsewhere are passed on in silence.
 *
 * The handler needs a signal stack.  The calling thread gets one if it has
 * none, and so does every thread inside ars_run(); it stays until the thread
 * ends.  Other threads that resume coroutines call this again, or bring their
 * own by sigaltstack().
 *
 * Returns 0, also when the handler is installed already; or ARS_ENOMEM.
 *
 * Suspends: no.  Allocates: 64 KiB from the system, once a thread, never
 * given back.  Callable from: thread.
 */
ARS_API int ars_overflow_install(void);

ARS_END_DECLS

#endif
