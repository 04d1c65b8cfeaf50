/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/freshness.h"

#include "scoring/weigh.h"

enum { AGE_COST = 500, ASSUMED_COST = 50, INTERVAL_COST = 200 };

/*
 * age * AGE_COST / max_age, rounded down, for 0 <= age <= max_age. What floating point gives is off
 * by one at most, and corrected; together that takes a third of a division of 64 bits. The products
 * overflow only beyond 500 years.
 */
static uint32_t age_cost(int64_t age, int64_t max_age)
{
    int64_t cost = (int64_t)((double)age * AGE_COST / (double)max_age);

    cost -= cost * max_age > age * AGE_COST;
    cost += (cost + 1) * max_age <= age * AGE_COST;
    return (uint32_t)cost;
}

static uint32_t age_part(int64_t now_us, int64_t observed_us, int64_t max_age_us)
{
    if (observed_us == 0)
        return SCORE_NEUTRAL;
    if (max_age_us <= 0 || now_us <= observed_us)
        return SCORE_MAX;
    const int64_t age = now_us - observed_us < max_age_us ? now_us - observed_us : max_age_us;

    return SCORE_MAX - age_cost(age, max_age_us);
}

uint32_t score_freshness(int64_t now_us, int64_t observed_us, int64_t max_age_us, uint32_t assumed,
                         bool interval)
{
    const uint32_t fresh = age_part(now_us, observed_us, max_age_us);
    const uint32_t cost =
        (uint32_t)__builtin_popcount(assumed) * ASSUMED_COST + (interval ? INTERVAL_COST : 0);

    return cost < fresh ? fresh - cost : 0;
}
