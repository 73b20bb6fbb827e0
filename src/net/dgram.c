/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/dgram.h>. */
#include "net/dgram.h"

#include <netinet/in.h>
#include <string.h>

#include "io/await.h"
#include "os/os.h"

/* ---- a socket's life ---- */

static void freed(ars__source *source)
{
    const ars_alloc *alloc = source->hub->alloc;
    alloc->free(alloc->ctx, ARS__MEMBER(source, ars_dgram, source), sizeof(ars_dgram), 64);
}

static ars_dgram *make(ars__hub *hub, int family, int seqpacket)
{
    const ars_alloc *alloc = hub->alloc;
    ars_dgram *dgram = alloc->alloc(alloc->ctx, sizeof *dgram, 64);
    if (!dgram) return NULL;
    dgram->family = family;
    dgram->seqpacket = seqpacket != 0;
    dgram->gro = dgram->multicast_if = 0;
    memset(&dgram->path, 0, sizeof dgram->path);
    return dgram;
}

static void unmake(ars__hub *hub, ars_dgram *dgram)
{
    hub->alloc->free(hub->alloc->ctx, dgram, sizeof *dgram, 64);
}

void ars_dgram_close(ars_dgram *dgram)
{
    if (!dgram) return;
    if (dgram->path.sun_path[0]) ars__os_unlink(dgram->path.sun_path);
    ars__source_shut(&dgram->source);
}

/* ---- opening ---- */

static int set_options(int fd, int family, const ars_dgram_opt *opt)
{
    int rc = 0;
    if (opt->reuseport) rc = ars__set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && opt->reuseaddr) rc = ars__set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && family == AF_INET6)
        rc = ars__set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, opt->v6only != 0);
    return rc;
}

static int type_of(const ars_dgram *dgram)
{
    return dgram->seqpacket ? SOCK_SEQPACKET : SOCK_DGRAM;
}

/* A socket of its family and type, bound to 'local' unless that is NULL, as 'dgram' remembers. */
static int bound(ars_dgram *dgram, const ars_addr *local, const ars_dgram_opt *opt)
{
    int fd = ars__os_socket(dgram->family, type_of(dgram), 0, 1);
    if (fd < 0) return fd;
    int rc = set_options(fd, dgram->family, opt);
    if (rc == 0 && local) {
        size_t len;
        const struct sockaddr *sa = ars_addr_sockaddr(local, &len);
        rc = sa ? ars__bind_replacing(fd, sa, len, type_of(dgram)) : ARS_EINVAL;
        if (rc == 0 && ars__has_path(sa, len)) memcpy(&dgram->path, sa, len);
    }
    if (rc == 0) return fd;
    ars__os_close(fd);
    return rc;
}

static int open_socket(ars_dgram **out, const ars_addr *local, const ars_addr *peer,
                       const ars_dgram_opt *opt)
{
    static const ars_dgram_opt none;
    ars__task *self = ars__task_self();
    size_t len;
    const struct sockaddr *sa = ars_addr_sockaddr(peer ? peer : local, &len);
    if (!opt) opt = &none;
    if (!self || !sa || (opt->seqpacket && sa->sa_family != AF_UNIX)) return ARS_EINVAL;
    ars__loop *loop;
    int rc = ars__loop_get(&loop, self);
    if (rc < 0) return rc;
    ars_dgram *dgram = make(loop->hub, sa->sa_family, opt->seqpacket != 0);
    if (!dgram) return ARS_ENOMEM;
    int fd = rc = bound(dgram, local, opt);
    if (rc < 0) goto no_socket;
    if (peer)
        rc = ars__os_connect(fd, sa, (uint32_t)len);
    else
        rc = dgram->seqpacket ? ars__os_listen(fd, INT32_MAX) : 0;
    if (rc < 0) goto no_peer;
    ars__source_init(&dgram->source, loop->hub, fd, ARS__FILE, freed);
    *out = dgram;
    return 0;

no_peer:
    if (dgram->path.sun_path[0]) ars__os_unlink(dgram->path.sun_path);
    ars__os_close(fd);
no_socket:
    unmake(loop->hub, dgram);
    return rc;
}

int ars_dgram_open(ars_dgram **dgram, const ars_addr *addr, const ars_dgram_opt *opt)
{
    return open_socket(dgram, addr, NULL, opt);
}

int ars_dgram_dial(ars_dgram **dgram, const ars_addr *addr, const ars_dgram_opt *opt)
{
    return open_socket(dgram, opt ? opt->local : NULL, addr, opt);
}

int ars_dgram_pair(ars_dgram **one, ars_dgram **other, const ars_dgram_opt *opt)
{
    int seqpacket = opt && opt->seqpacket;
    ars__task *self = ars__task_self();
    if (!self) return ARS_EINVAL;
    ars__loop *loop;
    int fds[2], rc = ars__loop_get(&loop, self);
    if (rc < 0) return rc;
    ars__hub *hub = loop->hub;
    ars_dgram *a = make(hub, AF_UNIX, seqpacket);
    if (!a) return ARS_ENOMEM;
    ars_dgram *b = make(hub, AF_UNIX, seqpacket);
    rc = b ? ars__os_socketpair(AF_UNIX, type_of(a), 1, fds) : ARS_ENOMEM;
    if (rc < 0) {
        if (b) unmake(hub, b);
        unmake(hub, a);
        return rc;
    }
    ars__source_init(&a->source, hub, fds[0], ARS__FILE, freed);
    ars__source_init(&b->source, hub, fds[1], ARS__FILE, freed);
    *one = a;
    *other = b;
    return 0;
}

static const ars__wait_class accepting = {"accept", ars__request_interrupt};

int ars_dgram_accept(ars_dgram *listener, ars_dgram **out, ars_time deadline)
{
    ars__source *source = &listener->source;
    ars__task *self = ars__task_self();
    if (!self) return ARS_EINVAL;
    int rc = ars__source_enter(source, self, deadline);
    if (rc < 0) return rc;
    ars__hub *hub = source->hub;
    ars_dgram *dgram = make(hub, AF_UNIX, 1);
    if (!dgram) return ARS_ENOMEM;
    while (rc >= 0) {
        rc = source->reader ? ARS_EBUSY : ars__os_accept(source->fd, NULL, NULL, 1);
        if (rc >= 0) {
            ars__source_init(&dgram->source, hub, rc, ARS__FILE, freed);
            *out = dgram;
            return 0;
        }
        if (rc == ARS_EINTR || rc == ARS_ECONNABORTED)
            rc = 0;
        else if (rc == ARS_EAGAIN)
            rc = ars__await_in(source, self, &accepting, deadline);
    }
    unmake(hub, dgram);
    return rc;
}

/* ---- the rest ---- */

int ars_dgram_local(const ars_dgram *dgram, ars_addr *addr)
{
    return ars__addr_of(addr, dgram->source.fd, ars__os_getsockname);
}

int ars_dgram_peer(const ars_dgram *dgram, ars_addr *addr)
{
    return ars__addr_of(addr, dgram->source.fd, ars__os_getpeername);
}

int ars_dgram_fd(const ars_dgram *dgram)
{
    return dgram->source.fd;
}
