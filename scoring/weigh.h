/* SPDX-License-Identifier: Apache-2.0 */
/* From terms to one score and to the integer on the wire: the only place where rounding is done. */
#ifndef SCORING_WEIGH_H
#define SCORING_WEIGH_H

#include <stdint.h>

/* In the order in which people read them (contract.md 3). */
enum score_term {
    SCORE_LOCALITY,
    SCORE_DEVICES,
    SCORE_FRAGMENTATION,
    SCORE_NETWORK,
    SCORE_COMPUTE,
    SCORE_INTERFERENCE,
    SCORE_FRESHNESS,
    SCORE_TERM_COUNT,
};

enum { SCORE_MAX = 1000, SCORE_NEUTRAL = 500 };

enum score_class { SCORE_CLASS_DEFAULT, SCORE_CLASS_CRITICAL, SCORE_CLASS_BEST_EFFORT };

struct score_weights {
    uint16_t w[SCORE_TERM_COUNT];
};

const char *score_term_text(enum score_term term); /* "locality", ... */

const char *score_row_text(enum score_class class); /* "default", "critical", "best-effort" */

/* The default weights of a class (contract.md 3; each row sums to 100). */
const struct score_weights *score_default_weights(enum score_class class);

/*
 * score = sum(w * t) / sum(w), rounded down, over the terms in `any`.
 *
 * `any` has a bit per term that at least one admitted candidate has; the others are dropped. A
 * term that is in `any` but not in `known` counts SCORE_NEUTRAL. Returns 0..1000; SCORE_NEUTRAL
 * when no weight is left. Source: docs/scoring.md section 1.
 */
uint32_t score_weigh(const struct score_weights *weights, const uint16_t term[SCORE_TERM_COUNT],
                     uint32_t known, uint32_t any);

/* What is the same for all candidates of a decision, worked out once: the sums of weights, and the
   division by them. */
enum { SCORE_INVERSE_BITS = 48 };
struct score_scale {
    uint64_t inverse; /* 2^48 / sum of weights, rounded up; 0: there are none */
    uint32_t missing[1 << SCORE_TERM_COUNT]; /* by `known`: what the terms it lacks add */
};
void score_scale_init(struct score_scale *out, const struct score_weights *weights, uint32_t any);

/* score_weigh from `sum`, the sum of w * t over `known`, which is part of `any`; t <= SCORE_MAX. */
static inline uint32_t score_scale(const struct score_scale *s, uint32_t sum, uint32_t known)
{
    const uint64_t n = sum + s->missing[known];
    return s->inverse ? (uint32_t)(n * s->inverse >> SCORE_INVERSE_BITS) : SCORE_NEUTRAL;
}

/* (score * max + 500) / 1000, at least 1: the wire score of an admitted node, 1..max. */
static inline uint32_t score_wire(uint32_t score, uint32_t max)
{
    const uint32_t wire = (score * max + SCORE_MAX / 2) / SCORE_MAX;
    return wire ? wire : 1;
}

#endif
