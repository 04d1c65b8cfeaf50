/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster at one moment: an immutable table of reference-counted node views. cluster/ builds
 * the next one and swaps a pointer; a request takes one reference at its start and drops it at
 * its end.
 */
#ifndef CLUSTER_SNAPSHOT_H
#define CLUSTER_SNAPSHOT_H

#include <stdint.h>

#include "base/str.h"
#include "scoring/node_view.h"
#include "scoring/request.h"

struct cluster_snapshot; /* opaque */

struct cluster_snapshot *cluster_snapshot_ref(struct cluster_snapshot *s);
void cluster_snapshot_unref(struct cluster_snapshot *s); /* from any thread; NULL is fine */

uint64_t cluster_snapshot_generation(const struct cluster_snapshot *s); /* grows by one a swap */
uint32_t cluster_snapshot_nodes(const struct cluster_snapshot *s);

/* The i-th node in byte order of the names. */
const struct node_view *cluster_snapshot_node(const struct cluster_snapshot *s, uint32_t i);

/* NULL when there is no node of this name. O(1), by a keyed hash. */
const struct node_view *cluster_snapshot_find(const struct cluster_snapshot *s, struct str name);

/* Its position, as cluster_snapshot_node takes it; UINT32_MAX when there is none. O(1) likewise. */
uint32_t cluster_snapshot_position(const struct cluster_snapshot *s, struct str name);

/* A pod or workload template of the source by namespace and name; NULL when there is none. */
const struct score_pod *cluster_snapshot_pod(const struct cluster_snapshot *s, struct str ns,
                                             struct str name);

#endif
