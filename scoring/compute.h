/* SPDX-License-Identifier: Apache-2.0 */
/* How busy accelerators are, by signals. */
#ifndef SCORING_COMPUTE_H
#define SCORING_COMPUTE_H

#include <stdbool.h>
#include <stdint.h>

/* What is measured of the accelerators that a pod may get, else of the node as a whole. */
struct score_compute {
    bool has_utilization, has_queue;
    uint32_t utilization; /* permille */
    uint32_t queue;       /* work that waits there */
};

/*
 * The mean of the parts that are known, rounded down:
 *
 *   headroom  1000 - utilization, at least 0
 *   turn      1000 / (1 + queue): the share of its turn that a newcomer gets among those that wait
 *
 * False: nothing is measured. How many accelerators are free is no matter here: they are handed out
 * whole, and keeping groups of them whole is what fragmentation is for. Source: our judgement,
 * docs/scoring.md section 9.
 */
bool score_compute(uint32_t *out, const struct score_compute *c);

#endif
