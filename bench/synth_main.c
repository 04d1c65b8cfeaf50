/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/synth: the made-up cluster of the other benches, for whoever brings a kube-scheduler.
 *
 *   build/bench/synth --nodes N [--zones Z] DIR    the nodes and their topologies, a file each
 *   build/bench/synth --pods N                     N pods of different shapes, as a List on stdout
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/synth.h"

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: synth --nodes N [--zones Z] DIR | synth --pods N\n");
    exit(2);
}

static uint32_t number(const char *text, uint32_t most)
{
    char *end;
    const unsigned long v = strtoul(text, &end, 10);

    if (*end || end == text || v < 1 || v > most)
        usage();
    return (uint32_t)v;
}

static int print_pods(uint32_t n)
{
    struct buf out = {0};

    buf_text(&out, "{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[");
    for (uint32_t i = 0; i < n; i++) {
        buf_text(&out, i ? ",\n" : "\n");
        synth_pod(&out, i);
    }
    buf_text(&out, "]}\n");
    const bool done = !out.failed && fwrite(out.p, 1, out.n, stdout) == out.n && !fflush(stdout);
    buf_free(&out);
    return done ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"nodes", required_argument, NULL, 'n'},
                                          {"zones", required_argument, NULL, 'z'},
                                          {"pods", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    uint32_t nodes = 0, zones = 4, pods = 0;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'n')
            nodes = number(optarg, 99999);
        else if (c == 'z')
            zones = number(optarg, 8);
        else if (c == 'p')
            pods = number(optarg, 1000000);
        else
            usage();
    }
    if ((nodes > 0) == (pods > 0) || argc - optind != (nodes > 0))
        usage();
    if (pods > 0)
        return print_pods(pods);
    synth_cluster(argv[optind], nodes, zones, SYNTH_JSON);
    return 0;
}
