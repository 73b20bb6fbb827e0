/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SHORT_H
#define ARSENAL_SHORT_H

/*
 * Short names: the concurrent half of Arsenal, written almost as in Go.  This
 * is the only header that defines names without a prefix; they are macros, and
 * nothing else needs them.  docs/from-go.md shows them beside Go.
 *
 *     typedef ARS_CHAN_OF(int) ints;
 *
 *     ARS_TASK(square, int n; ints out;)
 *     {
 *         return chan_put(self->out, self->n * self->n);
 *     }
 *
 *     ARS_MAIN
 *     {
 *         ints squares;
 *         chan_make(&squares, 0);
 *         go(NULL, square, .n = 7, .out = squares);
 *         printf("%d\n", chan_take(squares, NULL));
 *         return 0;
 *     }
 *
 * For C only.  In C++ it includes the headers below and defines nothing: use
 * the plain calls there.
 */

#include <arsenal/clock.h>
#include <arsenal/cond.h>
#include <arsenal/mutex.h>
#include <arsenal/once.h>
#include <arsenal/scope.h>
#include <arsenal/sem.h>
#include <arsenal/tick.h>
#include <arsenal/typed.h>

#ifndef __cplusplus

/* Channels: see <arsenal/typed.h>.  In chan_put() and chan_take() a wait has no deadline. */
#define chan_make(c, cap)              ARS_CHAN_NEW(c, cap)
#define chan_make_opt(c, cap, opt)     ARS_CHAN_NEW_OPT(c, cap, opt)
#define chan_subscribe(source, c, lag) ARS_CHAN_SUBSCRIBE(source, c, lag)
#define chan_send(c, value, deadline)  ARS_CHAN_SEND(c, value, deadline)
#define chan_recv(c, value, deadline)  ARS_CHAN_RECV(c, value, deadline)
#define chan_close(c)                  ARS_CHAN_CLOSE(c)
#define chan_free(c)                   ARS_CHAN_FREE(c)
#define chan_take_as(T, c, rc)         ARS_CHAN_TAKE_AS(T, c, rc)
#ifdef ARS_CHAN_TAKE
#define chan_take(c, rc) ARS_CHAN_TAKE(c, rc)
#define chan_put(c, ...) ARS_CHAN_PUT(c, __VA_ARGS__)
#endif

/* Tasks that ARS_TASK() made: see <arsenal/typed.h>.  'group' may be NULL. */
#define go(group, ...)          ARS_GO(group, __VA_ARGS__)
#define go_opt(group, opt, ...) ARS_GO_OPT(group, opt, __VA_ARGS__)

/* Groups, of the caller's runtime. */
#define group_init(group, policy)   ars_group_init((group), NULL, (policy))
#define group_wait(group, deadline) ars_group_wait((group), (deadline))
#define group_cancel(group, reason) ars_group_cancel((group), (reason))

/* Scopes and shields. */
#define scope_enter(scope, deadline)  ars_scope_enter((scope), (deadline))
#define shield_enter(scope, deadline) ars_shield_enter((scope), (deadline))
#define scope_leave(scope)            ars_scope_leave(scope)

/* Time. */
#define sleep_until(deadline)           ars_sleep(deadline)
#define sleep_for(span)                 ars_sleep(ars_after(span))
#define tick_start(tick, first, period) ars_tick_start((tick), (first), (period))
#define tick_wait(tick, deadline)       ars_tick_wait((tick), (deadline))

/* Locks, for tasks and threads. */
#define mutex_lock(mutex, deadline)      ars_mutex_lock((mutex), (deadline))
#define mutex_unlock(mutex)              ars_mutex_unlock(mutex)
#define cond_wait(cond, mutex, deadline) ars_cond_wait((cond), (mutex), (deadline))
#define cond_signal(cond)                ars_cond_signal(cond)
#define cond_broadcast(cond)             ars_cond_broadcast(cond)
#define sem_acquire(sem, deadline)       ars_sem_acquire((sem), (deadline))
#define sem_release(sem, n)              ars_sem_release((sem), (n))
#define once_do(once, fn, arg, deadline) ars_once_do((once), (fn), (arg), (deadline))

/* Clean-up at the end of a block, with <arsenal/scoped.h>, which is not included here. */
#define defer(fn, arg)      ARS_DEFER(fn, arg)
#define defer_unlock(mutex) ARS_DEFER_UNLOCK(mutex)
#define defer_close(c)      ARS_DEFER_CLOSE(ARS__CHAN(c))
#define scoped_group(name)  ARS_SCOPED_GROUP(name)

#endif

#endif
