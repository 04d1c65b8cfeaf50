/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as all that a client ever sends, to a real server on loopback: what comes back is whole
 * replies with exact lengths and nothing else, and the connection ends. 0xff splits: what is behind
 * it goes out in another packet.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 16 * 1024, REPLIES_BYTES_MAX = 2 * 1024 * 1024 };

static void echo(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    http_add(reply, req->path.p, req->path.n);
    http_add_ref(reply, req->body.p, req->body.n);
}

static const struct http_route routes[] = {
    {"/e", HTTP_POST | HTTP_GET, false, echo, NULL},
    {"/q/", HTTP_GET | HTTP_PUT | HTTP_DELETE, true, echo, NULL},
};

static struct http_server *server(void)
{
    static struct http_server *s;
    static const struct http_limits limits = {.head_bytes = 1024, .body_bytes = 4096};

    if (s)
        return s;
    http_process_setup();
    if (http_server_new(&s, "fuzz", routes, 2, &limits, NULL) < 0 ||
        http_server_listen(s, "127.0.0.1:0", NULL) < 0 || http_server_start(s, NULL) < 0)
        abort();
    return s;
}

static int dial(void)
{
    const char *const port = strrchr(http_server_url(server()), ':') + 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    const struct timeval patience = {.tv_sec = 30};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        abort();
    return fd;
}

static void send_pieces(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        const uint8_t *const cut = memchr(p, 0xff, n);
        const size_t piece = cut ? (size_t)(cut - p) : n;
        if (piece > 0 && send(fd, p, piece, MSG_NOSIGNAL) < 0)
            return;
        p += piece + (cut != NULL);
        n -= piece + (cut != NULL);
    }
}

/* Content-Length of the reply whose head, ended by a zero, this is; an interim one has no body. */
static size_t length_of(const char *head)
{
    if (strncmp(head + 9, "100", 3) == 0)
        return 0;
    const char *const field = strstr(head, "\r\nContent-Length: ");
    assert(field);
    return strtoul(field + 18, NULL, 10);
}

/* The replies are whole, and nothing follows one that closes. */
static void check_replies(char replies[REPLIES_BYTES_MAX], size_t n)
{
    size_t at = 0;

    replies[n] = '\0';
    while (at < n) {
        char *const head = &replies[at];
        assert(strncmp(head, "HTTP/1.1 ", 9) == 0 || strncmp(head, "HTTP/1.0 ", 9) == 0);
        char *const end = strstr(head, "\r\n\r\n");
        assert(end);
        end[2] = '\0';
        at = (size_t)(end - replies) + 4 + length_of(head);
        assert(at <= n);
        if (strstr(head, "\r\nConnection: close\r\n"))
            assert(at == n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char replies[REPLIES_BYTES_MAX];
    const int fd = dial();
    size_t n = 0;
    ssize_t got;

    send_pieces(fd, data, size < INPUT_BYTES_MAX ? size : INPUT_BYTES_MAX);
    shutdown(fd, SHUT_WR);
    while ((got = recv(fd, replies + n, sizeof(replies) - 1 - n, 0)) > 0)
        n += (size_t)got;
    assert(got == 0); /* neither reset nor forgotten */
    close(fd);
    check_replies(replies, n);
    return 0;
}
