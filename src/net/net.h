/* SPDX-License-Identifier: MIT */
#ifndef ARS_NET_NET_H
#define ARS_NET_NET_H

/* What the files of this layer share. */

#include <arsenal/conn.h>

#include "io/backend.h"

struct sockaddr;

/* A connection is a source and nothing more; it lies in the loop's slab. */
struct ars_conn {
    ars__source source;
};

/* Memory for a connection, not yet open; NULL without memory. */
ars_conn *ars__conn_alloc(ars__loop *loop);
void ars__conn_free(ars__loop *loop, ars_conn *conn);

/* Makes a connected socket a connection.  On an error the descriptor is the caller's. */
int ars__conn_open(ars_conn *conn, ars__loop *loop, int fd);

/* A local or a peer's address, from getsockname() or getpeername(). */
int ars__addr_of(ars_addr *addr, int fd, int (*get)(int fd, struct sockaddr *addr, uint32_t *len));

/* Sets an option whose value is an int. */
int ars__set_int(int fd, int level, int name, int value);

#endif
