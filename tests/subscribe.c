/* SPDX-License-Identifier: MIT */
/* Broadcast: every subscriber gets everything, or is told that it has not. */
#include <arsenal/select.h>

#include <stdlib.h>

#include "chans.h"
#include "crew.h"
#include "fault.h"

static ars_chan *source_of(unsigned flags)
{
    ars_chan *source = NULL;
    ars_chan_opt opt = {.flags = flags};
    CHECK_EQ(ars_chan_new(&source, sizeof(long), 0, &opt), 0);
    return source;
}

static ars_chan *subscribe(ars_chan *source, size_t lag)
{
    ars_chan *sub = NULL;
    CHECK_EQ(ars_chan_subscribe(source, &sub, lag), 0);
    return sub;
}

static void later_values_only(void)
{
    ars_chan *source = source_of(ARS_CHAN_BROADCAST);
    long value = 0;
    send(source, 1); /* to nobody */
    ars_chan *a = subscribe(source, 4);
    send(source, 2);
    ars_chan *b = subscribe(source, 4);
    send(source, 3);
    CHECK_EQ(recv(a), 2);
    CHECK_EQ(recv(a), 3);
    CHECK_EQ(recv(b), 3);
    CHECK_EQ(ars_chan_recv(a, &value, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_chan_recv(b, &value, 0), ARS_ETIMEDOUT);
    /* One subscriber goes, the other stays. */
    ars_chan_free(a);
    send(source, 4);
    CHECK_EQ(recv(b), 4);
    ars_chan_free(b);
    send(source, 5);
    ars_chan_free(source);
}

static void lag_is_told_once(void)
{
    ars_chan *source = source_of(ARS_CHAN_BROADCAST);
    ars_chan *slow = subscribe(source, 3), *other = subscribe(source, 100);
    long value = 0;
    ars_case one = ARS_RECV(slow, &value);
    for (long i = 0; i < 3; i++) send(source, i);
    CHECK_EQ(recv(slow), 0); /* just not too slow */
    for (long i = 3; i < 10; i++) send(source, i);
    CHECK_EQ(ars_chan_len(slow), 3);
    CHECK_EQ(ars_chan_recv(slow, &value, ARS_FOREVER), ARS_EOVERFLOW);
    CHECK_EQ(value, 0);
    for (long i = 7; i < 10; i++) CHECK_EQ(recv(slow), i);
    CHECK_EQ(ars_chan_recv(slow, &value, 0), ARS_ETIMEDOUT);
    for (long i = 0; i < 10; i++) CHECK_EQ(recv(other), i); /* it costs nobody else anything */

    for (long i = 0; i < 4; i++) send(source, i);
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), ARS_LAGGED(0));
    CHECK_EQ(ars_select(&one, 1, ARS_FOREVER), 0);
    CHECK_EQ(value, 1);

    /* Told even if it comes with the end. */
    for (long i = 0; i < 5; i++) send(source, i);
    CHECK_EQ(ars_chan_close(source), 0);
    CHECK_EQ(ars_chan_recv(slow, &value, 0), ARS_EOVERFLOW);
    long many[5];
    CHECK_EQ(ars_chan_recv_many(slow, many, 5, ARS_FOREVER), 3);
    CHECK_EQ(many[0], 2);
    CHECK_EQ(many[2], 4);
    CHECK_EQ(ars_chan_recv(slow, &value, ARS_FOREVER), ARS_EPIPE);
    ars_chan_free(slow);
    ars_chan_free(other);
    ars_chan_free(source);
}

static void newest_value(void)
{
    ars_chan *source = source_of(ARS_CHAN_LATEST);
    ars_chan *sub = subscribe(source, 0);
    long value = 0;
    CHECK_EQ(ars_chan_cap(sub), 1);
    for (long i = 0; i < 5; i++) send(source, i);
    CHECK_EQ(recv(sub), 4);
    CHECK_EQ(ars_chan_recv(sub, &value, 0), ARS_ETIMEDOUT);
    send(source, 5);
    CHECK_EQ(ars_chan_close(source), 0);
    CHECK_EQ(recv(sub), 5);
    CHECK_EQ(ars_chan_recv(sub, &value, 0), ARS_EPIPE);
    ars_chan_free(sub);
    ars_chan_free(source);
}

static void the_end(void)
{
    ars_chan *source = source_of(ARS_CHAN_BROADCAST), *none = (ars_chan *)(uintptr_t)1;
    ars_chan *a = subscribe(source, 2), *b = subscribe(source, 2);
    long value = 7;
    send(source, 1);
    CHECK_EQ(ars_chan_close(a), 0); /* no more for this one */
    CHECK_EQ(ars_chan_close(a), ARS_EPIPE);
    send(source, 2);
    CHECK_EQ(recv(a), 1);
    CHECK_EQ(ars_chan_recv(a, &value, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(ars_chan_close(source), 0);
    CHECK_EQ(ars_chan_close(source), ARS_EPIPE);
    CHECK_EQ(ars_chan_send(source, &value, ARS_FOREVER), ARS_EPIPE);
    CHECK_EQ(ars_chan_subscribe(source, &none, 1), ARS_EPIPE);
    CHECK_EQ(recv(b), 1);
    CHECK_EQ(recv(b), 2);
    CHECK_EQ(ars_chan_recv(b, &value, ARS_FOREVER), ARS_EPIPE);
    ars_chan_free(a);
    ars_chan_free(b);
    ars_chan_free(source);
    /* The source goes first. */
    source = source_of(ARS_CHAN_BROADCAST);
    a = subscribe(source, 2);
    send(source, 3);
    ars_chan_free(source);
    CHECK_EQ(recv(a), 3);
    CHECK_EQ(ars_chan_recv(a, &value, ARS_FOREVER), ARS_EPIPE);
    ars_chan_free(a);
    CHECK_EQ(value, 7);
    CHECK(none == (ars_chan *)(uintptr_t)1);
}

static void bad_input(void)
{
    ars_chan *source = source_of(ARS_CHAN_BROADCAST), *plain = NULL, *sub = NULL;
    long value = 0;
    CHECK_EQ(ars_chan_new(&plain, sizeof(long), 1, NULL), 0);
    CHECK_EQ(ars_chan_subscribe(plain, &sub, 1), ARS_EINVAL);
    CHECK_EQ(ars_chan_subscribe(NULL, &sub, 1), ARS_EINVAL);
    CHECK_EQ(ars_chan_subscribe(source, &sub, 0), ARS_EINVAL);
    CHECK_EQ(ars_chan_subscribe(source, &sub, (size_t)INT32_MAX + 1), ARS_EINVAL);
    CHECK_EQ(ars_chan_subscribe(source, NULL, 1), ARS_EINVAL);
    CHECK_EQ(ars_chan_recv(source, &value, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_recv_many(source, &value, 1, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_subscribe(source, &sub, 1), 0);
    CHECK_EQ(ars_chan_send(sub, &value, ARS_FOREVER), ARS_EINVAL);
    CHECK_EQ(ars_chan_send_many(sub, &value, 1, ARS_FOREVER), ARS_EINVAL);
    ars_chan_free(sub);
    ars_chan_free(plain);
    ars_chan_free(source);
}

/* ---- with receivers that wait ---- */

enum { SENDERS = 3, EACH = 1000, LISTENERS = 5 };

static ars_chan *hub;

static int speaks(void *arg)
{
    for (long i = 0; i < EACH; i++) {
        send(hub, (long)(intptr_t)arg * 100000 + i);
        if (i % 100 == 0) CHECK_EQ(ars_yield(), 0);
    }
    return 0;
}

typedef struct listener {
    ars_chan *sub;
    long heard[SENDERS * EACH];
} listener;

static int listens(void *arg)
{
    listener *l = arg;
    int n = 0, rc;
    long value = 0;
    ars_case one = ARS_RECV(l->sub, &value);
    for (;;) {
        if (n % 2) {
            rc = ars_select(&one, 1, ARS_FOREVER);
            if (rc == ARS_CLOSED(0)) break;
        } else if ((rc = ars_chan_recv(l->sub, &value, ARS_FOREVER)) == ARS_EPIPE) {
            break;
        }
        CHECK_EQ(rc, 0);
        CHECK(n < SENDERS * EACH);
        l->heard[n++] = value;
    }
    CHECK_EQ(n, SENDERS * EACH);
    ars_chan_free(l->sub); /* at once, while others are being served */
    return 0;
}

static int choir(void *arg)
{
    (void)arg;
    listener *l = calloc(LISTENERS, sizeof *l);
    crew ears, mouths;
    hub = source_of(ARS_CHAN_BROADCAST);
    crew_begin(&ears);
    for (int i = 0; i < LISTENERS; i++) {
        l[i].sub = subscribe(hub, SENDERS * EACH);
        i == 0 ? crew_thread(&ears, listens, &l[i]) : crew_task(&ears, listens, &l[i]);
    }
    crew_begin(&mouths);
    crew_thread(&mouths, speaks, (void *)(intptr_t)1);
    crew_task(&mouths, speaks, (void *)(intptr_t)2);
    crew_task(&mouths, speaks, (void *)(intptr_t)3);
    crew_end(&mouths);
    CHECK_EQ(ars_chan_close(hub), 0);
    crew_end(&ears);
    /* All have heard the same, in the same order. */
    for (int i = 1; i < LISTENERS; i++)
        CHECK_EQ(memcmp(l[i].heard, l[0].heard, sizeof l[0].heard), 0);
    ars_chan_free(hub);
    free(l);
    return 0;
}

static void all_hear_the_same(void)
{
    crew_run_all(choir, 2);
}

static void out_of_memory_body(const ars_alloc *alloc)
{
    ars_chan *source = NULL, *sub = NULL;
    ars_chan_opt opt = {.alloc = alloc, .flags = ARS_CHAN_BROADCAST};
    if (ars_chan_new(&source, sizeof(long), 0, &opt) < 0) return;
    int rc = ars_chan_subscribe(source, &sub, 3);
    if (rc < 0) CHECK_EQ(rc, ARS_ENOMEM);
    send(source, 1);
    if (sub) CHECK_EQ(recv(sub), 1);
    ars_chan_free(sub);
    ars_chan_free(source);
}

static void out_of_memory(void)
{
    CHECK_EQ(sweep_alloc("subscribe", out_of_memory_body), 2);
}

static const test_case cases[] = {
    {"later_values_only", later_values_only},
    {"lag_is_told_once", lag_is_told_once},
    {"newest_value", newest_value},
    {"the_end", the_end},
    {"bad_input", bad_input},
    {"all_hear_the_same", all_hear_the_same},
    {"out_of_memory", out_of_memory},
};
TEST_MAIN(cases)
