/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/coro.h>. */
#include <arsenal/coro.h>

#include <string.h>

#include "base/assert.h"
#include "base/san.h"
#include "coro/ctx.h"
#include "coro/stack.h"

enum state { SUSPENDED, RUNNING, FINISHED };

/* Control words and exception globals of a coroutine that has its own; in its first frame. */
typedef struct extras {
    ars__ctx_extra fpenv, cxx;
} extras;

/*
 * A switch touches the first two lines and the head of the third.  The value
 * that a side sends is stored straight into the other's variable, so that
 * nothing is left to do after the switch, which is a tail call therefore.
 */
struct ars_coro {
    ars__ctx ctx; /* flags: enum state; result: 0, what a yield returns */
    ars__ctx
        caller;  /* flags: ARS_CORO_...; result: 1, what a resume returns, until it has returned */
    void **in;   /* where the next resume stores its value */
    void **out;  /* where the next yield stores its value */
    void *value; /* the first 'in', and what nobody wants */
    ars_coro_fn *fn;
    const char *name;
    ars_stack_pool *pool; /* NULL: the caller's stack */
    char *low;
    ars__stack_header *header; /* pooled only */
    extras *extras;
    void *fiber, *caller_fiber; /* for the sanitizers, from here on */
    const void *caller_low;
    size_t caller_size;
};

/* What a coroutine is aligned to, so that each context has a cache line to itself. */
enum { LINE = 64 };
ARS__STATIC_ASSERT(sizeof(struct ars_coro) <= 256);
ARS__STATIC_ASSERT(ARS_CORO_STACK_MIN >= 2 * (sizeof(struct ars_coro) + LINE));

static const int sanitized = ARS__ASAN || ARS__TSAN;

/* ---- switching when there is more to do than registers ---- */

static int resume_sanitized(ars_coro *coro)
{
    void *fake = NULL;
    coro->caller_fiber = ars__san_fiber_current();
    ars__san_switch_start(&fake, coro->low, (size_t)((char *)coro - coro->low));
    ars__san_fiber_switch(coro->fiber, 0);
    int rc = ars__ctx_resume(&coro->caller, &coro->ctx);
    ars__san_switch_finish(fake, NULL, NULL);
    return rc;
}

static ARS__NOINLINE int yield_slow(ars_coro *self)
{
    unsigned flags = self->caller.flags;
    void *fake = NULL;
    int rc;
    if (flags & ARS_CORO_CXX) ars__ctx_leave_cxx(&self->extras->cxx);
    ars__san_switch_start(&fake, self->caller_low, self->caller_size);
    ars__san_fiber_switch(self->caller_fiber, 0);
    if (flags & ARS_CORO_FPENV)
        rc = (int)ars__ctx_switch_fpenv(&self->ctx, &self->caller, &self->extras->fpenv);
    else
        rc = ars__ctx_yield(&self->ctx, &self->caller);
    ars__san_switch_finish(fake, &self->caller_low, &self->caller_size);
    if (flags & ARS_CORO_CXX) ars__ctx_back_cxx(&self->extras->cxx);
    return rc;
}

static void entry(void *arg)
{
    ars_coro *self = arg;
    unsigned flags = self->caller.flags;
    extras own;
    ars__san_switch_finish(NULL, &self->caller_low, &self->caller_size);
    self->extras = &own;
    if (flags & ARS_CORO_FPENV) ars__ctx_enter_fpenv(&own.fpenv);
    if (flags & ARS_CORO_CXX) ars__ctx_enter_cxx(&own.cxx);

    void *value = self->fn(self, self->value);

    if (flags & ARS_CORO_CXX) ars__ctx_leave_cxx(&own.cxx);
    if (flags & ARS_CORO_FPENV) ars__ctx_leave_fpenv(&own.fpenv);
    *self->out = value;
    self->caller.result = 0;
    self->ctx.flags = FINISHED;
    ars__san_switch_start(NULL, self->caller_low, self->caller_size);
    ars__san_fiber_switch(self->caller_fiber, 0);
    ars__ctx_jump(&self->caller);
}

/* ---- the public side ---- */

static ars_coro *build(void *end, char *low, ars_coro_fn *fn, const ars_coro_opt *opt)
{
    ars_coro *coro = (void *)(((uintptr_t)end - sizeof *coro) & ~(uintptr_t)(LINE - 1));
    memset(coro, 0, sizeof *coro);
    coro->fn = fn;
    coro->low = low;
    coro->in = &coro->value;
    coro->caller.result = 1;
    if (opt) {
        coro->name = opt->name;
        coro->caller.flags = opt->flags;
    }
    coro->fiber = ars__san_fiber_create(coro->name);
    ars__ctx_init(&coro->ctx, coro, entry, coro);
    coro->ctx.flags = SUSPENDED;
    return coro;
}

static int valid(ars_coro_fn *fn, const ars_coro_opt *opt)
{
    return fn && (!opt || !(opt->flags & ~(unsigned)(ARS_CORO_FPENV | ARS_CORO_CXX)));
}

int ars_coro_new(ars_coro **out, ars_stack_pool *pool, ars_coro_fn *fn, const ars_coro_opt *opt)
{
    if (!pool || !valid(fn, opt)) return ARS_EINVAL;
    ars__stack stack;
    int rc = ars__stack_get(pool, &stack);
    if (rc < 0) return rc;

    ars_coro *coro = build(stack.top, stack.low, fn, opt);
    coro->pool = pool;
    coro->header = ars__stack_header_of(stack);
    coro->header->name = coro->name;
    coro->header->what = "coroutine";
    coro->header->owner = coro;
    *out = coro;
    return 0;
}

int ars_coro_new_on(ars_coro **out, void *stack, size_t size, ars_coro_fn *fn,
                    const ars_coro_opt *opt)
{
    if (!stack || size < ARS_CORO_STACK_MIN || !valid(fn, opt)) return ARS_EINVAL;
    *out = build((char *)stack + size, stack, fn, opt);
    return 0;
}

ARS__ALIGNED(64) int ars_coro_resume(ars_coro *coro, void *in, void **out)
{
    if (ARS__UNLIKELY(!coro || coro->ctx.flags != SUSPENDED))
        return coro && coro->ctx.flags == RUNNING ? ARS_EBUSY : ARS_EINVAL;
    coro->out = out ? out : &coro->value;
    coro->ctx.flags = RUNNING;
    *coro->in = in;
    if (sanitized) return resume_sanitized(coro);
    return ars__ctx_resume(&coro->caller, &coro->ctx);
}

ARS__ALIGNED(64) int ars_coro_yield(ars_coro *self, void *out, void **in)
{
    if (ARS__UNLIKELY(self->ctx.flags != RUNNING)) return ARS_EINVAL;
    self->in = in ? in : &self->value;
    self->ctx.flags = SUSPENDED;
    *self->out = out;
    if (sanitized || ARS__UNLIKELY(self->caller.flags)) return yield_slow(self);
    return ars__ctx_yield(&self->ctx, &self->caller);
}

int ars_coro_free(ars_coro *coro)
{
    if (!coro) return 0;
    if (coro->ctx.flags == RUNNING) return ARS_EBUSY;
    ars__san_fiber_destroy(coro->fiber);
    if (!coro->pool) {
        ars__san_unpoison(coro->low, (size_t)((char *)coro - coro->low));
        return 0;
    }
    return ars__stack_put(coro->pool, (ars__stack){coro->low, (char *)coro->header});
}

const char *ars_coro_name(const ars_coro *coro)
{
    return coro->name;
}

int ars_stack_pool_new(ars_stack_pool **pool, const ars_alloc *alloc)
{
    return ars__stack_pool_new(pool, alloc, ARS__STACK_SIZE);
}

int ars_stack_pool_free(ars_stack_pool *pool)
{
    if (pool && ars__stack_pool_stats(pool).in_use > 0) return ARS_EBUSY;
    ars__stack_pool_free(pool);
    return 0;
}

int ars_stack_pool_reserve(ars_stack_pool *pool, uint64_t n)
{
    return ars__stack_pool_reserve(pool, n);
}

ars_stack_stats ars_stack_pool_stats(const ars_stack_pool *pool)
{
    ars__stack_stats s = ars__stack_pool_stats(pool);
    return (ars_stack_stats){
        .reserved = s.reserved,
        .guarded = s.carved,
        .in_use = s.in_use,
        .guards_light = s.guard_light,
        .guards_protect = s.guard_protect,
        .guards_canary = s.guard_canary,
        .smashed = s.smashed,
    };
}
