/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_VEC_H
#define ARS_IO_VEC_H

/* Several buffers on their way out, in any number: the kernel sees a window of them at a time. */

#include <arsenal/buf.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { ARS__VEC_WINDOW = 32 };

typedef struct ars__vec {
    const ars_buf *bufs;
    size_t count;
    size_t at, offset; /* the first byte not yet sent; the window begins there */
    struct msghdr msg; /* of the window */
    struct iovec window[ARS__VEC_WINDOW];
} ars__vec;

/* The bytes of all buffers; ARS_EINVAL for more than SSIZE_MAX. */
int64_t ars__vec_init(ars__vec *vec, const struct ars_buf *bufs, size_t count);
/* 'n' more bytes are sent. */
void ars__vec_advance(ars__vec *vec, size_t n);

#endif
