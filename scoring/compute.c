/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/compute.h"

#include "scoring/weigh.h"

bool score_compute(uint32_t *out, const struct score_compute *c)
{
    uint32_t sum = 0, n = 0;

    if (c->has_utilization) {
        sum += c->utilization < SCORE_MAX ? SCORE_MAX - c->utilization : 0;
        n++;
    }
    if (c->has_queue) {
        sum += (uint32_t)(SCORE_MAX / (UINT64_C(1) + c->queue));
        n++;
    }
    if (n)
        *out = sum / n;
    return n > 0;
}
