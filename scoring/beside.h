/* SPDX-License-Identifier: Apache-2.0 */
/* A node as it would be if pods that are on their way to it had come. */
#ifndef SCORING_BESIDE_H
#define SCORING_BESIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/evaluate.h"

struct arena;
struct node_view;
struct score_pod;
struct score_request;

/* A pod on its way. */
struct score_guest {
    const struct score_pod *pod;
    bool exclusive; /* of a class whose pods are alone in their zones */
};

/*
 * score_node_timeless beside `guests` [n], whom the kubelet admits before this pod, one after the
 * other; whom it would not admit is left out. What they request of the network is not taken from
 * it. The node is NODE_KNOWN. `scratch` is used and rewound. 0, -ENOMEM.
 */
int score_beside(struct score_result *out, const struct score_request *req,
                 const struct node_view *node, const struct score_guest *guests, uint32_t n,
                 struct arena *scratch) MUST_CHECK;

#endif
