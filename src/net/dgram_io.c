/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/dgram.h>. */
#define _GNU_SOURCE
#include <arsenal/clock.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>

#include "io/await.h"
#include "net/control.h"
#include "net/dgram.h"
#include "os/os.h"

/* Datagrams that one system call moves: all that describes them lies on the stack. */
enum { BATCH = 32 };

static const ars__wait_class receiving = {"receive a datagram", ars__request_interrupt};
static const ars__wait_class sending = {"send a datagram", ars__request_interrupt};

/* Room for one number beside a datagram: the size of its segments. */
typedef union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
} control;

/* ---- receiving ---- */

/* The kernel has written 'len' bytes of an address. */
static void address_came(const ars_dgram *dgram, ars_addr *addr, size_t len)
{
    char *sa = (char *)addr->ars__sockaddr;
    /* A unix socket without a name. */
    if (dgram->family == AF_UNIX && len <= offsetof(struct sockaddr_un, sun_path)) len = 0;
    addr->ars__len = (uint32_t)len;
    addr->ars__pad = 0;
    memset(sa + len, 0, sizeof addr->ars__sockaddr - len);
}

/* The end of a connection looks like an empty message. */
static int32_t length(const ars_dgram *dgram, int64_t len)
{
    return len == 0 && dgram->seqpacket ? ARS_EPIPE : (int32_t)len;
}

static int32_t recv_now(const ars_dgram *dgram, void *buf, size_t n, ars_addr *from)
{
    struct sockaddr *sa = from ? (struct sockaddr *)from->ars__sockaddr : NULL;
    uint32_t len = sizeof from->ars__sockaddr;
    int64_t got;
    do got = ars__os_recvfrom(dgram->source.fd, buf, n, sa, from ? &len : NULL);
    while (got == ARS_EINTR);
    if (got >= 0 && from) address_came(dgram, from, len);
    return length(dgram, got);
}

static ARS__NOINLINE int32_t recv_rights(const ars_dgram *dgram, void *buf, size_t n,
                                         ars_addr *from, ars_rights *rights)
{
    ars__control beside;
    struct iovec iov = {buf, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ars__control_expect(&msg, &beside);
    if (from) {
        msg.msg_name = from->ars__sockaddr;
        msg.msg_namelen = sizeof from->ars__sockaddr;
    }
    int64_t got;
    do got = ars__os_recvmsg(dgram->source.fd, &msg, MSG_TRUNC);
    while (got == ARS_EINTR);
    if (got < 0) return (int32_t)got;
    if (from) address_came(dgram, from, msg.msg_namelen);
    int rc = ars__control_take(&msg, rights);
    return rc < 0 ? rc : length(dgram, got);
}

__attribute__((always_inline)) static inline int recv_one(ars_dgram *dgram, void *buf, size_t n,
                                                          ars_addr *from, ars_rights *rights,
                                                          ars_time deadline)
{
    ars__source *source = &dgram->source;
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(!self || (ptrdiff_t)n < 0)) return ARS_EINVAL;
    int rc = ars__source_enter(source, self, deadline);
    while (rc >= 0) {
        if (ARS__UNLIKELY(source->reader != NULL)) return ARS_EBUSY;
        int32_t len =
            rights ? recv_rights(dgram, buf, n, from, rights) : recv_now(dgram, buf, n, from);
        if (len != ARS_EAGAIN) return len;
        rc = ars__await_in(source, self, &receiving, deadline);
    }
    return rc;
}

int ars_dgram_recv(ars_dgram *dgram, void *buf, size_t n, ars_addr *from, ars_time deadline)
{
    return recv_one(dgram, buf, n, from, NULL, deadline);
}

int ars_dgram_recv_rights(ars_dgram *dgram, void *buf, size_t n, ars_addr *from, ars_rights *rights,
                          ars_time deadline)
{
    return recv_one(dgram, buf, n, from, rights, deadline);
}

static uint32_t segment_of(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        int size;
        if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO) continue;
        memcpy(&size, CMSG_DATA(c), sizeof size);
        return (uint32_t)size;
    }
    return 0;
}

/* Of a connection: those before its end, which looks like empty messages; or ARS_EPIPE. */
static int before_end(const struct mmsghdr *msgs, int n)
{
    int i = 0;
    while (i < n && msgs[i].msg_len > 0) i++;
    return i > 0 ? i : ARS_EPIPE;
}

/* Up to BATCH of them. */
static int recv_batch(const ars_dgram *dgram, ars_message *m, unsigned n)
{
    struct mmsghdr msgs[BATCH];
    struct iovec iovs[BATCH];
    control controls[BATCH];
    for (unsigned i = 0; i < n; i++) {
        iovs[i] = (struct iovec){m[i].data, m[i].size};
        msgs[i].msg_hdr = (struct msghdr){.msg_name = m[i].addr.ars__sockaddr,
                                          .msg_namelen = sizeof m[i].addr.ars__sockaddr,
                                          .msg_iov = &iovs[i],
                                          .msg_iovlen = 1};
        if (!dgram->gro) continue;
        msgs[i].msg_hdr.msg_control = &controls[i];
        msgs[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
    int got;
    do got = ars__os_recvmmsg(dgram->source.fd, msgs, n);
    while (got == ARS_EINTR);
    if (got > 0 && dgram->seqpacket) got = before_end(msgs, got);
    for (int i = 0; i < got; i++) {
        m[i].len = msgs[i].msg_len;
        m[i].segment = dgram->gro ? segment_of(&msgs[i].msg_hdr) : 0;
        address_came(dgram, &m[i].addr, msgs[i].msg_hdr.msg_namelen);
    }
    return got;
}

/* What is there of 'n', or the error of the first. */
static ARS__NOINLINE int recv_there(const ars_dgram *dgram, ars_message *messages, size_t n)
{
    size_t done = 0;
    while (done < n) {
        unsigned batch = n - done < BATCH ? (unsigned)(n - done) : BATCH;
        int got = recv_batch(dgram, messages + done, batch);
        if (got < 0) return done ? (int)done : got;
        done += (unsigned)got;
        if ((unsigned)got < batch) break;
    }
    return (int)done;
}

int ars_dgram_recv_many(ars_dgram *dgram, ars_message *messages, size_t n, ars_time deadline)
{
    ars__source *source = &dgram->source;
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(!self)) return ARS_EINVAL;
    if (n > INT32_MAX) n = INT32_MAX;
    for (size_t i = 0; i < n; i++) {
        if ((ptrdiff_t)messages[i].size < 0) return ARS_EINVAL;
    }
    int rc = ars__source_enter(source, self, deadline);
    while (rc >= 0) {
        if (ARS__UNLIKELY(source->reader != NULL)) return ARS_EBUSY;
        int got = recv_there(dgram, messages, n);
        if (got != ARS_EAGAIN) return got;
        rc = ars__await_in(source, self, &receiving, deadline);
    }
    return rc;
}

/* ---- sending ---- */

/* NULL and 0 for the peer. */
static void *address_to(const ars_addr *to, uint32_t *len)
{
    size_t n = 0;
    const void *sa = to ? ars_addr_sockaddr(to, &n) : NULL;
    *len = (uint32_t)n;
    return (void *)(uintptr_t)sa;
}

static int32_t send_now(const ars_dgram *dgram, const void *buf, size_t n, const ars_addr *to)
{
    uint32_t len;
    const struct sockaddr *sa = address_to(to, &len);
    int64_t sent;
    do sent = ars__os_sendto(dgram->source.fd, buf, n, sa, len);
    while (sent == ARS_EINTR);
    return sent < 0 ? (int32_t)sent : 0;
}

static ARS__NOINLINE int32_t send_rights(const ars_dgram *dgram, const void *buf, size_t n,
                                         const ars_addr *to, const int *fds, size_t count)
{
    ars__control beside;
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    msg.msg_name = address_to(to, &msg.msg_namelen);
    ars__control_put(&msg, &beside, fds, count);
    int64_t sent;
    do sent = ars__os_sendmsg(dgram->source.fd, &msg, 1);
    while (sent == ARS_EINTR);
    return sent < 0 ? (int32_t)sent : 0;
}

/*
 * The queue of another unix socket is full, which shows neither in the
 * readiness of ours nor in anything that one could wait for.
 */
static int is_peers_queue(const ars_dgram *dgram, const ars_addr *to)
{
    return dgram->family == AF_UNIX && to && ars__os_poll(dgram->source.fd, POLLOUT) > 0;
}

static int nap(ars__source *source, ars_time deadline)
{
    ars_time now = ars_now(), again = ars_time_add(now, ARS_MILLISECOND);
    if (now >= deadline) return ARS_ETIMEDOUT;
    source->pins++;
    int rc = ars_sleep(again < deadline ? again : deadline);
    source->pins--;
    if (!source->closing) return rc;
    ars__source_settle(source);
    return ARS_EBADF;
}

/* Until one may try again, or why not. */
__attribute__((always_inline)) static inline int await_room(ars_dgram *dgram, ars__task *self,
                                                            const ars_addr *to, ars_time deadline)
{
    ars__source *source = &dgram->source;
    ars__request turn;
    if (is_peers_queue(dgram, to)) return nap(source, deadline);
    int rc = ars__await_turn(&turn, source, self, &sending, deadline);
    if (rc < 0) return rc;
    rc = ars__await_out(&turn, &sending, deadline);
    if (source->closing) rc = ARS_EBADF;
    ars__turn_end(source);
    return rc;
}

__attribute__((always_inline)) static inline int send_one(ars_dgram *dgram, const void *buf,
                                                          size_t n, const ars_addr *to,
                                                          const int *fds, size_t count,
                                                          ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(!self || (ptrdiff_t)n < 0 || (n == 0 && dgram->seqpacket))) return ARS_EINVAL;
    int rc = ars__source_enter(&dgram->source, self, deadline);
    while (rc >= 0) {
        int32_t sent =
            count > 0 ? send_rights(dgram, buf, n, to, fds, count) : send_now(dgram, buf, n, to);
        if (sent != ARS_EAGAIN) return sent;
        rc = await_room(dgram, self, to, deadline);
    }
    return rc;
}

int ars_dgram_send(ars_dgram *dgram, const void *buf, size_t n, const ars_addr *to,
                   ars_time deadline)
{
    return send_one(dgram, buf, n, to, NULL, 0, deadline);
}

int ars_dgram_send_rights(ars_dgram *dgram, const void *buf, size_t n, const ars_addr *to,
                          const int *fds, size_t count, ars_time deadline)
{
    if (count > ARS_RIGHTS_MAX || dgram->family != AF_UNIX) return ARS_EINVAL;
    return send_one(dgram, buf, n, to, fds, count, deadline);
}

static void set_segment(struct msghdr *msg, control *c, uint32_t segment)
{
    uint16_t size = (uint16_t)segment;
    msg->msg_control = c;
    msg->msg_controllen = CMSG_SPACE(sizeof size);
    c->header.cmsg_level = IPPROTO_UDP;
    c->header.cmsg_type = UDP_SEGMENT;
    c->header.cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(&c->header), &size, sizeof size);
}

static int send_batch(const ars_dgram *dgram, const ars_message *m, unsigned n)
{
    struct mmsghdr msgs[BATCH];
    struct iovec iovs[BATCH];
    control controls[BATCH];
    for (unsigned i = 0; i < n; i++) {
        iovs[i] = (struct iovec){m[i].data, m[i].size};
        msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
        msgs[i].msg_hdr.msg_name = address_to(&m[i].addr, &msgs[i].msg_hdr.msg_namelen);
        if (m[i].segment) set_segment(&msgs[i].msg_hdr, &controls[i], m[i].segment);
    }
    int sent;
    do sent = ars__os_sendmmsg(dgram->source.fd, msgs, n);
    while (sent == ARS_EINTR);
    return sent;
}

/* What the error of sending segments comes from, if the system cannot do that at all. */
static int segment_error(const ars_dgram *dgram, int error)
{
    enum { BAD_OPTION = -92 }; /* ENOPROTOOPT */
    int size;
    uint32_t len = sizeof size;
    /* EIO: the interface cannot compute checksums. */
    if (error == ARS_EIO) return ARS_EOPNOTSUPP;
    if (error != ARS_EINVAL) return error;
    int rc = ars__os_getsockopt(dgram->source.fd, IPPROTO_UDP, UDP_SEGMENT, &size, &len);
    return rc == BAD_OPTION ? ARS_EOPNOTSUPP : error;
}

static ARS__NOINLINE int send_there(const ars_dgram *dgram, const ars_message *messages, size_t n)
{
    size_t done = 0;
    while (done < n) {
        unsigned batch = n - done < BATCH ? (unsigned)(n - done) : BATCH;
        int sent = send_batch(dgram, messages + done, batch);
        if (sent < 0 && done == 0) return messages->segment ? segment_error(dgram, sent) : sent;
        if (sent > 0) done += (unsigned)sent;
        if (sent < (int)batch) break;
    }
    return (int)done;
}

int ars_dgram_send_many(ars_dgram *dgram, const ars_message *messages, size_t n, ars_time deadline)
{
    ars__task *self = ars__task_self();
    if (ARS__UNLIKELY(!self)) return ARS_EINVAL;
    if (n > INT32_MAX) n = INT32_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t size = messages[i].size;
        if ((ptrdiff_t)size < 0 || messages[i].segment > UINT16_MAX) return ARS_EINVAL;
        if (size == 0 && dgram->seqpacket) return ARS_EINVAL;
        if (messages[i].segment && dgram->family == AF_UNIX) return ARS_EOPNOTSUPP;
    }
    int rc = ars__source_enter(&dgram->source, self, deadline);
    while (rc >= 0) {
        int sent = send_there(dgram, messages, n);
        if (sent != ARS_EAGAIN) return sent;
        rc = await_room(dgram, self, messages->addr.ars__len ? &messages->addr : NULL, deadline);
    }
    return rc;
}
