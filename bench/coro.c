/* SPDX-License-Identifier: MIT */
#include <arsenal/coro.h>
#include <sys/mman.h>

#include "bench.h"

/*
 *   coro.switch      from a loop into a coroutine and back: ns one way
 *   coro.switch.10k  the same over 10,000 coroutines in turn
 *   coro.create      make a coroutine, run it to its end, free it: ns each
 *
 * limit:bare is what cannot be undercut by much without knowing what the two
 * sides have in registers: the callee-saved registers go into one cache line,
 * and the jumps of the two directions are separate instructions.
 */

enum { MANY = 10000, STRIDE = 68 * 1024 };

/* ---- arsenal ---- */

static void *echo(ars_coro *self, void *in)
{
    while (in) ars_coro_yield(self, in, &in);
    return NULL;
}

static ars_stack_pool *pool;

static double arsenal_switch(uint64_t n, void *arg)
{
    ars_coro *coro;
    void *out;
    (void)arg;
    if ((!pool && ars_stack_pool_new(&pool, NULL) < 0) || ars_coro_new(&coro, pool, echo, NULL) < 0)
        return -1;
    double began = bench_now();
    for (uint64_t i = (n + 1) / 2; i; i--) bench_use(ars_coro_resume(coro, coro, &out));
    double ns = bench_now() - began;
    ars_coro_free(coro);
    return ns;
}

static double arsenal_switch_many(uint64_t n, void *arg)
{
    static ars_coro *coro[MANY];
    void *out;
    (void)arg;
    if (!pool && ars_stack_pool_new(&pool, NULL) < 0) return -1;
    for (int i = 0; i < MANY; i++) {
        if (ars_coro_new(&coro[i], pool, echo, NULL) < 0) return -1;
        bench_use(ars_coro_resume(coro[i], pool, &out));
    }
    int at = 0;
    double began = bench_now();
    for (uint64_t i = (n + 1) / 2; i; i--) {
        bench_use(ars_coro_resume(coro[at], pool, &out));
        if (++at == MANY) at = 0;
    }
    double ns = bench_now() - began;
    for (int i = 0; i < MANY; i++) ars_coro_free(coro[i]);
    return ns;
}

static double arsenal_create(uint64_t n, void *arg)
{
    (void)arg;
    if (!pool && ars_stack_pool_new(&pool, NULL) < 0) return -1;
    double began = bench_now();
    for (uint64_t i = n; i; i--) {
        ars_coro *coro;
        if (ars_coro_new(&coro, pool, echo, NULL) < 0) return -1;
        bench_use(ars_coro_resume(coro, NULL, NULL));
        ars_coro_free(coro);
    }
    return bench_now() - began;
}

/* ---- the limit ---- */

#if defined(__x86_64__)

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

static struct bare bare_main, bare_flow[MANY];
static int bare_at;

static void bare_loop(void)
{
    struct bare *self = &bare_flow[bare_at];
    for (;;) bare_back(self, &bare_main);
}

static char *bare_stacks;

static int bare_start(int n)
{
    if (!bare_stacks) {
        bare_stacks = mmap(NULL, (size_t)MANY * STRIDE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (bare_stacks == MAP_FAILED) return -1;
        madvise(bare_stacks, (size_t)MANY * STRIDE, MADV_NOHUGEPAGE);
    }
    for (bare_at = 0; bare_at < n; bare_at++) {
        char *top = bare_stacks + (size_t)(bare_at + 1) * STRIDE - ((bare_at * 5) & 15) * 64;
        void **sp = (void **)(void *)(top - 16);
        *sp = (void *)bare_loop;
        bare_flow[bare_at].sp = sp;
        bare_go(&bare_main, &bare_flow[bare_at]);
    }
    return 0;
}

static double bare_switch(uint64_t n, void *arg)
{
    (void)arg;
    if (bare_start(1) < 0) return -1;
    double began = bench_now();
    for (uint64_t i = (n + 1) / 2; i; i--) bare_go(&bare_main, &bare_flow[0]);
    return bench_now() - began;
}

static double bare_switch_many(uint64_t n, void *arg)
{
    (void)arg;
    if (bare_start(MANY) < 0) return -1;
    int at = 0;
    double began = bench_now();
    for (uint64_t i = (n + 1) / 2; i; i--) {
        bare_go(&bare_main, &bare_flow[at]);
        if (++at == MANY) at = 0;
    }
    return bench_now() - began;
}

#define LIMIT(id, fn) {id, "limit:bare", NULL, NULL, NULL, fn, NULL, 0, 0},
#else
#define LIMIT(id, fn)
#endif

/* ---- Boost.Context (peers/boost_context.cc) ---- */

#ifdef PEER_BOOST
extern const char boost_context_version[];
double boost_context_switch(uint64_t n, void *arg);
double boost_context_switch_many(uint64_t n, void *arg);
double boost_context_create(uint64_t n, void *arg);

#define BOOST(id, fn)                                                                              \
    {id, "boost.context", boost_context_version, "continuation", NULL, fn, NULL, 0, 0},
#else
#define BOOST(id, fn)
#endif

#define ARSENAL(id, fn) {id, "arsenal", ARSENAL_VERSION, NULL, NULL, fn, NULL, 0, 0},

int main(int argc, char **argv)
{
    const struct bench table[] = {
        /* clang-format off */
        ARSENAL("coro.switch", arsenal_switch)
        LIMIT("coro.switch", bare_switch)
        BOOST("coro.switch", boost_context_switch)
        ARSENAL("coro.switch.10k", arsenal_switch_many)
        LIMIT("coro.switch.10k", bare_switch_many)
        BOOST("coro.switch.10k", boost_context_switch_many)
        ARSENAL("coro.create", arsenal_create)
        BOOST("coro.create", boost_context_create)
        /* clang-format on */
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
