/* SPDX-License-Identifier: Apache-2.0 */
/* Who else is in the zones that a pod would run in. */
#ifndef SCORING_INTERFERENCE_H
#define SCORING_INTERFERENCE_H

#include <stdint.h>

#include "scoring/request.h"

/*
 * How much it matters whom one disturbs: larger = more important. Guaranteed 100, Burstable 50,
 * BestEffort 10 (the specification's QOSPriority).
 */
enum { SCORE_QOS_PRIORITY_MAX = 100 };
uint32_t score_qos_priority(enum pod_qos qos);

/*
 * Pressure of a zone, permille:
 *
 *   pressure = 1000 * sum over neighbours of  priority / 100 * CPUs there / CPUs of the zone
 *
 * rounded down, at most 1000. `weighted` is the sum of priority * thousandths of a CPU; a zone
 * without CPUs has none.
 */
uint32_t score_pressure(uint64_t weighted, uint32_t cpus);

/*
 * interference = 1000 - 1/2 * sum over zones of cpu[z] / C * pressure[z], rounded up; C = sum(cpu).
 *
 * SCORE_MAX = alone, or beside what nobody minds; 500 = in zones full of the most important ones:
 * neighbours take a part of what is shared (caches, memory bandwidth), not all. So important pods
 * keep apart, and best-effort ones fill the zones where the least important are. A pod whose CPUs
 * are nowhere in particular (C = 0) disturbs nobody that can be named: SCORE_MAX. Source:
 * docs/scoring.md section 10. [n] both; counts up to 2^20.
 */
uint32_t score_interference(const uint32_t *cpu, const uint16_t *pressure, uint32_t n);

#endif
