/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/extender: what numawise costs kube-scheduler. Starts the real server on a made-up cluster,
 * sends filter and prioritize over one keep-alive connection as kube-scheduler does, while nodes
 * change; and measures in the same run a server that only reads and writes the same bytes.
 *
 *   warm  the same pod shapes come again and again
 *   cold  every pod is of a new shape
 *   floor the warm calls, against the server that does nothing
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/floor.h"
#include "bench/load.h"
#include "bench/synth.h"

enum { MAX_PAIRS = 2000000, START_S = 60 };

struct options {
    uint32_t nodes, zones, shapes, changes;
    double seconds;
    bool json;
};

/* filter, prioritize, and both together as one pod sees them. */
struct figures {
    struct load_times filter, prioritize, pair;
    uint64_t cpu_ns[3]; /* per call, of the server: filter, prioritize, pair */
};

static char scratch[] = "/tmp/numawise-bench-XXXXXX";
static pid_t server = -1, changer = -1, floor_server = -1;

static void stop(pid_t *pid)
{
    if (*pid > 0) {
        (void)kill(*pid, SIGTERM);
        (void)waitpid(*pid, NULL, 0);
    }
    *pid = -1;
}

static void clean_up(void)
{
    DIR *const dir = opendir(scratch);

    stop(&changer);
    stop(&server);
    if (floor_server > 0)
        (void)kill(floor_server, SIGKILL);
    stop(&floor_server);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        (void)unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        (void)closedir(dir);
    (void)rmdir(scratch);
}

static void on_signal(int signal)
{
    exit(128 + signal);
}

/* The program lies one folder above the bench's own. */
static void start_server(const struct options *o)
{
    char self[512] = "", program[540], addresses[64], out[64];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0 && strrchr(self, '/'))
        *strrchr(self, '/') = 0;
    (void)snprintf(program, sizeof(program), "%s/../numawise", self);
    (void)snprintf(addresses, sizeof(addresses), "%s/addresses", scratch);
    (void)snprintf(out, sizeof(out), "%s/log", scratch);
    fprintf(stderr, "bench: numawise serve with %u nodes of %u zones\n", o->nodes, o->zones);
    server = fork();
    if (server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen(out, "we", stdout) && dup2(fileno(stdout), STDERR_FILENO) >= 0)
            (void)execl(program, "numawise", "serve", "--cluster", scratch, "--listen",
                        "extender=127.0.0.1:0", "--listen", "operator=off", "--listen",
                        "console=off", "--addresses-file", addresses, (char *)NULL);
        _exit(127);
    }
}

static uint16_t server_port(void)
{
    char addresses[64], text[1024] = "";
    const struct timespec nap = {.tv_nsec = 5000000};

    (void)snprintf(addresses, sizeof(addresses), "%s/addresses", scratch);
    for (int i = 0; i < START_S * 200; i++) {
        FILE *const f = fopen(addresses, "re");
        const size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
        const char *const at = strstr(text, "\"extender\"");
        const char *const port = at ? strstr(at, "127.0.0.1:") : NULL;

        if (f)
            (void)fclose(f);
        if (n > 0 && port)
            return (uint16_t)strtoul(port + 10, NULL, 10);
        if (waitpid(server, NULL, WNOHANG) == server) {
            server = -1;
            break;
        }
        (void)nanosleep(&nap, NULL);
    }
    fprintf(stderr, "bench: the server did not come up\n");
    exit(1);
}

static void start_changer(const struct options *o)
{
    if (o->changes == 0)
        return;
    changer = fork();
    if (changer != 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGTERM, SIG_DFL);
    const struct timespec pause = {.tv_sec = o->changes == 1, .tv_nsec = 999999999 / o->changes};
    for (uint32_t i = 0;; i++) {
        synth_change(scratch, i * 7919 % o->nodes, o->zones, 1 + i / o->nodes);
        (void)nanosleep(&pause, NULL);
    }
}

/* The names that filter let through: kube-scheduler asks prioritize about them. */
static struct str survivors(const struct buf *reply)
{
    const char *const at = memmem(reply->p, reply->n, "\"NodeNames\":[", 13);
    const char *const end = at ? memchr(at, ']', reply->n - (size_t)(at - reply->p)) : NULL;

    if (!end) {
        fprintf(stderr, "bench: filter does not answer with NodeNames\n");
        exit(1);
    }
    return (struct str){at + 12, (size_t)(end - at) - 11};
}

static void body_of(struct buf *out, const struct buf *pod, struct str names)
{
    out->n = 0;
    buf_text(out, "{\"Pod\":");
    buf_str(out, buf_view(pod));
    buf_text(out, ",\"Nodes\":null,\"NodeNames\":");
    buf_str(out, names);
    buf_text(out, "}");
}

struct client {
    int fd;
    pid_t pid;
    struct buf names, pod, body, request, reply;
};

static uint64_t call(struct client *c, const char *verb, struct str names, uint64_t *cpu_ns)
{
    body_of(&c->body, &c->pod, names);
    load_request(&c->request, verb, buf_view(&c->body));
    const uint64_t before = cpu_ns ? load_cpu_ns(c->pid) : 0;
    const uint64_t took = load_call(c->fd, buf_view(&c->request), &c->reply);
    if (cpu_ns)
        *cpu_ns += load_cpu_ns(c->pid) - before;
    return took;
}

/* One pod: filter, then prioritize over what is left. Lengths of the replies for the floor. */
static void one_pod(struct client *c, uint64_t shape, struct figures *f, size_t *lengths)
{
    struct buf names = {0};
    uint64_t filter, prioritize = 0;

    c->pod.n = 0;
    synth_pod(&c->pod, shape);
    filter = call(c, "filter", buf_view(&c->names), f ? &f->cpu_ns[0] : NULL);
    buf_str(&names, survivors(&c->reply));
    if (lengths)
        lengths[0] = c->reply.n;
    prioritize = call(c, "prioritize", buf_view(&names), f ? &f->cpu_ns[1] : NULL);
    if (lengths)
        lengths[1] = c->reply.n;
    buf_free(&names);
    if (!f)
        return;
    load_add(&f->filter, filter);
    load_add(&f->prioritize, prioritize);
    load_add(&f->pair, filter + prioritize);
}

static void measure(struct client *c, const struct options *o, bool cold, struct figures *f,
                    const char *what)
{
    uint64_t shape = cold ? 1000003 : 0;

    fprintf(stderr, "bench: %s, %.1f s\n", what, o->seconds);
    for (uint32_t i = 0; !cold && i < o->shapes; i++)
        one_pod(c, i, NULL, NULL);
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(o->seconds * 1e9);
    for (uint64_t i = 0; clock_monotonic_ns() < end && i < MAX_PAIRS; i++)
        one_pod(c, cold ? shape++ : i % o->shapes, f, NULL);
    f->cpu_ns[2] = f->cpu_ns[0] + f->cpu_ns[1];
    for (int k = 0; k < 3 && f->pair.n; k++)
        f->cpu_ns[k] /= f->pair.n;
    load_sort(&f->filter);
    load_sort(&f->prioritize);
    load_sort(&f->pair);
}

/* The same requests and reply lengths as one round of shapes, from a server that does nothing. */
static void measure_floor(struct client *c, const struct options *o, struct figures *f)
{
    size_t *const lengths = calloc(2 * (size_t)o->shapes, sizeof(*lengths));
    struct buf *const requests = calloc(2 * (size_t)o->shapes, sizeof(*requests));
    uint16_t port;

    if (!lengths || !requests)
        exit(1);
    for (uint32_t s = 0; s < o->shapes; s++) {
        struct buf names = {0};

        c->pod.n = 0;
        synth_pod(&c->pod, s);
        (void)call(c, "filter", buf_view(&c->names), NULL);
        buf_str(&requests[2 * s], buf_view(&c->request));
        lengths[2 * s] = c->reply.n;
        buf_str(&names, survivors(&c->reply));
        (void)call(c, "prioritize", buf_view(&names), NULL);
        buf_str(&requests[2 * s + 1], buf_view(&c->request));
        lengths[2 * s + 1] = c->reply.n;
        buf_free(&names);
    }
    floor_server = floor_start(lengths, 2 * (size_t)o->shapes, &port);
    const int fd = load_connect(port);
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(o->seconds * 1e9);
    fprintf(stderr, "bench: floor, %.1f s\n", o->seconds);
    for (size_t i = 0; clock_monotonic_ns() < end && i < MAX_PAIRS; i++) {
        uint64_t ns[2];

        for (int k = 0; k < 2; k++) {
            const uint64_t before = load_cpu_ns(floor_server);

            ns[k] = load_call(fd, buf_view(&requests[2 * (i % o->shapes) + (size_t)k]), &c->reply);
            f->cpu_ns[k] += load_cpu_ns(floor_server) - before;
        }
        load_add(&f->filter, ns[0]);
        load_add(&f->prioritize, ns[1]);
        load_add(&f->pair, ns[0] + ns[1]);
    }
    f->cpu_ns[2] = f->cpu_ns[0] + f->cpu_ns[1];
    for (int k = 0; k < 3 && f->pair.n; k++)
        f->cpu_ns[k] /= f->pair.n;
    load_sort(&f->filter);
    load_sort(&f->prioritize);
    load_sort(&f->pair);
    (void)close(fd);
    for (size_t i = 0; i < 2 * (size_t)o->shapes; i++)
        buf_free(&requests[i]);
    free(requests);
    free(lengths);
}

static void print_json_times(const char *name, const struct load_times *t, uint64_t cpu_ns,
                             const char *after)
{
    printf("\"%s\": {\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
           "\"cpu_us\": %.1f}%s",
           name, load_us(t, 0.5), load_us(t, 0.9), load_us(t, 0.99), load_us(t, 0.999),
           (double)cpu_ns / 1000, after);
}

static void print_json(const struct options *o, const struct figures f[3], uint64_t rss_kib)
{
    static const char *const names[] = {"warm", "cold", "floor"};

    printf("{\"nodes\": %u, \"zones\": %u", o->nodes, o->zones);
    for (int i = 0; i < 3; i++) {
        printf(", \"%s\": {", names[i]);
        print_json_times("filter", &f[i].filter, f[i].cpu_ns[0], ", ");
        print_json_times("prioritize", &f[i].prioritize, f[i].cpu_ns[1], ", ");
        print_json_times("pair", &f[i].pair, f[i].cpu_ns[2], "}");
    }
    printf(", \"rss_kib\": %" PRIu64 "}\n", rss_kib);
}

static void print_row(const char *phase, const char *verb, const struct load_times *t,
                      uint64_t cpu_ns, double floor_p50)
{
    printf("%-6s %-11s %8zu %9.1f %9.1f %9.1f %9.1f %9.1f %8.1fx\n", phase, verb, t->n,
           load_us(t, 0.5), load_us(t, 0.9), load_us(t, 0.99), load_us(t, 0.999),
           (double)cpu_ns / 1000, floor_p50 > 0 ? load_us(t, 0.5) / floor_p50 : 0);
}

static void print_table(const struct options *o, const struct figures f[3], uint64_t rss_kib)
{
    static const char *const names[] = {"warm", "cold", "floor"};

    printf("%u nodes, %u zones, %u shapes, %u changes/s, %.1f s a phase; microseconds\n", o->nodes,
           o->zones, o->shapes, o->changes, o->seconds);
    printf("%-6s %-11s %8s %9s %9s %9s %9s %9s %9s\n", "", "", "calls", "p50", "p90", "p99",
           "p99.9", "cpu", "p50/floor");
    for (int i = 0; i < 3; i++) {
        print_row(names[i], "filter", &f[i].filter, f[i].cpu_ns[0], load_us(&f[2].filter, 0.5));
        print_row(names[i], "prioritize", &f[i].prioritize, f[i].cpu_ns[1],
                  load_us(&f[2].prioritize, 0.5));
        print_row(names[i], "pair", &f[i].pair, f[i].cpu_ns[2], load_us(&f[2].pair, 0.5));
    }
    printf("server RSS %" PRIu64 " KiB\n", rss_kib);
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
                                          {"zones", required_argument, NULL, 'z'},
                                          {"shapes", required_argument, NULL, 's'},
                                          {"changes-per-s", required_argument, NULL, 'c'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    struct options o = {.nodes = 500, .zones = 4, .shapes = 32, .changes = 100, .seconds = 5};

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'n')
            o.nodes = number("nodes", optarg, 2, 20000);
        else if (c == 'z')
            o.zones = number("zones", optarg, 1, 8);
        else if (c == 's')
            o.shapes = number("shapes", optarg, 1, 4096);
        else if (c == 'c')
            o.changes = number("changes-per-s", optarg, 0, 100000);
        else if (c == 't')
            o.seconds = number("seconds", optarg, 1, 3600);
        else if (c == 'j')
            o.json = true;
        else
            exit(2);
    }
    return o;
}

int main(int argc, char **argv)
{
    const struct options o = read_options(argc, argv);
    struct figures f[3] = {0};

    if (!mkdtemp(scratch)) {
        perror("bench: mkdtemp");
        return 1;
    }
    (void)atexit(clean_up);
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    synth_cluster(scratch, o.nodes, o.zones);
    start_server(&o);
    struct client c = {.fd = load_connect(server_port()), .pid = server};
    synth_names(&c.names, o.nodes);
    start_changer(&o);
    measure(&c, &o, false, &f[0], "warm: the same shapes again and again");
    measure(&c, &o, true, &f[1], "cold: every pod of a new shape");
    measure_floor(&c, &o, &f[2]);
    const uint64_t rss_kib = load_rss_kib(server);
    if (o.json)
        print_json(&o, f, rss_kib);
    else
        print_table(&o, f, rss_kib);
    return 0;
}
