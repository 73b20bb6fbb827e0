/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_RUN_H
#define ARSENAL_RUN_H

#include <arsenal/alloc.h>
#include <arsenal/group.h>

ARS_BEGIN_DECLS

/*
 * A runtime is what tasks run in: it begins with ars_run(), which turns the
 * calling thread into its first worker and starts the others, and ends when
 * that returns.  A process may have several, on different threads.
 */

/* Which kernel interface does the I/O. */
enum ars_backend {
    ARS_BACKEND_AUTO = 0, /* the first of these that can be had */
    ARS_BACKEND_URING = 1,
    ARS_BACKEND_EPOLL = 2,
    ARS_BACKEND_POLL = 3 /* poll(2): a turn costs time for each descriptor that is waited for */
};

/*
 * What the scheduler makes sacrifices for.  docs/strategies.md says what each
 * changes.
 */
enum ars_strategy {
    ARS_BALANCED = 0,
    ARS_THROUGHPUT = 1,    /* fewer looks at timers and I/O while there is work */
    ARS_LATENCY = 2,       /* idle workers look for work longer; more looks at timers and I/O */
    ARS_MINIMAL_MEMORY = 3 /* free stacks give their memory back; idle workers sleep at once */
};

enum { ARS_WORKERS_MAX = 256 };

/* How a runtime is set up; all-zero is the default. */
typedef struct ars_config {
    const ars_alloc *alloc; /* NULL: the default allocator */
    unsigned backend;       /* enum ars_backend; one that cannot be had fails the first I/O call */
    unsigned
        workers; /* threads that run tasks, at most ARS_WORKERS_MAX; 0: one for each usable CPU */
    unsigned strategy;    /* enum ars_strategy */
    unsigned race_strict; /* 1: under TSan, races between tasks of one worker count too */
    /*
     * How long ars_run() waits, after the root function has returned, for the
     * tasks that are left, in ns; 0: one second.
     */
    ars_time grace;
    /*
     * Receives reports, one line of text each without a newline: tasks left
     * behind, misuse found in debug builds.  NULL: stderr in debug builds,
     * else nowhere.  Called on any worker, by several at a
     * time; must not wait.
     */
    void (*report)(void *ctx, const char *line);
    void *report_ctx;
    /* The strategies of single workers: 'workers' entries of enum ars_strategy; NULL: all as above. */
    const unsigned char *strategies;
    /* Threads for blocking work, at most, by enum ars_block_class of <arsenal/block.h>; 0: the default. */
    unsigned block_limits[3];
    /* 1: find out how deep tasks use their stacks, for ars_stats_stacks(); each task then costs some microseconds more. */
    unsigned stack_use;
    uint64_t ars__reserved[6]; /* zero */
} ars_config;

/*
 * ars_run() runs fn(arg) as the root task of a new runtime, on the calling
 * thread and its stack, and returns when it and all tasks have ended.
 * 'config' may be NULL.
 *
 * When 'fn' has returned, the tasks that belong to no group are cancelled and
 * waited for, for at most config->grace; so is blocking work that was left
 * behind.
 *
 * Returns the function's result, or
 *   ARS_EINVAL  called from a task, or a config that makes no sense
 *   ARS_ENOMEM  no memory or address space to begin with, or ARS_EAGAIN, no
 *               threads; 'fn' has not run
 *   ARS_EBUSY   tasks or work were left when the grace was over: they are named in
 *               reports and abandoned, and nothing of theirs is ever freed
 *
 * While it runs, SIGPIPE is blocked on the calling thread.
 *
 * Suspends: the calling thread blocks.  Allocates: yes.  Callable from: thread.
 */
ARS_API int ars_run(ars_fn *fn, void *arg, const ars_config *config);

/*
 * ars_runtime_self() is the runtime that the caller runs in, NULL on a plain
 * thread.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ars_runtime *ars_runtime_self(void);

/*
 * ars_post() starts fn(arg) as a task of 'rt' that belongs to no group.  It is
 * the way in for other threads.  The runtime must be alive: its root function
 * has not returned.
 *
 * Returns 0, and 'fn' is sure to run; or ARS_ENOMEM, ARS_EINVAL ('rt' or 'fn'
 * NULL).
 *
 * Suspends: no.  Allocates: from the runtime.  Callable from: task, thread.
 */
ARS_API int ars_post(ars_runtime *rt, ars_fn *fn, void *arg);

/* What a runtime holds, and what it has counted. */
typedef struct ars_run_stats {
    uint64_t workers;
    uint64_t tasks;          /* alive, the root task included */
    uint64_t started;        /* ever run */
    uint64_t switches;       /* parks that switched to another task */
    uint64_t stacks;         /* stacks in use */
    uint64_t guards_light;   /* stacks guarded without a mapping of their own */
    uint64_t guards_protect; /* stacks guarded by page protection */
    uint64_t guards_canary;  /* stacks guarded by a canary only */
    uint64_t operations;     /* I/O operations that the kernel has not completed */
    const char *backend;     /* "io_uring", "epoll", "poll", or NULL before the first I/O call */
    uint64_t
        smashed; /* canaries found overwritten: a task has overflowed its stack; also reported */
    uint64_t ars__reserved[6];
} ars_run_stats;

/*
 * ars_stats() fills '*stats' for the caller's runtime.
 *
 * Returns 0, or ARS_EINVAL on a plain thread.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_stats(ars_run_stats *stats);

/* How much stack the tasks of one function have needed. */
typedef struct ars_stack_use {
    ars_fn *fn; /* tasks of ARS_TASK(x, ...) have one of their own */
    /*
     * A stack of so many bytes would have been enough for each task of 'fn'
     * that has ended; 0: none has.
     */
    uint64_t deepest;
    uint64_t tasks; /* that have ended */
    char name[40];  /* of the first one, shortened; "": unnamed */
    uint64_t ars__reserved[4];
} ars_stack_use;

/*
 * ars_stats_stacks() tells how deep each task function that the caller's
 * runtime has run has used its stack, calls of the runtime included, if
 * config->stack_use asks for it.  That is what ars_task_opt.stack wants to
 * know; leave room for what has not happened yet.
 *
 * A stack holds zeros before it is used.  When the task has ended the lowest
 * word that is something else counts, plus 1 KiB for what the runtime keeps on
 * a stack; so what is missed is a buffer below everything else into which
 * nothing but zeros was ever written.  It is never less than 5 KiB, because a
 * worker that finds nothing to do sleeps on the stack of the task that has
 * ended last.
 *
 * It fills the first 'n' of 'uses', which may be NULL for none, in no order.
 *
 * Returns how many there are, which may be more than 'n'; or ARS_EINVAL on a
 * plain thread, or if config->stack_use is 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_stats_stacks(ars_stack_use *uses, size_t n);

ARS_END_DECLS

#endif
