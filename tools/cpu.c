/* SPDX-License-Identifier: MIT */
/* Prints what <arsenal/cpu.h> finds here, for people or as one line of JSON. */
#include <arsenal/base.h>
#include <arsenal/cpu.h>

#include "options.h"

enum { KINDS_MAX = 64 };

/* Caches that are alike, and how many of them there are. */
struct kind {
    ars_cpu_cache cache;
    int count;
};

static struct kind kinds[KINDS_MAX];
static int n_kinds;

/* By CPU; core < 0 for one that is not on line. */
static ars_cpu_place *places;
static int end;

static int alike(const ars_cpu_cache *a, const ars_cpu_cache *b)
{
    return a->level == b->level && a->data == b->data && a->code == b->code && a->size == b->size &&
           a->line == b->line && a->ways == b->ways && a->sharers == b->sharers;
}

/* A shared cache is counted at the first CPU that has it. */
static void find_caches(void)
{
    ars_cpu_cache cache;
    for (int cpu = 0; cpu < end; cpu++) {
        for (int nth = 0; ars_cpu_read_cache(cpu, nth, &cache) == 0; nth++) {
            int i = 0;
            if (cache.first != cpu) continue;
            while (i < n_kinds && !alike(&kinds[i].cache, &cache)) i++;
            if (i == KINDS_MAX) return;
            if (i == n_kinds) kinds[n_kinds++].cache = cache;
            kinds[i].count++;
        }
    }
}

static int find_places(void)
{
    places = calloc((size_t)end, sizeof *places);
    if (!places) return -1;
    for (int cpu = 0; cpu < end; cpu++) {
        if (ars_cpu_locate(cpu, &places[cpu]) < 0) places[cpu].core = -1;
    }
    return 0;
}

static const char *kind_name(const ars_cpu_cache *c)
{
    return c->data && c->code ? "unified" : c->data ? "data" : "code";
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

/* ---- text ---- */

/* Words after a title, broken into lines. */
static void print_words(const char *title, char *words)
{
    int column = 100;
    printf("%-10s", title);
    if (!*words) printf(" none");
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        int length = (int)strlen(word) + 1;
        if (column + length > 80 && column != 100) {
            printf("\n%-10s", "");
            column = 100;
        }
        if (column == 100) column = 10;
        column += printf(" %s", word);
    }
    printf("\n");
}

static void print_size(int64_t bytes)
{
    if (bytes == 0)
        printf("size not told");
    else if (bytes % (1 << 20) == 0)
        printf("%lld MiB", (long long)bytes >> 20);
    else
        printf("%lld KiB", (long long)bytes >> 10);
}

static void print_caches(void)
{
    if (!n_kinds) printf("%-10s not told\n", "caches");
    for (int i = 0; i < n_kinds; i++) {
        const ars_cpu_cache *c = &kinds[i].cache;
        char title[16];
        snprintf(title, sizeof title, "L%d %s", c->level, kind_name(c));
        printf("%-10s %d x ", title, kinds[i].count);
        print_size(c->size);
        if (c->ways) printf(", %d way%s", c->ways, plural(c->ways));
        if (c->line) printf(", lines of %d bytes", c->line);
        printf(", each for %d CPU%s\n", c->sharers, plural(c->sharers));
    }
}

/* The CPUs of one node as ranges; nothing for a node without. */
static void print_node(int node)
{
    int last = -2, from = -2, any = 0;
    for (int cpu = 0; cpu <= end; cpu++) {
        int here = cpu < end && places[cpu].core >= 0 && places[cpu].node == node;
        if (here && last != cpu - 1) {
            if (!any) printf("node %-5d CPUs", node);
            printf("%s%d", any++ ? "," : " ", cpu);
            from = cpu;
        } else if (!here && last == cpu - 1 && last > from) {
            printf("-%d", last);
        }
        if (here) last = cpu;
    }
    if (any) printf("\n");
}

static void print_text(const ars_cpu_totals *t, uint64_t features)
{
    char words[ARS_CPU_TEXT];
    int highest = 0, usable = ars_cpu_count();
    ars_cpu_format(features, words, sizeof words);
    print_words("features", words);
    printf("%-10s %d on line, %d to use", "CPUs", t->online, usable);
    if (t->quota)
        printf(", of which the quota grants %lld.%03lld", (long long)t->quota / 1000,
               (long long)t->quota % 1000);
    printf("\n%-10s %d, in %d package%s and %d NUMA node%s\n", "cores", t->cores, t->packages,
           plural(t->packages), t->nodes, plural(t->nodes));
    print_caches();
    printf("%-10s %zu bytes\n%-10s %zu bytes\n", "line", ars_cpu_cache_line(), "page",
           ars_cpu_page_size());
    for (int cpu = 0; cpu < end; cpu++) {
        if (places[cpu].node > highest) highest = places[cpu].node;
    }
    for (int node = 0; node <= highest; node++) print_node(node);
}

/* ---- JSON ---- */

static void print_json(const ars_cpu_totals *t, uint64_t features)
{
    const char *comma = "";
    printf("{\"version\":\"%s\",\"features\":[", ars_version());
    for (; features; features &= features - 1, comma = ",")
        printf("%s\"%s\"", comma, ars_cpu_feature_name(features & -features));
    printf("],\"usable\":%d,\"online\":%d,\"cores\":%d,\"packages\":%d,\"nodes\":%d,",
           ars_cpu_count(), t->online, t->cores, t->packages, t->nodes);
    if (t->quota)
        printf("\"quota\":%lld.%03lld,", (long long)t->quota / 1000, (long long)t->quota % 1000);
    else
        printf("\"quota\":null,");
    printf("\"page\":%zu,\"line\":%zu,\"caches\":[", ars_cpu_page_size(), ars_cpu_cache_line());
    for (int i = 0; i < n_kinds; i++) {
        const ars_cpu_cache *c = &kinds[i].cache;
        printf("%s{\"level\":%d,\"kind\":\"%s\",\"size\":%lld,\"line\":%d,\"ways\":%d,"
               "\"sharers\":%d,\"count\":%d}",
               i ? "," : "", c->level, kind_name(c), (long long)c->size, c->line, c->ways,
               c->sharers, kinds[i].count);
    }
    printf("],\"cpus\":[");
    comma = "";
    for (int cpu = 0; cpu < end; cpu++) {
        const ars_cpu_place *p = &places[cpu];
        if (p->core < 0) continue;
        printf("%s{\"cpu\":%d,\"core\":%d,\"package\":%d,\"node\":%d,\"allowed\":%s}", comma, cpu,
               p->core, p->package, p->node, p->allowed ? "true" : "false");
        comma = ",";
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    int json = 0;
    const struct option options[] = {
        {.name = "json", .kind = OPTION_FLAG, .value = &json, .help = "one line of JSON"},
        {.name = NULL},
    };
    const struct command_line cl = {
        .program = "cpu",
        .usage = "[--json]",
        .purpose = "Prints the features, cores and caches of this machine's CPUs.",
        .options = options,
    };
    ars_cpu_totals totals;

    options_parse(&cl, argc, argv);
    ars_cpu_count_all(&totals);
    end = totals.end;
    if (find_places() < 0) {
        fprintf(stderr, "cpu: out of memory\n");
        return 1;
    }
    find_caches();
    if (json)
        print_json(&totals, ars_cpu_features());
    else
        print_text(&totals, ars_cpu_features());
    free(places);
    if (fflush(stdout) || ferror(stdout)) {
        perror("cpu: stdout");
        return 1;
    }
    return 0;
}
