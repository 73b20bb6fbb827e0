/* SPDX-License-Identifier: MIT */
#ifndef LIMITS_BARE_H
#define LIMITS_BARE_H

/*
 * The bare switch: what cannot be undercut by much without knowing what the
 * two sides have in registers.  The callee-saved registers go into one cache
 * line, and each name has its own jump, which its direction of the flow can
 * have to itself.
 */

#if defined(__x86_64__)
#include <stddef.h>
#include <sys/mman.h>

enum { BARE_MAX = 10000, BARE_STRIDE = 68 * 1024 };

struct bare {
    void *sp, *registers[6], *pad;
} __attribute__((aligned(64)));

void bare_go(struct bare *from, struct bare *to);
void bare_back(struct bare *from, struct bare *to);

#define BARE(name)                                                                                 \
    __asm__(".text\n.p2align 6\n.globl " #name "\n" #name ":\n"                                    \
            "  mov %rsp, (%rdi)\n  mov %rbx, 8(%rdi)\n  mov %rbp, 16(%rdi)\n"                      \
            "  mov %r12, 24(%rdi)\n  mov %r13, 32(%rdi)\n  mov %r14, 40(%rdi)\n"                   \
            "  mov %r15, 48(%rdi)\n"                                                               \
            "  mov (%rsi), %rsp\n  mov 8(%rsi), %rbx\n  mov 16(%rsi), %rbp\n"                      \
            "  mov 24(%rsi), %r12\n  mov 32(%rsi), %r13\n  mov 40(%rsi), %r14\n"                   \
            "  mov 48(%rsi), %r15\n"                                                               \
            "  pop %rcx\n  jmp *%rcx\n")
BARE(bare_go);
BARE(bare_back);

static struct bare bare_main, bare_flow[BARE_MAX];

/* Prepares the flow 'i' to run 'fn', which must not return; < 0 without memory. */
static int bare_prepare(int i, void (*fn)(void))
{
    static char *stacks;
    const size_t size = (size_t)BARE_MAX * BARE_STRIDE;

    if (!stacks) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) return -1;
        madvise(p, size, MADV_NOHUGEPAGE);
        stacks = p;
    }
    void **sp =
        (void **)(void *)(stacks + (size_t)(i + 1) * BARE_STRIDE - ((i * 5) & 15) * 64 - 16);
    *sp = (void *)fn;
    bare_flow[i].sp = sp;
    return 0;
}
#endif

#endif
