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
struct score_labels;
struct score_pod;

bool same_amounts(const struct pod_amount *x, uint32_t nx, const struct pod_amount *y, uint32_t ny);

/* Of a node's metadata only the uid counts. */
bool same_node(const struct kube_node *x, const struct kube_node *y);
bool same_pod(const struct score_pod *x, const struct score_pod *y);

/* Traits and owner may differ: no node asks for them. */
bool same_pod_for_node(const struct score_pod *x, const struct score_pod *y);
bool same_labels(const struct score_labels *x, const struct score_labels *y);

/* The same for two pods that say the same; of them alone by a key that nobody knows. */
uint64_t same_pod_hash(const uint64_t key[2], const struct score_pod *pod);

#endif
