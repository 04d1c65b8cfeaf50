/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other schedulers check of a node before they bind a pod there: models of ours, written from
 * a reading of what they do (August 2026), not their code. Each sees the same figures by zone,
 * perfect and fresh, as an exporter of NodeResourceTopologies would publish them.
 */
#ifndef TESTS_VECTORS_PEER_MODELS_H
#define TESTS_VECTORS_PEER_MODELS_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/node_view.h"
#include "scoring/request.h"

struct arena;

/* One resource of a node: cpu in thousandths, memory and huge pages in bytes, devices counted. */
struct peer_resource {
    struct str name;
    enum pod_resource_kind kind;
    int64_t node_allocatable, node_requested; /* the Node's; sums of what its pods request */
    /*
     * [zones] What the zone has for pods, and what of it nobody holds for himself. A device of
     * several zones stands in each of them. NULL: no zone lists the resource.
     */
    int64_t *allocatable, *available;
};

struct peer_node {
    enum kubelet_policy policy;
    enum kubelet_scope scope;
    bool cpu_managed, memory_managed; /* cpuManagerPolicy static, memoryManagerPolicy Static */
    uint32_t n_zones, n_resources;
    struct peer_resource *resources; /* [n_resources] */
};

/*
 * The figures of a node in `state`, on which `pods` run; `reserved` CPUs in sum. Lives in `a`.
 */
void peer_node_fill(struct peer_node *out, const struct node_view *node,
                    const struct node_state *state, const struct score_pod *const *pods,
                    uint32_t n_pods, uint32_t reserved, struct arena *a);

/* kube-scheduler, plugin NodeResourcesFit: sums of the node. */
bool peer_sums(const struct peer_node *node, const struct score_pod *pod);

/*
 * scheduler-plugins, plugin NodeResourceTopologyMatch, filter: only single-numa-node is looked at.
 * Each container (scope pod: the pod) needs one zone that has all of it available; app containers
 * are taken off as they go, init containers, sidecars among them, are not. CPU and memory count by
 * zone for Guaranteed pods, whole CPUs or not and whatever the kubelet's managers do.
 */
bool peer_topology_match(const struct peer_node *node, const struct score_pod *pod);

/*
 * KAI, plugin numa, evaluator: single-numa-node wants a zone that has all of it; restricted the
 * same number of zones for each resource, counted over what is allocatable, and a set of so many
 * zones with it all free. Sidecars and app containers are taken off as they go, ordinary init
 * containers see the node as it was. Whole CPUs, memory and huge pages of Guaranteed pods count,
 * where the kubelet's manager is on, and devices. best-effort and none pass every node.
 */
bool peer_evaluator(const struct peer_node *node, const struct score_pod *pod);

#endif
