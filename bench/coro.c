/* SPDX-License-Identifier: MIT */
#include <arsenal/coro.h>

#include "bench.h"
#include "limits/bare.h"

/*
 *   coro.switch      from a loop into a coroutine and back: ns one way
 *   coro.switch.10k  the same over 10,000 coroutines in turn
 *   coro.create      make a coroutine, run it to its end, free it: ns each
 */

enum { MANY = 10000 };

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

static int bare_at;

static void bare_loop(void)
{
    struct bare *self = &bare_flow[bare_at];
    for (;;) bare_back(self, &bare_main);
}

static int bare_start(int n)
{
    for (bare_at = 0; bare_at < n; bare_at++) {
        if (bare_prepare(bare_at, bare_loop) < 0) return -1;
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
