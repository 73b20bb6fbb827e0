/* SPDX-License-Identifier: MIT */
#include "costs.h"

#include "bench.h"

/* What a task, a channel, a timer ... cost in bytes; docs/costs.md explains the figures. */

static double measure(uint64_t n, void *arg)
{
    const struct cost *cost = (const struct cost *)arg;
    (void)n;
    return cost->bytes(cost->arg);
}

int main(int argc, char **argv)
{
    struct bench table[COSTS];

    memset(table, 0, sizeof table);
    for (int i = 0; i < COSTS; i++) {
        table[i].id = costs[i].id;
        table[i].system = "arsenal";
        table[i].version = ars_version();
        table[i].config = costs[i].config;
        table[i].unit = "bytes";
        table[i].run = measure;
        table[i].arg = (void *)(uintptr_t)&costs[i];
        table[i].once = 1;
    }
    return bench_main(argc, argv, table, COSTS);
}
