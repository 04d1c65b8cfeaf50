/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise topology NODE --cluster DIR`: the machine of a node as its objects describe it. */
#ifndef CLI_TOPOLOGY_NODE_H
#define CLI_TOPOLOGY_NODE_H

#include <stdint.h>

#include "base/attr.h"
#include "topology/model.h"

struct err;
struct kube_nrt_attribute;
struct node_view;

struct topology_node {
    const struct node_view *view;
    struct topo_machine machine; /* the view's, with the devices that the report places on PCI */
    /* What the report says besides the machine, and not of one moment: settings of the kubelet. */
    const struct kube_nrt_attribute *settings; /* [n_settings] */
    uint32_t n_settings;
};

/*
 * Read the cluster directory and call `visit` with the node, which lives as long as the call.
 * Returns what visit returns (not negative); -ENOENT (no such node, or nothing is known of its
 * topology); -errno when the directory cannot be read.
 */
int topology_visit_node(const char *dir, const char *node,
                        int (*visit)(const struct topology_node *n, void *ctx), void *ctx,
                        struct err *err) MUST_CHECK;

#endif
