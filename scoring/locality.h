/* SPDX-License-Identifier: Apache-2.0 */
/* How near a pod's memory sits to the CPUs that read it. */
#ifndef SCORING_LOCALITY_H
#define SCORING_LOCALITY_H

#include <stdint.h>

#include "topology/model.h"

/* How CPUs and memory are spread over the zones, in any unit: only shares count. */
struct score_split {
    const uint32_t *cpu; /* [n], sum 1..2^20 */
    const uint32_t *mem; /* [n], sum 1..2^24 */
};

/*
 * Locality of `split` on a machine: SCORE_MAX = every access local, 500 = twice as far on average.
 *
 *   E        = sum over i,j of cpu[i]/C * mem[j]/M * d[i][j]      C = sum(cpu), M = sum(mem)
 *   locality = 1000 * 10 / E, rounded down
 *
 * Not normalised per machine, so that different machines compare. Source: expected distance under
 * uniform access, docs/scoring.md section 3. Total: cannot fail.
 */
uint32_t score_locality(const struct topo_matrix *dist, const struct score_split *split);

#endif
