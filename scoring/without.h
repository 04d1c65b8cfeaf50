/* SPDX-License-Identifier: Apache-2.0 */
/* A node as it would be if some of its pods had ended. */
#ifndef SCORING_WITHOUT_H
#define SCORING_WITHOUT_H

#include <stdbool.h>

#include "base/attr.h"
#include "scoring/node_view.h"

struct arena;
struct score_request;

/*
 * Would the pod be let in, by kubelet and constraints, without the pods that are `gone` [n_pods]?
 * What they requested of the network stays taken. `scratch` is used and rewound. 0, -ENOMEM.
 */
int score_fits_without(bool *out, const struct node_view *node, const bool *gone,
                       const struct score_request *req, struct arena *scratch) MUST_CHECK;

#endif
