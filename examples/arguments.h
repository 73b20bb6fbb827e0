/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_ARGUMENTS_H
#define EXAMPLES_ARGUMENTS_H

/* The command line of the servers: [ADDRESS] [--backend NAME] [--style NAME] [--workers N]. */

#include <arsenal/addr.h>
#include <arsenal/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_WORKERS_MAX = 64 };

struct arguments {
    const char *address, *backend, *style, *workers; /* as given, or set before as the default */
    ars_addr addr;
    ars_config config;
};

/* Returns 0, or ARS_EINVAL after it has said what there is. */
static inline int arguments_parse(struct arguments *a, int argc, char **argv)
{
    static const char *const backends[] = {"auto", "uring", "epoll", "poll"};
    if (!a->backend) a->backend = "auto";
    if (!a->style) a->style = "task";
    if (!a->workers) a->workers = "1";

    for (int i = 1; i < argc; i++) {
        const char **to = !strcmp(argv[i], "--backend")   ? &a->backend
                          : !strcmp(argv[i], "--style")   ? &a->style
                          : !strcmp(argv[i], "--workers") ? &a->workers
                                                          : &a->address;
        *to = to == &a->address || i + 1 == argc ? argv[i] : argv[++i];
    }
    while (a->config.backend < 4 && strcmp(a->backend, backends[a->config.backend]))
        a->config.backend++;
    a->config.workers = (unsigned)atoi(a->workers);
    if (a->config.backend < 4 && a->config.workers - 1 < ARGUMENTS_WORKERS_MAX &&
        (!strcmp(a->style, "task") || !strcmp(a->style, "serve")) &&
        ars_addr_parse(&a->addr, a->address) == 0)
        return 0;
    fprintf(stderr,
            "usage: %s [IP:PORT | unix:PATH] [--backend auto|uring|epoll|poll] "
            "[--style task|serve] [--workers N]\n",
            argv[0]);
    return ARS_EINVAL;
}

#endif
