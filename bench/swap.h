/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sees when many nodes change at once: requests around each change against the rest.
 */
#ifndef BENCH_SWAP_H
#define BENCH_SWAP_H

#include <stdint.h>

#include "bench/client.h"

/* After a change of many nodes, requests of this long count as its window. */
enum { SWAP_NODES = 100, SWAP_WINDOW_MS = 400, SWAP_EVERY_MS = 1000 };

struct swap_figures {
    uint32_t swaps, nodes; /* how often, and how many nodes each time */
    struct load_times inside[CLIENT_VERBS], outside[CLIENT_VERBS];
};

struct swap_options {
    const char *dir; /* of a SYNTH_JSON cluster that nobody else changes meanwhile */
    uint32_t nodes, zones, shapes;
    double seconds;
};

void swap_measure(struct client *c, const struct swap_options *o, struct swap_figures *out);

#endif
