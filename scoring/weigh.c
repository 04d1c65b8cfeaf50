/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/weigh.h"

const char *score_term_text(enum score_term term)
{
    static const char *const texts[SCORE_TERM_COUNT] = {
        [SCORE_LOCALITY] = "locality",
        [SCORE_DEVICES] = "devices",
        [SCORE_FRAGMENTATION] = "fragmentation",
        [SCORE_NETWORK] = "network",
        [SCORE_COMPUTE] = "compute",
        [SCORE_INTERFERENCE] = "interference",
        [SCORE_FRESHNESS] = "freshness",
    };

    return texts[term];
}

const struct score_weights *score_default_weights(enum score_class class)
{
    /* locality, devices, fragmentation, network, compute, interference, freshness */
    static const struct score_weights table[] = {
        [SCORE_CLASS_DEFAULT] = {{30, 25, 15, 10, 10, 5, 5}},
        [SCORE_CLASS_CRITICAL] = {{35, 25, 10, 10, 5, 10, 5}},
        [SCORE_CLASS_BEST_EFFORT] = {{10, 10, 40, 10, 15, 10, 5}},
    };

    return &table[class];
}

/* The weights of these terms together. */
static uint32_t weight_of(const struct score_weights *weights, uint32_t terms)
{
    uint32_t sum = 0;

    for (uint32_t t = 0; t < SCORE_TERM_COUNT; t++)
        sum += terms >> t & 1 ? weights->w[t] : 0;
    return sum;
}

uint32_t score_weigh_sum(const struct score_weights *weights, uint32_t sum, uint32_t known,
                         uint32_t any)
{
    const uint32_t total = weight_of(weights, any);

    return total ? (sum + SCORE_NEUTRAL * weight_of(weights, any & ~known)) / total : SCORE_NEUTRAL;
}

uint32_t score_weigh(const struct score_weights *weights, const uint16_t term[SCORE_TERM_COUNT],
                     uint32_t known, uint32_t any)
{
    uint32_t sum = 0; /* at most 7 * 65535 * 1000, below 2^29 */

    for (uint32_t t = 0; t < SCORE_TERM_COUNT; t++)
        sum += any & known & 1u << t ? (uint32_t)weights->w[t] * term[t] : 0;
    return score_weigh_sum(weights, sum, known & any, any);
}

uint32_t score_wire(uint32_t score, uint32_t max)
{
    const uint32_t wire = (score * max + SCORE_MAX / 2) / SCORE_MAX;

    return wire ? wire : 1;
}
