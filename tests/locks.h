/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_LOCKS_H
#define ARS_TEST_LOCKS_H

/* What the tests of locks and their kin share. */

#include <arsenal/atomic.h>

#include "crew.h"

/*
 * One side of "freed as soon as the call returns": whoever waits puts the
 * address of an object into 'slot', and a server, on another worker or on a
 * thread, does to it what ends the wait.
 */
typedef struct locks_server {
    ars_atomic_ptr slot;
    ars_atomic_u32 stop;
    void (*serve)(void *object);
} locks_server;

static inline int locks_serve(void *arg)
{
    locks_server *server = arg;
    for (;;) {
        void *object = ars_atomic_ptr_swap_acquire(&server->slot, NULL);
        if (object)
            server->serve(object);
        else if (ars_atomic_u32_load_acquire(&server->stop))
            return 0;
        else
            ars_yield();
    }
}

/* The object is gone: nobody may touch its memory. */
static inline void locks_gone(void *object, size_t size)
{
    memset(object, 0x5a, size);
}

static inline void locks_check_gone(const void *object, size_t size)
{
    const unsigned char *bytes = object;
    for (size_t i = 0; i < size; i++) CHECK_EQ(bytes[i], 0x5a);
}

/*
 * The body of such a test for objects of one type: WAIT is what waits for
 * 'object', which INIT has made.
 */
#define LOCKS_FREED(type, server, times, INIT, WAIT)                                               \
    do {                                                                                           \
        type object;                                                                               \
        locks_gone(&object, sizeof object);                                                        \
        for (long i_ = 0; i_ < (times); i_++) {                                                    \
            locks_check_gone(&object, sizeof object);                                              \
            INIT;                                                                                  \
            ars_atomic_ptr_store_release(&(server)->slot, &object);                                \
            CHECK_EQ(WAIT, 0);                                                                     \
            locks_gone(&object, sizeof object);                                                    \
        }                                                                                          \
        ars_atomic_u32_store_release(&(server)->stop, 1);                                          \
    } while (0)

/* Runs the waiting side, a task, against a server that is a task, and one that is a thread; then as a thread against a task. */
static inline void locks_freed(ars_fn *waits, void (*serve)(void *object))
{
    for (int how = 0; how < 3; how++) {
        locks_server server = {.serve = serve};
        crew c;
        crew_begin(&c);
        (how == 1 ? crew_thread : crew_task)(&c, locks_serve, &server);
        (how == 2 ? crew_thread : crew_task)(&c, waits, &server);
        crew_end(&c);
    }
}

/* A group of tasks that are to be cancelled. */
typedef struct locks_victims {
    ars_group group;
} locks_victims;

static inline void locks_victims_begin(locks_victims *v)
{
    CHECK_EQ(ars_group_init(&v->group, NULL, ARS_COLLECT), 0);
}

static inline void locks_victim(locks_victims *v, ars_fn *fn, void *arg)
{
    CHECK_EQ(ars_group_go(&v->group, fn, arg, NULL), 0);
}

static inline void locks_victims_cancel(locks_victims *v)
{
    ars_group_cancel(&v->group, ARS_ECANCELED);
    CHECK_EQ(ars_group_wait(&v->group, ARS_FOREVER), ARS_ECANCELED);
}

/* Lets all others run until they wait; on one worker. */
static inline void locks_settle(void)
{
    for (int i = 0; i < 8; i++) CHECK_EQ(ars_yield(), 0);
}

#define LOCKS_CASE(name, workers)                                                                  \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        crew_run(name, workers, 4);                                                                \
    }
#define LOCKS_CASE_ALL(name)                                                                       \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        crew_run_all(name, 16);                                                                    \
    }

#endif
