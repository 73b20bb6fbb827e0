/* SPDX-License-Identifier: MIT */
#ifndef ARS_TEST_H
#define ARS_TEST_H

/*
 * What a test program needs.  A test is a table of named cases:
 *
 *     static void adds(void) { CHECK_EQ(1 + 1, 2); }
 *
 *     static const test_case cases[] = {{"adds", adds}};
 *     TEST_MAIN(cases)
 *
 * The program runs them in turn, or only those whose name contains one of its
 * arguments.  The first check that fails prints where and what, and ends the
 * program with 1; after each case no descriptor may be left open.
 */

#include <arsenal/alloc.h>

#include <stdio.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

int test_main(const test_case *cases, size_t n, int argc, char **argv);

#define TEST_MAIN(cases)                                                                           \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return test_main(cases, sizeof(cases) / sizeof *(cases), argc, argv);                      \
    }

/* ---- checks; also usable in tasks and on any thread ---- */

_Noreturn void test_fail(const char *file, int line, const char *format, ...) ARS_PRINTF(3, 4);
void test_equal(const char *file, int line, const char *what, long long a, long long b);
void test_same(const char *file, int line, const char *what, const char *a, const char *b);

#define CHECK(x) ((x) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #x))
/* Integers, compared and shown as long long. */
#define CHECK_EQ(a, b)  test_equal(__FILE__, __LINE__, #a " == " #b, (long long)(a), (long long)(b))
#define CHECK_STR(a, b) test_same(__FILE__, __LINE__, #a " == " #b, (a), (b))
#define FAIL(...)       test_fail(__FILE__, __LINE__, __VA_ARGS__)

/* How often to repeat: 'full' times, or 'quick' with --quick (ARS_TEST_QUICK=1), as CI does under ASan. */
long test_times(long full, long quick);

/* What a failed check adds to its line, such as the step of a loop; NULL: nothing. */
extern const char *test_context;

/* Says that a part of the case cannot run here; the case goes on. */
void test_skipped(const char *format, ...) ARS_PRINTF(1, 2);
/* Ends the whole program as skipped (77). */
_Noreturn void test_skip_all(const char *format, ...) ARS_PRINTF(1, 2);

/* ---- the leak gate ---- */

/*
 * Between begin and end nothing may be left: as many descriptors, mappings and
 * bytes of 'tracker' (may be NULL) as before.  'mappings' is how many more
 * mappings are allowed; other than 0 needs a comment that says why.
 */
typedef struct test_gate {
    const ars_alloc_tracker *tracker;
    long fds, mappings, bytes;
} test_gate;

void test_gate_begin(test_gate *gate, const ars_alloc_tracker *tracker);
void test_gate_end_at(const char *file, int line, const test_gate *gate, long mappings);
#define test_gate_end(gate, mappings) test_gate_end_at(__FILE__, __LINE__, gate, mappings)

long test_count_fds(void);
/* 0 under ASan and TSan, whose runtimes map memory as they please. */
long test_count_mappings(void);

/* ---- child processes ---- */

/* How a child ended: by exit with 'status' (signal 0), or by 'signal'; what it wrote to stderr. */
typedef struct test_end {
    int status;
    int signal;
    char err[4096];
} test_end;

/* Runs fn(arg) in a forked child, which then exits with 0.  After a minute it is killed by SIGALRM. */
test_end test_child(void (*fn)(void *arg), void *arg);

/*
 * From now on the kernel answers the calling thread's system call 'number', and
 * that of its future children, with 'error' (> 0, an errno value).  Cannot be
 * undone: call it in a child.  Returns 0 where the kernel has no seccomp.
 */
int test_refuse(int number, int error);
/* The same for io_uring_setup, with EPERM, as container runtimes do. */
int test_refuse_uring(void);

#endif
