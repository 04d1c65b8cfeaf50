/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

int load_connect(uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        give_up("cannot connect to the server");
    return fd;
}

static void send_all(int fd, struct str s)
{
    while (s.n > 0) {
        const ssize_t n = write(fd, s.p, s.n);

        if (n <= 0)
            give_up("the server does not read");
        s.p += n;
        s.n -= (size_t)n;
    }
}

/* Read into `b` until it holds at least `want` bytes. */
static void read_until(int fd, struct buf *b, size_t want)
{
    static char chunk[1 << 18];

    while (b->n < want) {
        const ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n <= 0)
            give_up("the server closed the connection");
        buf_add(b, chunk, (size_t)n);
        if (b->failed)
            give_up("out of memory");
    }
}

static size_t body_length(const char *head)
{
    const char *const at = strcasestr(head, "\r\ncontent-length:");

    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || !at)
        give_up("the server does not answer 200 with a Content-Length");
    return strtoul(at + 17, NULL, 10);
}

uint64_t load_call(int fd, struct str request, struct buf *reply)
{
    static struct buf in;
    const uint64_t start = clock_monotonic_ns();
    const char *end;

    in.n = 0;
    send_all(fd, request);
    do
        read_until(fd, &in, in.n + 1);
    while (!(end = memmem(in.p, in.n, "\r\n\r\n", 4)));
    const size_t head = (size_t)(end - in.p) + 4, body = body_length(in.p);
    read_until(fd, &in, head + body);
    const uint64_t took = clock_monotonic_ns() - start;
    if (in.n != head + body)
        give_up("the server sends more than its Content-Length");
    reply->n = 0;
    buf_add(reply, in.p + head, body);
    return took;
}

void load_request(struct buf *out, const char *verb, struct str body)
{
    out->n = 0;
    buf_printf(
        out,
        "POST /scheduler/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\n"
        "Content-Length: %zu\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: gzip\r\n\r\n",
        verb, body.n);
    buf_str(out, body);
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

uint64_t load_cpu_ns(pid_t pid)
{
    char path[64];
    uint64_t sum = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *const dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char file[512];
        unsigned long long ns = 0;

        (void)snprintf(file, sizeof(file), "%s/%s/schedstat", path, e->d_name);
        FILE *const f = e->d_name[0] == '.' ? NULL : fopen(file, "re");
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            (void)fclose(f);
    }
    if (dir)
        (void)closedir(dir);
    return sum;
}

uint64_t load_rss_kib(pid_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *const f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "VmRSS: %llu", &kib) == 1)
            break;
    }
    if (f)
        (void)fclose(f);
    return kib;
}
