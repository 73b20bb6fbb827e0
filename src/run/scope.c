/* SPDX-License-Identifier: MIT */
/*
 * Scopes and shields.  Documented in <arsenal/scope.h>.
 *
 * They form a list from the outermost inward.  One that was never left may
 * have been overwritten since; so nothing is read through it: the list is
 * walked from the outside, where the live ones are, and cut at the first that
 * is stale.
 */
#include "os/os.h"
#include "run/sched.h"

ARS__STATIC_ASSERT(sizeof(ars__scope) <= sizeof(ars_scope));

/* How far below the frame of ars_run() its thread's stack may reach. */
enum { ROOT_STACK = 8 * 1024 * 1024 };

static uint64_t cookie_of(const ars__task *task, const ars__scope *scope)
{
    return ((uintptr_t)task * UINT64_C(0x9e3779b97f4a7c15)) ^ (uintptr_t)scope;
}

static int on_own_stack(const ars__task *task, const void *p)
{
    if (task == &task->worker->base) {
        const char *top = task->worker->base_top;
        return (const char *)p < top && (const char *)p >= top - ROOT_STACK;
    }
    ars__stack stack = ars__stack_at(task->stack_top);
    return (const char *)p >= stack.low && (const char *)p < stack.top;
}

static int stale(const ars__task *task, const ars__scope *scope, const void *frame)
{
    if (!frame) return 1;
    if (!on_own_stack(task, scope) || !on_own_stack(task, frame)) return 0;
    return (const char *)scope < (const char *)frame || scope->cookie != cookie_of(task, scope);
}

/* Puts back in force what 'innermost' says, after scopes have gone. */
static void apply(ars__task *task, ars__scope *innermost)
{
    task->innermost = innermost;
    if (innermost) {
        innermost->inner = NULL;
        task->scope_limit = innermost->limit;
    } else {
        task->outermost = NULL;
        task->scope_limit = task->group->limit;
    }
    task->shields = 0;
    for (ars__scope *at = innermost; at; at = at->outer) task->shields += (uint16_t)at->shield;
}

void ars__scope_prune(ars__task *task, const void *frame)
{
    ars__scope *live = NULL;
    ars__scope *at = task->outermost;
    while (at && !stale(task, at, frame)) {
        live = at;
        at = at == task->innermost ? NULL : at->inner;
    }
    if (!at) return;
#if ARS__ASSERTS
    const char *name = ars__task_name(task);
    ars__report(task->worker->rt, "task '%s' returned from a function without leaving its scope",
                name ? name : "unnamed");
#endif
    apply(task, live);
}

void ars__scope_fired(ars__task *task)
{
    ars__scope *innermost = task->innermost;
    if (innermost && innermost->whose) innermost->whose->fired = 1;
}

static int enter(ars_scope *handle, ars_time deadline, uint32_t shield, const void *frame)
{
    ars__task *self = ars__task_self();
    if (!self) return ARS_EINVAL;
    if (self->outermost) ars__scope_prune(self, frame);
    ars__scope *scope = (ars__scope *)(void *)handle, *outer = self->innermost;
    ars_time around = shield ? ARS_FOREVER : self->scope_limit;
    *scope = (ars__scope){.outer = outer, .shield = shield, .cookie = cookie_of(self, scope)};
    if (deadline < around || (shield && deadline == ARS_FOREVER)) {
        scope->limit = deadline;
        scope->whose = scope;
    } else {
        scope->limit = around;
        scope->whose = outer ? outer->whose : NULL;
    }
    if (outer)
        outer->inner = scope;
    else
        self->outermost = scope;
    self->innermost = scope;
    self->scope_limit = scope->limit;
    self->ctx.flags &= ~(uint32_t)ARS__CAREFREE;
    self->shields += (uint16_t)shield;
    return 0;
}

int ars_scope_enter(ars_scope *scope, ars_time deadline)
{
    return enter(scope, deadline, 0, __builtin_dwarf_cfa());
}

int ars_shield_enter(ars_scope *scope, ars_time deadline)
{
    return enter(scope, deadline, 1, __builtin_dwarf_cfa());
}

int ars_scope_leave(ars_scope *handle)
{
    ars__task *self = ars__task_self();
    if (!self) return ARS_EINVAL;
    if (self->outermost) ars__scope_prune(self, __builtin_dwarf_cfa());
    ars__scope *scope = (ars__scope *)(void *)handle, *at = self->innermost;
    while (at && at != scope) at = at->outer;
    if (!at) return ARS_EINVAL;
#if ARS__ASSERTS
    if (scope != self->innermost)
        ars__report(self->worker->rt, "a scope was left before the scopes inside it");
#endif
    int fired = scope->fired;
    scope->cookie = 0;
    apply(self, scope->outer);
    return fired ? ARS_ETIMEDOUT : 0;
}
