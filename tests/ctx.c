/* SPDX-License-Identifier: MIT */
/* The context switch: what it keeps, what it shares, and how it looks to an unwinder. */
#define _GNU_SOURCE
#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unwind.h>

#include "base/san.h"
#include "coro/ctx.h"
#include "test.h"

#define NOINLINE __attribute__((noinline))
/* Functions that leave their stack for good: ASan would clear the shadow of a stack it does not know. */
#define LEAVES __attribute__((no_sanitize("address")))

typedef int switch_fn(ars__ctx *from, ars__ctx *to, ars__ctx_extra *extra);

/* The third argument is one that they do not look at. */
#define PLAIN(f) ((switch_fn *)(void (*)(void))(f))

/*
 * Fills every callee-saved register from 'in', calls fn(from, to, extra) and
 * stores what the registers hold afterwards in 'out'.
 */
int switch_filled(ars__ctx *from, ars__ctx *to, const uint64_t *in, uint64_t *out, switch_fn *fn,
                  ars__ctx_extra *extra);

#if defined(__x86_64__)

enum { REGISTERS = 6 };
__asm__(".text\n"
        ".globl switch_filled\n"
        ".type switch_filled, @function\n"
        "switch_filled:\n"
        "  .cfi_startproc\n"
        "  push %rbx\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %rbx, 0\n"
        "  push %rbp\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %rbp, 0\n"
        "  push %r12\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %r12, 0\n"
        "  push %r13\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %r13, 0\n"
        "  push %r14\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %r14, 0\n"
        "  push %r15\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %r15, 0\n"
        "  push %rcx\n  .cfi_adjust_cfa_offset 8\n"
        "  mov 0(%rdx), %rbx\n  mov 8(%rdx), %rbp\n  mov 16(%rdx), %r12\n"
        "  mov 24(%rdx), %r13\n  mov 32(%rdx), %r14\n  mov 40(%rdx), %r15\n"
        "  mov %r9, %rdx\n"
        "  call *%r8\n"
        "  pop %rcx\n  .cfi_adjust_cfa_offset -8\n"
        "  mov %rbx, 0(%rcx)\n  mov %rbp, 8(%rcx)\n  mov %r12, 16(%rcx)\n"
        "  mov %r13, 24(%rcx)\n  mov %r14, 32(%rcx)\n  mov %r15, 40(%rcx)\n"
        "  pop %r15\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %r14\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %r13\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %r12\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %rbp\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %rbx\n  .cfi_adjust_cfa_offset -8\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size switch_filled, . - switch_filled\n");

/* MXCSR without its sticky exception flags, and the x87 control word. */
static uint64_t control_words(void)
{
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(x87));
    return (uint64_t)(mxcsr & ~0x3fu) << 16 | x87;
}

#elif defined(__aarch64__)

enum { REGISTERS = 19 };
__asm__(".text\n"
        ".globl switch_filled\n"
        ".type switch_filled, %function\n"
        "switch_filled:\n"
        "  sub sp, sp, #176\n"
        "  stp x29, x30, [sp]\n  stp x19, x20, [sp, #16]\n  stp x21, x22, [sp, #32]\n"
        "  stp x23, x24, [sp, #48]\n  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  str x3, [sp, #160]\n"
        "  ldp x19, x20, [x2]\n  ldp x21, x22, [x2, #16]\n  ldp x23, x24, [x2, #32]\n"
        "  ldp x25, x26, [x2, #48]\n  ldp x27, x28, [x2, #64]\n  ldr x29, [x2, #80]\n"
        "  ldr d8, [x2, #88]\n  ldr d9, [x2, #96]\n  ldr d10, [x2, #104]\n"
        "  ldr d11, [x2, #112]\n  ldr d12, [x2, #120]\n  ldr d13, [x2, #128]\n"
        "  ldr d14, [x2, #136]\n  ldr d15, [x2, #144]\n"
        "  mov x2, x5\n"
        "  blr x4\n"
        "  ldr x3, [sp, #160]\n"
        "  stp x19, x20, [x3]\n  stp x21, x22, [x3, #16]\n  stp x23, x24, [x3, #32]\n"
        "  stp x25, x26, [x3, #48]\n  stp x27, x28, [x3, #64]\n  str x29, [x3, #80]\n"
        "  str d8, [x3, #88]\n  str d9, [x3, #96]\n  str d10, [x3, #104]\n"
        "  str d11, [x3, #112]\n  str d12, [x3, #120]\n  str d13, [x3, #128]\n"
        "  str d14, [x3, #136]\n  str d15, [x3, #144]\n"
        "  ldp x29, x30, [sp]\n  ldp x19, x20, [sp, #16]\n  ldp x21, x22, [sp, #32]\n"
        "  ldp x23, x24, [sp, #48]\n  ldp x25, x26, [sp, #64]\n  ldp x27, x28, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #176\n"
        "  ret\n"
        ".size switch_filled, . - switch_filled\n");

static uint64_t control_words(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

#endif

/* ---- two flows: the test itself, and one on this stack ---- */

static char stack[64 * 1024] __attribute__((aligned(64)));
static ars__ctx main_ctx __attribute__((aligned(64)));
static ars__ctx flow_ctx __attribute__((aligned(64)));

static void start(void (*entry)(void *), void *arg)
{
    ars__san_unpoison(stack, sizeof stack); /* red zones of the flow that was abandoned here */
    ars__ctx_init(&flow_ctx, stack + sizeof stack, entry, arg);
    ars__ctx_switch(&main_ctx, &flow_ctx);
}

static void to_main(void)
{
    ars__ctx_switch(&flow_ctx, &main_ctx);
}

static void to_flow(void)
{
    ars__ctx_switch(&main_ctx, &flow_ctx);
}

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;
    return x ^ x >> 27;
}

/* ---- registers ---- */

typedef struct filled_case {
    switch_fn *fn;
    ars__ctx_extra *extra;
} filled_case;

static void check_filled(ars__ctx *from, ars__ctx *to, uint64_t *seed, const filled_case *c)
{
    uint64_t in[REGISTERS], out[REGISTERS];
    for (int i = 0; i < REGISTERS; i++) in[i] = next_random(seed);
    memset(out, 0, sizeof out);
    from->result = (int32_t)in[0];
    int result = switch_filled(from, to, in, out, c->fn, c->extra);
    CHECK_EQ(result, (int32_t)in[0]);
    for (int i = 0; i < REGISTERS; i++) {
        if (in[i] != out[i])
            FAIL("register %d holds %llx, not %llx", i, (unsigned long long)out[i],
                 (unsigned long long)in[i]);
    }
}

static void filled_flow(void *arg)
{
    const filled_case *c = arg;
    uint64_t seed = 2;
    if (c->fn == ars__ctx_switch_fpenv) ars__ctx_enter_fpenv(c->extra);
    if (c->fn == ars__ctx_switch_cxx) ars__ctx_enter_cxx(c->extra);
    for (;;) check_filled(&flow_ctx, &main_ctx, &seed, c);
}

/* The flow is on main's side of the switch through 'c', main always uses the plain one. */
static void fill_registers(filled_case c, long times)
{
    const filled_case plain = {PLAIN(ars__ctx_switch), NULL};
    uint64_t seed = 1;
    start(filled_flow, &c);
    for (long i = 0; i < times; i++) check_filled(&main_ctx, &flow_ctx, &seed, &plain);
}

static void keeps_registers(void)
{
    fill_registers((filled_case){PLAIN(ars__ctx_switch), NULL}, test_times(1000000, 10000));
}

static void keeps_registers_in_the_copies(void)
{
    fill_registers((filled_case){PLAIN(ars__ctx_resume), NULL}, 1000);
    fill_registers((filled_case){PLAIN(ars__ctx_yield), NULL}, 1000);
}

static void keeps_registers_with_extras(void)
{
    ars__ctx_extra extra;
    fill_registers((filled_case){ars__ctx_switch_fpenv, &extra}, 10000);
    fill_registers((filled_case){ars__ctx_switch_cxx, &extra}, 10000);
}

static LEAVES void jumping_flow(void *arg)
{
    (void)arg;
    main_ctx.result = -77;
    ars__ctx_jump(&main_ctx);
}

static void keeps_registers_over_a_jump(void)
{
    uint64_t in[REGISTERS], out[REGISTERS], seed = 3;
    for (int n = 0; n < 100; n++) {
        for (int i = 0; i < REGISTERS; i++) in[i] = next_random(&seed);
        memset(out, 0, sizeof out);
        ars__san_unpoison(stack, sizeof stack);
        ars__ctx_init(&flow_ctx, stack + sizeof stack, jumping_flow, NULL);
        int64_t result = switch_filled(&main_ctx, &flow_ctx, in, out, PLAIN(ars__ctx_switch), NULL);
        CHECK_EQ(result, -77);
        CHECK(!memcmp(in, out, sizeof in));
    }
}

/* Switches of the form of others that start a flow on the way, which ends in either way. */
static LEAVES int start_jumping(ars__ctx *from, ars__ctx *to)
{
    (void)to;
    return ars__ctx_start(from, stack + sizeof stack - 8, jumping_flow, NULL);
}

static LEAVES void returning_flow(void *arg)
{
    (void)arg;
    main_ctx.result = -77;
    ars__ctx_return(&main_ctx);
}

static LEAVES int start_returning(ars__ctx *from, ars__ctx *to)
{
    (void)to;
    return ars__ctx_start(from, stack + sizeof stack - 8, returning_flow, NULL);
}

static void keeps_registers_over_a_start(void)
{
    uint64_t in[REGISTERS], out[REGISTERS], seed = 4;
    for (int n = 0; n < 100; n++) {
        for (int i = 0; i < REGISTERS; i++) in[i] = next_random(&seed);
        memset(out, 0, sizeof out);
        ars__san_unpoison(stack, sizeof stack);
        switch_fn *fn = n % 2 ? PLAIN(start_jumping) : PLAIN(start_returning);
        CHECK_EQ(switch_filled(&main_ctx, NULL, in, out, fn, NULL), -77);
        CHECK(!memcmp(in, out, sizeof in));
    }
}

/* ---- floating point ---- */

typedef double vec __attribute__((vector_size(16)));

static vec sum(double start_at, int steps, void (*between)(void))
{
    vec v = {start_at, start_at + 1};
    vec w = {1, 1};
    for (int i = 0; i < steps; i++) {
        v = v * 1.0009765625 + w;
        between();
        w = w * 0.9990234375;
        between();
    }
    return v;
}

static void nothing(void)
{
    __asm__ volatile("" ::: "memory");
}

static vec flow_sum;
static int flow_done;

static void summing_flow(void *arg)
{
    (void)arg;
    flow_sum = sum(1000, 1000, to_main);
    flow_done = 1;
    for (;;) to_main();
}

static void keeps_floats_and_vectors(void)
{
    flow_done = 0;
    start(summing_flow, NULL);
    vec mine = sum(1, 1001, to_flow);
    CHECK_EQ(flow_done, 1);
    vec mine_alone = sum(1, 1001, nothing), flow_alone = sum(1000, 1000, nothing);
    for (int i = 0; i < 2; i++) {
        CHECK(mine[i] == mine_alone[i]);
        CHECK(flow_sum[i] == flow_alone[i]);
    }
}

static uint64_t seen_control;

static void rounding_flow(void *arg)
{
    (void)arg;
    fesetround(FE_UPWARD);
    for (;;) {
        seen_control = control_words();
        to_main();
    }
}

static void shares_control_words(void)
{
    uint64_t before = control_words();
    start(rounding_flow, NULL);
    CHECK(control_words() != before); /* the flow's change is in force here too */
    fesetround(FE_DOWNWARD);
    uint64_t mine = control_words();
    to_flow();
    CHECK(seen_control == mine);
    fesetround(FE_TONEAREST);
    CHECK(control_words() == before);
}

static ars__ctx_extra own;
static volatile double one = 1, three = 3;

static LEAVES void own_rounding_flow(void *arg)
{
    (void)arg;
    ars__ctx_enter_fpenv(&own);
    fesetround(FE_UPWARD);
    uint64_t mine = control_words();
    double up = one / three;
    for (int i = 0; i < 100; i++) {
        ars__ctx_switch_fpenv(&flow_ctx, &main_ctx, &own);
        CHECK(control_words() == mine);
        CHECK(one / three == up);
    }
    ars__ctx_leave_fpenv(&own);
    flow_done = 1;
    ars__ctx_jump(&main_ctx);
}

static void gives_a_flow_its_own_control_words(void)
{
    flow_done = 0;
    uint64_t before = control_words();
    double nearest = one / three;
    start(own_rounding_flow, NULL);
    CHECK(control_words() == before);
    CHECK(one / three == nearest);
    /* What the resumer has set meanwhile is what it gets back. */
    fesetround(FE_DOWNWARD);
    uint64_t mine = control_words();
    for (int i = 0; i < 100; i++) {
        to_flow();
        CHECK(control_words() == mine);
    }
    CHECK_EQ(flow_done, 1);
    fesetround(FE_TONEAREST);
}

/* ---- how a flow starts ---- */

static uintptr_t entry_frame;
static void *entry_link, *entry_arg;

static NOINLINE void looking_flow(void *arg)
{
    void **frame = __builtin_frame_address(0);
    entry_frame = (uintptr_t)frame;
    entry_link = *frame;
    entry_arg = arg;
    for (;;) to_main();
}

static void starts_aligned_and_without_a_frame(void)
{
    for (size_t off = 0; off < 128; off++) {
        entry_link = stack;
        ars__san_unpoison(stack, sizeof stack);
        ars__ctx_init(&flow_ctx, stack + sizeof stack - off, looking_flow, &off);
        to_flow();
        CHECK(entry_arg == &off);
        /* The frame pointer's own slot: 16 below the caller's aligned stack pointer on both ABIs. */
        CHECK_EQ(entry_frame % 16, 0);
        CHECK(entry_frame < (uintptr_t)stack + sizeof stack - off);
        CHECK(entry_frame > (uintptr_t)stack + sizeof stack - off - 512);
        CHECK(entry_link == NULL);
    }
}

/* ---- unwinding ---- */

typedef struct trace {
    int frames, deep;
    uintptr_t outermost;
} trace;

static NOINLINE void unwinding_flow(void *arg);
static NOINLINE int recurse(int depth, trace *t);
/* Called through this, the functions stay what they are: no copies, no tail calls. */
static int (*volatile recurse_again)(int, trace *) = recurse;

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *arg)
{
    trace *t = arg;
    uintptr_t function = (uintptr_t)_Unwind_GetRegionStart(context);
    /* After a frame without a return address gcc's unwinder shows one more, at 0. */
    if (_Unwind_GetIP(context) == 0) return _URC_NO_REASON;
    t->frames++;
    if (function == (uintptr_t)recurse) t->deep++;
    if (function == (uintptr_t)unwinding_flow) t->outermost = (uintptr_t)t->frames;
    return t->frames > 1000 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

static NOINLINE int recurse(int depth, trace *t)
{
    if (depth > 1) return recurse_again(depth - 1, t) + 1;
    to_main();
    _Unwind_Reason_Code rc = _Unwind_Backtrace(visit, t);
    CHECK_EQ(rc, _URC_END_OF_STACK);
    return 1;
}

static NOINLINE void unwinding_flow(void *arg)
{
    for (;;) {
        trace t = {0, 0, 0};
        int depth = *(int *)arg;
        CHECK_EQ(recurse_again(depth, &t), depth);
        CHECK_EQ(t.deep, depth);
        CHECK(t.outermost > 0);
        /* The first frame's caller is the start of the flow, and nothing is above that. */
        CHECK(t.frames - (int)t.outermost <= 1);
        to_main();
    }
}

static void unwinding_stops_at_the_entry(void)
{
    int depth = 1;
    start(unwinding_flow, &depth);
    for (; depth < 40; to_flow()) {
        to_flow();
        depth++;
    }
}

#if defined(__x86_64__)

/*
 * The trap flag makes every single instruction of a switch raise SIGTRAP; the
 * handler unwinds from there and looks at the registers of the frame that
 * called the switch.
 */
static uint64_t step_main[REGISTERS], step_flow[REGISTERS];
static int step_inside, step_mains, step_flows;
static const int dwarf_number[REGISTERS] = {3, 6, 12, 13, 14, 15};

static void stepping_flow(void *arg);

typedef struct step {
    int frames, filled, is_main, is_flow;
} step;

static _Unwind_Reason_Code step_visit(struct _Unwind_Context *context, void *arg)
{
    step *s = arg;
    uintptr_t function = (uintptr_t)_Unwind_GetRegionStart(context);
    if (++s->frames > 100) return _URC_NORMAL_STOP;
    if (function == (uintptr_t)switch_filled) {
        s->filled = 1;
        const uint64_t *want = NULL;
        for (int i = 0; i < REGISTERS; i++) {
            uint64_t is = _Unwind_GetGR(context, dwarf_number[i]);
            if (i == 0) want = is == step_main[0] ? step_main : step_flow;
            if (is != want[i]) s->filled = -1;
        }
        s->is_main = want == step_main;
        s->is_flow = want == step_flow;
    }
    return _URC_NO_REASON;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    ucontext_t *u = context;
    uintptr_t at = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    /* The switch is shorter than 128 bytes; its copies after it are not called here. */
    if (at - (uintptr_t)ars__ctx_switch >= 128) return;
    step s = {0};
    _Unwind_Reason_Code rc = _Unwind_Backtrace(step_visit, &s);
    step_inside++;
    CHECK_EQ(rc, _URC_END_OF_STACK);
    CHECK_EQ(s.filled, 1);
    step_mains += s.is_main;
    step_flows += s.is_flow;
}

static void stepping_flow(void *arg)
{
    (void)arg;
    uint64_t out[REGISTERS];
    for (;;) switch_filled(&flow_ctx, &main_ctx, step_flow, out, PLAIN(ars__ctx_switch), NULL);
}

static void set_trap(int on)
{
    if (on)
        __asm__ volatile("sub $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; add $128, %%rsp" ::
                             : "memory", "cc");
    else
        __asm__ volatile("sub $128, %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; add $128, %%rsp" ::
                             : "memory", "cc");
}

static void unwinds_from_every_instruction(void)
{
    struct sigaction trap = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, before;
    uint64_t seed = 4, out[REGISTERS];
    trace warm = {0, 0, 0};
    for (int i = 0; i < REGISTERS; i++) {
        step_main[i] = next_random(&seed);
        step_flow[i] = next_random(&seed);
    }
    _Unwind_Backtrace(visit, &warm); /* loads what it loads outside the handler */
    start(stepping_flow, NULL);
    CHECK_EQ(sigaction(SIGTRAP, &trap, &before), 0);
    step_inside = step_mains = step_flows = 0;
    set_trap(1);
    for (int i = 0; i < 10; i++)
        switch_filled(&main_ctx, &flow_ctx, step_main, out, PLAIN(ars__ctx_switch), NULL);
    set_trap(0);
    sigaction(SIGTRAP, &before, NULL);
    CHECK(step_inside >= 10 * 2 * 16);
    CHECK(step_mains >= 10 * 2 * 7);
    CHECK(step_flows >= 10 * 2 * 7);
}

#else

static void unwinds_from_every_instruction(void)
{
    test_skipped("no single step here");
}

#endif

static const test_case cases[] = {
    {"keeps registers", keeps_registers},
    {"keeps registers in the copies", keeps_registers_in_the_copies},
    {"keeps registers with extras", keeps_registers_with_extras},
    {"keeps registers over a jump", keeps_registers_over_a_jump},
    {"keeps registers over a start", keeps_registers_over_a_start},
    {"keeps floats and vectors", keeps_floats_and_vectors},
    {"shares control words", shares_control_words},
    {"gives a flow its own control words", gives_a_flow_its_own_control_words},
    {"starts aligned and without a frame", starts_aligned_and_without_a_frame},
    {"unwinding stops at the entry", unwinding_stops_at_the_entry},
    {"unwinds from every instruction", unwinds_from_every_instruction},
};
TEST_MAIN(cases)
