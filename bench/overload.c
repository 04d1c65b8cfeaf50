/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/overload: what kube-scheduler notices while others misuse the extender's port. One client
 * asks as kube-scheduler does, a pod every few milliseconds over one connection, first alone and
 * then beside idle connections, slow clients and a flood; and a second one comes anew again and
 * again. When each attack ends: how long until the first client is served as before.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/attack.h"
#include "bench/client.h"
#include "bench/program.h"
#include "bench/scratch.h"
#include "bench/synth.h"

enum {
    SHAPES = 32,
    ZONES = 4,
    SETTLE_MS = 1500,
    KNOCK_EVERY = 20,     /* pods between two visits of the one that comes anew */
    KNOCK_WAIT_MS = 5000, /* kube-scheduler's default httpTimeout */
    WINDOW = 32,          /* pods whose p90 says that all is as before */
    RECOVERY_LIMIT_MS = 20000,
};

struct options {
    uint32_t nodes, pace_ms, idle, slow, flood;
    double seconds;
    bool json, same_address;
};

struct phase {
    const char *name;
    uint32_t clients;
    struct client_times times;
    struct load_times knocks; /* connect, ask, answer */
    uint32_t locked_out;      /* knocks without an answer */
    uint64_t open, opened, closed, answered, refused;
    double recovery_ms; /* -1: not within the limit */
};
enum { PHASES = 5 };

static struct program server = {.pid = -1};
static struct attack attack = {.pid = -1};

static void clean_up(void)
{
    attack_stop(&attack);
    program_stop(&server);
}

static void on_signal(int signal)
{
    exit(128 + signal);
}

static void pause_until(uint64_t ns)
{
    const struct timespec at = {.tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        continue;
}

/* One answer to GET /livez on a connection of its own; false when it does not come in time. */
static bool knock(uint16_t port, uint64_t *took_ns)
{
    static const char ask[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    const struct timeval wait = {.tv_sec = KNOCK_WAIT_MS / 1000};
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    const uint64_t start = clock_monotonic_ns();
    char answer[256] = "";

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const bool served = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
                        send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) == sizeof(ask) - 1 &&
                        recv(fd, answer, sizeof(answer) - 1, 0) > 0 &&
                        strncmp(answer, "HTTP/1.1 200", 12) == 0;
    *took_ns = clock_monotonic_ns() - start;
    (void)close(fd);
    return served;
}

static void measure(struct client *c, const struct options *o, struct phase *p)
{
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(o->seconds * 1e9);
    uint64_t due = clock_monotonic_ns();

    for (uint64_t i = 0; clock_monotonic_ns() < end; i++) {
        uint64_t ns;

        client_pair(c, i % SHAPES, &p->times, NULL);
        if (i % KNOCK_EVERY == 0) {
            if (knock(server.port, &ns))
                load_add(&p->knocks, ns);
            else
                p->locked_out++;
        }
        due += o->pace_ms * UINT64_C(1000000);
        if (due > clock_monotonic_ns())
            pause_until(due);
        else
            due = clock_monotonic_ns(); /* late: kube-scheduler does not hurry either */
    }
    client_times_done(&p->times);
    load_sort(&p->knocks);
}

/* From the attack's end to the end of the first window that is as when nobody attacked. */
static double recover(struct client *c, const struct options *o, double limit_us)
{
    const uint64_t start = clock_monotonic_ns();

    while (clock_monotonic_ns() - start < RECOVERY_LIMIT_MS * UINT64_C(1000000)) {
        const uint64_t window = clock_monotonic_ns();
        struct client_times t = {.cpu_ns = {0}};

        for (uint64_t i = 0; i < WINDOW; i++) {
            client_pair(c, i % SHAPES, &t, NULL);
            pause_until(clock_monotonic_ns() + o->pace_ms * UINT64_C(1000000));
        }
        client_times_done(&t);
        const double p90 = load_us(&t.of[CLIENT_PAIR], 0.9);
        for (int v = 0; v <= CLIENT_PAIR; v++)
            load_free(&t.of[v]);
        if (p90 <= limit_us)
            return (double)(window - start) / 1e6;
    }
    return -1;
}

static void beside(struct client *c, const struct options *o, enum attack_kind kind, struct str ask,
                   const struct phase *alone, struct phase *p)
{
    fprintf(stderr, "bench: beside %u %s, %.1f s\n", p->clients, p->name, o->seconds);
    attack_start(&attack, kind, p->clients, server.port,
                 o->same_address ? "127.0.0.1" : "127.0.0.2", ask);
    pause_until(clock_monotonic_ns() + SETTLE_MS * UINT64_C(1000000));
    measure(c, o, p);
    p->open = attack.counts->open;
    p->opened = attack.counts->opened;
    p->closed = attack.counts->closed;
    p->answered = attack.counts->answered;
    p->refused = attack.counts->refused;
    attack_stop(&attack);
    p->recovery_ms = recover(c, o, 2 * load_us(&alone->times.of[CLIENT_PAIR], 0.99));
}

static void print_table(const struct options *o, const struct phase *p)
{
    printf("a pod every %u ms over %u names, %.1f s each; microseconds unless said\n", o->pace_ms,
           o->nodes, o->seconds);
    printf("%-22s %6s %8s %8s %8s %7s %9s %9s %6s %8s %8s %9s\n", "", "pods", "p50", "p99", "max",
           "p99/al.", "new p50", "new max", "no ans", "closed", "answered", "recov. ms");
    for (int i = 0; i < PHASES; i++) {
        const struct load_times *const t = &p[i].times.of[CLIENT_PAIR];
        char name[40];

        if (i == 0)
            (void)snprintf(name, sizeof(name), "alone");
        else
            (void)snprintf(name, sizeof(name), "%u %s", p[i].clients, p[i].name);
        printf("%-22s %6zu %8.0f %8.0f %8.0f %7.2f %9.0f %9.0f %6u %8llu %8llu %9.0f\n", name, t->n,
               load_us(t, 0.5), load_us(t, 0.99), load_us(t, 1),
               load_us(t, 0.99) / load_us(&p[0].times.of[CLIENT_PAIR], 0.99),
               load_us(&p[i].knocks, 0.5), load_us(&p[i].knocks, 1), p[i].locked_out,
               (unsigned long long)p[i].closed, (unsigned long long)p[i].answered,
               p[i].recovery_ms);
    }
}

static void print_json(const struct options *o, const struct phase *p)
{
    printf("{\"nodes\": %u, \"pace_ms\": %u, \"seconds\": %.1f, \"phases\": [", o->nodes,
           o->pace_ms, o->seconds);
    for (int i = 0; i < PHASES; i++) {
        const struct load_times *const t = &p[i].times.of[CLIENT_PAIR];

        printf("%s{\"name\": \"%s\", \"clients\": %u, \"pods\": %zu, \"p50_us\": %.1f, "
               "\"p99_us\": %.1f, \"max_us\": %.1f, \"p99_to_alone\": %.3f, \"new_p50_us\": %.1f, "
               "\"new_max_us\": %.1f, \"locked_out\": %u, \"open\": %llu, \"opened\": %llu, "
               "\"closed\": %llu, \"answered\": %llu, \"refused\": %llu, \"recovery_ms\": %.0f}",
               i ? ", " : "", p[i].name, p[i].clients, t->n, load_us(t, 0.5), load_us(t, 0.99),
               load_us(t, 1), load_us(t, 0.99) / load_us(&p[0].times.of[CLIENT_PAIR], 0.99),
               load_us(&p[i].knocks, 0.5), load_us(&p[i].knocks, 1), p[i].locked_out,
               (unsigned long long)p[i].open, (unsigned long long)p[i].opened,
               (unsigned long long)p[i].closed, (unsigned long long)p[i].answered,
               (unsigned long long)p[i].refused, p[i].recovery_ms);
    }
    printf("]}\n");
}

static uint32_t number(const char *option, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    const unsigned long v = strtoul(text, &end, 10);

    if (*end || end == text || v < least || v > most) {
        fprintf(stderr, "bench: --%s takes %u to %u\n", option, least, most);
        exit(2);
    }
    return (uint32_t)v;
}

static struct options read_options(int argc, char **argv)
{
    static const struct option longs[] = {{"nodes", required_argument, NULL, 'n'},
                                          {"pace-ms", required_argument, NULL, 'p'},
                                          {"idle", required_argument, NULL, 'i'},
                                          {"slow", required_argument, NULL, 'l'},
                                          {"flood", required_argument, NULL, 'f'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"same-address", no_argument, NULL, 'a'},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    struct options o = {
        .nodes = 500, .pace_ms = 10, .idle = 10000, .slow = 2000, .flood = 256, .seconds = 5};

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'n')
            o.nodes = number("nodes", optarg, 2, 20000);
        else if (c == 'p')
            o.pace_ms = number("pace-ms", optarg, 1, 1000);
        else if (c == 'i')
            o.idle = number("idle", optarg, 1, 19000);
        else if (c == 'l')
            o.slow = number("slow", optarg, 1, 19000);
        else if (c == 'f')
            o.flood = number("flood", optarg, 1, 1000);
        else if (c == 't')
            o.seconds = number("seconds", optarg, 1, 3600);
        else if (c == 'a')
            o.same_address = true;
        else if (c == 'j')
            o.json = true;
        else
            exit(2);
    }
    return o;
}

static void whole_request(struct buf *out, const struct client *c)
{
    struct buf body = {0}, pod = {0};

    synth_pod(&pod, 0);
    buf_text(&body, "{\"Pod\":");
    buf_str(&body, buf_view(&pod));
    buf_text(&body, ",\"Nodes\":null,\"NodeNames\":");
    buf_str(&body, buf_view(&c->list));
    buf_text(&body, "}");
    buf_printf(out, "POST /scheduler/filter HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
               body.n);
    buf_str(out, buf_view(&body));
    buf_free(&pod);
    buf_free(&body);
}

int main(int argc, char **argv)
{
    const struct options o = read_options(argc, argv);
    struct phase p[PHASES] = {{.name = "alone"},
                              {.name = "idle", .clients = o.idle},
                              {.name = "slow", .clients = o.slow},
                              {.name = "that flood", .clients = o.flood},
                              {.name = "that flood, over cap", .clients = 8 * o.flood}};
    struct client c = {.pid = 0};
    struct buf ask = {0};

    scratch_make();
    (void)atexit(clean_up);
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    synth_cluster(scratch_cluster(), o.nodes, ZONES, SYNTH_JSON);
    program_start(&server, scratch_cluster(), scratch_path());
    /* two cores for server, attackers and client: the client must not wait for its turn */
    (void)setpriority(PRIO_PROCESS, 0, -10);
    synth_names(&c.list, o.nodes);
    whole_request(&ask, &c);
    load_open(&c.load, server.port);
    for (uint64_t i = 0; i < SHAPES; i++)
        client_pair(&c, i, NULL, NULL);
    fprintf(stderr, "bench: alone, %.1f s\n", o.seconds);
    measure(&c, &o, &p[0]);
    beside(&c, &o, ATTACK_IDLE, buf_view(&ask), &p[0], &p[1]);
    beside(&c, &o, ATTACK_SLOW, buf_view(&ask), &p[0], &p[2]);
    beside(&c, &o, ATTACK_FLOOD, buf_view(&ask), &p[0], &p[3]);
    beside(&c, &o, ATTACK_FLOOD, buf_view(&ask), &p[0], &p[4]);
    (o.json ? print_json : print_table)(&o, p);
    return 0;
}
