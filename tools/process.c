/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void become(const char *const *argv, int cpu, int in, int out, pid_t parent)
{
    sigset_t none;
    cpu_set_t set;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (cpu >= 0) {
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0) execv(argv[0], (char *const *)argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int process_start(struct process *p, const char *name, const char *const *argv, int cpu)
{
    int in[2], out[2];
    pid_t parent = getpid();

    *p = (struct process){.name = name, .in = -1, .out = -1};
    if (pipe2(in, O_CLOEXEC)) goto failed;
    if (pipe2(out, O_CLOEXEC)) goto failed_in;
    /* Not fork(): that would have each page of a large parent fault once more. */
    p->pid = vfork();
    if (p->pid < 0) goto failed_out;
    if (p->pid == 0) become(argv, cpu, in[0], out[1], parent);
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
    return 0;

failed_out:
    p->pid = 0;
    close(out[0]);
    close(out[1]);
failed_in:
    close(in[0]);
    close(in[1]);
failed:
    fprintf(stderr, "cannot start %s: %s\n", name, strerror(errno));
    return -1;
}

/* Takes a line from the front of the buffer. */
static int take_line(struct process *p, char *line, size_t size)
{
    char *end = memchr(p->buffer, '\n', p->buffered);
    if (!end && p->buffered < sizeof p->buffer) return 0;
    size_t len = end ? (size_t)(end - p->buffer) : p->buffered;
    size_t used = end ? len + 1 : len;

    snprintf(line, size, "%.*s", (int)len, p->buffer);
    p->buffered -= used;
    memmove(p->buffer, p->buffer + used, p->buffered);
    return 1;
}

int process_line(struct process *p, char *line, size_t size, double seconds, struct process *other)
{
    double end = now() + seconds;

    while (!take_line(p, line, size)) {
        struct pollfd fds[2] = {{p->out, POLLIN, 0}, {other ? other->out : -1, 0, 0}};
        double left = end - now();
        int n = poll(fds, 2, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        if (fds[0].revents) {
            ssize_t got = read(p->out, p->buffer + p->buffered, sizeof p->buffer - p->buffered);
            if (got <= 0) return -1;
            p->buffered += (size_t)got;
        } else {
            return -1;
        }
    }
    return 1;
}

int process_tell(struct process *p, const char *line)
{
    /* A reader that is gone is an error here, not a signal. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    int rc = dprintf(p->in, "%s\n", line) > 0 ? 0 : -1;
    signal(SIGPIPE, before);
    return rc;
}

int process_ended(struct process *p)
{
    if (p->pid && waitpid(p->pid, &p->status, WNOHANG) == p->pid) {
        p->pid = 0;
        close(p->in);
        close(p->out);
        p->in = p->out = -1;
    }
    return p->pid == 0;
}

int process_end(struct process *p, int signal, double seconds)
{
    double end = now() + seconds;
    struct timespec pause = {0, 2000000};

    if (process_ended(p)) return p->status ? -1 : 0;
    if (signal) kill(p->pid, signal);
    while (!process_ended(p)) {
        if (now() > end) {
            kill(p->pid, SIGKILL);
            end = now() + 3600;
        }
        nanosleep(&pause, NULL);
    }
    return p->status ? -1 : 0;
}

const char *process_epitaph(const struct process *p)
{
    static char text[96];

    if (p->pid)
        return "is still running";
    else if (WIFSIGNALED(p->status))
        snprintf(text, sizeof text, "was ended by signal %d (%s)", WTERMSIG(p->status),
                 strsignal(WTERMSIG(p->status)));
    else
        snprintf(text, sizeof text, "ended with exit code %d", WEXITSTATUS(p->status));
    return text;
}

double process_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec t = {0, 0};

    if (!clock_getcpuclockid(pid, &clock)) clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The sum of the lines of /proc/PID/FILE with one of two names, in bytes; -1 without any. */
static double proc_sum(pid_t pid, const char *file, const char *one, const char *two)
{
    char path[64], line[256];
    double sum = 0;
    int found = 0;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    if (!f) return -1;
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, ":");
        if ((strlen(one) == len && !strncmp(line, one, len)) ||
            (strlen(two) == len && !strncmp(line, two, len))) {
            sum += strtod(line + len + 1, NULL) * 1024;
            found = 1;
        }
    }
    fclose(f);
    return found ? sum : -1;
}

int process_memory(pid_t pid, double *private_bytes, double *table_bytes)
{
    *private_bytes = proc_sum(pid, "smaps_rollup", "Private_Clean", "Private_Dirty");
    *table_bytes = proc_sum(pid, "status", "VmPTE", "VmPTE");
    return *private_bytes < 0 || *table_bytes < 0 ? -1 : 0;
}

int process_allowed_cpu(int n)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set)) return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &set) && n-- == 0) return cpu;
    return -1;
}

int process_path(char *path, size_t size, const char *relative)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n <= 0) return -1;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash) return -1;
    *slash = 0;
    return (size_t)snprintf(path, size, "%s/%s", self, relative) < size ? 0 : -1;
}
