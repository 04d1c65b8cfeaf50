/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kube-scheduler itself looks at before it asks an extender: do the pod's requests fit into
 * what the Node has left in sum (its plugin NodeResourcesFit). An extender need not look again; who
 * explains without a kube-scheduler must, or a GPU pod would seem welcome where no GPU is.
 */
#ifndef SCORING_FIT_H
#define SCORING_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "scoring/node_view.h"
#include "scoring/request.h"

/*
 * What the pod requests of a resource: the larger of its init containers at their worst moment and
 * of what runs for long, sidecars included (KEP-753); with pod-level requests those. Saturates.
 * Overhead of a RuntimeClass is not counted.
 */
int64_t score_requested(const struct score_pod *pod, struct str resource);

/*
 * The same of limits, as the API server counts them for quotas; `out_set`: some container, or the
 * pod, has one.
 */
int64_t score_limited(const struct score_pod *pod, struct str resource, bool *out_set);

/*
 * The first resource of the node that the pod does not fit into, and how much it requests of it;
 * NULL when it fits or the node says nothing of its resources. A resource that the Node does not
 * list at all is not held against it here: see score_fit_missing.
 */
const struct node_fit *score_fit(const struct score_pod *pod, const struct node_view *node,
                                 int64_t *out_requested);

/*
 * The first extended resource that the pod requests and the Node does not list; empty when there
 * is none. Where no node of the cluster lists it, it is not a matter of nodes (a cluster-level
 * resource that another extender manages): the caller knows.
 */
struct str score_fit_missing(const struct score_pod *pod, const struct node_view *node);

#endif
