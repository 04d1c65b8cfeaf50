/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines with many zones, most of which have neither CPUs nor devices (GPU servers show 36): each
 * provider offers sets of its own zones only, so the empty ones can be left out while hints are
 * worked out. Private to kubelet*.c.
 */
#ifndef SCORING_KUBELET_COMPACT_H
#define SCORING_KUBELET_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/node_view.h"
#include "scoring/verdict.h"

struct arena;

struct kubelet_compact {
    struct node_view node;           /* the same node over fewer zones */
    uint8_t zone_of[TOPO_MAX_ZONES]; /* zone of the machine for each zone left */
    uint64_t filler;                 /* a zone left over: it stands for all that are not */
};

/*
 * Can hints be worked out over fewer zones? Not where the memory manager is asked, which offers
 * sets of all zones, nor where ids have holes, for the kubelet reads distances by id.
 */
bool kubelet_can_compact(const struct node_view *node, bool memory);

/* The node over its zones with CPUs or devices and one other; lives in `a`. 0, -ENOMEM. */
int kubelet_compact(struct kubelet_compact *out, const struct node_view *node,
                    struct arena *a) MUST_CHECK;

/* Hints of the compact node back to the machine's zones. */
void kubelet_expand(const struct kubelet_compact *c, const struct node_view *node,
                    struct score_container *containers, uint32_t n);

#endif
