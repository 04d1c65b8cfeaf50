/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology Manager: every provider offers sets of zones ("hints") per resource; the merge picks
 * the one that all agree on. The kubelet walks the cartesian product of all lists (8 seconds for
 * 8 zones and 3 providers); the result does not depend on the order, so a fold over sets of masks
 * gives the same. k8s: topologymanager/policy.go, numa_info.go.
 */
#ifndef SCORING_KUBELET_MERGE_H
#define SCORING_KUBELET_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/node_view.h"

/* One resource's list of hints. */
struct kubelet_hints {
    bool any;            /* nil: the provider does not care */
    bool impossible;     /* empty: it cannot be done anywhere */
    uint64_t *masks;     /* a mask_set: all hints */
    uint64_t *preferred; /* a mask_set: those marked preferred, a subset */
};

struct kubelet_hint {
    bool has_affinity; /* false = nil mask */
    bool preferred;
    uint64_t affinity;
};

struct kubelet_merge_result {
    struct kubelet_hint hint;
    bool admit;
    bool crash; /* prefer-closest-numa-nodes with holes in the zone ids: index out of range */
};

/*
 * Merge the `n` lists under the node's policy, which is not `none`. `counts` is scratch of
 * 2 << n_zones entries.
 */
struct kubelet_merge_result kubelet_merge(const struct node_view *node,
                                          const struct kubelet_hints *lists, uint32_t n,
                                          uint32_t *counts);

#endif
