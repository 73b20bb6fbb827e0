/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/san.h"

/* Asked by the sanitizers: an allocation that fails is a NULL for them too. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static int chosen(const char *name, int argc, char **argv)
{
    if (argc < 2) return 1;
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i])) return 1;
    }
    return 0;
}

int test_main(const test_case *cases, size_t n, int argc, char **argv)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX,
            1); /* else threads map heaps of their own, how many depends on the moment */
#endif
    size_t ran = 0;
    /* Line by line, so that a crash leaves what came before it. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < n; i++) {
        if (!chosen(cases[i].name, argc, argv)) continue;
        long fds = test_count_fds();
        printf("%s\n", cases[i].name);
        cases[i].run();
        if (test_count_fds() != fds)
            FAIL("%s: %ld descriptors before, %ld after", cases[i].name, fds, test_count_fds());
        ran++;
    }
    if (ran == 0) {
        fprintf(stderr, "no case has such a name\n");
        return 1;
    }
    printf("%zu passed\n", ran);
    return 0;
}

/* ---- checks ---- */

const char *test_context;

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "%s:%d: failed: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (test_context) fprintf(stderr, " (%s)", test_context);
    fputc('\n', stderr);
    /* Not exit(): this may be a task's stack, with threads still running. */
    _exit(1);
}

void test_equal(const char *file, int line, const char *what, long long a, long long b)
{
    if (a != b) test_fail(file, line, "%s: %lld, %lld", what, a, b);
}

void test_same(const char *file, int line, const char *what, const char *a, const char *b)
{
    if (!a || !b || strcmp(a, b) != 0)
        test_fail(file, line, "%s: \"%s\", \"%s\"", what, a ? a : "(null)", b ? b : "(null)");
}

long test_times(long full, long quick)
{
    const char *set = getenv("ARS_TEST_QUICK");
    return set && strcmp(set, "1") == 0 ? quick : full;
}

void test_skipped(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("  skipped: ");
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

void test_skip_all(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("skipped: ");
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    exit(77);
}

/* ---- the leak gate ---- */

long test_count_fds(void)
{
    long n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) FAIL("/proc/self/fd: %s", strerror(errno));
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 3; /* ".", "..", and the directory itself */
}

long test_count_mappings(void)
{
    /* The sanitizers' allocators map as they please. */
    if (ARS__ASAN || ARS__TSAN) return 0;
    /* By hand: a stream's buffer might be a mapping of its own. */
    static char text[65536];
    long lines = 0, n;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL("/proc/self/maps: %s", strerror(errno));
    while ((n = read(fd, text, sizeof text)) > 0) {
        for (long i = 0; i < n; i++) lines += text[i] == '\n';
    }
    close(fd);
    return lines;
}

void test_gate_begin(test_gate *gate, const ars_alloc_tracker *tracker)
{
    gate->tracker = tracker;
    gate->bytes = tracker ? (long)ars_alloc_tracker_stats(tracker).bytes : 0;
    gate->fds = test_count_fds();
    gate->mappings = test_count_mappings();
}

void test_gate_end_at(const char *file, int line, const test_gate *gate, long mappings)
{
    long fds = test_count_fds(), maps = test_count_mappings();
    long bytes = gate->tracker ? (long)ars_alloc_tracker_stats(gate->tracker).bytes : 0;
    if (fds != gate->fds)
        test_fail(file, line, "leak: %ld descriptors before, %ld after", gate->fds, fds);
    if (bytes != gate->bytes)
        test_fail(file, line, "leak: %ld bytes before, %ld after", gate->bytes, bytes);
    if (maps > gate->mappings + mappings)
        test_fail(file, line, "leak: %ld mappings before, %ld after", gate->mappings, maps);
}

/* ---- child processes ---- */

test_end test_child(void (*fn)(void *arg), void *arg)
{
    test_end end = {0};
    size_t have = 0;
    int ends[2], status;
    fflush(stdout);
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(60);
        fn(arg);
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    for (;;) {
        /* What does not fit is read all the same, so that the child does not hang in its write. */
        char rest[1024];
        int full = have == sizeof end.err - 1;
        ssize_t n = full ? read(ends[0], rest, sizeof rest)
                         : read(ends[0], end.err + have, sizeof end.err - 1 - have);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        if (!full) have += (size_t)n;
    }
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0) CHECK(errno == EINTR);
    if (WIFSIGNALED(status))
        end.signal = WTERMSIG(status);
    else
        end.status = WEXITSTATUS(status);
    return end;
}

int test_refuse(int number, int error)
{
    /* One architecture only is run by one program, so the number alone decides. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* seccomp_data.nr */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int test_refuse_uring(void)
{
    enum { IO_URING_SETUP = 425 };
    return test_refuse(IO_URING_SETUP, EPERM);
}
