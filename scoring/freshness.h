/* SPDX-License-Identifier: Apache-2.0 */
/* How old and how certain a node's data is. */
#ifndef SCORING_FRESHNESS_H
#define SCORING_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * SCORE_MAX = just observed and everything known.
 *
 *   age part  = 1000 - 500 * age / max_age   (age clipped to 0..max_age; max_age 0 = ages do not
 *               count; a node that does not say when it was observed: 500)
 *   freshness = age part - 50 per assumed input - 200 when some pods' zones are unknown, at least 0
 *
 * `assumed` has a bit per NODE_ASSUMED_... A judgement, not a law: docs/scoring.md section 5.
 */
uint32_t score_freshness(int64_t now_us, int64_t observed_us, int64_t max_age_us, uint32_t assumed,
                         bool interval);

/* The same for many nodes, whose division is done once: `rate` is score_age_rate(max_age_us). */
uint64_t score_age_rate(int64_t max_age_us);
uint32_t score_freshness_by(uint64_t rate, int64_t now_us, int64_t observed_us, int64_t max_age_us,
                            uint32_t assumed, bool interval);

#endif
