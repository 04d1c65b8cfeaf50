/* SPDX-License-Identifier: Apache-2.0 */
/* How busy a node's accelerators are, and how many are left. */
#ifndef SCORING_COMPUTE_H
#define SCORING_COMPUTE_H

#include <stdbool.h>
#include <stdint.h>

/* What is known; borrowed by value. */
struct score_compute {
    bool takes_accelerators; /* the pod asks for some; then whole > 0 */
    uint32_t whole, left;    /* accelerators of its resources: healthy ones, free after the pod */
    bool has_utilization, has_queue;
    uint32_t utilization; /* permille, of those that it may get, else of the node; up to 1000 */
    uint32_t queue;       /* work that waits there */
};

/*
 * The mean of the parts that are known, rounded down:
 *
 *   headroom  1000 * left / whole             where the pod takes accelerators
 *   idle      1000 - utilization              where it is measured
 *   wait      1000 / (1 + queue)              where it is measured: the share of its turn that a
 *             newcomer gets among those that wait
 *
 * False: nothing is known. Source: our judgement, docs/scoring.md section 8.
 */
bool score_compute(uint32_t *out, const struct score_compute *c);

#endif
