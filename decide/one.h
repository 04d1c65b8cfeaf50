/* SPDX-License-Identifier: Apache-2.0 */
/* Where numawise decides: one candidate gets all that there is on the wire, and no other anything.
 */
#ifndef DECIDE_ONE_H
#define DECIDE_ONE_H

#include <stdint.h>

struct decide_row;

/*
 * Of the admitted candidates ([n] rows) the best on the wire, of those the best score, and of those
 * the one that `lot`, any number, falls on: it gets `max_score`, all others 0, so that with a
 * weight of DECIDE_LEAST_WEIGHT(max_score) no sum of kube-scheduler's own scores outweighs it. Its
 * index; n: none admits, and nothing is changed.
 */
uint32_t decide_one(struct decide_row *rows, uint32_t n, uint64_t lot, uint32_t max_score);

/* kube-scheduler's own add up to 1200 at most; ours counts 10 times its weight. */
#define DECIDE_LEAST_WEIGHT(max_score) (1200 / (10 * (max_score)) + 1)

#endif
