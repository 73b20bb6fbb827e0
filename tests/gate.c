/* SPDX-License-Identifier: MIT */
/* The tests' own tools: what must be found is found.  Each finding ends a child. */
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/san.h"
#include "fault.h"
#include "os/os.h"

static void expect_failure(void (*fn)(void *), const char *text)
{
    test_end end = test_child(fn, NULL);
    CHECK_EQ(end.signal, 0);
    CHECK_EQ(end.status, 1);
    if (!strstr(end.err, text)) FAIL("\"%s\" is not in: %s", text, end.err);
}

/* ---- checks and children ---- */

static void checks_a_lie(void *arg)
{
    CHECK(arg != NULL);
}

static void compares_unequal(void *arg)
{
    (void)arg;
    CHECK_EQ(3, -4);
}

static void compares_texts(void *arg)
{
    (void)arg;
    CHECK_STR("a", "b");
}

static void checks(void)
{
    expect_failure(checks_a_lie, ": failed: arg != NULL");
    expect_failure(compares_unequal, "3 == -4: 3, -4");
    expect_failure(compares_texts, "\"a\", \"b\"");
}

static void dies(void *arg)
{
    (void)arg;
    raise(SIGTERM);
}

static void writes_much(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100000; i++) fprintf(stderr, "line %d\n", i);
}

static void children(void)
{
    CHECK_EQ(test_child(dies, NULL).signal, SIGTERM);
    test_end end = test_child(writes_much, NULL);
    CHECK_EQ(end.status, 0);
    CHECK_EQ(end.signal, 0);
    CHECK(strncmp(end.err, "line 0\nline 1\n", 14) == 0);
    CHECK_EQ(strlen(end.err), sizeof end.err - 1);
}

/* ---- the gate ---- */

static void gate_of(int leak)
{
    static ars_alloc_tracker tracker;
    static void *kept;
    test_gate gate;
    ars_alloc_tracker_init(&tracker, NULL);
    test_gate_begin(&gate, &tracker);
    if (leak == 1) CHECK(ars__os_eventfd() >= 0);
    if (leak == 2) CHECK(tracker.alloc.alloc(&tracker, 100, 8));
    if (leak == 3)
        CHECK(ars__os_reserve(&kept, 1 << 20) == 0 && ars__os_guard_protect(kept, 4096) == 0);
    test_gate_end(&gate, 0);
}

static void leaks_a_descriptor(void *arg)
{
    (void)arg;
    gate_of(1);
}

static void leaks_bytes(void *arg)
{
    (void)arg;
    gate_of(2);
}

static void leaks_a_mapping(void *arg)
{
    (void)arg;
    gate_of(3);
}

static void gate(void)
{
    gate_of(0);
    expect_failure(leaks_a_descriptor, "descriptors before");
    expect_failure(leaks_bytes, "leak: 0 bytes before, 100 after");
    if (ARS__ASAN || ARS__TSAN)
        test_skipped("mappings are not counted under a sanitizer");
    else
        expect_failure(leaks_a_mapping, "mappings before");
}

/* ---- sweeps ---- */

enum { HONEST, LOSES_BYTES, LOSES_DESCRIPTOR };

static int manner;

/* Four allocations and three system calls that can fail; what is lost is lost on an error path only. */
static void works(const ars_alloc *alloc)
{
    void *blocks[4] = {0};
    int fd = -1, n = 0;
    for (; n < 3; n++) {
        if (!(blocks[n] = alloc->alloc(alloc->ctx, 64, 16))) goto out;
    }
    void *more = alloc->resize(alloc->ctx, blocks[0], 64, 128, 16);
    if (!more) goto out;
    alloc->free(alloc->ctx, more, 128, 16);
    blocks[0] = NULL;
    fd = ars__os_eventfd();
    if (fd < 0) goto out;
    uint64_t one = 1;
    if (ars__os_write(fd, &one, 8) < 0 && manner == LOSES_DESCRIPTOR) fd = -1;
out:
    if (fd >= 0) ars__os_close(fd);
    for (int i = 0; i < n; i++) {
        if (blocks[i] && !(manner == LOSES_BYTES && n == 2))
            alloc->free(alloc->ctx, blocks[i], 64, 16);
    }
}

static void sweep_loses(void *arg)
{
    (void)arg;
    sweep_alloc("works", works);
}

static void sweep_os_loses(void *arg)
{
    (void)arg;
    sweep_os("works", works);
}

static void sweeps(void)
{
    manner = HONEST;
    CHECK_EQ(sweep_alloc("works", works), 4);
    /*
     * eventfd: three errors, once and for ever.  write: a passing one and one
     * more; close: two; each of the lasting ones once and for ever.
     */
    CHECK_EQ(sweep_os("works", works), 3 * 2 + 1 + 2 + 2 * 2);
    manner = LOSES_BYTES;
    expect_failure(sweep_loses, "works: allocation 3 failing: 128 bytes left");
    manner = LOSES_DESCRIPTOR;
    sweep_alloc("works", works);
    expect_failure(sweep_os_loses, "works: call 1 of write giving");
}

static const test_case cases[] = {
    {"checks", checks},
    {"children", children},
    {"gate", gate},
    {"sweeps", sweeps},
};
TEST_MAIN(cases)
