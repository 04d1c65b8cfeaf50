/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

enum { FIRST_ROOM = 1 << 18, HEAD_BYTES = 512 };

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void load_open(struct load *l, uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        give_up("cannot connect to the server");
    *l = (struct load){.fd = fd, .in = malloc(FIRST_ROOM), .room = FIRST_ROOM};
    if (!l->in)
        give_up("out of memory");
}

void load_close(struct load *l)
{
    (void)close(l->fd);
    free(l->in);
    *l = (struct load){.fd = -1};
}

static void send_all(const struct load *l, struct iovec *part, int n)
{
    while (n > 0) {
        ssize_t sent = writev(l->fd, part, n);

        if (sent <= 0)
            give_up("the server does not read");
        while (n > 0 && (size_t)sent >= part->iov_len) {
            sent -= (ssize_t)part->iov_len;
            part++, n--;
        }
        if (n > 0) {
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= (size_t)sent;
        }
    }
}

static void reserve(struct load *l, size_t n)
{
    if (n <= l->room)
        return;
    l->in = realloc(l->in, n);
    l->room = n;
    if (!l->in)
        give_up("out of memory");
}

static size_t body_length(const char *head)
{
    const char *const at = strcasestr(head, "\r\ncontent-length:");

    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || !at)
        give_up("the server does not answer 200 with a Content-Length");
    return strtoul(at + 17, NULL, 10);
}

static size_t read_some(struct load *l, size_t have)
{
    const ssize_t n = read(l->fd, l->in + have, l->room - have - 1);

    if (n <= 0)
        give_up("the server closed the connection");
    return have + (size_t)n;
}

/* The whole answer into l->in; its body. */
static struct str receive(struct load *l)
{
    const char *end = NULL;
    size_t have = 0;

    while (!end) {
        have = read_some(l, have);
        l->in[have] = 0;
        end = strstr(l->in, "\r\n\r\n");
    }
    const size_t head = (size_t)(end - l->in) + 4, all = head + body_length(l->in);
    reserve(l, all + 2);
    while (have < all)
        have = read_some(l, have);
    if (have != all)
        give_up("the server sends more than its Content-Length");
    return (struct str){l->in + head, all - head};
}

static struct iovec as_iovec(struct str s)
{
    return (struct iovec){(void *)(uintptr_t)s.p, s.n};
}

uint64_t load_call(struct load *l, const char *verb, const struct str *parts, uint32_t n,
                   struct str *reply)
{
    struct iovec io[LOAD_PARTS + 1];
    char head[HEAD_BYTES];
    size_t bytes = 0;

    if (n > LOAD_PARTS)
        give_up("too many parts");
    for (uint32_t i = 0; i < n; i++) {
        io[i + 1] = as_iovec(parts[i]);
        bytes += parts[i].n;
    }
    const int head_bytes = snprintf(
        head, sizeof(head),
        "POST /scheduler/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\n"
        "Content-Length: %zu\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: gzip\r\n\r\n",
        verb, bytes);
    io[0] = (struct iovec){head, (size_t)head_bytes};
    const uint64_t start = clock_monotonic_ns();
    send_all(l, io, (int)n + 1);
    *reply = receive(l);
    return clock_monotonic_ns() - start;
}

void load_add(struct load_times *t, uint64_t ns)
{
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 4096;
        t->ns = realloc(t->ns, t->room * sizeof(*t->ns));
        if (!t->ns)
            give_up("out of memory");
    }
    t->ns[t->n++] = ns;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void load_sort(struct load_times *t)
{
    if (t->n)
        qsort(t->ns, t->n, sizeof(*t->ns), by_value);
}

double load_us(const struct load_times *t, double quantile)
{
    const size_t at = (size_t)(quantile * (double)t->n);

    return t->n ? (double)t->ns[at < t->n ? at : t->n - 1] / 1000 : 0;
}

void load_free(struct load_times *t)
{
    free(t->ns);
    *t = (struct load_times){0};
}
