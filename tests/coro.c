/* SPDX-License-Identifier: MIT */
/* Raw coroutines: values, states, stacks, overflow. */
#define _GNU_SOURCE
#include <arsenal/coro.h>

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#include "base/san.h"
#include "coro/stack.h"
#include "os/os.h"
#include "test.h"

#define PTR(n) ((void *)(intptr_t)(n))
#define NUM(p) ((intptr_t)(p))

static ars_stack_pool *new_pool(void)
{
    ars_stack_pool *pool;
    CHECK_EQ(ars_stack_pool_new(&pool, NULL), 0);
    return pool;
}

static ars_coro *new_coro(ars_stack_pool *pool, ars_coro_fn *fn)
{
    ars_coro *coro;
    CHECK_EQ(ars_coro_new(&coro, pool, fn, NULL), 0);
    return coro;
}

/* ---- values and states ---- */

/* Yields the running sum of what it is sent; returns it at the first 0. */
static void *adder(ars_coro *self, void *in)
{
    intptr_t sum = 0;
    while (in) {
        sum += NUM(in);
        CHECK_EQ(ars_coro_yield(self, PTR(sum), &in), 0);
    }
    return PTR(-sum);
}

static void run_adder(ars_coro *coro)
{
    void *out = NULL;
    intptr_t sum = 0;
    for (intptr_t i = 1; i <= 100; i++) {
        sum += i;
        CHECK_EQ(ars_coro_resume(coro, PTR(i), &out), 1);
        CHECK_EQ(NUM(out), sum);
    }
    CHECK_EQ(ars_coro_resume(coro, PTR(5), NULL), 1);
    CHECK_EQ(ars_coro_resume(coro, NULL, &out), 0);
    CHECK_EQ(NUM(out), -sum - 5);
    out = PTR(77);
    CHECK_EQ(ars_coro_resume(coro, PTR(1), &out), ARS_EINVAL);
    CHECK_EQ(NUM(out), 77);
}

static void values_go_both_ways(void)
{
    ars_stack_pool *pool = new_pool();
    for (unsigned flags = 0; flags < 4; flags++) {
        ars_coro_opt opt = {.name = "adder", .flags = flags};
        ars_coro *coro;
        CHECK_EQ(ars_coro_new(&coro, pool, adder, &opt), 0);
        CHECK_STR(ars_coro_name(coro), "adder");
        run_adder(coro);
        CHECK_EQ(ars_coro_free(coro), 0);
    }
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

static void *silent(ars_coro *self, void *in)
{
    (void)in;
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_coro_yield(self, NULL, NULL), 0);
    return NULL;
}

static void values_may_be_ignored(void)
{
    ars_stack_pool *pool = new_pool();
    ars_coro *coro = new_coro(pool, silent);
    CHECK(ars_coro_name(coro) == NULL);
    for (int i = 0; i < 3; i++) CHECK_EQ(ars_coro_resume(coro, PTR(1), NULL), 1);
    CHECK_EQ(ars_coro_resume(coro, PTR(1), NULL), 0);
    CHECK_EQ(ars_coro_free(coro), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

static ars_coro *outer, *inner;

static void *meddler(ars_coro *self, void *in)
{
    CHECK(self == inner);
    CHECK_EQ(ars_coro_resume(self, NULL, NULL), ARS_EBUSY);
    CHECK_EQ(ars_coro_resume(outer, NULL, NULL), ARS_EBUSY);
    CHECK_EQ(ars_coro_free(self), ARS_EBUSY);
    CHECK_EQ(ars_coro_free(outer), ARS_EBUSY);
    return in;
}

static void *resumer(ars_coro *self, void *in)
{
    void *out;
    CHECK(self == outer);
    CHECK_EQ(ars_coro_resume(inner, PTR(NUM(in) + 1), &out), 0);
    return PTR(NUM(out) + 1);
}

static void misuse_is_told(void)
{
    static char stack[ARS_CORO_STACK_MIN];
    ars_stack_pool *pool = new_pool();
    ars_coro *coro = NULL;
    void *out;
    ars_coro_opt unknown = {.flags = 4};
    CHECK_EQ(ars_coro_new(&coro, NULL, silent, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_new(&coro, pool, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_new(&coro, pool, silent, &unknown), ARS_EINVAL);
    CHECK_EQ(ars_coro_new_on(&coro, NULL, sizeof stack, silent, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_new_on(&coro, stack, sizeof stack - 1, silent, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_new_on(&coro, stack, sizeof stack, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_new_on(&coro, stack, sizeof stack, silent, &unknown), ARS_EINVAL);
    CHECK(coro == NULL);
    CHECK_EQ(ars_coro_resume(NULL, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_free(NULL), 0);
    CHECK_EQ(ars_stack_pool_free(NULL), 0);
    CHECK_EQ(ars_stack_pool_stats(pool).in_use, 0);

    outer = new_coro(pool, resumer);
    inner = new_coro(pool, meddler);
    CHECK_EQ(ars_coro_yield(outer, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_coro_resume(outer, PTR(40), &out), 0);
    CHECK_EQ(NUM(out), 42);
    CHECK_EQ(ars_coro_yield(outer, NULL, NULL), ARS_EINVAL);
    CHECK_EQ(ars_stack_pool_free(pool), ARS_EBUSY);
    CHECK_EQ(ars_coro_free(outer), 0);
    CHECK_EQ(ars_coro_free(inner), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

static void any_state_can_be_freed(void)
{
    ars_stack_pool *pool = new_pool();
    for (int round = 0; round < 100; round++) {
        ars_coro *fresh = new_coro(pool, adder), *waiting = new_coro(pool, adder),
                 *ended = new_coro(pool, adder);
        CHECK_EQ(ars_coro_resume(waiting, PTR(1), NULL), 1);
        CHECK_EQ(ars_coro_resume(ended, NULL, NULL), 0);
        CHECK_EQ(ars_stack_pool_stats(pool).in_use, 3);
        CHECK_EQ(ars_coro_free(fresh), 0);
        CHECK_EQ(ars_coro_free(waiting), 0);
        CHECK_EQ(ars_coro_free(ended), 0);
    }
    CHECK_EQ(ars_stack_pool_stats(pool).in_use, 0);
    CHECK(ars_stack_pool_stats(pool).guarded < 8);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

/* Depth n of a chain of coroutines, each resuming the next. */
static ars_stack_pool *chain_pool;

static void *chain(ars_coro *self, void *in)
{
    if (NUM(in) == 0) return PTR(0);
    ars_coro *next = new_coro(chain_pool, chain);
    void *out = NULL;
    int rc;
    while ((rc = ars_coro_resume(next, PTR(NUM(in) - 1), &out)) > 0)
        CHECK_EQ(ars_coro_yield(self, PTR(NUM(out) + 1), NULL), 0);
    CHECK_EQ(rc, 0);
    CHECK_EQ(ars_coro_free(next), 0);
    CHECK_EQ(ars_coro_yield(self, PTR(1), NULL), 0);
    return PTR(NUM(out) + 1);
}

static void coroutines_nest(void)
{
    const intptr_t depth = 50;
    chain_pool = new_pool();
    ars_coro *first = new_coro(chain_pool, chain);
    void *out;
    for (intptr_t i = depth; i > 0; i--) {
        CHECK_EQ(ars_coro_resume(first, PTR(depth), &out), 1);
        CHECK_EQ(NUM(out), i);
    }
    CHECK_EQ(ars_coro_resume(first, NULL, &out), 0);
    CHECK_EQ(NUM(out), depth);
    CHECK_EQ(ars_coro_free(first), 0);
    CHECK_EQ(ars_stack_pool_free(chain_pool), 0);
}

static void *mixer(ars_coro *self, void *in)
{
    uint64_t x = (uint64_t)NUM(in);
    for (;;) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        CHECK_EQ(ars_coro_yield(self, PTR(x >> 33), NULL), 0);
    }
    return NULL;
}

static void many_switches(void)
{
    ars_stack_pool *pool = new_pool();
    ars_coro *a = new_coro(pool, mixer), *b = new_coro(pool, mixer);
    uint64_t x = 3, y = 5;
    for (long i = test_times(500000, 5000); i > 0; i--) {
        void *p, *q;
        CHECK_EQ(ars_coro_resume(a, PTR(3), &p), 1);
        CHECK_EQ(ars_coro_resume(b, PTR(5), &q), 1);
        x = x * 6364136223846793005u + 1442695040888963407u;
        y = y * 6364136223846793005u + 1442695040888963407u;
        if (NUM(p) != (intptr_t)(x >> 33) || NUM(q) != (intptr_t)(y >> 33)) FAIL("wrong value");
    }
    CHECK_EQ(ars_coro_free(a), 0);
    CHECK_EQ(ars_coro_free(b), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

/* ---- the caller's stack ---- */

static void the_callers_stack_is_enough(void)
{
    /* Sanitizers make frames larger. */
    enum { SIZE = ARS__ASAN || ARS__TSAN ? 16384 : 4096, EDGE = 256 };
    static unsigned char memory[EDGE + SIZE + 64 + EDGE];
    for (size_t off = 0; off <= 64; off++) {
        memset(memory, 0xa5, sizeof memory);
        ars_coro *coro;
        CHECK_EQ(ars_coro_new_on(&coro, memory + EDGE + off, SIZE, adder, NULL), 0);
        CHECK((unsigned char *)coro >= memory + EDGE + off + SIZE - 320);
        run_adder(coro);
        CHECK_EQ(ars_coro_free(coro), 0);
        for (size_t i = 0; i < EDGE + off; i++) CHECK_EQ(memory[i], 0xa5);
        for (size_t i = EDGE + off + SIZE; i < sizeof memory; i++) CHECK_EQ(memory[i], 0xa5);
    }
}

static void *minimal(ars_coro *self, void *in)
{
    return ars_coro_yield(self, in, NULL) == 0 ? in : NULL;
}

static void the_smallest_stack_works(void)
{
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("frames are larger under a sanitizer");
        return;
    }
    static unsigned char memory[64 + ARS_CORO_STACK_MIN];
    for (size_t off = 0; off < 64; off++) {
        memset(memory, 0xa5, sizeof memory);
        ars_coro *coro;
        void *out;
        CHECK_EQ(ars_coro_new_on(&coro, memory + off, ARS_CORO_STACK_MIN, minimal, NULL), 0);
        CHECK_EQ(ars_coro_resume(coro, PTR(9), &out), 1);
        CHECK_EQ(NUM(out), 9);
        CHECK_EQ(ars_coro_resume(coro, NULL, &out), 0);
        CHECK_EQ(ars_coro_free(coro), 0);
        for (size_t i = 0; i < off; i++) CHECK_EQ(memory[i], 0xa5);
    }
}

static void a_pool_allocates_only_itself(void)
{
    ars_alloc_tracker tracker;
    ars_stack_pool *pool;
    ars_alloc_tracker_init(&tracker, NULL);
    CHECK_EQ(ars_stack_pool_new(&pool, &tracker.alloc), 0);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).blocks, 1);
    ars_coro *coro[100];
    for (int i = 0; i < 100; i++) coro[i] = new_coro(pool, adder);
    for (int i = 0; i < 100; i++) run_adder(coro[i]);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).calls, 1);
    for (int i = 0; i < 100; i++) CHECK_EQ(ars_coro_free(coro[i]), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
}

/* ---- floating-point control words ---- */

static volatile double one = 1, three = 3;

static void *rounder(ars_coro *self, void *in)
{
    CHECK_EQ(fesetround((int)NUM(in)), 0);
    for (;;) {
        CHECK_EQ(fegetround(), NUM(in));
        double third = one / three;
        CHECK_EQ(ars_coro_yield(self, third > 0.333 ? PTR(third * 0x1p60) : NULL, NULL), 0);
    }
    return NULL;
}

static void control_words_can_be_kept(void)
{
    ars_stack_pool *pool = new_pool();
    ars_coro_opt opt = {.flags = ARS_CORO_FPENV};
    ars_coro *up, *down;
    intptr_t nearest = (intptr_t)(one / three * 0x1p60);
    CHECK_EQ(ars_coro_new(&up, pool, rounder, &opt), 0);
    CHECK_EQ(ars_coro_new(&down, pool, rounder, &opt), 0);
    for (int i = 0; i < 100; i++) {
        void *high, *low;
        CHECK_EQ(ars_coro_resume(up, PTR(FE_UPWARD), &high), 1);
        CHECK_EQ(ars_coro_resume(down, PTR(FE_DOWNWARD), &low), 1);
        CHECK(NUM(high) > NUM(low));
        CHECK_EQ(fegetround(), FE_TONEAREST);
        CHECK_EQ((intptr_t)(one / three * 0x1p60), nearest);
    }
    CHECK_EQ(ars_coro_free(up), 0);
    CHECK_EQ(ars_coro_free(down), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

/* ---- C++ (coro.cc) ---- */

#ifdef TEST_CXX
void cxx_exceptions(ars_stack_pool *pool);
void cxx_check(int ok, int line);

void cxx_check(int ok, int line)
{
    if (!ok) test_fail("tests/coro.cc", line, "see there");
}

static void exceptions_stay_in_their_coroutine(void)
{
    ars_stack_pool *pool = new_pool();
    cxx_exceptions(pool);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}
#else
static void exceptions_stay_in_their_coroutine(void)
{
    test_skipped("no C++ compiler");
}
#endif

/* ---- unwinding, fork, exec ---- */

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *n)
{
    if (_Unwind_GetIP(context)) ++*(int *)n;
    return *(int *)n > 100 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

static void *unwinder(ars_coro *self, void *in)
{
    (void)in;
    CHECK_EQ(ars_coro_yield(self, NULL, NULL), 0);
    int n = 0;
    _Unwind_Reason_Code rc = _Unwind_Backtrace(count_frame, &n);
    CHECK_EQ(rc, _URC_END_OF_STACK);
    return PTR(n);
}

static void backtraces_stop_at_the_entry(void)
{
    ars_stack_pool *pool = new_pool();
    ars_coro *coro = new_coro(pool, unwinder);
    void *n;
    CHECK_EQ(ars_coro_resume(coro, NULL, NULL), 1);
    CHECK_EQ(ars_coro_resume(coro, NULL, &n), 0);
    /* unwinder(), the library's entry, the start of the flow; the tester's own frames are not there. */
    CHECK(NUM(n) >= 2 && NUM(n) <= 4);
    CHECK_EQ(ars_coro_free(coro), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

static int wait_for(pid_t pid)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void *forker(ars_coro *self, void *in)
{
    char local[4096];
    memset(local, 3, sizeof local);
    pid_t pid = fork();
    CHECK(pid >= 0);
    CHECK_EQ(ars_coro_yield(self, PTR(pid), &in), 0);
    for (size_t i = 0; i < sizeof local; i++) CHECK_EQ(local[i], 3);
    return in;
}

static void both_sides_of_a_fork_go_on(void)
{
    ars_stack_pool *pool = new_pool();
    ars_coro *coro = new_coro(pool, forker);
    void *pid, *out;
    CHECK_EQ(ars_coro_resume(coro, NULL, &pid), 1);
    CHECK_EQ(ars_coro_resume(coro, PTR(NUM(pid) ? 1 : 2), &out), 0);
    CHECK_EQ(NUM(out), NUM(pid) ? 1 : 2);
    if (!NUM(pid)) {
        CHECK_EQ(ars_coro_free(coro), 0);
        run_adder(new_coro(pool, adder));
        _exit(23);
    }
    CHECK_EQ(wait_for((pid_t)NUM(pid)), 23);
    CHECK_EQ(ars_coro_free(coro), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

static void *execer(ars_coro *self, void *in)
{
    (void)self, (void)in;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "exit 42", (char *)NULL);
        _exit(1);
    }
    return PTR(pid);
}

static void a_coroutine_can_exec(void)
{
    ars_stack_pool *pool = new_pool();
    ars_coro *coro = new_coro(pool, execer);
    void *pid;
    CHECK_EQ(ars_coro_resume(coro, NULL, &pid), 0);
    CHECK_EQ(wait_for((pid_t)NUM(pid)), 42);
    CHECK_EQ(ars_coro_free(coro), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
}

/* ---- overflow ---- */

static int (*volatile dig_again)(int);

static int dig(int depth)
{
    volatile char here[256];
    here[0] = (char)depth;
    return dig_again(depth + 1) + here[0];
}

static void *greedy(ars_coro *self, void *in)
{
    (void)self, (void)in;
    dig_again = dig;
    return PTR(dig(0));
}

static void overflow(const char *name)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    ars_stack_pool *pool = new_pool();
    ars_coro_opt opt = {.name = name};
    ars_coro *coro;
    for (int i = 0; i < 10; i++) new_coro(pool, silent);
    CHECK_EQ(ars_coro_new(&coro, pool, greedy, &opt), 0);
    (void)!ars_coro_resume(coro, NULL, NULL);
}

static void overflow_bare(void *arg)
{
    (void)arg;
    overflow("greedy");
}

static void overflow_named(void *arg)
{
    CHECK_EQ(ars_overflow_install(), 0);
    CHECK_EQ(ars_overflow_install(), 0);
    overflow(arg);
}

static void *overflow_thread(void *arg)
{
    CHECK_EQ(ars_overflow_install(), 0);
    overflow(arg);
    return NULL;
}

static void overflow_elsewhere(void *arg)
{
    pthread_t thread;
    CHECK_EQ(ars_overflow_install(), 0);
    CHECK_EQ(pthread_create(&thread, NULL, overflow_thread, arg), 0);
    pthread_join(thread, NULL);
}

static int has_signal_stack(void)
{
    stack_t now;
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    return !(now.ss_flags & SS_DISABLE);
}

/* What ars_run() does on its threads. */
static void *borrowing_thread(void *arg)
{
    ars_alloc_tracker tracker;
    ars_alloc_failer failer;
    void *token = arg, *second = arg;
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL); /* a sanitizer may have set one */
    ars_alloc_failer_init(&failer, NULL, 1, 1);
    ars_alloc_tracker_init(&tracker, NULL);
    CHECK_EQ(ars__overflow_thread_enter(&token, &failer.alloc), ARS_ENOMEM);
    CHECK(token == NULL && !has_signal_stack());

    CHECK_EQ(ars__overflow_thread_enter(&token, &tracker.alloc), 0);
    CHECK(token != NULL && has_signal_stack());
    CHECK_EQ(ars__overflow_thread_enter(&second, &tracker.alloc), 0);
    CHECK(second == NULL);
    ars__overflow_thread_leave(second, &tracker.alloc);
    CHECK(has_signal_stack());
    ars__overflow_thread_leave(token, &tracker.alloc);
    CHECK(!has_signal_stack());
    CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);

    CHECK_EQ(ars__overflow_thread_enter(&token, &tracker.alloc), 0);
    overflow(arg);
    return NULL;
}

static void overflow_on_a_borrowed_stack(void *arg)
{
    pthread_t thread;
    void *token = arg;
    CHECK_EQ(ars__overflow_thread_enter(&token, NULL), 0);
    CHECK(token == NULL); /* no handler, no need */
    CHECK_EQ(ars_overflow_install(), 0);
    CHECK_EQ(pthread_create(&thread, NULL, borrowing_thread, arg), 0);
    pthread_join(thread, NULL);
}

/* Never mapped, and not NULL, which UBSan would catch before the kernel does. */
static void *volatile nowhere = (void *)64;

static void fault_outside(void *arg)
{
    (void)arg;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHECK_EQ(ars_overflow_install(), 0);
    *(volatile int *)nowhere = 1;
}

static void sent_by_hand(void *arg)
{
    (void)arg;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHECK_EQ(ars_overflow_install(), 0);
    kill(getpid(), SIGSEGV);
}

static void own_handler(int sig)
{
    _exit(sig == SIGSEGV ? 55 : 56);
}

static void with_own_handler(void *arg)
{
    struct sigaction mine = {.sa_handler = own_handler};
    CHECK_EQ(sigaction(SIGSEGV, &mine, NULL), 0);
    overflow_named(arg);
}

/* By SIGSEGV; a sanitizer's own handler, which had the signal before, reports and exits. */
static int faulted(const test_end *end)
{
    return end->signal == SIGSEGV || ((ARS__ASAN || ARS__TSAN) && end->status != 0);
}

static const char message[] = "arsenal: stack overflow";

static void an_overflow_faults(void)
{
    test_end end = test_child(overflow_bare, NULL);
    CHECK(faulted(&end));
    CHECK(!strstr(end.err, message));
}

static void an_overflow_is_named(void)
{
    test_end end = test_child(overflow_named, "the greedy one");
    CHECK(faulted(&end));
    CHECK(strstr(end.err, "arsenal: stack overflow in coroutine 'the greedy one'\n"));

    end = test_child(overflow_named, NULL);
    CHECK(faulted(&end));
    CHECK(strstr(end.err, "arsenal: stack overflow in coroutine\n"));

    static char name[1000];
    memset(name, 'x', sizeof name - 1);
    end = test_child(overflow_named, name);
    CHECK(faulted(&end));
    CHECK(strstr(end.err, "arsenal: stack overflow in coroutine 'xxx"));
    CHECK(strchr(end.err, '\n'));

    end = test_child(overflow_elsewhere, "in a thread");
    CHECK(faulted(&end));
    CHECK(strstr(end.err, "arsenal: stack overflow in coroutine 'in a thread'\n"));

    end = test_child(overflow_on_a_borrowed_stack, "as in ars_run");
    CHECK(faulted(&end));
    CHECK(strstr(end.err, "arsenal: stack overflow in coroutine 'as in ars_run'\n"));
}

static void other_faults_are_passed_on(void)
{
    test_end end = test_child(fault_outside, NULL);
    CHECK(faulted(&end));
    CHECK(!strstr(end.err, message));

    end = test_child(sent_by_hand, NULL);
    CHECK(faulted(&end));
    CHECK(!strstr(end.err, message));

    end = test_child(with_own_handler, "handled");
    CHECK_EQ(end.status, 55);
    CHECK(strstr(end.err, "arsenal: stack overflow in coroutine 'handled'\n"));
}

/* ---- AddressSanitizer ---- */

static void *overrunner(ars_coro *self, void *in)
{
    volatile char local[16];
    CHECK_EQ(ars_coro_yield(self, NULL, &in), 0);
    local[NUM(in)] = 1;
    return PTR(local[0]);
}

static void overrun(void *arg)
{
    ars_coro *coro = new_coro(new_pool(), overrunner);
    CHECK_EQ(ars_coro_resume(coro, NULL, NULL), 1);
    CHECK_EQ(ars_coro_resume(coro, arg, NULL), 0);
}

static void overruns_are_seen_after_a_resume(void)
{
    if (!ARS__ASAN) {
        test_skipped("only under AddressSanitizer");
        return;
    }
    test_end end = test_child(overrun, PTR(15));
    CHECK_EQ(end.status, 0);
    end = test_child(overrun, PTR(16));
    CHECK(end.status != 0);
    CHECK(strstr(end.err, "stack-buffer-overflow"));
}

/* ---- many ---- */

static long available_memory(void)
{
    char line[128];
    long kilobytes = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %ld", &kilobytes) != 1) {}
    fclose(f);
    return kilobytes / 1024;
}

static void *counter(ars_coro *self, void *in)
{
    intptr_t mine = NUM(in), n = 0;
    for (;;) CHECK_EQ(ars_coro_yield(self, PTR(mine + n++), NULL), 0);
    return NULL;
}

static void live(long n)
{
    test_gate gate;
    test_gate_begin(&gate, NULL);
    ars_coro **coro = malloc((size_t)n * sizeof(ars_coro *));
    CHECK(coro != NULL);
    ars_stack_pool *pool = new_pool();
    for (long i = 0; i < n; i++) coro[i] = new_coro(pool, counter);
    for (int round = 0; round < 2; round++) {
        for (long i = 0; i < n; i++) {
            void *out;
            if (ars_coro_resume(coro[i], PTR(i), &out) != 1 || NUM(out) != i + round)
                FAIL("coroutine %ld is not itself", i);
        }
    }
    ars_stack_stats s = ars_stack_pool_stats(pool);
    long mappings = test_count_mappings();
    printf("  %ld live: %llu guards by marker, %llu by protection, %llu canaries, %ld mappings\n",
           n, (unsigned long long)s.guards_light, (unsigned long long)s.guards_protect,
           (unsigned long long)s.guards_canary, mappings);
    CHECK_EQ(s.in_use, n);
    CHECK_EQ(s.guarded, s.guards_light + s.guards_protect + s.guards_canary);
    CHECK(s.guarded >= s.in_use);
    if (s.guards_light) {
        CHECK_EQ(s.guards_light, s.guarded);
        CHECK(mappings < gate.mappings + 40);
    }
    /* Not only counted: below each there is a page that faults. */
    if (!s.guards_canary) {
        for (long i = 0; i < n; i += 1 + n / 1000) {
            uintptr_t guard = (uintptr_t)coro[i];
            size_t page = ars__os_page_size();
            int faults = 0;
            for (size_t down = 0; down < 300 * 1024 && !faults; down += page)
                faults = ars__os_guard_probe((void *)(guard - down)) == 1;
            if (!faults) FAIL("no guard below coroutine %ld", i);
        }
    }
    for (long i = 0; i < n; i++) CHECK_EQ(ars_coro_free(coro[i]), 0);
    CHECK_EQ(ars_stack_pool_free(pool), 0);
    free(coro);
    /* The C library may keep a part of its heap; a sanitizer's runtime maps what it likes. */
    test_gate_end(&gate, ARS__ASAN || ARS__TSAN ? 100 : 1);
}

static void a_hundred_thousand_live(void)
{
    if (ARS__TSAN) {
        test_skipped("ThreadSanitizer has too few fibers: 2,000 instead of 100,000");
        live(2000);
    } else {
        live(test_times(100000, 2000));
    }
}

static void a_million_live(void)
{
    long megabytes = available_memory();
    if (ARS__ASAN || ARS__TSAN || test_times(0, 1)) {
        test_skipped("not under a sanitizer, and not in a quick run");
    } else if (megabytes >= 8 * 1024) {
        live(1000000);
    } else {
        test_skipped("%ld MiB available, 8,192 needed: 20,000 instead", megabytes);
        live(20000);
    }
}

static const test_case cases[] = {
    {"values go both ways", values_go_both_ways},
    {"values may be ignored", values_may_be_ignored},
    {"misuse is told", misuse_is_told},
    {"any state can be freed", any_state_can_be_freed},
    {"coroutines nest", coroutines_nest},
    {"many switches", many_switches},
    {"the caller's stack is enough", the_callers_stack_is_enough},
    {"the smallest stack works", the_smallest_stack_works},
    {"a pool allocates only itself", a_pool_allocates_only_itself},
    {"control words can be kept", control_words_can_be_kept},
    {"exceptions stay in their coroutine", exceptions_stay_in_their_coroutine},
    {"backtraces stop at the entry", backtraces_stop_at_the_entry},
    {"both sides of a fork go on", both_sides_of_a_fork_go_on},
    {"a coroutine can exec", a_coroutine_can_exec},
    {"an overflow faults", an_overflow_faults},
    {"an overflow is named", an_overflow_is_named},
    {"other faults are passed on", other_faults_are_passed_on},
    {"overruns are seen after a resume", overruns_are_seen_after_a_resume},
    {"a hundred thousand live", a_hundred_thousand_live},
    {"a million live", a_million_live},
};
TEST_MAIN(cases)
