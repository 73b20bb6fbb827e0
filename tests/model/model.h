/* SPDX-License-Identifier: MIT */
#ifndef ARS_MODEL_H
#define ARS_MODEL_H

/*
 * An exhaustive explorer of small programs over the lock-free headers.
 *
 * A program is up to three threads that call the real header; this file stands
 * in for <arsenal/atomic.h>, so include it first.  Each atomic access is a step.
 * The explorer runs the program again and again, with each order of steps and
 * each value that a load may read, until it has seen every state.
 *
 * What a load may read is C11's: any store to that object which is not older
 * than what the thread knows of.  A thread learns by reading, and by acquiring
 * what the writer knew when it released; sequentially consistent accesses come
 * in one order.  Read-modify-writes read the newest store.  Data that is not
 * atomic (model_read, model_write, memcpy in the headers) is checked for races
 * by the same knowledge.
 *
 * Covered: every execution of the program in which one order of execution
 * agrees with program order, with "reads from", with the order of stores to each
 * object and with that of sequentially consistent accesses.  So stale reads,
 * store buffering, and stores seen out of order are there.  Not covered: a load
 * that reads a store which, in that order, comes later (load buffering), and two
 * threads' stores to one object that end up in the other order than they were
 * executed in.  A spinning thread that pauses goes on only when there is
 * something newer to read; one that does not pause reads the same old store at
 * most three times in a row within an operation.  States are compared by a
 * 64-bit hash.
 *
 * That the orders of a header are needed is shown by weakening: each atomic
 * access is given each weaker order in turn, and a program must fail, or the
 * table of the model says why none does.
 */

#define ARSENAL_ATOMIC_H
#define ARS_INLINE static inline __attribute__((unused))

#include <arsenal/base.h>

#include <string.h>

typedef struct ars_atomic_u32 {
    uint32_t ars__v;
} ars_atomic_u32;
typedef struct ars_atomic_u64 {
    uint64_t ars__v;
} ars_atomic_u64;
typedef struct ars_atomic_i64 {
    int64_t ars__v;
} ars_atomic_i64;
typedef struct ars_atomic_ptr {
    void *ars__v;
} ars_atomic_ptr;

/* ---- programs ---- */

enum { MODEL_THREADS = 3 };

typedef struct model_program {
    const char *name;
    void (*setup)(void); /* makes the objects anew; calls model_shared() for each */
    void (*thread[MODEL_THREADS])(void);
    void (*finish)(void); /* after all threads have returned */
    int large;            /* explored as it is only, not with weakened orders */
} model_program;

/* An access that may be weakened without any program failing, and why that is so. */
typedef struct model_survivor {
    const char
        *where; /* "FUNCTION OPERATION NUMBER", the number counting such operations in it from 1 */
    const char *orders; /* to which */
    const char *why;
} model_survivor;

int model_main(const model_program *programs, size_t n, const model_survivor *survivors,
               size_t survivor_count);

/* All executions of one program, as it is: 1, or 0 if one of them fails. */
int model_explore(const model_program *program);

#define MODEL_MAIN(programs, survivors)                                                            \
    int main(void)                                                                                 \
    {                                                                                              \
        return model_main(programs, sizeof(programs) / sizeof *(programs), survivors,              \
                          sizeof(survivors) / sizeof *(survivors));                                \
    }

/* Memory that the threads share: its content is part of the state, and its plain data is checked. */
void model_shared(void *p, size_t size);

/*
 * The end of an operation of the running thread, with what came out of it.
 * What the thread does afterwards may depend on these results only.
 */
void model_result(uint64_t value);

/* Plain data of 8 bytes in shared memory. */
uint64_t model_read(const uint64_t *p);
void model_write(uint64_t *p, uint64_t value);

void model_fail(const char *what, int line);
#define MODEL_CHECK(x) ((x) ? (void)0 : model_fail(#x, __LINE__))

/* The kernel's futex: sleeps if '*word' is 'expected'; wakes any 'n' of the sleepers. */
int model_futex_wait(uint32_t *word, uint32_t expected, ars_time deadline);
int model_futex_wake(uint32_t *word, unsigned n);

/*
 * The kernel's barrier on all threads: each of the others exchanges with the
 * caller all that the two know, at a moment of its own while the call lasts.
 */
void model_barrier(void);

/* ---- the stand-in ---- */

enum model_order { MODEL_RELAXED, MODEL_ACQUIRE, MODEL_RELEASE, MODEL_ACQ_REL, MODEL_SEQ_CST };
enum model_op { MODEL_LOAD, MODEL_STORE, MODEL_SWAP, MODEL_ADD, MODEL_OR, MODEL_AND, MODEL_CAS };

typedef struct model_site {
    int line;
    enum model_op op;
    enum model_order order; /* as it is written */
    enum model_order used;
    const char *function; /* NULL: not met yet */
    unsigned number;
} model_site;

uint64_t model_load(model_site *site, const char *function, const void *p, size_t size);
void model_store(model_site *site, const char *function, void *p, size_t size, uint64_t value);
uint64_t model_swap(model_site *site, const char *function, void *p, size_t size, uint64_t value);
uint64_t model_add(model_site *site, const char *function, void *p, size_t size, uint64_t value);
uint64_t model_or(model_site *site, const char *function, void *p, size_t size, uint64_t value);
uint64_t model_and(model_site *site, const char *function, void *p, size_t size, uint64_t value);
int model_cas(model_site *site, const char *function, void *p, size_t size, void *expected,
              uint64_t value);
void model_pause(void);
void model_copy(void *to, const void *from, size_t size);

#define MODEL_SITE(op, order)                                                                      \
    __extension__({                                                                                \
        static model_site site_ = {__LINE__, MODEL_##op, MODEL_##order, MODEL_##order, NULL, 0};   \
        &site_;                                                                                    \
    }),                                                                                            \
        __func__
#define MODEL_AT(a)  &(a)->ars__v, sizeof(a)->ars__v
#define MODEL_PTR(v) ((uint64_t)(uintptr_t)(v))

static inline uint32_t model_u32(uint64_t value)
{
    return (uint32_t)value;
}

static inline void *model_ptr(uint64_t value)
{
    return (void *)(uintptr_t)value;
}

#define ars_atomic_u32_load_relaxed(a)     model_u32(model_load(MODEL_SITE(LOAD, RELAXED), MODEL_AT(a)))
#define ars_atomic_u32_load_acquire(a)     model_u32(model_load(MODEL_SITE(LOAD, ACQUIRE), MODEL_AT(a)))
#define ars_atomic_u32_load_seq_cst(a)     model_u32(model_load(MODEL_SITE(LOAD, SEQ_CST), MODEL_AT(a)))
#define ars_atomic_u32_store_relaxed(a, v) model_store(MODEL_SITE(STORE, RELAXED), MODEL_AT(a), (v))
#define ars_atomic_u32_store_release(a, v) model_store(MODEL_SITE(STORE, RELEASE), MODEL_AT(a), (v))
#define ars_atomic_u32_swap_acquire(a, v)                                                          \
    model_u32(model_swap(MODEL_SITE(SWAP, ACQUIRE), MODEL_AT(a), (v)))
#define ars_atomic_u32_swap_seq_cst(a, v)                                                          \
    model_u32(model_swap(MODEL_SITE(SWAP, SEQ_CST), MODEL_AT(a), (v)))
#define ars_atomic_u32_add_relaxed(a, v)                                                           \
    model_u32(model_add(MODEL_SITE(ADD, RELAXED), MODEL_AT(a), (v)))
#define ars_atomic_u32_add_acquire(a, v)                                                           \
    model_u32(model_add(MODEL_SITE(ADD, ACQUIRE), MODEL_AT(a), (v)))
#define ars_atomic_u32_add_release(a, v)                                                           \
    model_u32(model_add(MODEL_SITE(ADD, RELEASE), MODEL_AT(a), (v)))
#define ars_atomic_u32_add_acq_rel(a, v)                                                           \
    model_u32(model_add(MODEL_SITE(ADD, ACQ_REL), MODEL_AT(a), (v)))
#define ars_atomic_u32_add_seq_cst(a, v)                                                           \
    model_u32(model_add(MODEL_SITE(ADD, SEQ_CST), MODEL_AT(a), (v)))
#define ars_atomic_u32_or_acq_rel(a, v)                                                            \
    model_u32(model_or(MODEL_SITE(OR, ACQ_REL), MODEL_AT(a), (v)))
#define ars_atomic_u32_and_acq_rel(a, v)                                                           \
    model_u32(model_and(MODEL_SITE(AND, ACQ_REL), MODEL_AT(a), (v)))
#define ars_atomic_u32_cas_relaxed(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, RELAXED), MODEL_AT(a), (e), (v))
#define ars_atomic_u32_cas_acq_rel(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, ACQ_REL), MODEL_AT(a), (e), (v))

#define ars_atomic_u32_swap_release(a, v)                                                          \
    model_u32(model_swap(MODEL_SITE(SWAP, RELEASE), MODEL_AT(a), (v)))
#define ars_atomic_u32_cas_acquire(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, ACQUIRE), MODEL_AT(a), (e), (v))

#define ars_atomic_u64_load_relaxed(a)     model_load(MODEL_SITE(LOAD, RELAXED), MODEL_AT(a))
#define ars_atomic_u64_load_acquire(a)     model_load(MODEL_SITE(LOAD, ACQUIRE), MODEL_AT(a))
#define ars_atomic_u64_load_seq_cst(a)     model_load(MODEL_SITE(LOAD, SEQ_CST), MODEL_AT(a))
#define ars_atomic_u64_store_relaxed(a, v) model_store(MODEL_SITE(STORE, RELAXED), MODEL_AT(a), (v))
#define ars_atomic_u64_store_release(a, v) model_store(MODEL_SITE(STORE, RELEASE), MODEL_AT(a), (v))
#define ars_atomic_u64_swap_seq_cst(a, v)  model_swap(MODEL_SITE(SWAP, SEQ_CST), MODEL_AT(a), (v))
#define ars_atomic_u64_cas_relaxed(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, RELAXED), MODEL_AT(a), (e), (v))
#define ars_atomic_u64_cas_acquire(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, ACQUIRE), MODEL_AT(a), (e), (v))
#define ars_atomic_u64_cas_release(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, RELEASE), MODEL_AT(a), (e), (v))
#define ars_atomic_u64_cas_seq_cst(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, SEQ_CST), MODEL_AT(a), (e), (v))

#define ars_atomic_i64_load_acquire(a) ((int64_t)model_load(MODEL_SITE(LOAD, ACQUIRE), MODEL_AT(a)))
#define ars_atomic_i64_add_acq_rel(a, v)                                                           \
    ((int64_t)model_add(MODEL_SITE(ADD, ACQ_REL), MODEL_AT(a), (uint64_t)(v)))

#define ars_atomic_ptr_load_relaxed(a) model_ptr(model_load(MODEL_SITE(LOAD, RELAXED), MODEL_AT(a)))
#define ars_atomic_ptr_load_acquire(a) model_ptr(model_load(MODEL_SITE(LOAD, ACQUIRE), MODEL_AT(a)))
#define ars_atomic_ptr_load_seq_cst(a) model_ptr(model_load(MODEL_SITE(LOAD, SEQ_CST), MODEL_AT(a)))
#define ars_atomic_ptr_store_relaxed(a, v)                                                         \
    model_store(MODEL_SITE(STORE, RELAXED), MODEL_AT(a), MODEL_PTR(v))
#define ars_atomic_ptr_store_release(a, v)                                                         \
    model_store(MODEL_SITE(STORE, RELEASE), MODEL_AT(a), MODEL_PTR(v))
#define ars_atomic_ptr_swap_seq_cst(a, v)                                                          \
    model_ptr(model_swap(MODEL_SITE(SWAP, SEQ_CST), MODEL_AT(a), MODEL_PTR(v)))
#define ars_atomic_ptr_cas_seq_cst(a, e, v)                                                        \
    model_cas(MODEL_SITE(CAS, SEQ_CST), MODEL_AT(a), (e), MODEL_PTR(v))

#define ars_atomic_pause() model_pause()

/* The headers copy values with it. */
#define memcpy(to, from, size) model_copy(to, from, size)

#endif
