/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/interference.h"

#include "scoring/weigh.h"

uint32_t score_qos_priority(enum pod_qos qos)
{
    static const uint32_t table[] = {
        [POD_BEST_EFFORT] = 10, [POD_BURSTABLE] = 50, [POD_GUARANTEED] = SCORE_QOS_PRIORITY_MAX};

    return table[qos];
}

uint32_t score_pressure(uint64_t weighted, uint32_t cpus)
{
    /* thousandths of a CPU over CPUs are permille already */
    const uint64_t pressure = cpus ? weighted / ((uint64_t)SCORE_QOS_PRIORITY_MAX * cpus) : 0;

    return pressure < SCORE_MAX ? (uint32_t)pressure : SCORE_MAX;
}

uint32_t score_interference(const uint32_t *cpu, const uint16_t *pressure, uint32_t n)
{
    uint64_t sum = 0, cpus = 0;

    for (uint32_t z = 0; z < n; z++) {
        sum += (uint64_t)cpu[z] * pressure[z];
        cpus += cpu[z];
    }
    return cpus ? SCORE_MAX - (uint32_t)(sum / (2 * cpus)) : SCORE_MAX;
}
