/* SPDX-License-Identifier: MIT */
/* Documented in stack.h. */
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/san.h"
#include "coro/stack.h"
#include "os/os.h"

void ars__stack_wipe(ars__stack stack)
{
    size_t page = ars__os_page_size();
    char *from = (char *)ars__align_up((uintptr_t)stack.low, page);
    char *to = (char *)((uintptr_t)stack.top & ~(uintptr_t)(page - 1));
    /* The header's page stays, and that of a canary.  Locked memory cannot be discarded. */
    if (to <= from || ars__os_discard(from, (size_t)(to - from)) < 0) from = to = stack.low;
    /* Who had the stack before is no business of ThreadSanitizer's. */
    ars__san_ignore_begin();
    memset(stack.low, 0, (size_t)(from - stack.low));
    memset(to, 0, (size_t)(stack.top - to));
    ars__san_ignore_end();
}

void ars__stack_give_below(ars__stack stack, const char *sp)
{
    enum { RED_ZONE = 128 };
    size_t page = ars__os_page_size();
    char *from = (char *)ars__align_up((uintptr_t)stack.low, page);
    char *to = (char *)(((uintptr_t)sp - RED_ZONE - page) & ~(uintptr_t)(page - 1));
    ARS__ASSERT(sp > stack.low && sp <= stack.top);
    /* An error, as for locked memory, leaves everything as it is. */
    if (to > from) ars__os_discard(from, (size_t)(to - from));
}

/*
 * Reading what was never written makes the kernel show one page of zeros there,
 * which takes no memory, and which the next wipe takes away.
 */
ARS__NOINLINE size_t ars__stack_depth(ars__stack stack)
{
    const char *here = __builtin_frame_address(0);
    const char *end = here >= stack.low && here < stack.top ? here : stack.top;
    /* Frames below have left their red zones behind. */
    ars__san_unpoison(stack.low, (size_t)(end - stack.low));
    const char *at = stack.low;
    uint64_t word;
    for (; at < end; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        if (word) break;
    }
    return (size_t)(stack.top - at);
}
