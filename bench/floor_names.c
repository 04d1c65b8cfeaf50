/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/floor: the least that an extender can do whom kube-scheduler sends names. Filter hands them
 * back, all or the first K, as the bytes that came; prioritize gives each the same score. Nothing
 * is parsed: the names are what stands behind the body's last '['. What kube-scheduler takes longer
 * with it than with no extender is the price of asking at all.
 *
 *   build/bench/floor [--first K] --addresses-file FILE
 *
 * FILE says where, as that of `numawise serve` does. GET answers how often each verb was asked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/str.h"

/* A name of 253 bytes becomes 280 in a list of scores; 20,000 names fit many times over. */
enum { IN_BYTES = 8 << 20, OUT_BYTES = 3 * IN_BYTES, HEAD_BYTES = 16384 };

static struct {
    unsigned long first; /* names that filter hands back; 0 = all */
    unsigned long long filters, prioritizes, odd;
    char in[IN_BYTES + 1], out[OUT_BYTES];
    size_t out_n;
} server;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- answers --- */

static void put(struct str s)
{
    if (s.n > OUT_BYTES - server.out_n)
        give_up("an answer is too long");
    memcpy(server.out + server.out_n, s.p, s.n);
    server.out_n += s.n;
}

/* The last array of the body with its brackets. */
static struct str last_array(struct str body)
{
    const char *const from = memrchr(body.p, '[', body.n);
    const char *const to = from ? memrchr(from, ']', body.n - (size_t)(from - body.p)) : NULL;

    return to ? (struct str){from, (size_t)(to - from) + 1} : STR("[]");
}

/* The next name with its quotes, taken off `rest`; empty behind the last one. */
static struct str next_name(struct str *rest)
{
    const char *const end = rest->p + rest->n;
    const char *const from = memchr(rest->p, '"', rest->n);
    const char *const to = from ? memchr(from + 1, '"', (size_t)(end - from) - 1) : NULL;

    if (!to)
        return (struct str){0};
    *rest = (struct str){to + 1, (size_t)(end - to) - 1};
    return (struct str){from, (size_t)(to - from) + 1};
}

static void filter(struct str names)
{
    struct str name;

    server.filters++;
    put(STR("{\"Nodes\":null,\"NodeNames\":"));
    if (server.first == 0) {
        put(names);
    } else {
        put(STR("["));
        for (unsigned long i = 0; i < server.first && (name = next_name(&names)).n; i++) {
            put(i ? STR(",") : STR(""));
            put(name);
        }
        put(STR("]"));
    }
    put(STR(",\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{},\"Error\":\"\"}"));
}

static void prioritize(struct str names)
{
    struct str name;

    server.prioritizes++;
    put(STR("["));
    for (bool any = false; (name = next_name(&names)).n; any = true) {
        put(any ? STR(",{\"Host\":") : STR("{\"Host\":"));
        put(name);
        put(STR(",\"Score\":5}"));
    }
    put(STR("]"));
}

static void say_counts(void)
{
    char text[128];
    const int n = snprintf(text, sizeof(text), "{\"filter\":%llu,\"prioritize\":%llu,\"odd\":%llu}",
                           server.filters, server.prioritizes, server.odd);

    put((struct str){text, (size_t)n});
}

static void answer(struct str head, struct str body)
{
    server.out_n = 0;
    if (str_starts(head, "POST /scheduler/filter "))
        filter(last_array(body));
    else if (str_starts(head, "POST /scheduler/prioritize "))
        prioritize(last_array(body));
    else if (str_starts(head, "GET "))
        say_counts();
    else
        server.odd++;
}

/* --- connections: blocking, one request at a time, as kube-scheduler asks --- */

/* One whole request into server.in; false when the client is gone. */
static bool receive(int fd, struct str *head, struct str *body)
{
    size_t have = 0, want = 0;

    for (*head = (struct str){server.in, 0}; !head->n || have < want;) {
        const ssize_t n = read(fd, server.in + have, IN_BYTES - have);

        if (n <= 0)
            return false;
        have += (size_t)n;
        server.in[have] = 0;
        const char *const end = head->n ? NULL : memmem(server.in, have, "\r\n\r\n", 4);
        if (!end)
            continue;
        head->n = (size_t)(end - server.in) + 4;
        const char *const length = strcasestr(server.in, "content-length:");
        want = head->n + (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
    }
    *body = (struct str){server.in + head->n, want - head->n};
    return have == want;
}

static bool reply(int fd)
{
    char head[128];
    const int n = snprintf(head, sizeof(head),
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\n\r\n",
                           server.out_n);
    struct iovec part[2] = {{head, (size_t)n}, {server.out, server.out_n}};

    while (part[0].iov_len + part[1].iov_len > 0) {
        ssize_t sent = writev(fd, part, 2);

        if (sent <= 0)
            return false;
        for (int i = 0; i < 2; i++) {
            const size_t of = (size_t)sent < part[i].iov_len ? (size_t)sent : part[i].iov_len;

            part[i].iov_base = (char *)part[i].iov_base + of;
            part[i].iov_len -= of;
            sent -= (ssize_t)of;
        }
    }
    return true;
}

static void serve_one(int fd)
{
    struct str head, body;

    if (receive(fd, &head, &body)) {
        answer(head, body);
        if (reply(fd))
            return;
    }
    (void)close(fd);
}

static void watch(int loop, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data = {.fd = fd}};

    if (fd < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e))
        give_up("epoll");
}

static _Noreturn void serve(int listener)
{
    const int loop = epoll_create1(EPOLL_CLOEXEC), one = 1;
    struct epoll_event e;

    for (watch(loop, listener);;) {
        if (epoll_wait(loop, &e, 1, -1) < 0 && errno != EINTR)
            give_up("epoll");
        if (e.data.fd == listener) {
            const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            watch(loop, fd);
        } else {
            serve_one(e.data.fd);
        }
    }
}

static int listen_somewhere(uint16_t *out_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, size) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&at, &size))
        give_up("listen");
    *out_port = ntohs(at.sin_port);
    return fd;
}

/* By rename, as whoever waits for the file must not see half of it. */
static void say_where(const char *file, uint16_t port)
{
    char temp[540];
    FILE *f;

    (void)snprintf(temp, sizeof(temp), "%s.new", file);
    f = fopen(temp, "we");
    if (!f || fprintf(f, "{\"extender\": \"http://127.0.0.1:%u/scheduler\"}\n", port) < 0 ||
        fclose(f) || rename(temp, file))
        give_up(file);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"first", required_argument, NULL, 'k'},
                                          {"addresses-file", required_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    const char *file = NULL;
    char *end = NULL;
    uint16_t port;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'k')
            server.first = strtoul(optarg, &end, 10);
        else if (c == 'a')
            file = optarg;
        else
            return 2;
    }
    if (!file || (end && *end) || optind < argc) {
        fprintf(stderr, "usage: floor [--first K] --addresses-file FILE\n");
        return 2;
    }
    const int listener = listen_somewhere(&port);
    say_where(file, port);
    serve(listener);
}
