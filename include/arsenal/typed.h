/* SPDX-License-Identifier: MIT */
#ifndef ARSENAL_TYPED_H
#define ARSENAL_TYPED_H

/*
 * Channels that know the type of their values, and tasks that have named
 * arguments, in strict C11.  The compiler checks both; nothing is added at run
 * time.  <arsenal/short.h> has the same under short names.
 *
 *     typedef ARS_CHAN_OF(int) ints;
 *
 *     ARS_TASK(square, ints in; ints out;)
 *     {
 *         int n;
 *         while (ARS_CHAN_RECV(self->in, &n, ARS_FOREVER) == 0)
 *             ARS_CHAN_SEND(self->out, &(int){n * n}, ARS_FOREVER);
 *         return ars_chan_close(self->out.chan);
 *     }
 *
 *     ARS_GO(&group, square, .in = numbers, .out = squares);
 *
 * For C only: what this header makes is nothing in C++, where the plain calls
 * of <arsenal/chan.h> and <arsenal/group.h> do the same.
 */

#include <arsenal/chan.h>
#include <arsenal/group.h>
#include <arsenal/run.h>
#include <arsenal/select.h>

ARS_BEGIN_DECLS

/*
 * ars_chan_take() receives into '*room', as ars_chan_recv() does without a
 * deadline, and returns 'room'.  What that call returned goes to '*rc', unless
 * 'rc' is NULL; after an error '*room' is untouched.
 *
 * ARS_CHAN_TAKE() stands on it.
 *
 * Suspends: yes.  Allocates: no.  Callable from: task, thread.
 */
ARS_INLINE void *ars_chan_take(ars_chan *chan, void *room, int *rc)
{
    int got = ars_chan_recv(chan, room, ARS_FOREVER);
    if (rc) *rc = got;
    return room;
}

ARS_END_DECLS

#ifndef __cplusplus

#if defined(__GNUC__)
#define ARS__UNUSED __attribute__((unused))
#else
#define ARS__UNUSED
#endif

/* ARS__IF_ONE(X, arguments): X1(arguments) if there is one argument, XN(arguments) for 2 to 63. */
#define ARS__IF_ONE(x, ...) ARS__PASTE(x, ARS__COUNT(__VA_ARGS__))(__VA_ARGS__)
#define ARS__PASTE(a, b)    ARS__PASTE_(a, b)
#define ARS__PASTE_(a, b)   a##b
#define ARS__COUNT(...)                                                                            \
    ARS__64TH(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, \
              N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  \
              N, N, N, N, N, N, N, N, N, N, 1, ~)
#define ARS__64TH(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, \
                  a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34,  \
                  a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48, a49, a50,  \
                  a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, a63, which, ...)     \
    which

/* ---- channels ---- */

/*
 * ARS_CHAN_OF(T) is the type of a channel of Ts.  Each use makes a new type, so
 * give it a name: typedef ARS_CHAN_OF(struct job) job_chan.  It is a handle,
 * as large as a pointer, and copied like one; its member 'chan' is the
 * ars_chan for calls that have no typed form.  All-zero is no channel: as a
 * case of a select it is never ready.
 */
#define ARS_CHAN_OF(T)                                                                             \
    union {                                                                                        \
        ars_chan *chan;                                                                            \
        T *type;                                                                                   \
    }

/*
 * '(c)' if it is typed; of a plain ars_chan * a stand-in, so that the macros
 * below take both, and check the values of the former.
 */
struct ars__any_chan {
    ars_chan *chan;
    void *type;
};
#define ARS__TYPED(c) _Generic((c), ars_chan * : (struct ars__any_chan){0, 0}, default : (c))
#define ARS__CHAN(c)  _Generic((c), ars_chan * : (c), default : ARS__TYPED(c).chan)

/* '(value)', which must be a pointer to the values of 'c', or to const ones. */
#define ARS__VALUE(c, value) (1 ? (value) : ARS__TYPED(c).type)

/*
 * The calls of <arsenal/chan.h> for a typed channel 'c', with the same results;
 * those that take no '&c' also work on a plain ars_chan *, unchecked.
 *
 *   ARS_CHAN_NEW(&c, cap)                 a new channel that holds 'cap' values
 *   ARS_CHAN_NEW_OPT(&c, cap, &opt)
 *   ARS_CHAN_SUBSCRIBE(source, &c, lag)   both of the same type
 *   ARS_CHAN_SEND(c, &value, deadline)
 *   ARS_CHAN_RECV(c, &value, deadline)
 *   ARS_CHAN_CLOSE(c)
 *   ARS_CHAN_FREE(c)
 *
 * A pointer of another type is reported by the compiler: as a warning, or as an
 * error where warnings are.  'c' may be evaluated more than once.  Commas in a
 * compound literal need parentheses around it: (&(struct job){1, 2}).
 */
#define ARS_CHAN_NEW(c, cap)          ARS_CHAN_NEW_OPT(c, cap, NULL)
#define ARS_CHAN_NEW_OPT(c, cap, opt) ars_chan_new(&(c)->chan, sizeof *(c)->type, (cap), (opt))
#define ARS_CHAN_SEND(c, value, deadline)                                                          \
    ars_chan_send(ARS__CHAN(c), ARS__VALUE(c, value), (deadline))
#define ARS_CHAN_RECV(c, value, deadline)                                                          \
    ars_chan_recv(ARS__CHAN(c), ARS__VALUE(c, value), (deadline))
#define ARS_CHAN_CLOSE(c) ars_chan_close(ARS__CHAN(c))
#define ARS_CHAN_FREE(c)  ars_chan_free(ARS__CHAN(c))
#define ARS_CHAN_SUBSCRIBE(source, c, lag)                                                         \
    ars_chan_subscribe((source).chan, &(c)->chan, (lag) + 0 * sizeof(1 ? (source).type : (c)->type))

/*
 * ARS_SELECT(deadline, cases) is ars_select() of the cases written there, made
 * to be switched on.  With this header ARS_RECV() and ARS_SEND() take typed
 * channels too, and check the pointer.
 *
 *     switch (ARS_SELECT(deadline, ARS_RECV(jobs, &job), ARS_SEND(out, &result))) {
 *     case 0: ...
 *     case ARS_CLOSED(0): ...
 *     case 1: ...
 *     case ARS_ETIMEDOUT: ...
 *     }
 */
#define ARS_SELECT(deadline, ...)                                                                  \
    ars_select((ars_case[]){__VA_ARGS__}, sizeof((ars_case[]){__VA_ARGS__}) / sizeof(ars_case),    \
               (deadline))

#undef ARS_RECV
#undef ARS_SEND
#define ARS_RECV(c, value) ars_case_make(ARS__CASE_RECV, ARS__CHAN(c), ARS__VALUE(c, value))
#define ARS_SEND(c, value)                                                                         \
    ars_case_make(ARS__CASE_SEND, ARS__CHAN(c), (void *)(uintptr_t)ARS__VALUE(c, value))

/*
 * ARS_CHAN_TAKE_AS(T, c, &rc) is the next value of 'c', a channel of Ts; it
 * waits for one without a deadline.  'rc' becomes 0; when the channel is closed
 * and drained, or the task cancelled, it becomes that error, and the value is
 * all zero.  NULL instead of '&rc' drops it.
 *
 * With a compiler that has typeof (GNU C, Clang, C23), ARS_CHAN_TAKE(c, &rc) is
 * the same without the T, and ARS_CHAN_PUT(c, value) sends a value, not a
 * pointer to one: anything that could initialise a T, so also {.id = 3}.
 */
#define ARS_CHAN_TAKE_AS(T, c, rc) (*(T *)ars_chan_take(ARS__CHAN(c), ARS__VALUE(c, &(T){0}), (rc)))

#if defined(__GNUC__)
#define ARS__TYPE(c) __typeof__(*(c).type)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
#define ARS__TYPE(c) typeof(*(c).type)
#endif
#ifdef ARS__TYPE
#define ARS_CHAN_TAKE(c, rc) ARS_CHAN_TAKE_AS(ARS__TYPE(c), c, rc)
#define ARS_CHAN_PUT(c, ...) ars_chan_send((c).chan, (ARS__TYPE(c)[1]){__VA_ARGS__}, ARS_FOREVER)
#endif

/* ---- tasks ---- */

/*
 * ARS_TASK(name, fields) { body } defines a static function that is started as
 * a task, with arguments of its own.  The fields are written as in a struct;
 * the body finds them in '*self', may change them, and returns an int as any
 * task does.
 *
 *     ARS_TASK(worker, int id; job_chan jobs;)
 *     {
 *         ... self->id ...
 *         return 0;
 *     }
 *
 * ARS_TASK(tick) { body } has none.  ARS_TASK_DECLARE(name, fields); before and
 * ARS_TASK_BODY(name) { body } later are its two halves, for tasks that start
 * each other.
 *
 * The arguments are the struct name_args, which begins with a hidden char.
 * They take at most ARS_ARGS_MAX bytes, that included, or it does not compile.
 */
#define ARS_TASK(...)          ARS__IF_ONE(ARS__TASK_, __VA_ARGS__)
#define ARS__TASK_1(name)      ARS__TASK_N(name, )
#define ARS__TASK_N(name, ...) ARS__DECLARE_N(name, __VA_ARGS__) ARS_TASK_BODY(name)
#define ARS_TASK_DECLARE(...)  ARS__IF_ONE(ARS__DECLARE_, __VA_ARGS__) struct ars__none
#define ARS__DECLARE_1(name)   ARS__DECLARE_N(name, )
#define ARS__DECLARE_N(name, ...)                                                                  \
    struct name##_args {                                                                           \
        char ars__first;                                                                           \
        __VA_ARGS__                                                                                \
    };                                                                                             \
    _Static_assert(sizeof(struct name##_args) <= ARS_ARGS_MAX,                                     \
                   "the arguments of task " #name " take more than ARS_ARGS_MAX bytes");           \
    _Static_assert(_Alignof(struct name##_args) <= 16,                                             \
                   "the arguments of task " #name " need an alignment beyond 16");                 \
    static int name(struct name##_args *self);                                                     \
    ARS__UNUSED static int name##_ars__start(void *self)                                           \
    {                                                                                              \
        return name(self);                                                                         \
    }
#define ARS_TASK_BODY(name) static int name(ARS__UNUSED struct name##_args *self)

/*
 * ARS_GO(&group, name, arguments) starts the task 'name' in the group, with a
 * copy of the arguments: by name, .id = 3, or in the order of the fields.
 * Those not given are zero.  ARS_GO_OPT(&group, &opt, name, arguments) does it
 * with options.  Both return what ars_group_go() does.
 */
#define ARS_GO(group, ...) ARS_GO_OPT(group, NULL, __VA_ARGS__)
#define ARS_GO_OPT(group, opt, ...)                                                                \
    ARS__PASTE(ARS__GO_, ARS__COUNT(__VA_ARGS__))(group, opt, __VA_ARGS__)
#define ARS__GO_1(group, opt, name) ARS__GO_N(group, opt, name, )
#define ARS__GO_N(group, opt, name, ...)                                                           \
    ars_group_go_copy((group), name##_ars__start,                                                  \
                      &(struct name##_args){.ars__first = 0, __VA_ARGS__},                         \
                      sizeof(struct name##_args), (opt))

/*
 * ARS_MAIN { body } is a main() whose body is the root task of a runtime with
 * the default config.  The program exits with the body's result, or with 1 if
 * that is an error or the runtime could not begin.
 */
#define ARS_MAIN                                                                                   \
    static int ars__main(void *self);                                                              \
    int main(void)                                                                                 \
    {                                                                                              \
        int rc = ars_run(ars__main, NULL, NULL);                                                   \
        return rc < 0 ? 1 : rc;                                                                    \
    }                                                                                              \
    static int ars__main(ARS__UNUSED void *self)

#endif

#endif
