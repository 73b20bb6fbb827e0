/* SPDX-License-Identifier: MIT */
#ifndef ARS_NET_DGRAM_H
#define ARS_NET_DGRAM_H

/* What the files of datagram sockets share. */

#include <arsenal/dgram.h>

#include "net/net.h"
#include "net/path.h"

struct ars_dgram {
    ars__source source; /* a file to the backends: the calls are made here */
    int family;
    int seqpacket; /* a connection, or a listener for them */
    int gro;       /* ARS_DGRAM_GRO is on */
    int multicast_if;
    struct sockaddr_un path; /* to remove when it is closed; else empty */
};

#endif
