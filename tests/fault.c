/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <arsenal/atomic.h>

#include <sys/socket.h>

#include "chaos_calls.h"
#include "test.h"

/* What the calls can give, after the manual pages and what sandboxes add; {1, 0} ends a list. */
#define NONE                                                                                       \
    {                                                                                              \
        1, 0                                                                                       \
    }
#define FOREVER(error)                                                                             \
    {                                                                                              \
        error, 0                                                                                   \
    }
#define PASSING(error)                                                                             \
    {                                                                                              \
        error, 1                                                                                   \
    }

static const fault_error e_none[] = {NONE};
static const fault_error e_memory[] = {FOREVER(ARS_ENOMEM), NONE};
static const fault_error e_thread[] = {FOREVER(ARS_EAGAIN), NONE};
static const fault_error e_invalid[] = {FOREVER(ARS_EINVAL), NONE};
static const fault_error e_guard[] = {FOREVER(ARS_EINVAL), FOREVER(ARS_ENOSYS), FOREVER(ARS_ENOMEM),
                                      NONE};
static const fault_error e_probe[] = {FOREVER(0), FOREVER(ARS_EMFILE), NONE};
static const fault_error e_sleep[] = {PASSING(ARS_EINTR), PASSING(0), NONE};
static const fault_error e_refused[] = {FOREVER(ARS_EPERM), FOREVER(ARS_ENOSYS), NONE};
static const fault_error e_close[] = {FOREVER(ARS_EINTR), FOREVER(ARS_EIO), NONE};
static const fault_error e_random[] = {PASSING(ARS_EINTR), FOREVER(ARS_ENOSYS), NONE};
static const fault_error e_read[] = {PASSING(ARS_EINTR), FOREVER(ARS_EIO), NONE};
static const fault_error e_write[] = {PASSING(ARS_EINTR), FOREVER(ARS_ENOSPC), NONE};
static const fault_error e_open[] = {FOREVER(ARS_EMFILE), FOREVER(ARS_ENFILE), FOREVER(ARS_ENOMEM),
                                     NONE};
static const fault_error e_socket[] = {FOREVER(ARS_EMFILE), FOREVER(ARS_ENOBUFS),
                                       FOREVER(ARS_EAFNOSUPPORT), FOREVER(ARS_EACCES), NONE};
static const fault_error e_bind[] = {FOREVER(ARS_EADDRINUSE), FOREVER(ARS_EADDRNOTAVAIL),
                                     FOREVER(ARS_EACCES), NONE};
static const fault_error e_listen[] = {FOREVER(ARS_EADDRINUSE), NONE};
/* No EAGAIN here and below: with edge-triggered readiness an untrue one is never followed by an event. */
static const fault_error e_accept[] = {PASSING(ARS_EINTR),  PASSING(ARS_ECONNABORTED),
                                       FOREVER(ARS_EMFILE), FOREVER(ARS_ENOBUFS),
                                       FOREVER(ARS_EPERM),  NONE};
static const fault_error e_connect[] = {FOREVER(ARS_ECONNREFUSED), FOREVER(ARS_ENETUNREACH),
                                        FOREVER(ARS_EADDRNOTAVAIL), NONE};
static const fault_error e_recv[] = {PASSING(ARS_EINTR), FOREVER(ARS_ECONNRESET),
                                     FOREVER(ARS_ENOMEM), NONE};
static const fault_error e_send[] = {PASSING(ARS_EINTR), FOREVER(ARS_EPIPE),
                                     FOREVER(ARS_ECONNRESET), FOREVER(ARS_ENOBUFS), NONE};
static const fault_error e_splice[] = {PASSING(ARS_EINTR), FOREVER(ARS_EINVAL), FOREVER(ARS_ENOMEM),
                                       NONE};
static const fault_error e_shutdown[] = {FOREVER(ARS_ENOTCONN), NONE};
static const fault_error e_name[] = {FOREVER(ARS_ENOBUFS), NONE};
static const fault_error e_peer[] = {FOREVER(ARS_ENOTCONN), NONE};
static const fault_error e_option[] = {FOREVER(ARS_EOPNOTSUPP), FOREVER(ARS_ENOBUFS), NONE};
static const fault_error e_unlink[] = {FOREVER(ARS_EACCES), NONE};
static const fault_error e_epoll_ctl[] = {FOREVER(ARS_ENOMEM), FOREVER(ARS_ENOSPC), NONE};
static const fault_error e_epoll_wait[] = {PASSING(ARS_EINTR), NONE};
static const fault_error e_poll_wait[] = {PASSING(ARS_EINTR), PASSING(ARS_ENOMEM), NONE};
static const fault_error e_uring_setup[] = {FOREVER(ARS_EPERM),  FOREVER(ARS_ENOSYS),
                                            FOREVER(ARS_EINVAL), FOREVER(ARS_ENOMEM),
                                            FOREVER(ARS_EMFILE), NONE};
static const fault_error e_uring_enter[] = {PASSING(ARS_EINTR), PASSING(ARS_EAGAIN),
                                            PASSING(ARS_EBUSY), NONE};
static const fault_error e_uring_register[] = {FOREVER(ARS_EINVAL), FOREVER(ARS_ENOMEM), NONE};

#undef NONE
#undef FOREVER
#undef PASSING

/* X(how, type, name, errors, parameters, arguments); how: a rule replaces the call, comes AFTER it, or is for a transfer; CHAOS: the call goes on to chaos.c. */
#define SITES(X)                                                                                   \
    X(PLAIN, ars_time, now, e_none, (void), ())                                                    \
    X(PLAIN, ars_time, now_coarse, e_none, (void), ())                                             \
    X(PLAIN, ars_time, now_real, e_none, (void), ())                                               \
    X(PLAIN, ars_time, now_thread, e_none, (void), ())                                             \
    X(PLAIN, size_t, page_size, e_none, (void), ())                                                \
    X(PLAIN, int, reserve, e_memory, (void **out, size_t size), (out, size))                       \
    X(AFTER, int, release, e_memory, (void *p, size_t size), (p, size))                            \
    X(PLAIN, int, discard, e_invalid, (void *p, size_t size), (p, size))                           \
    X(PLAIN, int, guard_light, e_guard, (void *p, size_t size, size_t stride, unsigned n),         \
      (p, size, stride, n))                                                                        \
    X(PLAIN, int, guard_protect, e_memory, (void *p, size_t size), (p, size))                      \
    X(PLAIN, int, guard_probe, e_probe, (const void *p), (p))                                      \
    X(MOVES, int64_t, random, e_random, (void *buf, size_t n), (buf, n))                           \
    X(PLAIN, int, futex_wait, e_sleep, (uint32_t * word, uint32_t expected, ars_time deadline),    \
      (word, expected, deadline))                                                                  \
    X(PLAIN, int, futex_wake, e_none, (uint32_t * word, unsigned n), (word, n))                    \
    X(PLAIN, int, thread_start, e_thread, (uintptr_t * out, void *(*fn)(void *), void *arg),       \
      (out, fn, arg))                                                                              \
    X(AFTER, int, thread_join, e_none, (uintptr_t handle), (handle))                               \
    X(AFTER, int, thread_let_go, e_none, (uintptr_t handle), (handle))                             \
    X(PLAIN, int, thread_yield, e_none, (void), ())                                                \
    X(PLAIN, int, barrier_init, e_refused, (void), ())                                             \
    X(PLAIN, int, barrier, e_none, (void), ())                                                     \
    X(PLAIN, int, sigpipe_block, e_none, (void), ())                                               \
    X(PLAIN, int, sigpipe_restore, e_none, (int was_unblocked), (was_unblocked))                   \
    X(PLAIN, int, signal_catch, e_invalid, (int number, void (*fn)(const ars__os_signal *)),       \
      (number, fn))                                                                                \
    X(AFTER, int, signal_leave, e_none, (int number), (number))                                    \
    X(PLAIN, int, cpu_count, e_none, (void), ())                                                   \
    X(PLAIN, int, cpu_totals_get, e_none, (ars__os_cpu_totals * out), (out))                       \
    X(PLAIN, int, cpu_place_get, e_none, (int cpu, ars__os_cpu_place *out), (cpu, out))            \
    X(PLAIN, int, cpu_cache_get, e_none, (int cpu, int nth, ars__os_cpu_cache *out),               \
      (cpu, nth, out))                                                                             \
    X(AFTER, int, close, e_close, (int fd), (fd))                                                  \
    X(MOVES, int64_t, read, e_read, (int fd, void *buf, size_t n), (fd, buf, n))                   \
    X(MOVES, int64_t, write, e_write, (int fd, const void *buf, size_t n), (fd, buf, n))           \
    X(PLAIN, int, set_nonblock, e_none, (int fd, int on), (fd, on))                                \
    X(PLAIN, int, set_cloexec, e_none, (int fd, int on), (fd, on))                                 \
    X(PLAIN, int, pid, e_none, (void), ())                                                         \
    X(PLAIN, int, poll, e_memory, (int fd, unsigned events), (fd, events))                         \
    X(PLAIN, int, pipe, e_open, (int fds[2]), (fds))                                               \
    X(PLAIN, int, is_stream, e_none, (int fd), (fd))                                               \
    X(MOVES, int64_t, pread, e_read, (int fd, void *buf, size_t n, int64_t offset, int cached),    \
      (fd, buf, n, offset, cached))                                                                \
    X(MOVES, int64_t, sendfile, e_send, (int socket, int file, int64_t *offset, size_t n),         \
      (socket, file, offset, n))                                                                   \
    X(MOVES, int64_t, splice, e_splice, (int from, int to, size_t n), (from, to, n))               \
    X(PLAIN, int, eventfd, e_open, (void), ())                                                     \
    X(PLAIN, int, socket, e_socket, (int family, int type, int protocol, int nonblock),            \
      (family, type, protocol, nonblock))                                                          \
    X(PLAIN, int, socketpair, e_open, (int family, int type, int nonblock, int fds[2]),            \
      (family, type, nonblock, fds))                                                               \
    X(PLAIN, int, bind, e_bind, (int fd, const struct sockaddr *addr, uint32_t len),               \
      (fd, addr, len))                                                                             \
    X(PLAIN, int, listen, e_listen, (int fd, int backlog), (fd, backlog))                          \
    X(PLAIN, int, accept, e_accept, (int fd, struct sockaddr *addr, uint32_t *len, int nonblock),  \
      (fd, addr, len, nonblock))                                                                   \
    X(PLAIN, int, connect, e_connect, (int fd, const struct sockaddr *addr, uint32_t len),         \
      (fd, addr, len))                                                                             \
    X(MOVES, int64_t, recv, e_recv, (int fd, void *buf, size_t n, int dontwait),                   \
      (fd, buf, n, dontwait))                                                                      \
    X(MOVES, int64_t, send, e_send, (int fd, const void *buf, size_t n, int dontwait),             \
      (fd, buf, n, dontwait))                                                                      \
    X(PLAIN, int64_t, recvfrom, e_recv,                                                            \
      (int fd, void *buf, size_t n, struct sockaddr *addr, uint32_t *len),                         \
      (fd, buf, n, addr, len))                                                                     \
    X(PLAIN, int64_t, sendto, e_send,                                                              \
      (int fd, const void *buf, size_t n, const struct sockaddr *addr, uint32_t len),              \
      (fd, buf, n, addr, len))                                                                     \
    X(PLAIN, int64_t, recvmsg, e_recv, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))  \
    X(SENDS, int64_t, sendmsg, e_send, (int fd, const struct msghdr *msg, int dontwait),           \
      (fd, msg, dontwait))                                                                         \
    X(PLAIN, int, recvmmsg, e_recv, (int fd, struct mmsghdr *msgs, unsigned n), (fd, msgs, n))     \
    X(PLAIN, int, sendmmsg, e_send, (int fd, struct mmsghdr *msgs, unsigned n), (fd, msgs, n))     \
    X(PLAIN, int, shutdown, e_shutdown, (int fd, int how), (fd, how))                              \
    X(PLAIN, int, getsockopt, e_option, (int fd, int level, int name, void *value, uint32_t *len), \
      (fd, level, name, value, len))                                                               \
    X(PLAIN, int, setsockopt, e_option,                                                            \
      (int fd, int level, int name, const void *value, uint32_t len),                              \
      (fd, level, name, value, len))                                                               \
    X(PLAIN, int, getsockname, e_name, (int fd, struct sockaddr *addr, uint32_t *len),             \
      (fd, addr, len))                                                                             \
    X(PLAIN, int, getpeername, e_peer, (int fd, struct sockaddr *addr, uint32_t *len),             \
      (fd, addr, len))                                                                             \
    X(PLAIN, int, unlink, e_unlink, (const char *path), (path))                                    \
    X(PLAIN, int, is_socket, e_unlink, (const char *path), (path))                                 \
    X(PLAIN, int, interface_index, e_open, (const char *name), (name))                             \
    X(PLAIN, int, interface_name, e_open, (unsigned index, char name[ARS__OS_INTERFACE_NAME]),     \
      (index, name))                                                                               \
    X(CHAOS, int, poll_wait, e_poll_wait, (struct pollfd * fds, unsigned n, ars_time deadline),    \
      (fds, n, deadline))                                                                          \
    X(PLAIN, int, epoll_create, e_open, (void), ())                                                \
    X(PLAIN, int, epoll_ctl, e_epoll_ctl, (int ep, int op, int fd, struct epoll_event *ev),        \
      (ep, op, fd, ev))                                                                            \
    X(CHAOS, int, epoll_wait, e_epoll_wait,                                                        \
      (int ep, struct epoll_event *evs, int n, ars_time deadline), (ep, evs, n, deadline))         \
    X(CHAOS, int, uring_setup, e_uring_setup, (unsigned entries, struct io_uring_params *p),       \
      (entries, p))                                                                                \
    X(CHAOS, int, uring_enter, e_uring_enter,                                                      \
      (int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg, size_t size),    \
      (ring, submit, wait, flags, arg, size))                                                      \
    X(PLAIN, int, uring_register, e_uring_register,                                                \
      (int ring, unsigned op, void *arg, unsigned n), (ring, op, arg, n))                          \
    X(CHAOS, int, uring_map, e_memory, (void **out, int ring, size_t size, uint64_t offset),       \
      (out, ring, size, offset))                                                                   \
    X(CHAOS_AFTER, int, uring_unmap, e_invalid, (void *p, size_t size), (p, size))

#define INDEX(how, type, name, errors, parameters, arguments) SITE_##name,
enum { SITES(INDEX) SITE_COUNT };
#undef INDEX

enum { MODE_NONE, MODE_RESULT, MODE_SHORT, MODE_AFTER };

typedef struct site {
    const char *name;
    const fault_error *errors;
    ars_atomic_u64 calls, hits;
    /* The rule; 'mode' is written last and read first. */
    ars_atomic_u32 mode;
    ars_atomic_u64 first, last; /* by number of call */
    ars_atomic_i64 result;
} site;

#define ENTRY(how, type, site_name, site_errors, parameters, arguments)                            \
    [SITE_##site_name] = {.name = #site_name, .errors = site_errors},
static site sites[SITE_COUNT] = {SITES(ENTRY)};
#undef ENTRY

/* What fault_before() was given: 'before_site' is stored last, and taken by whoever acts on it. */
static ars_atomic_ptr before_site;
static void (*before_fn)(void *arg);
static void *before_arg;

static void run_before(site *s)
{
    void *expected = s;
    if (ars_atomic_ptr_load_relaxed(&before_site) != s) return;
    if (ars_atomic_ptr_cas_acq_rel(&before_site, &expected, NULL)) before_fn(before_arg);
}

/* ---- noise ---- */

static ars_atomic_u64 noise; /* 0: none */

/* Sites whose first error is a passing EINTR; but what is no socket is not interrupted, and waking up neither. */
static int is_interruptible(const site *s)
{
    long i = s - sites;
    return s->errors->result == ARS_EINTR && s->errors->passing && i != SITE_read &&
           i != SITE_write && i != SITE_pread;
}

static int can_be_short(const site *s)
{
    long i = s - sites;
    return i == SITE_send || i == SITE_sendmsg || i == SITE_sendfile || i == SITE_splice;
}

static unsigned make_noise(const site *s, int64_t *value)
{
    if (ars_atomic_u64_load_relaxed(&noise) == 0) return MODE_NONE;
    uint64_t x = ars_atomic_u64_add_relaxed(&noise, UINT64_C(0x9E3779B97F4A7C15));
    x = (x ^ x >> 29) * UINT64_C(0xBF58476D1CE4E5B9) >> 32;
    if (x % 16 == 0 && is_interruptible(s)) {
        *value = ARS_EINTR;
        ars_atomic_u64_add_relaxed(&sites[s - sites].hits, 1);
        return MODE_RESULT;
    }
    if (x % 16 != 1 || !can_be_short(s)) return MODE_NONE;
    *value = 1 + (int64_t)(x / 16 % 3000);
    ars_atomic_u64_add_relaxed(&sites[s - sites].hits, 1);
    return MODE_SHORT;
}

/* Counts a call; the mode of the rule that applies to it, and its value. */
static unsigned hit(site *s, int64_t *value)
{
    uint64_t call = ars_atomic_u64_add_relaxed(&s->calls, 1) + 1;
    run_before(s);
    unsigned mode = ars_atomic_u32_load_acquire(&s->mode);
    if (mode == MODE_NONE || call < ars_atomic_u64_load_relaxed(&s->first) ||
        call > ars_atomic_u64_load_relaxed(&s->last))
        return make_noise(s, value);
    ars_atomic_u64_add_relaxed(&s->hits, 1);
    *value = ars_atomic_i64_load_relaxed(&s->result);
    return mode;
}

#define WRAP_PLAIN(type, name, arguments)                                                          \
    unsigned mode = hit(&sites[SITE_##name], &given);                                              \
    if (mode == MODE_RESULT) return (type)given;                                                   \
    type result = __real_ars__os_##name arguments;                                                 \
    return mode ? (type)given : result;
#define WRAP_AFTER(type, name, arguments)                                                          \
    unsigned mode = hit(&sites[SITE_##name], &given);                                              \
    type result = __real_ars__os_##name arguments;                                                 \
    return mode ? (type)given : result;
#define WRAP_CHAOS(type, name, arguments)                                                          \
    if (hit(&sites[SITE_##name], &given)) return (type)given;                                      \
    return chaos_##name arguments;
#define WRAP_CHAOS_AFTER(type, name, arguments)                                                    \
    unsigned mode = hit(&sites[SITE_##name], &given);                                              \
    type result = chaos_##name arguments;                                                          \
    return mode ? (type)given : result;
#define WRAP_MOVES(type, name, arguments)                                                          \
    unsigned mode = hit(&sites[SITE_##name], &given);                                              \
    if (mode == MODE_RESULT) return (type)given;                                                   \
    if (mode == MODE_SHORT && n > (size_t)given) n = (size_t)given;                                \
    return __real_ars__os_##name arguments;

/* A message cut short is the beginning of its first buffer. */
#define WRAP_SENDS(type, name, arguments)                                                          \
    unsigned mode = hit(&sites[SITE_##name], &given);                                              \
    if (mode == MODE_RESULT) return (type)given;                                                   \
    if (mode == MODE_SHORT) {                                                                      \
        struct iovec first = *msg->msg_iov;                                                        \
        struct msghdr cut = *msg;                                                                  \
        if (first.iov_len > (size_t)given) first.iov_len = (size_t)given;                          \
        cut.msg_iov = &first;                                                                      \
        cut.msg_iovlen = 1;                                                                        \
        return __real_ars__os_##name(fd, &cut, dontwait);                                          \
    }                                                                                              \
    return __real_ars__os_##name arguments;

#define WRAP(how, type, name, errors, parameters, arguments)                                       \
    type __real_ars__os_##name parameters;                                                         \
    type __wrap_ars__os_##name parameters;                                                         \
    type __wrap_ars__os_##name parameters                                                          \
    {                                                                                              \
        int64_t given = 0;                                                                         \
        WRAP_##how(type, name, arguments)                                                          \
    }
SITES(WRAP)
#undef WRAP

static site *find(const char *name)
{
    for (unsigned i = 0; i < SITE_COUNT; i++) {
        if (strcmp(sites[i].name, name) == 0) return &sites[i];
    }
    FAIL("no call of os.h is named \"%s\"", name);
}

static void set(site *s, unsigned mode, unsigned nth, int64_t result, int times)
{
    ars_atomic_u32_store_release(&s->mode, MODE_NONE);
    if (nth == 0) return;
    uint64_t first = ars_atomic_u64_load_relaxed(&s->calls) + nth;
    ars_atomic_u64_store_relaxed(&s->first, first);
    ars_atomic_u64_store_relaxed(&s->last, times < 0 ? UINT64_MAX : first + (unsigned)times - 1);
    ars_atomic_i64_store_relaxed(&s->result, result);
    ars_atomic_u32_store_release(&s->mode, mode);
}

void fault_at(const char *name, unsigned nth, int64_t result, int times)
{
    set(find(name), MODE_RESULT, nth, result, times);
}

void fault_after(const char *name, unsigned nth, int64_t result)
{
    CHECK_STR(name, "connect"); /* the only one that does something and fails */
    set(find(name), MODE_AFTER, nth, result, 1);
}

void fault_short(const char *name, unsigned nth, size_t bytes)
{
    site *s = find(name);
    long i = s - sites;
    CHECK(i == SITE_read || i == SITE_write || i == SITE_recv || i == SITE_send ||
          i == SITE_pread || i == SITE_sendmsg || i == SITE_sendfile || i == SITE_splice ||
          i == SITE_random);
    set(s, MODE_SHORT, nth, (int64_t)bytes, 1);
}

void fault_before(const char *name, void (*fn)(void *arg), void *arg)
{
    ars_atomic_ptr_store_release(&before_site, NULL);
    before_fn = fn;
    before_arg = arg;
    ars_atomic_ptr_store_release(&before_site, find(name));
}

void fault_noise(uint64_t seed)
{
    ars_atomic_u64_store_relaxed(&noise, seed | 1);
}

void fault_reset(void)
{
    ars_atomic_u64_store_relaxed(&noise, 0);
    ars_atomic_ptr_store_release(&before_site, NULL);
    for (unsigned i = 0; i < SITE_COUNT; i++) {
        ars_atomic_u32_store_release(&sites[i].mode, MODE_NONE);
        ars_atomic_u64_store_relaxed(&sites[i].calls, 0);
        ars_atomic_u64_store_relaxed(&sites[i].hits, 0);
    }
}

uint64_t fault_counts(const char *name)
{
    return ars_atomic_u64_load_relaxed(&find(name)->calls);
}

uint64_t fault_hits(const char *name)
{
    return ars_atomic_u64_load_relaxed(&find(name)->hits);
}

const char *fault_site(unsigned i)
{
    return i < SITE_COUNT ? sites[i].name : NULL;
}

const fault_error *fault_errors(unsigned i)
{
    return sites[i].errors;
}
