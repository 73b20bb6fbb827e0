/* SPDX-License-Identifier: MIT */
/*
 * Mutexes.  Documented in <arsenal/mutex.h>.
 *
 * The word is 0, LOCKED, or has waiters.  An unlock with waiters wakes the
 * first of them to compete, and marks that in the word: until that one has the
 * lock or has queued again, at the front, unlocks wake nobody else.  A waiter
 * that finds the lock taken each time is in the end handed it: LOCKED stays
 * set, and only the owner changes.
 *
 * Whenever somebody is queued, LOCKED or WOKEN is set: there is somebody on
 * whom the next step depends.
 *
 * A worker that has long been the only one to lock it gets it PRIVATE: it then
 * locks and unlocks by plain stores, in a section of its own (bias.h).  While
 * the bit is set nobody else writes the word, and nobody is queued: who finds
 * it and cannot do without takes it away first, under 'taking'.
 */
#include "run/mutex.h"

#include "os/os.h"
#include "run/bias.h"
#include "run/gate.h"
#include "run/held.h"

enum {
    LOCKED = ARS__UNIT,
    WOKEN = ARS__UNIT << 1, /* one who has waited is awake and not yet queued again */
    PRIVATE = ARS__UNIT << 2,
    COMPETE = 1,            /* what its parked call returns; 0: the lock is its own */
    PATIENCE = 1000 * 1000, /* ns that one waits before the lock is handed over */
    PATIENT_SPINS = 200,    /* before another thread of this CPU gets its turn */
    SAMPLE = 32,            /* one of so many locks is counted */
    SPINS = 20              /* looks at a lock held elsewhere, before parking */
};

typedef struct ars__mutex {
    ars__gate gate;        /* its option: the rank */
    ars_atomic_ptr worker; /* that locked it last; NULL: a thread */
    ars__bias bias;        /* its streak belongs to who holds the mutex */
    ars_spin taking;
} ars__mutex;

ARS__STATIC_ASSERT(sizeof(ars__mutex) <= sizeof(ars_mutex));

static ars__mutex *of(ars_mutex *handle)
{
    return (ars__mutex *)(void *)handle;
}

/* ---- the word ---- */

static ARS__NOINLINE void take_back(ars__mutex *m, const ars__worker *me)
{
    ars_spin_lock(&m->taking);
    if (ars_atomic_u32_load_relaxed(&m->gate.word) & PRIVATE) {
        if (ars__bias_is_foreign(&m->bias, me))
            ars__bias_end(&m->bias);
        else
            ars__bias_drop(&m->bias);
        uint32_t word = ars_atomic_u32_load_relaxed(&m->gate.word);
        /* Release: what the owner did when it had the lock, for who locks it next. */
        ars_atomic_u32_store_release(&m->gate.word, word & ~(uint32_t)PRIVATE);
    }
    ars_spin_unlock(&m->taking);
}

/* As ars__gate_lock(), for 'me', a worker or NULL. */
static uint32_t busy_lock(ars__mutex *m, const ars__worker *me)
{
    for (unsigned spins = 1;; spins++) {
        uint32_t word = ars_atomic_u32_load_relaxed(&m->gate.word);
        if (word & PRIVATE)
            take_back(m, me);
        else if (!(word & ARS__BUSY) &&
                 ars_atomic_u32_cas_acq_rel(&m->gate.word, &word, word | ARS__BUSY))
            return word;
        else if (spins % PATIENT_SPINS == 0)
            ars__os_thread_yield();
        else
            ars_atomic_pause();
    }
}

/* 1: the lock was private, and free, and is now the caller's. */
static inline int try_private(ars__mutex *m, const ars__worker *me)
{
    if (!ars__bias_enter(&m->bias, me)) return 0;
    int is_free = ars_atomic_u32_load_relaxed(&m->gate.word) == PRIVATE;
    if (is_free) ars_atomic_u32_store_relaxed(&m->gate.word, PRIVATE | LOCKED);
    ars__bias_leave(&m->bias);
    return is_free;
}

/*
 * The caller holds it, and has perhaps long been the only one to: it becomes
 * private.  0.  Only some locks are counted, for a store between two exchanges
 * costs as much as an exchange.
 */
static ARS__NOINLINE int sample(ars__mutex *m, ars__worker *me)
{
    uint32_t word = LOCKED;
    m->bias.streak += SAMPLE;
    if (m->bias.streak >> ars__bias_taken(&m->bias) < ARS__STREAK) return 0;
    ars_spin_lock(&m->taking);
    ars__bias_grant(&m->bias, me);
    if (ars_atomic_ptr_load_relaxed(&m->bias.owner) == me &&
        !ars_atomic_u32_cas_acq_rel(&m->gate.word, &word, LOCKED | PRIVATE))
        ars__bias_drop(&m->bias);
    ars_spin_unlock(&m->taking);
    m->bias.streak = 0;
    return 0;
}

static void interrupt(ars__task *task, int why)
{
    ars__mutex *m = task->object;
    uint32_t word = busy_lock(m, task->worker);
    int waits = ars__node_linked(&task->node);
    if (waits) ars__waitq_remove(&m->gate.queue, &task->node);
    ars__gate_unlock(&m->gate, ars__gate_queued(&m->gate, word));
    if (waits) ars__ready(task, why);
}

static const ars__wait_class lock_class = {"mutex", interrupt};

/* The wait goes on; the interruption is found at the next one. */
static void ignore(ars__task *task, int why)
{
    (void)task, (void)why;
}

static const ars__wait_class relock_class = {"mutex of a condition", ignore};

/* ---- locking ---- */

static inline void locked(ars__mutex *m, ars__worker *worker, const void *place)
{
    /* Mostly there is nothing to store, which the unlock would have to wait for. */
    if (ars_atomic_ptr_load_relaxed(&m->worker) != worker) {
        ars_atomic_ptr_store_relaxed(&m->worker, worker);
        m->bias.streak = 0;
    }
    ars__held_add(m, m->gate.option, place);
    ars__san_acquire(m);
}

/* 1 if the lock was free and is now the caller's, who is WOKEN ('woken') or new (0). */
static inline int try_lock(ars__mutex *m, uint32_t woken)
{
    uint32_t word = ars_atomic_u32_load_relaxed(&m->gate.word);
    return !(word & (LOCKED | PRIVATE | ARS__BUSY)) &&
           ars_atomic_u32_cas_acq_rel(&m->gate.word, &word, (word & ~woken) | LOCKED);
}

/* A lock held on another CPU may soon be free; one held by a task of this worker cannot be. */
static int spin(ars__mutex *m, const ars__task *self, uint32_t woken)
{
    for (int i = 0; i < SPINS; i++) {
        if (try_lock(m, woken)) return 1;
        if (self->worker && ars_atomic_ptr_load_relaxed(&m->worker) == self->worker) return 0;
        ars_atomic_pause();
    }
    return 0;
}

/* With BUSY set: to the end of the queue, or, for one who has been its head, to the front. */
static void enqueue(ars__waitq *queue, ars__node *node, int front)
{
    if (!front || !queue->first) {
        ars__waitq_append(queue, node);
        return;
    }
    node->who |= ARS__LINKED;
    node->prev = NULL;
    node->next = queue->first;
    queue->first->prev = node;
    queue->first = node;
}

/* 'frame' NULL: cannot be interrupted. */
static ARS__NOINLINE int lock_slow(ars__mutex *m, ars__task *self, ars_time deadline,
                                   const void *frame, const void *place)
{
    ars_time since = 0;
    uint32_t woken = 0;
    int error = 0;
    for (;;) {
        if (ars_atomic_u32_load_relaxed(&m->gate.word) & PRIVATE) take_back(m, self->worker);
        if (deadline && spin(m, self, woken)) break;
        uint32_t word = busy_lock(m, self->worker);
        if (!(word & LOCKED)) {
            ars__gate_unlock(&m->gate, (word & ~woken) | LOCKED);
            break;
        }
        word &= ~woken;
        if (deadline == 0) error = ARS_ETIMEDOUT;
        if (error < 0) {
            ars__gate_unlock(&m->gate, word);
            return error;
        }
        if (!woken) since = ars__os_now();
        enqueue(&m->gate.queue, ars__task_node(self, &since), woken != 0);
        ars__gate_unlock(&m->gate, word | ARS__QUEUED);
        int rc = ars__park_at(self, frame ? &lock_class : &relock_class, m, deadline, place);
        if (rc < 0) return rc;
        if (rc != COMPETE) break;
        woken = WOKEN;
        /* Cancelled since: a free lock is taken all the same, a held one not waited for. */
        if (frame) error = ars__wait_enter_at(self, deadline, frame);
    }
    locked(m, self->worker, place);
    return 0;
}

static ARS__NOINLINE int lock_on_thread(ars__mutex *m, ars_time deadline, const void *frame,
                                        const void *place)
{
    if (try_lock(m, 0)) {
        locked(m, NULL, place);
        return 0;
    }
    ars__thread room;
    return lock_slow(m, ars__thread_begin(&room), deadline, frame, place);
}

static ARS__NOINLINE int lock_checked(ars__mutex *m, ars__task *self, ars_time deadline,
                                      const void *frame, const void *place)
{
    int rc = ars__wait_enter_at(self, deadline, frame);
    if (rc < 0) return rc;
    if (!try_private(m, self->worker)) return lock_slow(m, self, deadline, frame, place);
    locked(m, self->worker, place);
    return 0;
}

int ars_mutex_lock(ars_mutex *handle, ars_time deadline)
{
    ars__mutex *m = of(handle);
    const void *place = __builtin_return_address(0);
    int rc = ars__held_check(m, m->gate.option, place);
    if (rc < 0) return rc;
    ars__worker *worker = ars__worker_here();
    if (ARS__UNLIKELY(!worker)) return lock_on_thread(m, deadline, __builtin_dwarf_cfa(), place);
    ars__task *self = worker->current;
    if (ARS__UNLIKELY(!ars__wait_enter_fast(worker, self)))
        return lock_checked(m, self, deadline, __builtin_dwarf_cfa(), place);
    if (try_private(m, worker)) {
        locked(m, worker, place);
        return 0;
    }
    uint32_t word = 0;
    if (ARS__UNLIKELY(!ars_atomic_u32_cas_acq_rel(&m->gate.word, &word, LOCKED)))
        return lock_slow(m, self, deadline, __builtin_dwarf_cfa(), place);
    locked(m, worker, place);
    if (ARS__UNLIKELY(worker->budget % SAMPLE == 0)) return sample(m, worker);
    return 0;
}

/* ---- unlocking ---- */

static ARS__NOINLINE int unlock_slow(ars__mutex *m)
{
    uint32_t word = busy_lock(m, ars__worker_self());
    if (!(word & LOCKED)) {
        ars__gate_unlock(&m->gate, word);
        return ARS_EPERM;
    }
    ars__node *head = word & WOKEN ? NULL : m->gate.queue.first;
    if (!head) {
        ars__gate_unlock(&m->gate, word & ~(uint32_t)LOCKED);
        return 0;
    }
    ars__task *task = ars__node_task(head);
    const ars_time *since = head->value;
    int result = ars__os_now() - *since > PATIENCE ? 0 : COMPETE;
    ars__waitq_remove(&m->gate.queue, head);
    word = ars__gate_queued(&m->gate, word);
    if (result == COMPETE) word = (word & ~(uint32_t)LOCKED) | WOKEN;
    ars__gate_unlock(&m->gate, word);
    ars__wake(task, result, ARS__WAKE_NEXT);
    return 0;
}

int ars_mutex_unlock(ars_mutex *handle)
{
    ars__mutex *m = of(handle);
    int rc = ars__held_remove(m);
    if (rc < 0) return rc;
    ars__san_release(m);
    if (ars__bias_enter(&m->bias, ars__worker_here())) {
        int is_held = ars_atomic_u32_load_relaxed(&m->gate.word) == (PRIVATE | LOCKED);
        if (is_held) ars_atomic_u32_store_relaxed(&m->gate.word, PRIVATE);
        ars__bias_leave(&m->bias);
        return ARS__LIKELY(is_held) ? 0 : unlock_slow(m);
    }
    /* The release that the next lock's acquire pairs with. */
    uint32_t word = LOCKED;
    if (ARS__LIKELY(ars_atomic_u32_cas_acq_rel(&m->gate.word, &word, 0))) return 0;
    return unlock_slow(m);
}

/* ---- mutex.h ---- */

void ars__mutex_relock(ars_mutex *handle, ars__task *self, const void *place)
{
    ars__mutex *m = of(handle);
    int rc = lock_slow(m, self, ARS_FOREVER, NULL, place);
    ARS__ASSERT(rc == 0);
    (void)rc;
}

int ars__mutex_check_held(const ars_mutex *handle)
{
    const ars__mutex *m = (const ars__mutex *)(const void *)handle;
    int is_locked = (ars_atomic_u32_load_relaxed(&m->gate.word) & LOCKED) != 0;
    return is_locked && !ars__held_by_other(m) ? 0 : ARS_EPERM;
}
