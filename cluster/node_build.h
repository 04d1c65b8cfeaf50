/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From decoded objects to one node view: Node, its NodeResourceTopology and its pods. Pure: no
 * clock, no heap; what is not said is assumed as contract.md 2 says and marked in `assumed`.
 */
#ifndef CLUSTER_NODE_BUILD_H
#define CLUSTER_NODE_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "kube/object.h"
#include "kube/signal.h"
#include "scoring/node_view.h"

struct arena;
struct block;
struct cluster_context;
struct intern;

/*
 * A resource of the Node that no zone hosts and no attribute lists is taken for that many devices
 * without topology up to this number; beyond (kvm and tun come by the thousand) only
 * kube-scheduler counts it.
 */
enum { NODE_BUILD_LOOSE_DEVICES = 256 };

/* An `observed-at` that lies further in the future comes from a clock that is wrong. */
enum { NODE_BUILD_CLOCK_SLACK_US = 60 * 1000 * 1000 };

/* A signal that says something of the node. */
struct node_signal {
    struct str name;
    enum signal_kind kind;
    bool stale; /* older than it may be: only its name counts */
    const struct signal_node *figures;
};

/* What follows from CPU lists, worked out once for machines that have them alike. */
struct node_layouts {
    struct intern *known;
    const uint64_t *key; /* [2] for hashing */
    struct block *texts; /* what the zones' CPU lists are parts of (pack.h) */
    struct block *used;  /* out: what the view points into besides, a reference; or NULL */
};

struct node_inputs {
    struct str name;
    const struct kube_node *node; /* capacities to check the report against; NULL = none */
    const struct kube_nrt *nrt;   /* NULL = none */
    /* What is bound to the node and has not ended, in any order. */
    const struct score_pod *const *pods; /* [n_pods] */
    const uint64_t *keys; /* [n_pods] by which a snapshot finds them (cluster_snapshot_pod_at) */
    uint32_t n_pods;
    /* Pods are known at all: a placement whose pod is not among them has ended. */
    bool pods_known;
    const struct cluster_context *context; /* policies; NULL: there are none */
    const struct node_signal *signals;     /* [n_signals] by name */
    uint32_t n_signals;
    struct node_layouts *layouts; /* NULL: each view has its own */
    /*
     * An earlier view from the same report, after which no report comes: who is there keeps what he
     * got, who came is replayed, what he held who was replayed and is gone is free. NULL:
     * everything is worked out from the report. Ignored where its machine has other dimensions.
     */
    const struct node_view *before;
    uint64_t newest_generation; /* the highest seen of this node, 0 = none */
    int64_t now_us, max_age_us; /* max_age_us 0 = never stale */
    int64_t since_us;           /* when somebody began to look on; 0 = always */
};

/*
 * Build the view of one node; everything it points to lives in `a`. `revision` is the caller's to
 * set. `scratch` is used and rewound. 0; -ENOMEM (either arena is full), then `out` is untouched.
 *
 * Pods of the node become (node_pod_placement):
 *   listed in `placements`                                OBSERVED, with what is listed
 *   else, where there are placements, or bound later
 *   than observed                                         replayed: PREDICTED or UNPLACED
 *   else                                                  COUNTED
 * Plain ones that are not listed are only counted (node_view.plain). Of one that was bound before
 * `since_us` and is replayed nobody knows who came and went before it: it is UNPLACED, with what
 * the replay gave it, until a report lists it.
 * What a placement holds whose pod has ended is given back by scoring's release rule.
 */
int node_build(struct node_view *out, const struct node_inputs *in, struct arena *a,
               struct arena *scratch) MUST_CHECK;

#endif
