/* SPDX-License-Identifier: MIT */
#ifndef ARS_MODEL_LOCK_H
#define ARS_MODEL_LOCK_H

/* The programs of a lock that can be tried: the file before defines its TYPE, LOCK, TRY and UNLOCK. */

static TYPE lock;
static uint64_t counter, tries;

static void setup(void)
{
    memset(&lock, 0, sizeof lock);
    counter = tries = 0;
    model_shared(&lock, sizeof lock);
    model_shared(&counter, sizeof counter);
    model_shared(&tries, sizeof tries);
}

static void count(void)
{
    model_write(&counter, model_read(&counter) + 1);
    UNLOCK(&lock);
    model_result(1);
}

static void locks(void)
{
    LOCK(&lock);
    count();
}

static void locks_twice(void)
{
    locks();
    locks();
}

static void tries_twice(void)
{
    for (int i = 0; i < 2; i++) {
        if (TRY(&lock)) {
            tries++;
            count();
        } else {
            model_result(0);
        }
    }
}

static void three(void)
{
    MODEL_CHECK(counter == 3);
}

static void four(void)
{
    MODEL_CHECK(counter == 4);
}

static void three_and_tries(void)
{
    MODEL_CHECK(counter == 3 + tries);
}

static const model_program programs[] = {
    {"three that lock", setup, {locks, locks, locks}, three, 0},
    {"two that lock twice", setup, {locks_twice, locks_twice}, four, 0},
    {"three locks and two tries", setup, {locks_twice, locks, tries_twice}, three_and_tries, 0},
};
static const model_survivor survivors[] = {{NULL, NULL, NULL}};
MODEL_MAIN(programs, survivors)

#endif
