/* SPDX-License-Identifier: MIT */
/*
 * A section that one worker enters without a read-modify-write, and those who
 * take it away from it.  bias.h, bias.c and the spinlock are the library's; the
 * functions named ars__lane_ repeat, access by access, what run/lane.c does to
 * 'tail' and to what says that the receiver waits.
 *
 * The kernel's barrier meets each other thread at a moment of its own.
 */
#include "model.h"

#include <arsenal/spin.h>
#include <stdio.h>

#include "os/os.h"

static int barrier_of_model(void);
#define ars__os_barrier barrier_of_model
#include "run/bias.c"

static enum {
    NO_BUG,
    NO_BARRIER,
    BUSY_IGNORED, /* who takes the section away does not wait for who is inside */
    NOT_TAKEN,
    WAITS_UNEXCLUDED /* who waits leaves the section to its owner */
} bug;

static int barrier_of_model(void)
{
    if (bug != NO_BARRIER) model_barrier();
    return 0;
}

static ARS__ALIGNED(64) char workers[2][64]; /* addresses of workers */
#define OWNER   ((void *)workers[0])
#define ANOTHER ((void *)workers[1])

static ars__bias bias;
static ars_spin lock;
static uint64_t counter;

static void setup(void)
{
    memset(&bias, 0, sizeof bias);
    memset(&lock, 0, sizeof lock);
    counter = 0;
    bias.claim = (uintptr_t)OWNER | ARS__BIASED;
    bias.owner.ars__v = OWNER;
    ars__bias_usable.ars__v = 1;
    model_shared(&bias, sizeof bias);
    model_shared(&lock, sizeof lock);
    model_shared(&counter, sizeof counter);
    model_shared(&ars__bias_usable, sizeof ars__bias_usable);
}

/* ---- as a lock ---- */

static void end(void *me)
{
    if (!ars__bias_is_foreign(&bias, me)) return;
    if (bug == BUSY_IGNORED) {
        bias.claim &= ~(uintptr_t)ARS__BIAS_MASK;
        ars_atomic_ptr_store_relaxed(&bias.owner, NULL);
        ars__os_barrier();
    } else {
        ars__bias_end(&bias);
    }
}

/* With room for others between the two halves. */
static void add_one(void)
{
    uint64_t before = model_read(&counter);
    ars_atomic_u32_load_relaxed(&ars__bias_usable);
    model_write(&counter, before + 1);
}

static void count(void *me, int again)
{
    if (ars__bias_enter(&bias, me)) {
        add_one();
        ars__bias_leave(&bias);
    } else {
        ars_spin_lock(&lock);
        end(me);
        add_one();
        if (again) ars__bias_grant(&bias, me);
        ars_spin_unlock(&lock);
    }
    model_result(1);
}

static void owner_counts(void)
{
    count(OWNER, 0);
    count(OWNER, 0);
}

static void owner_wants_it_again(void)
{
    for (int i = 0; i < 3; i++) count(OWNER, 1);
}

static void another_counts(void)
{
    count(ANOTHER, 1);
}

static void another_counts_twice(void)
{
    count(ANOTHER, 1);
    count(ANOTHER, 1);
}

static void thread_counts(void)
{
    count(NULL, 0);
}

static void two(void)
{
    MODEL_CHECK(counter == 2);
}

static void three(void)
{
    MODEL_CHECK(counter == 3);
}

static void four(void)
{
    MODEL_CHECK(counter == 4);
}

static void five(void)
{
    MODEL_CHECK(counter == 5);
}

/* ---- as a mutex, as run/mutex.c has it; nobody waits but by looking again ---- */

enum { LOCKED = 4, PRIVATE = 16 };

static struct {
    ars_atomic_u32 word;
    ars_spin taking;
} mutex;

static void mutex_setup(void)
{
    setup();
    memset(&mutex, 0, sizeof mutex);
    mutex.word.ars__v = PRIVATE;
    model_shared(&mutex, sizeof mutex);
}

static void free_mutex_setup(void)
{
    mutex_setup();
    mutex.word.ars__v = 0;
    bias.claim = 0;
    bias.owner.ars__v = NULL;
}

static void ars__mutex_take_back(void *me)
{
    ars_spin_lock(&mutex.taking);
    if (ars_atomic_u32_load_relaxed(&mutex.word) & PRIVATE) {
        if (bug == NOT_TAKEN) {
        } else if (ars__bias_is_foreign(&bias, me)) {
            end(me);
        } else {
            ars__bias_drop(&bias);
        }
        uint32_t word = ars_atomic_u32_load_relaxed(&mutex.word);
        ars_atomic_u32_store_release(&mutex.word, word & ~(uint32_t)PRIVATE);
    }
    ars_spin_unlock(&mutex.taking);
}

static void ars__mutex_make_private(void *me)
{
    uint32_t word = LOCKED;
    ars_spin_lock(&mutex.taking);
    ars__bias_grant(&bias, me);
    if (ars_atomic_ptr_load_relaxed(&bias.owner) == me &&
        !ars_atomic_u32_cas_acq_rel(&mutex.word, &word, LOCKED | PRIVATE))
        ars__bias_drop(&bias);
    ars_spin_unlock(&mutex.taking);
}

static void ars__mutex_lock(void *me, int again)
{
    if (ars__bias_enter(&bias, me)) {
        int is_free = ars_atomic_u32_load_relaxed(&mutex.word) == PRIVATE;
        if (is_free) ars_atomic_u32_store_relaxed(&mutex.word, PRIVATE | LOCKED);
        ars__bias_leave(&bias);
        if (is_free) return;
    }
    for (;;) {
        uint32_t word = ars_atomic_u32_load_relaxed(&mutex.word);
        if (word == LOCKED)
            ars_atomic_pause();
        else if (word & PRIVATE)
            ars__mutex_take_back(me);
        else if (ars_atomic_u32_cas_acq_rel(&mutex.word, &word, LOCKED))
            break;
    }
    if (again) ars__mutex_make_private(me);
}

static void ars__mutex_unlock(void *me)
{
    if (ars__bias_enter(&bias, me)) {
        int is_held = ars_atomic_u32_load_relaxed(&mutex.word) == (PRIVATE | LOCKED);
        if (is_held) ars_atomic_u32_store_relaxed(&mutex.word, PRIVATE);
        ars__bias_leave(&bias);
        if (is_held) return;
    }
    for (;;) {
        uint32_t word = LOCKED;
        if (ars_atomic_u32_cas_acq_rel(&mutex.word, &word, 0)) break;
        MODEL_CHECK(word == (LOCKED | PRIVATE));
        ars__mutex_take_back(me);
    }
}

static void pair(void *me, int again)
{
    ars__mutex_lock(me, again);
    add_one();
    ars__mutex_unlock(me);
    model_result(1);
}

static void owner_locks(void)
{
    for (int i = 0; i < 2; i++) pair(OWNER, 0);
}

static void owner_locks_for_itself(void)
{
    pair(OWNER, 1);
}

static void another_locks(void)
{
    pair(ANOTHER, 1);
}

/* ---- as the sender's side of a lane ---- */

enum { CELLS = 4 };
#define CLOSED ((uint64_t)1 << 63)

static struct {
    ars_atomic_u64 tail;
    ars_atomic_u32 receiver_waits, asleep;
    uint64_t cells[CELLS], linked, sent, got;
} lane;

static void lane_setup(void)
{
    setup();
    memset(&lane, 0, sizeof lane);
    model_shared(&lane, sizeof lane);
}

static void sleeps(void)
{
    while (ars_atomic_u32_load_acquire(&lane.asleep)) model_futex_wait(&lane.asleep.ars__v, 1, 0);
}

static void wakes(void)
{
    ars_atomic_u32_store_release(&lane.asleep, 0);
    model_futex_wake(&lane.asleep.ars__v, 1);
}

static void ars__lane_wake(void)
{
    ars_spin_lock(&lock);
    int waits = model_read(&lane.linked) != 0;
    model_write(&lane.linked, 0);
    ars_atomic_u32_store_relaxed(&lane.receiver_waits, 0);
    ars_spin_unlock(&lock);
    if (waits) wakes();
}

static int ars__lane_push(void *me, uint64_t value)
{
    int rc = ARS_EPIPE, biased = ars__bias_enter(&bias, me);
    uint64_t at = ars_atomic_u64_load_relaxed(&lane.tail);
    if (!(at & CLOSED)) {
        model_write(&lane.cells[at % CELLS], value);
        if (biased) {
            ars_atomic_u64_store_release(&lane.tail, at + 1);
            rc = 0;
        } else {
            rc = ars_atomic_u64_cas_seq_cst(&lane.tail, &at, at + 1) ? 0 : ARS_EPIPE;
        }
    }
    if (biased) ars__bias_leave(&bias);
    if (rc == 0 && ars_atomic_u32_load_seq_cst(&lane.receiver_waits)) ars__lane_wake();
    return rc;
}

/* 0, ARS_EPIPE, or 1: empty. */
static int ars__lane_pop(uint64_t head)
{
    uint64_t at = ars_atomic_u64_load_acquire(&lane.tail);
    if (head == (at & ~CLOSED)) return at & CLOSED ? ARS_EPIPE : 1;
    model_write(&lane.got, model_read(&lane.got) + model_read(&lane.cells[head % CELLS]));
    return 0;
}

static void ars__lane_wait(void *me, uint64_t head)
{
    ars_spin_lock(&lock);
    ars_atomic_u32_swap_seq_cst(&lane.receiver_waits, 1);
    if (bug != WAITS_UNEXCLUDED) end(me);
    int ready = ars_atomic_u64_load_seq_cst(&lane.tail) != head;
    if (ready) {
        ars_atomic_u32_store_relaxed(&lane.receiver_waits, 0);
    } else {
        ars_atomic_u32_store_relaxed(&lane.asleep, 1);
        model_write(&lane.linked, 1);
    }
    ars_spin_unlock(&lock);
    if (!ready) sleeps();
}

static void ars__lane_close(void *me)
{
    ars_spin_lock(&lock);
    end(me);
    uint64_t at = ars_atomic_u64_load_relaxed(&lane.tail);
    while (!ars_atomic_u64_cas_seq_cst(&lane.tail, &at, at | CLOSED)) {}
    ars_spin_unlock(&lock);
}

static void sends_two(void)
{
    for (uint64_t i = 1; i <= 2; i++) {
        int rc = ars__lane_push(OWNER, i);
        MODEL_CHECK(rc == 0);
        model_result(i);
    }
}

static void sends_and_asks_again(void)
{
    for (uint64_t i = 1; i <= 2; i++) {
        int rc = ars__lane_push(OWNER, i);
        MODEL_CHECK(rc == 0);
        model_result(i);
        ars_spin_lock(&lock);
        ars__bias_grant(&bias, OWNER);
        ars_spin_unlock(&lock);
        model_result(i);
    }
}

static void receives_two(void)
{
    for (uint64_t head = 0; head < 2;) {
        int rc = ars__lane_pop(head);
        if (rc == 0)
            head++;
        else
            ars__lane_wait(ANOTHER, head);
        model_result(head);
    }
}

static void all_got(void)
{
    MODEL_CHECK(lane.got == 3);
}

static void sends_until_closed(void)
{
    for (uint64_t i = 1; i <= 2; i++) {
        int rc = ars__lane_push(OWNER, i);
        if (rc == 0) model_write(&lane.sent, model_read(&lane.sent) + i);
        model_result((uint64_t)rc);
        if (rc < 0) break;
    }
}

static void closes(void)
{
    ars__lane_close(NULL);
}

static void receives_until_closed(void)
{
    int rc;
    for (uint64_t head = 0; (rc = ars__lane_pop(head)) != ARS_EPIPE;) {
        if (rc == 0)
            head++;
        else
            ars_atomic_pause();
        model_result(head);
    }
}

static void got_what_was_sent(void)
{
    MODEL_CHECK(lane.got == lane.sent);
}

enum { LOCK, LOCK_AGAIN, LOCK_THREE, MUTEX, MUTEX_AGAIN, WAIT, WAIT_AGAIN, CLOSE };
static const model_program programs[] = {
    [LOCK] = {"an owner and another", setup, {owner_counts, another_counts_twice}, four, 0},
    [LOCK_AGAIN] = {"an owner that has it again",
                    setup,
                    {owner_wants_it_again, another_counts_twice},
                    five,
                    0},
    [LOCK_THREE] = {"an owner, another and a thread",
                    setup,
                    {owner_wants_it_again, another_counts, thread_counts},
                    five,
                    1},
    [MUTEX] = {"a mutex", mutex_setup, {owner_locks, another_locks}, three, 0},
    [MUTEX_AGAIN] = {"a mutex that becomes private",
                     free_mutex_setup,
                     {owner_locks_for_itself, another_locks},
                     two,
                     0},
    [WAIT] = {"a receiver that waits", lane_setup, {sends_two, receives_two}, all_got, 0},
    [WAIT_AGAIN] = {"a receiver that waits for a sender that has it again",
                    lane_setup,
                    {sends_and_asks_again, receives_two},
                    all_got,
                    0},
    [CLOSE] = {"a close while one sends",
               lane_setup,
               {sends_until_closed, closes, receives_until_closed},
               got_what_was_sent,
               0},
};

static const struct {
    int bug;
    int program;
    const char *name;
} bugs[] = {
    {NO_BARRIER, LOCK, "no barrier between two who lock"},
    {NO_BARRIER, WAIT, "no barrier before one waits"},
    {NO_BARRIER, CLOSE, "no barrier before the close"},
    {NO_BARRIER, MUTEX, "no barrier before a mutex is taken back"},
    {BUSY_IGNORED, MUTEX, "who takes a mutex back does not wait for who is inside"},
    {NOT_TAKEN, MUTEX, "who takes a mutex back leaves the section to its owner"},
    {BUSY_IGNORED, LOCK, "a locker does not wait for who is inside"},
    {BUSY_IGNORED, CLOSE, "a close does not wait for who is inside"},
    {WAITS_UNEXCLUDED, WAIT, "who waits leaves the section to its owner"},
};

static const model_survivor survivors[] = {
    {"ars__mutex_take_back store 1", "relaxed",
     "it is for a third, who finds the bit gone: too many threads"},
    {"ars__mutex_lock cas 1", "acquire", "it gives nothing"},
    {"ars__mutex_unlock cas 1", "release", "it takes nothing"},
    {"ars__mutex_make_private cas 1", "relaxed acquire release",
     "who sees the bit looks at the rest with the lock"},
    {"ars__lane_close cas 1", "relaxed acquire release acq_rel",
     "values come by the exchanges and stores of the sender, which go on releasing through it"},
};

int main(void)
{
    int rc = model_main(programs, sizeof programs / sizeof *programs, survivors,
                        sizeof survivors / sizeof *survivors);
    if (rc == 77) return rc;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        bug = bugs[i].bug;
        int passes = model_explore(&programs[bugs[i].program]);
        printf("%s: %s\n", bugs[i].name, passes ? "passes" : "fails");
        if (!passes) continue;
        fprintf(stderr, "%s: nothing fails\n", bugs[i].name);
        rc = 1;
    }
    return rc;
}
