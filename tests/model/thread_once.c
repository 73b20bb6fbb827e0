/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/thread_once.h>

#include "os/os.h"
#define ars__os_futex_wait model_futex_wait
/* All of them: there are no more. */
#define ars__os_futex_wake(word, n) model_futex_wake(word, MODEL_THREADS)
#include "sync/thread_once.c"

static ars_thread_once once;
static uint64_t runs, fails;

static void setup(void)
{
    memset(&once, 0, sizeof once);
    runs = fails = 0;
    model_shared(&once, sizeof once);
    model_shared(&runs, sizeof runs);
    model_shared(&fails, sizeof fails);
}

static int succeeds(void *arg)
{
    (void)arg;
    model_write(&runs, model_read(&runs) + 1);
    return 0;
}

static int fails_first(void *arg)
{
    (void)arg;
    model_write(&fails, model_read(&fails) + 1);
    if (model_read(&fails) == 1) return ARS_ENOMEM;
    model_write(&runs, model_read(&runs) + 1);
    return 0;
}

static void does(void)
{
    MODEL_CHECK(ars_thread_once_do(&once, succeeds, NULL, ARS_FOREVER) == 0);
    MODEL_CHECK(model_read(&runs) == 1);
    model_result(1);
}

static void does_again(void)
{
    int rc = ars_thread_once_do(&once, fails_first, NULL, ARS_FOREVER);
    MODEL_CHECK(rc == 0 || rc == ARS_ENOMEM);
    if (rc == 0) MODEL_CHECK(model_read(&runs) == 1);
    model_result((uint64_t)(rc == 0));
}

static void was_done(void)
{
    MODEL_CHECK(runs == 1);
}

static const model_program programs[] = {
    {"three ask", setup, {does, does, does}, was_done, 0},
    {"one of three fails", setup, {does_again, does_again, does_again}, was_done, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)
