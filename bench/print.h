/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of bench/extender, as JSON for scripts and as a table for people. */
#ifndef BENCH_PRINT_H
#define BENCH_PRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/client.h"
#include "bench/swap.h"

enum phase { PHASE_WARM, PHASE_COLD, PHASE_FLOOR, PHASES };

struct figures {
    uint32_t nodes, zones, shapes, changes;
    bool by_nodes;
    double seconds, start_ms;
    uint64_t request_bytes; /* the body of a filter call without the pod */
    struct client_times phases[PHASES];
    struct swap_figures swap;
    uint64_t rss_ready_kib, rss_warm_kib, rss_kib, rss_peak_kib; /* of the server */
};

void print_json(const struct figures *f);
void print_table(const struct figures *f);

#endif
