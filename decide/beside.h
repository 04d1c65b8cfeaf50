/* SPDX-License-Identifier: Apache-2.0 */
/* What pods on their way, and doubts about nodes, do to the scores of a decision. */
#ifndef DECIDE_BESIDE_H
#define DECIDE_BESIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct arena;
struct decide_ask;
struct decide_options;
struct decide_row;
struct decision;
struct str;

/* A row whose wire score was lowered. */
struct decide_held {
    uint32_t row;
    uint32_t pods; /* of others on their way there; 0: */
    bool doubted;  /* its kubelet has refused what it was thought to admit */
};

/*
 * Nodes in doubt (options->doubts) get the lowest score of those that admit the pod. And lower the
 * wire scores of nodes that are held for other pods (options->holds, which has looked at
 * the decision's snapshot), as far as they might come first: one that is better than every node
 * that nobody holds gets the score that it will have beside those pods, and stands behind the free
 * ones where that is no better; one as good as the best free node stands back by one. Verdicts,
 * terms and scores stay, and so do wire scores of at least 1. `key`: what answers are remembered
 * by; empty: they are not. Fills d->held. 0, -ENOMEM.
 */
int decide_beside(struct decision *d, struct decide_row *rows, const struct decide_ask *ask,
                  const struct decide_options *options, struct str key, struct arena *a) MUST_CHECK;

#endif
