/* SPDX-License-Identifier: MIT */
#ifndef ARS_BASE_SAN_H
#define ARS_BASE_SAN_H

/*
 * What the sanitizers have to be told, because they cannot see it: that stacks
 * change, that memory is not to be touched, that one task's work is handed to
 * another.  Without a sanitizer every call here compiles to nothing.
 *
 * AddressSanitizer.  The library is instrumented like any other code.  Each
 * switch of stacks is announced before (start) and completed after it
 * (finish), first thing on the new stack.  Objects that are free, and buffers
 * of the library while the kernel owns them, are poisoned.  A user's own buffer
 * is not: others may rightly read what is being sent.  When the kernel has read
 * or written there it is looked at (check) whether it is still there.
 *
 * ThreadSanitizer.  Wired in the obvious way, with everything instrumented,
 * it is blind to races between tasks: each switch, and each lock inside the
 * scheduler, orders one task before the next, whether the program has ordered
 * them or not.  Therefore
 *
 *   - the library is compiled without -fsanitize=thread, but with ARS_TSAN=1,
 *     and linked into programs that are instrumented: its own locks and atomics
 *     order nothing in the eyes of the sanitizer;
 *   - whatever orders tasks for the user (start, join, a value handed over)
 *     says so: ars__san_release(p) by the one who hands over,
 *     ars__san_acquire(p) by the one who receives, with the same address;
 *   - a switch between tasks passes ARS__SAN_NO_SYNC where tasks may run in
 *     parallel, or where the user asks for it (race_strict), so that the order
 *     of one run is not taken for an order of the program; and 0 otherwise.
 *
 * Inline functions of public headers are compiled with the user's code and so
 * are instrumented: what they touch must be ordered by notes too.
 *
 * A fiber is the sanitizer's record of a task.  gcc 12's runtime dies at 8,128
 * of them; use clang for more.  A fiber is not destroyed while it is current.
 */

#include <stddef.h>
#if defined(ARS_TSAN) && ARS_TSAN
#include <sys/mman.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define ARS__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARS__ASAN 1
#endif
#endif
#ifndef ARS__ASAN
#define ARS__ASAN 0
#endif

#if defined(ARS_TSAN) && ARS_TSAN
#define ARS__TSAN 1
#else
#define ARS__TSAN 0
#endif

enum { ARS__SAN_NO_SYNC = 1 };

/* Declared here and not by the compiler's headers, which gcc and clang keep in different places. */
#if ARS__ASAN
void __asan_poison_memory_region(const volatile void *p, size_t size);
void __asan_unpoison_memory_region(const volatile void *p, size_t size);
void *__asan_region_is_poisoned(const void *p, size_t size);
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size);
#endif
#if ARS__TSAN
void __tsan_acquire(void *p);
void __tsan_release(void *p);
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_set_fiber_name(void *fiber, const char *name);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif

/* ---- memory ---- */

/* Nobody may touch these bytes until they are unpoisoned. */
static inline void ars__san_poison(const volatile void *p, size_t size)
{
#if ARS__ASAN
    __asan_poison_memory_region(p, size);
#else
    (void)p, (void)size;
#endif
}

static inline void ars__san_unpoison(const volatile void *p, size_t size)
{
#if ARS__ASAN
    __asan_unpoison_memory_region(p, size);
#else
    (void)p, (void)size;
#endif
}

/* The kernel has used these bytes: reports it as the user's error if nobody may. */
static inline void ars__san_check(const void *p, size_t size)
{
#if ARS__ASAN
    const volatile char *bad = __asan_region_is_poisoned(p, size);
    if (bad) (void)*bad;
#else
    (void)p, (void)size;
#endif
}

/*
 * In between this thread's accesses do not count for ThreadSanitizer.  Those of
 * the library count where they are made by functions that it intercepts, such
 * as memcpy().  Nests.
 */
static inline void ars__san_ignore_begin(void)
{
#if ARS__TSAN
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
}

static inline void ars__san_ignore_end(void)
{
#if ARS__TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
}

/*
 * What was done in this memory before is no business of who uses it next.  (A
 * mapping made anew makes ThreadSanitizer forget; while writes are ignored it
 * does not take the mapping for one.)  The content is lost.
 */
static inline void ars__san_forget(void *p, size_t size)
{
#if ARS__TSAN
    ars__san_ignore_begin();
    mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
         -1, 0);
    ars__san_ignore_end();
#else
    (void)p, (void)size;
#endif
}

/* ---- order ---- */

/* What came before ars__san_release(p) happened before what follows ars__san_acquire(p). */
static inline void ars__san_release(void *p)
{
#if ARS__TSAN
    __tsan_release(p);
#else
    (void)p;
#endif
}

static inline void ars__san_acquire(void *p)
{
#if ARS__TSAN
    __tsan_acquire(p);
#else
    (void)p;
#endif
}

/* ---- stacks, for AddressSanitizer ---- */

/*
 * Before a switch to the stack of 'size' bytes whose lowest byte is 'bottom'.
 * The running flow's fake stack goes to '*save'; NULL when the flow ends here.
 */
static inline void ars__san_switch_start(void **save, const void *bottom, size_t size)
{
#if ARS__ASAN
    __sanitizer_start_switch_fiber(save, bottom, size);
#else
    (void)save, (void)bottom, (void)size;
#endif
}

/*
 * First thing on the new stack, with what it saved when it was left (NULL the
 * first time).  Gives the stack that was left; both may be NULL.
 */
static inline void ars__san_switch_finish(void *save, const void **bottom, size_t *size)
{
#if ARS__ASAN
    __sanitizer_finish_switch_fiber(save, bottom, size);
#else
    (void)save, (void)bottom, (void)size;
#endif
}

/* ---- fibers, for ThreadSanitizer; NULL without it ---- */

static inline void *ars__san_fiber_current(void)
{
#if ARS__TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

static inline void *ars__san_fiber_create(const char *name)
{
#if ARS__TSAN
    void *fiber = __tsan_create_fiber(0);
    if (name) __tsan_set_fiber_name(fiber, name);
    return fiber;
#else
    (void)name;
    return NULL;
#endif
}

static inline void ars__san_fiber_destroy(void *fiber)
{
#if ARS__TSAN
    if (fiber) __tsan_destroy_fiber(fiber);
#else
    (void)fiber;
#endif
}

/* Right before the switch, from a function that is not instrumented.  'flags': 0 or ARS__SAN_NO_SYNC. */
static inline void ars__san_fiber_switch(void *fiber, unsigned flags)
{
#if ARS__TSAN
    __tsan_switch_to_fiber(fiber, flags);
#else
    (void)fiber, (void)flags;
#endif
}

#endif
