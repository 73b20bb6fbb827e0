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
#include "cpu/detect.h"

/* Also what the emulated runs below print. */
static void print_features(void)
{
    uint64_t features = ars_cpu_features();
    char text[ARS_CPU_TEXT];
    CHECK(ars_cpu_format(features, text, sizeof text) > 0 || !features);
    printf("features: %s \n", text);
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
    CHECK_EQ(known, 30 + 12);
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_AVX2), "avx2");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_AVX512BF16), "avx512bf16");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_TSC_INVARIANT), "tsc_invariant");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_ARM_LSE), "arm_lse");
    CHECK_STR(ars_cpu_feature_name(ARS_CPU_SVE2), "sve2");
    CHECK(!ars_cpu_feature_name(0));
    CHECK(!ars_cpu_feature_name(ARS_CPU_SSE2 | ARS_CPU_AVX));
    CHECK(!ars_cpu_feature_name(UINT64_C(1) << 63));
}

static void format(void)
{
    char text[ARS_CPU_TEXT];
    memset(text, 'x', sizeof text);
    CHECK_EQ(ars_cpu_format(0, text, 0), ARS_ENOSPC);
    CHECK_EQ(ars_cpu_format(ARS_CPU_AVX2, text, 4), ARS_ENOSPC);
    CHECK_EQ(text[0], 'x');
    CHECK_EQ(ars_cpu_format(ARS_CPU_AVX2, text, 5), 4);
    CHECK_STR(text, "avx2");
    CHECK_EQ(text[5], 'x');
    CHECK_EQ(ars_cpu_format(ARS_CPU_SVE2 | ARS_CPU_SSE2 | ARS_CPU_NEON, text, sizeof text), 14);
    CHECK_STR(text, "sse2 neon sve2");
    CHECK_EQ(ars_cpu_format(0, text, 1), 0);
    CHECK_STR(text, "");
    /* All names fit; bits without one are left out. */
    int length = ars_cpu_format(~UINT64_C(0), text, sizeof text);
    CHECK_EQ(length, strlen(text));
    CHECK(strncmp(text, "sse2 sse3 ", 10) == 0 && strstr(text, " sve2") == text + length - 5);
    CHECK_EQ(ars_cpu_format(UINT64_C(1) << 62, text, sizeof text), 0);
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
        {ARS_CPU_VPCLMUL, " vpclmulqdq "},
        {ARS_CPU_AVX512VPOPCNT, " avx512_vpopcntdq "},
        {ARS_CPU_CX16, " cx16 "},
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

/* ---- CPUs that are not at hand ---- */

#if defined(__x86_64__)

enum { OSXSAVE = 1 << 27, AVX = 1 << 28, AVX2 = 1 << 5, AVX512F = 1 << 16 };

/* A CPU with every bit set, whose highest leaves are these; XCR0 as the operating system left it. */
static struct {
    uint32_t highest, highest_extended, sub_leaves, leaf_1_c, leaf_7_b;
    uint64_t xcr0;
} played;

static void played_cpuid(uint32_t leaf, uint32_t sub, uint32_t abcd[4])
{
    uint32_t top = leaf & 0x80000000u ? played.highest_extended : played.highest;
    for (int i = 0; i < 4; i++) abcd[i] = ~0u;
    if (leaf == 0 || leaf == 0x80000000u) abcd[0] = top;
    /* As Intel's do: beyond the end come the data of the highest basic leaf. */
    if (leaf > top) return;
    if (leaf == 1) abcd[2] = played.leaf_1_c;
    if (leaf == 7 && sub == 0) {
        abcd[0] = played.sub_leaves;
        abcd[1] = played.leaf_7_b;
    }
}

static uint64_t played_xcr0(void)
{
    if (!(played.leaf_1_c & OSXSAVE)) FAIL("XGETBV without OSXSAVE faults");
    return played.xcr0;
}

static uint64_t played_features(void)
{
    const ars__x86 cpu = {played_cpuid, played_xcr0};
    return ars__x86_features(&cpu);
}

/* What needs registers that the operating system must save. */
static const uint64_t ymm =
    ARS_CPU_AVX | ARS_CPU_F16C | ARS_CPU_FMA | ARS_CPU_AVX2 | ARS_CPU_VAES | ARS_CPU_VPCLMUL;
static const uint64_t zmm = ARS_CPU_AVX512F | ARS_CPU_AVX512BW | ARS_CPU_AVX512DQ |
                            ARS_CPU_AVX512VL | ARS_CPU_AVX512VBMI | ARS_CPU_AVX512VNNI |
                            ARS_CPU_AVX512BF16 | ARS_CPU_AVX512VPOPCNT;

static void gates(void)
{
    const uint64_t all = (UINT64_C(1) << 30) - 1, plain = all & ~ymm & ~zmm;
    uint64_t f;

    played.highest = 0x20;
    played.highest_extended = 0x80000008u;
    played.sub_leaves = 1;
    played.leaf_1_c = played.leaf_7_b = ~0u;
    played.xcr0 = 0xe7;
    CHECK_EQ(played_features(), all);

    /* An operating system that saves less, or one bit of what belongs together. */
    static const uint64_t half[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0xe3, 0xe5};
    for (size_t i = 0; i < sizeof half / sizeof *half; i++) {
        played.xcr0 = half[i];
        CHECK_EQ(played_features(), plain);
    }
    static const uint64_t no_zmm[] = {0x06, 0x07, 0x27, 0x47, 0x87, 0xc7, 0xa7, 0x67};
    for (size_t i = 0; i < sizeof no_zmm / sizeof *no_zmm; i++) {
        played.xcr0 = no_zmm[i];
        CHECK_EQ(played_features(), plain | ymm);
    }
    /* XCR0 must not even be asked for. */
    played.xcr0 = 0xe7;
    played.leaf_1_c = ~(uint32_t)OSXSAVE;
    CHECK_EQ(played_features(), plain);

    /* Parts without what they are parts of. */
    played.leaf_1_c = ~(uint32_t)AVX;
    CHECK_EQ(played_features(), plain);
    played.leaf_1_c = ~0u;
    played.leaf_7_b = ~(uint32_t)AVX512F;
    CHECK_EQ(played_features(), plain | ymm);
    played.leaf_7_b = ~0u;

    /* Leaves that are not there. */
    played.sub_leaves = 0;
    CHECK_EQ(played_features(), all & ~ARS_CPU_AVX512BF16);
    played.highest = 6;
    f = played_features();
    CHECK(f & ARS_CPU_AVX && f & ARS_CPU_FMA);
    CHECK_EQ(f & (zmm | ARS_CPU_AVX2 | ARS_CPU_VAES | ARS_CPU_VPCLMUL | ARS_CPU_BMI1 |
                  ARS_CPU_BMI2 | ARS_CPU_SHA | ARS_CPU_GFNI),
             0);
    played.highest_extended = 0x80000001u;
    CHECK_EQ(played_features(), f & ~ARS_CPU_TSC_INVARIANT);
    played.highest_extended = 0x80000000u;
    CHECK_EQ(played_features(), f & ~(ARS_CPU_TSC_INVARIANT | ARS_CPU_LZCNT | ARS_CPU_RDTSCP));
    played.highest = 0;
    CHECK_EQ(played_features(), 0);
}

#else

static void gates(void)
{
    test_skipped("the gates are x86-64's");
}

#endif

#if defined(__x86_64__) || defined(__aarch64__)

/*
 * Runs this program under an emulated CPU and checks words of its line; a '!'
 * in front: must not be there.  Emulators leave out what they do not know (AVX
 * in older ones), so of "max" only the rest is asked.
 */
static void emulated(const char *emulator, const char *model, const char *const *words)
{
    char self[1024], command[2048], line[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = '\0';
    snprintf(command, sizeof command, "%s -cpu %s '%s' print_features 2>/dev/null", emulator, model,
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

typedef struct model {
    const char *name;
    const char *words[24];
} model;

#if defined(__x86_64__)

#define EMULATOR "qemu-x86_64"
/* Where the program's shared libraries are. */
#define EMULATOR_LIBRARIES ""

static const model models[] = {
    {"qemu64", {"sse2", "sse3", "cx16", "!ssse3", "!sse4.2", "!avx", "!avx2", "!bmi1", "!avx512f"}},
    {"Nehalem",
     {"sse4.2", "popcnt", "cx16", "!avx", "!fma", "!bmi2", "!lzcnt", "!aes", "!sha", "!rdtscp",
      "!avx512f"}},
    {"Haswell",
     {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "lzcnt", "aes", "pclmul", "rdtscp", "!avx512f",
      "!sha", "!vaes", "!vpclmul"}},
    {"max", {"sse4.2", "popcnt", "lzcnt", "bmi1", "bmi2", "aes", "pclmul", "rdtscp", "cx16"}},
    /* The CPU still has AVX, but no operating system could save its registers. */
    {"Haswell,-xsave", {"sse4.2", "!avx", "!avx2", "!fma", "!f16c"}},
    /* A CPU whose highest leaf is 1, which it gives for those beyond: SSSE3's bit there is VAES in leaf 7. */
    {"Haswell,level=1", {"sse4.2", "avx", "!avx2", "!bmi1", "!vaes"}},
};

#else

#define EMULATOR           "qemu-aarch64"
#define EMULATOR_LIBRARIES " -L /usr/aarch64-linux-gnu"

static const model models[] = {
    {"cortex-a53",
     {"neon", "arm_crc32", "arm_aes", "arm_sha2", "!arm_lse", "!arm_dotprod", "!arm_i8mm", "!sve"}},
    {"cortex-a72",
     {"neon", "arm_crc32", "arm_aes", "arm_pmull", "arm_sha1", "!arm_lse", "!arm_bf16", "!sve"}},
    {"neoverse-n1",
     {"neon", "arm_crc32", "arm_aes", "arm_lse", "arm_dotprod", "!arm_i8mm", "!arm_bf16", "!sve"}},
    {"a64fx", {"neon", "arm_crc32", "arm_lse", "sve", "!sve2", "!arm_i8mm", "!arm_bf16"}},
    {"max",
     {"neon", "arm_aes", "arm_pmull", "arm_sha1", "arm_sha2", "arm_crc32", "arm_lse", "arm_dotprod",
      "arm_i8mm", "arm_bf16", "sve", "sve2"}},
};

#endif

static void emulated_cpus(void)
{
    if (ARS__ASAN || ARS__TSAN) {
        test_skipped("sanitizers do not run under the emulator");
        return;
    }
    if (system(EMULATOR " --version >/dev/null 2>&1") != 0) {
        test_skipped(EMULATOR " is not installed");
        return;
    }
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        emulated(EMULATOR EMULATOR_LIBRARIES, models[i].name, models[i].words);
}

#else

static void emulated_cpus(void)
{
    test_skipped("no features are known of this CPU");
}

#endif

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
    {"format", format},
    {"mask", mask},
    {"agrees_with_the_kernel", agrees_with_the_kernel},
    {"gates", gates},
    {"emulated_cpus", emulated_cpus},
    {"sizes", sizes},
    {"count_honours_affinity", count_honours_affinity},
    {"count_honours_quotas", count_honours_quotas},
};
TEST_MAIN(cases)
