/* SPDX-License-Identifier: MIT */

/*
 * The poll backend: the floor under the others, for where they are refused.
 *
 * The kernel is handed, each time, the descriptors for which somebody waits;
 * so a turn costs time in proportion to these.  Where a descriptor stands in
 * that array is kept by its number.  Its place is given up when nobody waits
 * for it any more, which may be found out only when the kernel reports it.
 *
 * poll(2) knows descriptors by number alone: one that was closed and opened
 * anew while somebody waited for it is the new one from then on.
 */

#include <arsenal/run.h>
#include <string.h>

#include "base/assert.h"
#include "io/linux/backends.h"
#include "io/ready.h"
#include "os/os.h"

/* A descriptor may be a source's, and foreign by mistake: it then has two places. */
enum { OWNED = 0, FOREIGN = 1, ROLES = 2, FIRST_ROOM = 64 };

typedef struct entry {
    ars__source *source;   /* NULL: none of this loop */
    uint32_t place[ROLES]; /* in 'fds', 0: none */
} entry;

typedef struct loop {
    ars__ready_loop ready;
    entry *entries; /* by descriptor; 'room' of them */
    struct pollfd
        *fds; /* 'count' are in use; the first is the wake-up, the most are ROLES * room + 1 */
    uint32_t room, count;
    struct pollfd none; /* where fds is until there is a source */
} loop;

static loop *loop_of(const ars__loop *base)
{
    return (loop *)(uintptr_t)base; /* it is the first member of the first member */
}

/* ---- places ---- */

static size_t fds_size(uint32_t room)
{
    return (ROLES * (size_t)room + 1) * sizeof(struct pollfd);
}

static ARS__NOINLINE int grow(loop *l, int fd)
{
    const ars_alloc *alloc = l->ready.base.alloc;
    uint32_t room = l->room ? l->room : FIRST_ROOM;
    while ((uint32_t)fd >= room) room *= 2;
    entry *entries = alloc->alloc(alloc->ctx, room * sizeof *entries, 8);
    if (!entries) return ARS_ENOMEM;
    struct pollfd *fds = alloc->alloc(alloc->ctx, fds_size(room), 8);
    if (!fds) {
        alloc->free(alloc->ctx, entries, room * sizeof *entries, 8);
        return ARS_ENOMEM;
    }
    memset(entries, 0, room * sizeof *entries);
    if (l->room) memcpy(entries, l->entries, l->room * sizeof *entries);
    memcpy(fds, l->fds, l->count * sizeof *fds);
    if (l->room) {
        alloc->free(alloc->ctx, l->entries, l->room * sizeof *entries, 8);
        alloc->free(alloc->ctx, l->fds, fds_size(l->room), 8);
    }
    l->entries = entries;
    l->fds = fds;
    l->room = room;
    return 0;
}

static int role_at(const loop *l, uint32_t place)
{
    return l->entries[l->fds[place].fd].place[FOREIGN] == place ? FOREIGN : OWNED;
}

/* Room for 'fd' in both tables; 0 or ARS_ENOMEM. */
static int make_room(loop *l, int fd)
{
    if (ARS__LIKELY((uint32_t)fd < l->room)) return 0;
    ars__san_ignore_begin(); /* all tasks of the worker use them */
    int rc = grow(l, fd);
    ars__san_ignore_end();
    return rc;
}

/* From now on the kernel is asked for 'events' of 'fd'. */
static void ask(loop *l, int fd, int role, unsigned events)
{
    uint32_t *place = &l->entries[fd].place[role];
    if (*place) {
        l->fds[*place].events = (short)events;
        return;
    }
    *place = l->count++;
    l->fds[*place] = (struct pollfd){.fd = fd, .events = (short)events};
}

/* The last one moves to its place; in a turn that has been looked at. */
static void ask_no_more(loop *l, int fd, int role)
{
    uint32_t place = l->entries[fd].place[role];
    if (!place) return;
    l->entries[fd].place[role] = 0;
    uint32_t last = --l->count;
    if (place == last) return;
    l->entries[l->fds[last].fd].place[role_at(l, last)] = place;
    l->fds[place] = l->fds[last];
}

/* What somebody waits for. */
static unsigned events_of(const ars__source *source)
{
    if (source->kind == ARS__LISTENER) return source->accepts->first ? POLLIN : 0;
    const ars__request *writer = source->writer;
    return (source->reader ? POLLIN : 0u) | (writer && writer->kind != ARS__TURN ? POLLOUT : 0u);
}

static int watch(ars__ready_loop *ready, int fd, unsigned events)
{
    loop *l = loop_of(&ready->base);
    if (!events) {
        if ((uint32_t)fd < l->room) ask_no_more(l, fd, FOREIGN);
        return 0;
    }
    int rc = make_room(l, fd);
    if (rc < 0) return rc;
    ask(l, fd, FOREIGN, events);
    return 0;
}

/* ---- the turn ---- */

static void event(loop *l, uint32_t place, unsigned events)
{
    int fd = l->fds[place].fd;
    if (place == 0) {
        uint64_t count;
        ars__os_read(fd, &count, sizeof count);
        return;
    }
    if (role_at(l, place) == FOREIGN) {
        ars__ready_polled(&l->ready, fd, events & POLLNVAL ? ARS_EBADF : (int32_t)events);
        return;
    }
    ars__source *source = l->entries[fd].source;
    /* The system call finds out what is wrong. */
    if (events & (POLLERR | POLLNVAL)) events |= POLLHUP;
    ars__ready_event(source, events);
    events = events_of(source);
    if (events)
        ask(l, fd, OWNED, events);
    else
        ask_no_more(l, fd, OWNED);
}

static void poll_turn(ars__poller *poller, ars_time deadline)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    if (ars__loop_drain(&l->ready.base)) deadline = 0;
    int n = ars__os_poll_wait(l->fds, l->count, deadline);
    /* Backwards, for what gives up its place is replaced by the last. */
    for (uint32_t i = l->count; n > 0 && i-- > 0;) {
        unsigned events = (unsigned short)l->fds[i].revents;
        if (!events) continue;
        n--;
        event(l, i, events);
    }
}

/* ---- open and close ---- */

static int poll_open(ars__loop **out, const ars_alloc *alloc)
{
    loop *l = alloc->alloc(alloc->ctx, sizeof *l, 64);
    if (!l) return ARS_ENOMEM;
    memset(l, 0, sizeof *l);
    int rc = ars__ready_open(&l->ready, &ars__poll_backend, alloc);
    if (rc < 0) {
        alloc->free(alloc->ctx, l, sizeof *l, 64);
        return rc;
    }
    l->ready.watch = watch;
    l->none = (struct pollfd){.fd = l->ready.wake_fd, .events = POLLIN};
    l->fds = &l->none;
    l->count = 1;
    *out = &l->ready.base;
    return 0;
}

static void poll_close(ars__poller *poller)
{
    loop *l = loop_of(ARS__MEMBER(poller, ars__loop, poller));
    const ars_alloc *alloc = l->ready.base.alloc;
    ars__ready_stop(&l->ready);
    if (l->room) {
        alloc->free(alloc->ctx, l->entries, l->room * sizeof *l->entries, 8);
        alloc->free(alloc->ctx, l->fds, fds_size(l->room), 8);
    }
    ars__ready_close(&l->ready, sizeof *l);
}

/* ---- the contract ---- */

static int poll_source_open(ars__source *source)
{
    loop *l = loop_of(source->loop);
    int rc = make_room(l, source->fd);
    if (rc < 0) return rc;
    ARS__ASSERT(!l->entries[source->fd].source);
    l->entries[source->fd].source = source;
    source->readable = source->writable = 1;
    return 0;
}

static void poll_source_close(ars__source *source)
{
    loop *l = loop_of(source->loop);
    ask_no_more(l, source->fd, OWNED);
    l->entries[source->fd].source = NULL;
}

static int poll_source_leave(ars__source *source)
{
    poll_source_close(source);
    return 1;
}

static int32_t poll_submit(ars__request *request, int wait)
{
    int32_t rc = ars__ready_submit(request, wait);
    if (rc != ARS__PENDING || request->kind == ARS__POLL) return rc;
    ars__source *source = request->source;
    int reads = request->kind == ARS__RECV || request->kind == ARS__LOAN ||
                request->kind == ARS__POLL_IN || request->kind == ARS__READY ||
                request->kind == ARS__ACCEPT;
    unsigned event = reads ? POLLIN : POLLOUT;
    ask(loop_of(source->loop), source->fd, OWNED, events_of(source) | event);
    return rc;
}

const ars__backend ars__poll_backend = {
    .poller = {"poll", poll_turn, ars__ready_wake, ars__ready_in_flight, poll_close},
    .id = ARS_BACKEND_POLL,
    .nonblock = 1,
    .open = poll_open,
    .source_open = poll_source_open,
    .source_leave = poll_source_leave,
    .submit = poll_submit,
    .ready = ars__ready_look,
    .cancel = ars__ready_cancel,
    .source_close = poll_source_close,
    .loan_return = ars__ready_loan_return,
    .loan_room = ars__ready_loan_room,
};
