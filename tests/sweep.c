/* SPDX-License-Identifier: MIT */
/* Documented in fault.h. */
#include <signal.h>
#include <unistd.h>

#include "fault.h"
#include "test.h"

enum { SECONDS_A_RUN = 60 };

/* What is being run, for when it fails or never ends. */
static char running[160];

static void hangs(int sig)
{
    static const char text[] = "sweep: never ended: ";
    (void)sig;
    if (write(2, text, sizeof text - 1) < 0 || write(2, running, strlen(running)) < 0 ||
        write(2, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

static void closed_gate(const test_gate *gate)
{
    long fds = test_count_fds(), mappings = test_count_mappings();
    long bytes = (long)ars_alloc_tracker_stats(gate->tracker).bytes;
    if (fds != gate->fds) FAIL("%s: %ld descriptors before, %ld after", running, gate->fds, fds);
    if (bytes != gate->bytes) FAIL("%s: %ld bytes left", running, bytes - gate->bytes);
    if (mappings > gate->mappings)
        FAIL("%s: %ld mappings before, %ld after", running, gate->mappings, mappings);
}

/* One run with allocation 'nth' failing (0: none); how many did. */
static unsigned run(sweep_body *body, unsigned nth, int from_then_on)
{
    static ars_alloc_tracker tracker;
    static ars_alloc_failer failer;
    test_gate gate;
    ars_alloc_tracker_init(&tracker, NULL);
    ars_alloc_failer_init(&failer, &tracker.alloc, nth, from_then_on);
    test_gate_begin(&gate, &tracker);
    test_context = running;
    alarm(SECONDS_A_RUN);
    body(&failer.alloc);
    alarm(0);
    test_context = NULL;
    closed_gate(&gate);
    return (unsigned)ars_alloc_failer_failed(&failer);
}

/* Without a failure: what a process sets up once, by its first run, is no leak. */
static void warm_up(const char *name, sweep_body *body)
{
    static ars_alloc_tracker tracker;
    signal(SIGALRM, hangs);
    snprintf(running, sizeof running, "%s: nothing failing", name);
    ars_alloc_tracker_init(&tracker, NULL);
    alarm(SECONDS_A_RUN);
    body(&tracker.alloc);
    alarm(0);
    fault_reset();
    CHECK_EQ(run(body, 0, 0), 0);
}

unsigned sweep_alloc(const char *name, sweep_body *body)
{
    unsigned most = 0;
    warm_up(name, body);
    for (int from_then_on = 0; from_then_on <= 1; from_then_on++) {
        for (unsigned n = 1;; n++) {
            snprintf(running, sizeof running, "%s: allocation %u%s failing", name, n,
                     from_then_on ? " and later" : "");
            if (run(body, n, from_then_on) == 0) break;
            if (n > most) most = n;
        }
    }
    printf("  %s: %u allocations, each made to fail\n", name, most);
    return most;
}

unsigned sweep_each(int (*body)(const ars_alloc *alloc))
{
    for (unsigned n = 0;; n++) {
        ars_alloc_tracker tracker;
        ars_alloc_failer failer;
        ars_alloc_tracker_init(&tracker, NULL);
        ars_alloc_failer_init(&failer, &tracker.alloc, n + 1, 0);
        int rc = body(&failer.alloc);
        CHECK_EQ(ars_alloc_tracker_stats(&tracker).bytes, 0);
        if (ars_alloc_failer_failed(&failer) == 0) {
            CHECK_EQ(rc, 0);
            return n;
        }
        CHECK_EQ(rc, ARS_ENOMEM);
    }
}

/* Runs with each call of one site giving one error; the number of runs that saw it. */
static unsigned sweep_error(const char *name, sweep_body *body, const char *site, int error,
                            int times)
{
    unsigned runs = 0;
    for (unsigned n = 1;; n += n < 32 ? 1 : n / 8) {
        snprintf(running, sizeof running, "%s: call %u%s of %s giving %d (%s)", name, n,
                 times < 0 ? " and later" : "", site, error, ars_strerror(error));
        fault_reset();
        fault_at(site, n, error, times);
        run(body, 0, 0);
        uint64_t hits = fault_hits(site);
        fault_reset();
        if (hits == 0) return runs;
        runs++;
    }
}

unsigned sweep_os(const char *name, sweep_body *body)
{
    unsigned runs = 0, called = 0;
    int used[256] = {0};
    warm_up(name, body);
    for (unsigned i = 0; fault_site(i); i++) used[i] = fault_counts(fault_site(i)) > 0;
    for (unsigned i = 0; fault_site(i); i++) {
        if (!used[i] || fault_errors(i)->result == 1) continue;
        called++;
        for (const fault_error *e = fault_errors(i); e->result != 1; e++) {
            runs += sweep_error(name, body, fault_site(i), e->result, 1);
            if (!e->passing) runs += sweep_error(name, body, fault_site(i), e->result, -1);
        }
    }
    printf("  %s: %u kinds of system call, made to fail in %u runs\n", name, called, runs);
    return runs;
}
