/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the view of a node was made of. It is kept with the view, by reference: as long as the view
 * is the newest one that costs eight bytes a pod, and of a view that a decision keeps alive it is
 * what the decision followed from. Made by cluster.c, read where a decision is bundled.
 */
#ifndef CLUSTER_ORIGIN_H
#define CLUSTER_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "scoring/node_view.h"

struct arena;
struct block;
struct pod_record;
struct store_node;

struct origin {
    struct block *node, *nrt;       /* struct kube_node; struct store_nrt, NULL = none */
    const struct pod_record **pods; /* [n_pods] bound to the node and not ended */
    uint32_t n_pods;
    bool pods_known;  /* node_inputs */
    int64_t since_us; /* cluster_options */
    size_t bytes;     /* what all this may keep alive; what many share counts for each */
};

/* What the block of a view holds. */
struct origin_view {
    struct node_view view; /* first: what it holds for others */
    struct origin origin;
};

/* Zeroed, with room for the pods; NULL: the arena is full. */
struct origin_view *origin_view_new(uint32_t n_pods, struct arena *a);

/* The view in the block was made of what the node has now: take references, dropped with it. */
void origin_keep(struct block *view, const struct store_node *n, int64_t since_us, bool pods_known);

/* NULL where the view was made by somebody else. */
const struct origin *origin_of(const struct block *view);

#endif
