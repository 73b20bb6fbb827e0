/* SPDX-License-Identifier: MIT */
#include "os/linux/sysfs.h"

#include <fcntl.h>

#include "os/linux/sys.h"

static long open_text(const char *path)
{
    return ARS__SYS(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static long read_some(long fd, char *buf, size_t size)
{
    long n;
    do n = ARS__SYS(SYS_read, fd, buf, size);
    while (n == ARS_EINTR);
    return ars__moved(buf, size, n);
}

long ars__read_text(const char *path, char *text, size_t size)
{
    size_t have = 0;
    long fd = open_text(path);
    if (fd < 0) return fd;
    while (have < size - 1) {
        long n = read_some(fd, text + have, size - 1 - have);
        if (n <= 0) break;
        have += (size_t)n;
    }
    ARS__SYS(SYS_close, fd);
    text[have] = '\0';
    return (long)have;
}

int64_t ars__take_number(const char **text)
{
    const char *p = *text;
    int64_t value = 0;
    if (*p < '0' || *p > '9') return -1;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value < INT64_MAX / 100) value = value * 10 + (*p - '0');
    }
    while (*p == ' ') p++;
    *text = p;
    return value;
}

/* ---- lists ---- */

/* A list of a big machine is longer than what fits on a task's stack, so it is read piece by piece. */
typedef struct reader {
    long fd;
    long at, have; /* have < 0: reading failed */
    char buf[256];
} reader;

/* The next byte; 0 at the end, which a list does not hold. */
static int next_byte(reader *r)
{
    if (r->at >= r->have) {
        r->at = 0;
        r->have = read_some(r->fd, r->buf, sizeof r->buf);
        if (r->have <= 0) return 0;
    }
    return (unsigned char)r->buf[r->at++];
}

/* A number that begins with '*byte', which becomes the byte behind it; -1 if there is none or it is absurd. */
static int next_number(reader *r, int *byte)
{
    enum { ABSURD = 1 << 24 };
    int value = 0;
    if (*byte < '0' || *byte > '9') return -1;
    for (; *byte >= '0' && *byte <= '9'; *byte = next_byte(r)) {
        value = value * 10 + (*byte - '0');
        if (value >= ABSURD) return -1;
    }
    return value;
}

static int read_ranges(reader *r, int number, ars__list *out,
                       void (*each)(void *arg, int low, int high), void *arg)
{
    int byte = next_byte(r);
    if (byte == '\n' || byte == 0) return 0;
    for (;;) {
        int low = next_number(r, &byte), high = low;
        if (byte == '-') {
            byte = next_byte(r);
            high = next_number(r, &byte);
        }
        /* The kernel's lists ascend. */
        if (low < 0 || high < low || low <= out->highest) return ARS_EINVAL;
        if (out->lowest < 0) out->lowest = low;
        out->highest = high;
        out->count += high - low + 1;
        if (number >= low && number <= high) out->holds = 1;
        if (each) each(arg, low, high);
        if (byte == '\n' || byte == 0) return 0;
        if (byte != ',') return ARS_EINVAL;
        byte = next_byte(r);
    }
}

int ars__read_list(const char *path, int number, ars__list *out,
                   void (*each)(void *arg, int low, int high), void *arg)
{
    reader r;
    ars__list list = {-1, -1, 0, 0};
    r.fd = open_text(path);
    if (r.fd < 0) return (int)r.fd;
    r.at = r.have = 0;
    int rc = read_ranges(&r, number, &list, each, arg);
    if (r.have < 0) rc = (int)r.have;
    ARS__SYS(SYS_close, r.fd);
    if (rc == 0) *out = list;
    return rc;
}
