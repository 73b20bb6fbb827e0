/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/conn.h>. */
#include <arsenal/conn.h>

#include "io/vec.h"
#include "net/net.h"

static const ars__wait_class writing = {"write", ars__request_interrupt};

/* Adds to '*got'. */
static int read_all(ars_conn *conn, char *buf, size_t n, size_t *got, ars_time deadline)
{
    while (n > 0) {
        int more = ars_conn_read(conn, buf, n, deadline);
        if (more <= 0) return more < 0 ? more : ARS_EPIPE;
        *got += (size_t)more;
        buf += more;
        n -= (size_t)more;
    }
    return 0;
}

int ars_conn_read_full(ars_conn *conn, void *buf, size_t n, size_t *got, ars_time deadline)
{
    const ars_buf one = {buf, n};
    return ars_conn_readv(conn, &one, 1, got, deadline);
}

int ars_conn_readv(ars_conn *conn, const ars_buf *bufs, size_t count, size_t *got,
                   ars_time deadline)
{
    size_t ignored, total = 0;
    if (!got) got = &ignored;
    *got = 0;
    for (size_t i = 0; i < count; i++) {
        if (bufs[i].len > (size_t)PTRDIFF_MAX - total) return ARS_EINVAL;
        total += bufs[i].len;
    }
    if (total == 0) return ars_conn_read(conn, NULL, 0, deadline);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = read_all(conn, bufs[i].data, bufs[i].len, got, deadline);
    return rc;
}

int ars_conn_writev(ars_conn *conn, const ars_buf *bufs, size_t count, size_t *sent,
                    ars_time deadline)
{
    ars__source *source = &conn->source;
    ars__task *self = ars__task_self();
    ars__vec vec;
    if (sent) *sent = 0;
    int64_t total = ars__vec_init(&vec, bufs, count);
    if (!self || total < 0) return ARS_EINVAL;
    int rc = ars__source_enter(source, self, deadline);
    if (rc < 0 || total == 0) return rc;
    ars__request request = {.kind = ARS__SENDV,
                            .task = self,
                            .done = ars__request_wake,
                            .source = source,
                            .buf = &vec,
                            .len = (size_t)total};
    rc = ars__submit(&request, deadline != 0);
    if (rc == ARS__PENDING) rc = ars__request_park(&request, &writing, deadline);
    if (sent) *sent = request.progress;
    return rc == ARS_EAGAIN ? ARS_ETIMEDOUT : rc;
}
