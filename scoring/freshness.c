/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/freshness.h"

#include "scoring/weigh.h"

enum { AGE_COST = 500, ASSUMED_COST = 50, INTERVAL_COST = 200 };

__extension__ typedef unsigned __int128 wide;

/* AGE_COST * 2^64 / max_age, rounded down, or the most there is. */
uint64_t score_age_rate(int64_t max_age_us)
{
    const wide rate =
        max_age_us > 0 ? ((wide)AGE_COST << 64) / (uint64_t)max_age_us : (wide)UINT64_MAX;

    return rate < UINT64_MAX ? (uint64_t)rate : UINT64_MAX;
}

/*
 * age * AGE_COST / max_age, rounded down, for 0 <= age <= max_age. What the rate gives is one less
 * at most (of maxima beyond AGE_COST microseconds, that is) and never more. The products overflow
 * only beyond 500 years.
 */
static uint32_t age_cost(uint64_t rate, int64_t age, int64_t max_age)
{
    int64_t cost = (int64_t)((wide)(uint64_t)age * rate >> 64);

    while ((cost + 1) * max_age <= age * AGE_COST)
        cost++;
    return (uint32_t)cost;
}

static uint32_t age_part(uint64_t rate, int64_t now_us, int64_t observed_us, int64_t max_age_us)
{
    if (observed_us == 0)
        return SCORE_NEUTRAL;
    if (max_age_us <= 0 || now_us <= observed_us)
        return SCORE_MAX;
    const int64_t age = now_us - observed_us < max_age_us ? now_us - observed_us : max_age_us;

    return SCORE_MAX - age_cost(rate, age, max_age_us);
}

uint32_t score_freshness_by(uint64_t rate, int64_t now_us, int64_t observed_us, int64_t max_age_us,
                            uint32_t assumed, bool interval)
{
    const uint32_t fresh = age_part(rate, now_us, observed_us, max_age_us);
    const uint32_t cost =
        (uint32_t)__builtin_popcount(assumed) * ASSUMED_COST + (interval ? INTERVAL_COST : 0);

    return cost < fresh ? fresh - cost : 0;
}

uint32_t score_freshness(int64_t now_us, int64_t observed_us, int64_t max_age_us, uint32_t assumed,
                         bool interval)
{
    return score_freshness_by(score_age_rate(max_age_us), now_us, observed_us, max_age_us, assumed,
                              interval);
}
