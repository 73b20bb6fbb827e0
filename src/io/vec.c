/* SPDX-License-Identifier: MIT */
#include "io/vec.h"

#include "io/backend.h"
#include "os/os.h"

static void fill(ars__vec *vec)
{
    size_t n = 0, offset = vec->offset;
    for (size_t i = vec->at; i < vec->count && n < ARS__VEC_WINDOW; i++) {
        const ars_buf *buf = &vec->bufs[i];
        if (buf->len > offset)
            vec->window[n++] = (struct iovec){(char *)buf->data + offset, buf->len - offset};
        offset = 0;
    }
    vec->msg.msg_iovlen = n;
}

int64_t ars__vec_init(ars__vec *vec, const ars_buf *bufs, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (bufs[i].len > (size_t)PTRDIFF_MAX - total) return ARS_EINVAL;
        total += bufs[i].len;
    }
    vec->bufs = bufs;
    vec->count = count;
    vec->at = vec->offset = 0;
    vec->msg = (struct msghdr){.msg_iov = vec->window};
    fill(vec);
    return (int64_t)total;
}

void ars__vec_advance(ars__vec *vec, size_t n)
{
    for (size_t i = 0, left = n; ARS__ASAN && left > 0; i++) {
        size_t part = vec->window[i].iov_len < left ? vec->window[i].iov_len : left;
        ars__san_check(vec->window[i].iov_base, part);
        left -= part;
    }
    vec->offset += n;
    while (vec->at < vec->count && vec->offset >= vec->bufs[vec->at].len)
        vec->offset -= vec->bufs[vec->at++].len;
    fill(vec);
}

int64_t ars__send_some(ars__request *request)
{
    ars__source *source = request->source;
    int64_t n;
    if (request->kind == ARS__SENDV) {
        ars__vec *vec = request->buf;
        const struct iovec *first = vec->window;
        if (source->kind != ARS__FILE)
            n = ars__os_sendmsg(source->fd, &vec->msg, 1);
        else
            n = ars__os_write(source->fd, first->iov_base, first->iov_len);
        if (n > 0) ars__vec_advance(vec, (size_t)n);
    } else {
        const char *from = (char *)request->buf + request->progress;
        size_t left = request->len - request->progress;
        if (source->kind != ARS__FILE)
            n = ars__os_send(source->fd, from, left, 1);
        else
            n = ars__os_write(source->fd, from, left);
    }
    if (n > 0) request->progress += (size_t)n;
    return n;
}
