/* SPDX-License-Identifier: MIT */
/*
 * The context switch for x86-64, System V ABI.  ctx.h is its contract.
 *
 * Callee-saved: rbx rbp r12-r15 and rsp.  Everything else, the vector
 * registers included, is the caller's to save, because a switch is a call.
 * MXCSR and the x87 control word are callee-saved too; they are shared by all
 * flows unless a flow is switched by ars__ctx_switch_fpenv().
 *
 *   offset in ars__ctx    0    8    16   24   32   40   48   56      60
 *                         rsp  rbx  rbp  r12  r13  r14  r15  result  flags
 *
 * A suspended flow's rsp points at the address where it goes on.
 *
 * That address is popped and jumped to: the return predictor still holds the
 * calls of the flow that is left, so that a `ret` would always go wrong.  An
 * indirect jump that always goes to the same place is cheaper than one that
 * does not (2.0 and 2.75 ns a switch on Zen 5), hence the copies of the switch
 * for the two sides of a coroutine.  A branch on a bit of the context's
 * address before the jump, to tell flows apart in the predictor's history,
 * gains nothing there and costs 0.4 ns.
 *
 * A switch is to fit into one cache line: 2.0 against 2.4 ns.
 *
 * With -fcf-protection: the functions are hidden and called directly, so they
 * need no endbr64.  The places where flows go on are return addresses and have
 * none either, hence `notrack`.  The file is marked for IBT only.  It cannot
 * run with shadow stacks, and without the SHSTK mark linkers leave them off
 * for the whole program.
 *
 * CFI: from the moment rsp is the other flow's, its registers are described as
 * lying in its context, so that a signal at any instruction unwinds.
 */

        .text

/* A function, aligned to a cache line, not exported. */
.macro ENTRY name
        .p2align 6
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        .cfi_startproc
.endm

.macro END name
        .cfi_endproc
        .size   \name, . - \name
.endm

/* Loads the context at \ctx, the register of DW_OP_breg number \breg; rsp then points at the address to go on at. */
.macro LOAD ctx, breg
        movq    (\ctx), %rsp
        /* DW_CFA_expression: rbx rbp r12-r15 are saved at \ctx + 8, 16 ... */
        .cfi_escape 0x10, 3, 2, \breg, 8
        .cfi_escape 0x10, 6, 2, \breg, 16
        .cfi_escape 0x10, 12, 2, \breg, 24
        .cfi_escape 0x10, 13, 2, \breg, 32
        .cfi_escape 0x10, 14, 2, \breg, 40
        .cfi_escape 0x10, 15, 2, \breg, 48
        movq    8(\ctx), %rbx
        movq    16(\ctx), %rbp
        movq    24(\ctx), %r12
        movq    32(\ctx), %r13
        movq    40(\ctx), %r14
        movq    48(\ctx), %r15
        movslq  56(\ctx), %rax
.endm

.macro RESUME ctx, breg
        LOAD    \ctx, \breg
        popq    %rcx
        .cfi_def_cfa_offset 0
        .cfi_register %rip, %rcx
        notrack jmp *%rcx
.endm

/* Suspends the running flow into the context at rdi. */
.macro SUSPEND
        movq    %rsp, (%rdi)
        movq    %rbx, 8(%rdi)
        movq    %rbp, 16(%rdi)
        movq    %r12, 24(%rdi)
        movq    %r13, 32(%rdi)
        movq    %r14, 40(%rdi)
        movq    %r15, 48(%rdi)
.endm

/* int64_t NAME(ars__ctx *from: rdi, ars__ctx *to: rsi) */
.macro SWITCH name
ENTRY \name
        SUSPEND
        RESUME  %rsi, 0x74
END \name
.endm

SWITCH ars__ctx_switch
SWITCH ars__ctx_resume
SWITCH ars__ctx_yield

/* void ars__ctx_jump(ars__ctx *to: rdi) */
ENTRY ars__ctx_jump
        RESUME  %rdi, 0x75
END ars__ctx_jump

/* void ars__ctx_init(ars__ctx *ctx: rdi, void *top: rsi, void (*entry)(void *): rdx, void *arg: rcx) */
ENTRY ars__ctx_init
        andq    $-16, %rsi
        leaq    .Lfirst(%rip), %rax
        movq    %rax, -8(%rsi)
        subq    $8, %rsi
        xorl    %eax, %eax
        movq    %rsi, (%rdi)
        movq    %rdx, 8(%rdi)
        movq    %rax, 16(%rdi)
        movq    %rcx, 24(%rdi)
        movq    %rax, 32(%rdi)
        movq    %rax, 40(%rdi)
        movq    %rax, 48(%rdi)
        movl    %eax, 56(%rdi)
        ret
END ars__ctx_init

/*
 * A new flow begins here, with entry in rbx and arg in r12.  There is no
 * caller: unwinders stop.  They look up the address before the one they
 * return to, hence the nop.
 */
        .p2align 6
        .type   ars__ctx_first, @function
ars__ctx_first:
        .cfi_startproc
        .cfi_def_cfa %rsp, 0
        .cfi_undefined %rip
        nop
.Lfirst:
        movq    %r12, %rdi
        call    *%rbx
        ud2
END ars__ctx_first

/*
 * int64_t ars__ctx_start(ars__ctx *from: rdi, void *top: rsi, void (*entry)(void *): rdx, void *arg: rcx)
 *
 * As in ars__ctx_first, but by a jump, so that no return is predicted for it.
 */
ENTRY ars__ctx_start
        SUSPEND
        andq    $-16, %rsi
        .cfi_undefined %rip
        movq    %rsi, %rsp
        xorl    %ebp, %ebp
        movq    %rcx, %rdi
        leaq    .Lover(%rip), %rax
        pushq   %rax
        notrack jmp *%rdx
        nop
.Lover: ud2
END ars__ctx_start

/* void ars__ctx_return(ars__ctx *from: rdi) */
ENTRY ars__ctx_return
        LOAD    %rdi, 0x75
        ret
END ars__ctx_return

/*
 * int64_t ars__ctx_switch_fpenv(ars__ctx *from: rdi, ars__ctx *to: rsi, ars__ctx_extra *extra: rdx)
 * extra: mine is at 0 (MXCSR) and 8 (x87 control word), outer at 16 and 24.
 */
ENTRY ars__ctx_switch_fpenv
        stmxcsr (%rdx)
        fnstcw  8(%rdx)
        ldmxcsr 16(%rdx)
        fldcw   24(%rdx)
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        leaq    .Lback(%rip), %rcx
        pushq   %rcx
        .cfi_adjust_cfa_offset 8
        jmp     ars__ctx_switch
        .cfi_adjust_cfa_offset -8
        nop
.Lback:
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        stmxcsr 16(%rdx)
        fnstcw  24(%rdx)
        ldmxcsr (%rdx)
        fldcw   8(%rdx)
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        notrack jmp *%rcx
END ars__ctx_switch_fpenv

/* void ars__ctx_enter_fpenv(ars__ctx_extra *extra: rdi) */
ENTRY ars__ctx_enter_fpenv
        stmxcsr (%rdi)
        fnstcw  8(%rdi)
        stmxcsr 16(%rdi)
        fnstcw  24(%rdi)
        ret
END ars__ctx_enter_fpenv

/* void ars__ctx_leave_fpenv(ars__ctx_extra *extra: rdi) */
ENTRY ars__ctx_leave_fpenv
        ldmxcsr 16(%rdi)
        fldcw   24(%rdi)
        ret
END ars__ctx_leave_fpenv

        .section .note.GNU-stack, "", @progbits

/* GNU_PROPERTY_X86_FEATURE_1_AND = IBT */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0
