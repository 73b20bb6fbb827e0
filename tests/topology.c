/* SPDX-License-Identifier: MIT */
/* Cores, nodes, caches and quotas, read from trees of files that this test makes. */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/cpu.h>

#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/linux/sysfs.h"

#define CPU  "/sys/devices/system/cpu"
#define NODE "/sys/devices/system/node"

/* ---- trees ---- */

static char root[] = "/tmp/ars-topology-XXXXXX";

static void path_of(char path[512], const char *format, va_list list)
{
    size_t n = strlen(strcpy(path, root));
    vsnprintf(path + n, 512 - n, format, list);
}

/* Writes 'text' to a file below the root, with the folders that it needs. */
static void ARS_PRINTF(2, 3) put(const char *text, const char *format, ...)
{
    char path[512];
    va_list list;
    va_start(list, format);
    path_of(path, format, list);
    va_end(list);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    CHECK(f);
    CHECK(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void ARS_PRINTF(1, 2) take_away(const char *format, ...)
{
    char path[512];
    va_list list;
    va_start(list, format);
    path_of(path, format, list);
    va_end(list);
    CHECK_EQ(unlink(path), 0);
}

static int remove_it(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static void with_tree(void (*fn)(void))
{
    strcpy(root + strlen(root) - 6, "XXXXXX");
    CHECK(mkdtemp(root));
    fn();
    CHECK_EQ(nftw(root, remove_it, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void put_cache(int cpu, int index, const char *level, const char *type, const char *size,
                      const char *shared)
{
    char at[128];
    snprintf(at, sizeof at, CPU "/cpu%d/cache/index%d", cpu, index);
    put(level, "%s/level", at);
    put(type, "%s/type", at);
    put(size, "%s/size", at);
    put("64\n", "%s/coherency_line_size", at);
    put("8\n", "%s/ways_of_associativity", at);
    put(shared, "%s/shared_cpu_list", at);
}

/*
 * Two packages of two cores of two threads, numbered as Linux mostly does: the
 * first threads of all cores come first.  CPU 6 is not on line.  Node 3 has
 * memory only.
 */
static void put_machine(const char *core_name, const char *package_name)
{
    static const char *const cores[8] = {"0,4\n", "1,5\n", "2\n", "3,7\n",
                                         "0,4\n", "1,5\n", NULL,  "3,7\n"};
    put("0-5,7\n", CPU "/online");
    for (int cpu = 0; cpu < 8; cpu++) {
        if (!cores[cpu]) continue;
        int second = cpu % 4 >= 2;
        put(cores[cpu], CPU "/cpu%d/topology/%s", cpu, core_name);
        put(second ? "2-3,7\n" : "0-1,4-5\n", CPU "/cpu%d/topology/%s", cpu, package_name);
        put_cache(cpu, 0, "1\n", "Data\n", "48K\n", cores[cpu]);
        put_cache(cpu, 1, "1\n", "Instruction\n", "32K\n", cores[cpu]);
        put_cache(cpu, 2, "3\n", "Unified\n", "32768K\n", second ? "2-3,7\n" : "0-1,4-5\n");
    }
    put("0-1,3\n", NODE "/online");
    put("0-1,4-5\n", NODE "/node0/cpulist");
    put("2-3,7\n", NODE "/node1/cpulist");
    put("\n", NODE "/node3/cpulist");
}

/* ---- the machine ---- */

static void check_totals(int end, int online, int cores, int packages, int nodes)
{
    ars__os_cpu_totals t;
    CHECK_EQ(ars__topology_totals(root, &t), 0);
    CHECK_EQ(t.end, end);
    CHECK_EQ(t.online, online);
    CHECK_EQ(t.cores, cores);
    CHECK_EQ(t.packages, packages);
    CHECK_EQ(t.nodes, nodes);
}

static void check_place(int cpu, int core, int package, int node)
{
    ars__os_cpu_place p;
    CHECK_EQ(ars__topology_place(root, cpu, &p), 0);
    CHECK_EQ(p.core, core);
    CHECK_EQ(p.package, package);
    CHECK_EQ(p.node, node);
}

static void check_machine(void)
{
    ars__os_cpu_place p;
    ars__os_cpu_cache c;
    check_totals(8, 7, 4, 2, 2);
    check_place(0, 0, 0, 0);
    check_place(5, 1, 0, 0);
    check_place(2, 2, 2, 1);
    check_place(7, 3, 2, 1);
    CHECK_EQ(ars__topology_place(root, 6, &p), ARS_ENOENT);
    CHECK_EQ(ars__topology_place(root, 8, &p), ARS_ENOENT);

    CHECK_EQ(ars__topology_cache(root, 5, 0, &c), 0);
    CHECK(c.level == 1 && c.data && !c.code && c.size == 48 << 10 && c.line == 64 && c.ways == 8);
    CHECK(c.first == 1 && c.sharers == 2);
    CHECK_EQ(ars__topology_cache(root, 5, 1, &c), 0);
    CHECK(c.level == 1 && !c.data && c.code && c.size == 32 << 10);
    CHECK_EQ(ars__topology_cache(root, 7, 2, &c), 0);
    CHECK(c.level == 3 && c.data && c.code && c.size == 32 << 20 && c.first == 2 && c.sharers == 3);
    CHECK_EQ(ars__topology_cache(root, 7, 3, &c), ARS_ENOENT);
    CHECK_EQ(ars__topology_cache(root, 6, 0, &c), ARS_ENOENT);
}

static void new_names(void)
{
    put_machine("core_cpus_list", "package_cpus_list");
    check_machine();
}

static void old_names(void)
{
    put_machine("thread_siblings_list", "core_siblings_list");
    check_machine();
}

static void machine(void)
{
    with_tree(new_names);
    with_tree(old_names);
}

/* ---- nothing there ---- */

static void in_nothing(void)
{
    cpu_set_t set;
    ars__os_cpu_cache c;
    ars__os_cpu_place p;
    int last = -1;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &set)) {
            CHECK_EQ(ars__topology_place(root, i, &p), ARS_ENOENT);
            continue;
        }
        last = i;
        CHECK_EQ(ars__topology_place(root, i, &p), 0);
        CHECK(p.core == i && p.node == 0 && p.allowed == 1);
        CHECK_EQ(ars__topology_cache(root, i, 0, &c), ARS_ENOENT);
    }
    check_totals(last + 1, CPU_COUNT(&set), CPU_COUNT(&set), 1, 1);
    CHECK_EQ(ars__quota(root), 0);
}

static void absent(void)
{
    with_tree(in_nothing);
}

/* ---- rubbish ---- */

static const char *const rubbish[] = {
    "",     "\n",   "x\n",       "-1\n",  "0-\n",  "3-1\n",   "0-3x\n",
    "0,,1", "0,\n", "0 1\n",     "0-1-2", "1,0\n", "0-4,4\n", "99999999999999999999\n",
    "0;",   ",0\n", "0-99999999"};

static void in_rubbish(void)
{
    ars__os_cpu_totals t;
    ars__os_cpu_place p;
    ars__os_cpu_cache c;
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        ars__list list = {7, 7, 7, 7};
        const char *text = rubbish[i];
        test_context = text;
        put(text, "/list");
        char path[512];
        snprintf(path, sizeof path, "%s/list", root);
        int rc = ars__read_list(path, 0, &list, NULL, NULL);
        if (i < 2) {
            CHECK(rc == 0 && list.count == 0 && list.lowest == -1 && !list.holds);
        } else {
            CHECK_EQ(rc, ARS_EINVAL);
            CHECK(list.lowest == 7 && list.highest == 7 && list.count == 7 && list.holds == 7);
        }

        /* One file after the other: what it would tell is as if it was not there. */
        put_machine("core_cpus_list", "package_cpus_list");
        put(text, CPU "/cpu5/topology/core_cpus_list");
        check_place(5, 5, 0, 0);
        put(text, CPU "/cpu7/topology/package_cpus_list");
        check_place(7, 3, 0, 1);
        put(text, NODE "/node1/cpulist");
        check_place(7, 3, 0, 0);
        put(text, CPU "/cpu5/cache/index2/shared_cpu_list");
        CHECK_EQ(ars__topology_cache(root, 5, 2, &c), 0);
        CHECK(c.first == 5 && c.sharers == 1 && c.size == 32 << 20);
        put(text, NODE "/online");
        CHECK_EQ(ars__topology_totals(root, &t), 0);
        CHECK_EQ(t.nodes, 1);
        put(text, CPU "/online");
        CHECK_EQ(ars__topology_totals(root, &t), 0);
        CHECK(t.online >= 1 && t.online <= ARS__CPUS_MAX && t.end >= t.online && t.cores >= 1);
        CHECK(t.packages >= 1 && t.nodes >= 1);
        (void)ars__topology_place(root, 0, &p);
    }
    test_context = NULL;
}

static void in_rubbish_caches(void)
{
    ars__os_cpu_cache c;
    put_cache(0, 0, "x\n", "Data\n", "32K\n", "0\n");
    put_cache(0, 1, "1\n", "Strange\n", "32K\n", "0\n");
    put_cache(0, 2, "0\n", "Data\n", "32K\n", "0\n");
    put_cache(0, 3, "10\n", "Data\n", "32K\n", "0\n");
    put_cache(0, 4, "2\n", "Unified\n", "lots\n", "1\n");
    put_cache(0, 5, "2\n", "Unified\n", "99999999999999999999K\n", "0\n");
    put_cache(0, 6, "2\n", "Unified\n", "32M\n", "0\n");
    put_cache(0, 7, "2\n", "Unified\n", "4096\n", "0\n");
    take_away(CPU "/cpu0/cache/index7/coherency_line_size");
    take_away(CPU "/cpu0/cache/index7/ways_of_associativity");
    put_cache(0, 8, "2\n", "Unified\n", "-1\n", "0\n");
    take_away(CPU "/cpu0/cache/index8/type");
    /* The next one that is of any use; what of it makes no sense is not told. */
    for (int nth = 0; nth < 3; nth++) {
        CHECK_EQ(ars__topology_cache(root, 0, nth, &c), 0);
        CHECK(c.level == 2 && c.size == 0 && c.line == 64 && c.first == 0 && c.sharers == 1);
    }
    CHECK_EQ(ars__topology_cache(root, 0, 3, &c), 0);
    CHECK(c.size == 4096 && c.line == 0 && c.ways == 0);
    CHECK_EQ(ars__topology_cache(root, 0, 4, &c), ARS_ENOENT);
}

static void nonsense(void)
{
    with_tree(in_rubbish);
    with_tree(in_rubbish_caches);
}

/* Longer than any buffer, and its end still counts. */
static void in_long_list(void)
{
    enum { CPUS = 8000 };
    char text[6 * CPUS], path[512];
    ars__list list;
    size_t n = 0;
    for (int i = 0; i < CPUS; i += 2) n += (size_t)sprintf(text + n, "%d,", i);
    text[n - 1] = '\n';
    put(text, CPU "/online");
    snprintf(path, sizeof path, "%s" CPU "/online", root);
    CHECK_EQ(ars__read_list(path, CPUS - 2, &list, NULL, NULL), 0);
    CHECK(list.lowest == 0 && list.highest == CPUS - 2 && list.count == CPUS / 2 && list.holds);
    check_totals(CPUS - 1, CPUS / 2, CPUS / 2, 1, 1);
    text[n - 1] = ',';
    put(text, CPU "/online");
    CHECK_EQ(ars__read_list(path, 0, &list, NULL, NULL), ARS_EINVAL);
    CHECK(ars__read_list(root, 0, &list, NULL, NULL) < 0);
}

static void long_list(void)
{
    with_tree(in_long_list);
}

/* ---- quotas ---- */

static void in_quotas(void)
{
    static const struct {
        const char *text;
        int64_t quota;
    } v2[] = {
        {"max 100000\n", 0},
        {"50000 100000\n", 500},
        {"150001 100000\n", 1501},
        {"1 100000\n", 1},
        {"", 0},
        {"50000\n", 0},
        {"50000 0\n", 0},
        {"0 100000\n", 0},
        {"-1 100000\n", 0},
        {"50000 max\n", 0},
        {"99999999999999999999 1\n", 0},
        {"50000 99999999999999999999\n", 0},
        {"9999999 10000\n", 1000000},
    };
    put("0::/a/b\n", "/proc/self/cgroup");
    CHECK_EQ(ars__quota(root), 0);
    for (size_t i = 0; i < sizeof v2 / sizeof *v2; i++) {
        test_context = v2[i].text;
        put(v2[i].text, "/sys/fs/cgroup/a/b/cpu.max");
        CHECK_EQ(ars__quota(root), v2[i].quota);
    }
    test_context = NULL;

    /* The lowest on the way up. */
    put("400000 100000\n", "/sys/fs/cgroup/a/b/cpu.max");
    put("250000 100000\n", "/sys/fs/cgroup/a/cpu.max");
    CHECK_EQ(ars__quota(root), 2500);
    put("200000 100000\n", "/sys/fs/cgroup/cpu.max");
    CHECK_EQ(ars__quota(root), 2000);
    /* The host's path, of which a container sees the root only. */
    put("0::/system.slice/docker-0123.scope\n", "/proc/self/cgroup");
    CHECK_EQ(ars__quota(root), 2000);

    /* Version 1, beside other hierarchies and a version 2 without the controller. */
    put("12:cpuset:/x\n4:cpuacct,cpu:/c/d\n3:cpuacct:/y\n0::/nowhere\n", "/proc/self/cgroup");
    take_away("/sys/fs/cgroup/cpu.max");
    put("-1\n", "/sys/fs/cgroup/cpu/c/d/cpu.cfs_quota_us");
    put("100000\n", "/sys/fs/cgroup/cpu/c/d/cpu.cfs_period_us");
    CHECK_EQ(ars__quota(root), 0);
    put("120000\n", "/sys/fs/cgroup/cpu/c/d/cpu.cfs_quota_us");
    CHECK_EQ(ars__quota(root), 1200);
    put("rubbish\n", "/sys/fs/cgroup/cpu/c/d/cpu.cfs_period_us");
    CHECK_EQ(ars__quota(root), 0);
    put("70000\n", "/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us");
    put("100000\n", "/sys/fs/cgroup/cpu/c/cpu.cfs_period_us");
    CHECK_EQ(ars__quota(root), 700);

    /* A process's list that makes no sense. */
    static const char *const bad[] = {"", "\n", "0\n", "0:\n", "0:cpu\n", ":::\n", "1:cpu:/c/d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(bad[i], "/proc/self/cgroup");
        CHECK_EQ(ars__quota(root), 0);
    }
    char deep[3000] = "0::";
    while (strlen(deep) < 2900) strcat(deep, "/a");
    strcat(deep, "\n");
    put(deep, "/proc/self/cgroup");
    CHECK_EQ(ars__quota(root), 0);
}

static void quotas(void)
{
    with_tree(in_quotas);
}

/* ---- this machine ---- */

static void here(void)
{
    ars_cpu_totals t;
    ars_cpu_place p;
    ars_cpu_cache c;
    int online = 0, cores = 0, packages = 0, allowed = 0, caches = 0;
    ars_cpu_count_all(&t);
    CHECK(t.online >= 1 && t.end >= t.online && t.cores >= 1 && t.cores <= t.online);
    CHECK(t.packages >= 1 && t.packages <= t.cores && t.nodes >= 1 && t.quota >= 0);
    for (int cpu = 0; cpu < t.end; cpu++) {
        if (ars_cpu_locate(cpu, &p) < 0) continue;
        online++;
        cores += p.core == cpu;
        packages += p.package == cpu;
        allowed += p.allowed;
        CHECK(p.core <= cpu && p.package <= cpu && p.package <= p.core && p.node >= 0);
        for (int nth = 0; ars_cpu_read_cache(cpu, nth, &c) == 0; nth++, caches++) {
            CHECK(c.level >= 1 && c.level <= 9 && (c.data || c.code) && c.size >= 0);
            CHECK(c.first <= cpu && c.sharers >= 1 && c.sharers <= t.online);
        }
    }
    CHECK_EQ(online, t.online);
    CHECK_EQ(cores, t.cores);
    CHECK_EQ(packages, t.packages);
    CHECK(allowed >= ars_cpu_count());
    printf("  %d CPUs, %d cores, %d packages, %d nodes, %d caches\n", online, cores, packages,
           t.nodes, caches);

    p.core = 4711;
    c.level = 4711;
    CHECK_EQ(ars_cpu_locate(-1, &p), ARS_EINVAL);
    CHECK_EQ(ars_cpu_locate(t.end, &p), ARS_ENOENT);
    CHECK_EQ(ars_cpu_locate(INT32_MAX, &p), ARS_ENOENT);
    CHECK_EQ(ars_cpu_read_cache(-1, 0, &c), ARS_EINVAL);
    CHECK_EQ(ars_cpu_read_cache(0, -1, &c), ARS_EINVAL);
    CHECK_EQ(ars_cpu_read_cache(0, INT32_MAX, &c), ARS_ENOENT);
    CHECK_EQ(ars_cpu_read_cache(INT32_MAX, 0, &c), ARS_ENOENT);
    CHECK(p.core == 4711 && c.level == 4711);
}

/* ---- tools/cpu ---- */

/* Behind one JSON value without blanks; NULL if there is none. */
static const char *value_end(const char *p)
{
    static const char *const words[] = {"true", "false", "null"};
    if (*p == '[' || *p == '{') {
        char close = *p == '[' ? ']' : '}';
        if (p[1] == close) return p + 2;
        do {
            p++;
            if (close == '}') {
                if (*p != '"' || !(p = value_end(p)) || *p++ != ':') return NULL;
            }
            if (!(p = value_end(p))) return NULL;
        } while (*p == ',');
        return *p == close ? p + 1 : NULL;
    }
    if (*p == '"') {
        p += 1 + strcspn(p + 1, "\"\\\n");
        return *p == '"' ? p + 1 : NULL;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (strncmp(p, words[i], n) == 0) return p + n;
    }
    char *end;
    if (*p < '0' || *p > '9') return NULL;
    (void)strtod(p, &end);
    return end;
}

static const char *said_by_the_tool(const char *argument)
{
    static char text[1 << 16];
    char self[1024], command[1200];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(command, sizeof command, "%s/../tools/cpu", self);
    if (access(command, X_OK) != 0) return NULL;
    snprintf(command, sizeof command, "'%s/../tools/cpu' %s", self, argument);
    FILE *f = popen(command, "r");
    CHECK(f);
    size_t length = fread(text, 1, sizeof text - 1, f);
    CHECK(length > 0 && feof(f));
    text[length] = '\0';
    CHECK_EQ(pclose(f), 0);
    return text;
}

static void ARS_PRINTF(2, 3) must_say(const char *text, const char *format, ...)
{
    char wanted[128];
    va_list list;
    va_start(list, format);
    vsnprintf(wanted, sizeof wanted, format, list);
    va_end(list);
    if (!strstr(text, wanted)) FAIL("'%s' is not in %s", wanted, text);
}

static void tool(void)
{
    const char *text = said_by_the_tool("");
    ars_cpu_totals t;
    ars_cpu_cache c;
    if (!text) {
        test_skipped("tools/cpu is not built");
        return;
    }
    ars_cpu_count_all(&t);
    must_say(text, "features  ");
    must_say(text, "%d on line, %d to use", t.online, ars_cpu_count());
    must_say(text, "\ncores      %d, ", t.cores);

    text = said_by_the_tool("--json");
    const char *end = value_end(text);
    if (!end || strcmp(end, "\n") != 0) FAIL("not a line of JSON: %s", text);
    must_say(text, "\"online\":%d,\"cores\":%d,\"packages\":%d,\"nodes\":%d", t.online, t.cores,
             t.packages, t.nodes);
    must_say(text, "\"usable\":%d,", ars_cpu_count());
    for (uint64_t f = ars_cpu_features(); f; f &= f - 1)
        must_say(text, "\"%s\"", ars_cpu_feature_name(f & -f));
    for (int cpu = 0; cpu < t.end; cpu++) {
        for (int nth = 0; ars_cpu_read_cache(cpu, nth, &c) == 0; nth++)
            must_say(text, "\"size\":%lld,\"line\":%d,", (long long)c.size, c.line);
        ars_cpu_place p;
        if (ars_cpu_locate(cpu, &p) == 0) must_say(text, "{\"cpu\":%d,\"core\":%d,", cpu, p.core);
    }
}

static const test_case cases[] = {
    {"tool", tool},           {"machine", machine}, {"absent", absent}, {"nonsense", nonsense},
    {"long_list", long_list}, {"quotas", quotas},   {"here", here},
};
TEST_MAIN(cases)
