/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/scan: how fast the bodies of extender calls are read, in GB/s of one core: by skipping
 * over the whole text (strict: grammar, UTF-8, depth), and by decoding it into names or Node
 * objects as a request does; memchr over the same bytes is the memory's own speed.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "bench/load.h"
#include "bench/synth.h"
#include "kube/extender_wire.h"
#include "kube/scan.h"

enum { ARENA_BYTES = 64 << 20, LEAST_RUNS = 5 };

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void touch(struct str body)
{
    if (memchr(body.p, 0, body.n))
        give_up("a zero byte in JSON");
}

static void skip(struct str body)
{
    struct scan s;

    scan_init(&s, body, SCAN_FOLD);
    if (scan_end(&s, NULL))
        give_up("a body that is not JSON");
}

static void decode(struct str body)
{
    static char *room;
    struct kube_extender_args args;
    struct arena a;

    if (!room && !(room = malloc(ARENA_BYTES)))
        give_up("out of memory");
    arena_init(&a, room, ARENA_BYTES);
    if (kube_extender_args_decode(&args, body, NULL, &a, NULL) || args.n == 0)
        give_up("a body that does not decode");
    arena_rewind(&a, 0);
}

/* CPU time: what else runs on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double measure(void (*run)(struct str), struct str body, double seconds)
{
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    struct load_times t = {0};

    run(body);
    for (int i = 0; i < LEAST_RUNS || clock_monotonic_ns() < end; i++) {
        const uint64_t from = cpu_ns();

        run(body);
        load_add(&t, cpu_ns() - from);
    }
    load_sort(&t);
    const double us = load_us(&t, 0.5);
    load_free(&t);
    return (double)body.n / us / 1000;
}

static void one(const char *name, uint32_t nodes, bool by_nodes, double seconds, bool json)
{
    static void (*const runs[])(struct str) = {touch, skip, decode};
    static const char zeros[SCAN_PADDING_BYTES];
    struct buf b = {0};
    double gbs[3];

    buf_text(&b, "{\"Pod\":");
    synth_pod(&b, 7);
    buf_text(&b, by_nodes ? ",\"Nodes\":" : ",\"Nodes\":null,\"NodeNames\":");
    if (by_nodes)
        synth_nodes(&b, nodes);
    else
        synth_names(&b, nodes);
    buf_text(&b, by_nodes ? ",\"NodeNames\":null}" : "}");
    const size_t n = b.n;
    buf_add(&b, zeros, sizeof(zeros));
    if (b.failed)
        give_up("out of memory");
    for (int i = 0; i < 3; i++)
        gbs[i] = measure(runs[i], (struct str){b.p, n}, seconds);
    if (json)
        printf("%s\"%s-%u\": {\"bytes\": %zu, \"memchr_gbs\": %.2f, \"skip_gbs\": %.2f, "
               "\"decode_gbs\": %.2f}",
               *name == 'n' && nodes == 500 && !by_nodes ? "" : ", ", name, nodes, n, gbs[0],
               gbs[1], gbs[2]);
    else
        printf("%-6s %6u %12zu %8.2f %8.2f %8.2f %10.1f\n", name, nodes, n, gbs[0], gbs[1], gbs[2],
               (double)n / gbs[2] / 1000);
    buf_free(&b);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'}, {"seconds", required_argument, NULL, 't'}, {0}};
    double seconds = 0.5;
    bool json = false;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'j')
            json = true;
        else if (c == 't')
            seconds = strtod(optarg, NULL);
        else
            return 2;
    }
    if (json)
        printf("{");
    else
        printf("%-6s %6s %12s %8s %8s %8s %10s\n", "body", "nodes", "bytes", "memchr", "skip",
               "decode", "decode us");
    one("names", 500, false, seconds, json);
    one("names", 5000, false, seconds, json);
    one("nodes", 500, true, seconds, json);
    one("nodes", 5000, true, seconds, json);
    if (json)
        printf("}\n");
    return 0;
}
