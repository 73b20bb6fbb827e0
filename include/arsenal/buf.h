/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_BUF_H
#define ARSENAL_BUF_H

#include <arsenal/base.h>

ARS_BEGIN_DECLS

/*
 * A piece of memory, for calls that read into or write from several at once.
 * A length of 0 is allowed, 'data' then means nothing.
 */
typedef struct ars_buf {
    void *data;
    size_t len;
} ars_buf;

ARS_END_DECLS

#endif
