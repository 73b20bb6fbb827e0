/* SPDX-License-Identifier: MIT */
/* Documented in os/os.h. */
#include "os/os.h"

#include <signal.h>
#include <unistd.h>

#include "os/linux/sys.h"

/*
 * The kernel's own call, not the C library's: under ThreadSanitizer that one
 * keeps signals back until the thread next calls the C library, which a worker
 * that sleeps never does.
 */
typedef struct kernel_action {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
} kernel_action;

enum { SIGNALS = 64, KERNEL_RESTORER = 0x04000000 };

/* x86-64 returns from a handler by code that the program brings along; unwinders know it by these bytes. */
#ifdef __x86_64__
void ars__signal_return(void);
__asm__(".pushsection .text\n"
        ".hidden ars__signal_return\n"
        ".globl ars__signal_return\n"
        ".type ars__signal_return, @function\n"
        "ars__signal_return:\n"
        "    mov $15, %rax\n"
        "    syscall\n"
        ".size ars__signal_return, . - ars__signal_return\n"
        ".popsection\n");
enum { RESTORER_FLAG = KERNEL_RESTORER };
#else
#define ars__signal_return NULL
enum { RESTORER_FLAG = 0 };
#endif

static kernel_action before[SIGNALS + 1];
static void (*receiver)(const ars__os_signal *);
static pid_t owner;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (ARS__SYS(SYS_getpid) != owner) return;
    ars__os_signal signal = {.number = number};
    int sent = info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
    if (sent || (number == SIGCHLD && info->si_code > 0)) signal.pid = info->si_pid;
    if (info->si_code == SI_QUEUE || info->si_code == SI_TIMER || info->si_code == SI_MESGQ)
        signal.value = info->si_value.sival_int;
    receiver(&signal);
}

static int is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
           number == SIGTRAP || number == SIGSYS;
}

int ars__os_signal_catch(int number, void (*fn)(const ars__os_signal *))
{
    /* Those from 32 on to SIGRTMIN are the C library's. */
    if (number < 1 || number > SIGNALS || (number >= 32 && number < SIGRTMIN) || is_fault(number))
        return ARS_EINVAL;
    kernel_action mine = {on_signal, SA_SIGINFO | SA_RESTART | SA_ONSTACK | RESTORER_FLAG,
                          ars__signal_return, UINT64_MAX};
    receiver = fn;
    owner = (pid_t)ARS__SYS(SYS_getpid);
    return (int)ARS__SYS(SYS_rt_sigaction, number, &mine, &before[number], sizeof mine.mask);
}

int ars__os_signal_leave(int number)
{
    kernel_action now;
    long rc = ARS__SYS(SYS_rt_sigaction, number, NULL, &now, sizeof now.mask);
    if (rc < 0 || now.handler != on_signal) return (int)rc;
    return (int)ARS__SYS(SYS_rt_sigaction, number, &before[number], NULL, sizeof now.mask);
}
