/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_BUFIO_H
#define ARSENAL_BUFIO_H

#include <arsenal/conn.h>

#include <string.h>

ARS_BEGIN_DECLS

/*
 * A reader and a writer keep what is read from and written to a connection in a
 * buffer of the caller's, so that small pieces cost no system calls: lines,
 * headers, fields.
 *
 *     char in[4096], *line;
 *     ars_reader reader;
 *     ars_reader_init(&reader, conn, in, sizeof in);
 *     while ((n = ars_reader_line(&reader, &line, ARS_FOREVER)) > 0) header(line, n);
 *
 * They are values without anything to release: buffer and connection stay the
 * caller's.  One task at a time uses a reader, and nobody else reads from its
 * connection meanwhile; the same for a writer.
 *
 * A deadline or cancel loses nothing: what has come stays in the reader, what
 * has not gone stays in the writer, and the call can be made again.
 */

/* Fields are private. */
typedef struct ars_reader {
    ars_conn *conn;
    char *buf;
    size_t size;
    size_t head, tail; /* what is in the buffer and not yet read */
} ars_reader;

/* Private: what the calls below do when the buffer alone does not do. */
ARS_API int ars_reader_slow_peek(ars_reader *reader, size_t n, ars_time deadline);
ARS_API int ars_reader_slow_until(ars_reader *reader, char delimiter, ars_time deadline);
ARS_API int ars_reader_slow_read(ars_reader *reader, void *buf, size_t n, ars_time deadline);
ARS_API int ars_reader_slow_full(ars_reader *reader, void *buf, size_t n, size_t *got,
                                 ars_time deadline);

/*
 * ars_reader_init() makes '*reader' read from 'conn' through the 'size' bytes
 * at 'buf', which stay the caller's.  'size' is the longest line that can be
 * read with it.
 *
 * Returns 0; ARS_EINVAL for no connection, no buffer, or a size of 0 or above
 * INT32_MAX.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_reader_init(ars_reader *reader, ars_conn *conn, void *buf, size_t size)
{
    if (!conn || !buf || size == 0 || size > INT32_MAX) return ARS_EINVAL;
    reader->conn = conn;
    reader->buf = (char *)buf;
    reader->size = size;
    reader->head = reader->tail = 0;
    return 0;
}

/*
 * ars_reader_buffered() is how many bytes can be had without waiting.
 *
 * Suspends: no.  Allocates: no.  Callable from: the reader's task.
 */
ARS_INLINE size_t ars_reader_buffered(const ars_reader *reader)
{
    return reader->tail - reader->head;
}

/*
 * ars_reader_peek() waits until there are 'n' bytes in the buffer and shows
 * them in '*data', which is good until the next call on the reader.  They are
 * still to be read: see ars_reader_skip().
 *
 * Returns how many bytes there are at '*data', >= n; or
 *   ARS_EPIPE     the stream ends before
 *   ARS_EMSGSIZE  n is more than the buffer holds
 *   or another error of ars_conn_read(); '*data' is then untouched.
 *
 * Suspends: if there are not so many yet.  Allocates: no.  Callable from: task.
 */
ARS_INLINE ARS_MUST_USE int ars_reader_peek(ars_reader *reader, size_t n, const char **data,
                                            ars_time deadline)
{
    if (reader->tail - reader->head < n) {
        int rc = ars_reader_slow_peek(reader, n, deadline);
        if (rc < 0) return rc;
    }
    *data = reader->buf + reader->head;
    return (int)(reader->tail - reader->head);
}

/*
 * ars_reader_skip() reads 'n' bytes that are in the buffer, or all if there are
 * less, and forgets them.  Returns how many.
 *
 * Suspends: no.  Allocates: no.  Callable from: the reader's task.
 */
ARS_INLINE size_t ars_reader_skip(ars_reader *reader, size_t n)
{
    size_t there = reader->tail - reader->head;
    if (n > there) n = there;
    reader->head += n;
    return n;
}

/*
 * ars_reader_until() reads up to and with the next 'delimiter' and shows it in
 * '*data', which is good until the next call on the reader.
 *
 * Returns its length, > 0; or, with '*data' untouched and nothing read,
 *   ARS_EPIPE     the stream has ended; ars_reader_read() gives what is left
 *   ARS_EMSGSIZE  the buffer is full and there is no delimiter in it
 *   or another error of ars_conn_read()
 *
 * Suspends: if there is none yet.  Allocates: no.  Callable from: task.
 */
ARS_INLINE ARS_MUST_USE int ars_reader_until(ars_reader *reader, char delimiter, char **data,
                                             ars_time deadline)
{
    char *from = reader->buf + reader->head;
    size_t there = reader->tail - reader->head;
    const char *found = there ? (const char *)memchr(from, delimiter, there) : NULL;
    int n;
    if (found) {
        n = (int)(found - from) + 1;
    } else {
        n = ars_reader_slow_until(reader, delimiter, deadline);
        if (n < 0) return n;
        from = reader->buf + reader->head;
    }
    reader->head += (size_t)n;
    *data = from;
    return n;
}

/*
 * ars_reader_line() reads a line, that is until a newline, and gives it as a
 * string in '*line', without the newline or a carriage return and newline; it
 * is good until the next call on the reader.
 *
 * Returns the string's length, >= 0 (there may be NULs in it); or an error as
 * ars_reader_until() does: ARS_EPIPE at the end, ARS_EMSGSIZE for a line that is
 * longer than the buffer.
 *
 * Suspends: if there is no whole one yet.  Allocates: no.  Callable from: task.
 */
ARS_INLINE ARS_MUST_USE int ars_reader_line(ars_reader *reader, char **line, ars_time deadline)
{
    char *text;
    int n = ars_reader_until(reader, '\n', &text, deadline);
    if (n < 0) return n;
    n--;
    if (n > 0 && text[n - 1] == '\r') n--;
    text[n] = '\0';
    *line = text;
    return n;
}

/*
 * ars_reader_read() reads up to 'n' bytes, as ars_conn_read() does: what is in
 * the buffer, else what comes.
 *
 * Returns the number of bytes, > 0; 0 at the end of the stream, and for n = 0;
 * or an error of ars_conn_read().
 *
 * Suspends: if nothing is in the buffer.  Allocates: no.  Callable from: task.
 */
ARS_INLINE ARS_MUST_USE int ars_reader_read(ars_reader *reader, void *buf, size_t n,
                                            ars_time deadline)
{
    size_t there = reader->tail - reader->head;
    if (there == 0) return ars_reader_slow_read(reader, buf, n, deadline);
    if (n > there) n = there;
    memcpy(buf, reader->buf + reader->head, n);
    reader->head += n;
    return (int)n;
}

/*
 * ars_reader_read_full() reads exactly 'n' bytes, as ars_conn_read_full() does,
 * with the same results.
 *
 * Suspends: if less are in the buffer.  Allocates: no.  Callable from: task.
 */
ARS_INLINE ARS_MUST_USE int ars_reader_read_full(ars_reader *reader, void *buf, size_t n,
                                                 size_t *got, ars_time deadline)
{
    if (n > reader->tail - reader->head) return ars_reader_slow_full(reader, buf, n, got, deadline);
    if (n) memcpy(buf, reader->buf + reader->head, n);
    reader->head += n;
    if (got) *got = n;
    return 0;
}

/* Fields are private. */
typedef struct ars_writer {
    ars_conn *conn;
    char *buf;
    size_t size, used;
} ars_writer;

ARS_API int ars_writer_slow_write(ars_writer *writer, const void *data, size_t n, size_t *taken,
                                  ars_time deadline);

/*
 * ars_writer_init() makes '*writer' write to 'conn' through the 'size' bytes at
 * 'buf', which stay the caller's.
 *
 * Returns 0; ARS_EINVAL for no connection, no buffer, or a size of 0.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_writer_init(ars_writer *writer, ars_conn *conn, void *buf, size_t size)
{
    if (!conn || !buf || size == 0 || (ptrdiff_t)size < 0) return ARS_EINVAL;
    writer->conn = conn;
    writer->buf = (char *)buf;
    writer->size = size;
    writer->used = 0;
    return 0;
}

/*
 * ars_writer_buffered() is how many bytes have not been handed to the
 * connection yet.
 *
 * Suspends: no.  Allocates: no.  Callable from: the writer's task.
 */
ARS_INLINE size_t ars_writer_buffered(const ars_writer *writer)
{
    return writer->used;
}

/*
 * ars_writer_write() takes 'n' bytes: into the buffer, or, when they do not fit
 * there, to the connection together with what is in it.
 *
 * Returns 0 when all are taken; else an error of ars_conn_write().  '*taken'
 * ('taken' may be NULL) is how many bytes were, in any case: after
 * ARS_ETIMEDOUT or ARS_ECANCELED go on behind them.
 *
 * Suspends: if they do not fit.  Allocates: no.  Callable from: task.
 */
ARS_INLINE ARS_MUST_USE int ars_writer_write(ars_writer *writer, const void *data, size_t n,
                                             size_t *taken, ars_time deadline)
{
    if (n > writer->size - writer->used)
        return ars_writer_slow_write(writer, data, n, taken, deadline);
    if (n) memcpy(writer->buf + writer->used, data, n);
    writer->used += n;
    if (taken) *taken = n;
    return 0;
}

/*
 * ars_writer_flush() hands what is in the buffer to the connection.  Call it
 * before waiting for an answer and at the end: nothing else does.
 *
 * Returns 0 when the buffer is empty, else an error of ars_conn_write(); what
 * was not sent is still in the buffer.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task.
 */
ARS_API ARS_MUST_USE int ars_writer_flush(ars_writer *writer, ars_time deadline);

ARS_END_DECLS

#endif
