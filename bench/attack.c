/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { TURN_MS = 20, DRIP_MS = 100, REOPEN_PER_S = 2000, EVENTS = 256, HEAD_BYTES = 512 };

/* One connection; fd -1 = to be opened. */
struct slot {
    int fd;
    size_t sent; /* bytes of what it has to say */
    char head[HEAD_BYTES];
    size_t head_n, left; /* of the answer: its head so far, then bytes of body to come */
};

struct attacker {
    enum attack_kind kind;
    uint32_t n, next;
    struct slot *slots;
    struct sockaddr_in to, from;
    struct str request;
    struct attack_counts *counts;
    int epoll;
};

static void close_slot(struct attacker *a, struct slot *s)
{
    close(s->fd);
    *s = (struct slot){.fd = -1};
    a->counts->open--;
    a->counts->closed++;
}

static int dial(const struct attacker *a)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0)
        return -1;
    /* the port is chosen with the destination in mind: far more than 28,000 connections fit */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&a->from, sizeof(a->from)) == 0 &&
        (connect(fd, (const struct sockaddr *)&a->to, sizeof(a->to)) == 0 || errno == EINPROGRESS))
        return fd;
    close(fd);
    return -1;
}

static bool open_slot(struct attacker *a, uint32_t i)
{
    const bool reads = a->kind != ATTACK_SLOW || i % 3 != 2;
    struct epoll_event e = {.events = (reads ? EPOLLIN : 0) | EPOLLRDHUP, .data.u32 = i};

    a->slots[i] = (struct slot){.fd = dial(a)};
    if (a->slots[i].fd < 0)
        return false;
    if (a->kind == ATTACK_FLOOD)
        e.events |= EPOLLOUT;
    epoll_ctl(a->epoll, EPOLL_CTL_ADD, a->slots[i].fd, &e);
    a->counts->open++;
    a->counts->opened++;
    return true;
}

static void open_some(struct attacker *a, uint32_t most)
{
    for (uint32_t looked = 0; looked < a->n && most > 0; looked++) {
        const uint32_t i = a->next++ % a->n;

        if (a->slots[i].fd >= 0)
            continue;
        if (!open_slot(a, i))
            return;
        most--;
    }
}

/* One step of a slow client: a byte of a head, a byte of a body, or requests without reading. */
static void drip(const struct attacker *a, uint32_t i)
{
    static const char head[] =
        "POST /scheduler/filter HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const char body[] = "POST /scheduler/filter HTTP/1.1\r\nHost: x\r\n"
                               "Content-Length: 1000\r\n\r\n";
    struct slot *const s = &a->slots[i];
    struct str say = {"a", 1};

    if (i % 3 == 2)
        say = (struct str){a->request.p + s->sent, a->request.n - s->sent};
    else if (i % 3 == 1 && s->sent == 0)
        say = STR(body);
    else if (i % 3 == 0 && s->sent < sizeof(head) - 1)
        say.p = head + s->sent;
    const ssize_t n = send(s->fd, say.p, say.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        s->sent = i % 3 == 2 ? (s->sent + (size_t)n) % a->request.n : s->sent + (size_t)n;
}

static void ask(const struct attacker *a, uint32_t i)
{
    struct slot *const s = &a->slots[i];
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = i};

    const ssize_t n =
        send(s->fd, a->request.p + s->sent, a->request.n - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        s->sent += (size_t)n;
    if (s->sent < a->request.n)
        e.events |= EPOLLOUT;
    epoll_ctl(a->epoll, EPOLL_CTL_MOD, s->fd, &e);
}

/* Bytes of an answer; true when it is whole. */
static bool hear(struct slot *s, const char *p, size_t n)
{
    if (s->left == 0) {
        const size_t take = n < HEAD_BYTES - 1 - s->head_n ? n : HEAD_BYTES - 1 - s->head_n;
        memcpy(s->head + s->head_n, p, take);
        const size_t before = s->head_n;
        s->head_n += take;
        s->head[s->head_n] = '\0';
        const char *const end = strstr(s->head, "\r\n\r\n");
        const char *const length = strcasestr(s->head, "\r\nContent-Length:");
        if (!end || !length)
            return false;
        const size_t used = (size_t)(end - s->head) + 4 - before;
        s->left = strtoul(length + 17, NULL, 10);
        p += used;
        n -= used;
        if (s->left == 0)
            return true;
    }
    s->left -= n < s->left ? n : s->left;
    return s->left == 0;
}

static void read_slot(struct attacker *a, uint32_t i)
{
    static char waste[1 << 16];
    struct slot *const s = &a->slots[i];
    const ssize_t n = recv(s->fd, waste, sizeof(waste), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_slot(a, s);
        return;
    }
    if (a->kind != ATTACK_FLOOD || !hear(s, waste, (size_t)n))
        return;
    if (strncmp(s->head, "HTTP/1.1 200", 12) == 0)
        a->counts->answered++;
    else
        a->counts->refused++;
    s->head_n = s->sent = 0;
    ask(a, i);
}

static void on_event(struct attacker *a, const struct epoll_event *e)
{
    struct slot *const s = &a->slots[e->data.u32];

    if (s->fd < 0)
        return;
    if (e->events & EPOLLOUT)
        ask(a, e->data.u32);
    if (e->events & EPOLLIN)
        read_slot(a, e->data.u32);
    else if (e->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        close_slot(a, s);
}

static _Noreturn void run(struct attacker *a)
{
    uint64_t turn_ns = clock_monotonic_ns(), drip_ns = turn_ns;
    struct epoll_event events[EVENTS];

    open_some(a, a->n);
    for (;;) {
        const int n = epoll_wait(a->epoll, events, EVENTS, TURN_MS);
        const uint64_t now = clock_monotonic_ns();

        for (int i = 0; i < n; i++)
            on_event(a, &events[i]);
        if (now - turn_ns >= TURN_MS * UINT64_C(1000000)) {
            turn_ns = now;
            open_some(a, REOPEN_PER_S * TURN_MS / 1000);
        }
        if (a->kind != ATTACK_SLOW || now - drip_ns < DRIP_MS * UINT64_C(1000000))
            continue;
        drip_ns = now;
        for (uint32_t i = 0; i < a->n; i++) {
            if (a->slots[i].fd >= 0)
                drip(a, i);
        }
    }
}

static _Noreturn void attack(struct attacker *a)
{
    struct rlimit files;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)nice(5); /* the machine's own scheduler is not what is measured */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    a->slots = calloc(a->n, sizeof(*a->slots));
    a->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!a->slots || a->epoll < 0)
        _exit(1);
    for (uint32_t i = 0; i < a->n; i++)
        a->slots[i].fd = -1;
    run(a);
}

void attack_start(struct attack *out, enum attack_kind kind, uint32_t n, uint16_t port,
                  const char *from, struct str request)
{
    struct attacker a = {.kind = kind, .n = n, .request = request};

    a.to = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    a.from = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {.s_addr = inet_addr(from)}};
    a.counts =
        mmap(NULL, sizeof(*a.counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (a.counts == MAP_FAILED) {
        perror("bench: mmap");
        exit(1);
    }
    *out = (struct attack){.pid = fork(), .counts = a.counts};
    if (out->pid == 0)
        attack(&a);
}

void attack_stop(struct attack *a)
{
    if (a->pid > 0) {
        (void)kill(a->pid, SIGKILL);
        (void)waitpid(a->pid, NULL, 0);
    }
    a->pid = -1;
}
