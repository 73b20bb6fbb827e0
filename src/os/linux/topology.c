/* SPDX-License-Identifier: MIT */
/*
 * What the machine is made of, from /sys/devices/system (Linux,
 * Documentation/ABI/stable/sysfs-devices-system-cpu and -node).
 */
#include "os/os.h"

#include <stdio.h>
#include <string.h>

#include "os/linux/sysfs.h"

#define SYSTEM "/sys/devices/system"

enum { PATH_BYTES = ARS__ROOT_MAX + 128, CACHES_MAX = 32 };

#define PATH(path, ...) ((void)snprintf(path, sizeof(path), __VA_ARGS__))

/* ---- CPUs ---- */

/* The CPUs that are on line; where sysfs does not tell, those that the thread may run on stand for all. */
static void online(const char *root, int cpu, ars__list *out,
                   void (*each)(void *arg, int low, int high), void *arg)
{
    char path[PATH_BYTES];
    uint64_t mask[ARS__CPUS_MAX / 64];
    ars__list list = {-1, -1, 0, 0};

    PATH(path, "%s" SYSTEM "/cpu/online", root);
    /* First to see that it is good to its end. */
    if (ars__read_list(path, cpu, out, NULL, NULL) == 0 && out->count > 0 &&
        out->highest < ARS__CPUS_MAX) {
        if (each) (void)ars__read_list(path, cpu, out, each, arg);
        return;
    }
    int words = ars__affinity(mask);
    if (!words) {
        words = 1;
        mask[0] = 1;
    }
    for (int i = 0; i < words * 64; i++) {
        if (!(mask[i / 64] >> i % 64 & 1)) continue;
        if (list.lowest < 0) list.lowest = i;
        list.highest = i;
        list.count++;
        list.holds |= i == cpu;
        if (each) each(arg, i, i);
    }
    *out = list;
}

/* The CPUs that share 'new_name' with 'cpu', a file that older kernels call 'old_name'.  0 if it tells. */
static int siblings(const char *root, int cpu, const char *new_name, const char *old_name,
                    ars__list *out)
{
    char path[PATH_BYTES];
    PATH(path, "%s" SYSTEM "/cpu/cpu%d/topology/%s", root, cpu, new_name);
    if (ars__read_list(path, cpu, out, NULL, NULL) == 0 && out->holds) return 0;
    PATH(path, "%s" SYSTEM "/cpu/cpu%d/topology/%s", root, cpu, old_name);
    return ars__read_list(path, cpu, out, NULL, NULL) == 0 && out->holds ? 0 : ARS_ENOENT;
}

static int core_of(const char *root, int cpu)
{
    ars__list list;
    return siblings(root, cpu, "core_cpus_list", "thread_siblings_list", &list) ? cpu : list.lowest;
}

static int package_of(const char *root, int cpu, int lowest)
{
    ars__list list;
    return siblings(root, cpu, "package_cpus_list", "core_siblings_list", &list) ? lowest
                                                                                 : list.lowest;
}

/* ---- NUMA nodes ---- */

typedef struct nodes {
    const char *root;
    int cpu;   /* whose node is looked for */
    int found; /* -1: none yet */
    int count; /* of those that have CPUs */
} nodes;

static void look_at_nodes(void *arg, int low, int high)
{
    enum { NODES_MAX = 1024 }; /* the kernel's highest */
    nodes *n = (nodes *)arg;
    char path[PATH_BYTES];
    ars__list list;
    for (int node = low; node <= high && node < NODES_MAX; node++) {
        PATH(path, "%s" SYSTEM "/node/node%d/cpulist", n->root, node);
        if (ars__read_list(path, n->cpu, &list, NULL, NULL) < 0) continue;
        if (list.holds) n->found = node;
        n->count += list.count > 0;
    }
}

static void all_nodes(nodes *n)
{
    char path[PATH_BYTES];
    ars__list list;
    PATH(path, "%s" SYSTEM "/node/online", n->root);
    /* As above. */
    if (ars__read_list(path, -1, &list, NULL, NULL) == 0)
        (void)ars__read_list(path, -1, &list, look_at_nodes, n);
}

/* ---- together ---- */

int ars__topology_place(const char *root, int cpu, ars__os_cpu_place *out)
{
    uint64_t mask[ARS__CPUS_MAX / 64];
    nodes n = {root, cpu, -1, 0};
    ars__list list;
    online(root, cpu, &list, NULL, NULL);
    if (!list.holds) return ARS_ENOENT;
    all_nodes(&n);
    int words = ars__affinity(mask);
    out->core = core_of(root, cpu);
    out->package = package_of(root, cpu, list.lowest);
    out->node = n.found < 0 ? 0 : n.found;
    out->allowed = !words || (cpu / 64 < words && mask[cpu / 64] >> cpu % 64 & 1);
    return 0;
}

typedef struct census {
    const char *root;
    int lowest, cores, packages;
} census;

/* A core and a package are counted at the first of their CPUs. */
static void count_range(void *arg, int low, int high)
{
    census *c = (census *)arg;
    for (int cpu = low; cpu <= high; cpu++) {
        if (c->lowest < 0) c->lowest = cpu;
        c->cores += core_of(c->root, cpu) == cpu;
        c->packages += package_of(c->root, cpu, c->lowest) == cpu;
    }
}

int ars__topology_totals(const char *root, ars__os_cpu_totals *out)
{
    census c = {root, -1, 0, 0};
    nodes n = {root, -1, -1, 0};
    ars__list list;
    online(root, -1, &list, count_range, &c);
    all_nodes(&n);
    out->end = list.highest + 1;
    out->online = list.count;
    /* Files that contradict each other must not give a machine without cores. */
    out->cores = c.cores > 0 ? c.cores : 1;
    out->packages = c.packages > 0 ? c.packages : 1;
    out->nodes = n.count > 0 ? n.count : 1;
    out->quota = ars__quota(root);
    return 0;
}

/* ---- caches ---- */

/* The file 'name' of a cache; its length, or a negative error. */
static long cache_text(const char *root, int cpu, int index, const char *name, char text[64])
{
    char path[PATH_BYTES];
    PATH(path, "%s" SYSTEM "/cpu/cpu%d/cache/index%d/%s", root, cpu, index, name);
    return ars__read_text(path, text, 64);
}

/* A number with at most 'unit' behind it; 0 if the file does not tell. */
static int64_t cache_number(const char *root, int cpu, int index, const char *name, char unit)
{
    char text[64];
    const char *p = text;
    if (cache_text(root, cpu, index, name, text) < 0) return 0;
    int64_t value = ars__take_number(&p);
    if (value < 0 || value > INT32_MAX) return 0;
    if (unit && *p == unit) {
        value *= 1024;
        p++;
    }
    return *p == '\n' || *p == '\0' ? value : 0;
}

/* 1: there is such a cache; 0: what is said of it is of no use. */
static int read_cache(const char *root, int cpu, int index, ars__os_cpu_cache *out)
{
    char text[64], path[PATH_BYTES];
    ars__list list;
    int64_t level = cache_number(root, cpu, index, "level", 0);
    if (level < 1 || level > 9 || cache_text(root, cpu, index, "type", text) < 0) return 0;
    text[strcspn(text, "\n")] = '\0';
    out->data = strcmp(text, "Data") == 0 || strcmp(text, "Unified") == 0;
    out->code = strcmp(text, "Instruction") == 0 || strcmp(text, "Unified") == 0;
    if (!out->data && !out->code) return 0;
    out->level = (int)level;
    out->size = cache_number(root, cpu, index, "size", 'K');
    out->line = (int)cache_number(root, cpu, index, "coherency_line_size", 0);
    out->ways = (int)cache_number(root, cpu, index, "ways_of_associativity", 0);
    PATH(path, "%s" SYSTEM "/cpu/cpu%d/cache/index%d/shared_cpu_list", root, cpu, index);
    int told = ars__read_list(path, cpu, &list, NULL, NULL) == 0 && list.holds;
    out->first = told ? list.lowest : cpu;
    out->sharers = told ? list.count : 1;
    return 1;
}

int ars__topology_cache(const char *root, int cpu, int nth, ars__os_cpu_cache *out)
{
    char text[64];
    for (int index = 0; index < CACHES_MAX; index++) {
        ars__os_cpu_cache cache;
        if (cache_text(root, cpu, index, "level", text) < 0) break;
        if (!read_cache(root, cpu, index, &cache) || nth-- > 0) continue;
        *out = cache;
        return 0;
    }
    return ARS_ENOENT;
}

int ars__os_cpu_totals_get(ars__os_cpu_totals *out)
{
    return ars__topology_totals("", out);
}

int ars__os_cpu_place_get(int cpu, ars__os_cpu_place *out)
{
    return ars__topology_place("", cpu, out);
}

int ars__os_cpu_cache_get(int cpu, int nth, ars__os_cpu_cache *out)
{
    return ars__topology_cache("", cpu, nth, out);
}
