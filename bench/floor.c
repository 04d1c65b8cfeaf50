/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/floor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, HEAD = 16384 };

/* Read one request; false when the client is gone. Only the end of the head is looked for. */
static int read_request(int fd, char *in)
{
    char head[HEAD + 1];
    size_t have = 0, body, left;
    const char *end = NULL;

    while (!end) {
        const ssize_t n = read(fd, in + have, BUFFER - have);

        if (n <= 0)
            return 0;
        have += (size_t)n;
        end = memmem(in, have < HEAD ? have : HEAD, "\r\n\r\n", 4);
    }
    const size_t head_bytes = (size_t)(end - in) + 4;
    memcpy(head, in, head_bytes);
    head[head_bytes] = 0;
    const char *const length = strcasestr(head, "content-length:");
    body = length ? strtoul(length + 15, NULL, 10) : 0;
    for (left = body - (have - head_bytes); left > 0;) {
        const ssize_t n = read(fd, in, left < BUFFER ? left : BUFFER);

        if (n <= 0)
            return 0;
        left -= (size_t)n;
    }
    return 1;
}

static int answer(int fd, const char *bytes, size_t body)
{
    char head[128];
    const int n = snprintf(head, sizeof(head),
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\n\r\n",
                           body);
    struct iovec part[2] = {{head, (size_t)n}, {(void *)(uintptr_t)bytes, body}};

    while (part[0].iov_len + part[1].iov_len > 0) {
        ssize_t sent = writev(fd, part, 2);

        if (sent <= 0)
            return 0;
        for (int i = 0; i < 2; i++) {
            const size_t of = (size_t)sent < part[i].iov_len ? (size_t)sent : part[i].iov_len;

            part[i].iov_base = (char *)part[i].iov_base + of;
            part[i].iov_len -= of;
            sent -= (ssize_t)of;
        }
    }
    return 1;
}

static _Noreturn void serve(int listener, const size_t *lengths, size_t n)
{
    const int loop = epoll_create1(EPOLL_CLOEXEC), one = 1;
    struct epoll_event e = {.events = EPOLLIN, .data = {.fd = listener}};
    size_t most = 1, served = 0;
    char *const in = malloc(BUFFER);

    for (size_t i = 0; i < n; i++)
        most = lengths[i] > most ? lengths[i] : most;
    char *const bytes = malloc(most);
    if (bytes)
        memset(bytes, 'x', most); /* pages of its own, as any answer has */
    if (loop < 0 || !in || !bytes || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &e))
        _exit(1);
    while (epoll_wait(loop, &e, 1, -1) >= 0) {
        const int fd = e.data.fd;

        if (fd == listener) {
            e.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            e.events = EPOLLIN;
            (void)setsockopt(e.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            if (e.data.fd < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, e.data.fd, &e))
                _exit(1);
        } else if (!read_request(fd, in) || !answer(fd, bytes, lengths[served++ % n])) {
            (void)close(fd);
        }
    }
    _exit(1);
}

pid_t floor_start(const size_t *lengths, size_t n, uint16_t *out_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, size) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&at, &size)) {
        perror("bench: floor");
        exit(1);
    }
    *out_port = ntohs(at.sin_port);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd, lengths, n);
    }
    (void)close(fd);
    return pid;
}
