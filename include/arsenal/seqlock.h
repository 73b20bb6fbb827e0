/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SEQLOCK_H
#define ARSENAL_SEQLOCK_H

/*
 * A seqlock guards a small value that is read far more often than written.
 * Readers write nothing, so any number of them read at full speed; who has read
 * while the value was written reads again.  A writer waits for no reader.
 *
 *     static ars_seqlock lock;
 *     static uint64_t place[ARS_SEQLOCK_WORDS(struct position)];
 *
 *     ars_seqlock_store(&lock, place, &position, sizeof position);
 *     ars_seqlock_load(&lock, place, &position, sizeof position);
 *
 * The value is copied in and out, word by word, by atomic accesses: nothing is
 * ever read while it is half written in a way that C does not define.  A pointer
 * in it is a word like others: what it points to is not guarded.  Where readers
 * read much, or writers write often, take another lock.
 *
 * A writer that is not running lets its readers wait: they give up their
 * processor now and then.
 *
 * Protocol: 'sequence' is odd while a writer is at it; it goes from even to odd
 * by a compare-and-swap, so for one writer only.
 *
 *   writer:  sequence = odd               reader:  first = sequence (acquire)
 *            words = ... (release)                 ... = words (acquire)
 *            sequence = even (release)             sequence == first ?
 *
 * A reader that has seen one new word knows of the odd number stored before it
 * (the word's release, the load's acquire), so its last look finds that number
 * or a later one.  One that has read the even number from the writer that came
 * before knows of all of that one's words.  This needs no fence, which
 * ThreadSanitizer would not know.  (Source: H. Boehm, Can seqlocks get along with
 * programming language memory models?, 2012.)
 */

#include <arsenal/spin.h>
#include <string.h>

ARS_BEGIN_DECLS

/* Words that hold a value of that type or expression. */
#define ARS_SEQLOCK_WORDS(T) ((sizeof(T) + 7) / 8)

/* The field is private.  All-zero is ready for use. */
typedef struct ars_seqlock {
    ars_atomic_u32 sequence;
} ars_seqlock;

/* ---- for a value that is stored in parts ---- */

/*
 * ars_seqlock_write_begin() makes the caller the only writer, spinning while
 * there is another.  Until ars_seqlock_write_end() it stores the value with
 * ars_seqlock_put(); it must not suspend in between.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, but a signal handler
 * that may have interrupted a writer.
 */
ARS_INLINE void ars_seqlock_write_begin(ars_seqlock *lock)
{
    unsigned round = 0;
    uint32_t was = ars_atomic_u32_load_relaxed(&lock->sequence);
    for (;;) {
        if (was & 1) {
            ars_spin_wait(round++);
            was = ars_atomic_u32_load_relaxed(&lock->sequence);
        } else if (ars_atomic_u32_cas_acquire(&lock->sequence, &was, was + 1)) {
            /* Acquire: pairs with the release in ars_seqlock_write_end() of the writer before. */
            return;
        }
    }
}

/*
 * ars_seqlock_write_end() lets readers, and the next writer, go on.
 *
 * Suspends: no.  Allocates: no.  Callable from: the writer.
 */
ARS_INLINE void ars_seqlock_write_end(ars_seqlock *lock)
{
    uint32_t odd = ars_atomic_u32_load_relaxed(&lock->sequence);
    /* Release: pairs with the acquire of readers and of the next writer. */
    ars_atomic_u32_store_release(&lock->sequence, odd + 1);
}

/*
 * ars_seqlock_read_begin() returns what ars_seqlock_read_again() has to be
 * given, spinning while there is a writer.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, but a signal handler
 * that may have interrupted a writer.
 */
ARS_INLINE uint32_t ars_seqlock_read_begin(const ars_seqlock *lock)
{
    for (unsigned round = 0;; round++) {
        /* Acquire: pairs with the release in ars_seqlock_write_end(). */
        uint32_t first = ars_atomic_u32_load_acquire(&lock->sequence);
        if (!(first & 1)) return first;
        ars_spin_wait(round);
    }
}

/*
 * ars_seqlock_read_again() returns 0 if what ars_seqlock_get() has read since
 * ars_seqlock_read_begin() gave 'first' was there together; else 1: it is to be
 * forgotten, and read again.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere.
 */
ARS_INLINE int ars_seqlock_read_again(const ars_seqlock *lock, uint32_t first)
{
    /* Not before the loads of the words: they acquire. */
    return ars_atomic_u32_load_relaxed(&lock->sequence) != first;
}

/*
 * ars_seqlock_put() stores 'size' bytes from 'value' in 'words', which is as
 * many words of 8 bytes as hold them; ars_seqlock_get() is the reverse.
 *
 * Suspends: no.  Allocates: no.  Callable from: between begin and end.
 */
ARS_INLINE void ars_seqlock_put(uint64_t *words, const void *value, size_t size)
{
    const char *from = (const char *)value;
    ars_atomic_u64 *to = (ars_atomic_u64 *)(void *)words;
    for (; size; to++) {
        size_t n = size < 8 ? size : 8;
        uint64_t word = 0;
        memcpy(&word, from, n);
        /* Release: pairs with the acquire in ars_seqlock_get(), which then knows of the odd number. */
        ars_atomic_u64_store_release(to, word);
        from += n;
        size -= n;
    }
}

ARS_INLINE void ars_seqlock_get(const uint64_t *words, void *value, size_t size)
{
    char *to = (char *)value;
    const ars_atomic_u64 *from = (const ars_atomic_u64 *)(const void *)words;
    for (; size; from++) {
        size_t n = size < 8 ? size : 8;
        /* Acquire: pairs with the release in ars_seqlock_put(); and keeps the last look behind. */
        uint64_t word = ars_atomic_u64_load_acquire(from);
        memcpy(to, &word, n);
        to += n;
        size -= n;
    }
}

/* ---- for a value as a whole ---- */

/*
 * ars_seqlock_store() makes 'value', of 'size' bytes, what is read from 'words'.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, but a signal handler
 * that may have interrupted a writer.
 */
ARS_INLINE void ars_seqlock_store(ars_seqlock *lock, uint64_t *words, const void *value,
                                  size_t size)
{
    ars_seqlock_write_begin(lock);
    ars_seqlock_put(words, value, size);
    ars_seqlock_write_end(lock);
}

/*
 * ars_seqlock_load() copies to 'value' what was stored last, zeros if nothing
 * was in zeroed words.
 *
 * Suspends: no.  Allocates: no.  Callable from: anywhere, but a signal handler
 * that may have interrupted a writer.
 */
ARS_INLINE void ars_seqlock_load(const ars_seqlock *lock, const uint64_t *words, void *value,
                                 size_t size)
{
    uint32_t first;
    do {
        first = ars_seqlock_read_begin(lock);
        ars_seqlock_get(words, value, size);
    } while (ars_seqlock_read_again(lock, first));
}

ARS_END_DECLS

#endif
