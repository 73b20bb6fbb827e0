/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_USER_TICKS_H
#define TOOLS_USER_TICKS_H

/*
 * How much time a server spends outside of system calls, told by itself in a
 * page that it shares with whoever measures it.
 *
 * The system's own figure (ru_utime) is sampled at each timer tick and far too
 * coarse for the few hundred nanoseconds that a request takes there.  So the
 * server counts the CPU's ticks between the end of a system call and the
 * beginning of the next; stretches of more than two milliseconds were
 * somebody else's and do not count.
 */

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* The environment variable with the number of the page's descriptor. */
#define USER_TICKS_ENV "USER_TICKS_FD"

struct user_ticks {
    uint64_t ticks; /* outside of system calls, so far */
    uint64_t since; /* when the last system call ended */
    uint64_t limit; /* ticks of two milliseconds */
    double per_ns;  /* ticks of a nanosecond */
};

static inline uint64_t user_ticks_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
#endif
}

static inline struct user_ticks *user_ticks_map(int fd, int protection)
{
    void *p = mmap(NULL, sizeof(struct user_ticks), protection, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* The server's page: the one that the environment names, else one that nobody reads. */
static inline struct user_ticks *user_ticks_begin(void)
{
    static struct user_ticks nobody;
    const char *text = getenv(USER_TICKS_ENV);
    struct user_ticks *page = text ? user_ticks_map(atoi(text), PROT_READ | PROT_WRITE) : NULL;
    struct timespec a, b, pause = {0, 20000000};

    if (!page) page = &nobody;
    clock_gettime(CLOCK_MONOTONIC, &a);
    uint64_t from = user_ticks_now();
    nanosleep(&pause, NULL);
    uint64_t to = user_ticks_now();
    clock_gettime(CLOCK_MONOTONIC, &b);
    double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
    page->per_ns = (double)(to - from) / ns;
    page->limit = (uint64_t)(page->per_ns * 2e6);
    page->since = user_ticks_now();
    return page;
}

/* Stands before and after each system call. */
static inline void user_ticks_stop(struct user_ticks *page)
{
    uint64_t stretch = user_ticks_now() - page->since;
    if (stretch < page->limit) page->ticks += stretch;
}

static inline void user_ticks_start(struct user_ticks *page)
{
    page->since = user_ticks_now();
}

#endif
