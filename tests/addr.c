/* SPDX-License-Identifier: MIT */
#include <arsenal/addr.h>

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "os/os.h"
#include "test.h"

/* Text that is read, and the text that is written for it; NULL: the same. */
static const struct {
    const char *text, *canonical;
    int port;
} good[] = {
    {"127.0.0.1:80", NULL, 80},
    {"0.0.0.0:0", NULL, 0},
    {"255.255.255.255:65535", NULL, 65535},
    {"127.0.0.1:00080", "127.0.0.1:80", 80},
    {"[::1]:80", NULL, 80},
    {"[::]:1", NULL, 1},
    {"*:80", "[::]:80", 80},
    {"[2001:DB8::0:1]:443", "[2001:db8::1]:443", 443},
    {"[::ffff:192.0.2.1]:9", NULL, 9},
    {"[fe80::1%1]:5", "[fe80::1%lo]:5", 5},
    {"[fe80::1%lo]:5", NULL, 5},
    {"[fe80::1%4000000]:5", NULL, 5},
    {"unix:/run/app.sock", NULL, ARS_EINVAL},
    {"unix:relative", NULL, ARS_EINVAL},
    {"unix:@abstract", NULL, ARS_EINVAL},
    {"unix:/with:colon:80", NULL, ARS_EINVAL},
    {"unix:@", NULL, ARS_EINVAL},
};

static const char *const bad[] = {
    "",
    ":",
    ":80",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:+1",
    "127.0.0.1: 1",
    "127.0.0.1:1 ",
    "127.0.0.1:0x50",
    "127.0.0.1:99999999999999999999",
    "127.0.0:1",
    "127.0.0.256:1",
    "127.0.0.01:1",
    " 127.0.0.1:1",
    "localhost:80",
    "::1:80",
    "[::1:80",
    "[::1]80",
    "[]:80",
    "[:]:80",
    "[::1]]:80",
    "[[::1]]:80",
    "[127.0.0.1]:80",
    "[::g]:80",
    "[fe80::1%]:80",
    "[fe80::1%nonexistent]:80",
    "[fe80::1%0]:80",
    "[fe80::1%interface-with-a-long-name]:80",
    "[1111:2222:3333:4444:5555:6666:7777:8888:9999]:80",
    "**:80",
    "unix:",
    "unix",
    "UNIX:/x",
};

static void parses(void)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ars_addr addr, again;
        char text[ARS_ADDR_TEXT];
        const char *expected = good[i].canonical ? good[i].canonical : good[i].text;
        if (ars_addr_parse(&addr, good[i].text) != 0) FAIL("%s is refused", good[i].text);
        CHECK_EQ(ars_addr_format(&addr, text, sizeof text), strlen(expected));
        CHECK_STR(text, expected);
        CHECK_EQ(ars_addr_port(&addr), good[i].port);
        CHECK_EQ(ars_addr_parse(&again, text), 0);
        CHECK_EQ(memcmp(&addr, &again, sizeof addr), 0);
    }
}

static void refuses(void)
{
    ars_addr addr, before;
    memset(&before, 0x5A, sizeof before);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        addr = before;
        if (ars_addr_parse(&addr, bad[i]) != ARS_EINVAL) FAIL("\"%s\" is taken", bad[i]);
        CHECK_EQ(memcmp(&addr, &before, sizeof addr), 0);
    }
}

static void long_paths(void)
{
    ars_addr addr;
    char text[ARS_ADDR_TEXT], path[200] = "unix:";
    memset(path + 5, 'x', 107);
    CHECK_EQ(ars_addr_parse(&addr, path), 0);
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text), 112);
    CHECK_STR(text, path);
    path[5] = '@';
    CHECK_EQ(ars_addr_parse(&addr, path), 0);
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text), 112);
    CHECK_STR(text, path);
    strcat(path, "x");
    CHECK_EQ(ars_addr_parse(&addr, path), ARS_ENAMETOOLONG);
}

static void formats_into_little(void)
{
    ars_addr addr;
    char text[16] = "untouched";
    CHECK_EQ(ars_addr_parse(&addr, "127.0.0.1:80"), 0);
    CHECK_EQ(ars_addr_format(&addr, text, 12), ARS_ENOSPC);
    CHECK_STR(text, "untouched");
    CHECK_EQ(ars_addr_format(&addr, text, 13), 12);
    CHECK_STR(text, "127.0.0.1:80");
}

static void none(void)
{
    ars_addr addr;
    char text[ARS_ADDR_TEXT];
    size_t len = 1;
    memset(&addr, 0, sizeof addr);
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text), ARS_EINVAL);
    CHECK_EQ(ars_addr_port(&addr), ARS_EINVAL);
    CHECK(ars_addr_sockaddr(&addr, &len) == NULL);
    CHECK_EQ(len, 0);
}

static void from_sockaddr(void)
{
    ars_addr addr;
    char text[ARS_ADDR_TEXT];
    size_t len;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr other = {.sa_family = AF_PACKET};
    in.sin_addr.s_addr = htonl(0x01020304);
    CHECK_EQ(ars_addr_from(&addr, &in, sizeof in), 0);
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text), 9);
    CHECK_STR(text, "1.2.3.4:7");
    CHECK_EQ(memcmp(ars_addr_sockaddr(&addr, &len), &in, sizeof in), 0);
    CHECK_EQ(len, sizeof in);
    CHECK_EQ(ars_addr_from(&addr, &in, sizeof in - 1), ARS_EINVAL);
    CHECK_EQ(ars_addr_from(&addr, &in6, sizeof in6), 0);
    CHECK_EQ(ars_addr_from(&addr, &in6, sizeof in), ARS_EINVAL);
    CHECK_EQ(ars_addr_from(&addr, &other, sizeof other), ARS_EAFNOSUPPORT);
    CHECK_EQ(ars_addr_from(&addr, &in, 1), ARS_EINVAL);
    CHECK_EQ(ars_addr_from(&addr, NULL, 0), ARS_EINVAL);
    /* A path with a NUL inside would be another path to the system; NULs behind it are none of it. */
    memset(&un, 0, sizeof un);
    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, "/a\0b", 5);
    CHECK_EQ(ars_addr_from(&addr, &un, sizeof un), ARS_EINVAL);
    un.sun_path[3] = '\0';
    CHECK_EQ(ars_addr_from(&addr, &un, sizeof un), 0);
    /* A name without an end, as the system may give it; an abstract one with NULs. */
    memset(un.sun_path, 'p', sizeof un.sun_path);
    CHECK_EQ(ars_addr_from(&addr, &un, sizeof un), 0);
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text), 5 + 108);
    memcpy(un.sun_path, "\0a\0b", 4);
    CHECK_EQ(ars_addr_from(&addr, &un, offsetof(struct sockaddr_un, sun_path) + 4), 0);
    CHECK_EQ(ars_addr_format(&addr, text, sizeof text), 9);
    CHECK_STR(text, "unix:@a@b");
    CHECK_EQ(ars_addr_from(&addr, &un, offsetof(struct sockaddr_un, sun_path)), ARS_EINVAL);
}

static void interfaces(void)
{
    char name[ARS__OS_INTERFACE_NAME];
    int index = ars__os_interface_index("lo");
    CHECK(index > 0);
    CHECK_EQ(ars__os_interface_name((unsigned)index, name), 0);
    CHECK_STR(name, "lo");
    CHECK_EQ(ars__os_interface_index("nonexistent"), -19);
    CHECK(ars__os_interface_name(4000000, name) < 0);
}

static const test_case cases[] = {
    {"parses", parses},
    {"refuses", refuses},
    {"long_paths", long_paths},
    {"formats_into_little", formats_into_little},
    {"none", none},
    {"from_sockaddr", from_sockaddr},
    {"interfaces", interfaces},
};
TEST_MAIN(cases)
