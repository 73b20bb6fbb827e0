/* SPDX-License-Identifier: MIT */
#ifndef ARS_NET_NET_H
#define ARS_NET_NET_H

/* What the files of this layer share. */

#include <arsenal/listener.h>
#include <sys/un.h>

#include "io/home.h"

struct sockaddr;

/* A connection is a source and nothing more; it lies in the slab of the hub. */
struct ars_conn {
    ars__source source;
};

typedef struct ars__server ars__server; /* serve.c */

struct ars_listener {
    ars__source source;
    /* Guarded by the hub's lock: */
    ars__server *server;     /* who serves it, or NULL */
    unsigned drained;        /* nobody may serve it any more */
    struct sockaddr_un path; /* of a unix socket that lies in the file system; else empty */
};

/* A listener of the loop with a descriptor that listens, and is still the caller's after an error. */
int ars__listener_new(ars_listener **listener, ars__loop *loop, int fd);
/* It is about to be freed. */
void ars__serve_listener_gone(ars_listener *listener);

/* Memory for a connection, not yet open; NULL without memory. */
ars_conn *ars__conn_alloc(ars__hub *hub);
void ars__conn_free(ars__hub *hub, ars_conn *conn);

/* Makes a connected socket a connection that is loose. */
void ars__conn_init(ars_conn *conn, ars__hub *hub, int fd);
/* The same with a non-blocking descriptor of which nothing is received ahead. */
void ars__conn_init_file(ars_conn *conn, ars__hub *hub, int fd);
/* The same at home with 'loop'.  On an error the descriptor is the caller's. */
int ars__conn_open(ars_conn *conn, ars__loop *loop, int fd);

/* A local or a peer's address, from getsockname() or getpeername(). */
int ars__addr_of(ars_addr *addr, int fd, int (*get)(int fd, struct sockaddr *addr, uint32_t *len));

/* Sets an option whose value is an int. */
int ars__set_int(int fd, int level, int name, int value);

#endif
