/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Makes a table of bench records (a JSON object a line, see bench.h):
 * for each id the systems, and Arsenal's ratio to the best peer and to the
 * best limit.
 */

enum { RECORDS_MAX = 4096 };

struct record {
    char id[64], system[64], config[128], unit[16];
    int lower;
    double min, median, max;
};

static struct record records[RECORDS_MAX];
static int count;

/* The value of a key, without quotes; "" if there is none. */
static void field(const char *line, const char *key, char *out, size_t size)
{
    char quoted[40];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    out[0] = 0;
    if (!at) return;
    at += strlen(quoted);
    int text = *at == '"';
    at += text;
    snprintf(out, size, "%.*s", (int)strcspn(at, text ? "\"" : ",}"), at);
}

static int read_records(const char *path)
{
    char line[1024], better[16], number[32];
    FILE *in = fopen(path, "r");

    if (!in) {
        fprintf(stderr, "table: cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (fgets(line, sizeof line, in) && count < RECORDS_MAX) {
        struct record *r = &records[count];
        field(line, "bench", r->id, sizeof r->id);
        if (!r->id[0]) continue;
        field(line, "system", r->system, sizeof r->system);
        field(line, "config", r->config, sizeof r->config);
        field(line, "unit", r->unit, sizeof r->unit);
        field(line, "better", better, sizeof better);
        r->lower = strcmp(better, "higher") != 0;
        field(line, "min", number, sizeof number);
        r->min = strtod(number, NULL);
        field(line, "median", number, sizeof number);
        r->median = strtod(number, NULL);
        field(line, "max", number, sizeof number);
        r->max = strtod(number, NULL);
        count++;
    }
    fclose(in);
    return 0;
}

/* Arsenal's median divided by that of the best system of a kind; 0 without one. */
static double ratio(const struct record *r, int limit)
{
    double best = 0;

    for (int i = 0; i < count; i++) {
        const struct record *other = &records[i];
        int is_limit = !strncmp(other->system, "limit:", 6);
        if (strcmp(other->id, r->id) || !strcmp(other->system, "arsenal") || is_limit != limit)
            continue;
        if (!best || (r->lower ? other->median < best : other->median > best)) best = other->median;
    }
    return best > 0 ? r->median / best : 0;
}

static void print_ratio(double x)
{
    if (x > 0)
        printf(" %8.3f", x);
    else
        printf(" %8s", "-");
}

static void print_record(const struct record *r, int first)
{
    int ours = !strcmp(r->system, "arsenal");

    printf("%-25s %-22s %10.4g %10.4g %10.4g %-5s", first ? r->id : "", r->system, r->min,
           r->median, r->max, r->unit);
    print_ratio(ours ? ratio(r, 0) : 0);
    print_ratio(ours ? ratio(r, 1) : 0);
    printf("  %s\n", r->config);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: table FILE\n");
        return 2;
    }
    if (read_records(argv[1])) return 1;
    printf("%-25s %-22s %10s %10s %10s %-5s %8s %8s  %s\n", "bench", "system", "min", "median",
           "max", "unit", "/peer", "/limit", "remark");
    for (int i = 0; i < count; i++) {
        int seen = 0;
        for (int k = 0; k < i && !seen; k++) seen = !strcmp(records[k].id, records[i].id);
        for (int k = i; k < count && !seen; k++)
            if (!strcmp(records[k].id, records[i].id)) print_record(&records[k], k == i);
    }
    return 0;
}
