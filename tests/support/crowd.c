/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/crowd.h"

#include "tests/support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint32_t crowd_room(uint32_t want, uint32_t others)
{
    const rlim_t need = (rlim_t)want + others;
    struct rlimit files;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < need) { /* root may */
        const struct rlimit more = {.rlim_cur = need, .rlim_max = need};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            files = more;
    }
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur >= need)
        return want;
    assert_true(files.rlim_cur > others);
    const uint32_t room = (uint32_t)files.rlim_cur - others;
    print_error("ONLY %u of %u connections: RLIMIT_NOFILE is %llu and cannot be raised\n", room,
                want, (unsigned long long)files.rlim_max);
    return room;
}

static int dial(const struct sockaddr_in *from, const struct sockaddr_in *to)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    assert_true(fd >= 0);
    /* the port is chosen with the destination in mind: many more connections fit */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    assert_int_equal(bind(fd, (const struct sockaddr *)from, sizeof(*from)), 0);
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

void crowd_open(struct crowd *out, uint32_t n, uint16_t port, const char *from)
{
    const struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {inet_addr(from)}};
    const struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    *out = (struct crowd){.members = calloc(n, sizeof(*out->members)), .n = n, .open = n};
    assert_non_null(out->members);
    for (uint32_t i = 0; i < n; i++)
        out->members[i].fd = dial(&here, &there);
}

void crowd_drip(struct crowd *c, const struct str *say, uint32_t n_say)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct crowd_member *const m = &c->members[i];
        const struct str s = say[i % n_say];

        if (m->fd >= 0 && m->sent < s.n &&
            send(m->fd, s.p + m->sent, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
            m->sent++;
    }
}

void crowd_say(struct crowd *c, struct str say)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->members[i].fd >= 0)
            (void)send(c->members[i].fd, say.p, say.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void part(struct crowd *c, struct crowd_member *m)
{
    (void)close(m->fd);
    m->fd = -1;
    c->open--;
}

static void look(struct crowd *c, struct crowd_member *m)
{
    char word[256] = "";
    const ssize_t n = recv(m->fd, word, sizeof(word) - 1, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
        return;
    if (n <= 0)
        c->ended++;
    else if (strncmp(word, "HTTP/1.1 408 ", 13) == 0)
        c->told_408++;
    else if (strncmp(word, "HTTP/1.1 503 ", 13) == 0)
        c->told_503++;
    else
        c->odd++;
    part(c, m);
}

void crowd_look(struct crowd *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->members[i].fd >= 0)
            look(c, &c->members[i]);
}

void crowd_close(struct crowd *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->members[i].fd >= 0)
            part(c, &c->members[i]);
    free(c->members);
    *c = (struct crowd){0};
}

uint64_t process_cpu_time_ns(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
