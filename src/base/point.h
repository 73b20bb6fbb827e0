/* SPDX-License-Identifier: MIT */
#ifndef ARS_BASE_POINT_H
#define ARS_BASE_POINT_H

/*
 * ARS_POINT("name") marks a moment at which others may come in between: where a
 * task suspends, and between the steps of waking it.  In builds with assertions
 * a test can set a hook that is called there, on whatever thread that is, with
 * the name; it may take its time, let the thread yield, or do what another
 * thread might do just then, as long as it does not suspend the task.
 *
 * The value is the hook's, or 0 without one.  Two points act on it: a task at
 * "enter" then yields first, and a worker at "take" leaves a task that may move
 * to the others.  In other builds it is the constant 0.
 *
 * The hook is set while no runtime exists.
 */

#include "base/assert.h"

#if ARS__ASSERTS
extern int (*ars__point_hook)(const char *name);
#define ARS__POINTS     (ARS__UNLIKELY(ars__point_hook != 0)) /* whether there is one */
#define ARS_POINT(name) (ARS__UNLIKELY(ars__point_hook != 0) ? ars__point_hook(name) : 0)
#else
#define ARS__POINTS     0
#define ARS_POINT(name) 0
#endif

#endif
