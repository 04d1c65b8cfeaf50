/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/locality.h"

#include <assert.h>

#include "scoring/weigh.h"

uint32_t score_locality(const struct topo_matrix *dist, const struct score_split *split)
{
    uint64_t cpu = 0, mem = 0, sum = 0; /* sum = E * C * M, at most 2^20 * 2^24 * 255 < 2^52 */

    for (uint32_t i = 0; i < dist->n; i++) {
        cpu += split->cpu[i];
        mem += split->mem[i];
        for (uint32_t j = 0; j < dist->n; j++)
            sum += (uint64_t)split->cpu[i] * split->mem[j] * dist->d[i * dist->n + j];
    }
    assert(cpu > 0 && cpu <= 1 << 20 && mem > 0 && mem <= 1 << 24);
    return (uint32_t)(cpu * mem * SCORE_MAX * TOPO_LOCAL / sum);
}
