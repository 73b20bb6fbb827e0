/* SPDX-License-Identifier: MIT */
#include <arsenal/run.h>
#include <arsenal/rwlock.h>
#include <arsenal/seqlock.h>
#include <arsenal/spin.h>
#include <arsenal/spin_rw.h>
#include <arsenal/ticket.h>
#include <pthread.h>

#include "bench.h"

#if __has_include(<ck_rwlock.h>) && __has_include(<ck_spinlock.h>)
#define PEER_CK 1
#include <ck_rwlock.h>
#include <ck_spinlock.h>
#else
#define PEER_CK 0
#endif

/*
 *   lock.spin       lock and unlock, uncontended: ns a pair
 *   lock.ticket     the same, in the order of arrival
 *   lock.rw.read    the same, shared, for reading
 *   lock.rw.write   the same, for writing
 *   lock.seq.read   a copy of 32 bytes out of a seqlock
 *
 * "called": by the exported functions; else inlined.
 */

#define PAIRS(NAME, DECLARE, LOCK, UNLOCK)                                                         \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        DECLARE;                                                                                   \
        (void)arg;                                                                                 \
        double began = bench_now();                                                                \
        for (; n; n--) {                                                                           \
            LOCK;                                                                                  \
            UNLOCK;                                                                                \
        }                                                                                          \
        return bench_now() - began;                                                                \
    }
#define CALLED(NAME, TYPE, LOCK, UNLOCK)                                                           \
    static double NAME(uint64_t n, void *arg)                                                      \
    {                                                                                              \
        static TYPE lock;                                                                          \
        void (*volatile const take)(TYPE *) = LOCK;                                                \
        void (*volatile const give)(TYPE *) = UNLOCK;                                              \
        (void)arg;                                                                                 \
        double began = bench_now();                                                                \
        for (; n; n--) {                                                                           \
            take(&lock);                                                                           \
            give(&lock);                                                                           \
        }                                                                                          \
        return bench_now() - began;                                                                \
    }

PAIRS(spin, static ars_spin lock, ars_spin_lock(&lock), ars_spin_unlock(&lock))
PAIRS(ticket, static ars_ticket lock, ars_ticket_lock(&lock), ars_ticket_unlock(&lock))
PAIRS(rw_read, static ars_spin_rw lock, ars_spin_rw_read_lock(&lock),
      ars_spin_rw_read_unlock(&lock))
PAIRS(rw_write, static ars_spin_rw lock, ars_spin_rw_write_lock(&lock),
      ars_spin_rw_write_unlock(&lock))
CALLED(spin_called, ars_spin, ars_spin_lock, ars_spin_unlock)
CALLED(ticket_called, ars_ticket, ars_ticket_lock, ars_ticket_unlock)
CALLED(rw_read_called, ars_spin_rw, ars_spin_rw_read_lock, ars_spin_rw_read_unlock)
CALLED(rw_write_called, ars_spin_rw, ars_spin_rw_write_lock, ars_spin_rw_write_unlock)

/* ---- the limit: one exchange and one store, nothing around them ---- */

PAIRS(swap, static uint32_t word, (void)__atomic_exchange_n(&word, 1, __ATOMIC_ACQUIRE),
      __atomic_store_n(&word, 0, __ATOMIC_RELEASE))

/* ---- a value that is read much ---- */

static double seq_read(uint64_t n, void *arg)
{
    static ars_seqlock lock;
    static uint64_t words[4];
    uint64_t value[4] = {1, 2, 3, 4}, sum = 0;
    (void)arg;
    ars_seqlock_store(&lock, words, value, sizeof value);
    double began = bench_now();
    for (; n; n--) {
        ars_seqlock_load(&lock, words, value, sizeof value);
        sum += value[0] + value[1] + value[2] + value[3];
    }
    bench_use(sum);
    return bench_now() - began;
}

/* ---- the lock of tasks, in a task ---- */

struct job {
    uint64_t n;
    double ns;
    int writes;
};

static int root(void *arg)
{
    struct job *job = arg;
    ars_rwlock lock = {0};
    int rc = 0;
    double began = bench_now();
    for (uint64_t n = job->n; n && rc == 0; n--) {
        if (job->writes) {
            rc = ars_rwlock_write_lock(&lock, ARS_FOREVER);
            if (rc == 0) ars_rwlock_write_unlock(&lock);
        } else {
            rc = ars_rwlock_read_lock(&lock, ARS_FOREVER);
            if (rc == 0) ars_rwlock_read_unlock(&lock);
        }
    }
    job->ns = bench_now() - began;
    return rc;
}

static double in_task(uint64_t n, void *arg)
{
    struct job job = {n, -1, arg != NULL};
    ars_config config = {.workers = 1};
    return ars_run(root, &job, &config) < 0 ? -1 : job.ns;
}

/* ---- pthread ---- */

/* A process that has never had a second thread is spared the locked instructions by the C library. */
static void *nothing(void *arg)
{
    return arg;
}

static pthread_spinlock_t posix_spin;

PAIRS(pthread_spin, (void)0, pthread_spin_lock(&posix_spin), pthread_spin_unlock(&posix_spin))
PAIRS(pthread_read, static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER,
      pthread_rwlock_rdlock(&lock), pthread_rwlock_unlock(&lock))
PAIRS(pthread_write, static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER,
      pthread_rwlock_wrlock(&lock), pthread_rwlock_unlock(&lock))

/* ---- Concurrency Kit ---- */

#if PEER_CK
PAIRS(ck_spin, static ck_spinlock_fas_t lock = CK_SPINLOCK_FAS_INITIALIZER,
      ck_spinlock_fas_lock(&lock), ck_spinlock_fas_unlock(&lock))
PAIRS(ck_ticket, static ck_spinlock_ticket_t lock = CK_SPINLOCK_TICKET_INITIALIZER,
      ck_spinlock_ticket_lock(&lock), ck_spinlock_ticket_unlock(&lock))
PAIRS(ck_read, static ck_rwlock_t lock = CK_RWLOCK_INITIALIZER, ck_rwlock_read_lock(&lock),
      ck_rwlock_read_unlock(&lock))
PAIRS(ck_write, static ck_rwlock_t lock = CK_RWLOCK_INITIALIZER, ck_rwlock_write_lock(&lock),
      ck_rwlock_write_unlock(&lock))
#define CK(ID, RUN) ROW(ID, "ck", NULL, RUN, NULL),
#else
#define CK(ID, RUN)
#endif

#define ROW(ID, SYSTEM, CONFIG, RUN, ARG)                                                          \
    {                                                                                              \
        "lock." ID, SYSTEM, NULL, CONFIG, NULL, RUN, ARG, 0, 0                                     \
    }
#define BOTH(ID, RUN)                                                                              \
    ROW(ID, "arsenal", "inlined", RUN, NULL), ROW(ID, "arsenal:called", NULL, RUN##_called, NULL)

int main(int argc, char **argv)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL)) return 1;
    if (pthread_spin_init(&posix_spin, PTHREAD_PROCESS_PRIVATE)) return 1;
    static int writes = 1;
    static const struct bench table[] = {
        BOTH("spin", spin),
        ROW("spin", "limit:swap", "an exchange and a store", swap, NULL),
        CK("spin", ck_spin) ROW("spin", "pthread", NULL, pthread_spin, NULL),
        BOTH("ticket", ticket),
        CK("ticket", ck_ticket) BOTH("rw.read", rw_read),
        ROW("rw.read", "arsenal:rwlock", "task", in_task, NULL),
        CK("rw.read", ck_read) ROW("rw.read", "pthread", NULL, pthread_read, NULL),
        BOTH("rw.write", rw_write),
        ROW("rw.write", "arsenal:rwlock", "task", in_task, &writes),
        CK("rw.write", ck_write) ROW("rw.write", "pthread", NULL, pthread_write, NULL),
        ROW("seq.read", "arsenal", "inlined, 32 bytes", seq_read, NULL),
    };
    return bench_main(argc, argv, table, sizeof table / sizeof *table);
}
