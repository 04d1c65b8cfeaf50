/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has to go from a node so that a pod of higher priority gets in: not just room in sum, which
 * is what kube-scheduler looks at, but a place that the node's kubelet admits.
 */
#ifndef DECIDE_VICTIMS_H
#define DECIDE_VICTIMS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/request.h"

struct arena;
struct cluster_snapshot;
struct kube_budget;
struct node_view;
struct score_request;

struct victims_ask {
    const struct cluster_snapshot *snapshot;
    const struct node_view *node;
    const struct score_pod *pod;
    const struct score_request *req; /* of that pod, with its rules */
    const struct str *uids;          /* [n] whom kube-scheduler would have go */
    uint32_t n;
    int64_t violations; /* that many of them against a budget, it says */
    /* [n_budgets] of the cluster. NULL: nobody knows them, and what kube-scheduler says counts. */
    const struct kube_budget *const *budgets;
    uint32_t n_budgets;
    /* How many sets of pods may still be looked at, over all nodes; counts down. */
    uint32_t *looks;
};

enum victims_answer {
    VICTIMS_KEPT,     /* those that were proposed: their end lets it in */
    VICTIMS_UNJUDGED, /* the same: nobody can tell, or there were no looks left */
    VICTIMS_CHANGED,  /* others, or fewer, or more */
    VICTIMS_USELESS,  /* whoever goes, the kubelet would not admit it */
    VICTIMS_NEEDLESS, /* it gets in as it is, and nobody was proposed */
};

struct victims {
    enum victims_answer answer;
    const struct str *uids; /* [n] the most important first; n = 0 for the last two answers, and
                               perhaps unjudged */
    uint32_t n;
    int64_t violations;
};

/*
 * Choose. Only pods of lower priority go. First by the fewest against budgets, then the fewest,
 * then by the lowest of their highest priorities, the lowest sum, the shortest time. All sets of
 * one or two are looked at, on nodes with up to 24 such pods; beyond that, all of lower priority,
 * of whom as many as possible stay, the most important first: a set from which nobody can be left
 * out, though a smaller one may exist.
 *
 * Where the pod lacks room in sum, the choice is free. Where it does not, kube-scheduler has
 * another reason for each of whom it proposes (ports, affinity), which is not known here: they all
 * go, and others only with them.
 *
 * Lives in `a`, or as it came; `scratch` is used and rewound. 0, -ENOMEM.
 */
int victims_choose(struct victims *out, const struct victims_ask *ask, struct arena *a,
                   struct arena *scratch) MUST_CHECK;

#endif
