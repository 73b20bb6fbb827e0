/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "options.h"

/* libuv's echo server at its fastest: one buffer for all, and a direct write first. */

struct late {
    uv_write_t write;
    char data[];
};

static char buffer[65536];

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static void end(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(buffer, sizeof buffer);
}

static void written(uv_write_t *write, int status)
{
    if (status < 0) end(write->handle);
    free(write->data);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    if (n == 0) return;
    if (n < 0) {
        end(stream);
        return;
    }
    uv_buf_t rest = uv_buf_init(buf->base, (unsigned)n);
    int sent = uv_try_write(stream, &rest, 1);
    if (sent == n) return;
    if (sent < 0 && sent != UV_EAGAIN) {
        end(stream);
        return;
    }
    if (sent < 0) sent = 0;
    struct late *late = malloc(sizeof *late + (size_t)(n - sent));
    if (!late) {
        end(stream);
        return;
    }
    memcpy(late->data, buf->base + sent, (size_t)(n - sent));
    rest = uv_buf_init(late->data, (unsigned)(n - sent));
    late->write.data = late;
    if (uv_write(&late->write, stream, &rest, 1, written)) {
        free(late);
        end(stream);
    }
}

static void connected(uv_stream_t *listener, int status)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);

    if (status < 0 || !tcp || uv_tcp_init(listener->loop, tcp)) {
        free(tcp);
        return;
    }
    if (uv_accept(listener, (uv_stream_t *)tcp) || uv_tcp_nodelay(tcp, 1) ||
        uv_read_start((uv_stream_t *)tcp, give_buffer, received))
        end((uv_stream_t *)tcp);
}

int main(int argc, char **argv)
{
    long port = 0;
    const struct option options[] = {
        {"port", OPTION_INT, &port, 0, 65535, "N", "to listen at (0: a free one)"}, {0}};
    const struct command_line cl = {argv[0], "[--port N]", "Echoes at 127.0.0.1 by libuv.", options,
                                    NULL};
    struct sockaddr_in address;
    int len = sizeof address, rc;
    uv_tcp_t listener;

    options_parse(&cl, argc, argv);
    uv_loop_t *loop = uv_default_loop();
    uv_ip4_addr("127.0.0.1", (int)port, &address);
    if ((rc = uv_tcp_init(loop, &listener)) ||
        (rc = uv_tcp_bind(&listener, (struct sockaddr *)&address, 0)) ||
        (rc = uv_listen((uv_stream_t *)&listener, 4096, connected)) ||
        (rc = uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len))) {
        fprintf(stderr, "%s: %s\n", argv[0], uv_strerror(rc));
        return 1;
    }
    printf("listening at 127.0.0.1:%d, libuv %s\n", ntohs(address.sin_port), uv_version_string());
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
