/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/coro.h> and coro/stack.h. */
#include <arsenal/atomic.h>
#include <arsenal/coro.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "coro/stack.h"
#include "os/os.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { SIGNAL_STACK = 64 * 1024, NAME_MAX_SHOWN = 128 };

static struct sigaction previous_segv, previous_bus;
static ars_atomic_u32 installed; /* 1: being installed, 2: in force */

/* ---- the handler: async-signal-safe calls only ---- */

static size_t append(char *line, size_t at, size_t limit, const char *text)
{
    while (*text && at < limit) line[at++] = *text++;
    return at;
}

static void report(const ars__stack_header *header)
{
    char line[NAME_MAX_SHOWN + 64];
    size_t n = append(line, 0, 64, "arsenal: stack overflow in ");
    n = append(line, n, 64, header->what ? header->what : "task");
    if (header->name) {
        n = append(line, n, sizeof line - 2, " '");
        n = append(line, n, sizeof line - 2, header->name);
        n = append(line, n, sizeof line - 1, "'");
    }
    line[n++] = '\n';
    ars__os_write(STDERR_FILENO, line, n);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    const ars__stack_header *header;
    int by_kernel = info->si_code > 0;
    if (by_kernel && ars__stack_find_guard(info->si_addr, &header)) report(header);

    const struct sigaction *before = sig == SIGBUS ? &previous_bus : &previous_segv;
    errno = saved_errno;
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(sig, info, context);
    } else if (before->sa_handler == SIG_IGN && !by_kernel) {
        return;
    } else if (before->sa_handler == SIG_DFL || before->sa_handler == SIG_IGN) {
        /* The fault comes again after the return; a signal that was sent does not. */
        sigaction(sig, before, NULL);
        if (!by_kernel) raise(sig);
        errno = saved_errno;
    } else {
        before->sa_handler(sig);
    }
}

/* ---- signal stacks ---- */

static int have_signal_stack(void)
{
    stack_t now;
    return sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE);
}

static size_t signal_stack_size(void)
{
    /* Half of it for the frame that the kernel pushes, which grows with the CPU's vectors. */
    size_t frame = getauxval(AT_MINSIGSTKSZ);
    size_t page = ars__os_page_size();
    size_t size = 2 * frame > SIGNAL_STACK ? 2 * frame : SIGNAL_STACK;
    return (size + page - 1) & ~(page - 1);
}

static int use_signal_stack(void *p, size_t size)
{
    stack_t mine = {.ss_sp = p, .ss_size = size};
    int saved_errno = errno;
    int rc = sigaltstack(&mine, NULL) == 0 ? 0 : -errno;
    errno = saved_errno;
    return rc;
}

int ars_overflow_install(void)
{
    if (!have_signal_stack()) {
        void *p;
        size_t size = signal_stack_size();
        int rc = ars__os_reserve(&p, size);
        if (rc < 0) return rc;
        rc = use_signal_stack(p, size);
        if (rc < 0) {
            ars__os_release(p, size);
            return rc;
        }
    }
    uint32_t none = 0;
    if (!ars_atomic_u32_cas_acq_rel(&installed, &none, 1)) return 0;

    struct sigaction mine;
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = on_fault;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&mine.sa_mask);
    /* Ask first: the handler may run as soon as it is set, and needs to know them. */
    sigaction(SIGSEGV, NULL, &previous_segv);
    sigaction(SIGBUS, NULL, &previous_bus);
    sigaction(SIGSEGV, &mine, NULL);
    sigaction(SIGBUS, &mine, NULL);
    ars_atomic_u32_store_release(&installed, 2);
    return 0;
}

int ars__overflow_thread_enter(void **token, const ars_alloc *alloc)
{
    *token = NULL;
    if (ars_atomic_u32_load_acquire(&installed) != 2 || have_signal_stack()) return 0;

    if (!alloc) alloc = ars_alloc_default();
    size_t size = signal_stack_size();
    void *p = alloc->alloc(alloc->ctx, size, 64);
    if (!p) return ARS_ENOMEM;
    int rc = use_signal_stack(p, size);
    if (rc < 0) {
        alloc->free(alloc->ctx, p, size, 64);
        return rc;
    }
    *token = p;
    return 0;
}

void ars__overflow_thread_leave(void *token, const ars_alloc *alloc)
{
    if (!token) return;
    stack_t now;
    stack_t none = {.ss_flags = SS_DISABLE};
    /* Somebody may have put another one in its place meanwhile. */
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == token) sigaltstack(&none, NULL);
    if (!alloc) alloc = ars_alloc_default();
    alloc->free(alloc->ctx, token, signal_stack_size(), 64);
}
