/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/weigh.h"

#include "base/attr.h"

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

const char *score_row_text(enum score_class class)
{
    static const char *const texts[] = {
        [SCORE_CLASS_DEFAULT] = "default",
        [SCORE_CLASS_CRITICAL] = "critical",
        [SCORE_CLASS_BEST_EFFORT] = "best-effort",
    };

    return texts[class];
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

/*
 * With n a sum and d the weights' sum the product is n / d + n * e / (d * 2^48), e at most d. As n
 * is below 2^29 and d below 2^19, what it is off by is less than 1 / d: it never reaches the next
 * integer. n / d is at most SCORE_MAX, so that 64 bits hold the product.
 */
void score_scale_init(struct score_scale *out, const struct score_weights *weights, uint32_t any)
{
    uint32_t total = 0;

    for (uint32_t t = 0; t < SCORE_TERM_COUNT; t++)
        total += any >> t & 1 ? weights->w[t] : 0;
    out->inverse = total ? (UINT64_C(1) << SCORE_INVERSE_BITS) / total + 1 : 0;
    out->missing[0] = SCORE_NEUTRAL * total;
    for (uint32_t known = 1; known < ARRAY_LEN(out->missing); known++) {
        const uint32_t t = (uint32_t)__builtin_ctz(known), rest = known & (known - 1);

        out->missing[known] =
            out->missing[rest] - (any >> t & 1 ? (uint32_t)SCORE_NEUTRAL * weights->w[t] : 0);
    }
}

uint32_t score_weigh(const struct score_weights *weights, const uint16_t term[SCORE_TERM_COUNT],
                     uint32_t known, uint32_t any)
{
    uint32_t sum = 0; /* at most 7 * 65535 * 1000, below 2^29 */
    struct score_scale scale;

    for (uint32_t t = 0; t < SCORE_TERM_COUNT; t++)
        sum += any & known & 1u << t ? (uint32_t)weights->w[t] * term[t] : 0;
    score_scale_init(&scale, weights, any);
    return score_scale(&scale, sum, known & any);
}
