/* SPDX-License-Identifier: MIT */
#ifndef ARS_CORO_CTX_H
#define ARS_CORO_CTX_H

/*
 * The context switch: registers out, registers in, jump.
 *
 * A context is what a suspended flow of control needs to go on.  On x86-64 all
 * of it lies in one cache line of its own, so that a switch touches that line
 * and the top of the stack and nothing else.  On aarch64 the registers (160
 * bytes) lie on the stack and the context keeps the stack pointer.
 *
 * A switch is called in tail position, `return ars__ctx_switch(...)`, by
 * functions without a frame: the resumed flow is then re-entered by a jump to
 * the place where the user called, through an indirect jump and not a `ret`,
 * which would be mispredicted each time.
 *
 * 'result' is what the switch returns in the flow that is resumed; whoever
 * makes that flow runnable writes it.  'flags' belongs to the user of the
 * context.
 */

#include <stdint.h>

typedef struct ars__ctx {
    void *sp;
#if defined(__x86_64__)
    uint64_t regs[6]; /* rbx rbp r12 r13 r14 r15 */
#endif
    int32_t result;
    uint32_t flags;
} ars__ctx;

/* Suspends the running flow into '*from' and resumes '*to'; returns from->result when resumed. */
int ars__ctx_switch(ars__ctx *from, ars__ctx *to);

/*
 * Copies of it for the two sides of a coroutine: each is an indirect jump of
 * its own, and one that mostly goes to the same place is predicted sooner.
 */
int ars__ctx_resume(ars__ctx *from, ars__ctx *to);
int ars__ctx_yield(ars__ctx *from, ars__ctx *to);

/* The same without saving: the running flow is over. */
_Noreturn void ars__ctx_jump(ars__ctx *to);

/*
 * Makes '*ctx' a flow that starts in entry(arg) on the stack that ends at
 * 'top' (any alignment; the function is entered as the ABI wants it, with
 * frame pointer 0 and no return address to unwind to).  'entry' never returns.
 */
void ars__ctx_init(ars__ctx *ctx, void *top, void (*entry)(void *), void *arg);

/*
 * The two at once: suspends the running flow into '*from' and starts another
 * in entry(arg) on the stack that ends at 'top'; returns from->result when
 * resumed.
 */
int ars__ctx_start(ars__ctx *from, void *top, void (*entry)(void *), void *arg);
/*
 * ars__ctx_jump(from) for the end of that other flow, if no switch has come in
 * between: a call and its return, in the end, so it goes on by a return, and
 * the processor's prediction of this and of the returns that follow is right.
 * To be called in tail position, and so on up to 'entry'.  Does not return.
 */
void ars__ctx_return(ars__ctx *from);

/*
 * What a flow keeps for itself beyond the registers: floating-point control
 * words, or the C++ runtime's exception globals.  'mine' is put in force when
 * the flow resumes, and what was in force then comes back when it suspends.
 */
typedef struct ars__ctx_extra {
    uint64_t mine[2];
    uint64_t outer[2];
} ars__ctx_extra;

/* ars__ctx_switch() for a flow with its own floating-point control words (MXCSR and x87 CW; FPCR). */
int ars__ctx_switch_fpenv(ars__ctx *from, ars__ctx *to, ars__ctx_extra *extra);
/* ... with its own C++ exception globals; plain where the C++ runtime is not linked. */
int ars__ctx_switch_cxx(ars__ctx *from, ars__ctx *to, ars__ctx_extra *extra);
/*
 * To be called first by such a flow: what is in force becomes the outer one.
 * Its own are the control words in force, and no exceptions.
 */
void ars__ctx_enter_fpenv(ars__ctx_extra *extra);
void ars__ctx_enter_cxx(ars__ctx_extra *extra);
/* To be called last, before the final jump: the outer one is in force again. */
void ars__ctx_leave_fpenv(ars__ctx_extra *extra);
void ars__ctx_leave_cxx(ars__ctx_extra *extra);
/*
 * The opposite of ars__ctx_leave_cxx(): a flow that has both kinds calls one
 * before and the other after ars__ctx_switch_fpenv().
 */
void ars__ctx_back_cxx(ars__ctx_extra *extra);

#endif
