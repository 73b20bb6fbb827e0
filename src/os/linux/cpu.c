/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs this process may use.  A container's limit is mostly not an
 * affinity but a quota of its control group: so much CPU time in each period.
 * Every group above counts too, so the lowest quota on the way up decides.
 */
#include "os/os.h"

#include <string.h>

#include "os/linux/sys.h"
#include "os/linux/sysfs.h"

enum { TEXT_MAX = 4096, PATH_BYTES = 1024 + ARS__ROOT_MAX };

/* CPUs that a quota amounts to, in thousandths, rounded up; 0 if it is none. */
static int64_t cpus_of(int64_t quota, int64_t period)
{
    enum { ABSURD = 1000000000 };
    if (quota <= 0 || period <= 0 || period > ABSURD) return 0;
    int64_t whole = quota / period, rest = quota % period;
    return whole < ABSURD ? whole * 1000 + (rest * 1000 + period - 1) / period : 0;
}

static int64_t read_number(char *path, size_t length, const char *name)
{
    char text[32];
    const char *p = text;
    strcpy(path + length, name);
    return ars__read_text(path, text, sizeof text) < 0 ? -1 : ars__take_number(&p);
}

/* The quota of the one group at 'path', which has room for a file's name behind 'length'. */
static int64_t group_cpus(char *path, size_t length, int v2)
{
    if (v2) {
        char text[64];
        const char *p = text;
        strcpy(path + length, "/cpu.max");
        if (ars__read_text(path, text, sizeof text) < 0) return 0;
        int64_t quota = ars__take_number(&p);
        return quota < 0 ? 0 : cpus_of(quota, ars__take_number(&p));
    }
    int64_t quota = read_number(path, length, "/cpu.cfs_quota_us");
    return quota < 0 ? 0 : cpus_of(quota, read_number(path, length, "/cpu.cfs_period_us"));
}

/* The lowest quota from the group 'group' up to 'mount'; 0 if there is none. */
static int64_t lowest_quota(const char *mount, const char *group, size_t group_length, int v2)
{
    char path[PATH_BYTES];
    size_t root = strlen(mount), length = root + group_length;
    int64_t lowest = 0;
    if (length + sizeof "/cpu.cfs_period_us" > sizeof path) return 0;
    memcpy(path, mount, root);
    memcpy(path + root, group, group_length);
    /* In a container the path may be that of the host, of which only the root is to be seen. */
    for (;;) {
        while (length > root && path[length - 1] == '/') length--;
        int64_t cpus = group_cpus(path, length, v2);
        if (cpus > 0 && (lowest == 0 || cpus < lowest)) lowest = cpus;
        if (length == root) return lowest;
        while (length > root && path[length - 1] != '/') length--;
    }
}

/* Whether the comma-separated 'list' holds "cpu". */
static int lists_cpu(const char *list, const char *end)
{
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma ? comma : end;
        if (stop - list == 3 && memcmp(list, "cpu", 3) == 0) return 1;
        list = stop + 1;
    }
    return 0;
}

/* The text of /proc/self/cgroup, whose lines are HIERARCHY:CONTROLLERS:PATH; version 2 has no controllers there. */
static int64_t lowest_of(const char *root, const char *text)
{
    char mount[ARS__ROOT_MAX + sizeof "/sys/fs/cgroup/cpu"];
    int64_t lowest = 0;
    for (const char *line = text, *next; *line; line = next) {
        const char *end = strchr(line, '\n');
        if (!end) break;
        next = end + 1;
        const char *list = memchr(line, ':', (size_t)(end - line));
        if (!list) continue;
        list++;
        const char *list_end = memchr(list, ':', (size_t)(end - list));
        if (!list_end) continue;
        int v2 = list == list_end;
        if (!v2 && !lists_cpu(list, list_end)) continue;
        /* Distributions mount version 1's alone or with cpuacct, and link the other name. */
        strcat(strcpy(mount, root), v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu");
        const char *group = list_end + 1;
        int64_t cpus = lowest_quota(mount, group, (size_t)(end - group), v2);
        if (cpus > 0 && (lowest == 0 || cpus < lowest)) lowest = cpus;
    }
    return lowest;
}

int64_t ars__quota(const char *root)
{
    char path[ARS__ROOT_MAX + sizeof "/proc/self/cgroup"], text[TEXT_MAX];
    strcat(strcpy(path, root), "/proc/self/cgroup");
    return ars__read_text(path, text, sizeof text) < 0 ? 0 : lowest_of(root, text);
}

int ars__affinity(uint64_t mask[ARS__CPUS_MAX / 64])
{
    long bytes = ARS__SYS(SYS_sched_getaffinity, 0, ARS__CPUS_MAX / 8, mask);
    return bytes > 0 ? (int)(bytes / 8) : 0;
}

int ars__os_cpu_count(void)
{
    uint64_t mask[ARS__CPUS_MAX / 64];
    int count = 0, words = ars__affinity(mask);
    for (int i = 0; i < words; i++) count += __builtin_popcountll(mask[i]);
    int64_t quota = (ars__quota("") + 999) / 1000;
    if (quota > 0 && quota < count) count = (int)quota;
    return count > 0 ? count : 1;
}
