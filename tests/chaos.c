/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "chaos.h"

#include <arsenal/spin.h>

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/san.h"
#include "chaos_calls.h"
#include "io/linux/uring_abi.h"
#include "test.h"

/* ---- what all rings share ---- */

static ars_spin lock; /* guards everything here */
static int on, injecting, noisy;
static unsigned noises;
static uint64_t state;
static chaos_counts counts;
static struct {
    unsigned opcode, nth, times, seen, hits;
    int32_t result;
    unsigned bytes; /* > 0: shortened to that */
} rule;

static uint32_t dice(uint32_t sides)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(state >> 33) % sides;
}

/* ---- rings ---- */

enum { RINGS = 64, NOP_INJECT_RESULT = 1, LATE = 4 };

/* A completion that has not been passed on. */
typedef struct stashed {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
    unsigned turns;
} stashed;

typedef struct ring {
    int fd; /* 0: free */
    struct io_uring_params p;
    size_t ours, real; /* bytes of our queue, and of the kernel's rings behind it */
    char *base;
    struct io_uring_sqe *sqes;
    unsigned scanned; /* entries up to here have been looked at */
    stashed *stash;
    unsigned count, room;
} ring;

static ring rings[RINGS];

enum { OUR_HEAD = 0, OUR_TAIL = 64, OUR_CQES = 128, PAGE = 4096 };

static unsigned *word(const ring *r, size_t at)
{
    return (unsigned *)(void *)(r->base + at);
}

static ring *find(int fd)
{
    for (int i = 0; i < RINGS; i++)
        if (rings[i].fd == fd) return &rings[i];
    return NULL;
}

static size_t pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* The kernel's answer, but the completion queue is ours, and the rest lies behind it. */
int chaos_uring_setup(unsigned entries, struct io_uring_params *p)
{
    int fd = __real_ars__os_uring_setup(entries, p);
    ars_spin_lock(&lock);
    ring *r = fd > 0 && (on || injecting || noisy) ? find(0) : NULL;
    if (r) {
        size_t sq = p->flags & IORING_SETUP_NO_SQARRAY ? 0 : p->sq_off.array + p->sq_entries * 4;
        size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
        *r = (ring){.fd = fd, .p = *p};
        r->real = pages(sq > cq ? sq : cq);
        r->ours = pages(OUR_CQES + p->cq_entries * sizeof(struct io_uring_cqe));
        p->sq_off.head += (unsigned)r->ours;
        p->sq_off.tail += (unsigned)r->ours;
        p->sq_off.flags += (unsigned)r->ours;
        p->sq_off.array += (unsigned)r->ours;
        p->cq_off.head = OUR_HEAD;
        p->cq_off.tail = OUR_TAIL;
        p->cq_off.cqes = OUR_CQES;
    }
    ars_spin_unlock(&lock);
    return fd;
}

/*
 * The kernel alone says where its rings lie: below them must be room for our
 * queue.  What lies badly keeps its place until there is one that lies well.
 */
static int map_below(ring *r, void **out, uint64_t offset)
{
    enum { ATTEMPTS = 16 };
    void *bad[ATTEMPTS], *hole;
    int n = 0, rc = ARS_ENOMEM;
    while (n < ATTEMPTS && rc < 0) {
        hole = mmap(NULL, r->ours + r->real, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (hole == MAP_FAILED) break;
        munmap(hole, r->ours + r->real);
        if (__real_ars__os_uring_map(&bad[n], r->fd, r->real, offset) < 0) break;
        char *base = (char *)bad[n++] - r->ours;
        if (mmap(base, r->ours, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != base)
            continue;
        r->base = base;
        *out = base;
        n--;
        rc = 0;
    }
    while (n > 0) munmap(bad[--n], r->real);
    return rc;
}

int chaos_uring_map(void **out, int fd, size_t size, uint64_t offset)
{
    ars_spin_lock(&lock);
    ring *r = find(fd);
    ars_spin_unlock(&lock);
    if (r && offset != IORING_OFF_SQES) return map_below(r, out, offset);
    int rc = __real_ars__os_uring_map(out, fd, size, offset);
    if (r && rc == 0) r->sqes = *out;
    return rc;
}

int chaos_uring_unmap(void *p, size_t size)
{
    ars_spin_lock(&lock);
    for (int i = 0; i < RINGS; i++) {
        if (rings[i].fd == 0 || rings[i].base != p) continue;
        size = rings[i].ours + rings[i].real;
        free(rings[i].stash);
        rings[i] = (ring){.fd = 0};
    }
    ars_spin_unlock(&lock);
    return __real_ars__os_uring_unmap(p, size);
}

/* ---- on the way in: operations that shall fail ---- */

/* It then does nothing and completes with the result we want, by the same road as any other. */
static void spoil(struct io_uring_sqe *sqe, int32_t result)
{
    uint64_t data = sqe->user_data;
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_NOP;
    sqe->rw_flags = NOP_INJECT_RESULT;
    sqe->len = (unsigned)result;
    sqe->user_data = data;
}

static void shorten(struct io_uring_sqe *sqe, unsigned bytes)
{
    /* The kernel copies both when it is given the operation. */
    static struct msghdr cut;
    static struct iovec first;
    if (sqe->opcode != IORING_OP_SENDMSG) {
        if (sqe->len == 0 || sqe->len > bytes) sqe->len = bytes;
        return;
    }
    memcpy(&cut, (const void *)(uintptr_t)sqe->addr, sizeof cut);
    first = *cut.msg_iov;
    if (first.iov_len > bytes) first.iov_len = bytes;
    cut.msg_iov = &first;
    cut.msg_iovlen = 1;
    sqe->addr = (uint64_t)(uintptr_t)&cut;
}

static void make_noise(struct io_uring_sqe *sqe)
{
    uint32_t roll = dice(64);
    switch (sqe->opcode) {
    case IORING_OP_SEND:
        if (roll < 4) shorten(sqe, 1 + dice(3000));
        noises += roll < 4;
        __attribute__((fallthrough));
    case IORING_OP_RECV:
    case IORING_OP_SENDMSG:
    case IORING_OP_ACCEPT:
    case IORING_OP_CONNECT:
    case IORING_OP_POLL_ADD:
        if (roll < 62) return;
        spoil(sqe, roll == 62 ? ARS_EINTR : ARS_ECANCELED);
        noises++;
        return;
    default: return;
    }
}

static void scan(ring *r)
{
    unsigned tail = *word(r, r->ours + r->p.sq_off.tail);
    for (; r->scanned != tail; r->scanned++) {
        struct io_uring_sqe *sqe = &r->sqes[r->scanned & (r->p.sq_entries - 1)];
        if (noisy) make_noise(sqe);
        if (rule.opcode == 0 || sqe->opcode != rule.opcode) continue;
        if (++rule.seen < rule.nth || rule.seen - rule.nth >= rule.times) continue;
        rule.hits++;
        if (rule.bytes)
            shorten(sqe, rule.bytes);
        else
            spoil(sqe, rule.result);
    }
}

/* ---- on the way out: a stash ---- */

static void collect(ring *r)
{
    unsigned *head = word(r, r->ours + r->p.cq_off.head);
    unsigned tail = __atomic_load_n(word(r, r->ours + r->p.cq_off.tail), __ATOMIC_ACQUIRE);
    const struct io_uring_cqe *cqes = (const void *)word(r, r->ours + r->p.cq_off.cqes);
    unsigned at = *head;
    for (; at != tail; at++) {
        if (r->count == r->room) {
            r->room = r->room ? 2 * r->room : 64;
            r->stash = realloc(r->stash, r->room * sizeof *r->stash);
            CHECK(r->stash != NULL);
        }
        const struct io_uring_cqe *cqe = &cqes[at & (r->p.cq_entries - 1)];
        r->stash[r->count++] = (stashed){cqe->user_data, cqe->res, cqe->flags, 0};
    }
    __atomic_store_n(head, at, __ATOMIC_RELEASE);
}

static int same_buffer(const stashed *a, const stashed *b)
{
    return (a->flags & b->flags & IORING_CQE_F_BUFFER) && a->flags >> 16 == b->flags >> 16;
}

/* Whether what is older than the i-th forbids that it goes first. */
static int must_wait(const ring *r, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        const stashed *older = &r->stash[k], *it = &r->stash[i];
        if (older->user_data == it->user_data || same_buffer(older, it)) return 1;
    }
    return 0;
}

static void pass_on(ring *r, unsigned i)
{
    struct io_uring_cqe *cqes = (void *)word(r, OUR_CQES);
    unsigned *tail = word(r, OUR_TAIL);
    struct io_uring_cqe *cqe = &cqes[*tail & (r->p.cq_entries - 1)];
    cqe->user_data = r->stash[i].user_data;
    cqe->res = r->stash[i].res;
    cqe->flags = r->stash[i].flags;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    counts.results++;
    counts.overtaken += i > 0;
    counts.late += r->stash[i].turns > 0;
    memmove(&r->stash[i], &r->stash[i + 1], (r->count - i - 1) * sizeof *r->stash);
    r->count--;
}

/* Passes on, in random order, what is not kept back this time. */
static void release(ring *r)
{
    unsigned room = r->p.cq_entries - (*word(r, OUR_TAIL) - *word(r, OUR_HEAD));
    unsigned leave = on ? dice(r->count + 1) / 2 : 0;
    for (unsigned i = 0; i < r->count; i++)
        if (++r->stash[i].turns > LATE) leave = 0;
    while (r->count > leave && room > 0) {
        unsigned i = on ? dice(r->count < 64 ? r->count : 64) : 0;
        while (must_wait(r, i)) i--;
        if (r->stash[i].turns == 1) r->stash[i].turns = 0; /* came in this turn */
        pass_on(r, i);
        room--;
    }
}

int chaos_uring_enter(int fd, unsigned submit, unsigned wait, unsigned flags, const void *arg,
                      size_t size)
{
    ars_spin_lock(&lock);
    ring *r = find(fd);
    if (r) {
        scan(r);
        /* Results that are here are what a wait would wait for. */
        if (r->count > 0) wait = 0;
    }
    ars_spin_unlock(&lock);
    int rc = __real_ars__os_uring_enter(fd, submit, wait, flags, arg, size);
    if (!r) return rc;
    ars_spin_lock(&lock);
    ars__san_ignore_begin(); /* the lock is not seen */
    collect(r);
    release(r);
    ars__san_ignore_end();
    ars_spin_unlock(&lock);
    return rc;
}

/* ---- readiness ---- */

int chaos_epoll_wait(int ep, struct epoll_event *evs, int n, ars_time deadline)
{
    int most = n;
    ars_spin_lock(&lock);
    if (on) most = 1 + (int)dice((uint32_t)n);
    ars_spin_unlock(&lock);
    int rc = __real_ars__os_epoll_wait(ep, evs, most, deadline);
    if (rc <= 0) return rc;
    ars_spin_lock(&lock);
    if (on) {
        counts.events += (unsigned)rc;
        if (rc < n && dice(4) == 0) {
            evs[rc] = evs[dice((uint32_t)rc)];
            rc++;
            counts.doubled++;
        }
        for (int i = rc - 1; i > 0; i--) {
            int k = (int)dice((uint32_t)i + 1);
            struct epoll_event other = evs[i];
            evs[i] = evs[k];
            evs[k] = other;
        }
    }
    ars_spin_unlock(&lock);
    return rc;
}

int chaos_poll_wait(struct pollfd *fds, unsigned n, ars_time deadline)
{
    int rc = __real_ars__os_poll_wait(fds, n, deadline);
    if (rc <= 0) return rc;
    ars_spin_lock(&lock);
    for (unsigned i = 0; on && i < n; i++) {
        if (!fds[i].revents) continue;
        counts.events++;
        if (dice(4) != 0) continue;
        fds[i].revents = 0;
        rc--;
        counts.held++;
    }
    ars_spin_unlock(&lock);
    return rc;
}

/* ---- what tests call ---- */

void chaos_begin(uint64_t seed)
{
    ars_spin_lock(&lock);
    state = seed;
    counts = (chaos_counts){0};
    on = 1;
    ars_spin_unlock(&lock);
}

chaos_counts chaos_end(void)
{
    ars_spin_lock(&lock);
    on = 0;
    chaos_counts all = counts;
    ars_spin_unlock(&lock);
    return all;
}

static void inject(unsigned opcode, unsigned nth, int32_t result, unsigned times, unsigned bytes)
{
    ars_spin_lock(&lock);
    rule.bytes = bytes;
    rule.opcode = opcode;
    rule.nth = nth;
    rule.times = times;
    rule.result = result;
    rule.seen = rule.hits = 0;
    injecting = opcode != 0;
    ars_spin_unlock(&lock);
}

unsigned chaos_noise(uint64_t seed)
{
    ars_spin_lock(&lock);
    unsigned before = noises;
    if (seed) state = seed;
    noises = 0;
    noisy = seed != 0;
    ars_spin_unlock(&lock);
    return before;
}

void chaos_inject(unsigned opcode, unsigned nth, int32_t result, unsigned times)
{
    inject(opcode, nth, result, times, 0);
}

void chaos_short(unsigned opcode, unsigned nth, unsigned bytes)
{
    inject(opcode, nth, 0, 1, bytes);
}

unsigned chaos_injected(unsigned *submitted)
{
    ars_spin_lock(&lock);
    unsigned hits = rule.hits;
    if (submitted) *submitted = rule.seen;
    ars_spin_unlock(&lock);
    return hits;
}
