/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/soak: does the program grow? For two minutes the real server gets, again and again, one
 * round of everything: nodes that change, go and come back; bound pods that come and go; policies;
 * pods of shapes old and new; names it does not know; whole nodes; bodies that are no JSON; calls
 * of the console; connections that are used, left idle, cut in the middle. After each round, when
 * all connections are closed and the directory is as at its beginning, descriptors, threads and
 * memory are looked at.
 *
 * The first half does not count: until the memory for decisions and answers has reached its bounds
 * it grows, as it should. In the other half descriptors and threads must be the same each time, and
 * memory must not grow by its slope (tests/support/trend.h): what is allocated not by HEAP_KIB: it
 * moves by 200 with the loads of the nodes, while a loss of 32 bytes a call, the least that malloc
 * gives out, adds up to 2 MiB; what is resident not by RESIDENT_KIB, a tenth of it. That is more
 * because the holes of a heap come and go: in 1,200 rounds with the same bytes allocated it moved
 * by 800 KiB, up in one hundred rounds and down in the next. Left to itself glibc also keeps what
 * was freed; so the server is told to use one arena and to give back at once what it can.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "bench/client.h"
#include "bench/program.h"
#include "bench/scratch.h"
#include "bench/synth.h"
#include "tests/support/trend.h"

enum {
    NODES = 200,
    ZONES = 4,
    CHANGES = 40,  /* nodes a round */
    LEAVERS = 4,   /* of them, nodes that go and come back */
    BOUND = 20,    /* pods a round */
    PAIRS = 150,   /* filter and prioritize, two thirds of them of new shapes */
    VISITORS = 60, /* connections a round */
    WHOLE = 40,    /* nodes in a body of whole nodes */
    STRANGERS = 3000,
    LOADS = 2, /* of a node in turns, five rounds each */
    LEAST_WARM_UP = 80,
    LEAST_ROUNDS = 40, /* all loads four times */
    MOST_ROUNDS = 2000,
    QUIET_MS = 10000,
    LOOKS = 5,
    LOOK_MS = 50,
    HEAP_KIB = 512,
    RESIDENT_KIB = 2048,
};

struct sample {
    double heap_kib, rss_kib;
    unsigned descriptors, threads;
};

static struct program server = {.pid = -1};
static struct sample samples[MOST_ROUNDS];
static uint64_t calls, shape = 1000003;

static void clean_up(void)
{
    program_stop(&server);
}

static void on_signal(int signal)
{
    exit(128 + signal);
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "soak: %s\n", what);
    exit(1);
}

static void nap_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

/* ---- a round ---- */

static void write_text(const char *name, const struct buf *b)
{
    char from[540], to[540];

    (void)snprintf(from, sizeof(from), "%s/.new", scratch_cluster());
    (void)snprintf(to, sizeof(to), "%s/%s", scratch_cluster(), name);
    FILE *const f = fopen(from, "we");
    if (b->failed || !f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) || rename(from, to))
        give_up("cannot write into the cluster's directory");
}

static void remove_text(const char *name)
{
    char path[540];

    (void)snprintf(path, sizeof(path), "%s/%s", scratch_cluster(), name);
    (void)unlink(path);
}

static void change_nodes(uint32_t round)
{
    for (uint32_t i = 0; i < CHANGES; i++)
        synth_change(scratch_cluster(), (round * CHANGES + i) % NODES, ZONES, round / 5 % LOADS);
}

/* Away for as long as the pods are asked about. */
static void leave_nodes(uint32_t round, bool back)
{
    for (uint32_t k = 0; k < LEAVERS; k++) {
        const uint32_t i = (round * 7 + k * 31) % NODES;
        char name[64];

        (void)snprintf(name, sizeof(name), "node-%05u.json", i);
        if (back)
            synth_change(scratch_cluster(), i, ZONES, round / 5 % LOADS);
        else
            remove_text(name);
    }
}

/*
 * Each round's pods are of a size of their own: nodes are in more ways unlike than are remembered,
 * from the first rounds on. Else each new way makes the memory for a shape's answers a little
 * larger for minutes, and the heap has holes where smaller ones were.
 */
static void bind_pods(uint32_t round, bool away)
{
    for (uint32_t k = 0; k < BOUND; k++) {
        struct buf b = {0};
        char name[64];

        (void)snprintf(name, sizeof(name), "pod-%u.json", k);
        if (away) {
            remove_text(name);
            continue;
        }
        buf_printf(&b,
                   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"bound-%u\","
                   "\"namespace\":\"bench\",\"uid\":\"00000000-0000-4000-b000-%012u\"},\"spec\":{"
                   "\"nodeName\":\"node-%05u\",\"containers\":[{\"name\":\"main\",\"resources\":{"
                   "\"limits\":{\"cpu\":\"%u\",\"memory\":\"%uMi\"},\"requests\":{\"cpu\":\"%u\","
                   "\"memory\":\"%uMi\"}}}]},\"status\":{\"phase\":\"Pending\"}}",
                   k, k, (round * 13 + k * 3) % NODES, 1 + k % 8, 1024 + round, 1 + k % 8,
                   1024 + round);
        write_text(name, &b);
        buf_free(&b);
    }
}

static void change_policy(uint32_t round)
{
    struct buf b = {0};

    buf_printf(&b,
               "apiVersion: orchestration.gokore.io/v1beta1\nkind: ConcurrencyPolicy\nmetadata:\n"
               "  name: soak\nspec:\n  weights: {locality: %u, devices: %u}\n",
               20 + round % 8, 30 - round % 8);
    write_text("policy.yaml", &b);
    buf_free(&b);
}

static void ask_about_pods(struct client *c)
{
    for (uint32_t i = 0; i < PAIRS; i++) {
        client_pair(c, i % 3 ? shape++ : i / 3 % 32, NULL, NULL);
        calls += 2;
    }
}

static void ask_about(struct client *like, struct buf *list, bool whole)
{
    struct client c = {.load = like->load, .by_nodes = whole, .list = *list};

    client_pair(&c, 1, NULL, NULL);
    like->load = c.load; /* its memory for answers may have grown */
    buf_free(&c.pod);
    calls += 2;
}

static void strange_names(struct buf *out, uint32_t round)
{
    buf_text(out, "[");
    for (uint32_t i = 0; i < STRANGERS; i++)
        buf_printf(out, "%s\"stranger-%06u-%06u\"", i ? "," : "", round, i);
    buf_text(out, "]");
}

/* ---- visitors: a connection each ---- */

static int dial(uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = 20};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)))
        give_up("cannot connect");
    return fd;
}

/* Says `text`, and reads until the answer has begun; its status, 0 where none is waited for. */
static int visit(int fd, const char *text, bool wait)
{
    char answer[64] = "";

    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        give_up("a visitor is not heard");
    if (!wait)
        return 0;
    calls++;
    if (recv(fd, answer, 13, MSG_WAITALL) != 13)
        give_up("a visitor gets no answer");
    return atoi(answer + sizeof("HTTP/1.1"));
}

static void visitors(void)
{
    static const struct {
        bool console;
        const char *text;
        int status; /* 0 = the visitor leaves in the middle */
    } kinds[] = {
        {false, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200},
        {false, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404},
        {false, "POST /scheduler/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{x}", 400},
        {false, "NOT HTTP AT ALL\r\n\r\n", 400},
        {false, "POST /scheduler/filter HTTP/1.1\r\nHost: x\r\nContent-Le", 0},
        {false, "POST /scheduler/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n{", 0},
        {true, "GET /v1/decisions HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        {true, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        {true, "GET /v1/decisions?pod=bench/p-1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        {true, "", 0},
    };
    int fds[VISITORS];

    for (int i = 0; i < VISITORS; i++)
        fds[i] = dial(kinds[(size_t)i % ARRAY_LEN(kinds)].console ? server.console : server.port);
    for (int i = 0; i < VISITORS; i++) {
        const size_t k = (size_t)i % ARRAY_LEN(kinds);
        const int status = visit(fds[i], kinds[k].text, kinds[k].status > 0);

        if (status != kinds[k].status) {
            fprintf(stderr, "soak: %d instead of %d for %s\n", status, kinds[k].status,
                    kinds[k].text);
            exit(1);
        }
    }
    for (int i = 0; i < VISITORS; i++)
        (void)close(fds[i]);
}

/* ---- what is left of it ---- */

static unsigned entries(const char *of)
{
    char path[64];
    unsigned n = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)server.pid, of);
    DIR *const dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return n;
}

/* What the console says is allocated. */
static double heap_kib(void)
{
    static char page[128 * 1024];
    size_t n = 0;
    const int fd = dial(server.console);

    (void)visit(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false);
    for (ssize_t got; (got = recv(fd, page + n, sizeof(page) - 1 - n, 0)) > 0;)
        n += (size_t)got;
    (void)close(fd);
    page[n] = 0;
    const char *const at = strstr(page, "\nnumawise_heap_in_use_bytes ");
    if (!at)
        give_up("the console does not say what is allocated");
    return strtod(strchr(at, ' '), NULL) / 1024;
}

/*
 * When the server has closed what its clients have closed: the least of a few looks, for the last
 * changes of the directory may still be read.
 */
static struct sample look(unsigned descriptors)
{
    struct sample least = {0};

    for (int i = 0; i < LOOKS; i++) {
        nap_ms(LOOK_MS);
        const double heap = heap_kib();
        for (int ms = 0; ms < QUIET_MS && entries("fd") > descriptors; ms += 10)
            nap_ms(10);
        const struct sample s = {heap, (double)process_kib(server.pid, "VmRSS"), entries("fd"),
                                 entries("task")};
        if (i == 0 || s.heap_kib < least.heap_kib)
            least.heap_kib = s.heap_kib;
        if (i == 0 || s.rss_kib < least.rss_kib)
            least.rss_kib = s.rss_kib;
        if (i == 0 || s.descriptors < least.descriptors)
            least.descriptors = s.descriptors;
        least.threads = s.threads;
    }
    return least;
}

static struct sample one_round(struct client *c, struct buf *names, struct buf *whole,
                               uint32_t round, unsigned descriptors)
{
    struct buf strangers = {0};

    load_open(&c->load, server.port);
    change_policy(round);
    change_nodes(round);
    leave_nodes(round, false);
    bind_pods(round, false);
    ask_about_pods(c);
    visitors();
    strange_names(&strangers, round);
    ask_about(c, &strangers, false);
    ask_about(c, whole, true);
    bind_pods(round, true);
    leave_nodes(round, true);
    ask_about(c, names, false);
    load_close(&c->load);
    buf_free(&strangers);
    return look(descriptors);
}

static void verdict(const char *what, bool fine, int *failed)
{
    printf("%s  %s\n", fine ? "ok  " : "FAIL", what);
    *failed += !fine;
}

static void judge_memory(const char *what, const double *kib, uint32_t n, int most, int *failed)
{
    const double growth = n >= LEAST_ROUNDS ? trend_slope(kib, n) * (n - 1) : 0;
    char text[200];

    printf("KiB %s after each round that counts:", what);
    for (uint32_t i = 0; i < n; i += n / 10 ? n / 10 : 1)
        printf(" %.0f", kib[i]);
    printf(" ... %.0f\n", kib[n - 1]);
    (void)snprintf(text, sizeof(text), "%s memory grows by %.0f KiB by its slope, at most %d", what,
                   growth, most);
    verdict(text, growth <= most, failed);
}

static int judge(uint32_t rounds, uint32_t warm_up, double seconds, bool ended)
{
    const struct sample *const s = samples + warm_up;
    const uint32_t n = rounds - warm_up;
    static double heap[MOST_ROUNDS], rss[MOST_ROUNDS];
    bool descriptors = true, threads = true;
    char text[200];
    int failed = 0;

    for (uint32_t i = 0; i < n; i++) {
        heap[i] = s[i].heap_kib;
        rss[i] = s[i].rss_kib;
        descriptors = descriptors && s[i].descriptors == s[0].descriptors;
        threads = threads && s[i].threads == s[0].threads;
    }
    printf("%u rounds in %.0f s, the last %u count; %llu calls, %u node changes, %u connections\n",
           rounds, seconds, n, (unsigned long long)calls, rounds * (CHANGES + 2 * LEAVERS),
           rounds * (VISITORS + 1));
    (void)snprintf(text, sizeof(text), "at least %d rounds count", LEAST_ROUNDS);
    verdict(text, n >= LEAST_ROUNDS, &failed);
    judge_memory("allocated", heap, n, HEAP_KIB, &failed);
    judge_memory("resident", rss, n, RESIDENT_KIB, &failed);
    (void)snprintf(text, sizeof(text), "%u descriptors after each round", s[0].descriptors);
    verdict(text, descriptors, &failed);
    (void)snprintf(text, sizeof(text), "%u threads after each round", s[0].threads);
    verdict(text, threads, &failed);
    verdict("SIGTERM ends it with 0", ended, &failed);
    printf("%d passed, %d failed\n", 6 - failed, failed);
    return failed ? 1 : 0;
}

static bool end_server(void)
{
    int status = -1;

    (void)kill(server.pid, SIGTERM);
    (void)waitpid(server.pid, &status, 0);
    server.pid = -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* An allocator that gives back, and a ring that a few rounds fill. The memory for answers holds
   1,700 shapes of 200 nodes. */
static void set_bounds(void)
{
    (void)setenv("GLIBC_TUNABLES",
                 "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=65536:"
                 "glibc.malloc.trim_threshold=65536:glibc.malloc.top_pad=0",
                 1);
    (void)setenv("NUMAWISE_DECISIONS_MAXBYTES", "1Mi", 1);
}

static double read_seconds(int argc, char **argv)
{
    static const struct option longs[] = {{"seconds", required_argument, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    double seconds = 120;
    char *end = NULL;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        seconds = c == 't' ? strtod(optarg, &end) : 0;
        if ((end && *end) || !(seconds >= 1 && seconds <= 86400)) {
            fprintf(stderr, "soak: --seconds takes 1 to 86400\n");
            exit(2);
        }
    }
    return seconds;
}

int main(int argc, char **argv)
{
    const double seconds = read_seconds(argc, argv);
    struct buf names = {0}, whole = {0};
    struct client c = {.pid = 0};
    uint32_t rounds = 0, warm_up = 0;

    scratch_make();
    (void)atexit(clean_up);
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    synth_cluster(scratch_cluster(), NODES, ZONES, SYNTH_JSON);
    set_bounds();
    program_start(&server, scratch_cluster(), scratch_path());
    synth_names(&names, NODES);
    synth_nodes(&whole, WHOLE);
    c.list = names;
    const unsigned descriptors = entries("fd");
    const uint64_t start = clock_monotonic_ns();
    while (rounds < MOST_ROUNDS) {
        const double at = (double)(clock_monotonic_ns() - start) / 1e9;

        if (at >= seconds && rounds >= warm_up + LEAST_ROUNDS)
            break;
        samples[rounds] = one_round(&c, &names, &whole, rounds, descriptors);
        rounds++;
        if (at < seconds / 2 || rounds <= LEAST_WARM_UP)
            warm_up = rounds;
    }
    const double took = (double)(clock_monotonic_ns() - start) / 1e9;
    return judge(rounds, warm_up, took, end_server());
}
