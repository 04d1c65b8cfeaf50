/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels and label selectors. A label is kept as eight bytes: 40 bits of a hash of its key, 24 of
 * its value's, so that 150,000 pods with theirs cost megabytes and not a tenth of a gigabyte. Two
 * labels are equal by chance once in 2^64, two keys once in 2^40; whoever may set labels could set
 * the right ones, so nobody gains by making them collide.
 */
#ifndef SCORING_LABELS_H
#define SCORING_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

uint64_t score_label(struct str key, struct str value);

/* Borrowed; in any order. */
struct score_labels {
    const uint64_t *at; /* [n] */
    uint32_t n;
};

enum score_operator { SCORE_IN, SCORE_NOT_IN, SCORE_EXISTS, SCORE_DOES_NOT_EXIST };

/* One requirement; matchLabels are SCORE_IN with one value. */
struct score_requirement {
    enum score_operator op;
    uint64_t key;           /* a label of the key with any value */
    const uint64_t *values; /* [n_values] labels; none for the last two operators */
    uint32_t n_values;
};

/* All requirements must hold; none: every set of labels is selected. */
struct score_selector {
    const struct score_requirement *at; /* [n] */
    uint32_t n;
};

/* As k8s.io/apimachinery pkg/labels: NotIn and DoesNotExist hold where the key is missing. */
bool score_selects(const struct score_selector *s, struct score_labels labels);

#endif
