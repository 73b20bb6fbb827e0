/* SPDX-License-Identifier: MIT */
/* Read-write locks: who is let in together, in which order, and what giving up leaves. */
#include <arsenal/rwlock.h>

#include "locks.h"
#include "trail.h"

static void read_lock(ars_rwlock *lock)
{
    CHECK_EQ(ars_rwlock_read_lock(lock, ARS_FOREVER), 0);
}

static void read_unlock(ars_rwlock *lock)
{
    CHECK_EQ(ars_rwlock_read_unlock(lock), 0);
}

static void write_lock(ars_rwlock *lock)
{
    CHECK_EQ(ars_rwlock_write_lock(lock, ARS_FOREVER), 0);
}

static void write_unlock(ars_rwlock *lock)
{
    CHECK_EQ(ars_rwlock_write_unlock(lock), 0);
}

/* ---- exclusion ---- */

typedef struct ledger {
    ars_rwlock lock;
    long left, right; /* equal outside of a write, and not atomic */
    long rounds;
} ledger;

static int reads(void *arg)
{
    ledger *l = arg;
    for (long i = 0; i < l->rounds; i++) {
        int rc = ars_rwlock_read_lock(&l->lock, i % 3 ? ARS_FOREVER : ars_after(ARS_MICROSECOND));
        if (rc == ARS_ETIMEDOUT) continue;
        CHECK_EQ(rc, 0);
        long left = l->left;
        if (i % 32 == 0) CHECK_EQ(ars_yield(), 0);
        CHECK_EQ(left, l->right);
        read_unlock(&l->lock);
    }
    return 0;
}

static int writes(void *arg)
{
    ledger *l = arg;
    for (long i = 0; i < l->rounds;) {
        int rc = ars_rwlock_write_lock(&l->lock, i % 3 ? ARS_FOREVER : ars_after(ARS_MICROSECOND));
        if (rc == ARS_ETIMEDOUT) {
            CHECK_EQ(ars_yield(), 0);
            if (ars_rwlock_write_lock(&l->lock, ARS_FOREVER) < 0) return -1;
        } else {
            CHECK_EQ(rc, 0);
        }
        CHECK_EQ(l->left++, l->right);
        if (i % 32 == 0) CHECK_EQ(ars_yield(), 0);
        l->right++;
        write_unlock(&l->lock);
        i++;
    }
    return 0;
}

static int excludes(void *arg)
{
    (void)arg;
    ledger l = {.rounds = test_times(5000, 1000)};
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 4; i++) crew_task(&c, reads, &l);
    for (int i = 0; i < 2; i++) crew_task(&c, writes, &l);
    crew_thread(&c, reads, &l);
    crew_thread(&c, writes, &l);
    crew_end(&c);
    CHECK_EQ(l.left, 3 * l.rounds);
    CHECK_EQ(ars_rwlock_write_lock(&l.lock, 0), 0);
    write_unlock(&l.lock);
    return 0;
}

/* ---- order; on one worker ---- */

static int noted_read(void *arg)
{
    read_lock(arg);
    note('r');
    CHECK_EQ(ars_yield(), 0);
    CHECK_EQ(ars_yield(), 0);
    note('.');
    read_unlock(arg);
    return 0;
}

static int noted_write(void *arg)
{
    write_lock(arg);
    note('w');
    CHECK_EQ(ars_yield(), 0);
    note(';');
    write_unlock(arg);
    return 0;
}

/* A waiting writer keeps readers out; when it unlocks, all of them come before the next writer. */
static int takes_turns(void *arg)
{
    (void)arg;
    ars_rwlock lock = {0};
    crew c;
    trail[0] = '\0';
    read_lock(&lock);
    crew_begin(&c);
    CHECK_EQ(ars_rwlock_read_lock(&lock, 0), 0);
    read_unlock(&lock);
    static ars_fn *const order[] = {noted_write, noted_read, noted_write, noted_read, noted_read};
    for (int i = 0; i < 5; i++) {
        crew_task(&c, order[i], &lock);
        locks_settle();
    }
    CHECK_EQ(ars_rwlock_read_lock(&lock, 0), ARS_ETIMEDOUT);
    CHECK_EQ(ars_rwlock_write_lock(&lock, 0), ARS_ETIMEDOUT);
    CHECK_STR(trail, "");
    read_unlock(&lock);
    crew_end(&c);
    CHECK_STR(trail, "w;rrr...w;");
    return 0;
}

/* ---- giving up ---- */

static ars_atomic_u32 writer_gone;

static int write_times_out(void *arg)
{
    ars_time deadline = ars_after(10 * ARS_MILLISECOND);
    CHECK_EQ(ars_rwlock_write_lock(arg, deadline), ARS_ETIMEDOUT);
    CHECK(ars_now() >= deadline);
    ars_atomic_u32_store_release(&writer_gone, 1);
    return 0;
}

static int write_is_cancelled(void *arg)
{
    CHECK_EQ(ars_rwlock_write_lock(arg, ARS_FOREVER), ARS_ECANCELED);
    CHECK_EQ(ars_rwlock_read_lock(arg, ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

static int read_is_cancelled(void *arg)
{
    CHECK_EQ(ars_rwlock_read_lock(arg, ARS_FOREVER), ARS_ECANCELED);
    return 0;
}

/* Readers that only a waiting writer kept out come in when it gives up, while another still reads. */
static int writer_gives_up(void *arg)
{
    (void)arg;
    for (int how = 0; how < 3; how++) {
        ars_rwlock lock = {0};
        locks_victims v;
        crew c;
        trail[0] = '\0';
        read_lock(&lock);
        locks_victims_begin(&v);
        crew_begin(&c);
        ars_atomic_u32_store_relaxed(&writer_gone, 0);
        if (how == 0) locks_victim(&v, write_is_cancelled, &lock);
        if (how == 1) crew_task(&c, write_times_out, &lock);
        if (how == 2) crew_thread(&c, write_times_out, &lock);
        /* Until it waits; or has done so, unnoticed because the machine stood still. */
        while (!ars_atomic_u32_load_acquire(&writer_gone) && ars_rwlock_read_lock(&lock, 0) == 0) {
            read_unlock(&lock);
            CHECK_EQ(ars_yield(), 0);
        }
        for (int i = 0; i < 2; i++) crew_task(&c, noted_read, &lock);
        if (how == 0) {
            locks_settle();
            CHECK_STR(trail, "");
            locks_victims_cancel(&v);
        } else {
            CHECK_EQ(ars_group_wait(&v.group, ARS_FOREVER), 0);
        }
        crew_end(&c);
        CHECK_STR(trail, "rr..");
        read_unlock(&lock);
        CHECK_EQ(ars_rwlock_write_lock(&lock, 0), 0);
        write_unlock(&lock);
    }
    return 0;
}

static int readers_give_up(void *arg)
{
    (void)arg;
    ars_rwlock lock = {0};
    locks_victims v;
    write_lock(&lock);
    locks_victims_begin(&v);
    for (int i = 0; i < 3; i++) locks_victim(&v, read_is_cancelled, &lock);
    locks_settle();
    locks_victims_cancel(&v);
    write_unlock(&lock);
    CHECK_EQ(ars_rwlock_write_lock(&lock, 0), 0);
    write_unlock(&lock);
    return 0;
}

/* ---- freed by whoever unlocks it last ---- */

typedef struct shared {
    ars_rwlock lock;
    ars_atomic_u32 users;
} shared;

typedef struct shelf {
    shared **items;
    long n;
} shelf;

/* The last one to unlock is the last of those who have counted themselves out before they unlocked. */
static void let_go(shared *item, int writes_it)
{
    if (writes_it)
        write_lock(&item->lock);
    else
        read_lock(&item->lock);
    if (writes_it)
        write_unlock(&item->lock);
    else
        read_unlock(&item->lock);
    write_lock(&item->lock);
    uint32_t left = ars_atomic_u32_load_relaxed(&item->users) - 1;
    ars_atomic_u32_store_relaxed(&item->users, left);
    write_unlock(&item->lock);
    if (left) return;
    locks_gone(item, sizeof *item);
    free(item);
}

static int lets_go_reading(void *arg)
{
    shelf *s = arg;
    for (long i = 0; i < s->n; i++) let_go(s->items[i], 0);
    return 0;
}

static int lets_go_writing(void *arg)
{
    shelf *s = arg;
    for (long i = 0; i < s->n; i++) let_go(s->items[i], 1);
    return 0;
}

static int freed(void *arg)
{
    (void)arg;
    shelf s = {.n = test_times(50000, 5000)};
    s.items = malloc((size_t)s.n * sizeof *s.items);
    CHECK(s.items);
    for (long i = 0; i < s.n; i++) {
        s.items[i] = calloc(1, sizeof **s.items);
        CHECK(s.items[i]);
        s.items[i]->users.ars__v = 4;
    }
    crew c;
    crew_begin(&c);
    crew_task(&c, lets_go_reading, &s);
    crew_task(&c, lets_go_writing, &s);
    crew_task(&c, lets_go_reading, &s);
    crew_thread(&c, lets_go_writing, &s);
    crew_end(&c);
    free(s.items);
    return 0;
}

/* ---- misuse ---- */

static int misuse(void *arg)
{
    (void)arg;
    ars_rwlock lock = {0};
    CHECK_EQ(ars_rwlock_read_unlock(&lock), ARS_EPERM);
    CHECK_EQ(ars_rwlock_write_unlock(&lock), ARS_EPERM);
    read_lock(&lock);
    CHECK_EQ(ars_rwlock_write_unlock(&lock), ARS_EPERM);
    CHECK_EQ(ars_rwlock_write_lock(&lock, 0), ARS_ETIMEDOUT);
    read_unlock(&lock);
    write_lock(&lock);
    CHECK_EQ(ars_rwlock_read_unlock(&lock), ARS_EPERM);
    int again = ARS__ASSERTS ? ARS_EDEADLK : ARS_ETIMEDOUT;
    CHECK_EQ(ars_rwlock_read_lock(&lock, 0), again);
    CHECK_EQ(ars_rwlock_write_lock(&lock, 0), again);
    write_unlock(&lock);
    /* As many readers as there can be; none is asked for, the word says so. */
    lock.ars__word = UINT32_MAX & ~UINT32_C(7);
    CHECK_EQ(ars_rwlock_read_lock(&lock, ARS_FOREVER), ARS_EOVERFLOW);
    read_unlock(&lock);
    CHECK_EQ(ars_rwlock_read_lock(&lock, ARS_FOREVER), 0);
    return 0;
}

LOCKS_CASE_ALL(excludes)
LOCKS_CASE(takes_turns, 1)
LOCKS_CASE(writer_gives_up, 1)
LOCKS_CASE(readers_give_up, 1)
LOCKS_CASE_ALL(freed)
LOCKS_CASE(misuse, 1)

static const test_case cases[] = {
    {"excludes", case_excludes},
    {"takes turns", case_takes_turns},
    {"writer gives up", case_writer_gives_up},
    {"readers give up", case_readers_give_up},
    {"freed", case_freed},
    {"misuse", case_misuse},
};
TEST_MAIN(cases)
