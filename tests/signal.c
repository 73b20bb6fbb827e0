/* SPDX-License-Identifier: MIT */
/* Signals as channels: what arrives, what is put back, and what is refused. */
#include <arsenal/signal.h>

#include <arsenal/select.h>
#include <arsenal/tick.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "fault.h"

static ars_chan *opened(int one, int two)
{
    ars_chan *signals = NULL;
    CHECK_EQ(ars_signal_open(&signals, (const int[]){one, two}, 2), 0);
    return signals;
}

static ars_signal received(ars_chan *signals)
{
    ars_signal signal = {0};
    CHECK_EQ(ars_chan_recv(signals, &signal, ars_after(30 * ARS_SECOND)), 0);
    return signal;
}

static void nothing_more(ars_chan *signals)
{
    ars_signal signal;
    CHECK_EQ(ars_chan_recv(signals, &signal, ars_after(2 * ARS_MILLISECOND)), ARS_ETIMEDOUT);
}

static void queue(int number, int value)
{
    CHECK_EQ(sigqueue(getpid(), number, (union sigval){.sival_int = value}), 0);
}

static void (*handler_of(int number))(int)
{
    struct sigaction now;
    CHECK_EQ(sigaction(number, NULL, &now), 0);
    return now.sa_handler;
}

/* ---- what arrives ---- */

static int arrives(void *arg)
{
    (void)arg;
    ars_chan *signals = opened(SIGUSR1, SIGTERM);
    CHECK_EQ(kill(getpid(), SIGTERM), 0);
    ars_signal signal = received(signals);
    CHECK_EQ(signal.number, SIGTERM);
    CHECK_EQ(signal.pid, getpid());
    CHECK_EQ(signal.value, 0);
    CHECK_EQ(signal.missed, 0);
    queue(SIGUSR1, -77);
    signal = received(signals);
    CHECK_EQ(signal.number, SIGUSR1);
    CHECK_EQ(signal.pid, getpid());
    CHECK_EQ(signal.value, -77);
    nothing_more(signals);
    ars_signal_close(signals);
    return 0;
}

static int in_order(void *arg)
{
    (void)arg;
    ars_chan *signals = opened(SIGRTMIN, SIGRTMIN + 1);
    for (int i = 0; i < 100; i++) queue(SIGRTMIN, i);
    for (int i = 0; i < 100; i++) CHECK_EQ(received(signals).value, i);
    ars_signal_close(signals);
    return 0;
}

/* The usual loop of a server: work, signals, and a time to look after things. */
static int selected(void *arg)
{
    (void)arg;
    ars_chan *signals = opened(SIGHUP, SIGINT), *work = NULL;
    ars_signal signal = {0};
    long job = 0, jobs = 0, hangups = 0, ticks = 0;
    ars_tick tick;
    CHECK_EQ(ars_chan_new(&work, sizeof job, 4, NULL), 0);
    ars_tick_start(&tick, ars_after(ARS_MILLISECOND), ARS_MILLISECOND);
    ars_case cases[] = {ARS_RECV(signals, &signal), ARS_RECV(work, &job), ARS_TICK(&tick, NULL)};
    for (int over = 0; !over;) {
        int rc = ars_select(cases, 3, ars_after(30 * ARS_SECOND));
        CHECK(rc >= 0 && rc < 3);
        if (rc == 0 && signal.number == SIGINT) over = 1;
        if (rc == 0 && signal.number == SIGHUP) hangups++;
        if (rc == 0 && signal.number == SIGHUP && hangups < 3) kill(getpid(), SIGHUP);
        if (rc == 0 && signal.number == SIGHUP && hangups == 3) kill(getpid(), SIGINT);
        if (rc == 1) jobs++;
        if (rc == 1 && jobs == 4) kill(getpid(), SIGHUP);
        if (rc == 2 && ++ticks <= 4) CHECK_EQ(ars_chan_send(work, &ticks, ARS_FOREVER), 0);
    }
    CHECK_EQ(jobs, 4);
    CHECK_EQ(hangups, 3);
    CHECK_EQ(ars_select(cases, 1, 0), ARS_ETIMEDOUT);
    ars_chan_free(work);
    ars_signal_close(signals);
    return 0;
}

static int children(void *arg)
{
    enum { CHILDREN = 8 };
    int left = CHILDREN, pids = 0;
    (void)arg;
    ars_chan *signals = opened(SIGCHLD, SIGCHLD);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) execl("/bin/true", "true", (char *)NULL), _exit(127);
    }
    /* Several may be one. */
    while (left > 0) {
        ars_signal signal = received(signals);
        CHECK_EQ(signal.number, SIGCHLD);
        pids += signal.pid > 0 && signal.pid != getpid();
        for (int status; waitpid(-1, &status, WNOHANG) > 0; left--) CHECK_EQ(status, 0);
    }
    CHECK(pids > 0);
    ars_signal_close(signals);
    return 0;
}

/* What cannot be kept is counted, and told with the next. */
static int overflows(void *arg)
{
    long sent = 9000, got = 0;
    (void)arg;
    ars_chan *signals = opened(SIGRTMIN, SIGRTMIN);
    for (long i = 0; i < sent; i++) {
        while (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = (int)i}) < 0)
            CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    }
    while (got < sent) {
        ars_signal signal = {0};
        int rc = ars_chan_recv(signals, &signal, ars_after(5 * ARS_MILLISECOND));
        if (rc == 0) got += 1 + signal.missed;
        if (rc == 0) continue;
        CHECK_EQ(rc, ARS_ETIMEDOUT);
        queue(SIGRTMIN, 0);
        sent++;
    }
    CHECK_EQ(got, sent);
    ars_signal_close(signals);
    return 0;
}

/* ---- several, and what was before ---- */

static ars_atomic_u32 handled;

static void handles(int number)
{
    (void)number;
    ars_atomic_u32_add_relaxed(&handled, 1);
}

static int puts_back(void *arg)
{
    (void)arg;
    CHECK(signal(SIGUSR1, handles) != SIG_ERR);
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    ars_chan *a = opened(SIGUSR1, SIGUSR2), *b = opened(SIGUSR1, SIGUSR1);
    CHECK(handler_of(SIGUSR1) != handles && handler_of(SIGUSR2) != SIG_IGN);
    kill(getpid(), SIGUSR1);
    CHECK_EQ(received(a).number, SIGUSR1);
    CHECK_EQ(received(b).number, SIGUSR1);
    ars_signal_close(a);
    CHECK(handler_of(SIGUSR1) != handles && handler_of(SIGUSR2) == SIG_IGN);
    kill(getpid(), SIGUSR2);
    kill(getpid(), SIGUSR1);
    CHECK_EQ(received(b).number, SIGUSR1);
    CHECK_EQ(ars_atomic_u32_load_relaxed(&handled), 0);
    ars_signal_close(b);
    CHECK(handler_of(SIGUSR1) == handles);
    kill(getpid(), SIGUSR1);
    while (ars_atomic_u32_load_relaxed(&handled) != 1) CHECK_EQ(ars_yield(), 0);
    ars_atomic_u32_store_relaxed(&handled, 0);
    /* Whoever has caught it in between keeps it. */
    signal(SIGUSR1, SIG_DFL);
    a = opened(SIGUSR1, SIGTERM);
    signal(SIGUSR1, SIG_IGN);
    ars_signal_close(a);
    CHECK(handler_of(SIGUSR1) == SIG_IGN && handler_of(SIGTERM) == SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    return 0;
}

static int listens(void *signals)
{
    ars_signal signal;
    CHECK_EQ(ars_chan_recv(signals, &signal, ARS_FOREVER), ARS_EPIPE);
    return 0;
}

static int closes(void *arg)
{
    (void)arg;
    ars_chan *signals = opened(SIGUSR1, SIGUSR2);
    crew c;
    crew_begin(&c);
    for (int i = 0; i < 3; i++) crew_task(&c, listens, signals);
    CHECK_EQ(ars_sleep(ars_after(ARS_MILLISECOND)), 0);
    CHECK_EQ(ars_chan_close(signals), 0);
    crew_end(&c);
    kill(getpid(), SIGUSR1); /* to nobody, but not to its default */
    ars_signal_close(signals);
    ars_signal_close(NULL);
    CHECK(handler_of(SIGUSR1) == SIG_DFL);
    return 0;
}

/* ---- a rain of signals, while channels come and go ---- */

static ars_atomic_u32 dry;

static int rains(void *arg)
{
    (void)arg;
    while (!ars_atomic_u32_load_acquire(&dry)) kill(getpid(), SIGUSR1);
    return 0;
}

static int comes_and_goes(void *arg)
{
    (void)arg;
    for (long i = 0; i < test_times(300, 60); i++) {
        ars_chan *signals = opened(SIGUSR1, SIGUSR2);
        if (i % 3) CHECK_EQ(received(signals).number, SIGUSR1);
        ars_signal_close(signals);
    }
    return 0;
}

static int in_the_rain(void *arg)
{
    (void)arg;
    crew c, rain;
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    ars_atomic_u32_store_release(&dry, 0);
    crew_begin(&rain);
    crew_thread(&rain, rains, NULL);
    crew_begin(&c);
    for (int i = 0; i < 3; i++) crew_task(&c, comes_and_goes, NULL);
    crew_end(&c);
    ars_atomic_u32_store_release(&dry, 1);
    crew_end(&rain);
    CHECK(handler_of(SIGUSR1) == SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
    return 0;
}

/* ---- fork ---- */

static int not_for_children(void *arg)
{
    int ends[2], status;
    char byte;
    (void)arg;
    CHECK_EQ(pipe(ends), 0);
    ars_chan *signals = opened(SIGTERM, SIGUSR1);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    kill(pid, SIGTERM);
    nothing_more(signals);
    close(ends[0]);
    close(ends[1]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    nothing_more(signals);
    ars_signal_close(signals);
    return 0;
}

/* ---- what is refused ---- */

static int on_thread(void *arg)
{
    ars_chan *signals = NULL;
    (void)arg;
    CHECK_EQ(ars_signal_open(&signals, (const int[]){SIGUSR1}, 1), ARS_EINVAL);
    return 0;
}

static int refuses(void *arg)
{
    static const int bad[] = {0,      -1,     65,     INT32_MAX, SIGKILL, SIGSTOP, SIGSEGV,
                              SIGBUS, SIGFPE, SIGILL, SIGTRAP,   SIGSYS,  32,      33};
    ars_chan *signals = NULL;
    crew c;
    (void)arg;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int numbers[] = {SIGUSR1, bad[i], SIGUSR2};
        CHECK_EQ(ars_signal_open(&signals, numbers, 3), ARS_EINVAL);
        CHECK(!signals);
        CHECK(handler_of(SIGUSR1) == SIG_DFL && handler_of(SIGUSR2) == SIG_DFL);
    }
    CHECK_EQ(ars_signal_open(&signals, bad, 0), ARS_EINVAL);
    crew_begin(&c);
    crew_thread(&c, on_thread, NULL);
    crew_end(&c);
    return 0;
}

static int whole_life(void *arg)
{
    ars_chan *signals = NULL;
    ars_signal signal;
    (void)arg;
    int rc = ars_signal_open(&signals, (const int[]){SIGUSR1, SIGUSR2}, 2);
    CHECK_EQ(rc < 0, !signals);
    CHECK_EQ(handler_of(SIGUSR1) == SIG_DFL, rc < 0);
    if (rc < 0) return rc;
    kill(getpid(), SIGUSR1);
    rc = ars_chan_recv(signals, &signal, ars_after(20 * ARS_MILLISECOND));
    CHECK(rc == 0 || rc == ARS_ETIMEDOUT || rc == ARS_EPIPE);
    ars_signal_close(signals);
    CHECK(handler_of(SIGUSR1) == SIG_DFL && handler_of(SIGUSR2) == SIG_DFL);
    return 0;
}

static void sweep(const ars_alloc *alloc)
{
    ars_config config = {.alloc = alloc, .workers = 1};
    CHECK(ars_run(whole_life, NULL, &config) <= 0);
}

static void case_out_of_memory(void)
{
    CHECK(sweep_alloc("signal", sweep) > 4);
}

static void case_failing_system(void)
{
    sweep_os("signal", sweep);
}

/* With each backend, and with a runtime that is not the main thread's. */
static void case_backends(void)
{
    static const unsigned backends[] = {ARS_BACKEND_URING, ARS_BACKEND_EPOLL, ARS_BACKEND_POLL};
    for (int i = 0; i < 3; i++) {
        ars_config config = {.backend = backends[i], .workers = 2};
        int rc = ars_run(selected, NULL, &config);
        if (rc < 0) test_skipped("backend %u: error %d", backends[i], rc);
    }
}

static void *runs(void *arg)
{
    CHECK_EQ(ars_run(selected, NULL, NULL), 0);
    return arg;
}

static void case_elsewhere(void)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, runs, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

#define CASE(name, threads)                                                                        \
    static void case_##name(void)                                                                  \
    {                                                                                              \
        crew_run_all(name, threads);                                                               \
    }

CASE(arrives, 0)
CASE(in_order, 0)
CASE(selected, 0)
CASE(children, 0)
CASE(overflows, 0)
CASE(puts_back, 0)
CASE(closes, 0)
CASE(in_the_rain, 1)
CASE(not_for_children, 0)
CASE(refuses, 1)

static const test_case cases[] = {
    {"signals arrive", case_arrives},
    {"queued ones in order", case_in_order},
    {"in a select", case_selected},
    {"children that end", case_children},
    {"too many are counted", case_overflows},
    {"what was before is put back", case_puts_back},
    {"closing wakes", case_closes},
    {"channels come and go in a rain of signals", case_in_the_rain},
    {"not from forked children", case_not_for_children},
    {"bad input", case_refuses},
    {"each backend", case_backends},
    {"a runtime of another thread", case_elsewhere},
    {"out of memory", case_out_of_memory},
    {"a failing system", case_failing_system},
};

TEST_MAIN(cases)
