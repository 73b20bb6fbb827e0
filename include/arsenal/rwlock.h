/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_RWLOCK_H
#define ARSENAL_RWLOCK_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * A read-write lock admits any number of readers, or one writer.  Tasks that
 * have to wait park; plain threads block.  All-zero is unlocked.
 *
 * Neither side starves.  A writer that waits keeps new readers out; when a
 * writer unlocks, all readers that have come in the meantime are admitted
 * before the next writer.  Writers take turns in the order they came.  The lock
 * is handed over directly: whoever is woken holds it.
 *
 * So a reader must not lock for reading again: a writer that came in between
 * would wait for it, and it for the writer.  There is no upgrade from reading
 * to writing.
 *
 * What was done before an unlock happens before what follows the locks that it
 * lets through: a writer's before everybody's, a reader's before a writer's.
 *
 * Debug builds check that the writer unlocks what it has locked, that it does
 * not lock again, and ranks; they report a task that ends or is abandoned while
 * it holds the lock for writing.  Readers are not recorded.
 */
typedef struct ars_rwlock {
    uint32_t rank; /* as in ars_mutex */
    uint32_t ars__word;
    uint64_t ars__state[4];
} ars_rwlock;

/* clang-format off */
#define ARS_RWLOCK_RANK(rank) {(rank), 0, {0, 0, 0, 0}}
/* clang-format on */

/*
 * ars_rwlock_read_lock() locks for reading, waiting until 'deadline'.
 *
 * Returns 0 when the caller holds the lock.  After any error it does not:
 *   ARS_ETIMEDOUT  the deadline passed (a deadline of 0 tries once)
 *   ARS_ECANCELED  the task is cancelled, before or during the wait; never with
 *                  deadline 0
 *   ARS_EOVERFLOW  it has 2^29 - 1 readers
 *   ARS_EDEADLK    in debug builds: the caller holds it for writing, or holds a
 *                  lock of the same or a higher rank
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_rwlock_read_lock(ars_rwlock *lock, ars_time deadline);

/*
 * ars_rwlock_read_unlock() ends what ars_rwlock_read_lock() began.
 *
 * Returns 0, or ARS_EPERM if nobody reads, and nothing has changed.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_rwlock_read_unlock(ars_rwlock *lock);

/*
 * ars_rwlock_write_lock() locks for writing, waiting until 'deadline'.  When a
 * writer gives up, the readers that it has kept out are admitted.
 *
 * Returns and errors: as ars_rwlock_read_lock(), without ARS_EOVERFLOW.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_API ARS_MUST_USE int ars_rwlock_write_lock(ars_rwlock *lock, ars_time deadline);

/*
 * ars_rwlock_write_unlock() ends what ars_rwlock_write_lock() began.
 *
 * Returns 0, or ARS_EPERM if nobody writes, in debug builds also if somebody
 * else does, and nothing has changed.
 *
 * Suspends: no.  Allocates: no.  Callable from: task, thread.
 */
ARS_API int ars_rwlock_write_unlock(ars_rwlock *lock);

ARS_END_DECLS

#endif
