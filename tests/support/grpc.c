/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/grpc.h"

struct grpc_server {
    struct sockaddr_un at;
    int listener;
    pthread_t thread;
    const struct grpc_answer *answers;
    size_t n;
};

/* Types and flags of frames, RFC 9113 section 6. */
enum { DATA = 0, HEADERS = 1, SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4, ACK = 1 };
enum { FRAME_BYTES = 16384, PREFACE_BYTES = 24, WAIT_S = 60 };

static bool take(int fd, void *p, size_t n)
{
    char *at = p;

    while (n > 0) {
        const ssize_t got = recv(fd, at, n, 0);

        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool give(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        const ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool frame(int fd, int type, int flags, unsigned stream, const void *p, size_t n)
{
    const unsigned char head[9] = {(unsigned char)(n >> 16),
                                   (unsigned char)(n >> 8),
                                   (unsigned char)n,
                                   (unsigned char)type,
                                   (unsigned char)flags,
                                   0,
                                   0,
                                   0,
                                   (unsigned char)stream};

    return give(fd, head, sizeof(head)) && give(fd, p, n);
}

/* Read until the call's last frame is there: the end of its stream. */
static bool read_call(int fd)
{
    unsigned char head[9], skipped[FRAME_BYTES];
    char preface[PREFACE_BYTES];
    bool ended = false;

    if (!take(fd, preface, sizeof(preface)) ||
        memcmp(preface, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", sizeof(preface)) != 0)
        return false;
    while (!ended) {
        if (!take(fd, head, sizeof(head)))
            return false;
        const size_t n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (n > sizeof(skipped) || !take(fd, skipped, n))
            return false;
        ended = head[3] <= HEADERS && head[4] & END_STREAM;
    }
    return true;
}

/* A header that is not indexed, with its name (RFC 7541, 6.2.2); returns its bytes. */
static size_t literal(unsigned char *out, const char *name, const char *value)
{
    const size_t n = strlen(name), m = strlen(value);

    assert_true(n < 127 && m < 127);
    out[0] = 0;
    out[1] = (unsigned char)n;
    memcpy(out + 2, name, n);
    out[2 + n] = (unsigned char)m;
    memcpy(out + 3 + n, value, m);
    return 3 + n + m;
}

static bool give_body(int fd, const struct grpc_answer *a)
{
    static const char zeros[FRAME_BYTES];
    bool ok = a->n == 0 || frame(fd, DATA, 0, 1, a->body, a->n);

    for (size_t left = a->zeros; ok && left > 0;) {
        const size_t n = left < sizeof(zeros) ? left : sizeof(zeros);

        ok = frame(fd, DATA, 0, 1, zeros, n);
        left -= n;
    }
    return ok;
}

static void give_trailers(int fd, const struct grpc_answer *a)
{
    unsigned char block[512];
    size_t n = 0;

    if (!a->status) {
        (void)frame(fd, DATA, END_STREAM, 1, "", 0);
        return;
    }
    n += literal(block, "grpc-status", a->status);
    if (a->message)
        n += literal(block + n, "grpc-message", a->message);
    (void)frame(fd, HEADERS, END_HEADERS | END_STREAM, 1, block, n);
}

static void answer(int fd, const struct grpc_answer *a)
{
    static const unsigned char found[] = {0x88}, not_found[] = {0x8d}; /* of the static table */

    if (!frame(fd, SETTINGS, 0, 0, "", 0) || !read_call(fd) || a->silent)
        return;
    (void)frame(fd, SETTINGS, ACK, 0, "", 0);
    if (a->not_found) {
        (void)frame(fd, HEADERS, END_HEADERS | END_STREAM, 1, not_found, 1);
    } else if (frame(fd, HEADERS, END_HEADERS, 1, found, 1) && give_body(fd, a)) {
        give_trailers(fd, a);
    }
    /* The client closes when it has read; closing first could take from it what is on its way. */
    char rest[FRAME_BYTES];
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        continue;
}

static void *serve(void *ctx)
{
    struct grpc_server *const s = ctx;
    const struct timeval wait = {.tv_sec = WAIT_S};

    for (size_t i = 0; i < s->n; i++) {
        const int fd = accept(s->listener, NULL, NULL);

        if (fd < 0)
            break;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
        answer(fd, &s->answers[i]);
        (void)close(fd);
    }
    return NULL;
}

struct grpc_server *grpc_start(const char *socket_path, const struct grpc_answer *answers, size_t n)
{
    struct grpc_server *const s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->answers = answers;
    s->n = n;
    s->at.sun_family = AF_UNIX;
    assert_true(strlen(socket_path) < sizeof(s->at.sun_path));
    memcpy(s->at.sun_path, socket_path, strlen(socket_path));
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (const struct sockaddr *)&s->at, sizeof(s->at)), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

void grpc_stop(struct grpc_server *s)
{
    /* A call that never came is not waited for. */
    (void)shutdown(s->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)close(s->listener);
    (void)unlink(s->at.sun_path);
    free(s);
}
