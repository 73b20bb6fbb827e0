/* SPDX-License-Identifier: MIT */
#ifndef ARS_OS_LINUX_SYSFS_H
#define ARS_OS_LINUX_SYSFS_H

/*
 * Small text files by which the kernel tells what there is, and what is read
 * from them.  Nothing in them is believed: containers and emulators leave them
 * out, show another machine's, or write what they please.
 *
 * 'root' is put before every path: "" outside of tests, which bring their own,
 * shorter than ARS__ROOT_MAX.
 */

#include "os/os.h"

enum { ARS__ROOT_MAX = 256, ARS__CPUS_MAX = 8192 };

/* Reads the beginning of a file as text, cut to 'size' - 1 bytes.  Its length, or a negative error. */
long ars__read_text(const char *path, char *text, size_t size);

/* A decimal number at '*text', which is moved behind it and blanks; -1 if there is none ("max", "-1"). */
int64_t ars__take_number(const char **text);

/* What a list such as "0-3,8" says; all -1 and 0 if it is empty. */
typedef struct ars__list {
    int lowest, highest, count;
    int holds; /* whether the number that was asked for is in it */
} ars__list;

/*
 * Reads a list and calls 'each' (may be NULL) for its ranges.  ARS_EINVAL if the
 * file is no such list, an error of the system if it cannot be read; '*out' is
 * then as it was, though some ranges may have been given.
 */
int ars__read_list(const char *path, int number, ars__list *out,
                   void (*each)(void *arg, int low, int high), void *arg);

/* CPUs that the quota of the control groups amounts to, in thousandths, rounded up; 0: none. */
int64_t ars__quota(const char *root);

/* os.h's calls of these names. */
int ars__topology_totals(const char *root, ars__os_cpu_totals *out);
int ars__topology_place(const char *root, int cpu, ars__os_cpu_place *out);
int ars__topology_cache(const char *root, int cpu, int nth, ars__os_cpu_cache *out);

/* The CPUs that the calling thread may run on, as bits; how many words of 'mask' were written, 0 if that is not told. */
int ars__affinity(uint64_t mask[ARS__CPUS_MAX / 64]);

#endif
