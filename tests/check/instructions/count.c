/* SPDX-License-Identifier: MIT */
/*
 * Goes along each hot path N times under callgrind, which counts the
 * instructions of each on its own: ../instructions.sh reads its dumps.
 * A path runs once before it is counted, so that what comes first is not.
 */
#include <arsenal/alloc.h>
#include <arsenal/chan.h>
#include <arsenal/clock.h>
#include <arsenal/deque.h>
#include <arsenal/mpsc.h>
#include <arsenal/mutex.h>
#include <arsenal/pool.h>
#include <arsenal/queue.h>
#include <arsenal/ring.h>
#include <arsenal/run.h>
#include <arsenal/select.h>
#include <arsenal/sem.h>
#include <arsenal/seqlock.h>
#include <arsenal/spin.h>
#include <arsenal/spin_rw.h>
#include <arsenal/thread_mutex.h>
#include <arsenal/ticket.h>
#include <arsenal/tlsf.h>

#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

enum { N = 20000, MANY = 1000, CELLS = 128 };

static void must(int rc)
{
    if (rc < 0) abort();
}

/* ---- sync ---- */

static ars_spin spin;
static ars_ticket ticket;
static ars_spin_rw spin_rw;
static ars_seqlock seqlock;
static ars_thread_mutex thread_mutex;
static ars_ring ring;
static ars_queue queue;
static ars_mpsc mpsc;
static ars_deque deque;
static uint64_t ring_values[CELLS];
static char queue_cells[ARS_QUEUE_BYTES(CELLS, sizeof(uint64_t))] __attribute__((aligned(64)));
static ars_atomic_ptr deque_cells[CELLS];

static void sync_prepare(void)
{
    must(ars_ring_init(&ring, ring_values, CELLS, sizeof(uint64_t)));
    must(ars_queue_init(&queue, queue_cells, CELLS, sizeof(uint64_t)));
    must(ars_deque_init(&deque, deque_cells, CELLS));
}

static void spin_pair(uint64_t n)
{
    while (n--) {
        ars_spin_lock(&spin);
        ars_spin_unlock(&spin);
    }
}

static void ticket_pair(uint64_t n)
{
    while (n--) {
        ars_ticket_lock(&ticket);
        ars_ticket_unlock(&ticket);
    }
}

static void spin_rw_read(uint64_t n)
{
    while (n--) {
        ars_spin_rw_read_lock(&spin_rw);
        ars_spin_rw_read_unlock(&spin_rw);
    }
}

static void spin_rw_write(uint64_t n)
{
    while (n--) {
        ars_spin_rw_write_lock(&spin_rw);
        ars_spin_rw_write_unlock(&spin_rw);
    }
}

static void seqlock_read(uint64_t n)
{
    static uint64_t words[2];
    uint64_t value[2];
    while (n--) ars_seqlock_load(&seqlock, words, value, sizeof value);
}

static void thread_mutex_pair(uint64_t n)
{
    while (n--) {
        must(ars_thread_mutex_lock(&thread_mutex, ARS_FOREVER));
        must(ars_thread_mutex_unlock(&thread_mutex));
    }
}

static void ring_pair(uint64_t n)
{
    uint64_t v;
    while (n--) {
        must(ars_ring_push(&ring, &n));
        must(ars_ring_pop(&ring, &v));
    }
}

static void queue_pair(uint64_t n)
{
    uint64_t v;
    while (n--) {
        must(ars_queue_push(&queue, &n));
        must(ars_queue_pop(&queue, &v));
    }
}

static void mpsc_pair(uint64_t n)
{
    ars_mpsc_node node, *out;
    while (n--) {
        ars_mpsc_push(&mpsc, &node);
        must(ars_mpsc_pop(&mpsc, &out));
    }
}

static void deque_pair(uint64_t n)
{
    void *out;
    while (n--) {
        must(ars_deque_push(&deque, &n));
        must(ars_deque_pop(&deque, &out));
    }
}

/* ---- mem ---- */

static void tracked_pair(uint64_t n)
{
    static const ars_alloc *alloc;
    static ars_alloc_tracker tracker;
    if (!alloc) {
        ars_alloc_tracker_init(&tracker, NULL);
        alloc = &tracker.alloc;
    }
    while (n--) {
        void *p = alloc->alloc(alloc->ctx, 64, 8);
        if (!p) abort();
        alloc->free(alloc->ctx, p, 64, 8);
    }
}

static void pool_pair(uint64_t n)
{
    ars_pool pool;
    must(ars_pool_init(&pool, NULL, 64, 0));
    while (n--) {
        void *p = ars_pool_get(&pool);
        if (!p) abort();
        __asm__ volatile("" : "+r"(p) : : "memory");
        ars_pool_put(&pool, p);
    }
    ars_pool_deinit(&pool);
}

static void pool_find(uint64_t n)
{
    static ars_pool pool;
    static ars_pool_handle handle;
    if (!handle) {
        must(ars_pool_init(&pool, NULL, 64, 0));
        must(ars_pool_reserve(&pool, MANY));
        for (int i = 0; i < MANY; i++) handle = ars_pool_handle_of(ars_pool_get(&pool));
    }
    while (n--)
        if (!ars_pool_find(&pool, handle)) abort();
}

/* With 'holes' free blocks of all sizes between live ones. */
static ars_tlsf *fragmented(int holes)
{
    static ars_tlsf tlsf;
    static char region[4 << 20] __attribute__((aligned(16)));
    static void *blocks[2 * MANY];
    ars_tlsf_init(&tlsf);
    must(ars_tlsf_add(&tlsf, region, sizeof region));
    for (int i = 0; i < 2 * holes; i++)
        blocks[i] = ars_tlsf_alloc(&tlsf, 16 + 3 * (size_t)i % 3000, 8);
    for (int i = 0; i < 2 * holes; i += 2) ars_tlsf_free(&tlsf, blocks[i]);
    return &tlsf;
}

static void tlsf_pairs(int holes, uint64_t n)
{
    static ars_tlsf *tlsf;
    static int prepared = -1;
    if (prepared != holes) tlsf = fragmented(prepared = holes);
    while (n--) {
        void *p = ars_tlsf_alloc(tlsf, 16 + (n & 1023), 8);
        if (!p) abort();
        ars_tlsf_free(tlsf, p);
    }
}

static void tlsf_few(uint64_t n)
{
    tlsf_pairs(1, n);
}

static void tlsf_many(uint64_t n)
{
    tlsf_pairs(MANY, n);
}

/* ---- run: by tasks of one worker ---- */

static uint64_t times;
static ars_chan *chan, *answer;
static ars_mutex mutex;
static ars_sem sem;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int yields(void *arg)
{
    (void)arg;
    for (uint64_t i = times; i; i--) must(ars_yield());
    return 0;
}

static int sends(void *to)
{
    for (uint64_t i = times; i; i--) must(ars_chan_send(to, &i, ARS_FOREVER));
    return 0;
}

static int answers(void *arg)
{
    uint64_t v;
    (void)arg;
    for (uint64_t i = times; i; i--) {
        must(ars_chan_recv(chan, &v, ARS_FOREVER));
        must(ars_chan_send(answer, &v, ARS_FOREVER));
    }
    return 0;
}

static ars_group with(ars_fn *fn, void *arg, uint64_t n)
{
    ars_group group;
    times = n;
    must(ars_group_init(&group, NULL, ARS_FAIL_FAST));
    must(ars_group_go(&group, fn, arg, NULL));
    return group;
}

static void channels(size_t cap)
{
    must(ars_chan_new(&chan, sizeof(uint64_t), cap, NULL));
    must(ars_chan_new(&answer, sizeof(uint64_t), cap, NULL));
}

static void channels_end(ars_group *group)
{
    must(ars_group_wait(group, ARS_FOREVER));
    ars_chan_free(chan);
    ars_chan_free(answer);
}

/* A yield each of two tasks counts as two. */
static void yield(uint64_t n)
{
    ars_group group = with(yields, NULL, n / 2);
    must(ars_group_go(&group, yields, NULL, NULL));
    must(ars_group_wait(&group, ARS_FOREVER));
}

static void spawn(uint64_t n)
{
    while (n--) {
        ars_group group = with(nothing, NULL, 0);
        must(ars_group_wait(&group, ARS_FOREVER));
    }
}

static void spawn_many(uint64_t n)
{
    for (; n >= MANY; n -= MANY) {
        ars_group group = with(nothing, NULL, 0);
        for (int i = 1; i < MANY; i++) must(ars_group_go(&group, nothing, NULL, NULL));
        must(ars_group_wait(&group, ARS_FOREVER));
    }
}

static void chan_buffered(uint64_t n)
{
    uint64_t v;
    channels(CELLS);
    ars_group group = with(sends, chan, n);
    while (n--) must(ars_chan_recv(chan, &v, ARS_FOREVER));
    channels_end(&group);
}

static void chan_pingpong(uint64_t n)
{
    uint64_t v = 0;
    channels(0);
    ars_group group = with(answers, NULL, n);
    while (n--) {
        must(ars_chan_send(chan, &v, ARS_FOREVER));
        must(ars_chan_recv(answer, &v, ARS_FOREVER));
    }
    channels_end(&group);
}

static void select_two(uint64_t n)
{
    uint64_t v;
    channels(CELLS);
    ars_group group = with(sends, chan, n / 2);
    must(ars_group_go(&group, sends, answer, NULL));
    ars_case cases[] = {ARS_RECV(chan, &v), ARS_RECV(answer, &v)};
    while (n--) must(ars_select(cases, 2, ARS_FOREVER));
    channels_end(&group);
}

static void mutex_pair(uint64_t n)
{
    while (n--) {
        must(ars_mutex_lock(&mutex, ARS_FOREVER));
        must(ars_mutex_unlock(&mutex));
    }
}

static void sem_pair(uint64_t n)
{
    while (n--) {
        must(ars_sem_release(&sem, 1));
        must(ars_sem_acquire(&sem, ARS_FOREVER));
    }
}

/* Arms a timer and parks, is woken before it is due, and takes it back. */
static int posts(void *arg)
{
    (void)arg;
    for (uint64_t i = times; i; i--) {
        must(ars_sem_release(&sem, 1));
        must(ars_yield());
    }
    return 0;
}

static void timed_wait(uint64_t n)
{
    ars_time due = ars_after(3600 * ARS_SECOND);
    ars_group group = with(posts, NULL, n);
    while (n--) must(ars_sem_acquire(&sem, due));
    must(ars_group_wait(&group, ARS_FOREVER));
}

/* ---- all of them ---- */

static const struct path {
    const char *id;
    void (*go)(uint64_t n);
} outside[] = {{"sync.spin", spin_pair},
               {"sync.ticket", ticket_pair},
               {"sync.spin_rw.read", spin_rw_read},
               {"sync.spin_rw.write", spin_rw_write},
               {"sync.seqlock.read", seqlock_read},
               {"sync.thread_mutex", thread_mutex_pair},
               {"sync.ring", ring_pair},
               {"sync.queue", queue_pair},
               {"sync.mpsc", mpsc_pair},
               {"sync.deque", deque_pair},
               {"mem.tracker", tracked_pair},
               {"mem.pool", pool_pair},
               {"mem.pool.find", pool_find},
               {"mem.tlsf.few", tlsf_few},
               {"mem.tlsf.many", tlsf_many}},
  inside[] = {{"run.yield", yield},
              {"run.spawn", spawn},
              {"run.spawn_many", spawn_many},
              {"run.chan.buffered", chan_buffered},
              {"run.chan.pingpong", chan_pingpong},
              {"run.select", select_two},
              {"run.mutex", mutex_pair},
              {"run.sem", sem_pair},
              {"run.timed_wait", timed_wait}};

static void count(const struct path *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        paths[i].go(N);
        CALLGRIND_ZERO_STATS;
        paths[i].go(N);
        CALLGRIND_DUMP_STATS_AT(paths[i].id);
    }
}

static int root(void *arg)
{
    (void)arg;
    count(inside, sizeof inside / sizeof *inside);
    return 0;
}

int main(void)
{
    ars_config config;
    memset(&config, 0, sizeof config);
    config.workers = 1;
    sync_prepare();
    count(outside, sizeof outside / sizeof *outside);
    must(ars_run(root, NULL, &config));
    return 0;
}
