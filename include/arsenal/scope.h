/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SCOPE_H
#define ARSENAL_SCOPE_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * A scope gives one deadline to everything that a piece of code waits for.
 * Under it every wait of the task, however deep, ends with ARS_ECANCELED once
 * the deadline has passed, and groups initialised under it pass it on to their
 * children.
 *
 *     ars_scope scope;
 *     ars_scope_enter(&scope, ars_after(200 * ARS_MILLISECOND));
 *     int rc = query(connection, &answer);
 *     if (ars_scope_leave(&scope) == ARS_ETIMEDOUT) ...
 *
 * A shield is the opposite: what waits under it is not cancelled from outside,
 * so that clean-up can wait, up to the shield's own deadline.
 *
 * Scopes and shields nest and are left in reverse order.  They are automatic
 * variables of the task.  One whose function has returned without leaving it
 * is dropped at the task's next wait; debug builds report that.
 */
typedef struct ars_scope {
    uint64_t ars__state[6]; /* private */
} ars_scope;

/*
 * ars_scope_enter() puts '*scope' in force until ars_scope_leave().  The
 * deadline in force is the earlier one of 'deadline' and that of the scopes
 * around it; ARS_FOREVER adds none, 0 has passed already.
 *
 * Returns 0, or ARS_EINVAL on a plain thread.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_scope_enter(ars_scope *scope, ars_time deadline);

/*
 * ars_shield_enter() puts a shield in force until ars_scope_leave(): waits
 * under it are cancelled by 'deadline' only, not by anything around it.
 *
 * Returns 0, or ARS_EINVAL on a plain thread.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_shield_enter(ars_scope *scope, ars_time deadline);

/*
 * ars_scope_leave() ends a scope or shield, and any that were entered under it
 * and not left.
 *
 * Returns ARS_ETIMEDOUT if a wait under it got ARS_ECANCELED because of its own
 * deadline, else 0; ARS_EINVAL if it is not in force.
 *
 * Suspends: no.  Allocates: no.  Callable from: task.
 */
ARS_API int ars_scope_leave(ars_scope *scope);

ARS_END_DECLS

#endif
