/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/cpu.h>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/san.h"

/* Also what the emulated runs below print. */
static void print_features(void)
{
    uint64_t features = ars_cpu_features();
    printf("features:");
    for (int i = 0; i < 64; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (features & bit) printf(" %s", ars_cpu_feature_name(bit));
    }
    printf(" \n");
#if defined(__x86_64__)
    CHECK(features & ARS_CPU_SSE2);
    CHECK(features >> 32 == 0);
#elif defined(__aarch64__)
    CHECK(features & ARS_CPU_NEON);
    CHECK((uint32_t)features == 0);
#endif
    /* What one needs of the other. */
    if (features & (ARS_CPU_AVX2 | ARS_CPU_FMA | ARS_CPU_F16C)) CHECK(features & ARS_CPU_AVX);
    if (features & (ARS_CPU_AVX512BW | ARS_CPU_AVX512VL)) CHECK(features & ARS_CPU_AVX512F);
    if (features & ARS_CPU_SVE2) CHECK(features & ARS_CPU_SVE);
}

static void names(void)
{
    int known = 0;
    for (int i = 0; i < 64; i++) {
        const char *name = ars_cpu_feature_name(UINT64_C(1) << i);
        known += name != NULL;
        for (int j = 0; name && j < i; j++) {
            const char *other = ars_cpu_feature_name(UINT64_C(1) << j);
            CHECK(!other || strcmp(name, other) != 0);
        }
    }
    CHECK_EQ(known, 27 + 12);
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_AVX2), "avx2");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_AVX512BF16), "avx512bf16");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_TSC_INVARIANT), "tsc_invariant");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_ARM_LSE), "arm_lse");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_SVE2), "sve2");
    CHECK(!ars_cpu_feature_name(0));
    CHECK(!ars_cpu_feature_name(ARS_CPU_SSE2 | ARS_CPU_AVX));
    CHECK(!ars_cpu_feature_name(UINT64_C(1) << 63));
}

static void mask(void)
{
    uint64_t all = ars_cpu_features();
    uint64_t some = all & (all - 1);
    CHECK(ars_cpu_mask(some) == ~UINT64_C(0));
    CHECK(ars_cpu_features() == some);
    CHECK(ars_cpu_mask(0) == some);
    CHECK(ars_cpu_features() == 0);
    CHECK(ars_cpu_mask(~UINT64_C(0)) == 0);
    CHECK(ars_cpu_features() == all);
}

/* The kernel's list of the same features, under its own names. */
static void agrees_with_the_kernel(void)
{
    static const struct {
        uint64_t feature;
        const char *word;
    } words[] = {
#if defined(__x86_64__)
        {ARS_CPU_SSE2, " sse2 "},
        {ARS_CPU_SSE3, " pni "},
        {ARS_CPU_SSSE3, " ssse3 "},
        {ARS_CPU_SSE41, " sse4_1 "},
        {ARS_CPU_SSE42, " sse4_2 "},
        {ARS_CPU_POPCNT, " popcnt "},
        {ARS_CPU_LZCNT, " abm "},
        {ARS_CPU_BMI1, " bmi1 "},
        {ARS_CPU_BMI2, " bmi2 "},
        {ARS_CPU_AES, " aes "},
        {ARS_CPU_PCLMUL, " pclmulqdq "},
        {ARS_CPU_SHA, " sha_ni "},
        {ARS_CPU_GFNI, " gfni "},
        {ARS_CPU_AVX, " avx "},
        {ARS_CPU_F16C, " f16c "},
        {ARS_CPU_FMA, " fma "},
        {ARS_CPU_AVX2, " avx2 "},
        {ARS_CPU_VAES, " vaes "},
        {ARS_CPU_AVX512F, " avx512f "},
        {ARS_CPU_AVX512BW, " avx512bw "},
        {ARS_CPU_AVX512DQ, " avx512dq "},
        {ARS_CPU_AVX512VL, " avx512vl "},
        {ARS_CPU_AVX512VBMI, " avx512vbmi "},
        {ARS_CPU_AVX512VNNI, " avx512_vnni "},
        {ARS_CPU_AVX512BF16, " avx512_bf16 "},
        {ARS_CPU_RDTSCP, " rdtscp "},
        {ARS_CPU_TSC_INVARIANT, " nonstop_tsc "},
#elif defined(__aarch64__)
        {ARS_CPU_NEON, " asimd "},
        {ARS_CPU_ARM_AES, " aes "},
        {ARS_CPU_ARM_PMULL, " pmull "},
        {ARS_CPU_ARM_SHA1, " sha1 "},
        {ARS_CPU_ARM_SHA2, " sha2 "},
        {ARS_CPU_ARM_CRC32, " crc32 "},
        {ARS_CPU_ARM_LSE, " atomics "},
        {ARS_CPU_ARM_DOTPROD, " asimddp "},
        {ARS_CPU_ARM_I8MM, " i8mm "},
        {ARS_CPU_ARM_BF16, " bf16 "},
        {ARS_CPU_SVE, " sve "},
        {ARS_CPU_SVE2, " sve2 "},
#endif
    };
#if defined(__x86_64__)
    const char *key = "flags";
#else
    const char *key = "Features";
#endif
    char line[8192];
    FILE *f = fopen("/proc/cpuinfo", "r");
    int found = 0;
    while (f && !found && fgets(line, sizeof line, f)) found = strncmp(line, key, strlen(key)) == 0;
    if (f) fclose(f);
    if (!found) {
        test_skipped("/proc/cpuinfo has no line \"%s\": an emulator shows its host's", key);
        return;
    }
    line[strcspn(line, "\n")] = ' ';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int kernel = strstr(line, words[i].word) != NULL;
        int ours = (ars_cpu_features() & words[i].feature) != 0;
        if (kernel != ours)
            FAIL("%s: kernel %d, ours %d", ars_cpu_feature_name(words[i].feature), kernel, ours);
    }
}

/* Runs this program under an emulated CPU and checks words of its line; a '!' in front: must not be there. */
static void emulated(const char *model, const char *const *words)
{
    char self[1024], command[2048], line[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = '\0';
    snprintf(command, sizeof command, "qemu-x86_64 -cpu %s '%s' print_features 2>/dev/null", model,
             self);
    FILE *f = popen(command, "r");
    CHECK(f);
    int found = 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "features: ", 10) == 0) {
            found = 1;
            break;
        }
    }
    while (getc(f) != EOF) {}
    CHECK_EQ(pclose(f), 0);
    CHECK(found);
    printf("  %s: %s", model, line + 10);
    for (; *words; words++) {
        char word[32];
        int wanted = **words != '!';
        snprintf(word, sizeof word, " %s ", *words + !wanted);
        if ((strstr(line, word) != NULL) != wanted) FAIL("%s: %s", model, *words);
    }
}

static void emulated_cpus(void)
{
#if defined(__x86_64__)
    const int same_code = 1;
#else
    const int same_code = 0;
#endif
    if (!same_code) {
        test_skipped("the models are x86-64's");
        return;
    }
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("sanitizers do not run under the emulator");
        return;
    }
    if (system("qemu-x86_64 --version >/dev/null 2>&1") != 0) {
        test_skipped("qemu-x86_64 is not installed");
        return;
    }
    static const char *const qemu64[] = {"sse2", "sse3",  "!ssse3", "!sse4.2",
                                         "!avx", "!avx2", "!bmi1",  NULL};
    static const char *const nehalem[] = {"sse4.2", "popcnt", "!avx", "!fma",    "!bmi2",
                                          "!lzcnt", "!aes",   "!sha", "!rdtscp", NULL};
    static const char *const haswell[] = {"avx",      "avx2",  "fma",   "f16c",   "bmi1",
                                          "bmi2",     "lzcnt", "aes",   "pclmul", "rdtscp",
                                          "!avx512f", "!sha",  "!vaes", NULL};
    /* The CPU still has AVX, but no operating system could save its registers. */
    static const char *const no_xsave[] = {"sse4.2", "!avx", "!avx2", "!fma", "!f16c", NULL};
    /* A CPU whose highest leaf is 1, which it gives for those beyond: SSSE3's bit there is VAES in leaf 7. */
    static const char *const one_leaf[] = {"sse4.2", "avx", "!avx2", "!bmi1", "!vaes", NULL};
    emulated("qemu64", qemu64);
    emulated("Nehalem", nehalem);
    emulated("Haswell", haswell);
    emulated("Haswell,-xsave", no_xsave);
    emulated("Haswell,level=1", one_leaf);
}

static void sizes(void)
{
    size_t page = ars_cpu_page_size(), line = ars_cpu_cache_line();
    CHECK_EQ(page, sysconf(_SC_PAGESIZE));
    CHECK(line >= 16 && line <= 1024 && (line & (line - 1)) == 0);
}

/* ---- the number of CPUs ---- */

static void one_cpu(void *arg)
{
    cpu_set_t set;
    (void)arg;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    int first = 0;
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
    CHECK_EQ(ars_cpu_count(), 1);
}

static void count_honours_affinity(void)
{
    cpu_set_t set;
    int count = ars_cpu_count();
    CHECK(count >= 1);
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    CHECK(count <= CPU_COUNT(&set));
    test_end end = test_child(one_cpu, NULL);
    if (end.status || end.signal) FAIL("child: %s", end.err);
}

static int write_text(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text);
}

static const char *group;

static void in_the_group(void *arg)
{
    CHECK(write_text(group, "cgroup.procs", "0"));
    CHECK_EQ(ars_cpu_count(), *(int *)arg);
}

/* Sets a quota in percent of one CPU on a new group and counts inside of it and of a group below. */
static void with_quota(const char *parent, int v2, int percent, int expected)
{
    char outer[128], inner[160], text[64];
    snprintf(outer, sizeof outer, "%s/ars-test-%d", parent, (int)getpid());
    snprintf(inner, sizeof inner, "%s/below", outer);
    if (mkdir(outer, 0755) != 0 || mkdir(inner, 0755) != 0) {
        rmdir(outer);
        test_skipped("no control group can be made in %s", parent);
        return;
    }
    snprintf(text, sizeof text, v2 ? "%d 100000" : "%d", percent * 1000);
    int set = write_text(outer, v2 ? "cpu.max" : "cpu.cfs_quota_us", text);
    if (set) {
        test_end end;
        /* The quota of the group above counts below as well. */
        group = inner;
        end = test_child(in_the_group, &expected);
        if (end.status || end.signal) FAIL("%d %%: %s", percent, end.err);
    } else {
        test_skipped("control groups in %s take no quota", parent);
    }
    CHECK(rmdir(inner) == 0 && rmdir(outer) == 0);
}

static void count_honours_quotas(void)
{
    int count = ars_cpu_count();
    int v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
    const char *parent = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    with_quota(parent, v2, 50, 1);
    with_quota(parent, v2, 101, count < 2 ? count : 2);
    with_quota(parent, v2, 100 * (count + 5), count);
}

static const test_case cases[] = {
    {"print_features", print_features},
    {"names", names},
    {"mask", mask},
    {"agrees_with_the_kernel", agrees_with_the_kernel},
    {"emulated_cpus", emulated_cpus},
    {"sizes", sizes},
    {"count_honours_affinity", count_honours_affinity},
    {"count_honours_quotas", count_honours_quotas},
};
TEST_MAIN(cases)
