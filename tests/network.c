/* SPDX-License-Identifier: MIT */
/*
 * Networks that lose, cut and slow down, on each backend: in a network
 * namespace of this program's own, whose loopback nft and tc make bad.  What
 * arrives is right, or there is a clear error.
 */
#define _GNU_SOURCE
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "peer.h"

enum { PORT = 7000, CROWD = 8, BYTES = 64 << 10 };

static int64_t soon(void)
{
    return ars_after(60 * ARS_SECOND);
}

/* ---- the network ---- */

static int lacks(const char *tool)
{
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", tool);
    if (system(command) == 0) return 0;
    test_skipped("no %s here", tool);
    return 1;
}

static ARS_PRINTF(1, 2) void run(const char *format, ...)
{
    char command[512];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int status = system(command);
    if (status != 0) FAIL("%s: status %d", command, status);
}

/* All packets that 'match' meet 'verdict' from now on. */
static void rule(const char *match, const char *verdict)
{
    run("nft 'add table inet bad; add chain inet bad in {type filter hook input priority 0;}; "
        "add rule inet bad in %s counter %s'",
        match, verdict);
}

/* Packets that met the rule; then it is gone. */
static unsigned long rule_end(void)
{
    unsigned long packets = 0;
    FILE *list = popen("nft list chain inet bad in", "r");
    CHECK(list != NULL);
    char line[512];
    while (fgets(line, sizeof line, list)) {
        const char *at = strstr(line, "counter packets ");
        if (at) packets += strtoul(at + 16, NULL, 10);
    }
    pclose(list);
    run("nft delete table inet bad");
    return packets;
}

static ars_listener *listen_here(ars_addr *addr)
{
    ars_listener *listener;
    CHECK_EQ(ars_addr_parse(addr, "127.0.0.1:7000"), 0);
    CHECK_EQ(ars_listener_open(&listener, addr, NULL), 0);
    return listener;
}

/* ---- what is sent ---- */

/* The caller closes it, when the other side has all: the kernel soon gives up on what nobody owns. */
static int echo(void *arg)
{
    ars_conn *conn = arg;
    char buf[4096];
    int n;
    while ((n = ars_conn_read(conn, buf, sizeof buf, soon())) > 0) {
        n = ars_conn_write(conn, buf, (size_t)n, NULL, soon());
        if (n < 0) break;
    }
    return n < 0 ? n : ars_conn_shutdown(conn, ARS_WRITE_SIDE);
}

typedef struct talk {
    ars_conn *conn, *other;
    unsigned seed;
} talk;

static int say(void *arg)
{
    talk *t = arg;
    unsigned char buf[3000];
    for (size_t at = 0, n; at < BYTES; at += n) {
        n = BYTES - at < sizeof buf ? BYTES - at : sizeof buf;
        stream_fill(t->seed, at, buf, n);
        int rc = ars_conn_write(t->conn, buf, n, NULL, soon());
        if (rc < 0) return rc;
    }
    return ars_conn_shutdown(t->conn, ARS_WRITE_SIDE);
}

static int hear(void *arg)
{
    talk *t = arg;
    unsigned char buf[3000];
    size_t at = 0;
    int n;
    while ((n = ars_conn_read(t->conn, buf, sizeof buf, soon())) > 0) {
        stream_check(t->seed, at, buf, (size_t)n);
        at += (size_t)n;
    }
    if (n == 0) CHECK_EQ(at, BYTES);
    return n;
}

/* Everybody sends BYTES bytes and gets them back. */
static void crowd_echoes(unsigned crowd)
{
    ars_addr addr;
    ars_listener *listener = listen_here(&addr);
    ars_group group;
    talk talks[CROWD];
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    for (unsigned i = 0; i < crowd; i++) {
        talks[i].seed = i;
        CHECK_EQ(ars_conn_dial(&talks[i].conn, &addr, NULL, soon()), 0);
        CHECK_EQ(ars_listener_accept(listener, &talks[i].other, soon()), 0);
        CHECK_EQ(ars_group_go(&group, echo, talks[i].other, NULL), 0);
        CHECK_EQ(ars_group_go(&group, say, &talks[i], NULL), 0);
        CHECK_EQ(ars_group_go(&group, hear, &talks[i], NULL), 0);
    }
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    for (unsigned i = 0; i < crowd; i++) {
        ars_conn_close(talks[i].conn);
        ars_conn_close(talks[i].other);
    }
    ars_listener_close(listener);
}

static void loses(int percent)
{
    char match[64];
    snprintf(match, sizeof match, "meta l4proto tcp numgen random mod 100 < %d", percent);
    rule(match, "drop");
    unsigned crowd = percent > 10 ? (unsigned)test_times(CROWD, 2) : CROWD;
    crowd_echoes(crowd);
    unsigned long lost = rule_end();
    CHECK(lost > 0);
    printf("  %s: %d%% lost, %lu packets, %u bytes echoed right\n", backend_name(), percent, lost,
           crowd * BYTES);
}

static int loss_task(void *arg)
{
    (void)arg;
    loses(5);
    loses(20);
    return 0;
}

static void loss(void)
{
    if (!lacks("nft")) on_each_backend(loss_task);
}

/* ---- connections that are cut ---- */

/* A connection at both ends that talks, until something ends it; the results of both. */
typedef struct cut {
    ars_listener *listener;
    ars_group group;
    talk talk;
    int heard, echoed;
    uint64_t rounds;
} cut;

static int ping(void *arg)
{
    cut *c = arg;
    unsigned char buf[512];
    int rc = 0;
    for (size_t at = 0; rc >= 0; at += sizeof buf) {
        stream_fill(3, at, buf, sizeof buf);
        rc = ars_conn_write(c->talk.conn, buf, sizeof buf, NULL, soon());
        for (size_t got = 0; rc >= 0 && got < sizeof buf; got += (size_t)rc) {
            rc = ars_conn_read(c->talk.conn, buf, sizeof buf - got, soon());
            if (rc == 0) rc = ARS_EPIPE;
            if (rc > 0) stream_check(3, at + got, buf, (size_t)rc);
        }
        c->rounds++;
    }
    return rc;
}

static void cut_begin(cut *c)
{
    static const char *const names[] = {"ping", "echo"};
    ars_addr addr;
    *c = (cut){.listener = listen_here(&addr)};
    CHECK_EQ(ars_group_init(&c->group, NULL, ARS_COLLECT), 0);
    CHECK_EQ(ars_conn_dial(&c->talk.conn, &addr, NULL, soon()), 0);
    CHECK_EQ(ars_listener_accept(c->listener, &c->talk.other, soon()), 0);
    ars_task_opt opt = {.name = names[0], .result = &c->heard};
    CHECK_EQ(ars_group_go(&c->group, ping, c, &opt), 0);
    opt = (ars_task_opt){.name = names[1], .result = &c->echoed};
    CHECK_EQ(ars_group_go(&c->group, echo, c->talk.other, &opt), 0);
    CHECK_EQ(ars_sleep(ars_after(5 * ARS_MILLISECOND)), 0);
}

static void cut_end(cut *c)
{
    CHECK(ars_group_wait(&c->group, soon()) < 0);
    CHECK(c->rounds > 0);
    ars_conn_close(c->talk.conn);
    ars_conn_close(c->talk.other);
    ars_listener_close(c->listener);
}

static int is_cut(int rc)
{
    return rc == ARS_ECONNRESET || rc == ARS_EPIPE || rc == ARS_ECONNABORTED;
}

static int resets_task(void *arg)
{
    (void)arg;
    cut c;
    cut_begin(&c);
    rule("tcp dport 7000 tcp flags & rst == 0", "reject with tcp reset");
    CHECK_EQ(ars_sleep(ars_after(20 * ARS_MILLISECOND)), 0);
    /* The server side meets its reset when it next sends; it may be waiting to read. */
    int rc = ars_conn_write(c.talk.other, "!", 1, NULL, soon());
    CHECK(rc == 0 || is_cut(rc));
    cut_end(&c);
    CHECK(is_cut(c.heard));
    CHECK(rule_end() > 0);
    return 0;
}

static void resets(void)
{
    if (!lacks("nft")) on_each_backend_with(1, resets_task);
}

/* Both sockets are destroyed while both sides wait or talk. */
static int killed_task(void *arg)
{
    (void)arg;
    cut c;
    cut_begin(&c);
    run("ss -K state established '( dport = :7000 or sport = :7000 )' >/dev/null 2>&1");
    cut_end(&c);
    CHECK(is_cut(c.heard));
    CHECK(is_cut(c.echoed));
    return 0;
}

static void killed(void)
{
    if (!lacks("ss")) on_each_backend_with(1, killed_task);
}

/* Nothing gets through for a while: deadlines pass, nothing is lost. */
static int silence_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *a, *b;
    ars_listener *listener = listen_here(&addr);
    CHECK_EQ(ars_conn_dial(&a, &addr, NULL, soon()), 0);
    CHECK_EQ(ars_listener_accept(listener, &b, soon()), 0);
    rule("meta l4proto tcp", "drop");
    char buf[64];
    ars_conn *none;
    CHECK_EQ(ars_conn_write(a, "while it is quiet", 17, NULL, soon()), 0);
    CHECK_EQ(ars_conn_read(b, buf, sizeof buf, ars_after(30 * ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK_EQ(ars_conn_dial(&none, &addr, NULL, ars_after(30 * ARS_MILLISECOND)), ARS_ETIMEDOUT);
    CHECK(rule_end() > 0);
    CHECK_EQ(ars_conn_read(b, buf, sizeof buf, soon()), 17);
    CHECK(memcmp(buf, "while it is quiet", 17) == 0);
    ars_conn_close(a);
    ars_conn_close(b);
    ars_listener_close(listener);
    return 0;
}

static void silence(void)
{
    if (!lacks("nft")) on_each_backend(silence_task);
}

/* ---- a narrow road ---- */

/* Writes with short deadlines until all has gone; what each call said was sent is what arrives. */
static int say_hastily(void *arg)
{
    talk *t = arg;
    static unsigned char buf[BYTES];
    size_t at = 0;
    long late = 0;
    stream_fill(t->seed, 0, buf, BYTES);
    while (at < BYTES) {
        size_t sent;
        int rc =
            ars_conn_write(t->conn, buf + at, BYTES - at, &sent, ars_after(20 * ARS_MILLISECOND));
        at += sent;
        if (rc == ARS_ETIMEDOUT)
            late++;
        else if (rc < 0)
            return rc;
    }
    CHECK(late > 0);
    return ars_conn_shutdown(t->conn, ARS_WRITE_SIDE);
}

static int narrow_task(void *arg)
{
    (void)arg;
    ars_addr addr;
    ars_conn *a, *b;
    ars_listener *listener = listen_here(&addr);
    CHECK_EQ(ars_conn_dial(&a, &addr, NULL, soon()), 0);
    CHECK_EQ(ars_listener_accept(listener, &b, soon()), 0);
    CHECK_EQ(ars_conn_set(a, ARS_CONN_SNDBUF, 8192), 0);
    run("tc qdisc add dev lo root tbf rate 1mbit burst 4k latency 400ms");
    talk out = {.conn = a, .seed = 9}, in = {.conn = b, .seed = 9};
    ars_group group;
    CHECK_EQ(ars_group_init(&group, NULL, ARS_FAIL_FAST), 0);
    CHECK_EQ(ars_group_go(&group, say_hastily, &out, NULL), 0);
    CHECK_EQ(ars_group_go(&group, hear, &in, NULL), 0);
    CHECK_EQ(ars_group_wait(&group, soon()), 0);
    run("tc qdisc del dev lo root");
    ars_conn_close(a);
    ars_conn_close(b);
    ars_listener_close(listener);
    return 0;
}

static void narrow(void)
{
    if (!lacks("tc")) on_each_backend(narrow_task);
}

static const test_case cases[] = {
    {"loss", loss},       {"resets", resets}, {"killed", killed},
    {"silence", silence}, {"narrow", narrow},
};

/* Ethernet's packet size, so that there are packets to lose. */
static void loopback_up(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    lo.ifr_mtu = 1500;
    CHECK_EQ(ioctl(fd, SIOCSIFMTU, &lo), 0);
    CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
    lo.ifr_flags |= IFF_UP;
    CHECK_EQ(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
}

/* Where the kernel lets us say how long it waits before it sends again, less of the test is waiting. */
static void hurry(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    CHECK(write(fd, value, strlen(value)) > 0);
    close(fd);
}

int main(int argc, char **argv)
{
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        test_skip_all("no network namespace of its own");
    loopback_up();
    hurry("tcp_rto_min_us", "20000");
    hurry("tcp_rto_max_ms", "1000");
    return test_main(cases, sizeof cases / sizeof *cases, argc, argv);
}
