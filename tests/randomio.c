/* SPDX-License-Identifier: MIT */
/*
 * Random operations with random deadlines and cancels on connections, on each
 * backend, while the kernel's answers come in disorder: at the end each byte
 * that was said to be sent has arrived, in order and once.
 */
#include <limits.h>
#include <linux/io_uring.h>
#include <unistd.h>

#include "chaos.h"
#include "fault.h"
#include "randomly.h"

static int random_task(void *arg)
{
    (void)arg;
    random_round((uint64_t)test_times(100000, 8000));
    printf("  %s, workers: %u, operations: %llu, timed out: %llu, cancelled: %llu, MB: %.1f\n",
           backend_name(), all.workers,
           (unsigned long long)ars_atomic_u64_load_relaxed(&all.operations),
           (unsigned long long)ars_atomic_u64_load_relaxed(&all.timed_out),
           (unsigned long long)ars_atomic_u64_load_relaxed(&all.cancelled),
           (double)ars_atomic_u64_load_relaxed(&all.bytes) / 1e6);
    return 0;
}

static void calm(void)
{
    on_each_backend_with(1, random_task);
    on_each_backend_with(4, random_task);
}

static void chaos(void)
{
    for (unsigned workers = 1; workers <= 4; workers += 3) {
        disorder = 1;
        chaos_begin(seed_of_run);
        /* The rings of buffers grow to their most. */
        chaos_inject(IORING_OP_RECV, 1, ARS_ENOBUFS, 64);
        on_each_backend_with(workers, random_task);
        chaos_inject(0, 0, 0, 0);
        chaos_counts c = chaos_end();
        disorder = 0;
        printf("  completions: %llu, overtaken: %llu, late: %llu; events: %llu, doubled: %llu, "
               "held: %llu\n",
               (unsigned long long)c.results, (unsigned long long)c.overtaken,
               (unsigned long long)c.late, (unsigned long long)c.events,
               (unsigned long long)c.doubled, (unsigned long long)c.held);
        CHECK(c.overtaken > 0 || c.results == 0);
        CHECK(c.doubled > 0 && c.held > 0);
    }
}

/* Interruptions and short sends, which nobody may notice. */
static void noise(void)
{
    for (unsigned workers = 1; workers <= 4; workers += 3) {
        fault_noise(seed_of_run);
        chaos_noise(seed_of_run);
        on_each_backend_with(workers, random_task);
        unsigned operations = chaos_noise(0);
        uint64_t calls = 0;
        for (unsigned i = 0; fault_site(i); i++) calls += fault_hits(fault_site(i));
        fault_reset();
        printf("  interrupted or shortened: calls: %llu, operations: %u\n",
               (unsigned long long)calls, operations);
        CHECK(calls > 0);
    }
}

/* ---- a soak ---- */

/* KiB of memory that the process has. */
static double resident(void)
{
    unsigned long size, pages;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%lu %lu", &size, &pages) == 2);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

typedef struct sight {
    double kib;
    long fds, mappings, bytes; /* 'bytes': of the runtime's allocator */
} sight;

/* When everything that was closed is gone, or half a second has passed. */
static sight look(const world *w, long fds)
{
    for (int i = 0; i < 500 && test_count_fds() > fds; i++)
        CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    return (sight){resident(), test_count_fds(), test_count_mappings(),
                   (long)ars_alloc_tracker_stats(&w->tracker).bytes};
}

static double seconds_of_soak;

/* A third of the time to grow to what is needed; after that nothing may grow any more. */
static int soak_task(void *arg)
{
    enum { ROUND = 10000, MOST_ROUNDS = 1 << 16 };
    static sight seen[MOST_ROUNDS];
    uint64_t operations = 0;
    size_t n = 0, warm = 0;
    ars_time begun = ars_now(), span = (ars_time)(seconds_of_soak / 3 * (double)ARS_SECOND);
    for (; n < MOST_ROUNDS && ars_now() < begun + span; n++) {
        if (ars_now() < begun + span / 3) warm = n + 1;
        random_round(ROUND);
        operations += ars_atomic_u64_load_relaxed(&all.operations);
        seen[n] = look(arg, n ? seen[n - 1].fds : LONG_MAX);
    }
    if (n < warm + 8) FAIL("%zu rounds are too few to tell", n);
    double quarters[4] = {0};
    for (size_t q = 0, each = (n - warm) / 4; q < 4; q++)
        for (size_t i = 0; i < each; i++)
            quarters[q] += seen[n - (4 - q) * each + i].kib / (double)each;
    sight a = seen[warm], b = seen[n - 1];
    printf("  %s, workers: %u, rounds: %zu, operations: %llu, RSS in KiB, by quarters: %.0f %.0f "
           "%.0f %.0f; descriptors: %ld, %ld; mappings: %ld, %ld; KiB allocated: %ld, %ld\n",
           backend_name(), all.workers, n, (unsigned long long)operations, quarters[0], quarters[1],
           quarters[2], quarters[3], a.fds, b.fds, a.mappings, b.mappings, a.bytes / 1024,
           b.bytes / 1024);
    fflush(stdout);
    CHECK_EQ(b.fds, a.fds);
    CHECK_EQ(b.mappings, a.mappings);
    CHECK(quarters[3] <= quarters[2] * 1.01 + 128);
    return 0;
}

/* ARS_TEST_SOAK=SECONDS: eight workers for so long, a third of it on each backend. */
static void soak(void)
{
    const char *seconds = getenv("ARS_TEST_SOAK");
    if (!seconds) return;
    seconds_of_soak = strtod(seconds, NULL);
    on_each_backend_with(8, soak_task);
}

static const test_case cases[] = {
    {"calm", calm},
    {"chaos", chaos},
    {"noise", noise},
    {"soak", soak},
};

int main(int argc, char **argv)
{
    const char *seed = getenv("ARS_TEST_SEED");
    seed_of_run = seed ? strtoull(seed, NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)seed_of_run);
    return test_main(cases, sizeof cases / sizeof *cases, argc, argv);
}
