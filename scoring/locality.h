/* SPDX-License-Identifier: Apache-2.0 */
/* How near a pod's memory sits to the CPUs that read it. */
#ifndef SCORING_LOCALITY_H
#define SCORING_LOCALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "topology/model.h"

/* How CPUs and memory are spread over the zones, in any unit: only shares count. */
struct score_split {
    const uint32_t *cpu;  /* [n], sum 1..2^20 */
    const uint32_t *mem;  /* [n], sum 1..2^24 */
    const uint32_t *away; /* [n] added to each access of the zone's CPUs, up to 255; NULL = 0 */
};

/*
 * Locality of `split` on a machine: SCORE_MAX = every access local, 500 = twice as far on average.
 *
 *   E        = sum over i,j of cpu[i]/C * mem[j]/M * (d[i][j] + away[i])
 *              C = sum(cpu), M = sum(mem)
 *   locality = 1000 * 10 / E, rounded down
 *
 * Not normalised per machine, so that different machines compare. Source: expected distance under
 * uniform access, docs/scoring.md section 3. Total: cannot fail.
 */
uint32_t score_locality(const struct topo_matrix *dist, const struct score_split *split);

/*
 * Distances from what the machine's HMAT says of its zones, on the SLIT scale, into `out` [n*n]:
 *
 *   L_ij = latency_j * slit_ij / slit_kj     k = the zone with CPUs nearest to j, from which the
 *   B_ij = bandwidth_j * slit_kj / slit_ij   kernel gives the figures
 *   d_ij = 10 * mean of L_ij / L and B / B_ij, rounded to nearest, in 10..255
 *
 * L is the least latency and B the largest bandwidth of a zone with CPUs, each the mean of reading
 * and writing; of latency and bandwidth only what all zones with memory have counts. False, and
 * `out` is the SLIT matrix, when that is neither. `cpu_zones`: those with CPUs, by index.
 */
bool score_access(uint32_t *out, const struct topo_machine *m, uint64_t cpu_zones);

/*
 * What preferred zones (not empty) make of CPUs elsewhere: for each zone the distance to the
 * nearest preferred one, less 10, into `out` [n]: work that lands elsewhere counts as if it had to
 * reach over for what it was meant to be near to.
 */
void score_away(uint32_t *out, const struct topo_matrix *dist, uint64_t preferred);

#endif
