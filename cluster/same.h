/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an object says the same as before in all that is read of it. Nodes and pods are written
 * all the time (heartbeats, conditions, probes); what counts of them seldom changes.
 */
#ifndef CLUSTER_SAME_H
#define CLUSTER_SAME_H

#include <stdbool.h>
#include <stdint.h>

struct kube_node;
struct pod_amount;
struct score_pod;

bool same_amounts(const struct pod_amount *x, uint32_t nx, const struct pod_amount *y, uint32_t ny);

/* Of a node's metadata only the uid counts. */
bool same_node(const struct kube_node *x, const struct kube_node *y);
bool same_pod(const struct score_pod *x, const struct score_pod *y);

#endif
