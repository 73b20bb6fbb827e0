/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test.h"

#include <arsenal/ring.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/san.h"

static void refuses(void)
{
    ars_ring ring = {0};
    uint64_t values[4], value = 7;
    /* Zeroed it has no room and nothing in it. */
    CHECK(!ars_ring_push(&ring, &value));
    CHECK_EQ(ars_ring_push_many(&ring, &value, 1), 0);
    CHECK(!ars_ring_pop(&ring, &value));
    CHECK_EQ(ars_ring_pop_many(&ring, &value, 1), 0);
    CHECK_EQ(ars_ring_size(&ring), 0);
    CHECK_EQ(ars_ring_init(&ring, NULL, 4, 8), ARS_EINVAL);
    CHECK_EQ(ars_ring_init(&ring, values, 0, 8), ARS_EINVAL);
    CHECK_EQ(ars_ring_init(&ring, values, 4, 0), ARS_EINVAL);
    CHECK_EQ(ars_ring_init(&ring, values, SIZE_MAX / 8, 8), ARS_EOVERFLOW);
    CHECK_EQ(ars_ring_init(&ring, values, 4, 8), 0);
    CHECK(!ars_ring_pop(&ring, &value));
    CHECK_EQ(ars_ring_push_many(&ring, &value, 0), 0);
    CHECK_EQ(ars_ring_pop_many(&ring, &value, 1), 0);
    CHECK_EQ(value, 7);
}

/* One thread, capacities that are no powers of two, all sizes, single calls and batches mixed. */
/* As ars_ring_push_many() and ars_ring_pop_many(), but in place: in one piece, or two. */
static size_t push_in_place(ars_ring *ring, const void *values, size_t n, size_t size)
{
    size_t done = 0, more;
    void *place;
    while (done < n && (more = ars_ring_reserve(ring, n - done, &place)) > 0) {
        memcpy(place, (const char *)values + done * size, more * size);
        ars_ring_commit(ring, more);
        done += more;
    }
    return done;
}

static size_t pop_in_place(ars_ring *ring, void *values, size_t n, size_t size)
{
    size_t done = 0, more;
    void *place;
    while (done < n && (more = ars_ring_peek(ring, n - done, &place)) > 0) {
        memcpy((char *)values + done * size, place, more * size);
        ars_ring_drop(ring, more);
        done += more;
    }
    return done;
}

static void capacities_and_sizes(void)
{
    for (size_t capacity = 1; capacity <= 9; capacity++) {
        for (size_t size = 1; size <= 17; size++) {
            ars_ring ring;
            unsigned char *values = malloc(capacity * size), in[12 * 17], out[12 * 17 + 1];
            unsigned pushed = 0, popped = 0;
            uint64_t random = capacity * 100 + size;
            CHECK(values);
            CHECK_EQ(ars_ring_init(&ring, values, capacity, size), 0);
            while (popped < 500) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
                size_t n = random >> 40 & 1 ? 1 : (size_t)(random >> 41) % 13, room;
                room = capacity - (pushed - popped);
                for (size_t i = 0; i < n; i++) memset(in + i * size, (int)(pushed + i), size);
                size_t expected = n < room ? n : room;
                CHECK_EQ(n == 1             ? (size_t)ars_ring_push(&ring, in)
                         : random >> 60 & 1 ? push_in_place(&ring, in, n, size)
                                            : ars_ring_push_many(&ring, in, n),
                         expected);
                pushed += (unsigned)expected;
                CHECK_EQ(ars_ring_size(&ring), pushed - popped);
                n = random >> 50 & 1 ? 1 : (size_t)(random >> 51) % 13;
                expected = n < pushed - popped ? n : pushed - popped;
                out[expected * size] = 0x5a;
                CHECK_EQ(n == 1             ? (size_t)ars_ring_pop(&ring, out)
                         : random >> 61 & 1 ? pop_in_place(&ring, out, n, size)
                                            : ars_ring_pop_many(&ring, out, n),
                         expected);
                CHECK_EQ(out[expected * size], 0x5a);
                for (size_t i = 0; i < expected * size; i++)
                    CHECK_EQ(out[i], (popped + i / size) & 255);
                popped += (unsigned)expected;
            }
            free(values);
        }
    }
}

/* ---- a producer and a consumer ---- */

typedef struct letter {
    uint64_t number, check;
} letter;

enum { CAPACITY = 37, BATCH = 50 };

static uint64_t letters;

static void produce(ars_ring *ring)
{
    letter batch[BATCH];
    for (uint64_t next = 0; next < letters;) {
        size_t n = next % 3 == 0 ? 1 : (size_t)(next % BATCH) + 1, done;
        if (n > letters - next) n = (size_t)(letters - next);
        for (size_t i = 0; i < n; i++) batch[i] = (letter){next + i, ~(next + i)};
        done = n == 1       ? (size_t)ars_ring_push(ring, batch)
               : n % 2 == 0 ? push_in_place(ring, batch, n, sizeof *batch)
                            : ars_ring_push_many(ring, batch, n);
        next += done;
        if (done == 0) sched_yield();
    }
}

static void consume(ars_ring *ring)
{
    letter batch[BATCH];
    for (uint64_t next = 0; next < letters;) {
        size_t n = next % 5 == 0 ? 1 : (size_t)(next % BATCH) + 1;
        n = n == 1       ? (size_t)ars_ring_pop(ring, batch)
            : n % 2 == 0 ? pop_in_place(ring, batch, n, sizeof *batch)
                         : ars_ring_pop_many(ring, batch, n);
        for (size_t i = 0; i < n; i++, next++)
            CHECK(batch[i].number == next && batch[i].check == ~next);
        if (n == 0) sched_yield();
    }
}

static void *produces(void *ring)
{
    produce(ring);
    return NULL;
}

static void two_threads(void)
{
    static ars_ring ring;
    static letter values[CAPACITY];
    pthread_t thread;
    letters = (uint64_t)(ARS__TSAN ? 1000000 : test_times(10000000, 500000));
    CHECK_EQ(ars_ring_init(&ring, values, CAPACITY, sizeof(letter)), 0);
    CHECK(pthread_create(&thread, NULL, produces, &ring) == 0);
    consume(&ring);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQ(ars_ring_size(&ring), 0);
}

typedef struct shared {
    ars_ring ring;
    letter values[CAPACITY];
} shared;

/* A ring for two processes, and one that is at the other end: 'fn' in a child. */
static shared *with_child(void (*fn)(ars_ring *), pid_t *pid)
{
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_EQ(ars_ring_init(&s->ring, s->values, CAPACITY, sizeof(letter)), 0);
    fflush(stdout);
    *pid = fork();
    CHECK(*pid >= 0);
    if (*pid == 0) {
        alarm(60);
        fn(&s->ring);
        _exit(0);
    }
    return s;
}

/* The same memory at two addresses, in two processes. */
static void two_processes(void)
{
    int fd = memfd_create("ring", MFD_CLOEXEC), status;
    letters = (uint64_t)(ARS__TSAN ? 200000 : test_times(5000000, 200000));
    CHECK(fd >= 0 && ftruncate(fd, sizeof(shared)) == 0);
    shared *here = mmap(NULL, sizeof *here, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shared *there = mmap(NULL, sizeof *there, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(here != MAP_FAILED && there != MAP_FAILED && here != there);
    CHECK_EQ(ars_ring_init(&here->ring, here->values, CAPACITY, sizeof(letter)), 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        munmap(here, sizeof *here);
        alarm(60);
        produce(&there->ring);
        _exit(0);
    }
    munmap(there, sizeof *there);
    consume(&here->ring);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    munmap(here, sizeof *here);
    close(fd);
}

/* A producer that is killed leaves what it has pushed, whole and in order. */
static void killed(void)
{
    letters = UINT64_MAX;
    for (long round = test_times(100, 20); round; round--) {
        pid_t pid;
        shared *s = with_child(produce, &pid);
        letter taken;
        uint64_t next = 0;
        while (next < (uint64_t)round * 50) {
            if (!ars_ring_pop(&s->ring, &taken)) {
                sched_yield();
                continue;
            }
            CHECK(taken.number == next && taken.check == ~next);
            next++;
        }
        kill(pid, SIGKILL);
        CHECK(waitpid(pid, NULL, 0) == pid);
        for (; ars_ring_pop(&s->ring, &taken); next++)
            CHECK(taken.number == next && taken.check == ~next);
        CHECK_EQ(ars_ring_size(&s->ring), 0);
        munmap(s, sizeof *s);
    }
}

/* A consumer that is killed has taken whole values, the oldest ones; what it had not stays. */
static void killed_consumer(void)
{
    letters = UINT64_MAX;
    for (long round = test_times(100, 20); round; round--) {
        pid_t pid;
        shared *s = with_child(consume, &pid);
        letter l = {0, ~UINT64_C(0)};
        while (l.number < (uint64_t)round * 50) {
            if (!ars_ring_push(&s->ring, &l)) {
                sched_yield();
                continue;
            }
            l.number++;
            l.check = ~l.number;
        }
        kill(pid, SIGKILL);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == SIGKILL);
        while (ars_ring_push(&s->ring, &l)) {
            l.number++;
            l.check = ~l.number;
        }
        CHECK_EQ(ars_ring_size(&s->ring), CAPACITY);
        for (uint64_t n = l.number - CAPACITY; n < l.number; n++) {
            letter taken;
            /* Looked at where it lies: the dead consumer's own index may be behind. */
            memcpy(&taken, &s->values[n % CAPACITY], sizeof taken);
            CHECK(taken.number == n && taken.check == ~n);
        }
        munmap(s, sizeof *s);
    }
}

static const test_case cases[] = {
    {"refuses", refuses},         {"capacities_and_sizes", capacities_and_sizes},
    {"two_threads", two_threads}, {"two_processes", two_processes},
    {"killed", killed},           {"killed_consumer", killed_consumer},
};
TEST_MAIN(cases)
