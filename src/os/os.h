/* SPDX-License-Identifier: MIT */
#ifndef ARS_OS_H
#define ARS_OS_H

/*
 * The operating system, as the rest of Arsenal sees it: this page is the
 * whole contract, and each folder beside it implements it for one system.
 *
 * Every call returns >= 0, or the negative error code of <arsenal/base.h>;
 * none touches errno for the caller.  Calls that a signal can interrupt give
 * ARS_EINTR and have done nothing, unless said otherwise.  No call allocates
 * from the C library, so that all of them may run on a small stack.
 *
 * Every call below is an ordinary external function on purpose: a test links
 * its fault layer with --wrap=NAME and makes the n-th call of any of them
 * fail, or be shortened, without a line of the product knowing.
 */

#include <arsenal/base.h>

struct sockaddr;
struct msghdr;
struct mmsghdr;
struct epoll_event;
struct pollfd;
struct io_uring_params;

/* ---- time ---- */

/* Monotonic clock, ns.  Cannot fail. */
ars_time ars__os_now(void);

/* The same as of the system's last tick; nanoseconds since 1970 (UTC); the calling thread's CPU time.  Cannot fail. */
ars_time ars__os_now_coarse(void);
ars_time ars__os_now_real(void);
ars_time ars__os_now_thread(void);

/* ---- memory: all sizes and addresses in whole pages ---- */

size_t ars__os_page_size(void);

/*
 * Reserves 'size' bytes of private, zero, readable and writable memory that is
 * not backed before it is touched, counts toward no commit limit where the
 * system can do that, and is never given huge pages.  ARS_ENOMEM.
 */
int ars__os_reserve(void **out, size_t size);
int ars__os_release(void *p, size_t size);

/* Gives the pages' content back; they read as zero afterwards. */
int ars__os_discard(void *p, size_t size);

/*
 * Makes 'n' ranges of 'size' bytes, 'stride' apart from 'p' on, fault on any
 * access without splitting the mapping (Linux: MADV_GUARD_INSTALL, 6.13).
 * ARS_EINVAL or ARS_ENOSYS where the system cannot.  After an error some of
 * the ranges may be guarded.
 */
int ars__os_guard_light(void *p, size_t size, size_t stride, unsigned n);

/* The same for one range by page protection; it splits the mapping.  ARS_ENOMEM at the limit of mappings. */
int ars__os_guard_protect(void *p, size_t size);

/*
 * Whether an access to '*p' would fault: 1, 0, or an error if that cannot be
 * told.  It asks the kernel to read from there, so that an emulator that
 * ignores advice is found out.
 */
int ars__os_guard_probe(const void *p);

/* ---- randomness ---- */

/*
 * Writes up to 'n' random bytes that are fit for secrets, and returns how many:
 * a signal or the system's limit can make them fewer.  Soon after the machine's
 * start it may wait.  ARS_EINTR; ARS_ENOSYS where there is no such source.
 */
int64_t ars__os_random(void *buf, size_t n);

/* ---- threads and signals ---- */

/*
 * Sleeps while '*word' == 'expected', until woken or until 'deadline'
 * (ARS_FOREVER: no limit).  0 when woken, also spuriously; ARS_EAGAIN when the
 * word differs; ARS_ETIMEDOUT; ARS_EINTR.
 */
int ars__os_futex_wait(uint32_t *word, uint32_t expected, ars_time deadline);
/* Wakes at most 'n' sleepers; returns how many. */
int ars__os_futex_wake(uint32_t *word, unsigned n);

/*
 * Runs fn(arg) on a new thread, which has every asynchronous signal blocked.
 * Unlike other calls this one uses the C library's memory.  ARS_ENOMEM or
 * ARS_EAGAIN without resources.  A thread is joined or let go, once.
 */
int ars__os_thread_start(uintptr_t *out, void *(*fn)(void *), void *arg);
int ars__os_thread_join(uintptr_t thread);
int ars__os_thread_let_go(uintptr_t thread);

/* Lets other threads of this CPU run. */
int ars__os_thread_yield(void);

/*
 * Makes every other thread of the process pass a full memory barrier, at some
 * point of what it does between the call and its return.  The first of the two
 * calls asks whether the system can do that, and prepares it; it takes
 * milliseconds in a process with threads.  ARS_ENOSYS, ARS_EINVAL or ARS_EPERM
 * where it cannot; the second may find no memory.
 */
int ars__os_barrier_init(void);
int ars__os_barrier(void);

/*
 * Blocks SIGPIPE for this thread.  Returns 1 if it was not blocked before, 0
 * if it was; give that to ars__os_sigpipe_restore(), which takes away a
 * SIGPIPE that came in the meantime and unblocks it again.
 */
int ars__os_sigpipe_block(void);
int ars__os_sigpipe_restore(int was_unblocked);

/* A signal that has come.  pid: the sender, or the child; 0: the kernel.  value: what sigqueue() carried. */
typedef struct ars__os_signal {
    int number, pid, value;
} ars__os_signal;

/*
 * From now on 'number' calls 'fn', of which there is one in a process, in a
 * signal handler on whichever thread does not block it; there it may call
 * nothing of this page but ars__os_write().  In a forked child it is not
 * called.  ARS_EINVAL: no signal, one that cannot be caught or that is a fault
 * of the thread.  Leaving puts back what was in force before, unless somebody
 * else has caught the signal since.  Calls of both must not overlap.
 */
int ars__os_signal_catch(int number, void (*fn)(const ars__os_signal *signal));
int ars__os_signal_leave(int number);

/* CPUs this process may use: affinity and, where there is one, the cgroup's quota rounded up; >= 1. */
int ars__os_cpu_count(void);

/*
 * What the machine is made of, for <arsenal/cpu.h>, which says what the fields
 * mean.  Where the system does not tell, a CPU is a core of its own, all are in
 * one package and in node 0, and there are no caches.  ARS_ENOENT: the CPU is
 * not on line, or has no 'nth' cache.
 */
typedef struct ars__os_cpu_totals {
    int end, online, cores, packages, nodes;
    int64_t quota;
} ars__os_cpu_totals;

typedef struct ars__os_cpu_place {
    int core, package, node, allowed;
} ars__os_cpu_place;

typedef struct ars__os_cpu_cache {
    int64_t size;
    int level, data, code, line, ways, first, sharers;
} ars__os_cpu_cache;

int ars__os_cpu_totals_get(ars__os_cpu_totals *out); /* 0 */
int ars__os_cpu_place_get(int cpu, ars__os_cpu_place *out);
int ars__os_cpu_cache_get(int cpu, int nth, ars__os_cpu_cache *out);

/* ---- descriptors; all new ones are close-on-exec ---- */

int ars__os_close(int fd); /* the descriptor is gone whatever it returns */
int64_t ars__os_read(int fd, void *buf, size_t n);
int64_t ars__os_write(int fd, const void *buf, size_t n);
/* 1: blocking off, 0: on.  Returns the previous setting. */
int ars__os_set_nonblock(int fd, int on);
/* The same for being closed by exec. */
int ars__os_set_cloexec(int fd, int on);
/* This process's number. */
int ars__os_pid(void);
/* A pipe: what is written to fds[1] is read from fds[0].  Both are non-blocking. */
int ars__os_pipe(int fds[2]);
/* Whether it is a pipe, a socket or a character device, whose bytes come one after the other; 1 or 0. */
int ars__os_is_stream(int fd);
/* Reads at 'offset'; 'cached' != 0: ARS_EAGAIN instead of waiting for the disk, ARS_EOPNOTSUPP if that cannot be told. */
int64_t ars__os_pread(int fd, void *buf, size_t n, int64_t offset, int cached);
/* Sends up to 'n' bytes of a file from '*offset' on, which it moves.  Waits if the socket does. */
int64_t ars__os_sendfile(int socket, int file, int64_t *offset, size_t n);
/* Moves up to 'n' bytes without copying; one of the two is a pipe.  Waits if the other one does. */
int64_t ars__os_splice(int from, int to, size_t n);
/* An event counter: writing adds, reading takes all; never blocks. */
int ars__os_eventfd(void);

/* ---- sockets ---- */

int ars__os_socket(int family, int type, int protocol, int nonblock);
int ars__os_socketpair(int family, int type, int nonblock, int fds[2]);
int ars__os_bind(int fd, const struct sockaddr *addr, uint32_t len);
int ars__os_listen(int fd, int backlog);
/* 'len' in and out; both may be NULL. */
int ars__os_accept(int fd, struct sockaddr *addr, uint32_t *len, int nonblock);
/* ARS_EINTR: the attempt goes on, as after ARS_EINPROGRESS. */
int ars__os_connect(int fd, const struct sockaddr *addr, uint32_t len);
/* Never raises SIGPIPE; 'dontwait' != 0: ARS_EAGAIN instead of waiting. */
int64_t ars__os_recv(int fd, void *buf, size_t n, int dontwait);
int64_t ars__os_send(int fd, const void *buf, size_t n, int dontwait);
/*
 * A datagram and its address ('len' in and out; both may be NULL).  They do not
 * wait.  A received one's length is its own, even if there was less room.
 */
int64_t ars__os_recvfrom(int fd, void *buf, size_t n, struct sockaddr *addr, uint32_t *len);
int64_t ars__os_sendto(int fd, const void *buf, size_t n, const struct sockaddr *addr,
                       uint32_t len);
/*
 * With addresses and control data, 'flags' as recvmsg(2) has them; never waits,
 * and received descriptors are close-on-exec.
 */
int64_t ars__os_recvmsg(int fd, struct msghdr *msg, int flags);
int64_t ars__os_sendmsg(int fd, const struct msghdr *msg, int dontwait);
/*
 * Up to 'n' datagrams; the number done, or the error of the first.  They do not
 * wait.  A received one's length is its own, even if there was less room.
 */
int ars__os_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n);
int ars__os_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n);
int ars__os_shutdown(int fd, int how);
int ars__os_getsockopt(int fd, int level, int name, void *value, uint32_t *len);
int ars__os_setsockopt(int fd, int level, int name, const void *value, uint32_t len);
int ars__os_getsockname(int fd, struct sockaddr *addr, uint32_t *len);
int ars__os_getpeername(int fd, struct sockaddr *addr, uint32_t *len);

/* Removes a name of a file. */
int ars__os_unlink(const char *path);
/* Whether there is a socket of that name, 1 or 0; symbolic links are not followed. */
int ars__os_is_socket(const char *path);

/* Network interfaces: index (> 0) of a name, and name of an index.  ARS_ENODEV (-19) if there is none. */
enum { ARS__OS_INTERFACE_NAME = 16 };
int ars__os_interface_index(const char *name);
int ars__os_interface_name(unsigned index, char name[ARS__OS_INTERFACE_NAME]);

/* ---- readiness: poll and epoll; events are poll(2)'s bits ---- */

/* Which of 'events' hold now, or an error or hang-up; 0: none.  Never waits. */
int ars__os_poll(int fd, unsigned events);
/* poll(2) until 'deadline', in nanoseconds. */
int ars__os_poll_wait(struct pollfd *fds, unsigned n, ars_time deadline);
int ars__os_epoll_create(void);
int ars__os_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
/* Waits until 'deadline' (0: does not wait); number of events.  Nanoseconds where the kernel can, else rounded up to ms. */
int ars__os_epoll_wait(int ep, struct epoll_event *evs, int n, ars_time deadline);

/* ---- completion: io_uring ---- */

int ars__os_uring_setup(unsigned entries, struct io_uring_params *p);
int ars__os_uring_enter(int ring, unsigned submit, unsigned wait, unsigned flags, const void *arg,
                        size_t size);
int ars__os_uring_register(int ring, unsigned op, void *arg, unsigned n);
int ars__os_uring_map(void **out, int ring, size_t size, uint64_t offset);
int ars__os_uring_unmap(void *p, size_t size);

#endif
