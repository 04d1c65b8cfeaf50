/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/extender: what numawise costs kube-scheduler. Starts the real server on a made-up cluster,
 * sends filter and prioritize over one keep-alive connection as kube-scheduler does, while nodes
 * change; and measures in the same run a server that only reads and writes the same bytes.
 *
 *   warm  the same pod shapes come again and again
 *   cold  every pod is of a new shape; with --unlike no two nodes are alike, either (synth.h)
 *   swap  the warm calls, while a hundred nodes at once change every second
 *   floor the warm calls, against the server that does nothing
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "bench/floor.h"
#include "bench/print.h"
#include "bench/program.h"
#include "bench/scratch.h"
#include "bench/synth.h"

enum { MAX_PAIRS = 2000000, LEAST_SWAP_S = 3, QUIET_MS = 400 };

enum { RUN_WARM = 1, RUN_COLD = 2, RUN_SWAP = 4, RUN_FLOOR = 8, RUN_ALL = 15 };

struct options {
    uint32_t nodes, zones, shapes, changes;
    unsigned run; /* RUN_... */
    double seconds;
    bool json, by_nodes;
};

static struct program server = {.pid = -1};
static pid_t changer = -1, floor_server = -1;

static void stop(pid_t *pid, int signal)
{
    if (*pid > 0) {
        (void)kill(*pid, signal);
        (void)waitpid(*pid, NULL, 0);
    }
    *pid = -1;
}

static void clean_up(void)
{
    stop(&changer, SIGKILL);
    stop(&floor_server, SIGKILL);
    program_stop(&server);
}

static void on_signal(int signal)
{
    exit(128 + signal);
}

static void start_changer(const struct options *o)
{
    if (o->changes == 0)
        return;
    changer = fork();
    if (changer != 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    synth_stand_aside();
    const struct timespec pause = {.tv_sec = o->changes == 1, .tv_nsec = 999999999 / o->changes};
    for (uint32_t i = 0;; i++) {
        synth_change(scratch_cluster(), (uint32_t)(i * UINT64_C(7919) % o->nodes), o->zones,
                     1 + i / o->nodes);
        (void)nanosleep(&pause, NULL);
    }
}

static void measure(struct client *c, const struct options *o, bool cold, struct client_times *f,
                    struct client_sizes *sizes)
{
    uint64_t shape = cold ? 1000003 : 0;

    fprintf(stderr, "bench: %s, %.1f s\n",
            cold ? "cold: every pod of a new shape" : "warm: the same shapes again and again",
            o->seconds);
    for (uint32_t i = 0; !cold && i < o->shapes; i++)
        client_pair(c, i, NULL, &sizes[(size_t)CLIENT_VERBS * i]);
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(o->seconds * 1e9);
    for (uint64_t i = 0; clock_monotonic_ns() < end && i < MAX_PAIRS; i++)
        client_pair(c, cold ? shape++ : i % o->shapes, f, NULL);
    client_times_done(f);
}

/* The requests and reply lengths of one round of shapes, from a server that does nothing. */
static void measure_floor(struct client *like, const struct options *o, struct client_times *f,
                          const struct client_sizes *sizes)
{
    const size_t n = (size_t)CLIENT_VERBS * o->shapes;
    size_t *const lengths = calloc(n, sizeof(*lengths));
    struct client c = {.by_nodes = o->by_nodes, .list = like->list};
    uint16_t port;

    for (size_t i = 0; lengths && i < n; i++)
        lengths[i] = sizes[i].reply;
    if (!lengths)
        exit(1);
    floor_server = floor_start(lengths, n, &port);
    c.pid = floor_server;
    load_open(&c.load, port);
    fprintf(stderr, "bench: floor, %.1f s\n", o->seconds);
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(o->seconds * 1e9);
    for (uint64_t i = 0; clock_monotonic_ns() < end && i < MAX_PAIRS; i++)
        client_floor_pair(&c, i % o->shapes, &sizes[CLIENT_VERBS * (i % o->shapes)], f);
    client_times_done(f);
    load_close(&c.load);
    buf_free(&c.pod);
    free(lengths);
}

static void measure_swap(struct client *c, const struct options *o, struct swap_figures *f)
{
    const struct timespec quiet = {.tv_nsec = QUIET_MS * 1000000L};
    const struct swap_options options = {
        .dir = scratch_cluster(),
        .nodes = o->nodes,
        .zones = o->zones,
        .shapes = o->shapes,
        .seconds = o->seconds < LEAST_SWAP_S ? LEAST_SWAP_S : o->seconds,
    };

    stop(&changer, SIGKILL);
    (void)nanosleep(&quiet, NULL); /* the last single changes are through */
    fprintf(stderr, "bench: swap: %d nodes at once, every %.1f s, %.1f s\n", SWAP_NODES,
            SWAP_EVERY_MS / 1000.0, options.seconds);
    swap_measure(c, &options, f);
}

/* --- options --- */

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

static unsigned phases_of(const char *text)
{
    static const char *const names[] = {"warm", "cold", "swap", "floor"};
    unsigned run = 0;
    struct str rest = str_of(text);

    while (rest.n) {
        const struct str name = str_cut(&rest, ',');
        size_t i = 0;

        while (i < ARRAY_LEN(names) && !str_is(name, names[i]))
            i++;
        if (i == ARRAY_LEN(names)) {
            fprintf(stderr, "bench: --phases takes warm, cold, swap, floor\n");
            exit(2);
        }
        run |= 1U << i;
    }
    return run & RUN_FLOOR ? run | RUN_WARM : run; /* whose sizes the floor takes */
}

static void read_option(struct options *o, int name, const char *value)
{
    char *end;

    if (name == 'n') {
        o->nodes = number("nodes", value, 1, 99999);
    } else if (name == 'z') {
        o->zones = number("zones", value, 1, 8);
    } else if (name == 's') {
        o->shapes = number("shapes", value, 1, 10000);
    } else if (name == 'c') {
        o->changes = number("changes-per-s", value, 0, 100000);
    } else if (name == 'j') {
        o->json = true;
    } else if (name == 'u') {
        synth_unlike = true;
    } else if (name == 'p') {
        o->run = phases_of(value);
    } else if (name == 'm') {
        o->by_nodes = strcmp(value, "nodes") == 0;
        if (!o->by_nodes && strcmp(value, "names") != 0) {
            fprintf(stderr, "bench: --mode takes names or nodes\n");
            exit(2);
        }
    } else if (name == 't') {
        o->seconds = strtod(value, &end);
        if (*end || end == value || !(o->seconds > 0 && o->seconds <= 86400)) {
            fprintf(stderr, "bench: --seconds takes 0.1 to 86400\n");
            exit(2);
        }
    } else {
        exit(2);
    }
}

static struct options read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"nodes", required_argument, NULL, 'n'},   {"zones", required_argument, NULL, 'z'},
        {"shapes", required_argument, NULL, 's'},  {"changes-per-s", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 't'}, {"mode", required_argument, NULL, 'm'},
        {"phases", required_argument, NULL, 'p'},  {"unlike", no_argument, NULL, 'u'},
        {"json", no_argument, NULL, 'j'},          {0}};
    struct options o = {
        .nodes = 500, .zones = 4, .shapes = 32, .changes = 100, .run = RUN_ALL, .seconds = 5};

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        read_option(&o, c, optarg);
    return o;
}

/* --- all of it --- */

static void run_phases(struct client *c, const struct options *o, struct figures *f)
{
    struct client_sizes *const sizes = calloc((size_t)CLIENT_VERBS * o->shapes, sizeof(*sizes));

    if (!sizes)
        exit(1);
    start_changer(o);
    if (o->run & RUN_WARM)
        measure(c, o, false, &f->phases[PHASE_WARM], sizes);
    f->rss_warm_kib = process_kib(server.pid, "VmRSS");
    if (o->run & RUN_COLD)
        measure(c, o, true, &f->phases[PHASE_COLD], sizes);
    if (o->run & RUN_SWAP)
        measure_swap(c, o, &f->swap);
    f->rss_kib = process_kib(server.pid, "VmRSS");
    f->rss_peak_kib = process_kib(server.pid, "VmHWM");
    if (o->run & RUN_FLOOR)
        measure_floor(c, o, &f->phases[PHASE_FLOOR], sizes);
    free(sizes);
}

int main(int argc, char **argv)
{
    const struct options o = read_options(argc, argv);
    struct figures f = {.nodes = o.nodes,
                        .zones = o.zones,
                        .shapes = o.shapes,
                        .changes = o.changes,
                        .by_nodes = o.by_nodes,
                        .seconds = o.seconds};
    struct client c = {.by_nodes = o.by_nodes};

    scratch_make();
    (void)atexit(clean_up); /* before the directory goes */
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    synth_cluster(scratch_cluster(), o.nodes, o.zones, SYNTH_JSON);
    if (o.by_nodes)
        synth_nodes(&c.list, o.nodes);
    else
        synth_names(&c.list, o.nodes);
    fprintf(stderr, "bench: numawise serve with %u nodes of %u zones\n", o.nodes, o.zones);
    program_start(&server, scratch_cluster(), scratch_path());
    c.pid = server.pid;
    f.start_ms = server.start_ms;
    f.request_bytes = c.list.n;
    f.rss_ready_kib = process_kib(server.pid, "VmRSS");
    load_open(&c.load, server.port);
    run_phases(&c, &o, &f);
    if (o.json)
        print_json(&f);
    else
        print_table(&f);
    return 0;
}
