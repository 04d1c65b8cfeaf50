/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/fragmentation.h"

#include <assert.h>

#include "scoring/weigh.h"

/* At most 64 * 2^32. */
static uint64_t pairs(const uint32_t *units, uint32_t n)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (uint64_t)units[i] * units[i];
    return sum;
}

uint32_t score_fragmentation(const struct score_stock *stock, uint32_t n)
{
    const uint64_t whole = pairs(stock->whole, n), before = pairs(stock->before, n),
                   after = pairs(stock->after, n);

    assert(after <= before);
    if (whole == 0 || before - after >= whole)
        return whole == 0 ? SCORE_MAX : 0;
    return (uint32_t)((whole - (before - after)) * SCORE_MAX / whole);
}
