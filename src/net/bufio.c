/* SPDX-License-Identifier: MIT */
/* Documented in <arsenal/bufio.h>; and the exported twins of its inline functions. */
#include <arsenal/conn.h>
#undef ARS_INLINE
#define ARS_INLINE extern inline __attribute__((visibility("default")))
#include <arsenal/bufio.h>

#include "base/assert.h"

/* ---- reading ---- */

/* Reads more behind what is in the buffer, which is then at its beginning if there is no room. */
static int fill(ars_reader *reader, ars_time deadline)
{
    ARS__ASSERT(reader->head <= reader->tail && reader->tail <= reader->size);
    size_t there = reader->tail - reader->head;
    if (there == 0 || reader->tail == reader->size) {
        memmove(reader->buf, reader->buf + reader->head, there);
        reader->head = 0;
        reader->tail = there;
    }
    int n = ars_conn_read(reader->conn, reader->buf + reader->tail, reader->size - reader->tail,
                          deadline);
    if (n <= 0) return n < 0 ? n : ARS_EPIPE;
    reader->tail += (size_t)n;
    return n;
}

int ars_reader_slow_peek(ars_reader *reader, size_t n, ars_time deadline)
{
    if (n > reader->size) return ARS_EMSGSIZE;
    /* Only behind its beginning is there room for all of it. */
    if (n > reader->size - reader->head) {
        size_t there = reader->tail - reader->head;
        memmove(reader->buf, reader->buf + reader->head, there);
        reader->head = 0;
        reader->tail = there;
    }
    while (reader->tail - reader->head < n) {
        int rc = fill(reader, deadline);
        if (rc < 0) return rc;
    }
    return 0;
}

/* There is none in the buffer yet. */
int ars_reader_slow_until(ars_reader *reader, char delimiter, ars_time deadline)
{
    for (;;) {
        size_t searched = reader->tail - reader->head;
        if (searched == reader->size) return ARS_EMSGSIZE;
        int more = fill(reader, deadline);
        if (more < 0) return more;
        const char *from = reader->buf + reader->head;
        const char *found = memchr(from + searched, delimiter, (size_t)more);
        if (found) return (int)(found - from) + 1;
    }
}

int ars_reader_slow_read(ars_reader *reader, void *buf, size_t n, ars_time deadline)
{
    if (n == 0 || n >= reader->size) return ars_conn_read(reader->conn, buf, n, deadline);
    int rc = fill(reader, deadline);
    if (rc < 0) return rc == ARS_EPIPE ? 0 : rc;
    return ars_reader_read(reader, buf, n, deadline);
}

int ars_reader_slow_full(ars_reader *reader, void *buf, size_t n, size_t *got, ars_time deadline)
{
    size_t done = 0, more;
    int rc = (ptrdiff_t)n < 0 ? ARS_EINVAL : 0;
    while (rc == 0 && done < n) {
        size_t there = reader->tail - reader->head;
        if (there > n - done) there = n - done;
        if (there) memcpy((char *)buf + done, reader->buf + reader->head, there);
        reader->head += there;
        done += there;
        if (n - done >= reader->size) {
            rc = ars_conn_read_full(reader->conn, (char *)buf + done, n - done, &more, deadline);
            done += more;
        } else if (done < n) {
            rc = fill(reader, deadline);
            if (rc > 0) rc = 0;
        }
    }
    if (got) *got = done;
    return rc;
}

/* ---- writing ---- */

/* The first 'n' bytes of the buffer have gone. */
static void gone(ars_writer *writer, size_t n)
{
    ARS__ASSERT(n <= writer->used);
    writer->used -= n;
    memmove(writer->buf, writer->buf + n, writer->used);
}

int ars_writer_slow_write(ars_writer *writer, const void *data, size_t n, size_t *taken,
                          ars_time deadline)
{
    const ars_buf two[2] = {{writer->buf, writer->used}, {(void *)(uintptr_t)data, n}};
    size_t sent;
    int rc = ars_conn_writev(writer->conn, two, 2, &sent, deadline);
    size_t old = sent < writer->used ? sent : writer->used;
    gone(writer, old);
    if (taken) *taken = sent - old;
    return rc;
}

int ars_writer_flush(ars_writer *writer, ars_time deadline)
{
    size_t sent;
    if (writer->used == 0) return 0;
    int rc = ars_conn_write(writer->conn, writer->buf, writer->used, &sent, deadline);
    gone(writer, sent);
    return rc;
}
