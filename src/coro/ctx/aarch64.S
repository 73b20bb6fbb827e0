/* SPDX-License-Identifier: MIT */
/*
 * The context switch for AArch64, AAPCS64.  ctx.h is its contract.
 *
 * Callee-saved: x19-x28, x29 (frame pointer), sp and the low halves of v8-v15;
 * x30 holds the address to return to.  FPCR is callee-saved too; it is shared
 * by all flows unless a flow is switched by ars__ctx_switch_fpenv().
 *
 *   offset in ars__ctx        0   8       12
 *                             sp  result  flags
 *   offset from that sp       0    8    16 ... 88  96 ... 152
 *                             x29  x30  x19 - x28  d8 - d15
 *
 * A flow is resumed by `br` and not by `ret`, which the return predictor
 * would always get wrong; the copies of the switch give it more slots to
 * predict from.  Code built for BTI is the exception: the places
 * where flows go on are return addresses, have no landing pad, and accept a
 * `ret` only.  So a library that serves BTI programs is to be built for BTI
 * too (-mbranch-protection=standard).
 *
 * The frame of a suspended flow looks the same as that of the one which is
 * suspending, so one set of CFI holds at every instruction of a switch.
 */

        .text

#ifdef __ARM_FEATURE_BTI_DEFAULT
#define GO_ON ret
#else
#define GO_ON br
#endif

.macro ENTRY name
        .p2align 5
        .globl  \name
        .hidden \name
        .type   \name, %function
\name:
        .cfi_startproc
        hint    #34 /* bti c */
.endm

.macro END name
        .cfi_endproc
        .size   \name, . - \name
.endm

/* Where a frame of the layout above begins at sp. */
.macro FRAME
        .cfi_def_cfa sp, 160
        .cfi_offset x29, -160
        .cfi_offset x30, -152
        .cfi_offset x19, -144
        .cfi_offset x20, -136
        .cfi_offset x21, -128
        .cfi_offset x22, -120
        .cfi_offset x23, -112
        .cfi_offset x24, -104
        .cfi_offset x25, -96
        .cfi_offset x26, -88
        .cfi_offset x27, -80
        .cfi_offset x28, -72
        .cfi_offset d8, -64
        .cfi_offset d9, -56
        .cfi_offset d10, -48
        .cfi_offset d11, -40
        .cfi_offset d12, -32
        .cfi_offset d13, -24
        .cfi_offset d14, -16
        .cfi_offset d15, -8
.endm

/* Goes on with the context at \ctx, which is not x2 or x3, by \how. */
.macro RESUME ctx, how=GO_ON
        ldr     x2, [\ctx]
        ldrsw   x0, [\ctx, #8]
        mov     sp, x2
        FRAME
        ldp     x29, x30, [sp]
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        mov     x3, x30
        add     sp, sp, #160
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        \how    x3
.endm

/* Suspends the running flow into the context at x0. */
.macro SUSPEND
        sub     sp, sp, #160
        .cfi_def_cfa_offset 160
        stp     x29, x30, [sp]
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        FRAME
        mov     x4, sp
        str     x4, [x0]
.endm

/* int64_t NAME(ars__ctx *from: x0, ars__ctx *to: x1) */
.macro SWITCH name
ENTRY \name
        SUSPEND
        RESUME  x1
END \name
.endm

SWITCH ars__ctx_switch
SWITCH ars__ctx_resume
SWITCH ars__ctx_yield

/* void ars__ctx_jump(ars__ctx *to: x0) */
ENTRY ars__ctx_jump
        mov     x1, x0
        RESUME  x1
END ars__ctx_jump

/* void ars__ctx_init(ars__ctx *ctx: x0, void *top: x1, void (*entry)(void *): x2, void *arg: x3) */
ENTRY ars__ctx_init
        and     x1, x1, #-16
        sub     x1, x1, #160
        adr     x4, .Lfirst
        stp     xzr, x4, [x1]
        stp     x2, x3, [x1, #16]
        stp     xzr, xzr, [x1, #32]
        stp     xzr, xzr, [x1, #48]
        stp     xzr, xzr, [x1, #64]
        stp     xzr, xzr, [x1, #80]
        stp     xzr, xzr, [x1, #96]
        stp     xzr, xzr, [x1, #112]
        stp     xzr, xzr, [x1, #128]
        stp     xzr, xzr, [x1, #144]
        str     x1, [x0]
        str     wzr, [x0, #8]
        ret
END ars__ctx_init

/*
 * A new flow begins here, with entry in x19 and arg in x20.  There is no
 * caller: unwinders stop.  They look up the address before the one they
 * return to, hence the nop.
 */
        .p2align 5
        .type   ars__ctx_first, %function
ars__ctx_first:
        .cfi_startproc
        .cfi_undefined x30
        nop
.Lfirst:
        mov     x0, x20
        blr     x19
        brk     #1
END ars__ctx_first

/* int64_t ars__ctx_start(ars__ctx *from: x0, void *top: x1, void (*entry)(void *): x2, void *arg: x3) */
ENTRY ars__ctx_start
        SUSPEND
        and     x1, x1, #-16
        .cfi_undefined x30
        mov     sp, x1
        mov     x29, xzr
        mov     x0, x3
        adr     x30, .Lover
        mov     x16, x2 /* by which a jump may come to a function under BTI */
        br      x16
        nop
.Lover: brk     #1
END ars__ctx_start

/* void ars__ctx_return(ars__ctx *from: x0) */
ENTRY ars__ctx_return
        mov     x1, x0
        RESUME  x1, ret
END ars__ctx_return

/*
 * int64_t ars__ctx_switch_fpenv(ars__ctx *from: x0, ars__ctx *to: x1, ars__ctx_extra *extra: x2)
 * extra: mine (FPCR) is at 0, outer at 16.
 */
ENTRY ars__ctx_switch_fpenv
        mrs     x3, fpcr
        str     x3, [x2]
        ldr     x3, [x2, #16]
        msr     fpcr, x3
        stp     x2, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x30, -8
        adr     x30, .Lback
        b       ars__ctx_switch
.Lback:
        ldp     x2, x30, [sp], #16
        .cfi_def_cfa_offset 0
        .cfi_restore x30
        mrs     x3, fpcr
        str     x3, [x2, #16]
        ldr     x3, [x2]
        msr     fpcr, x3
        mov     x3, x30
        GO_ON   x3
END ars__ctx_switch_fpenv

/* void ars__ctx_enter_fpenv(ars__ctx_extra *extra: x0) */
ENTRY ars__ctx_enter_fpenv
        mrs     x1, fpcr
        str     x1, [x0]
        str     x1, [x0, #16]
        ret
END ars__ctx_enter_fpenv

/* void ars__ctx_leave_fpenv(ars__ctx_extra *extra: x0) */
ENTRY ars__ctx_leave_fpenv
        ldr     x1, [x0, #16]
        msr     fpcr, x1
        ret
END ars__ctx_leave_fpenv

        .section .note.GNU-stack, "", %progbits

#ifdef __ARM_FEATURE_BTI_DEFAULT
/* GNU_PROPERTY_AARCH64_FEATURE_1_AND = BTI */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0
#endif
