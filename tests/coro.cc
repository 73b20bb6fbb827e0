/* SPDX-License-Identifier: MIT */
/* C++ exceptions in coroutines: each has its own, also while it is suspended inside a catch block. */
#include <arsenal/coro.h>

#include <exception>

extern "C" void cxx_check(int ok, int line);
#define CHECK(x)       cxx_check(!!(x), __LINE__)
#define CHECK_EQ(a, b) CHECK((a) == (b))

static void yield(ars_coro *self)
{
    CHECK_EQ(ars_coro_yield(self, nullptr, nullptr), 0);
}

/* Yields while it is destroyed by an exception. */
struct yielder {
    ars_coro *self;
    ~yielder()
    {
        CHECK_EQ(std::uncaught_exceptions(), 1);
        yield(self);
        CHECK_EQ(std::uncaught_exceptions(), 1);
    }
};

/* Catches its own number, suspends there, and throws it on: it must still be that one. */
static void *catcher(ars_coro *self, void *in)
{
    long mine = (long)(intptr_t)in;
    CHECK_EQ(std::uncaught_exceptions(), 0);
    CHECK(!std::current_exception());
    for (int i = 0; i < 10; i++) {
        try {
            try {
                yielder y = {self};
                throw mine + i;
            } catch (long) {
                yield(self);
                throw;
            }
        } catch (long n) {
            CHECK_EQ(n, mine + i);
            yield(self);
        }
        CHECK(!std::current_exception());
    }
    return nullptr;
}

extern "C" void cxx_exceptions(ars_stack_pool *pool)
{
    const int N = 3;
    ars_coro *coro[N];
    ars_coro_opt opt = {};
    opt.flags = ARS_CORO_CXX;
    for (int i = 0; i < N; i++) CHECK_EQ(ars_coro_new(&coro[i], pool, catcher, &opt), 0);
    int alive = N;
    /* The resumer is in a catch block of its own, and takes turns out of step with the coroutines. */
    for (int turn = 0; alive > 0; turn++) {
        try {
            throw 'r';
        } catch (char) {
            for (int i = 0; i < N; i++) {
                if (turn < i) continue;
                int rc = ars_coro_resume(coro[i], (void *)(intptr_t)(1000 * (i + 1)), nullptr);
                CHECK(rc == 1 || rc == 0 || rc == ARS_EINVAL);
                alive -= rc == 0;
                CHECK_EQ(std::uncaught_exceptions(), 0);
                try {
                    throw;
                } catch (char c) {
                    CHECK_EQ(c, 'r');
                }
            }
        }
    }
    for (int i = 0; i < N; i++) CHECK_EQ(ars_coro_free(coro[i]), 0);
}
