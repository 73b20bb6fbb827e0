/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_SCOPED_H
#define ARSENAL_SCOPED_H

/*
 * Clean-up at the end of a block, however it is left: by its closing brace, by
 * return, break, continue or goto; not by longjmp().  It stands on an extension
 * of GNU C and Clang, the cleanup attribute, and other compilers refuse this
 * header.  Nothing else of Arsenal needs it.
 *
 *     int rc = ars_mutex_lock(&cache->mutex, ARS_FOREVER);
 *     if (rc < 0) return rc;
 *     ARS_DEFER_UNLOCK(&cache->mutex);
 *     ...
 *     return find(cache, key);        evaluated first, then unlocked
 *
 * Each line below is a declaration, so it stands where one can, one a line.
 * What was deferred last is done first.  In contrast to Go it is done when the
 * block ends, not the function.
 */

#include <arsenal/chan.h>
#include <arsenal/group.h>
#include <arsenal/mutex.h>

#ifndef __GNUC__
#error "<arsenal/scoped.h> needs the cleanup attribute of GNU C or Clang"
#endif

ARS_BEGIN_DECLS

typedef struct ars__deferred {
    void (*fn)(void *arg);
    void *arg;
} ars__deferred;

ARS_INLINE void ars__deferred_run(ars__deferred *deferred)
{
    deferred->fn(deferred->arg);
}

ARS_INLINE void ars__deferred_unlock(ars_mutex **mutex)
{
    ars_mutex_unlock(*mutex);
}

ARS_INLINE void ars__deferred_close(ars_chan **chan)
{
    ars_chan_close(*chan);
}

ARS_INLINE void ars__deferred_group(ars_group *group)
{
    ars_group_cancel(group, ARS_ECANCELED);
    if (ars_group_wait(group, ARS_FOREVER) < 0) return;
}

ARS_END_DECLS

#define ARS__CLEANUP(fn)  __attribute__((cleanup(fn), unused))
#define ARS__LINE(a)      ARS__LINE_(a, __LINE__)
#define ARS__LINE_(a, b)  ARS__LINE__(a, b)
#define ARS__LINE__(a, b) a##b

/* ARS_DEFER(fn, arg): fn(arg) at the end of the block; 'fn' is a void (*)(void *). */
#define ARS_DEFER(fn, arg)                                                                         \
    ARS__CLEANUP(ars__deferred_run) ars__deferred ARS__LINE(ars__deferred_) = {(fn), (arg)}

/* ARS_DEFER_UNLOCK(mutex): unlocks an ars_mutex that the caller has locked. */
#define ARS_DEFER_UNLOCK(mutex)                                                                    \
    ARS__CLEANUP(ars__deferred_unlock) ars_mutex *ARS__LINE(ars__deferred_) = (mutex)

/* ARS_DEFER_CLOSE(chan): closes an ars_chan; of a typed channel give its member 'chan'. */
#define ARS_DEFER_CLOSE(channel)                                                                   \
    ARS__CLEANUP(ars__deferred_close) ars_chan *ARS__LINE(ars__deferred_) = (channel)

/*
 * ARS_SCOPED_GROUP(name): an ars_group variable, not yet initialised, whose
 * children do not outlive the block: if it has not been waited for by then, it
 * is cancelled and waited for.  So an early return is safe even if children
 * use what lies on the function's stack.
 */
#define ARS_SCOPED_GROUP(name) ARS__CLEANUP(ars__deferred_group) ars_group name = {{0, 0}}

#endif
