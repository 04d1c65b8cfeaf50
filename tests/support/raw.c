/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/raw.h"

#include "tests/support/test.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/http.h"

uint64_t raw_open_connections(const struct http_server *s)
{
    struct http_stats stats;

    http_server_stats(s, &stats);
    return stats.open;
}

void raw_sleep_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

void raw_wait_until_open(const struct http_server *s, uint64_t n)
{
    for (unsigned ms = 0; ms < RAW_PATIENCE_MS && raw_open_connections(s) != n; ms += 2)
        raw_sleep_ms(2);
    assert_int_equal(raw_open_connections(s), n);
}

struct sockaddr_in raw_address_of(const struct http_server *s)
{
    const char *const port = strrchr(http_server_url(s), ':') + 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

int raw_new_socket(void)
{
    const struct timeval patience = {.tv_sec = RAW_PATIENCE_MS / 1000};
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int raw_try_connect(const struct http_server *s, int fd)
{
    const struct sockaddr_in at = raw_address_of(s);

    return connect(fd, (const struct sockaddr *)&at, sizeof(at));
}

int raw_dial(const struct http_server *s)
{
    const int fd = raw_new_socket();

    assert_int_equal(raw_try_connect(s, fd), 0);
    return fd;
}

void raw_push(int fd, const char *p, size_t n)
{
    while (n > 0) {
        const ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

void raw_say(int fd, const char *text)
{
    raw_push(fd, text, strlen(text));
}

struct raw_answer raw_read_head(int fd)
{
    struct raw_answer a = {0};
    size_t n = 0;

    while (n < sizeof(a.head) - 1 && (n < 4 || memcmp(a.head + n - 4, "\r\n\r\n", 4) != 0)) {
        const ssize_t got = recv(fd, a.head + n, 1, 0);
        if (got == 0 && n == 0)
            return a;
        if (got <= 0) {
            a.status = errno == EAGAIN ? -2 : -1;
            return a;
        }
        n++;
    }
    const char *const length = strstr(a.head, "\r\nContent-Length: ");
    a.status = atoi(a.head + strlen("HTTP/1.1 "));
    a.n = length ? strtoul(length + 18, NULL, 10) : 0;
    a.close = strstr(a.head, "\r\nConnection: close\r\n") != NULL;
    return a;
}

struct raw_answer raw_hear(int fd)
{
    struct raw_answer a = raw_read_head(fd);

    for (size_t n = 0; a.status > 0 && n < a.n && n < sizeof(a.body) - 1;) {
        const ssize_t got = recv(fd, a.body + n, a.n - n, 0);
        assert_true(got > 0);
        n += (size_t)got;
    }
    return a;
}

void raw_expect_closed(int fd)
{
    char c;

    assert_int_equal(recv(fd, &c, 1, 0), 0);
    close(fd);
}

void raw_reset(int fd)
{
    const struct linger now = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}
