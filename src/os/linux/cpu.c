/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs this process may use.  A container's limit is mostly not an
 * affinity but a quota of its control group: so much CPU time in each period.
 * Every group above counts too, so the lowest quota on the way up decides.
 */
#include "os/os.h"

#include <fcntl.h>
#include <string.h>

#include "os/linux/sys.h"

enum { TEXT_MAX = 4096, PATH_MAX_HERE = 1024, CPUS_MAX = 8192 };

/* Reads a small file as text.  Its length, or a negative error. */
static long read_text(const char *path, char *text, size_t size)
{
    size_t have = 0;
    long fd = ARS__SYS(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fd;
    while (have < size - 1) {
        long n = ARS__SYS(SYS_read, fd, text + have, size - 1 - have);
        if (n == ARS_EINTR) continue;
        if (n <= 0) break;
        have += (size_t)n;
    }
    ARS__SYS(SYS_close, fd);
    text[have] = '\0';
    return (long)have;
}

/* A decimal number at '*text', which is moved behind it; -1 if there is none ("max", "-1"). */
static int64_t take_number(const char **text)
{
    const char *p = *text;
    int64_t value = 0;
    if (*p < '0' || *p > '9') return -1;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value < INT64_MAX / 100) value = value * 10 + (*p - '0');
    }
    while (*p == ' ') p++;
    *text = p;
    return value;
}

/* CPUs that a quota amounts to, rounded up; 0 if it is none. */
static int64_t cpus_of(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0) return 0;
    return quota / period + (quota % period != 0);
}

static int64_t read_number(char *path, size_t length, const char *name)
{
    char text[32];
    const char *p = text;
    strcpy(path + length, name);
    return read_text(path, text, sizeof text) < 0 ? -1 : take_number(&p);
}

/* The quota of the one group at 'path', which has room for a file's name behind 'length'. */
static int64_t group_cpus(char *path, size_t length, int v2)
{
    if (v2) {
        char text[64];
        const char *p = text;
        strcpy(path + length, "/cpu.max");
        if (read_text(path, text, sizeof text) < 0) return 0;
        int64_t quota = take_number(&p);
        return quota < 0 ? 0 : cpus_of(quota, take_number(&p));
    }
    int64_t quota = read_number(path, length, "/cpu.cfs_quota_us");
    return quota < 0 ? 0 : cpus_of(quota, read_number(path, length, "/cpu.cfs_period_us"));
}

/* The lowest quota from the group 'group' up to 'mount'; 0 if there is none. */
static int64_t lowest_quota(const char *mount, const char *group, size_t group_length, int v2)
{
    char path[PATH_MAX_HERE];
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

/* Lines of /proc/self/cgroup are HIERARCHY:CONTROLLERS:PATH, version 2 has no controllers there. */
static int64_t quota_cpus(void)
{
    char text[TEXT_MAX];
    int64_t lowest = 0;
    if (read_text("/proc/self/cgroup", text, sizeof text) < 0) return 0;
    for (char *line = text, *next; *line; line = next) {
        char *end = strchr(line, '\n');
        if (!end) break;
        next = end + 1;
        const char *list = memchr(line, ':', (size_t)(end - line));
        if (!list) continue;
        list++;
        const char *list_end = memchr(list, ':', (size_t)(end - list));
        if (!list_end) continue;
        const char *group = list_end + 1;
        size_t group_length = (size_t)(end - group);
        int64_t cpus = 0;
        if (list == list_end) {
            cpus = lowest_quota("/sys/fs/cgroup", group, group_length, 1);
        } else if (lists_cpu(list, list_end)) {
            /* Distributions mount it alone or with cpuacct, and link the other name. */
            cpus = lowest_quota("/sys/fs/cgroup/cpu", group, group_length, 0);
        }
        if (cpus > 0 && (lowest == 0 || cpus < lowest)) lowest = cpus;
    }
    return lowest;
}

int ars__os_cpu_count(void)
{
    uint64_t mask[CPUS_MAX / 64];
    int count = 0;
    long bytes = ARS__SYS(SYS_sched_getaffinity, 0, sizeof mask, mask);
    for (long i = 0; i < bytes / 8; i++) count += __builtin_popcountll(mask[i]);
    int64_t quota = quota_cpus();
    if (quota > 0 && quota < count) count = (int)quota;
    return count > 0 ? count : 1;
}
