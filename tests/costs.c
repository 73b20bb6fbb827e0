/* SPDX-License-Identifier: MIT */
#include "../bench/costs.h"

#include <stdlib.h>

#include "base/san.h"
#include "test.h"

/* The table of docs/costs.md says what is. */

static char page[16384];

static void read_page(void)
{
    char path[4096];
    const char *name = strstr(__FILE__, "tests/costs.c");

    CHECK(name);
    snprintf(path, sizeof path, "%.*sdocs/costs.md", (int)(name - __FILE__), __FILE__);
    FILE *in = fopen(path, "r");
    if (!in) FAIL("cannot read %s", path);
    size_t n = fread(page, 1, sizeof page - 1, in);
    CHECK(n > 0 && n < sizeof page - 1);
    fclose(in);
}

/* The figure in the row "| `ID` | FIGURE |"; < 0 without one. */
static double documented(const char *id)
{
    char cell[64];
    snprintf(cell, sizeof cell, "| `%s` | ", id);
    const char *row = strstr(page, cell);
    return row ? strtod(row + strlen(cell), NULL) : -1;
}

static void docs_say_what_is(void)
{
    read_page();
    for (int i = 0; i < COSTS; i++) {
        double told = documented(costs[i].id), is = costs[i].bytes(costs[i].arg);
        test_context = costs[i].id;
        if (told < 0) FAIL("docs/costs.md has no row for it; it is %.1f bytes", is);
        /* Blocks come from slabs, whose last one is not full. */
        if (is < told - told / 50 - 0.5 || is > told + told / 50 + 0.5)
            FAIL("docs/costs.md says %.1f bytes, it is %.1f", told, is);
    }
    test_context = NULL;
}

static void docs_name_nothing_else(void)
{
    int rows = 0;
    read_page();
    for (const char *at = page; (at = strstr(at, "| `costs.")); at++) rows++;
    CHECK_EQ(rows, COSTS);
}

static const test_case cases[] = {
    {"docs_say_what_is", docs_say_what_is},
    {"docs_name_nothing_else", docs_name_nothing_else},
};

int main(int argc, char **argv)
{
#ifndef __x86_64__
    test_skip_all("the page is about x86-64");
#endif
#if ARS__ASAN || ARS__TSAN
    test_skip_all("sanitizers make tasks larger");
#endif
#ifdef ARS_ASSERT
    test_skip_all("assertions make objects larger");
#endif
    return test_main(cases, sizeof cases / sizeof *cases, argc, argv);
}
