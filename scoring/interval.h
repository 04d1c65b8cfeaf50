/* SPDX-License-Identifier: Apache-2.0 */
/* Pods that hold something nobody knows where: an interval, whose worst case is scored. */
#ifndef SCORING_INTERVAL_H
#define SCORING_INTERVAL_H

#include "base/attr.h"
#include "scoring/kubelet.h"

struct arena;

/*
 * The node as it would be at worst for a pod that `answer` ([n] containers) admits there: what
 * UNPLACED pods hold for themselves (CPUs, devices; not memory) is taken in the very zones from
 * which this pod takes its own, as far as it is free there: the highest CPUs, the last devices. A
 * shallow copy of `node` with a state of its own in `a`. 0; -ENOMEM, then `out` is untouched.
 */
int score_worst_view(struct node_view *out, const struct node_view *node,
                     const struct kubelet_answer *answer, uint32_t n, struct arena *a) MUST_CHECK;

#endif
