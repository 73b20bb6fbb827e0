/* SPDX-License-Identifier: MIT */
/*
 * Read-write locks.  Documented in <arsenal/rwlock.h>.
 *
 * Readers and writers have a queue each; the gate's is the writers'.  QUEUED
 * stands for both.  Readers are queued only while a writer holds the lock or is
 * queued itself, so whoever takes the last such writer away admits them all.
 */
#include <arsenal/rwlock.h>

#include "run/gate.h"
#include "run/held.h"

enum { WRITER = ARS__UNIT, READER = ARS__UNIT << 1 };
#define READERS_MAX (UINT32_MAX / READER)

typedef struct ars__rwlock {
    ars__gate gate; /* its option: the rank */
    ars__waitq readers;
} ars__rwlock;

ARS__STATIC_ASSERT(sizeof(ars__rwlock) <= sizeof(ars_rwlock));

static ars__rwlock *of(ars_rwlock *handle)
{
    return (ars__rwlock *)(void *)handle;
}

static uint32_t with_queued(const ars__rwlock *lock, uint32_t word)
{
    return lock->readers.first ? word | ARS__QUEUED : ars__gate_queued(&lock->gate, word);
}

/* With BUSY set: admits every reader that waits; they are to be woken. */
static uint32_t admit_readers(ars__rwlock *lock, uint32_t word, ars__wakes *wakes)
{
    return word + READER * ars__gate_take(&lock->readers, wakes, UINT32_MAX);
}

/* The value of a node is the queue that it is in. */
static void interrupt(ars__task *task, int why)
{
    ars__rwlock *lock = task->object;
    ars__wakes admitted;
    uint32_t word = ars__gate_lock(&lock->gate);
    ars__wakes_init(&admitted);
    int waits = ars__node_linked(&task->node);
    if (waits) ars__waitq_remove(task->node.value, &task->node);
    if (!(word & WRITER) && !lock->gate.queue.first) word = admit_readers(lock, word, &admitted);
    ars__gate_unlock(&lock->gate, with_queued(lock, word));
    ars__wakes_send(&admitted, 0, ARS__WAKE_TAIL);
    if (waits) ars__ready(task, why);
}

static const ars__wait_class read_class = {"rwlock, to read", interrupt};
static const ars__wait_class write_class = {"rwlock, to write", interrupt};

/* ---- reading ---- */

static inline int try_read(ars__rwlock *lock)
{
    uint32_t word = ars_atomic_u32_load_relaxed(&lock->gate.word);
    if (word & (ARS__BUSY | ARS__QUEUED | WRITER) || word / READER == READERS_MAX ||
        !ars_atomic_u32_cas_acq_rel(&lock->gate.word, &word, word + READER))
        return 0;
    ars__san_acquire(lock);
    return 1;
}

static ARS__NOINLINE int read_slow(void *object, ars__task *self, ars_time deadline,
                                   const void *place)
{
    ars__rwlock *lock = object;
    uint32_t word = ars__gate_lock(&lock->gate);
    int rc = 0;
    if (!(word & (WRITER | ARS__QUEUED))) {
        if (word / READER < READERS_MAX)
            word += READER;
        else
            rc = ARS_EOVERFLOW;
        ars__gate_unlock(&lock->gate, word);
    } else if (deadline == 0) {
        ars__gate_unlock(&lock->gate, word);
        rc = ARS_ETIMEDOUT;
    } else {
        ars__waitq_append(&lock->readers, ars__task_node(self, &lock->readers));
        ars__gate_unlock(&lock->gate, word | ARS__QUEUED);
        rc = ars__park_at(self, &read_class, lock, deadline, place);
    }
    ars__san_acquire(lock);
    return rc;
}

int ars_rwlock_read_lock(ars_rwlock *handle, ars_time deadline)
{
    ars__rwlock *lock = of(handle);
    int rc = ars__held_check(lock, lock->gate.option, __builtin_return_address(0));
    if (rc < 0) return rc;
    ARS__GATE_CALL(try_read(lock), read_slow, lock, deadline);
}

static ARS__NOINLINE int read_unlock_slow(ars__rwlock *lock)
{
    ars__wakes wakes;
    uint32_t word = ars__gate_lock(&lock->gate);
    ars__wakes_init(&wakes);
    if (word < READER) {
        ars__gate_unlock(&lock->gate, word);
        return ARS_EPERM;
    }
    word -= READER;
    if (word < READER && ars__gate_take(&lock->gate.queue, &wakes, 1)) word |= WRITER;
    ars__gate_unlock(&lock->gate, with_queued(lock, word));
    ars__wakes_send(&wakes, 0, ARS__WAKE_NEXT);
    return 0;
}

int ars_rwlock_read_unlock(ars_rwlock *handle)
{
    ars__rwlock *lock = of(handle);
    ars__san_release(lock);
    uint32_t word = ars_atomic_u32_load_relaxed(&lock->gate.word);
    if (ARS__LIKELY(word >= READER && !(word & (ARS__BUSY | ARS__QUEUED)) &&
                    ars_atomic_u32_cas_acq_rel(&lock->gate.word, &word, word - READER)))
        return 0;
    return read_unlock_slow(lock);
}

/* ---- writing ---- */

static inline int try_write(ars__rwlock *lock, const void *place)
{
    uint32_t word = 0;
    if (!ars_atomic_u32_cas_acq_rel(&lock->gate.word, &word, WRITER)) return 0;
    ars__held_add(lock, lock->gate.option, place);
    ars__san_acquire(lock);
    return 1;
}

static ARS__NOINLINE int write_slow(void *object, ars__task *self, ars_time deadline,
                                    const void *place)
{
    ars__rwlock *lock = object;
    uint32_t word = ars__gate_lock(&lock->gate);
    int rc = 0;
    if (!(word & ~(uint32_t)ARS__QUEUED)) {
        ars__gate_unlock(&lock->gate, word | WRITER);
    } else if (deadline == 0) {
        ars__gate_unlock(&lock->gate, word);
        rc = ARS_ETIMEDOUT;
    } else {
        rc = ars__gate_park(&lock->gate, word, self, &lock->gate.queue, &write_class, deadline,
                            place);
    }
    if (rc == 0) ars__held_add(lock, lock->gate.option, place);
    ars__san_acquire(lock);
    return rc;
}

int ars_rwlock_write_lock(ars_rwlock *handle, ars_time deadline)
{
    ars__rwlock *lock = of(handle);
    const void *place = __builtin_return_address(0);
    int rc = ars__held_check(lock, lock->gate.option, place);
    if (rc < 0) return rc;
    ARS__GATE_CALL(try_write(lock, place), write_slow, lock, deadline);
}

static ARS__NOINLINE int write_unlock_slow(ars__rwlock *lock)
{
    ars__wakes wakes;
    uint32_t word = ars__gate_lock(&lock->gate);
    ars__wakes_init(&wakes);
    if (!(word & WRITER)) {
        ars__gate_unlock(&lock->gate, word);
        return ARS_EPERM;
    }
    word = admit_readers(lock, word & ~(uint32_t)WRITER, &wakes);
    if (word < READER && ars__gate_take(&lock->gate.queue, &wakes, 1)) word |= WRITER;
    ars__gate_unlock(&lock->gate, with_queued(lock, word));
    ars__wakes_send(&wakes, 0, word & WRITER ? ARS__WAKE_NEXT : ARS__WAKE_TAIL);
    return 0;
}

int ars_rwlock_write_unlock(ars_rwlock *handle)
{
    ars__rwlock *lock = of(handle);
    int rc = ars__held_remove(lock);
    if (rc < 0) return rc;
    ars__san_release(lock);
    uint32_t word = WRITER;
    if (ARS__LIKELY(ars_atomic_u32_cas_acq_rel(&lock->gate.word, &word, 0))) return 0;
    return write_unlock_slow(lock);
}
